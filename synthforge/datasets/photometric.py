"""Photometric augmentation of a uint8 crop; every operation draws from the generator it is given."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class PhotometricConfig:
    """Probability of each operation; `amount` is the chance that any is applied at all."""

    amount: float = 0.5
    color: float = 0.6
    grey: float = 0.12
    gamma: float = 0.3
    blur: float = 0.2
    downscale: float = 0.2
    noise: float = 0.25
    jpeg: float = 0.25
    erase: float = 0.3


def photometric(
    rgb: UInt8[np.ndarray, "h w 3"], config: PhotometricConfig, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The crop as another camera, light and disk might have left it; labels stay as they are."""
    if rng.random() >= config.amount:
        return rgb
    hit = dict(zip(_ORDER, rng.random(len(_ORDER)), strict=True))
    for name, operation in _ORDER.items():
        if hit[name] < getattr(config, name):
            rgb = operation(rgb, rng)
    return rgb


def _color(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness, saturation and white balance as one affine map of the colours."""
    contrast, saturation = rng.uniform(0.6, 1.4), rng.uniform(0.4, 1.6)
    gain = contrast * rng.uniform(0.85, 1.15, 3)
    luma = np.array([0.299, 0.587, 0.114])
    mix = saturation * np.eye(3) + (1 - saturation) * luma
    matrix = gain[:, None] * mix
    offset = 255 * rng.uniform(-0.15, 0.15) + 128 * (1 - contrast)
    return cv2.transform(rgb, np.column_stack([matrix, np.full(3, offset)]).astype(np.float32))


def _grey(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _gamma(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    table = 255 * (np.arange(256) / 255) ** np.exp(rng.uniform(-0.7, 0.7))
    return cv2.LUT(rgb, table.round().astype(np.uint8))


def _blur(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.0) * rgb.shape[0] / 80)


def _downscale(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    h, w = rgb.shape[:2]
    factor = rng.uniform(0.3, 0.8)
    small = cv2.resize(rgb, (max(1, int(w * factor)), max(1, int(h * factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)


def _noise(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # A tile of noise, repeated, costs a quarter of fresh noise and looks no different.
    h, w, _ = rgb.shape
    tile = rng.normal(0, rng.uniform(2, 14), ((h + 1) // 2, (w + 1) // 2, 3)).astype(np.int16)
    return cv2.add(rgb, np.tile(tile, (2, 2, 1))[:h, :w], dtype=cv2.CV_8U)


def _jpeg(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def _erase(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rotated block of one colour, or of the image itself mirrored, hides part of the face."""
    h, w, _ = rgb.shape
    centre = rng.uniform(0.1, 0.9, 2) * (w, h)
    size = rng.uniform(0.1, 0.45, 2) * (w, h)
    corners = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 180)))).astype(np.int32)
    if rng.random() < 0.5:
        return cv2.fillConvexPoly(rgb.copy(), corners, [int(v) for v in rng.integers(0, 256, 3)])
    mask = cv2.fillConvexPoly(np.zeros((h, w), np.uint8), corners, 1)
    return np.where(mask[..., None] > 0, rgb[::-1, ::-1], rgb)


_ORDER = {
    "color": _color,
    "gamma": _gamma,
    "grey": _grey,
    "erase": _erase,
    "blur": _blur,
    "downscale": _downscale,
    "noise": _noise,
    "jpeg": _jpeg,
}
