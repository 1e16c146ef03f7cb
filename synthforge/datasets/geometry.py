"""Affine maps between an image and a crop of it, applied exactly to every kind of label.

Matrices are 2x3 and act on continuous pixels ((0, 0) is the outer corner of the first pixel). A
negative determinant mirrors; then left and right change places in points and classes.
"""

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

Affine = Float[np.ndarray, "2 3"]


def crop_matrix(
    box: tuple[float, float, float, float],
    size: int,
    scale: float = 1.3,
    rotation: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    shear: float = 0.0,
    mirror: bool = False,
) -> Affine:
    """Map from the image to a square crop of `size` pixels around a box.

    Args:
        box: x0, y0, x1, y1; the crop's side is `scale` times its longer side.
        rotation: radians, turning the picture clockwise as seen.
        shift: of the face, in fractions of the crop.
        shear: x changes by `shear` times y.
        mirror: left and right exchanged.
    """
    x0, y0, x1, y1 = box
    zoom = size / (scale * max(x1 - x0, y1 - y0))
    c, s = np.cos(rotation), np.sin(rotation)
    linear = zoom * np.array([[c, -s], [s, c]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    if mirror:
        linear = np.array([[-1.0, 0.0], [0.0, 1.0]]) @ linear
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    offset = size * (0.5 + np.array(shift)) - linear @ centre
    return np.column_stack([linear, offset])


def invert(matrix: Affine) -> Affine:
    """The map back."""
    inverse = np.linalg.inv(matrix[:, :2])
    return np.column_stack([inverse, -inverse @ matrix[:, 2]])


def scaled(matrix: Affine, factor: float) -> Affine:
    """The same map into a picture `factor` times as large."""
    return matrix * factor


def is_mirror(matrix: Affine) -> bool:
    """True where the map exchanges left and right."""
    return bool(np.linalg.det(matrix[:, :2]) < 0)


def warp_points(points: Float[np.ndarray, "p 2"], matrix: Affine, flip: np.ndarray | None = None):
    """Points under the map; where it mirrors, point `flip[i]` takes place i.

    Args:
        points: pixels.
        flip: order of the points in a mirrored image (None: points have no sides).
    """
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[flip] if flip is not None and is_mirror(matrix) else moved


def warp_image(
    image: Shaped[np.ndarray, "h w *c"],
    matrix: Affine,
    size: int | tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_CONSTANT,
    fill: float = 0,
) -> Shaped[np.ndarray, "y x *c"]:
    """Resample an image into a crop of `size` (side, or height and width)."""
    h, w = (size, size) if isinstance(size, int) else size
    half = matrix.copy()
    half[:, 2] += 0.5 * half[:, :2].sum(1) - 0.5  # OpenCV counts from the first pixel's centre
    channels = 1 if image.ndim == 2 else image.shape[2]
    return cv2.warpAffine(
        image, half, (w, h), flags=interpolation, borderMode=border, borderValue=(fill,) * min(channels, 4)
    )


def warp_rgb(
    image: UInt8[np.ndarray, "h w 3"], matrix: Affine, size: int | tuple[int, int], replicate: bool = False
) -> UInt8[np.ndarray, "y x 3"]:
    """Bilinear, after an area average where the map shrinks the image by more than 1.5."""
    shrink = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink > 1.5:
        h, w = image.shape[:2]
        small = max(1, round(w / shrink)), max(1, round(h / shrink))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([w / small[0], h / small[1], 1.0])
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    return warp_image(image, matrix, size, border=border)


def warp_ids(
    ids: UInt8[np.ndarray, "h w"],
    matrix: Affine,
    size: int,
    outside: int,
    flip: UInt8[np.ndarray, " 256"] | None = None,
) -> UInt8[np.ndarray, "y x"]:
    """Nearest class id; `outside` beyond the image; paired classes swapped where the map mirrors."""
    warped = warp_image(ids, matrix, size, cv2.INTER_NEAREST, fill=outside)
    return flip[warped] if flip is not None and is_mirror(matrix) else warped


def warp_depth(depth: Float[np.ndarray, "h w"], matrix: Affine, size: int) -> Float[np.ndarray, "y x"]:
    """Bilinear z over the pixels that have one (weights renormalised); inf elsewhere."""
    known = np.isfinite(depth)
    weight = warp_image(known.astype(np.float32), matrix, size)
    total = warp_image(np.where(known, depth, 0).astype(np.float32), matrix, size)
    return np.where(weight > 0.5, total / np.maximum(weight, 1e-6), np.inf).astype(np.float32)
