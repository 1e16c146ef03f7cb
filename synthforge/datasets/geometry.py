"""Maps between an image and a crop of it, applied exactly to every kind of label.

Matrices are 2x3 (affine) or 3x3 (with perspective) and act on continuous pixels ((0, 0) is the outer corner
of the first pixel). A negative determinant mirrors; then left and right change places in points and
classes.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

Affine = Float[np.ndarray, "2 3"]
Map = Float[np.ndarray, "_ 3"]  # 2 or 3 rows


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


def celeba_matrix(points: Float[np.ndarray, "68 2"], size: int) -> Affine:
    """The crop of CelebA-HQ: upright by eyes and mouth, wide enough for the whole head.

    Source: Karras et al. (2018), appendix C: with the eyes' centres e0, e1 and the mouth's corners m0, m1,
    x' = e1 - e0, y' = (e0 + e1) / 2 - (m0 + m1) / 2; centre (e0 + e1) / 2 - 0.1 y', direction
    x' - rot90(y'), side max(4.0 |x'|, 3.6 |y'|).
    """
    e0, e1 = points[36:42].mean(0), points[42:48].mean(0)
    eyes, mouth = (e0 + e1) / 2, (points[48] + points[54]) / 2
    x, y = e1 - e0, eyes - mouth
    across = x - np.array([y[1], -y[0]])
    across = across / max(np.linalg.norm(across), 1e-9)
    zoom = size / max(4.0 * np.linalg.norm(x), 3.6 * np.linalg.norm(y), 1e-9)
    linear = zoom * np.array([across, [-across[1], across[0]]])
    return np.column_stack([linear, size / 2 - linear @ (eyes - 0.1 * y)])


def tilt_matrix(corners: Float[np.ndarray, "4 2"], size: int) -> Float[np.ndarray, "3 3"]:
    """Perspective map of a square crop that moves its corners by `corners` (fractions of the side; from the
    top left clockwise)."""
    square = size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    return cv2.getPerspectiveTransform(square, (square + size * corners).astype(np.float32))


def compose(outer: Map, inner: Map) -> Map:
    """`inner`, then `outer`; affine where both are."""
    product = _square(outer) @ _square(inner)
    return product[:2] if len(outer) == len(inner) == 2 else product / product[2, 2]


def _square(matrix: Map) -> Float[np.ndarray, "3 3"]:
    return matrix if len(matrix) == 3 else np.vstack([matrix, [0.0, 0.0, 1.0]])


def invert(matrix: Map) -> Map:
    """The map back."""
    inverse = np.linalg.inv(_square(matrix))
    return inverse[:2] if len(matrix) == 2 else inverse / inverse[2, 2]


def scaled(matrix: Map, factor: float) -> Map:
    """The same map into a picture `factor` times as large."""
    return np.diag([factor, factor, 1.0][: len(matrix)]) @ matrix


def jacobian(matrix: Map, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2 2"]:
    """Derivative of the map at some points of the image."""
    if len(matrix) == 2:
        return np.broadcast_to(matrix[:, :2], (*points.shape[:-1], 2, 2))
    w = (points @ matrix[2, :2] + matrix[2, 2])[..., None, None]
    moved = warp_points(points.reshape(-1, 2), matrix).reshape(points.shape)
    return (matrix[:2, :2] - moved[..., :, None] * matrix[2, :2]) / w


def is_mirror(matrix: Map) -> bool:
    """True where the map exchanges left and right."""
    return bool(np.linalg.det(matrix[:, :2] if len(matrix) == 2 else matrix) < 0)


def warp_points(points: Float[np.ndarray, "p 2"], matrix: Map, flip: np.ndarray | None = None):
    """Points under the map; where it mirrors, point `flip[i]` takes place i.

    Args:
        points: pixels.
        flip: order of the points in a mirrored image (None: points have no sides).
    """
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    if len(matrix) == 3:
        moved = moved[:, :2] / np.maximum(moved[:, 2:], 1e-3)  # beyond the horizon: far outside
    return moved[flip] if flip is not None and is_mirror(matrix) else moved


def warp_visible(
    visible: UInt8[np.ndarray, " p"],
    moved: Float[np.ndarray, "p 2"],
    size: int,
    swap: np.ndarray | None = None,
) -> UInt8[np.ndarray, " p"]:
    """Visibility (0 outside, 1 occluded, 2 visible) of points in a crop, where they lie at `moved`.

    Args:
        swap: order of the points, where the crop is mirrored.
    """
    inside = ((moved > 0) & (moved < size)).all(1)
    return np.where(inside, visible if swap is None else visible[swap], 0).astype(np.uint8)


def warp_image(
    image: Shaped[np.ndarray, "h w *c"],
    matrix: Map,
    size: int | tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_CONSTANT,
    fill: float = 0,
) -> Shaped[np.ndarray, "y x *c"]:
    """Resample an image into a crop of `size` (side, or height and width)."""
    h, w = (size, size) if isinstance(size, int) else size
    half = matrix.copy()  # OpenCV counts from the first pixel's centre
    half[:, 2] += 0.5 * half[:, :2].sum(1)
    half[:2] -= 0.5 * half[2] if len(half) == 3 else np.array([0.0, 0.0, 0.5])
    channels = 1 if image.ndim == 2 else image.shape[2]
    warp = cv2.warpAffine if len(half) == 2 else cv2.warpPerspective
    fills = (fill,) * min(channels, 4)
    return warp(image, half, (w, h), flags=interpolation, borderMode=border, borderValue=fills)


def shrinking(matrix: Map, size: int | tuple[int, int]) -> float:
    """Pixels of the image along one pixel of the crop, at the crop's centre."""
    h, w = (size, size) if isinstance(size, int) else size
    centre = warp_points(np.array([[w / 2, h / 2]]), invert(matrix))
    return 1 / np.sqrt(abs(np.linalg.det(jacobian(matrix, centre)[0])))


