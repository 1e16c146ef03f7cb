"""Tensors of PyTorch pickles as numpy arrays, without PyTorch.

A tensor is pickled as storage, offset, size and stride; the storage as bytes, themselves five small pickles
(magic number, protocol, system, storage with a persistent id, keys), the number of elements, and the data:
what `torch.save` wrote before it wrote zip archives. They are read when asked for, so networks that nobody
asks for cost nothing. Devices are ignored.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from synthforge.errors import AssetError
from synthforge.licensed.pickle_machine import Machine
from synthforge.licensed.pickle_values import Global

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of torch.serialization
STORAGE_STEPS = 1000  # opcodes of the five pickles; about 60 are usual
_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "<u1",
}  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class TensorData:
    """A tensor as it stands in the file, not yet looked at."""

    storage: Any  # bytes of a saved storage
    offset: Any  # elements
    size: Any
    stride: Any  # elements

    def array(self, where: str) -> np.ndarray:
        """The tensor as a read-only view of the file's bytes.

        Raises:
            AssetError: it reaches beyond its storage, or the storage is damaged.
        """
        data = _storage(self.storage, where)
        shaped = type(self.size) is type(self.stride) is tuple and len(self.size) == len(self.stride) <= 16
        numbers = (self.offset, *self.size, *self.stride) if shaped else (None,)
        if not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
            raise AssetError("damaged: a tensor without a proper size and stride", where=where)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if prod(self.size) > data.size or (prod(self.size) and last >= data.size):
            raise AssetError(f"damaged: a tensor {self.size} in {data.size} numbers", where=where)
        strides = [step * data.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(data[self.offset :], self.size, strides, writeable=False)


def _storage(saved: Any, where: str) -> np.ndarray:
    if type(saved) is not bytes:
        raise AssetError("damaged: a tensor without a storage", where=where)
    stream = io.BytesIO(saved)
    machine = Machine(stream, len(saved), where, _STORAGES, persistent=lambda key: key, steps=STORAGE_STEPS)
    magic, protocol, system, about, keys = [machine.load() for _ in range(5)]
    match magic, protocol, system, keys, about:
        case int(), int(), dict(), [str(key)], (str(what), Global() as kind, str(own), _, int(n), *view):
            known = (magic, protocol, what, own) == (MAGIC, PROTOCOL, "storage", key) and kind.name in _DTYPES
            known = known and system.get("little_endian") is True and not any(v is not None for v in view)
        case _:
            known = False
    if not known:
        raise AssetError("damaged, or a storage of a version that is not understood", where=where)
    kind = np.dtype(_DTYPES[kind.name])
    if int.from_bytes(machine.read(8), "little") != n or n * kind.itemsize != machine.left:
        raise AssetError(f"damaged: {n} numbers announced in {machine.left} bytes", where=where)
    return np.frombuffer(saved, kind, offset=stream.tell())


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> TensorData:
    return TensorData(storage, offset, size, stride)


def _not_called(*_: Any) -> None:
    raise ValueError("a class that cannot be called here")


_STORAGES = {("torch", name): _not_called for name in _DTYPES}
TORCH: dict[tuple[str, str], Callable] = {  # for an allow-list
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch.storage", "_load_from_bytes"): lambda saved: saved,
}
