"""From linear light to an 8-bit photograph: white balance, blur, noise, tone curve."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from synthforge.generators.color import blackbody, linear_to_srgb


def develop(
    linear: Float[np.ndarray, "h w 3"],
    white_balance: float,
    blur: float,
    noise: float,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "h w 3"]:
    """Photograph of linear RGB in which 1 is white.

    Args:
        white_balance: -1 (cold) to 1 (warm); half of the tint a camera would leave in.
        blur: 0 to 1; at 1 the lens blurs by 0.6 % of the height.
        noise: 0 to 1; at 1 a phone at night: shot noise with 4 % at mid grey, read noise of 1 %.
        rng: for the noise.
    """
    warm = blackbody(6500 * 2 ** (-0.45 * white_balance))
    image = linear * (warm / blackbody(6500)).astype(np.float32)
    sigma = 0.006 * blur * linear.shape[0]
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if noise > 0:
        deviation = noise * np.sqrt(0.01**2 + 0.008 * np.maximum(image, 0) * 0.5)
        grain = rng.standard_normal(image.shape, np.float32)
        image = image + deviation * (0.6 * grain + 0.4 * cv2.GaussianBlur(grain, (0, 0), 0.8))
    return np.round(linear_to_srgb(shoulder(np.maximum(image, 0))) * 255).astype(np.uint8)


def shoulder(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Film curve: more contrast than the scene (gamma 1.15), then a smooth roll-off that reaches 1
    only at infinity; monotone."""
    x = 1.08 * x**1.15
    over = np.maximum(x - 0.5, 0)
    return np.minimum(x, 0.5) + over / (1 + 2 * over)
