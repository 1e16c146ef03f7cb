"""Colour arithmetic: linear RGB with sRGB primaries, D65."""

import numpy as np
from jaxtyping import Float

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.969266, 1.8760108, 0.041556],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def srgb_to_linear(srgb: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """IEC 61966-2-1, values in [0, 1]."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """IEC 61966-2-1, values in [0, 1]."""
    return np.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )


def hex_to_linear(code: str) -> Float[np.ndarray, " 3"]:
    """Linear RGB of an sRGB code such as "8a5a2b"."""
    return srgb_to_linear(np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0)


def lab_to_linear(lab: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """CIELAB (D65) to linear RGB, clipped to be positive. Source: CIE 15:2004."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE
    return np.maximum(xyz @ _XYZ_TO_RGB.T, 1e-3)


def blackbody(kelvin: float) -> Float[np.ndarray, " 3"]:
    """Linear RGB of a lamp or sky of that colour temperature, luminance 1, against 6500 K white.

    Source: Planckian locus, Kim et al. (2002) cubic fit, 1667-25000 K.
    """
    t = 1e3 / kelvin
    if kelvin < 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
        y = ((3.0817580 * x - 5.8733867) * x + 3.75112997) * x - 0.37001483
    rgb = np.maximum(_XYZ_TO_RGB @ np.array([x / y, 1.0, (1 - x - y) / y]), 0.01)
    return rgb / (rgb @ LUMINANCE)
