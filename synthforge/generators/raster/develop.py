"""From linear light to an 8-bit photograph: depth of field, white balance, noise, tone curve, JPEG."""

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numba import njit

from synthforge.generators.shading.color import LUMINANCE, blackbody, linear_to_srgb

DEVELOPED = (  # attributes that `develop` takes
    "white_balance", "blur", "noise", "vignette", "compression", "contrast", "saturation"
)  # fmt: skip
_WIDEST = 0.04  # largest circle of confusion, share of the image's height
_BRIGHTEST, _STEPS = 16.0, 8191  # of the tone table; finer than a tenth of an 8-bit step everywhere


def depth_of_field(
    image: Float[np.ndarray, "h w 3"],
    depth: Float[np.ndarray, "h w"],
    focus: float,
    focal: float,
    aperture: float,
) -> Float[np.ndarray, "h w 3"]:
    """Image through a thin lens.

    Every pixel is spread over its circle of confusion, whose diameter is `aperture * focal * |1/focus - 1/z|`
    pixels (for distances far beyond the focal length). Pixels do not spread over others in front of them.

    Args:
        image: linear RGB; pixels without depth stay as they are (the background is out of focus already).
        depth: z (m); inf for none.
        focus: z in focus (m).
        focal: focal length (pixels).
        aperture: diameter of the entrance pupil (m).
    """
    there = np.isfinite(depth)
    circle = np.where(there, aperture * focal * np.abs(1 / focus - 1 / np.where(there, depth, focus)), 0)
    circle = np.minimum(circle, _WIDEST * len(image)).astype(np.float32)
    widest = float(circle.max(initial=0.0))
    if widest < 0.7:  # less than a pixel
        return image
    side = 2 * int(np.ceil(widest / 2)) + 1
    widest_near = cv2.dilate(circle, np.ones((side, side), np.uint8))
    return _gather(image.astype(np.float32), depth.astype(np.float32), circle, widest_near)


@njit(cache=True)
def _gather(image, depth, circle, widest_near):
    """Each pixel as the mean of those whose circles cover it; `widest_near` is the largest circle around."""
    height, width = circle.shape
    out = np.empty_like(image)
    for row in range(height):
        for col in range(width):
            r = int(np.ceil(0.5 * widest_near[row, col]))
            if widest_near[row, col] < 0.7:
                out[row, col] = image[row, col]
                continue
            total = red = green = blue = np.float32(0)
            mine, z = circle[row, col], depth[row, col]
            for i in range(max(row - r, 0), min(row + r, height - 1) + 1):
                for j in range(max(col - r, 0), min(col + r, width - 1) + 1):
                    size = circle[i, j]
                    if depth[i, j] > z:
                        size = mine if np.isinf(depth[i, j]) else min(size, mine)
                    away = np.sqrt(np.float32((i - row) ** 2 + (j - col) ** 2))
                    share = min(np.float32(0.5) * size - away + np.float32(0.5), np.float32(1))
                    if share > 0:
                        share /= max(np.float32(0.785) * size * size, np.float32(1))
                        total += share
                        red += share * image[i, j, 0]
                        green += share * image[i, j, 1]
                        blue += share * image[i, j, 2]
            out[row, col, 0], out[row, col, 1], out[row, col, 2] = red / total, green / total, blue / total
    return out


def develop(
    linear: Float[np.ndarray, "h w 3"],
    white_balance: float,
    blur: float,
    noise: float,
    rng: np.random.Generator,
    vignette: float = 0.0,
    compression: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
) -> UInt8[np.ndarray, "h w 3"]:
    """Photograph of linear RGB in which 1 is white.

    Args:
        white_balance: -1 (cold) to 1 (warm), tint left in the image.
        blur: 0 to 1; at 1 the standard deviation is 0.6 % of the height.
        noise: 0 to 1; at 1 as of a phone at night after denoising.
        rng: of the noise.
        vignette: 0 to 1; at 1 the corners get 0.37 of the light.
        compression: 0 (none) to 1 (JPEG of quality 35).
        contrast: doublings of the tone curve's slope at mid grey.
        saturation: -1 (black and white) to 1 (colours twice as far from grey).
    """
    warm = blackbody(6500 * 2 ** (-0.45 * white_balance))
    image = linear * (warm / blackbody(6500)).astype(np.float32)
    sigma = 0.006 * blur * linear.shape[0]
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if vignette > 0:  # like cos^4 of the angle off the axis
        image = image / (1 + 0.65 * np.float32(vignette) * _off_axis(image.shape[:2])) ** 2
    if noise > 0:
        image = image + _grain(image, noise, rng)
    step = np.sqrt(np.clip(image, 0, _BRIGHTEST)) * np.float32(_STEPS / _BRIGHTEST**0.5)
    rgb = _tone_table(contrast)[step.astype(np.int32)]
    if saturation:
        grey = rgb @ LUMINANCE.astype(np.float32)
        rgb = grey[..., None] + np.float32(1 + saturation) * (rgb - grey[..., None])
        rgb = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    if compression > 0:
        quality = [cv2.IMWRITE_JPEG_QUALITY, round(95 - 60 * compression)]
        code = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), quality)[1]
        rgb = np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])
    return rgb


@lru_cache(maxsize=4)
def _off_axis(size: tuple[int, int]) -> Float[np.ndarray, "h w 1"]:
    """Squared distance from the middle of the image, 1 at its corners."""
    y, x = (np.arange(n, dtype=np.float32) / max(n - 1, 1) * 2 - 1 for n in size)
    return 0.5 * (y[:, None] ** 2 + x[None] ** 2)[..., None]


def _grain(image: np.ndarray, noise: float, rng: np.random.Generator) -> Float[np.ndarray, "h w 3"]:
    """Sensor noise as it remains after a phone's denoising.

    Its variance is that of the readout plus one that grows with the light (shot noise). In brightness it
    is fine; in colour it is weaker and blotchy, since denoising works over larger areas there. At 1 its
    deviation is 0.0045 in the dark and about 10 % of mid grey (estimates).
    """
    height, width = image.shape[:2]
    fine = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), 0.55)
    coarse = rng.standard_normal((max(height // 3, 1), max(width // 3, 1), 3), np.float32)
    blotches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    light = np.maximum(image @ LUMINANCE, 0)
    deviation = np.float32(noise) * np.sqrt(np.float32(0.0045**2) + np.float32(0.002) * light)
    return deviation[..., None] * (np.float32(1.3) * fine[..., None] + np.float32(0.35) * blotches)


@lru_cache(maxsize=4)
def _tone_table(contrast: float) -> UInt8[np.ndarray, " n"]:
    """sRGB byte of linear values spaced by their square roots."""
    linear = np.linspace(0, 1, _STEPS + 1) ** 2 * _BRIGHTEST
    return np.round(s_curve(linear_to_srgb(shoulder(linear)), contrast) * 255).astype(np.uint8)


def s_curve(x: Float[np.ndarray, "*n"], contrast: float) -> Float[np.ndarray, "*n"]:
    """Tone curve of an editor: keeps black, mid grey (0.5) and white; its slope at mid grey is 2^contrast.

    x^g / (x^g + (1 - x)^g) with g = 2^contrast: the odds of x to the power g.
    """
    bright, dark = x**2.0**contrast, (1 - x) ** 2.0**contrast
    return bright / (bright + dark)


def shoulder(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Film curve: more contrast than the scene (gamma 1.15), then a smooth roll-off that reaches 1
    only at infinity; monotone."""
    x = 1.08 * x**1.15
    over = np.maximum(x - 0.5, 0)
    return np.minimum(x, 0.5) + over / (1 + 2 * over)
