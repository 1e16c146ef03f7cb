"""The finished arrays of the embedded head and their file."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.conventions import IGNORE
from synthforge.heads.ibug import contour_stations, eye_corners, ibug_landmarks

from .assemble import Assembled, assemble
from .atlas import class_map, left_brow
from .eyes import IRIS_RADIUS, SCLERA_RADIUS
from .rig import build_rig

ASSET = Path(__file__).resolve().parents[2] / "synthforge" / "assets" / "anthro.npz"
# 11 bits: 4 um of 8 mm
HALF = ("shape_deltas", "expression_deltas", "corrective_deltas", "joint_shape_deltas")
STEP = 2e-6  # metres; deltas are rounded to it, so that still vertices are zero and compress to nothing


def build() -> dict[str, np.ndarray]:
    """All arrays of `HeadModel` (see its docstring), the named points, and lid and lip edges as loops."""
    head = assemble()
    points = positions(head)
    on_skin = np.arange(len(head.faces)) < head.n_skin_faces
    face_skin = head.part_faces("skin", "ear")
    landmarks = ibug_landmarks(head.vertices, head.faces, head.loops, points, face_skin)
    contour = contour_stations(head.vertices, head.faces, points, face_skin)
    names = sorted(head.points)
    arrays = {
        "vertices": head.vertices,
        "faces": head.faces,
        "uv": head.uv,
        "face_uvs": head.face_uvs,
        "class_map": class_map(head, left_brow(eye_corners(head.vertices[head.loops["lid_margin_left"]])[0])),
        "face_class": np.where(on_skin, IGNORE, head.face_class).astype(np.uint8),
        "face_part": head.face_part,
        "part_names": np.array(head.part_names),
        "canonical": head.vertices,
        "landmarks_face": landmarks[0],
        "landmarks_barycentric": landmarks[1],
        "contour_face": contour[0],
        "contour_barycentric": contour[1],
        "eye_radius": np.full(2, SCLERA_RADIUS),
        "iris_radius": np.full(2, IRIS_RADIUS),
        "point_names": np.array(names),
        "point_face": np.array([head.points[n][0] for n in names]),
        "point_barycentric": np.array([head.points[n][1] for n in names]),
        **{f"loop_{name}": loop for name, loop in head.loops.items()},
        **_with_caruncles(head, build_rig(head)),
    }
    return {key: _stored(key, np.asarray(value)) for key, value in arrays.items()}


def _with_caruncles(head: Assembled, rig: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The caruncles move as the inner corner of the lids does (first vertex of the margin)."""
    for side in ("left", "right"):
        mine, corner = head.part_vertices(f"{side}_caruncle"), head.loops[f"lid_margin_{side}"][0]
        for key in ("shape_deltas", "expression_deltas", "corrective_deltas"):
            rig[key][:, mine] = rig[key][:, corner, None]
        rig["weights"][mine] = rig["weights"][corner]
    return rig


def positions(head: Assembled) -> dict[str, Float[np.ndarray, " 3"]]:
    """Named points (m) on the neutral mean head."""
    return {name: head.vertices[head.faces[f]].T @ b for name, (f, b) in head.points.items()}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Compressed .npz; the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{key: arrays[key] for key in sorted(arrays)})


def _stored(key: str, value: np.ndarray) -> np.ndarray:
    if key in HALF:
        return (np.round(value / STEP) * STEP).astype(np.float16)
    if value.dtype.kind == "f":
        return value.astype(np.float32)
    return value.astype(np.int32) if value.dtype == np.int64 else value
