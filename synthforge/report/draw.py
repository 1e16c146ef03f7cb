"""Labels as pictures: every function takes labels and returns uint8 h w 3 (or 4), sRGB."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from synthforge.conventions import CLASS_COLORS, N_LANDMARKS
from synthforge.errors import DatasetError
from synthforge.report.show import encoded

# Visibility 0 outside, 1 occluded, 2 visible; from the Okabe-Ito palette, safe for colour blindness.
VISIBILITY_COLORS = ((204, 121, 167), (230, 159, 0), (86, 220, 255))
CONTOUR_COLOR = (240, 228, 66)
DENSE_COLOR = (255, 255, 255, 150)
TRUE, PREDICTED = (60, 255, 60), (255, 60, 60)  # points of an annotation, of a network
LANDMARK_CHAINS = (
    *(list(range(a, b)) for a, b in [(0, 17), (17, 22), (22, 27), (27, 31), (31, 36)]),
    *([*range(a, b), a] for a, b in [(36, 42), (42, 48), (48, 60), (60, 68)]),
)


def segmentation_rgb(
    classes: UInt8[np.ndarray, "h w"], colors: UInt8[np.ndarray, "c 3"] = CLASS_COLORS
) -> UInt8[np.ndarray, "h w 3"]:
    """The colour of each class; what is no class (255 and the like) is white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(colors)] = colors
    return table[classes]


def tinted(
    rgb: UInt8[np.ndarray, "h w 3"],
    classes: UInt8[np.ndarray, "h w"],
    colors: UInt8[np.ndarray, "c 3"] = CLASS_COLORS,
) -> UInt8[np.ndarray, "h w 3"]:
    """Half picture, half class colour; the background (class 0) stays as it is."""
    known, out = classes > 0, rgb.copy()
    out[known] = (rgb[known].astype(np.uint16) + segmentation_rgb(classes, colors)[known]) // 2
    return out


