"""The dense landmarks on any head: each point of the canonical face, found again on the head's surface."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.interpolate import RBFInterpolator

from synthforge.conventions import CLASS_ID, IGNORE, N_LANDMARKS
from synthforge.errors import AssetError
from synthforge.heads.base import HeadModel, surface_points
from synthforge.heads.surface import nearest_on_surface
from synthforge.landmark_sets import between_jaw_points, dense_set

_SMOOTHING = 1e-4  # metres; iBUG points of a head are known to about that
_REACH = 0.025  # metres from the inner points within which a head's own say where the others lie


@dataclass(frozen=True)
class DenseLandmarks:
    """The dense points on one head's triangles."""

    face: Int[np.ndarray, " n"]
    barycentric: Float[np.ndarray, "n 3"]


def dense_landmarks(head: HeadModel) -> DenseLandmarks:
    """The dense points on a head; looked for once per head.

    The head's own iBUG points on brows, nose, lids and lips say how far its canonical coordinates are from
    the canonical face there (a millimetre or two). This is corrected before the nearest surface of a point's
    classes is looked up. Points 0 ... 67 are the head's iBUG points, those of the jaw lie between them.
    """
    return head.derived(_find)


def _find(head: HeadModel) -> DenseLandmarks:
    dense, n = dense_set(), N_LANDMARKS
    own = surface_points(head.canonical, head.faces, head.landmarks_face, head.landmarks_barycentric)
    wanted = dense.points + _warp(dense.points, own)
    wanted[slice(*dense.groups["jaw"])] = between_jaw_points(own[:17])
    face, barycentric = np.empty(len(wanted), np.int64), np.empty((len(wanted), 3))
    face[:n], barycentric[:n] = head.landmarks_face, head.landmarks_barycentric
    classes, skin = face_classes(head), outside(head)
    for name, (first, last) in dense.groups.items():
        if first < n:
            continue
        among = skin & np.isin(classes, [CLASS_ID[c] for c in dense.on[name]])
        among = np.flatnonzero(among if among.any() else skin)
        some = slice(first, last)
        face[some], barycentric[some] = nearest_on_surface(wanted[some], head.canonical, head.faces, among)
    return DenseLandmarks(face, barycentric.astype(np.float32))


def _warp(points: Float[np.ndarray, "n 3"], own: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "n 3"]:
    """How far each point is to be moved, so that 17 ... 67 come to `own` and what is far from them stays."""
    moves = np.zeros_like(points)
    inner = slice(17, N_LANDMARKS)
    moves[inner] = own[inner] - points[inner]
    known = np.linalg.norm(points[:, None] - points[inner], axis=-1).min(1) > _REACH
    known[inner] = True
    known[:17] = False
    return RBFInterpolator(points[known], moves[known], kernel="linear", smoothing=_SMOOTHING)(points)


def outside(head: HeadModel) -> Bool[np.ndarray, " f"]:
    """Triangles of the skin and the ears, without the lining of eyes, nose and mouth.

    Raises:
        AssetError: there are none.
    """
    out = np.isin(head.face_part, [i for i, part in enumerate(head.part_names) if part in ("skin", "ear")])
    if not out.any():
        fix = "let face_part of the outer triangles be the place of 'skin' in part_names"
        raise AssetError("has no triangle of the part 'skin'", where=f"head {head.name}", fix=fix)
    return out


def face_classes(head: HeadModel) -> UInt8[np.ndarray, " f"]:
    """Class id of each triangle; of those on the class map, that at their middle."""
    size = len(head.class_map)
    u, v = head.uv[head.face_uvs].mean(1).T
    column, row = (np.clip((x * size).astype(int), 0, size - 1) for x in (u, 1 - v))
    return np.where(head.face_class == IGNORE, head.class_map[row, column], head.face_class)
