"""Batches straight from shards, for training loops of your own."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from synthforge.datasets.views import epoch_order
from synthforge.datasets.workers import keep_freed_memory, one_thread
from synthforge.errors import DatasetError
from synthforge.rng import sample_rng
from synthforge.storage.reader import DatasetReader

Batch = dict[str, Tensor]


class BatchLoader:
    """Shuffled batches of a generated data set: each iteration is one pass, dicts with the samples leading.

    The order depends on the seed and the number of the pass alone, and keeps few shards open
    (`epoch_order`). Workers decode into a ring of shared memory that is reused, from which the caller's
    process copies: mapping fresh shared memory for each batch, as PyTorch's loader does, costs more than
    decoding depth and classes.

    Args:
        folder: directory with `dataset.json`.
        names: which arrays, as the shards name them (`soft_masks/hair` and the like too). rgb is uint8
            h w 3; depth float32 h w in metres (inf: none); normals float32 h w 3; the others as stored.
        batch: samples in each; the last of a pass may hold fewer.
        workers: processes that decode ahead, two batches each; 0: the caller's decodes.
        seed: of the order.
        start: how workers begin.
    Raises:
        DatasetError: no data set there, an unknown name, or a shard cannot be read.
    """

    def __init__(
        self,
        folder: Path | str,
        names: Sequence[str] = ("rgb", "segmentation", "depth", "landmarks_2d"),
        batch: int = 32,
        workers: int = 2,
        seed: int = 0,
        start: Literal["fork", "spawn"] = "fork",
    ):
        self.reader = DatasetReader(folder)
        self.forms = {name: self.reader.form(name) for name in names}
        sizes = [batch * prod(shape) * kind.itemsize for shape, kind in self.forms.values()]
        self.starts = np.cumsum([0, *(-(-size // 64) * 64 for size in sizes)])  # of each array, bytes
        self.batch, self.workers, self.seed, self.start = batch, workers, seed, start
        self.epoch = 0  # number of the next pass

    def __len__(self) -> int:
        return -(-len(self.reader) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        runs = [shard["n_samples"] for shard in self.reader.shards]
        order = epoch_order(runs, sample_rng(self.seed, self.epoch, "order"))
        self.epoch += 1
        batches = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        return self._by_workers(batches) if self.workers else map(self._read, batches)

    def _read(self, indices: np.ndarray) -> Batch:
        batch = self._views(self._memory(), len(indices))
        _decode(self.reader, indices, batch)
        return _tensors(batch)

    def _by_workers(self, batches: list[np.ndarray]) -> Iterator[Batch]:
        slots = 2 * self.workers
        ring = torch.empty(slots, self.starts[-1], dtype=torch.uint8).share_memory_()
        waiting: deque[tuple[Future, int, int]] = deque()

        def oldest() -> Batch:
            done, slot, n = waiting.popleft()
            done.result()
            return _tensors(self._views(ring[slot].numpy().copy(), n))

        try:
            with ProcessPoolExecutor(self.workers, get_context(self.start), _begin, (self, ring)) as pool:
                for k, indices in enumerate(batches):
                    if len(waiting) == slots:  # the oldest has the slot that this one needs
                        yield oldest()
                    waiting.append((pool.submit(_fill, k % slots, indices), k % slots, len(indices)))
                while waiting:
                    yield oldest()
        except BrokenProcessPool as error:
            fix = "memory may be short: take fewer workers or smaller batches"
            raise DatasetError("a worker was killed", where=str(self.reader.path), fix=fix) from error

    def _memory(self) -> UInt8[np.ndarray, " bytes"]:
        """Room for a batch; in one piece, so that the kernel takes huge pages for it."""
        return np.empty(self.starts[-1], np.uint8)

    def _views(self, memory: UInt8[np.ndarray, " bytes"], n: int) -> dict[str, np.ndarray]:
        """The arrays of `n` samples in such memory."""
        views = {}
        for start, (name, (shape, kind)) in zip(self.starts, self.forms.items(), strict=False):
            part = memory[start : start + n * prod(shape) * kind.itemsize]
            views[name] = part.view(kind).reshape(n, *shape)
        return views


def _tensors(batch: dict[str, np.ndarray]) -> Batch:
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def _decode(reader: DatasetReader, indices: np.ndarray, out: dict[str, np.ndarray]) -> None:
    for row, index in enumerate(indices):
        reader.read_into(int(index), {name: array[row, ...] for name, array in out.items()})


def _begin(loader: BatchLoader, ring: Tensor) -> None:
    """In a worker: what its batches are read from and written to."""
    global _job
    one_thread(0)
    keep_freed_memory()
    _job = loader, ring.numpy()


def _fill(slot: int, indices: np.ndarray) -> None:
    loader, ring = _job
    _decode(loader.reader, indices, loader._views(ring[slot], len(indices)))
