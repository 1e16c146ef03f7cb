"""Frames -> records (in the workers) -> shards (in the parent), published atomically.

A record is a frame in its stored form, its planes already compressed: encoding is the workers'
work, and a shard's bytes depend on the order of samples alone.

A shard is built in memory. HDF5 writes small data sets when their last handle dies, where an error cannot be
raised, and a file that it failed to write can crash the process at its end: it never sees the disk. Its file
object is a bare BytesIO: no Python code runs in HDF5's calls, where the exception of a signal would be lost.
"""

import io
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synthforge import __version__
from synthforge.errors import DatasetError
from synthforge.storage.codecs import GZIP_LEVEL, deflate, encode_image
from synthforge.storage.files import publish
from synthforge.storage.schema import SCHEMA_VERSION, Layout
from synthforge.storage.shards import Origin, ShardPlan, check_shards
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

    Until then its bytes are held in memory, once.
    """

    def __init__(self, out: Path, plan: ShardPlan, layout: Layout, origin: Origin):
        self.out, self.plan, self.layout, self.origin = out, plan, layout, origin
        self.path = out / plan.file
        self.n_written = 0
        self.rejected: Counter[str] = Counter()
        self.labels = layout.labels
        self.rows = {
            name: np.zeros((plan.n_samples, *label.shape), label.on_disk)
            for name, label in self.labels.items()
            if label.kind == "row"
        }
        self.image = io.BytesIO()
        # Old object headers carry no times: the same samples make the same bytes.
        self.file: Any = h5py.File(self.image, "w", libver=("earliest", "v110"))

    def __enter__(self) -> "ShardWriter":
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

    def publish(self) -> ShardPlan:
        """Write the file and give it its name. One that another run published meanwhile is kept, if it
        has the same origin.

        Returns:
            the plan, done, with the hash of the bytes where they are ours.
        Raises:
            DatasetError: it cannot be written, or another data set's shard stands in its place.
        """
        if self.n_written != self.plan.n_samples:
            held = f"holds {self.n_written} of {self.plan.n_samples} samples"
            raise DatasetError(held, where=str(self.path))
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
        with h5py.File(self.image, "r") as file:  # HDF5 may have dropped rows that memory had no room for
            if any(file[name][()].tobytes() != rows.tobytes() for name, rows in self.rows.items()):
                what, fix = "does not fit into memory", "use another --out with a smaller --shard-size"
                raise DatasetError(what, where=str(self.path), fix=fix)
        done = replace(self.plan, done=True)
        if os.path.lexists(self.path):
            check_shards(self.out, [done], self.origin)
            return done
        return replace(done, sha256=publish(self.path, self.image.getbuffer()))

    def __exit__(self, *_: object) -> None:
        self.file.close()