def warp_rgb(
    image: UInt8[np.ndarray, "h w 3"], matrix: Map, size: int | tuple[int, int], replicate: bool = False
) -> UInt8[np.ndarray, "y x 3"]:
    """Bilinear, after an area average where the map shrinks the image (at the crop's centre) by more than
    1.5."""
    shrink = shrinking(matrix, size)
    if shrink > 1.5:
        h, w = image.shape[:2]
        small = max(1, round(w / shrink)), max(1, round(h / shrink))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([w / small[0], h / small[1], 1.0])
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    return warp_image(image, matrix, size, border=border)


def warp_ids(
    ids: UInt8[np.ndarray, "h w"],
    matrix: Map,
    size: int,
    outside: int,
    flip: UInt8[np.ndarray, " 256"] | None = None,
) -> UInt8[np.ndarray, "y x"]:
    """Nearest class id; `outside` beyond the image; paired classes swapped where the map mirrors."""
    warped = warp_image(ids, matrix, size, cv2.INTER_NEAREST, fill=outside)
    return flip[warped] if flip is not None and is_mirror(matrix) else warped


def warp_coverage(
    under: UInt8[np.ndarray, "h w"],
    layers: Mapping[int, UInt8[np.ndarray, "h w"]],
    n_classes: int,
    matrix: Map,
    size: int,
    flip: UInt8[np.ndarray, " 256"] | None = None,
) -> UInt8[np.ndarray, "c y x"]:
    """Share of each pixel of the crop that each class covers; 255 is the whole pixel.

    What the layers leave of a pixel of the image is of the class `under`. Shares are those of a grid of
    bilinear samples, as fine as the image; pixels beyond the image, or of class 255, are in no class.
    """
    fine = min(max(round(shrinking(matrix, size)), 1), 4)
    spread = scaled(matrix, fine)
    left = np.full(under.shape, 255, np.uint8)
    for cover in layers.values():
        left = cv2.subtract(left, cover)
    out = np.zeros((n_classes, size, size), np.uint8)
    present = {c for c in np.flatnonzero(np.bincount(under.ravel(), minlength=256)) if c < n_classes}
    for c in present | set(layers):
        plane = np.where(under == c, left, 0).astype(np.uint8)
        if c in layers:
            plane = cv2.add(plane, layers[c])
        samples = warp_image(plane, spread, fine * size)
        place = flip[c] if flip is not None and is_mirror(matrix) else c
        out[place] = cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)
    return out


def warp_depth(depth: Float[np.ndarray, "h w"], matrix: Map, size: int) -> Float[np.ndarray, "y x"]:
    """Bilinear z over the pixels that have one (weights renormalised); inf elsewhere."""
    known = np.isfinite(depth)
    weight = warp_image(known.astype(np.float32), matrix, size)
    total = warp_image(np.where(known, depth, 0).astype(np.float32), matrix, size)
    return np.where(weight > 0.5, total / np.maximum(weight, 1e-6), np.inf).astype(np.float32)


def warp_normals(normals: Float[np.ndarray, "h w 3"], matrix: Map, size: int) -> Float[np.ndarray, "y x 3"]:
    """Unit normals of the camera frame as the crop shows the surface; (0, 0, 0) where there is none.

    The surface is taken along with the pixels and depth keeps its scale to the picture: with the map's
    derivative J over the root of its area, (x, y) turns by J^-T. A turned picture turns them, a mirrored one
    changes the sign of x.
    """
    known = (normals != 0).any(2)
    total = warp_image(np.ascontiguousarray(normals, np.float32), matrix, size)
    weight = warp_image(known.astype(np.float32), matrix, size)
    back = invert(matrix)
    if len(matrix) == 2:
        j = back[:, :2]
    else:
        centres = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), -1)
        j = jacobian(back, centres)
    j = j / np.sqrt(np.abs(np.linalg.det(j)))[..., None, None]
    turned = total.astype(np.float64)
    turned[..., :2] = np.einsum("ji,yxj->yxi" if j.ndim == 2 else "yxji,yxj->yxi", j, turned[..., :2])
    length = np.linalg.norm(turned, axis=2, keepdims=True)
    good = (weight > 0.5)[..., None] & (length > 1e-6)
    return np.where(good, turned / np.maximum(length, 1e-6), 0).astype(np.float32)
