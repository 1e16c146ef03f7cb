"""The FLAME head: its import from the owner's files, and its loading from the asset store.

FLAME (Li et al. 2017) is published by the Max Planck Institute for Intelligent Systems under licences of its
own. Its classes lie beside it as `flame_classes.png`, an indexed image that users may edit.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from synthforge.assets_store import asset_path, require_asset
from synthforge.conventions import CLASS_COLORS, CLASS_ID, N_CLASSES
from synthforge.errors import AssetError, GeometryError
from synthforge.heads import installed
from synthforge.heads.base import HeadModel, surface_points
from synthforge.heads.flame_source import PARENTS, FlameSource, read_flame
from synthforge.heads.ibug import contour_stations
from synthforge.heads.mesh_labels import (
    MaskedMesh,
    canonical_places,
    class_map,
    eyeball_radius,
    mouth_lining,
    named_points,
)
from synthforge.provenance import files_sha256

CONVERSION = 3  # raised whenever `convert_flame` gives other arrays, so that stores are refreshed
CLASSES_PNG = "flame_classes.png"
IRIS_RADIUS = 0.00585  # metres: half the horizontal visible iris diameter of adults (Ruefer et al. 2005)
_PARTS = ("skin", "left_eyeball", "right_eyeball", "mouth_bag")


def load_flame() -> HeadModel:
    """The FLAME head from the asset store, with the classes of its PNG if that was edited.

    Raises:
        AssetError: it is not installed, or the edited PNG cannot be used; the message says what to do.
    """
    path = require_asset("flame")
    with np.load(path, allow_pickle=False) as data:
        arrays = {key: data[key] for key in data.files}
    png = path.with_name(CLASSES_PNG)
    if png.is_file() and files_sha256(png) != str(arrays["classes_sha256"]):
        arrays["class_map"] = read_classes(png, len(arrays["class_map"]))
    return HeadModel("flame", arrays)


def install_flame(*paths: Path) -> tuple[Path, bool]:
    """Convert the owner's files, or their folder, into the asset store; returns the file, and if it is new.

    Nothing is written when the store already holds the same sources converted by this version, and an
    edited PNG of classes is never overwritten.

    Raises:
        AssetError: the files are not FLAME's, or some are missing.
    """
    source, target = read_flame(*paths), asset_path("flame")
    if installed.stamp(target) == (source.sha256, CONVERSION):
        return target, False
    arrays, written = convert_flame(source), _written_classes(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    png = target.with_name(CLASSES_PNG)
    fresh = png.with_name(png.name + ".tmp")
    write_classes(fresh, arrays["class_map"])
    edited = png.is_file() and files_sha256(png) != written
    arrays["classes_sha256"] = np.array(files_sha256(fresh))
    if edited:
        fresh.unlink()
    else:
        fresh.replace(png)
    installed.write(target, arrays)
    return target, True


def check_flame(path: Path) -> str:
    """One line on an installed file.

    Raises:
        AssetError: it, or its edited PNG, cannot be read, or was converted by another version.
    """
    installed.require_version(path, CONVERSION, "flame")
    with np.load(path, allow_pickle=False) as data:
        version, size = str(data["version"]), len(data["class_map"])
    head, png = HeadModel.from_npz("flame", path), path.with_name(CLASSES_PNG)
    edited = png.is_file() and files_sha256(png) != _written_classes(path)
    if edited:
        read_classes(png, size)
    return (
        f"version {version}, {len(head.vertices)} vertices, {head.n_shape} shape axes, "
        f"{head.n_expression} expressions, classes {'edited' if edited else 'as derived'}"
    )


def _written_classes(path: Path) -> str | None:
    """Hash of the PNG that was written with an installed file; None if that cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return str(data["classes_sha256"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile):
        return None


def write_classes(path: Path, classes: UInt8[np.ndarray, "m m"]) -> None:
    """An indexed PNG: the pixel values are class ids, the palette shows them in their colours."""
    image = Image.fromarray(classes, "P")
    image.putpalette(CLASS_COLORS.tobytes())
    with path.open("wb") as file:
        image.save(file, "PNG", optimize=True)
        file.flush()
        os.fsync(file.fileno())


def read_classes(path: Path, size: int) -> UInt8[np.ndarray, "m m"]:
    """Class ids of an edited PNG; colours are never translated into ids.

    Raises:
        AssetError: it is no indexed image of this size with the palette and ids of the class table.
    """
    fix = f"save it as an indexed PNG with the palette it came with, or delete {path.name}"
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L") or image.size != (size, size):
                what = f"mode {image.mode}, {image.size[0]} x {image.size[1]} pixels"
                raise AssetError(f"{what}, not indexed and {size} x {size}", where=str(path), fix=fix)
            classes = np.array(image)
            palette = image.getpalette() if image.mode == "P" else None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise AssetError(f"not a PNG ({error})", where=str(path), fix=fix) from error
    used = np.unique(classes)
    if used[-1] >= N_CLASSES:
        raise AssetError(f"holds {used[-1]}, which is no class id", where=str(path), fix=fix)
    if palette is not None:
        colors = np.zeros((256, 3), int)
        colors.ravel()[: len(palette)] = palette
        if moved := [int(i) for i in used if (colors[i] != CLASS_COLORS[i]).any()]:
            raise AssetError(f"its palette has other colours at {moved}", where=str(path), fix=fix)
    return classes


def convert_flame(source: FlameSource) -> dict[str, np.ndarray]:
    """The arrays of `HeadModel` in metres and FLAME's own frame, with what they were made from.

    The vertices are FLAME's, in order; triangles that close the mouth follow FLAME's.

    Raises:
        AssetError: masks and landmarks do not describe a head.
    """
    points = surface_points(source.vertices, source.faces, source.static_face, source.static_barycentric)
    jaw = surface_points(source.vertices, source.faces, source.jaw_face[0], source.jaw_barycentric[0])
    mesh = MaskedMesh(
        source.vertices, source.faces, source.uv, source.face_uvs, source.masks, np.concatenate([jaw, points])
    )
    try:
        labels = _labels(mesh)
    except (GeometryError, ValueError, TypeError, np.linalg.LinAlgError) as error:
        raise AssetError(f"masks and landmarks do not describe a head ({error})", where="flame") from error
    shape, expression = source.shape_deltas, source.expression_deltas
    landmarks = np.concatenate([source.jaw_barycentric[0], source.static_barycentric])
    regress = source.joint_regressor
    joints = regress @ source.vertices
    eyes = ("left_eye", "right_eye") if joints[3, 0] > joints[4, 0] else ("right_eye", "left_eye")
    return labels | {
        "vertices": source.vertices.astype(np.float32),
        "uv": source.uv.astype(np.float32),
        "shape_names": _numbered("shape", len(shape)),
        "shape_deltas": shape.astype(np.float32),
        "shape_cholesky": np.eye(len(shape), dtype=np.float32),
        "expression_names": _numbered("expression", len(expression)),
        "expression_deltas": expression.astype(np.float32),
        "pose_deltas": source.pose_deltas.astype(np.float32),
        "joint_names": np.array(("root", "neck", "jaw", *eyes)),
        "joint_parents": np.array(PARENTS, np.int32),
        "joints": joints.astype(np.float32),
        "joint_shape_deltas": (regress @ shape).astype(np.float32),
        "joint_expression_deltas": (regress @ expression).astype(np.float32),
        "weights": source.weights.astype(np.float32),
        "landmarks_face": np.concatenate([source.jaw_face[0], source.static_face]),
        "landmarks_barycentric": landmarks.astype(np.float32),
        "jaw_face": source.jaw_face,
        "jaw_barycentric": source.jaw_barycentric.astype(np.float32),
        "iris_radius": np.full(2, IRIS_RADIUS, np.float32),
        "version": np.array(source.version),
        "source_sha256": np.array(source.sha256),
        "conversion": np.array(CONVERSION),
    }


def _numbered(name: str, n: int) -> np.ndarray:
    return np.array([f"{name}_{i:03d}" for i in range(n)], "U16")


def _labels(mesh: MaskedMesh) -> dict[str, np.ndarray]:
    """What is derived from masks, landmarks and mesh: classes, parts, lining, contour, canonical places."""
    lining, lining_uvs = mouth_lining(mesh)
    part = np.zeros(len(mesh.faces) + len(lining), np.uint8)
    classes = np.full(len(part), 255, np.uint8)
    for i, side in enumerate(("left", "right")):
        ball = np.flatnonzero(mesh.eyeballs[side][mesh.faces].all(1))
        part[ball], classes[ball] = 1 + i, CLASS_ID[f"{side}_eye"]
    part[len(mesh.faces) :], classes[len(mesh.faces) :] = _PARTS.index("mouth_bag"), CLASS_ID["inner_mouth"]
    canonical = canonical_places(mesh)
    points = named_points(mesh, canonical)
    contour = contour_stations(mesh.vertices, mesh.faces, points, mesh.skin_faces)
    return {
        "faces": np.concatenate([mesh.faces, lining]).astype(np.int32),
        "face_uvs": np.concatenate([mesh.face_uvs, lining_uvs]).astype(np.int32),
        "class_map": class_map(mesh),
        "face_class": classes,
        "face_part": part,
        "part_names": np.array(_PARTS),
        "canonical": canonical.astype(np.float32),
        "contour_face": contour[0],
        "contour_barycentric": contour[1].astype(np.float32),
        "eye_radius": np.array(
            [eyeball_radius(mesh.vertices[ball]) for ball in mesh.eyeballs.values()], np.float32
        ),
    }
