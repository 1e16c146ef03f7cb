"""Photometric augmentation of a uint8 crop; every operation draws from the generator it is given.

Fog, shadow, rain and spatter follow the operations of that name in Albumentations, on any size of crop.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from synthforge.errors import ConfigError


@dataclass(frozen=True)
class PhotometricConfig:
    """Probability of each operation; `amount` is the chance that any is applied at all."""

    amount: float = 0.5
    color: float = 0.6
    tone: float = 0.0
    hue: float = 0.0
    grey: float = 0.12
    gamma: float = 0.3
    gamma_span: float = 2.0  # the exponent is from 1 / span to span
    fog: float = 0.0
    shadow: float = 0.0
    rain: float = 0.0
    spatter: float = 0.0
    blur: float = 0.2
    downscale: float = 0.2
    noise: float = 0.25
    fuse: float = 0.0
    jpeg: float = 0.25
    jpeg_quality: tuple[int, ...] = (25, 90)
    erase: float = 0.3
    block: float = 0.0

    def __post_init__(self):
        for name in ("amount", *_ORDER):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"got {getattr(self, name)}", where=name, fix="use 0 to 1")
        if not 1 < self.gamma_span <= 10:
            raise ConfigError(f"got {self.gamma_span}", where="gamma_span", fix="use more than 1, up to 10")
        quality = self.jpeg_quality
        if len(quality) != 2 or not 1 <= quality[0] < quality[1] <= 100:
            raise ConfigError(f"got {list(quality)}", where="jpeg_quality", fix="use two of 1 to 100, rising")


def photometric(
    rgb: UInt8[np.ndarray, "h w 3"], config: PhotometricConfig, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The crop as another camera, light and disk might have left it; labels stay as they are."""
    if rng.random() >= config.amount:
        return rgb
    hit = dict(zip(_ORDER, rng.random(len(_ORDER)), strict=True))
    for name, operation in _ORDER.items():
        if hit[name] < getattr(config, name):
            rgb = operation(rgb, rng, config)
    return rgb


