"""Writing that is whole or not there, and says where it failed."""

import errno
import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthforge.errors import DatasetError

_BLOCK = 1 << 20


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


def publish(path: Path, data: bytes | memoryview) -> str:
    """Give a file its bytes; a reader, or a crash at any moment, sees the old file or the new one, whole.

    They are written beside it, forced to the disk, read back and compared before they get its name.

    Returns:
        SHA-256 of `data`.
    Raises:
        DatasetError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            _write(partial, memoryview(data))
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: memoryview) -> None:
    """A new file on the disk that is read again as `data`.

    Raises:
        OSError: some step failed, or other bytes are read than were written.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        rest = data
        while rest:
            n_written = os.write(handle, rest[: 64 * _BLOCK])
            if n_written == 0:
                raise OSError(errno.EIO, "nothing was written")
            rest = rest[n_written:]
        os.fsync(handle)
        with suppress(OSError):  # so that the disk is read, not the copy in memory
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(handle, 0, os.SEEK_SET)
        n_read = 0
        while (block := os.read(handle, _BLOCK)) and block == data[n_read : n_read + len(block)].tobytes():
            n_read += len(block)
        if block or n_read != len(data):
            raise OSError(errno.EIO, "other bytes are read than were written")
    except BaseException:
        with suppress(OSError):
            os.close(handle)
        raise
    os.close(handle)  # network file systems report a failed write here


def remove_stale(folder: Path, names: str, alone: bool) -> None:
    """Remove what dead runs left of files that match `names` in `folder`.

    Args:
        alone: no other run is at work here. Otherwise only what a dead process of this machine left goes.
    """
    ours = re.compile(rf"[^.]+\.[^.]+\.{re.escape(socket.gethostname())}\.(\d+)\.tmp")
    for partial in folder.glob(names + ".tmp"):
        writer = ours.fullmatch(partial.name)
        if alone or (writer and not _alive(int(writer[1]))):
            with suppress(OSError):
                partial.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True
