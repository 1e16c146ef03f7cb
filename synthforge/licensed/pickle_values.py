"""Values that pickles may hold: replacements of classes, Python's containers, numpy's arrays of numbers."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

MAX_NUMBERS = 4096  # members of a dictionary or set that may have numbers among its keys
_SCALARS = (str, bytes, int, float, bool, type(None))


@dataclass(frozen=True, eq=False, slots=True)
class Global:
    """A class or function that a pickle names; `make` is our function, called with its arguments."""

    module: str
    name: str
    make: Callable[..., Any]


@dataclass(eq=False, slots=True)
class Stub:
    """An object of a class that is not here: its names, constructor arguments, state and items, as data."""

    module: str
    name: str
    args: tuple = ()
    state: Any = None
    items: dict = field(default_factory=dict)

    def __repr__(self) -> str:  # not of what it holds, which a file may have nested without end
        return f"<{self.module}.{self.name}>"


def stub(module: str, name: str) -> Callable[..., Stub]:
    """For an allow-list: objects of that class become `Stub`s."""
    return lambda *args: Stub(module, name, args)


def short(value: Any) -> str:
    """A few characters of a scalar for a message; of anything else its class."""
    if not isinstance(value, _SCALARS) or isinstance(value, int) and abs(value) >= 1 << 63:
        return f"<{type(value).__name__}>"
    text = ascii(value[:60] if isinstance(value, str | bytes) else value)
    return text if len(text) < 90 else text[:90] + "..."


def checked_key(key: Any, n: int) -> Any:
    """A key for a container of n: numbers can be chosen to collide, and nested tuples are hashed deeply."""
    if type(key) in (str, bytes, type(None)):
        return key
    if type(key) in (int, float, bool) and abs(key) < 1 << 63 and n <= MAX_NUMBERS:
        return key
    raise ValueError(f"a {type(key).__name__} as the key in a container of {n}")


@dataclass(eq=False, slots=True)
class DType:
    """A numpy type under construction: never numpy's own object, which pickles may alter."""

    code: str
    order: str = "="

    def set_state(self, state: Any) -> None:
        if type(state) is not tuple or len(state) < 8 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("an array type that is not understood")
        if state[2:5] != (None, None, None):
            raise ValueError("an array of records")
        self.order = state[1]

    def numpy(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order)


def _dtype(code: Any, *_: Any) -> DType:
    if not isinstance(code, str) or not re.fullmatch(r"\?|b1|[iufc]\d{1,2}|O[48]?", code):
        raise ValueError(f"an array type {short(code)}")
    return DType("O" if code[0] == "O" else code)


def _number_type(dtype: Any) -> np.dtype:
    if type(dtype) is not DType or dtype.code == "O":
        raise ValueError("an array of numbers without a type for them")
    return dtype.numpy()


def _raw(data: Any) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else bytes(data)  # str: Python 2's


def _count(shape: Any) -> int:
    if type(shape) is not tuple or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array shape that is none")
    return prod(shape)


def fill_array(array: np.ndarray, state: Any) -> None:
    """Fill an empty array: state is (version,) shape, type, column-major, bytes or list of objects."""
    if type(state) is not tuple or len(state) not in (4, 5) or array.size:
        raise ValueError("an array state that is not understood")
    shape, dtype, fortran, data = state[-4:]
    n = _count(shape)
    if type(dtype) is DType and dtype.code == "O":
        if type(data) is not list or len(data) != n:
            raise ValueError("an array of objects with the wrong number of them")
        array.__setstate__((1, shape, np.dtype(object), bool(fortran), data))
        return
    kind, data = _number_type(dtype), _raw(data)
    if len(data) != n * kind.itemsize:
        raise ValueError(f"an array of {len(data)} bytes where {n * kind.itemsize} are declared")
    array.__setstate__((1, shape, kind, bool(fortran), data))


def _new_array(kind: Any, *_: Any) -> np.ndarray:
    if type(kind) is not Global or kind.name != "ndarray":
        raise ValueError("an array of another class")
    return np.empty(0, np.int8)


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> np.ndarray:
    if order not in ("C", "F", "K") or (order == "K") != (type(axes) is tuple):
        raise ValueError("an array order that is none")
    array = np.empty(0, np.int8)
    fill_array(array, (shape, dtype, order == "F", data))
    return array.transpose(axes) if order == "K" else array  # K: the axes stand in the order of memory


def _scalar(dtype: Any, data: Any) -> Any:
    kind, data = _number_type(dtype), _raw(data)
    if len(data) != kind.itemsize:
        raise ValueError("a number of the wrong length")
    return np.frombuffer(data, kind)[0]


def _listed(items: Any) -> list:
    if type(items) is not list:
        raise ValueError("a container made of something else than a list")
    return items


def made_set(items: Any = None) -> set:
    """A set of the members of a list."""
    items = _listed(items if items is not None else [])
    return {checked_key(item, len(items)) for item in items}


def _ordered(pairs: Any = None) -> dict:
    pairs = _listed(pairs if pairs is not None else [])
    return {checked_key(key, len(pairs)): value for key, value in pairs}


def _encoded(text: Any, encoding: Any = "utf-8") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise ValueError("an unknown encoding")
    return text.encode(encoding)


def _bytes(data: Any = b"", *encoding: Any) -> bytes:
    if isinstance(data, str):
        return _encoded(data, *encoding)
    if type(data) is not bytes:
        raise ValueError("bytes made of something else")
    return data


def _reconstructed(kind: Any, base: Any, state: Any = None) -> Any:
    """An object of a class from before protocol 2; its state follows."""
    if type(kind) is not Global or type(base) is not Global or base.name != "object" or state is not None:
        raise ValueError("an object derived from another built-in class")
    return kind.make()


def _refuse_call(*_: Any) -> None:
    raise ValueError("a class that cannot be called here")


_PYTHON = {
    "set": made_set,
    "frozenset": lambda *items: frozenset(made_set(*items)),
    "bytes": _bytes,
    "bytearray": _bytes,  # never changed, so bytes will do
    "object": _refuse_call,
}
ALWAYS: dict[tuple[str, str], Callable] = {
    **{(module, name): f for module in ("builtins", "__builtin__") for name, f in _PYTHON.items()},
    **{(module, "_reconstructor"): _reconstructed for module in ("copyreg", "copy_reg")},
    ("collections", "OrderedDict"): _ordered,
    ("_codecs", "encode"): _encoded,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _refuse_call,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _new_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}
