"""One uv square for all parts, and the map of semantic classes in it."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from scipy.interpolate import splev, splprep
from scipy.ndimage import distance_transform_edt

from synthforge.conventions import CLASS_ID
from synthforge.heads.ibug import brow_outline
from synthforge.render import rasterize

from .common import inside

if TYPE_CHECKING:
    from .assemble import Assembled

MAP_SIZE = 2048  # 0.3 mm of the face per texel

# Where each part's own unit square goes: left, bottom, width, height. Gaps keep charts apart.
PLACES = {
    "skin": (0.002, 0.132, 0.866, 0.866),
    "left_eyeball": (0.874, 0.874, 0.124, 0.124),
    "right_eyeball": (0.874, 0.744, 0.124, 0.124),
    "tongue": (0.874, 0.614, 0.124, 0.124),
    "upper_gum": (0.874, 0.374, 0.124, 0.234),
    "lower_gum": (0.874, 0.196, 0.124, 0.170),
    "left_caruncle": (0.874, 0.132, 0.058, 0.058),
    "right_caruncle": (0.940, 0.132, 0.058, 0.058),
    "upper_teeth": (0.002, 0.002, 0.492, 0.124),
    "lower_teeth": (0.502, 0.002, 0.492, 0.124),
}


def place_uv(part: str, uv: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "t 2"]:
    """A part's own uv moved to its place in the common square."""
    left, bottom, width, height = PLACES[part]
    return uv * [width, height] + [left, bottom]


def class_map(head: "Assembled", brow: Float[np.ndarray, "k 2"]) -> UInt8[np.ndarray, "m m"]:
    """Class ids in uv space, row 0 at v = 1; texels outside the charts take the nearest chart's class.

    Args:
        brow: outline of the left brow in the frontal plane (x, y in metres); painted on skin, and
            mirrored on the right.
    """
    points = np.stack([head.uv[:, 0], 1 - head.uv[:, 1], np.ones(len(head.uv))], -1) * [MAP_SIZE, MAP_SIZE, 1]
    hit = rasterize(points, head.face_uvs, MAP_SIZE, MAP_SIZE)
    covered = hit.face_index >= 0
    face = hit.face_index[covered]
    classes = head.face_class[face]
    place = (head.vertices[head.faces[face]] * hit.barycentric[covered][..., None]).sum(1)
    for name, mirror in (("left_brow", 1), ("right_brow", -1)):
        spot = place[:, :2] * [mirror, 1]
        near = ((spot > brow.min(0)) & (spot < brow.max(0))).all(1) & (place[:, 2] > 0.04)
        near = np.flatnonzero(near & (classes == CLASS_ID["skin"]))
        classes[near[inside(spot[near], brow)]] = CLASS_ID[name]
    out = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8)
    out[covered] = classes
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return out[tuple(nearest)]


def left_brow(corner: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "k 2"]:
    """Outline of the left brow in the frontal plane (m) of a head with that outer corner of the left eye."""
    knots = brow_outline(corner * [-1, 1, 1], corner)
    curve, _ = splprep(np.concatenate([knots, knots[:1]]).T, s=0, k=3, per=True)
    return np.stack(splev(np.linspace(0, 1, 200), curve), -1)
