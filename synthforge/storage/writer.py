"""Frames -> records (in the workers) -> shards (in the parent), published atomically.

A record is a frame in its stored form, its planes already compressed: encoding is the workers'
work, and a shard's bytes depend on the order of samples alone.
"""

import json
import os
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from synthforge import __version__
from synthforge.errors import DatasetError
from synthforge.rng import sample_seed
from synthforge.storage.schema import (
    DEPTH_SCALE,
    JPEG_QUALITY,
    SCHEMA_VERSION,
    Layout,
    quantise_depth,
    quantise_normals,
)
from synthforge.types import Frame

_GZIP_LEVEL = 1
_STRING = h5py.string_dtype()
Record = dict[str, Any]  # name -> encoded bytes (image, planes) or array (rows)


def encode_frame(frame: Frame, layout: Layout, attempt: int = 0) -> Record:
    """Stored form of a frame.

    Raises:
        DatasetError: a value does not fit the layout; the message names sample and data set.
    """
    record: Record = {}
    for name, spec in layout.fields().items():
        where = f"sample {frame.params.index}, {name}"
        value = np.asarray(_value(frame, name, spec.extra, attempt, where))
        if value.shape != spec.shape:
            raise DatasetError(f"shape {value.shape} where {spec.shape} is expected", where=where)
        if value.dtype != spec.dtype and not np.can_cast(value.dtype, spec.dtype, "same_kind"):
            raise DatasetError(f"type {value.dtype} where {spec.dtype} is expected", where=where)
        value = value.astype(spec.dtype)
        if spec.kind == "image":
            record[name] = encode_image(value, layout.codec)
        elif spec.kind == "plane":
            record[name] = _deflate(value)
        else:
            record[name] = value
    return record


def _value(frame: Frame, name: str, extra: dict, attempt: int, where: str) -> Any:
    params = frame.params
    group, _, key = name.partition("/")
    match group:
        case "depth":
            finite = frame.depth[np.isfinite(frame.depth)]
            if finite.size and (finite.min() < DEPTH_SCALE or finite.max() > DEPTH_SCALE * 65535):
                raise DatasetError(
                    f"depth {finite.min():.4f} to {finite.max():.4f} m cannot be stored",
                    where=where,
                    fix=f"keep it between {DEPTH_SCALE} and {DEPTH_SCALE * 65535} m",
                )
            return quantise_depth(frame.depth)
        case "normals":
            return quantise_normals(frame.normals)
        case "soft_masks":
            return frame.soft_masks.get(key, np.zeros_like(frame.alpha))
        case "cam2world" | "intrinsics" | "distortion":
            return getattr(params.camera, name)
        case "shape" | "expression" | "pose" | "latent":
            return getattr(params, name)
        case "attributes":
            return _attribute(params.attributes, key, extra, where)
        case "index":
            return np.int64(params.index)
        case "sample_seed":
            return np.uint64(sample_seed(params.seed, params.index))
        case "attempt":
            return np.uint16(attempt)
        case "alignment_rms":
            return np.float32(frame.alignment_rms)
    return getattr(frame, name)


def _attribute(attributes: dict[str, float | str], key: str, extra: dict, where: str) -> Any:
    if key not in attributes:
        raise DatasetError("was not sampled", where=where)
    value = attributes[key]
    if "values" not in extra:
        return np.float32(value)
    if value not in extra["values"]:
        raise DatasetError(f"{value!r} is not among {', '.join(extra['values'])}", where=where)
    return np.int16(extra["values"].index(value))


