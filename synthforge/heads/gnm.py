"""The GNM head: its import from the owner's files, and its loading from the asset store.

GNM Head 3.0 (arXiv 2607.23687) is published by Google under the Apache licence 2.0. Its coefficients are
linear and independent, and its jaw moves by expressions, not by a joint.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from synthforge.assets_store import asset_path, require_asset
from synthforge.conventions import CLASS_ID, IGNORE
from synthforge.errors import AssetError, GeometryError
from synthforge.heads import installed
from synthforge.heads.base import HeadModel
from synthforge.heads.flame import IRIS_RADIUS
from synthforge.heads.gnm_source import GnmSource, read_gnm
from synthforge.heads.ibug import contour_stations
from synthforge.heads.ict_labels import below_jaw, neck_border
from synthforge.heads.mesh_labels import MaskedMesh, canonical_places, class_map, eyeball_radius, named_points
from synthforge.heads.surface import nearest_on_surface

CONVERSION = 1  # raised whenever `convert_gnm` gives other arrays, so that stores are refreshed
_PARTS = (
    "skin", "left_eyeball", "right_eyeball", "eye_socket", "mouth_bag", "upper_teeth", "lower_teeth",
    "upper_gum", "lower_gum", "tongue",
)  # fmt: skip
_SOCKET = 0.03  # metres from an eye's centre within which skin that is not outside lines its socket
_NOSTRIL = 0.03  # metres from the middle within which what is left of that skin is of the nose, not of an ear


def load_gnm() -> HeadModel:
    """The GNM head from the asset store.

    Raises:
        AssetError: it is not installed; the message says how to.
    """
    return HeadModel.from_npz("gnm", require_asset("gnm"))


def install_gnm(*paths: Path) -> tuple[Path, bool]:
    """Convert the owner's files, or their folder, into the asset store; returns the file, and if it is new.

    Raises:
        AssetError: the files are not GNM's, or one is missing.
    """
    source, target = read_gnm(*paths), asset_path("gnm")
    if installed.stamp(target) == (source.sha256, CONVERSION):
        return target, False
    installed.write(target, convert_gnm(source))
    return target, True


def check_gnm(path: Path) -> str:
    """One line on an installed file.

    Raises:
        AssetError: it cannot be read, or was converted by another version.
    """
    installed.require_version(path, CONVERSION, "gnm")
    with np.load(path, allow_pickle=False) as data:
        v, s, e = (len(data[key]) for key in ("vertices", "shape_names", "expression_names"))
        return f"version {data['version']}, {v} vertices, {s} shape axes, {e} expressions"


def convert_gnm(source: GnmSource) -> dict[str, np.ndarray]:
    """The arrays of `HeadModel` in metres and the head frame, with what they were made from.

    The vertices are GNM's, in order, minus `origin`, the place between the tragia. GNM's joint `neck`
    carries everything and becomes `root`; its `head` turns the head and becomes `neck`.

    Raises:
        AssetError: groups and landmarks do not describe a head.
    """
    try:
        labels, origin = _labels(source)
    except (GeometryError, ValueError, np.linalg.LinAlgError) as error:
        raise AssetError(f"groups and landmarks do not describe a head ({error})", where="gnm") from error
    return labels | {
        "vertices": (source.vertices - origin).astype(np.float32),
        "faces": source.faces.astype(np.int32),
        "part_names": np.array(_PARTS),
        "shape_names": np.array(source.shape_names),
        "shape_deltas": source.shape_deltas.astype(np.float32),
        "shape_cholesky": np.eye(len(source.shape_names), dtype=np.float32),
        "expression_names": np.array(source.expression_names),
        "expression_deltas": source.expression_deltas.astype(np.float32),
        "pose_deltas": source.pose_deltas.astype(np.float32),
        "joint_names": np.array([{"neck": "root", "head": "neck"}.get(n, n) for n in source.joint_names]),
        "joint_parents": np.array(source.joint_parents, np.int32),
        "joints": (source.joints - origin).astype(np.float32),
        "joint_shape_deltas": source.joint_shape_deltas.astype(np.float32),
        "weights": source.weights.astype(np.float32),
        "iris_radius": np.full(2, IRIS_RADIUS, np.float32),
        "origin": origin.astype(np.float32),
        "version": np.array(source.version),
        "source_sha256": np.array(source.sha256),
        "conversion": np.array(CONVERSION),
    }


def _labels(source: GnmSource) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What is derived from groups, landmarks and mesh, and the place between the tragia (m, GNM's frame)."""
    v, groups = source.vertices, source.groups
    parts = _parts(source)
    inside = np.any([marked for name, marked in parts.items() if "eyeball" not in name], 0)
    nostrils = ~(groups["skin_exterior"] | inside | parts["left_eyeball"] | parts["right_eyeball"])
    nostrils &= np.abs(v[:, 0]) < _NOSTRIL
    marks = {"inside": inside, "nose": groups["nose_region"] | nostrils}
    marks |= {f"{side}_ear": groups["ears"] & ~inside for side in ("left", "right")}
    marks |= {name: parts[name] for name in ("left_eyeball", "right_eyeball")}
    uv, face_uvs = np.unique(source.uv.reshape(-1, 2), axis=0, return_inverse=True)
    face_uvs = face_uvs.reshape(-1, 3)
    mesh = MaskedMesh(
        v, source.faces, uv, face_uvs,
        {name: np.flatnonzero(marked) for name, marked in marks.items()}, source.landmarks,
    )  # fmt: skip
    canonical, skin = canonical_places(mesh), mesh.skin_faces
    neck = below_jaw(canonical, neck_border("canonical")) > 0
    neck &= ~(inside | groups["ears"])
    mesh = replace(mesh, masks=mesh.masks | {"neck": np.flatnonzero(neck)})
    points = named_points(mesh, canonical)
    landmarks = nearest_on_surface(source.landmarks, v, source.faces, skin)
    contour = contour_stations(v, source.faces, points, skin)
    part = np.zeros(len(source.faces), np.uint8)
    classes = np.full(len(source.faces), IGNORE, np.uint8)
    for name, marked in parts.items():
        faces = marked[source.faces].all(1)
        side = name.partition("_")[0]
        part[faces] = _PARTS.index("eye_socket" if name.endswith("socket") else name)
        classes[faces] = CLASS_ID[f"{side}_eye" if side in ("left", "right") else "inner_mouth"]
    return {
        "uv": uv.astype(np.float32),
        "face_uvs": face_uvs.astype(np.int32),
        "class_map": class_map(mesh, skin),
        "face_class": classes,
        "face_part": part,
        "canonical": canonical.astype(np.float32),
        "landmarks_face": landmarks[0],
        "landmarks_barycentric": landmarks[1].astype(np.float32),
        "contour_face": contour[0],
        "contour_barycentric": contour[1].astype(np.float32),
        "eye_radius": np.float32([eyeball_radius(v[b & groups["scleras"]]) for b in mesh.eyeballs.values()]),
    }, points["tragion"] * [0, 1, 1]


def _parts(source: GnmSource) -> dict[str, Bool[np.ndarray, " v"]]:
    """Vertices of every part but the skin; sockets by side."""
    groups = source.groups
    teeth, tongue, sock = (groups[name] for name in ("teeth", "tongue", "mouth_sock"))
    out = {"mouth_bag": sock & ~groups["skin_exterior"], "tongue": tongue}
    for row in ("upper", "lower"):
        both = groups[f"{row}_teeth_and_gums"]
        out |= {f"{row}_teeth": both & teeth, f"{row}_gum": both & ~teeth}
    for side in ("left", "right"):
        out[f"{side}_eyeball"] = groups[f"{side}_eye"]
    lining = ~(groups["skin_exterior"] | np.any(list(out.values()), 0))
    for side in ("left", "right"):
        centre = source.joints[source.joint_names.index(f"{side}_eye")]
        out[f"{side}_socket"] = lining & (np.linalg.norm(source.vertices - centre, axis=1) < _SOCKET)
    return out
