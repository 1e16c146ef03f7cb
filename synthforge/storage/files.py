"""Writing that is whole or not there, and says where it failed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthforge.errors import DatasetError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Failures of the operating system and of HDF5 in writing, as errors that name the path."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise DatasetError(
            f"cannot be written ({' '.join(str(error).split())})",
            where=str(path),
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
    with storage_errors(path):
        try:
            partial.write_text(text, encoding="utf-8")
            sync(partial)
            partial.replace(path)
            sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
