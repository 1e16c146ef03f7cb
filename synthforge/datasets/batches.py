"""Batches, made ahead by workers: of what shards hold, or of random crops for training (`views`)."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
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

from synthforge.datasets.workers import keep_freed_memory, one_thread
from synthforge.errors import DatasetError
from synthforge.rng import sample_rng
from synthforge.storage.reader import DatasetReader

Batch = dict[str, Tensor]
Start = Literal["fork", "spawn"]
WINDOW = 16  # runs of samples (shards) that are shuffled together and held open


def epoch_order(runs: Sequence[int], rng: np.random.Generator, window: int = WINDOW) -> np.ndarray:
    """Every sample once: runs (shards) in random order, and the samples of `window` runs mixed.

    Reading then touches few files at a time; with no more runs than `window` it is a plain permutation.
    """
    first = np.concatenate([[0], np.cumsum(runs)])
    order = rng.permutation(len(runs))
    groups = [order[i : i + window] for i in range(0, len(order), window)]
    return np.concatenate(
        [rng.permutation(np.concatenate([np.arange(first[r], first[r + 1]) for r in g])) for g in groups]
    )


class Loader(ABC):
    """Each iteration is one pass of batches: dicts of tensors with the items leading.

    Workers write into a ring of shared memory that is reused, from which the caller's process copies:
    mapping fresh shared memory for each batch, as PyTorch's loader does, costs more than decoding depth and
    classes. A subclass says which items each batch holds, and writes one of them into given memory.

    Args:
        forms: of each array of an item: shape and dtype.
        size: items in a batch; the last may hold fewer.
        workers: processes that work ahead, two batches each; 0: the caller's does the work.
        start: how workers begin.
        where: what is read, for messages.
    """

    def __init__(self, forms: dict[str, tuple], size: int, workers: int, start: Start, where: str):
        self.forms, self.size, self.workers, self.start, self.where = forms, size, workers, start, where
        sizes = [size * prod(shape) * kind.itemsize for shape, kind in forms.values()]
        self.starts = np.cumsum([0, *(-(-n // 64) * 64 for n in sizes)])  # of each array, bytes

    @abstractmethod
    def __len__(self) -> int:
        """Batches of a pass."""

    @abstractmethod
    def keys(self) -> Iterator[Sequence[Hashable]]:
        """The items of each batch of the next pass."""

    @abstractmethod
    def read_into(self, key: Hashable, out: dict[str, np.ndarray]) -> None:
        """Write one item."""

    def __iter__(self) -> Iterator[Batch]:
        batches = self.keys()
        return self._by_workers(batches) if self.workers else map(self._read, batches)

    def _read(self, keys: Sequence[Hashable]) -> Batch:
        # In one piece, so that the kernel takes huge pages for it.
        batch = self._views(np.empty(self.starts[-1], np.uint8), len(keys))
        self._fill(keys, batch)
        return _tensors(batch)

    def _fill(self, keys: Sequence[Hashable], out: dict[str, np.ndarray]) -> None:
        for row, key in enumerate(keys):
            self.read_into(key, {name: array[row, ...] for name, array in out.items()})

    def _by_workers(self, batches: Iterator[Sequence[Hashable]]) -> Iterator[Batch]:
        slots = 2 * self.workers
        ring = torch.empty(slots, self.starts[-1], dtype=torch.uint8).share_memory_()
        waiting: deque[tuple[Future, int, int]] = deque()

        def oldest() -> Batch:
            done, slot, n = waiting.popleft()
            done.result()
            return _tensors(self._views(ring[slot].numpy().copy(), n))

        try:
            with ProcessPoolExecutor(self.workers, get_context(self.start), _begin, (self, ring)) as pool:
                for k, keys in enumerate(batches):
                    if len(waiting) == slots:  # the oldest has the slot that this one needs
                        yield oldest()
                    waiting.append((pool.submit(_work, k % slots, keys), k % slots, len(keys)))
                while waiting:
                    yield oldest()
        except BrokenProcessPool as error:
            fix = "memory may be short: take fewer workers or smaller batches"
            raise DatasetError("a worker was killed", where=self.where, fix=fix) from error

    def _views(self, memory: UInt8[np.ndarray, " bytes"], n: int) -> dict[str, np.ndarray]:
        """The arrays of `n` items in such memory."""
        views = {}
        for start, (name, (shape, kind)) in zip(self.starts, self.forms.items(), strict=False):
            part = memory[start : start + n * prod(shape) * kind.itemsize]
            views[name] = part.view(kind).reshape(n, *shape)
        return views


class BatchLoader(Loader):
    """Shuffled batches of a generated data set, for training loops of your own.

    The order depends on the seed and the number of the pass alone, and keeps few shards open
    (`epoch_order`).

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
        start: Start = "fork",
    ):
        self.reader, self.seed = DatasetReader(folder), seed
        self.epoch = 0  # number of the next pass
        forms = {name: self.reader.form(name) for name in names}
        super().__init__(forms, batch, workers, start, str(self.reader.path))

    def __len__(self) -> int:
        return -(-len(self.reader) // self.size)

    def keys(self) -> Iterator[list[int]]:
        runs = [shard["n_samples"] for shard in self.reader.shards]
        order = epoch_order(runs, sample_rng(self.seed, self.epoch, "order")).tolist()
        self.epoch += 1
        return (order[i : i + self.size] for i in range(0, len(order), self.size))

    def read_into(self, key: int, out: dict[str, np.ndarray]) -> None:
        self.reader.read_into(key, out)


def _tensors(batch: dict[str, np.ndarray]) -> Batch:
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def _begin(loader: Loader, ring: Tensor) -> None:
    """In a worker: what its batches are read from and written to."""
    global _job
    one_thread()
    keep_freed_memory()
    _job = loader, ring.numpy()


def _work(slot: int, keys: Sequence[Hashable]) -> None:
    loader, ring = _job
    loader._fill(keys, loader._views(ring[slot], len(keys)))
