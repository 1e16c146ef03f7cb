"""Colour of skin from its tone, and of the blood and melanin that vary over it."""

import numpy as np
from jaxtyping import Float

from synthforge.generators.shading.color import lab_to_linear

# CIELAB of facial skin along the ten Monk tones. Source: spectrophotometer ranges by population
# (Europeans L* 62-66, East Asian 60-64, South Asian 48-56, African 32-46), ends extended.
SKIN_LAB = np.array(
    [[71, 9.5, 13.5], [69, 10.5, 14.5], [66, 11.5, 16], [62.5, 12, 18], [57, 12.5, 19.5]]
    + [[50, 13, 20.5], [43, 13, 19], [37, 12, 16], [31.5, 10.5, 12.5], [27, 8.5, 9.5]]
)
# Relative optical depth of more blood and more melanin for red, green, blue light.
# Source: shape of the absorption spectra in Jacques (2013), fig. 7, weighted to sRGB primaries.
BLOOD = np.array([0.03, 0.36, 0.26], np.float32)
MELANIN = np.array([0.50, 0.80, 1.05], np.float32)


def skin_base(tone: float, hue: float) -> Float[np.ndarray, " 3"]:
    """Linear RGB of the cheek average at a Monk tone 1-10; `hue` -1 (yellow) to 1 (red)."""
    at = np.clip(tone, 1, 10)
    lab = np.array([np.interp(at, np.arange(1, 11), SKIN_LAB[:, c]) for c in range(3)])
    return lab_to_linear(lab + [0.0, 1.6 * hue, -2.2 * hue])
