"""Pictures of predictions: points, classes and depth over the crop or the photograph."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from synthforge.conventions import IGNORE

TRUE, PREDICTED = (60, 255, 60), (255, 60, 60)


def draw_points(
    rgb: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "p 2"], color: tuple[int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Dots at continuous pixels, sized for the image."""
    out = np.ascontiguousarray(rgb.copy())
    radius = max(1, round(max(rgb.shape[:2]) / 160))
    for x, y in points:
        if np.isfinite([x, y]).all():
            centre = (int(round((x - 0.5) * 16)), int(round((y - 0.5) * 16)))
            cv2.circle(out, centre, radius * 16, color, -1, cv2.LINE_AA, shift=4)
    return out


def draw_classes(
    rgb: UInt8[np.ndarray, "h w 3"], ids: UInt8[np.ndarray, "y x"], colors: UInt8[np.ndarray, "c 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Class colours over the image; unknown pixels stay grey."""
    palette = np.full((256, 3), 90, np.uint8)
    palette[: len(colors)] = colors
    palette[IGNORE] = 90
    paint = cv2.resize(palette[ids], rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(rgb, 0.45, paint, 0.55, 0)


def draw_depth(
    depth: Float[np.ndarray, "h w"], mask: np.ndarray, size: tuple[int, int]
) -> UInt8[np.ndarray, "y x 3"]:
    """Near is bright; the range is that of the mask."""
    known = depth[mask & np.isfinite(depth)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    near = np.where(mask, 1 - (np.where(mask, depth, low) - low) / max(high - low, 1e-6), 0.0)
    grey = (np.clip(near, 0, 1) * 255).astype(np.uint8)
    picture = cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA)[..., ::-1] * mask[..., None]
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_NEAREST)


def write_png(path: Path, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
    """RGB image to disk; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[..., ::-1])


def grid(tiles: list[UInt8[np.ndarray, "h w 3"]], columns: int) -> UInt8[np.ndarray, "y x 3"]:
    """Tiles of one size, row by row."""
    blank = np.zeros_like(tiles[0])
    tiles = tiles + [blank] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def batch_panel(rgb, points, ids, depth, colors, truth=None, side: int = 192) -> UInt8[np.ndarray, "y x 3"]:
    """One row per sample: image with points, classes, depth; then the true ones where given.

    Args:
        rgb: b 3 h w uint8; points: b p 2 fractions; ids: b y x; depth: b y x (all numpy).
        truth: (points, ids, depth) of the same shapes, or None.
    """
    tiles = []
    for i in range(len(rgb)):
        image = cv2.resize(np.ascontiguousarray(rgb[i].transpose(1, 2, 0)), (side, side))
        for p, c, d, color in [(points, ids, depth, PREDICTED)] + (
            [(*truth, TRUE)] if truth is not None else []
        ):
            known = np.isfinite(d[i]) & (c[i] != 0)
            tiles += [
                draw_points(image, p[i] * side, color),
                draw_classes(image, c[i].astype(np.uint8), colors),
                draw_depth(d[i], known, (side, side)),
            ]
    return grid(tiles, 6 if truth is not None else 3)
