"""One uv square for all parts, and the map of semantic classes in it."""

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import distance_transform_edt

from synthforge.conventions import CLASS_ID
from synthforge.render import rasterize

from .common import inside

MAP_SIZE = 2048  # 0.3 mm of the face per texel

# Where each part's own unit square goes: left, bottom, width, height. Gaps keep charts apart.
PLACES = {
    "skin": (0.002, 0.132, 0.866, 0.866),
    "left_eyeball": (0.874, 0.874, 0.124, 0.124),
    "right_eyeball": (0.874, 0.744, 0.124, 0.124),
    "tongue": (0.874, 0.614, 0.124, 0.124),
    "upper_gum": (0.874, 0.374, 0.124, 0.234),
    "lower_gum": (0.874, 0.132, 0.124, 0.234),
    "upper_teeth": (0.002, 0.002, 0.492, 0.124),
    "lower_teeth": (0.502, 0.002, 0.492, 0.124),
}


def place_uv(part: str, uv: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "t 2"]:
    """A part's own uv moved to its place in the common square."""
    left, bottom, width, height = PLACES[part]
    return uv * [width, height] + [left, bottom]


def class_map(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    uv: Float[np.ndarray, "t 2"],
    face_uvs: Int[np.ndarray, "f 3"],
    face_class: UInt8[np.ndarray, " f"],
    brow: Float[np.ndarray, "k 2"],
) -> UInt8[np.ndarray, "m m"]:
    """Class ids in uv space, row 0 at v = 1; texels outside the charts take the nearest chart's class.

    Args:
        brow: outline of the left brow in the frontal plane (x, y in metres); painted on skin, and
            mirrored on the right.
    """
    points = np.stack([uv[:, 0], 1 - uv[:, 1], np.ones(len(uv))], -1) * [MAP_SIZE, MAP_SIZE, 1]
    hit = rasterize(points, face_uvs, MAP_SIZE, MAP_SIZE)
    covered = hit.face_index >= 0
    face = hit.face_index[covered]
    classes = face_class[face]
    place = (vertices[faces[face]] * hit.barycentric[covered][..., None]).sum(1)
    for name, mirror in (("left_brow", 1), ("right_brow", -1)):
        spot = place[:, :2] * [mirror, 1]
        near = ((spot > brow.min(0)) & (spot < brow.max(0))).all(1) & (place[:, 2] > 0.04)
        near = np.flatnonzero(near & (classes == CLASS_ID["skin"]))
        classes[near[inside(spot[near], brow)]] = CLASS_ID[name]
    out = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8)
    out[covered] = classes
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return out[tuple(nearest)]


def brow_outline(points: dict[str, Float[np.ndarray, " 3"]]) -> Float[np.ndarray, "k 2"]:
    """Outline of the left brow band in the frontal plane (m) through the named brow points."""
    head_up, mid_up, peak_up, tail, head_low, mid_low = (
        np.asarray(points[f"brow_{k}"])[:2]
        for k in ("head_up", "mid_up", "peak_up", "tail", "head_low", "mid_low")
    )
    # under the peak the band is four fifths as high as over the pupil
    peak_low = peak_up + 0.8 * (mid_low - mid_up) * [1, 1]
    upper = np.stack([head_up, mid_up, peak_up, tail])
    lower = np.stack([head_low, mid_low, peak_low, tail])
    t = np.linspace(0, 1, 40)
    upper_x = upper[0, 0] + t * (upper[-1, 0] - upper[0, 0])
    lower_x = lower[0, 0] + t * (lower[-1, 0] - lower[0, 0])
    upper_y = PchipInterpolator(upper[:, 0], upper[:, 1])(upper_x)
    lower_y = PchipInterpolator(lower[:, 0], lower[:, 1])(lower_x)
    # the head is rounded: the first quarter of the thickness' length closes like an ellipse
    middle, half = 0.5 * (upper_y + lower_y), 0.5 * (upper_y - lower_y)
    reach = np.clip((0.5 * (upper_x + lower_x) - upper_x[0]) / (upper_x[-1] - upper_x[0]) / 0.09, 0, 1)
    half = half * np.sqrt(1 - (1 - reach) ** 2)
    edge = [np.stack([upper_x, middle + half], -1), np.stack([lower_x, middle - half], -1)[::-1]]
    return np.concatenate(edge)