def _color(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """Contrast, brightness, saturation and white balance as one affine map of the colours."""
    contrast, saturation = rng.uniform(0.6, 1.4), rng.uniform(0.4, 1.6)
    gain = contrast * rng.uniform(0.85, 1.15, 3)
    luma = np.array([0.299, 0.587, 0.114])
    mix = saturation * np.eye(3) + (1 - saturation) * luma
    matrix = gain[:, None] * mix
    offset = 255 * rng.uniform(-0.15, 0.15) + 128 * (1 - contrast)
    return cv2.transform(rgb, np.column_stack([matrix, np.full(3, offset)]).astype(np.float32))


def _grey(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _gamma(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    span = config.gamma_span
    exponent = rng.uniform(1 / span, 1) if rng.random() < 0.5 else rng.uniform(1, span)
    table = 255 * (np.arange(256) / 255) ** exponent
    return cv2.LUT(rgb, table.round().astype(np.uint8))


def _tone(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """Brightness and contrast by up to a fifth."""
    table = np.arange(256) * rng.uniform(0.8, 1.2) + 255 * rng.uniform(-0.2, 0.2)
    return cv2.LUT(rgb, np.clip(table + 0.5, 0, 255).astype(np.uint8))


def _hue(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """Hue by up to 40 degrees, saturation by 30 and value by 20 of 255."""
    hue, saturation, value = rng.integers([-20, -30, -20], [21, 31, 21])
    h, s, v = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    table = ((np.arange(256) + hue) % 180).astype(np.uint8)  # OpenCV counts hue in steps of 2 degrees
    shifted = [cv2.LUT(h, table), cv2.add(s, float(saturation)), cv2.add(v, float(value))]
    return cv2.cvtColor(cv2.merge(shifted), cv2.COLOR_HSV2RGB)


def _clouds(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Smooth noise in [0, 1], h w."""
    h, w = size
    total = np.zeros((h, w), np.float32)
    for cells, weight in ((3, 0.6), (7, 0.3), (15, 0.1)):
        coarse = rng.random((cells, cells), np.float32)
        total += weight * cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 1)


def _mix(rgb: np.ndarray, color: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`share` (h w) of `color` over the picture."""
    share = share[..., None]
    return np.clip((1 - share) * rgb + share * color + 0.5, 0, 255).astype(np.uint8)


def _fog(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    share = rng.uniform(0.25, 0.7) * (0.4 + 0.6 * _clouds(rgb.shape[:2], rng))
    return _mix(rgb, rng.uniform(200, 250) + rng.uniform(-6, 6, 3), share)


def _shadow(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """One or two polygons let half of the light through; their edges are soft."""
    h, w, _ = rgb.shape
    mask = np.zeros((h, w), np.float32)
    for _ in range(rng.integers(1, 3)):
        corners = rng.uniform(-0.1, 1.1, (5, 2)) * (w, h)
        cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), float(rng.uniform(0.3, 0.65)))
    return _mix(rgb, np.zeros(3), cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.2, 1.5) * w / 80))


def _rain(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """Slanted bright streaks in a greyer picture."""
    h, w, _ = rgb.shape
    streaks = np.zeros((h, w), np.float32)
    start = rng.uniform(-0.1, 1.0, (int(rng.integers(30, 120)), 2)) * (w, h)
    along = rng.uniform(0.05, 0.16) * h * np.array([np.tan(rng.uniform(-0.35, 0.35)), 1.0])
    for a in start:
        b = a + along * rng.uniform(0.6, 1.2)
        cv2.line(streaks, [int(v) for v in a], [int(v) for v in b], 1.0, max(1, round(w / 160)), cv2.LINE_AA)
    streaks = cv2.GaussianBlur(streaks, (0, 0), w / 250)
    return _mix(cv2.convertScaleAbs(rgb, alpha=rng.uniform(0.75, 0.95)), np.full(3, 210.0), 0.55 * streaks)


def _spatter(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """Drops of water or mud on the lens."""
    h, w, _ = rgb.shape
    noise = cv2.GaussianBlur(rng.random((h, w), np.float32), (0, 0), rng.uniform(1.5, 3.0) * w / 128)
    low, high = np.quantile(noise, rng.uniform(0.9, 0.97)), noise.max()
    drops = np.clip((noise - low) / max(0.4 * (high - low), 1e-6), 0, 1)
    color = np.array([238.0, 238, 245]) if rng.random() < 0.5 else np.array([63.0, 42, 20])
    return _mix(rgb, color, rng.uniform(0.5, 0.85) * drops)


def _blur(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    return cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.0) * rgb.shape[0] / 80)


def _downscale(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    h, w = rgb.shape[:2]
    factor = rng.uniform(0.3, 0.8)
    small = cv2.resize(rgb, (max(1, int(w * factor)), max(1, int(h * factor))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)


def _noise(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    # A tile of noise, repeated, costs a quarter of fresh noise and looks no different.
    h, w, _ = rgb.shape
    tile = rng.normal(0, rng.uniform(2, 14), ((h + 1) // 2, (w + 1) // 2, 3)).astype(np.int16)
    return cv2.add(rgb, np.tile(tile, (2, 2, 1))[:h, :w], dtype=cv2.CV_8U)


def _fuse(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """Up to half of uniform noise."""
    noise = rng.integers(0, 256, rgb.shape, np.uint8)
    share = rng.uniform(0, 0.5)
    return cv2.addWeighted(rgb, 1 - share, noise, share, 0)


def _jpeg(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*config.jpeg_quality))])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def _erase(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """A rotated block of one colour, or of the image itself mirrored, hides part of the face."""
    h, w, _ = rgb.shape
    centre = rng.uniform(0.1, 0.9, 2) * (w, h)
    size = rng.uniform(0.1, 0.45, 2) * (w, h)
    corners = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 180)))).astype(np.int32)
    if rng.random() < 0.5:
        return cv2.fillConvexPoly(rgb.copy(), corners, [int(v) for v in rng.integers(0, 256, 3)])
    mask = cv2.fillConvexPoly(np.zeros((h, w), np.uint8), corners, 1)
    return np.where(mask[..., None] > 0, rgb[::-1, ::-1], rgb)


def _block(rgb: np.ndarray, rng: np.random.Generator, config: PhotometricConfig) -> np.ndarray:
    """A black block, upright: height 0.1 to 0.4 of the crop, width within 0.1 of the height."""
    h, w, _ = rgb.shape
    tall = rng.uniform(0.2, 0.8)
    wide = np.clip(tall - 0.2 + 0.4 * rng.random(), 0.05, 1.0)
    y, x = rng.uniform(0, h), rng.uniform(0, w)
    rows = slice(max(0, round(y - h * tall / 4)), max(0, round(y + h * tall / 4)))
    columns = slice(max(0, round(x - w * wide / 4)), max(0, round(x + w * wide / 4)))
    covered = rgb.copy()
    covered[rows, columns] = 0
    return covered


_OPERATIONS = (
    _color, _tone, _hue, _gamma, _grey, _fog, _shadow, _rain, _erase, _block, _spatter, _blur, _downscale,
    _noise, _fuse, _jpeg,
)  # fmt: skip
_ORDER = {operation.__name__[1:]: operation for operation in _OPERATIONS}
