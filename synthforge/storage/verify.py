"""Does a data set hold what it says? One line per fault, each naming where."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synthforge.errors import DatasetError
from synthforge.provenance import files_sha256
from synthforge.storage.codecs import decode_image
from synthforge.storage.index import CONFIG, read_index
from synthforge.storage.schema import Label, Layout
from synthforge.storage.shards import shard_attributes

# What damage looks like through h5py.
_HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)


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
        yield f"{error.what}; {error.fix}"
        return
    expected = {key: shard[key] for key in ("first_index", "n_samples")}
    expected |= {
        key: index[key] for key in ("schema_version", "config_sha256", "generator", "synthforge_version")
    }
    for key, value in expected.items():
        if attributes[key] != value:
            yield f"{key} is {attributes[key]}, the index says {value}"
    try:
        with h5py.File(path, "r") as file:
            labels = _layout(file, index).labels
            faults = list(_schema_faults(file, labels, shard["n_samples"], index["schema_version"]))
            yield from faults
            for row in range(0 if faults else shard["n_samples"]):
                yield from _sample_faults(file, labels, row, shard["first_index"] + row)
                progress(shard["first_index"] + row + 1, index["n_samples"])
    except _HDF5_ERRORS as error:
        yield f"cannot be read ({' '.join(str(error).split())})"


def _layout(file: Mapping[str, Any], index: dict[str, Any]) -> Layout:
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


def _schema_faults(file: Mapping[str, Any], labels: dict[str, Label], n: int, version: int) -> Iterator[str]:
    if version > 1 and "attributes" not in file:
        yield "attributes: missing"
    for name, label in labels.items():
        if name not in file:
            yield f"{name}: missing"
            continue
        data = file[name]
        shape = (n,) if _encoded(label) else (n, *label.shape)
        if data.shape != shape:
            yield f"{name}: shape {data.shape}, expected {shape}"
        dtype = h5py.check_vlen_dtype(data.dtype) if _encoded(label) else data.dtype
        if dtype != label.on_disk:
            yield f"{name}: type {data.dtype}, expected {label.on_disk}"
        words = tuple(data.attrs.get("words" if version > 1 else "values", ()))
        if words != label.words:
            yield f"{name}: words {', '.join(words)}, the index says {', '.join(label.words)}"


def _encoded(label: Label) -> bool:
    return label.kind == "image" and label.attrs["codec"] != "raw"


def _sample_faults(file: Mapping[str, Any], labels: dict[str, Label], row: int, index: int) -> Iterator[str]:
    sample: dict[str, Any] = {}
    for name, label in labels.items():
        where = f"sample {index}, {name}"
        try:
            value = file[name][row]
            if _encoded(label):
                value = decode_image(value, where)
        except (OSError, DatasetError):
            yield f"{where}: cannot be decoded"
            return
        if value.shape != label.shape:
            yield f"{where}: shape {value.shape}, expected {label.shape}"
            return
        if value.dtype.kind == "f" and name != "alignment_rms" and not np.isfinite(value).all():
            yield f"{where}: not finite"
        if label.words and not 0 <= value < len(label.words):
            yield f"{where}: {value} is no index into {len(label.words)} words"
        sample[name] = label.decode(value, None) if label.decode else value
    if sample["index"] != index:
        yield f"sample {index}, index: is {sample['index']}"
    for name, label in labels.items():
        for fault in label.check(sample) if label.check else ():
            yield f"sample {index}, {name}: {fault}"
