"""Another background behind a rendered head, by its alpha: C = alpha F + (1 - alpha) B."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from synthforge.datasets.sample import read_rgb
from synthforge.errors import ConfigError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def swap_background(
    rgb: UInt8[np.ndarray, "h w 3"], alpha: UInt8[np.ndarray, "h w"], new: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with `new` behind what `alpha` (0 to 255) covers.

    What shines through hair is known only mixed: the old background there is taken to be as beside it, and
    the difference of the two backgrounds is added, so that no fringe of the old one stays.
    """
    clear = (alpha == 0).astype(np.float32)
    spread = (0, 0), rgb.shape[0] / 40
    near = cv2.GaussianBlur(rgb * clear[..., None], *spread)
    weight = cv2.GaussianBlur(clear, *spread)[..., None]
    old = np.where(weight > 1e-3, near / np.maximum(weight, 1e-3), rgb)
    old = np.where(clear[..., None] > 0, rgb, old)
    through = 1 - alpha[..., None] / np.float32(255)
    return np.clip(rgb + through * (new - old) + 0.5, 0, 255).astype(np.uint8)


def background(size: int, rng: np.random.Generator, folder: str = "") -> UInt8[np.ndarray, "s s 3"]:
    """A random square cut of a picture in `folder`, or a made-up one where none is given."""
    if not folder:
        return made_up(size, rng)
    files = pictures(folder)
    image = read_rgb(files[int(rng.integers(len(files)))])
    side = int(min(image.shape[:2]) * rng.uniform(0.4, 1.0)) or 1
    y, x = (int(rng.integers(n - side + 1)) for n in image.shape[:2])
    return cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)


@lru_cache
def pictures(folder: str) -> tuple[str, ...]:
    """Image files below a folder, sorted.

    Raises:
        ConfigError: there is none.
    """
    found = sorted(str(p) for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError("holds no picture", where=f"background_folder {folder}")
    return tuple(found)


def made_up(size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s 3"]:
    """Colour clouds from coarse to fine, with a few flat shapes: no scene, but as varied as one."""
    base = rng.uniform(30, 225) + rng.uniform(-40, 40, 3)
    image = np.tile(base.astype(np.float32), (size, size, 1))
    for cells in (2, 5, 12, 30):
        strength = rng.uniform(0, 70) * (1.0 if cells < 10 else 0.4)
        coarse = rng.uniform(-1, 1, (cells, cells, 1)) + rng.uniform(-0.4, 0.4, (cells, cells, 3))
        smooth = cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        image += strength * smooth
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 6))):
        box = (
            tuple(rng.uniform(0, size, 2)),
            tuple(rng.uniform(0.05, 0.6, 2) * size),
            float(rng.uniform(0, 180)),
        )
        color = [int(v) for v in rng.integers(0, 256, 3)]
        cv2.fillConvexPoly(image, cv2.boxPoints(box).astype(np.int32), color, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 3.0) * size / 128)