def encode_image(rgb: np.ndarray, codec: str) -> bytes:
    """uint8 h w 3 -> JPEG (q95, 4:4:4), PNG, or the bare bytes."""
    if codec == "raw":
        return rgb.tobytes()
    options = {
        "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
                 + [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
        "png": (".png", []),
    }  # fmt: skip
    suffix, flags = options[codec]
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def _deflate(plane: np.ndarray) -> bytes:
    """One chunk as HDF5's filters write it: bytes shuffled where wider than one, then deflate."""
    data = plane.tobytes()
    if plane.itemsize > 1:
        data = np.frombuffer(data, np.uint8).reshape(-1, plane.itemsize).T.tobytes()
    return zlib.compress(data, _GZIP_LEVEL)


@dataclass(frozen=True)
class ShardKey:
    """Which samples a shard holds and what made them; stored as its file attributes."""

    first_index: int
    n_samples: int
    config_sha256: str
    generator: dict


class ShardWriter:
    """One shard: `add` records in order, then `publish`; a context that drops what is unfinished.

    Raises:
        DatasetError: the disk is full or not writable.
    """

    def __init__(self, path: Path, layout: Layout, key: ShardKey):
        self.path, self.layout, self.key = path, layout, key
        self.partial = path.with_name(path.name + ".tmp")
        self.n_written = 0
        self.rejected: Counter[str] = Counter()
        self.fields = layout.fields()
        self.rows = {
            name: np.zeros((key.n_samples, *spec.shape), spec.dtype)
            for name, spec in self.fields.items()
            if spec.kind == "row"
        }
        self.file: h5py.File | None = None

    def __enter__(self) -> "ShardWriter":
        with _storage_errors(self.partial):
            self.partial.unlink(missing_ok=True)
            # Old object headers carry no times: the same samples make the same bytes.
            self.file = h5py.File(self.partial, "w", libver=("earliest", "v110"))
            for name, spec in self.fields.items():
                if spec.kind != "row":
                    self._create(name)
        return self

    def _create(self, name: str) -> None:
        spec, n = self.fields[name], self.key.n_samples
        if spec.kind == "row":
            data = self.file.create_dataset(name, data=self.rows[name])
        elif spec.kind == "image" and self.layout.codec != "raw":
            data = self.file.create_dataset(name, (n,), h5py.vlen_dtype(np.uint8), chunks=(min(n, 64),))
        else:
            filters = {"compression": "gzip", "compression_opts": _GZIP_LEVEL} if spec.kind == "plane" else {}
            data = self.file.create_dataset(
                name,
                (n, *spec.shape),
                spec.dtype,
                chunks=(1, *spec.shape),
                shuffle=spec.kind == "plane" and np.dtype(spec.dtype).itemsize > 1,
                **filters,
            )
        about = {"description": spec.description, "unit": spec.unit, "frame": spec.frame} | spec.extra
        for key, value in about.items():
            if isinstance(value, list):
                data.attrs.create(key, value, dtype=_STRING)
            elif value != "":
                data.attrs[key] = value

    def add(self, record: Record, rejected: tuple[str, ...] = ()) -> None:
        """Store the next sample, and why earlier draws of its index were rejected."""
        i = self.n_written
        with _storage_errors(self.partial):
            for name, spec in self.fields.items():
                if spec.kind == "row":
                    self.rows[name][i] = record[name]
                elif spec.kind == "image" and self.layout.codec != "raw":
                    self.file[name][i] = np.frombuffer(record[name], np.uint8)
                else:
                    start = (i, *(0 for _ in spec.shape))
                    self.file[name].id.write_direct_chunk(start, record[name])
        self.rejected.update(rejected)
        self.n_written += 1

    def publish(self) -> None:
        """Finish the file, flush it to the disk and give it its name."""
        if self.n_written != self.key.n_samples:
            held = f"holds {self.n_written} of {self.key.n_samples} samples"
            raise DatasetError(held, where=str(self.path))
        with _storage_errors(self.partial):
            for name in self.rows:
                self._create(name)
            self.file.attrs.update(
                {
                    "schema_version": SCHEMA_VERSION,
                    "first_index": self.key.first_index,
                    "n_samples": self.key.n_samples,
                    "config_sha256": self.key.config_sha256,
                    "synthforge_version": __version__,
                    "generator": json.dumps(self.key.generator, sort_keys=True),
                    "rejected": json.dumps(self.rejected, sort_keys=True),
                    "complete": True,
                }
            )
            self.file.close()
            self.file = None
            sync(self.partial)
            self.partial.replace(self.path)
            sync(self.path.parent)

    def __exit__(self, *_: object) -> None:
        """Nothing of an unfinished shard stays, even where closing it fails (disk full)."""
        if self.file is None:
            return
        try:
            self.file.close()
        except (OSError, RuntimeError):
            pass
        self.partial.unlink(missing_ok=True)


class _storage_errors:
    """Operating-system and HDF5 failures of writing, as errors that name the path."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError | RuntimeError) and not isinstance(error, DatasetError):
            raise DatasetError(
                f"cannot be written ({' '.join(str(error).split())})",
                where=str(self.path),
                fix="free space or permissions, then run the same command again; finished shards are kept",
            ) from error


def sync(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file so that a reader, or a crash, sees the old or the new one whole.

    Raises:
        DatasetError: it cannot be written.
    """
    partial = path.with_name(path.name + f".{os.getpid()}.tmp")
    with _storage_errors(path):
        try:
            partial.write_text(text, encoding="utf-8")
            sync(partial)
            partial.replace(path)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
