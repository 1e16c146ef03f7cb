"""What stands behind the head, out of focus; linear RGB in exposed units (1 is white)."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from synthforge.errors import AssetError
from synthforge.generators.color import blackbody, srgb_to_linear

_IMAGES = (".jpg", ".jpeg", ".png")
_BRIGHTNESS = {"day": 0.42, "evening": 0.16, "night": 0.05, "studio": 0.25, "indoor": 0.22}


def image_files(folder: Path, suffixes: tuple[str, ...] = _IMAGES) -> list[Path]:
    """Images in a user's folder, in the order of their names.

    Raises:
        AssetError: the folder is missing or holds none, or a file is no image.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes) if folder.is_dir() else []
    if not files:
        raise AssetError("no images found", where=str(folder), fix=f"put {', '.join(suffixes)} files there")
    for file in files:
        if not cv2.haveImageReader(str(file)):
            raise AssetError("cannot be read as an image", where=str(file), fix="remove or replace the file")
    return files


def files_sha256(folder: Path, files: list[Path]) -> str:
    """Hash of the files' names below `folder` and their sizes: another choice of images shows."""
    named = [f"{file.relative_to(folder).as_posix()} {file.stat().st_size}" for file in files]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


def photo_background(
    path: Path, size: tuple[int, int], rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """Random crop of a user's image, perhaps mirrored, slightly out of focus.

    Raises:
        AssetError: the file is no image.
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
    """Random scene: plain, texture, outdoor, or room for any other kind."""
    canvas = 192  # drawn small; all of it is out of focus
    painter = {"plain": _plain, "texture": _texture, "outdoor": _outdoor}.get(kind, _room)
    scene = painter(canvas, light, rng)
    level = _BRIGHTNESS.get(light, 0.25) * float(np.exp(rng.normal(0, 0.45)))
    scene = scene * (level / max(float(scene.mean()), 1e-3))
    scene = _defocus(scene.astype(np.float32), rng.uniform(0.004, 0.05) * canvas)
    height, width = size
    out = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC)
    if kind != "plain":
        grain = _clouds(canvas, rng, 1.2)
        out = out * np.exp(0.05 * cv2.resize(grain, (width, height)))[..., None]
    return np.maximum(out, 0).astype(np.float32)


def _defocus(image: np.ndarray, radius: float) -> np.ndarray:
    """Blur by a round aperture, then a little more."""
    if radius < 0.5:
        return image
    r = int(np.ceil(radius))
    yy, xx = np.mgrid[-r : r + 1, -r : r + 1]
    disc = np.clip(radius + 0.5 - np.hypot(xx, yy), 0, 1).astype(np.float32)
    wide = cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return cv2.GaussianBlur(wide, (0, 0), 0.3 * radius + 0.3)


def _clouds(size: int, rng: np.random.Generator, power: float) -> np.ndarray:
    """Random field of deviation 1 whose amplitude falls with frequency to `power`."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    f[0, 0] = 1.0
    spectrum = (rng.standard_normal(f.shape) + 1j * rng.standard_normal(f.shape)) / f**power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return (field / field.std()).astype(np.float32)


def _tint(rng: np.random.Generator, saturation: float = 0.35) -> np.ndarray:
    return np.exp(rng.normal(0, saturation, 3))


def _plain(size: int, light: str, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    fall = 1 + rng.uniform(-0.8, 0.8) * x + rng.uniform(-0.8, 0.8) * y - rng.uniform(0, 1.2) * (x * x + y * y)
    return np.maximum(fall, 0.05)[..., None] * _tint(rng, 0.18)


def _texture(size: int, light: str, rng: np.random.Generator) -> np.ndarray:
    field = _clouds(size, rng, rng.uniform(1.0, 2.0))[..., None]
    other = _clouds(size, rng, 1.6)[..., None]
    mixed = np.exp(0.5 * field) * _tint(rng, 0.28) + np.exp(0.7 * other) * _tint(rng, 0.28)
    if rng.random() < 0.3:  # bricks, slats
        y, x = np.mgrid[0:size, 0:size] / size
        turn = rng.uniform(-0.3, 0.3)
        wave = np.sin((y + turn * x) * rng.uniform(20, 80)) * (
            0.5 + 0.5 * (np.sin(x * rng.uniform(0, 60)) > -0.9)
        )
        mixed = mixed * np.exp(0.35 * wave)[..., None]
    return mixed


def _boxes(
    scene: np.ndarray, n: int, rng: np.random.Generator, low: float, glow: float, kelvin: tuple
) -> None:
    """Upright boxes of random size; some of them shine."""
    size = scene.shape[0]
    for _ in range(n):
        w, h = rng.uniform(0.04, 0.4, 2) * size
        x, y = rng.uniform(-0.1, 1.0) * size, rng.uniform(low, 1.0) * size
        color = np.exp(rng.normal(-1.3, 0.7)) * _tint(rng, 0.35)
        if rng.random() < glow:
            color = rng.uniform(1.2, 4.0) * blackbody(rng.uniform(*kelvin))
        box = cv2.boxPoints(((x, y), (w, h), rng.normal(0, 3)))
        cv2.fillPoly(scene, [np.round(box * 16).astype(np.int32)], color.tolist(), cv2.LINE_AA, 4)


def _room(size: int, light: str, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] / size
    wall = 0.55 * _tint(rng, 0.2) * (1 + rng.uniform(-0.6, 0.6) * (x - 0.5) + 0.3 * (0.5 - y))[..., None]
    scene = np.ascontiguousarray(wall, np.float32)
    floor = int(size * rng.uniform(0.65, 1.1))
    scene[floor:] = 0.3 * _tint(rng, 0.3)
    _boxes(scene, int(rng.integers(4, 12)), rng, -0.1, 0.18, (2700, 7500))
    return scene


def _outdoor(size: int, light: str, rng: np.random.Generator) -> np.ndarray:
    y = (np.arange(size) / size)[:, None, None]
    horizon = rng.uniform(0.25, 0.75)
    top, low = blackbody(rng.uniform(8000, 16000)) * 0.8, blackbody(rng.uniform(3000, 7500)) * 1.1
    sky = np.broadcast_to(top + (low - top) * np.clip(y / horizon, 0, 1), (size, size, 3))
    ground = np.array([0.22, 0.26, 0.10]) * _tint(rng, 0.3)
    scene = np.ascontiguousarray(np.where(y < horizon, sky, ground), np.float32)
    green = np.array([0.10, 0.17, 0.05]) * _tint(rng, 0.3)
    hills = horizon - 0.25 * rng.random() - 0.06 * _clouds(size, rng, 1.6)[0]
    if rng.random() < 0.7:
        trees = (y[..., 0] > hills[None]) & (y[..., 0] < horizon + 0.05)
        leaves = np.exp(0.6 * _clouds(size, rng, 0.9))
        scene[trees] = (green * leaves[..., None])[trees]
    if rng.random() < 0.5:
        _boxes(
            scene, int(rng.integers(2, 8)), rng, horizon - 0.3, 0.5 if light == "night" else 0.1, (2000, 9000)
        )
    return scene * np.exp(0.15 * _clouds(size, rng, 1.0))[..., None]
