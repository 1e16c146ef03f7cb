"""The ICT-FaceKit head: its import from the owner's files, and its loading from the asset store.

ICT Face Model Light is published by the USC Institute for Creative Technologies under the MIT licence.
Its expressions have the ARKit names with _L/_R; `mouthClose` is a corrective that belongs to `jawOpen`
and is meant for weights up to that of `jawOpen`.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from synthforge.assets_store import asset_path, require_asset
from synthforge.conventions import CLASS_ID
from synthforge.heads import installed
from synthforge.heads.base import HeadModel, surface_points
from synthforge.heads.canonical import canonical_coordinates, canonical_points, inside_points
from synthforge.heads.ibug import contour_stations, ibug_landmarks
from synthforge.heads.ict_labels import IctMesh, atlas, class_map, skinning_weights, uv_radius, vertex_loops
from synthforge.heads.ict_source import EXPRESSIONS, GEOMETRY, IctSource, read_ict
from synthforge.heads.surface import nearest_on_surface

# Moves the neutral's origin midway between its tragia: a pure shift, fitted to the named points of
# canonical_points.json (they lie within 0.4 mm of the moved skin; they are rounded to 0.5 mm).
SHIFT = np.array([0.0, -0.01250, -0.01227])
CONVERSION = 2  # raised whenever `convert_ict` gives other arrays, so that stores are refreshed
LIMBUS_UV, IRIS_RADIUS = 0.110, 0.0059  # the limbus: radius in the sclera's own uv tile, and in metres
_PARTS = (
    "skin", "mouth_socket", "eye_socket", "left_eyeball", "right_eyeball", "upper_teeth", "lower_teeth",
    "upper_gum", "lower_gum", "tongue",
)  # fmt: skip
_PART = {  # of a geometry, where that is not skin
    "mouth_socket": "mouth_socket", "eye_socket_left": "eye_socket", "eye_socket_right": "eye_socket",
    "gums_and_tongue": "tongue", "upper_teeth": "upper_teeth", "lower_teeth": "lower_teeth",
    "sclera_left": "left_eyeball", "sclera_right": "right_eyeball",
}  # fmt: skip
_CLASS = {  # of a geometry, where the class map does not decide
    "mouth_socket": "inner_mouth", "gums_and_tongue": "inner_mouth", "upper_teeth": "inner_mouth",
    "lower_teeth": "inner_mouth", "eye_socket_left": "left_eye", "sclera_left": "left_eye",
    "eye_socket_right": "right_eye", "sclera_right": "right_eye",
}  # fmt: skip


def load_ict() -> HeadModel:
    """The ICT head from the asset store.

    Raises:
        AssetError: it is not installed; the message says how to.
    """
    return HeadModel.from_npz("ict", require_asset("ict-facekit"))


def install_ict(path: Path) -> tuple[Path, bool]:
    """Convert the owner's files into the asset store; returns the file and whether it is new.

    Nothing is written when the store already holds the same source converted by this version.

    Raises:
        AssetError: `path` does not hold the model.
    """
    source, target = read_ict(path), asset_path("ict-facekit")
    if installed.stamp(target) == (source.sha256, CONVERSION):
        return target, False
    installed.write(target, convert_ict(source) | {"conversion": np.array(CONVERSION)})
    target.with_suffix(".LICENSE.txt").write_text(source.license)
    return target, True


def check_ict(path: Path) -> str:
    """One line on an installed file.

    Raises:
        AssetError: it cannot be read, or was converted by another version.
    """
    installed.require_version(path, CONVERSION, "ict-facekit")
    head = HeadModel.from_npz("ict", path)
    return f"{len(head.vertices)} vertices, {head.n_shape} shape axes, {head.n_expression} expressions"


def convert_ict(source: IctSource) -> dict[str, np.ndarray]:
    """The arrays of `HeadModel`, in metres and the head frame, with the licence and the source's sha256.

    Helper surfaces (tear fluid, blend and occlusion shells, lashes) and the inner iris ball are dropped;
    eyeballs remain closed shells with a corneal bulge.
    """
    geometry = source.geometry()
    kept_faces = ~np.isin(geometry, [GEOMETRY.index(g) for g in ("iris_left", "iris_right", "helpers")])
    geometry = geometry[kept_faces]
    kept, faces = _compact(source.faces[kept_faces])
    kept_uv, face_uvs = _compact(source.face_uvs[kept_faces])
    new_index = np.full(len(source.vertices), -1)
    new_index[kept] = np.arange(len(kept))
    uv = atlas(source.uv[kept_uv], face_uvs, geometry)
    mesh = IctMesh(source.vertices[kept] * 0.01 + SHIFT, faces, uv, face_uvs, geometry)

    shape_deltas = source.identities[:, kept] * 0.01
    loops = {name: new_index[loop] for name, loop in vertex_loops(source).items()}
    joints, joint_shape_deltas, eye_radius = _joints(mesh, shape_deltas)
    _look_ahead(mesh, shape_deltas, joints, joint_shape_deltas)
    points, skin = _named_points(mesh), mesh.faces_of("face", "head_and_neck")
    landmarks = ibug_landmarks(mesh.vertices, faces, loops, points, skin)
    contour = contour_stations(mesh.vertices, faces, points, skin)
    return {
        "vertices": mesh.vertices.astype(np.float32),
        "faces": faces.astype(np.int32),
        "uv": uv.astype(np.float32),
        "face_uvs": face_uvs.astype(np.int32),
        "class_map": class_map(mesh, loops),
        "face_class": np.array([CLASS_ID.get(_CLASS.get(g, ""), 255) for g in GEOMETRY], np.uint8)[geometry],
        "face_part": _face_part(mesh, source.uv[kept_uv]),
        "part_names": np.array(_PARTS),
        "canonical": canonical_coordinates(mesh.vertices, points).astype(np.float32),
        "shape_names": np.array([f"id_{i:03d}" for i in range(len(shape_deltas))]),
        "shape_deltas": shape_deltas.astype(np.float16),
        "shape_cholesky": np.eye(len(shape_deltas), dtype=np.float32),
        "expression_names": np.array(EXPRESSIONS),
        "expression_deltas": (source.expressions[:, kept] * 0.01).astype(np.float16),
        "joint_names": np.array(("root", "neck", "jaw", "left_eye", "right_eye")),
        "joint_parents": np.array([-1, 0, 1, 1, 1], np.int32),
        "joints": joints.astype(np.float32),
        "joint_shape_deltas": joint_shape_deltas.astype(np.float32),
        "weights": skinning_weights(mesh).astype(np.float32),
        "landmarks_face": landmarks[0],
        "landmarks_barycentric": landmarks[1].astype(np.float32),
        "contour_face": contour[0],
        "contour_barycentric": contour[1].astype(np.float32),
        "eye_radius": eye_radius.astype(np.float32),
        "iris_radius": np.full(2, IRIS_RADIUS, np.float32),
        "license": np.array(source.license),
        "source_sha256": np.array(source.sha256),
    }


def _compact(corners: Int[np.ndarray, "f 3"]) -> tuple[np.ndarray, np.ndarray]:
    """The indices in use, and the triangles renumbered to them."""
    used, renumbered = np.unique(corners, return_inverse=True)
    return used, renumbered.reshape(-1, 3)


def _face_part(mesh: IctMesh, source_uv: np.ndarray) -> np.ndarray:
    """Index into `_PARTS` of each triangle; gums and tongue are one geometry in the source."""
    part = np.array([_PARTS.index(_PART.get(g, "skin")) for g in GEOMETRY], np.uint8)[mesh.geometry]
    inner = mesh.faces_of("gums_and_tongue")
    u, v = source_uv[mesh.face_uvs[inner]].mean(1).T - [[2], [0]]
    tongue = ((u > 0.47) & (v < 0.47)) | ((u < 0.27) & (v > 0.08) & (v < 0.42))  # its two charts
    upper = mesh.vertices[mesh.faces[inner]].mean(1)[:, 1] > canonical_points("ict")["stomion"][1]
    gum = np.where(upper, _PARTS.index("upper_gum"), _PARTS.index("lower_gum"))
    part[inner] = np.where(tongue, _PARTS.index("tongue"), gum)
    return part


def _named_points(mesh: IctMesh) -> dict[str, Float[np.ndarray, " 3"]]:
    """The published points, those of the skin moved onto it (they are rounded to half a millimetre)."""
    points = canonical_points("ict")
    outside = [n for n in points if n not in inside_points()]
    skin = mesh.faces_of("face", "head_and_neck")
    where = nearest_on_surface(np.array([points[n] for n in outside]), mesh.vertices, mesh.faces, skin)
    return points | dict(zip(outside, surface_points(mesh.vertices, mesh.faces, *where), strict=True))


def _sphere(points: Float[np.ndarray, "b n 3"]) -> tuple[Float[np.ndarray, "b 3"], Float[np.ndarray, " b"]]:
    """Centres and radii of least-squares spheres: |p|^2 = 2 p.c + (r^2 - |c|^2) is linear in its unknowns."""
    middle = points.mean(1, keepdims=True)
    p = points - middle
    design = np.concatenate([2 * p, np.ones_like(p[..., :1])], -1)
    solution = (np.linalg.pinv(design) @ (p**2).sum(-1)[..., None])[..., 0]
    centre = solution[:, :3]
    return centre + middle[:, 0], np.sqrt(solution[:, 3] + (centre**2).sum(-1))


def _joints(
    mesh: IctMesh, shape_deltas: Float[np.ndarray, "s v 3"]
) -> tuple[Float[np.ndarray, "5 3"], Float[np.ndarray, "s 5 3"], Float[np.ndarray, " 2"]]:
    """Joints, their deltas per shape axis (eyes: sphere refitted to the moved sclera) and eye radii.

    Neck: between the skull base and C7; jaw: midway between the condyles (canonical_points.json).
    """
    joints, deltas, radius = np.zeros((5, 3)), np.zeros((len(shape_deltas), 5, 3)), np.empty(2)
    joints[1] = 0.0, -0.070, -0.020
    joints[2] = canonical_points("ict")["condyle_centre"] * [0, 1, 1]
    for i, side in enumerate(("left", "right")):
        eye = mesh.vertices_of(f"sclera_{side}")
        depth = mesh.vertices[eye, 2]
        back = eye[depth < np.median(depth)]  # without the corneal bulge
        (joints[3 + i],), (radius[i],) = _sphere(mesh.vertices[back][None])
        deltas[:, 3 + i] = _sphere(mesh.vertices[back] + shape_deltas[:, back])[0] - joints[3 + i]
    return joints, deltas, radius


def _look_ahead(
    mesh: IctMesh,
    shape_deltas: Float[np.ndarray, "s v 3"],
    joints: Float[np.ndarray, "5 3"],
    joint_shape_deltas: Float[np.ndarray, "s 5 3"],
) -> None:
    """Turn the eyeballs, in place, about their joints until the irises face +z.

    In the source they diverge by 6 degrees.
    """
    for joint, side in ((3, "left"), (4, "right")):
        faces, eye = mesh.faces_of(f"sclera_{side}"), mesh.vertices_of(f"sclera_{side}")
        off_pole = np.full(len(mesh.vertices), np.inf)
        off_pole[mesh.faces[faces]] = uv_radius(mesh, f"sclera_{side}")
        axis = mesh.vertices[off_pole < LIMBUS_UV].mean(0) - joints[joint]
        turn = Rotation.align_vectors([[0, 0, 1]], [axis])[0]
        mesh.vertices[eye] = turn.apply(mesh.vertices[eye] - joints[joint]) + joints[joint]
        shift = joint_shape_deltas[:, joint, None]
        shape_deltas[:, eye] = (shape_deltas[:, eye] - shift) @ turn.as_matrix().T + shift
