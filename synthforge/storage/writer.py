"""Frames -> records (in the workers) -> shards (in the parent), published atomically.

A record is a frame in its stored form, its planes already compressed: encoding is the workers'
work, and a shard's bytes depend on the order of samples alone.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synthforge import __version__
from synthforge.errors import DatasetError
from synthforge.storage.codecs import GZIP_LEVEL, deflate, encode_image
from synthforge.storage.files import storage_errors, sync
from synthforge.storage.schema import SCHEMA_VERSION, Layout
from synthforge.storage.shards import Origin, ShardPlan
from synthforge.types import Frame

_STRING = h5py.string_dtype()
Record = dict[str, Any]  # name -> encoded bytes (image, planes) or array (rows)


def encode_frame(frame: Frame, layout: Layout) -> Record:
    """Stored form of a frame.

    Raises:
        DatasetError: a value does not fit the layout; the message names sample and label.
    """
    record: Record = {}
    for name, label in layout.labels.items():
        where, dtype = f"sample {frame.params.index}, {name}", label.on_disk
        try:
            value = label.value(frame)
        except DatasetError as error:
            raise DatasetError(error.what, where=where, fix=error.fix) from error
        if value.shape != label.shape:
            raise DatasetError(f"shape {value.shape} where {label.shape} is expected", where=where)
        if value.dtype != dtype and not np.can_cast(value.dtype, dtype, "same_kind"):
            raise DatasetError(f"type {value.dtype} where {dtype} is expected", where=where)
        value = np.asarray(value, dtype, order="C")
        if label.kind == "image":
            record[name] = encode_image(value, layout.codec)
        elif label.kind == "plane":
            record[name] = deflate(value)
        else:
            record[name] = value
    return record


class ShardWriter:
    """One shard of `out`: `add` records in order, then `publish`; a context that drops what is unfinished.

    Raises:
        DatasetError: the disk is full or not writable.
    """

    def __init__(self, out: Path, plan: ShardPlan, layout: Layout, origin: Origin):
        self.path, self.plan, self.layout, self.origin = out / plan.file, plan, layout, origin
        self.partial = self.path.with_name(self.path.name + ".tmp")
        self.n_written = 0
        self.rejected: Counter[str] = Counter()
        self.labels = layout.labels
        self.rows = {
            name: np.zeros((plan.n_samples, *label.shape), label.on_disk)
            for name, label in self.labels.items()
            if label.kind == "row"
        }
        self.file: Any = None  # h5py.File, once it is entered

    def __enter__(self) -> "ShardWriter":
        with storage_errors(self.partial):
            self.partial.unlink(missing_ok=True)
            # Old object headers carry no times: the same samples make the same bytes.
            self.file = h5py.File(self.partial, "w", libver=("earliest", "v110"))
            self.file.create_group("attributes")
            for name, label in self.labels.items():
                if label.kind != "row":
                    self._create(name)
        return self

    def _create(self, name: str) -> None:
        label, n = self.labels[name], self.plan.n_samples
        if label.kind == "row":
            data = self.file.create_dataset(name, data=self.rows[name])
        elif label.kind == "image" and self.layout.codec != "raw":
            data = self.file.create_dataset(name, (n,), h5py.vlen_dtype(np.uint8), chunks=(min(n, 64),))
        else:
            filters = {"compression": "gzip", "compression_opts": GZIP_LEVEL} if label.kind == "plane" else {}
            data = self.file.create_dataset(
                name,
                (n, *label.shape),
                label.on_disk,
                chunks=(1, *label.shape),
                shuffle=label.kind == "plane" and label.on_disk.itemsize > 1,
                **filters,
            )
        for key, value in label.about.items():
            if isinstance(value, list):
                data.attrs.create(key, value, dtype=_STRING)
            else:
                data.attrs[key] = value

    def add(self, record: Record, rejected: tuple[str, ...] = ()) -> None:
        """Store the next sample, and why earlier draws of its index were rejected."""
        i = self.n_written
        with storage_errors(self.partial):
            for name, label in self.labels.items():
                if label.kind == "row":
                    self.rows[name][i] = record[name]
                elif label.kind == "image" and self.layout.codec != "raw":
                    self.file[name][i] = np.frombuffer(record[name], np.uint8)
                else:
                    start = (i, *(0 for _ in label.shape))
                    self.file[name].id.write_direct_chunk(start, record[name])
        self.rejected.update(rejected)
        self.n_written += 1

    def publish(self) -> None:
        """Finish the file, flush it to the disk and give it its name."""
        if self.n_written != self.plan.n_samples:
            held = f"holds {self.n_written} of {self.plan.n_samples} samples"
            raise DatasetError(held, where=str(self.path))
        with storage_errors(self.partial):
            for name in self.rows:
                self._create(name)
            self.file.attrs.update(
                {
                    "schema_version": SCHEMA_VERSION,
                    "first_index": self.plan.first_index,
                    "n_samples": self.plan.n_samples,
                    "config_sha256": self.origin.config_sha256,
                    "synthforge_version": __version__,
                    "generator": json.dumps(self.origin.generator, sort_keys=True),
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
