"""Pickles as data: an allow-list reader that builds plain values, and imports or calls nothing a file names.

The parts: `pickle_machine.py` runs the opcodes, `pickle_values.py` has the functions that every pickle may
call (Python's containers, numpy's arrays); callers add their own. Here are the files and their packings.
"""

import gzip
import io
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synthforge.errors import AssetError
from synthforge.licensed.pickle_machine import Machine
from synthforge.licensed.pickle_values import Stub, stub

__all__ = ["Stub", "parse_pickle", "read_pickle", "stub"]

MAX_BYTES = 4 << 30  # of a file, unpacked; the largest known one has about 1 GB
MAX_RATIO = 64  # unpacked to packed size of a gzip file; weights reach about 1.1, zeros 1000


def read_pickle(
    path: Path,
    allow: Mapping[tuple[str, str], Any],
    prefixes: Mapping[str, Callable] | None = None,
    encoding: str = "latin1",
) -> Any:
    """The value in a pickle file (plain or gzip; protocols 0 to 5; of Python 2 or 3).

    Python's own containers and numpy's arrays of numbers and objects are always read.

    Args:
        path: file.
        allow: (module, name) of a class or function -> our function that takes its arguments.
        prefixes: beginning of a module's name -> a function of (module, name) that gives such a function.
        encoding: of the byte strings of Python 2.

    Raises:
        AssetError: the file is damaged, too costly for its size, or names something else.
    """
    if not path.is_file():
        raise AssetError("no such file", where=str(path))
    try:
        with path.open("rb") as file:
            magic, size = file.read(4), os.fstat(file.fileno()).st_size
        if magic[:2] == b"\x1f\x8b":
            data = _unpacked(path, size)
            return Machine(io.BytesIO(data), len(data), str(path), allow, prefixes, encoding).load_only()
        if magic == b"PK\x03\x04":
            raise AssetError("a zip archive, not a pickle", where=str(path), fix="give the file inside it")
        if size > MAX_BYTES:
            raise AssetError(f"{size} bytes, more than {MAX_BYTES}", where=str(path))
        with path.open("rb") as file:
            return Machine(file, size, str(path), allow, prefixes, encoding).load_only()
    except OSError as error:
        raise AssetError(f"cannot be read: {error.strerror or error}", where=str(path)) from error


def parse_pickle(
    data: bytes,
    where: str,
    allow: Mapping[tuple[str, str], Any],
    prefixes: Mapping[str, Callable] | None = None,
    encoding: str = "latin1",
) -> Any:
    """The value in a pickle at hand, such as the body of an .npy file of objects; see `read_pickle`.

    Raises:
        AssetError: as `read_pickle`; `where` names the source.
    """
    return Machine(io.BytesIO(data), len(data), where, allow, prefixes, encoding).load_only()


def _unpacked(path: Path, packed: int) -> bytes:
    limit = min(MAX_BYTES, MAX_RATIO * packed + (1 << 20))
    chunks, total = [], 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(1 << 20):
                chunks.append(chunk)
                if (total := total + len(chunk)) > limit:
                    raise AssetError(f"unpacks to more than {limit} bytes", where=str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise AssetError(f"damaged gzip file: {error}", where=str(path), fix="get it again") from error
    return b"".join(chunks)
