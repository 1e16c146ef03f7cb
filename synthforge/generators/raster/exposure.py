"""How a camera exposes for a face."""

import numpy as np
from jaxtyping import Float

from synthforge.attributes import Appearance
from synthforge.generators.shading.color import LUMINANCE
from synthforge.generators.shading.pigment import skin_base

# Levels are set so that the faces' median brightness spreads like that of photographs: 8-bit
# luminance 64, 97, 126, 155, 188 at the percentiles 5, 25, 50, 75, 95 within the landmarks' hull of
# the 300-W photographs at hand (Sagonas et al. 2013).
_EXPOSED = {"day": 1.02, "evening": 0.68, "night": 0.46, "studio": 1.05, "indoor": 0.90}
_DIMMEST = 0.045  # linear level of a face below which a camera opens up
_FAIR = 0.33  # luminance of the skin whose exposure is not corrected
_BALANCED = 0.65  # share of the light's tint that the camera takes away


def exposure_of(illumination: Float[np.ndarray, "n 3"], look: Appearance) -> Float[np.ndarray, " 3"]:
    """Factor per channel that a photographer's camera would give the image.

    It brings the face to a usual level, shifted by the appearance's EV, and takes away most of the light's
    tint, as a white balance does. Darker skin gets more light, but stays darker in the image.

    Args:
        illumination: linear radiance of white chalk at places of the face.
    """
    color = illumination.mean(0)
    level = illumination @ LUMINANCE
    mean = max(float(np.sqrt(level.mean() * np.quantile(level, 0.8))), 1e-4)
    skin = float(skin_base(look.skin_tone, 0.0) @ LUMINANCE)
    wanted = 1.5 * _EXPOSED[look.light] * (_FAIR / skin) ** 0.30
    balance = (color / (color @ LUMINANCE)) ** -_BALANCED
    gain = wanted / mean * 2.0**look.exposure
    # less light where the lit side would be overexposed, which happens first to pale skin
    brightest = gain * float(np.quantile(level, 0.95)) / (2.4 * (_FAIR / skin) ** 0.6)
    gain *= max(brightest, 1.0) ** -0.7
    # more light where the face would be too dark
    gain *= max(_DIMMEST / (gain * mean * skin), 1.0) ** 0.6
    return (gain * balance).astype(np.float32)
