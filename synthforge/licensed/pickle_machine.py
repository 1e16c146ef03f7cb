"""A pickle is a program for a stack machine. This one runs it, and can run nothing but the allow-list.

A global stands on its stack as a `Global` (two names, and our own function for them), so the only code
that can run is that of the allow-list. What a file may cost is bounded by its size: lengths are compared
with what is left of it before anything is read, steps and copies are counted, dictionary keys are plain
scalars (no nested tuple is ever hashed), and nothing recurses.

Source: opcodes and their stack effects from the documentation in the standard library's `pickletools`.
"""

import codecs
import struct
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from pickle import decode_long
from typing import Any

import numpy as np

from synthforge.errors import AssetError
from synthforge.licensed import pickle_values as values
from synthforge.licensed.pickle_values import DType, Global, Stub, checked_key, short

MAX_STEPS = 2_000_000  # opcodes; a generator takes 61,000, and a network pickle has up to three networks
MAX_DIGITS = 4096  # bytes of a number written as text or as a long
MAX_NAME = 300  # characters of a module and class
MIN_COPIES = 16 << 20  # bytes that functions may copy out of their arguments, beside 4 times the file


class Machine:
    """One pickle, or several in turn, of a stream.

    Args:
        stream: at the first byte; `size` is that of the whole stream.
        where: the file, for messages.
        allow, prefixes, encoding: see `pickles.read_pickle`.
        persistent: gives the object of a persistent id; without it they are refused.
        steps: opcodes, of all pickles together.
    """

    def __init__(
        self,
        stream: BufferedIOBase,
        size: int,
        where: str,
        allow: Mapping[tuple[str, str], Callable],
        prefixes: Mapping[str, Callable] | None = None,
        encoding: str = "latin1",
        persistent: Callable[[Any], Any] | None = None,
        steps: int = MAX_STEPS,
    ) -> None:
        self.stream, self.left, self.where = stream, size - stream.tell(), where
        self.allow, self.prefixes, self.encoding = {**values.ALWAYS, **allow}, prefixes or {}, encoding
        self.persistent = persistent
        self.steps, self.copies = steps, 4 * size + MIN_COPIES

    def load_only(self) -> Any:
        """The value of a stream that must hold nothing else."""
        value = self.load()
        if self.left:
            raise self.error(f"damaged: the pickle ends {self.left} bytes before the file does")
        return value

    def load(self) -> Any:
        """Run to STOP; any trouble is one AssetError, whatever a damaged file made of the stack."""
        self.stack, self.below, self.memo = [], [], {}
        try:
            while (opcode := self.stream.read(min(self.left, 1))) != b".":
                if not opcode:
                    raise self.error("truncated or damaged: it ends before its STOP")
                self.left -= 1
                self.steps -= 1
                if self.steps < 0:
                    raise ValueError("more steps than any known file")
                if opcode not in _OPCODES:
                    raise ValueError(f"an opcode {opcode!r} that nothing here needs")
                _OPCODES[opcode](self)
            self.left -= 1
            return self.stack.pop()
        except AssetError:
            raise
        except Exception as error:  # IndexError of an empty stack, TypeError of wrong arguments, ...
            what = " ".join(str(error).split())[:160] if type(error) is ValueError else type(error).__name__
            raise self.error(f"damaged, or not a pickle of this kind: {what}") from error

    def error(self, what: str) -> AssetError:
        """The error for a damaged file."""
        return AssetError(what, where=self.where, fix="get it again from its owner")

    def read(self, n: int) -> bytes:
        """The next n bytes; nothing is allocated for more than there are."""
        if n > self.left:
            raise self.error(f"truncated or damaged: {n} bytes announced, {self.left} left")
        self.left -= n
        data = self.stream.read(n)
        if len(data) != n:
            raise self.error("truncated while being read")
        return data

    def line(self, limit: int | None = None) -> bytes:
        """The bytes to the next newline, which is dropped."""
        line = self.stream.readline(min(self.left, limit or self.left))
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise self.error("truncated or damaged: a line without an end")
        return line[:-1]

    def marked(self) -> list:
        """What lies above the last mark, which is removed."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def push(self, value: Any) -> None:
        """One more value on the stack that there is now."""
        self.stack.append(value)

    def find(self, module: Any, name: Any) -> Global:
        """Our replacement of a class or function on the allow-list.

        Raises:
            AssetError: it is not there; the message names it.
        """
        if type(module) is not str or type(name) is not str:
            raise ValueError("a class without a name")
        make = self.allow.get((module, name))
        if make is None and len(module) + len(name) < MAX_NAME and name.isidentifier():
            makers = (maker for prefix, maker in self.prefixes.items() if module.startswith(prefix))
            make = next((maker(module, name) for maker in makers), None)
        if make is None:
            asked = f"{short(module)} {short(name)}".replace("'", "")
            raise AssetError(
                f"refused: it asks for `{asked}`, which is not on the allow-list", where=self.where,
                fix="do not open it with other programs, and get it again from its owner",
            )  # fmt: skip
        return Global(module, name, make)

    def call(self, kind: Any, args: Any) -> Any:
        """The value of an allowed function."""
        if type(kind) is not Global or type(args) is not tuple:
            raise ValueError(f"a call of a {type(kind).__name__}")
        self.spend(args)
        return kind.make(*args)

    def spend(self, value: Any) -> None:
        """Count what a function may copy of its arguments: bytes, and members as steps."""
        todo = [(value, 2)]
        while todo:
            value, depth = todo.pop()
            if isinstance(value, str | bytes):
                self.copies -= len(value)
            elif isinstance(value, tuple | list | dict | set | frozenset):
                self.steps -= len(value)
            if self.copies < 0 or self.steps < 0:
                raise ValueError("it copies the same data over and over")
            if type(value) is tuple and depth:
                todo += [(part, depth - 1) for part in value]

    def set_items(self, target: Any, pairs: list) -> None:
        """Key, value, key, value, ... into a dictionary."""
        target = target.items if type(target) is Stub else target
        if type(target) is not dict or len(pairs) % 2:
            raise ValueError(f"items for a {type(target).__name__}")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[checked_key(key, len(target))] = value

    def extend(self, target: Any, elements: list) -> None:
        """More elements of a list."""
        if type(target) is not list:
            raise ValueError(f"elements for a {type(target).__name__}")
        target.extend(elements)


_OPCODES: dict[bytes, Callable[[Machine], None]] = {}


def _opcode(*codes: bytes) -> Callable:
    def register(run: Callable[[Machine], None]) -> Callable[[Machine], None]:
        _OPCODES.update(dict.fromkeys(codes, run))
        return run

    return register


def _number(form: str) -> Callable[[Machine], Any]:
    """A function that reads the next number of a `struct` format."""
    size, unpack = struct.calcsize(form), struct.Struct(form).unpack
    return lambda m: unpack(m.read(size))[0]


_U1, _U2, _U4, _U8, _I4, _F8 = map(_number, ("<B", "<H", "<I", "<Q", "<i", ">d"))


def _simple_opcodes() -> None:
    """Opcodes that push one value, read one that follows them, or go to the memo."""
    for code, value in {b"N": None, b"\x88": True, b"\x89": False, b")": ()}.items():
        _OPCODES[code] = lambda m, value=value: m.stack.append(value)
    for code, make in {b"}": dict, b"]": list, b"\x8f": set}.items():
        _OPCODES[code] = lambda m, make=make: m.stack.append(make())
    for code, number in {b"J": _I4, b"K": _U1, b"M": _U2, b"G": _F8}.items():
        _OPCODES[code] = lambda m, number=number: m.stack.append(number(m))
    for code, size in {b"C": _U1, b"B": _U4, b"\x8e": _U8, b"\x96": _U8}.items():
        _OPCODES[code] = lambda m, size=size: m.stack.append(m.read(size(m)))
    for code, size in {b"\x8c": _U1, b"X": _U4, b"\x8d": _U8}.items():
        _OPCODES[code] = lambda m, size=size: m.stack.append(str(m.read(size(m)), "utf-8", "surrogatepass"))
    for code, size in {b"U": _U1, b"T": _U4}.items():
        _OPCODES[code] = lambda m, size=size: m.stack.append(str(m.read(size(m)), m.encoding))
    for code, size in {b"\x8a": _U1, b"\x8b": _U4}.items():
        _OPCODES[code] = lambda m, size=size: m.stack.append(decode_long(m.read(_digits(size(m)))))
    for code, n in {b"\x85": 1, b"\x86": 2, b"\x87": 3}.items():
        _OPCODES[code] = lambda m, n=n: m.stack.append(tuple([m.stack.pop() for _ in range(n)][::-1]))
    for code, make in {b"t": tuple, b"l": list, b"\x91": lambda m: frozenset(values.made_set(m))}.items():
        _OPCODES[code] = lambda m, make=make: m.push(make(m.marked()))
    for code, index in {b"h": _U1, b"j": _U4}.items():
        _OPCODES[code] = lambda m, index=index: m.stack.append(m.memo[index(m)])
    for code, index in {b"q": _U1, b"r": _U4}.items():
        _OPCODES[code] = lambda m, index=index: m.memo.__setitem__(index(m), m.stack[-1])
    _OPCODES[b"g"] = lambda m: m.stack.append(m.memo[int(m.line(MAX_DIGITS))])
    _OPCODES[b"p"] = lambda m: m.memo.__setitem__(int(m.line(MAX_DIGITS)), m.stack[-1])
    _OPCODES[b"\x94"] = lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1])
    _OPCODES[b"2"] = lambda m: m.stack.append(m.stack[-1])
    _OPCODES[b"L"] = lambda m: m.stack.append(int(m.line(MAX_DIGITS).rstrip(b"L")))
    _OPCODES[b"F"] = lambda m: m.stack.append(float(m.line(MAX_DIGITS)))
    _OPCODES[b"V"] = lambda m: m.stack.append(str(m.line(), "raw-unicode-escape"))
    _OPCODES[b"1"] = lambda m: m.marked()


def _digits(n: int) -> int:
    if n > MAX_DIGITS:
        raise ValueError(f"a number of {n} bytes")
    return n


_simple_opcodes()


@_opcode(b"\x80")
def _proto(m: Machine) -> None:
    if (version := m.read(1)[0]) > 5:
        raise ValueError(f"pickle protocol {version}")


@_opcode(b"\x95")
def _frame(m: Machine) -> None:
    if (n := int.from_bytes(m.read(8), "little")) > m.left:
        raise m.error(f"truncated or damaged: {n} bytes announced, {m.left} left")


@_opcode(b"I")
def _int(m: Machine) -> None:
    line = m.line(MAX_DIGITS)
    m.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))


@_opcode(b"S")
def _string(m: Machine) -> None:
    line = m.line()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    m.stack.append(str(codecs.escape_decode(line[1:-1])[0], m.encoding))


@_opcode(b"(")
def _mark(m: Machine) -> None:
    m.below.append(m.stack)
    m.stack = []


@_opcode(b"0")
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.marked()


@_opcode(b"d")
def _dict(m: Machine) -> None:
    pairs = m.marked()
    m.stack.append({})
    m.set_items(m.stack[-1], pairs)


@_opcode(b"\x90")
def _add_items(m: Machine) -> None:
    members = m.marked()
    if type(m.stack[-1]) is not set:
        raise ValueError("members for something that is no set")
    n = len(m.stack[-1]) + len(members)
    m.stack[-1].update(checked_key(member, n) for member in members)


@_opcode(b"a")
def _append(m: Machine) -> None:
    value = m.stack.pop()
    m.extend(m.stack[-1], [value])


@_opcode(b"e")
def _appends(m: Machine) -> None:
    elements = m.marked()
    m.extend(m.stack[-1], elements)


@_opcode(b"s")
def _set_item(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.set_items(m.stack[-1], [key, value])


@_opcode(b"u")
def _set_items(m: Machine) -> None:
    pairs = m.marked()
    m.set_items(m.stack[-1], pairs)


@_opcode(b"c")
def _global(m: Machine) -> None:
    m.stack.append(m.find(str(m.line(MAX_DIGITS), "utf-8"), str(m.line(MAX_DIGITS), "utf-8")))


@_opcode(b"\x93")
def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.stack.append(m.find(module, name))


@_opcode(b"R", b"\x81")
def _reduce(m: Machine) -> None:  # REDUCE of a function, NEWOBJ of a class: the same here
    args, kind = m.stack.pop(), m.stack.pop()
    m.stack.append(m.call(kind, args))


@_opcode(b"i")
def _inst(m: Machine) -> None:
    kind = m.find(str(m.line(MAX_DIGITS), "utf-8"), str(m.line(MAX_DIGITS), "utf-8"))
    args = tuple(m.marked())
    m.stack.append(m.call(kind, args))


@_opcode(b"o")
def _obj(m: Machine) -> None:
    kind, *args = m.marked()
    m.stack.append(m.call(kind, tuple(args)))


@_opcode(b"b")
def _build(m: Machine) -> None:
    state, target = m.stack.pop(), m.stack[-1]
    m.spend(state)
    if type(target) is Stub:
        target.state = state
    elif type(target) is np.ndarray:
        values.fill_array(target, state)
    elif type(target) is DType:
        target.set_state(state)
    else:
        raise ValueError(f"a state for a {type(target).__name__}")


@_opcode(b"Q")
def _persistent(m: Machine) -> None:
    if m.persistent is None:
        raise ValueError("a persistent id")
    m.stack.append(m.persistent(m.stack.pop()))
