"""Does a data set hold what it says? One line per fault, each naming where."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synthforge.cameras.lens import distort
from synthforge.conventions import N_CLASSES
from synthforge.errors import DatasetError
from synthforge.provenance import files_sha256
from synthforge.storage.index import CONFIG, read_index, shard_attributes
from synthforge.storage.reader import decode_image
from synthforge.storage.schema import Field, Layout, restore_depth, restore_normals

_POSITIVE_Z = 1e-6
# What damage looks like through h5py.
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
# A visible landmark lies on the front surface: its depth is within what the 5x5 pixels around it span,
# plus this much (m) and a pixel's width. Background among them spans to infinity: on an outline the
# surface turns away. In gaps thinner than a pixel (lips, lids, strands) the image can miss what is
# seen, so a few points may be off, but not far.
DEPTH_TOLERANCE = 3e-3
FEW, FAR = 4 / 68, 25e-3  # as deep as the corner of a mouth lies behind the lips, seen from the side
REPROJECTION_PX = 0.5
MARKS = ("landmarks", "landmarks_dense")


def verify(out: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Iterator[str]:
    """Faults of the data set in `out`, one line each: none means that it is sound.

    Checks the index, each shard's checksum, every data set's type and shape, and every sample's
    values: finite, in range, known classes, and landmarks, cameras, depth and alpha in agreement.

    Raises:
        DatasetError: there is no data set to check, or its index is damaged.
    """
    index = read_index(out)
    if index is None:
        raise DatasetError(
            "no dataset.json here", where=str(out), fix="run synthforge generate to make or finish it"
        )
    if not (out / CONFIG).is_file():
        yield f"{CONFIG}: missing"
    yield from _index_faults(index)
    for shard in index["shards"]:
        for fault in _shard_faults(out / shard["file"], shard, index, progress):
            yield f"{shard['file']}: {fault}"


def _index_faults(index: dict[str, Any]) -> Iterator[str]:
    first = 0
    for shard in index["shards"]:
        if shard["first_index"] != first:
            yield f"dataset.json: {shard['file']} begins at {shard['first_index']}, expected {first}"
        first = shard["first_index"] + shard["n_samples"]
    if first != index["n_samples"]:
        yield f"dataset.json: n_samples is {index['n_samples']}, the shards hold {first}"


def _shard_faults(
    path: Path, shard: dict[str, Any], index: dict[str, Any], progress: Callable[[int, int], None]
) -> Iterator[str]:
    if not path.is_file():
        yield "missing"
        return
    if (digest := files_sha256(path)) != shard["sha256"]:
        yield f"checksum {digest[:12]}..., the index says {shard['sha256'][:12]}..."
    try:
        attributes = shard_attributes(path)
    except DatasetError as error:
        yield error.what
        return
    expected = {key: shard[key] for key in ("first_index", "n_samples")}
    expected |= {key: index[key] for key in ("config_sha256", "generator", "synthforge_version")}
    for key, value in expected.items():
        if attributes[key] != value:
            yield f"{key} is {attributes[key]}, the index says {value}"
    try:
        with h5py.File(path, "r") as file:
            fields = _layout(file, index).fields()
            faults = list(_schema_faults(file, fields, shard["n_samples"]))
            yield from faults
            for row in range(0 if faults else shard["n_samples"]):
                yield from _sample_faults(file, fields, row, shard["first_index"] + row)
                progress(shard["first_index"] + row + 1, index["n_samples"])
    except _HDF5_ERRORS as error:
        yield f"cannot be read ({' '.join(str(error).split())})"


def _layout(file: h5py.File, index: dict[str, Any]) -> Layout:
    """The layout a shard claims: optional parts as they are present."""

    def names(name: str) -> tuple[str, ...]:
        return tuple(file[name].attrs.get("names", ())) if name in file else ()

    return Layout(
        resolution=index["resolution"],
        codec=file["rgb"].attrs.get("codec", "raw") if "rgb" in file else "raw",
        shape_names=names("shape"),
        expression_names=names("expression"),
        joint_names=names("pose"),
        attributes=index["attributes"],
        normals="normals" in file,
        segmentation_bare="segmentation_bare" in file,
        soft_masks=tuple(file["soft_masks"]) if "soft_masks" in file else (),
        latent=file["latent"].shape[1] if "latent" in file and file["latent"].ndim == 2 else 0,
        distortion="distortion" in file,
        dense=file["landmarks_dense_2d"].shape[1] if "landmarks_dense_2d" in file else 0,
    )


def _schema_faults(file: h5py.File, fields: dict[str, Field], n: int) -> Iterator[str]:
    for name, spec in fields.items():
        if name not in file:
            yield f"{name}: missing"
            continue
        data = file[name]
        encoded = spec.kind == "image" and spec.extra["codec"] != "raw"
        shape = (n,) if encoded else (n, *spec.shape)
        if data.shape != shape:
            yield f"{name}: shape {data.shape}, expected {shape}"
        dtype = h5py.check_vlen_dtype(data.dtype) if encoded else data.dtype
        if dtype != np.dtype(spec.dtype):
            yield f"{name}: type {data.dtype}, expected {spec.dtype}"


def _sample_faults(file: h5py.File, fields: dict[str, Field], row: int, index: int) -> Iterator[str]:
    sample = {}
    for name, spec in fields.items():
        where = f"sample {index}, {name}"
        try:
            value = file[name][row]
            if spec.kind == "image" and spec.extra["codec"] != "raw":
                value = decode_image(value, where)
        except (OSError, DatasetError):
            yield f"{where}: cannot be decoded"
            return
        if value.shape != spec.shape:
            yield f"{where}: shape {value.shape}, expected {spec.shape}"
            return
        if spec.dtype.startswith("float") and name != "alignment_rms" and not np.isfinite(value).all():
            yield f"{where}: not finite"
        if "values" in spec.extra and not 0 <= value < len(spec.extra["values"]):
            yield f"{where}: {value} is no index into {len(spec.extra['values'])} values"
        sample[name] = value
    if sample["index"] != index:
        yield f"sample {index}, index: is {sample['index']}"
    present = [marks for marks in MARKS if f"{marks}_2d" in sample]
    geometry = (fault for marks in present for fault in _geometry_faults(sample, marks))
    for name, fault in (*_value_faults(sample), *geometry):
        yield f"sample {index}, {name}: {fault}"


def _value_faults(s: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("segmentation", "segmentation_bare"):
        if name in s and (bad := s[name][(s[name] >= N_CLASSES) & (s[name] != 255)]).size:
            yield name, f"{bad[0]} is no class"
    for name in (f"{marks}_visible" for marks in MARKS):
        if name in s and s[name].max() > 2:
            yield name, f"{s[name].max()} is none of 0, 1, 2"
    gaze = np.linalg.norm(s["gaze"], axis=-1)
    if abs(gaze - 1).max() > 1e-3:
        yield "gaze", f"length {gaze.min():.4f} to {gaze.max():.4f}, not 1"
    turn = s["cam2world"][:3, :3]
    if abs(turn @ turn.T - np.eye(3)).max() > 1e-4 or np.linalg.det(turn) < 0:
        yield "cam2world", "is no rotation"
    if (s["cam2world"][3] != [0, 0, 0, 1]).any():
        yield "cam2world", "last row is not 0 0 0 1"
    if min(s["intrinsics"][0, 0], s["intrinsics"][1, 1]) <= 0:
        yield "intrinsics", "focal length is not positive"
    if "normals" in s:
        on_surface = s["depth"] > 0
        length = np.linalg.norm(restore_normals(s["normals"]), axis=-1)[on_surface]
        if length.size and abs(length - 1).max() > 0.02:
            yield "normals", f"length {length.min():.3f} to {length.max():.3f} on the surface, not 1"
    # Depth is taken at pixel centres, alpha over the area: only a fully empty or a full pixel decides.
    if ((s["alpha"] == 255) & (s["depth"] == 0)).any():
        yield "depth", f"none at {((s['alpha'] == 255) & (s['depth'] == 0)).sum()} fully covered pixels"
    if ((s["alpha"] == 0) & (s["depth"] > 0)).any():
        yield "alpha", f"0 at {((s['alpha'] == 0) & (s['depth'] > 0)).sum()} pixels with depth"


def _geometry_faults(s: dict[str, Any], marks: str) -> Iterator[tuple[str, str]]:
    points, px, visible = (s[f"{marks}_{key}"] for key in ("3d", "2d", "visible"))
    points, px, k = points.astype(float), px.astype(float), s["intrinsics"]
    if points[:, 2].min() < _POSITIVE_Z:
        yield f"{marks}_3d", f"point {points[:, 2].argmin()} is behind the camera"
        return
    rays = points / points[:, 2:]
    if "distortion" in s:
        rays[:, :2] = distort(rays[:, :2], s["distortion"])
    projected = rays @ k[:2].T
    error = np.linalg.norm(projected - px, axis=-1)
    if error.max() > REPROJECTION_PX:
        yield f"{marks}_2d", f"point {error.argmax()} is {error.max():.2f} px from its place in 3D"
    height, width = s["depth"].shape
    inside = ((px >= 0) & (px < [width, height])).all(-1)
    # Points within float rounding of the border may count either way.
    clear = (np.minimum(px, [width, height] - px) ** 2).min(-1) > 1e-4
    if (wrong := np.flatnonzero(clear & (inside != (visible > 0)))).size:
        i = wrong[0]
        yield f"{marks}_visible", f"point {i} is {visible[i]} at {px[i].round(1).tolist()}"
    tolerance = DEPTH_TOLERANCE + points[:, 2] / k[1, 1]
    yield from _depth_faults(points, px, inside & (visible == 2), s["depth"], tolerance)


def _depth_faults(
    points: np.ndarray, px: np.ndarray, visible: np.ndarray, counts: np.ndarray, tolerance: np.ndarray
) -> Iterator[tuple[str, str]]:
    """Visible landmarks whose depth is not met around their pixel."""
    padded = np.pad(restore_depth(counts), 2, constant_values=np.inf)
    off = np.zeros(len(points))
    for i in np.flatnonzero(visible):
        column, row = px[i].astype(int)
        around = padded[row : row + 5, column : column + 5]
        if not np.isfinite(around).any():
            yield "depth", f"none around visible landmark {i}"
        else:
            off[i] = points[i, 2] - np.clip(points[i, 2], around.min(), around.max())
    wrong = abs(off) > tolerance
    for i in np.flatnonzero(wrong):
        if abs(off[i]) > FAR or wrong.mean() > FEW:
            yield "depth", f"{1e3 * off[i]:+.1f} mm from visible landmark {i}"