def draw_points(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "p 2"], color: tuple[int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Dots at continuous pixels, sized for the picture; points that are not finite are left out."""
    out = np.ascontiguousarray(rgb.copy())
    for point in points[np.isfinite(points).all(1)]:
        _dot(out, point, max(1, round(max(rgb.shape[:2]) / 160)), color)
    return out


def depth_rgb(depth: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Near bright, far dark, stretched to the depths present; black where there is none (inf or NaN)."""
    finite = np.isfinite(depth)
    if not finite.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = np.quantile(depth[finite], [0.005, 0.995])
    shade = np.clip((far - np.where(finite, depth, far)) / max(far - near, 1e-6), 0, 1)
    # The face fills little of the range and lies near: the square spreads its colours.
    colour = cv2.applyColorMap((35 + 210 * shade**2).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.where(finite[..., None], colour, 0).astype(np.uint8)


def normals_rgb(normals: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The usual colours: red right, green up, blue towards the camera; no surface black."""
    colour = 127.5 + 127.5 * normals * np.array([1, -1, -1], np.float32)
    return np.where((normals != 0).any(-1, keepdims=True), colour, 0).astype(np.uint8)


def landmarks_rgba(sample: Mapping[str, np.ndarray], size: int) -> UInt8[np.ndarray, "size w 4"]:
    """Transparent picture of landmarks coloured by visibility, contour jaw, pupils and gaze; where there are
    dense ones, those that are seen as small dots."""
    height, width = sample["rgb"].shape[:2]
    scale = size / height
    canvas = np.zeros((size, round(width * scale), 4), np.uint8)
    points = sample["landmarks_2d"] * scale
    unit = max(size / 256, 0.5)
    for point in dense_seen(sample) * scale:
        _dot(canvas, point, 0.8 * unit, DENSE_COLOR)
    for chain in LANDMARK_CHAINS:
        _line(canvas, points[chain], (255, 255, 255, 110), unit)
    _line(canvas, sample["landmarks_contour_2d"] * scale, (*CONTOUR_COLOR, 190), unit)
    for point in sample["landmarks_contour_2d"] * scale:
        _dot(canvas, point, 1.5 * unit, (*CONTOUR_COLOR, 255))
    for point, visible in zip(points, sample["landmarks_visible"], strict=True):
        _dot(canvas, point, 1.9 * unit, (*VISIBILITY_COLORS[visible], 255))
    for pupil, gaze in zip(sample["pupils_2d"] * scale, sample["gaze"], strict=True):
        _line(canvas, np.stack([pupil, pupil + gaze[:2] * 0.09 * size]), (120, 255, 120, 255), 1.4 * unit)
        _dot(canvas, pupil, 1.5 * unit, (120, 255, 120, 255))
    return canvas


def dense_seen(sample: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n 2"]:
    """The dense landmarks besides iBUG-68 that are seen, px; none where the sample has none."""
    if sample.get("landmarks_dense_2d") is None:
        return np.zeros((0, 2), np.float32)
    seen = sample["landmarks_dense_visible"][N_LANDMARKS:] == 2
    return sample["landmarks_dense_2d"][N_LANDMARKS:][seen]


def _line(canvas: np.ndarray, points: np.ndarray, color: tuple[int, ...], width: float) -> None:
    fixed = np.rint(points * 16 - 8).astype(np.int32)  # sub-pixel places, pixel centres at .5
    cv2.polylines(canvas, [fixed], False, color, max(1, round(width)), cv2.LINE_AA, 4)


def _dot(canvas: np.ndarray, point: np.ndarray, radius: float, color: tuple[int, ...]) -> None:
    centre = tuple(int(c) for c in np.rint(point * 16 - 8))
    cv2.circle(canvas, centre, round(radius * 16), color, -1, cv2.LINE_AA, 4)


def over(rgba: UInt8[np.ndarray, "h w 4"], rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """`rgba` laid over `rgb`."""
    a = rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] * a + rgb * (1 - a)).astype(np.uint8)


def resized(image: Shaped[np.ndarray, "h w *c"], size: int, smooth: bool = True) -> np.ndarray:
    """An image at another height, its shape kept; labels with `smooth` off keep their values."""
    if image.shape[0] == size:
        return image
    method = cv2.INTER_NEAREST
    if smooth:
        method = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    width = round(image.shape[1] * size / image.shape[0])
    return cv2.resize(image, (width, size), interpolation=method)


def strip(sample: Mapping[str, np.ndarray], size: int) -> UInt8[np.ndarray, "size w 3"]:
    """Image, segmentation over it, landmarks, depth, and normals where they are, side by side."""
    rgb = resized(sample["rgb"], size)
    classes = resized(sample["segmentation"], size, smooth=False)
    dark = np.where(classes[..., None] > 0, rgb, 0.35 * rgb).astype(np.uint8)
    tiles = [
        rgb,
        tinted(dark, classes),
        over(landmarks_rgba(sample, size), (rgb * 0.75).astype(np.uint8)),
        resized(depth_rgb(sample["depth"]), size, smooth=False),
    ]
    if "normals" in sample:
        tiles.append(resized(normals_rgb(sample["normals"]), size, smooth=False))
    return np.concatenate(tiles, 1)


def contact_sheet(rows: Sequence[np.ndarray], columns: int, gap: int = 6) -> UInt8[np.ndarray, "h w 3"]:
    """Tiles of one size, row by row, with dark gaps."""
    height, width = rows[0].shape[:2]
    n_down = -(-len(rows) // columns)
    sheet = np.full((n_down * (height + gap) + gap, columns * (width + gap) + gap, 3), 24, np.uint8)
    for i, row in enumerate(rows):
        y, x = gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = row
    return sheet


def write_png(path: Path, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
    """PNG whatever the name ends in; folders are made.

    Raises:
        DatasetError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(rgb, ".png"))
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise DatasetError(what, where=str(path), fix="give another --out") from error
