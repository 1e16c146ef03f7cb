"""Backgrounds, out of focus; linear RGB as exposed (1 is white)."""

import os
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from synthforge.errors import AssetError
from synthforge.generators.backdrop.scenery import PLACES
from synthforge.generators.shading.color import LUMINANCE, srgb_to_linear

_IMAGES = (".jpg", ".jpeg", ".png")
PANORAMAS = (".hdr", ".exr", ".png", ".jpg", ".jpeg")
_OPENEXR = "OPENCV_IO_ENABLE_OPENEXR"
os.environ.setdefault(_OPENEXR, "1")  # OpenCV asks for it once, at the first .exr file that it meets
_BRIGHTNESS = {"day": 0.34, "evening": 0.16, "night": 0.05, "studio": 0.25, "indoor": 0.22}
_CANVAS = 160  # pixels along a side of the painted scene
_BURNT = 12.0  # times white, the largest radiance that is blurred
# radius of the blur, share of the height
_RADIUS = {"room": (0.015, 0.05), "outdoor": (0.015, 0.05), "texture": (0.004, 0.025)}


def image_files(folder: Path, suffixes: tuple[str, ...] = _IMAGES) -> list[Path]:
    """Images in a user's folder and the folders below it, in the order of their names.

    Raises:
        AssetError: the folder is missing or holds no images; a file is not an image, or an .exr while
            OpenCV's reader for them is off.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes) if folder.is_dir() else []
    if not files:
        raise AssetError("no images found", where=str(folder), fix=f"put {', '.join(suffixes)} files there")
    for file in files:
        if not _is_image(file):
            raise AssetError("cannot be read as an image", where=str(file), fix="remove or replace the file")
    return files


def _is_image(file: Path) -> bool:
    try:
        return cv2.haveImageReader(str(file))
    except cv2.error as error:
        fix = f"set {_OPENEXR}=1 in the environment, or convert the file to .hdr"
        raise AssetError("OpenCV's OpenEXR reader is off", where=str(file), fix=fix) from error


def photo_background(
    path: Path, size: tuple[int, int], rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """Random crop of a user's image, half of the time mirrored, slightly out of focus.

    Raises:
        AssetError: the file is not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise AssetError("cannot be read as an image", where=str(path), fix="remove or replace the file")
    height, width = size
    side = min(image.shape[0] / height, image.shape[1] / width) * rng.uniform(0.5, 1.0)
    rows, cols = max(1, int(height * side)), max(1, int(width * side))
    top = int(rng.integers(image.shape[0] - rows + 1))
    left = int(rng.integers(image.shape[1] - cols + 1))
    crop = cv2.resize(
        image[top : top + rows, left : left + cols], (width, height), interpolation=cv2.INTER_AREA
    )
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    linear = srgb_to_linear(crop[..., ::-1] / 255.0).astype(np.float32)
    return _defocus(linear, rng.uniform(0.0, 0.02) * height)


def procedural_background(
    kind: str, light: str, size: tuple[int, int], rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """Random scene of a kind of `scenery.PLACES`, out of focus, with a brightness that suits the light.

    It is painted small, because the blur removes fine detail anyway.
    """
    scene = np.ascontiguousarray(PLACES[kind](_CANVAS, light, rng), np.float32)
    level = _BRIGHTNESS.get(light, 0.25) * float(np.exp(rng.normal(0, 0.35)))
    usual = float(np.median(scene @ LUMINANCE))  # lamps and windows are overexposed, as in photographs
    scene *= level / max(usual, 0.02)
    if kind != "plain":
        scene = _defocus(np.minimum(scene, _BURNT), _CANVAS * rng.uniform(*_RADIUS[kind]))
    height, width = size
    out = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.maximum(out, 0)


def _defocus(image: np.ndarray, radius: float) -> np.ndarray:
    """Blur by a disc of a `radius` (pixels) with a slightly soft edge, as of a lens with a round aperture."""
    if radius < 0.5:
        return image
    r = int(np.ceil(radius))
    yy, xx = np.mgrid[-r : r + 1, -r : r + 1]
    disc = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    wide = cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return cv2.GaussianBlur(wide, (0, 0), 0.12 * radius + 0.4)
