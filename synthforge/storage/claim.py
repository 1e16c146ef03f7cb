"""Whose a folder is: one configuration's, and one run's at a time."""

import fcntl
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthforge import strict_yaml
from synthforge.errors import ConfigError, DatasetError
from synthforge.provenance import differences
from synthforge.storage.files import publish
from synthforge.storage.index import CONFIG
from synthforge.storage.shards import require_current, shard_attributes

_OTHER = "choose another --out"


_LOG = logging.getLogger(__name__)


@contextmanager
def locked(out: Path, shared: bool) -> Iterator[bool]:
    """Make the folder. One whole run in it, or several `--shards` runs, at a time; gone with the process.

    Gives whether the file system can lock.

    Raises:
        DatasetError: another run is at work in it, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise DatasetError(f"cannot be used ({error.strerror})", where=str(out), fix=_OTHER) from error
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(
                "is being written by another run", where=str(out), fix="wait for it"
            ) from error
        except OSError as error:
            _LOG.warning(
                "%s: no file locks here (%s); do not start the same run twice at a time", out, error.strerror
            )
            yield False
        else:
            yield True
    finally:
        with suppress(OSError):
            os.close(handle)


@contextmanager
def shards_locked(out: Path, first: int, last: int | None) -> Iterator[None]:
    """Shards first .. last-1 (None: all) are this run's alone; where another run has some, it waits for it.

    The lock is on as many bytes of `config.yaml`, and of its open file: it needs no file of its own, and
    goes with the process. Without locks runs do the same work twice, but each publishes whole shards.

    Raises:
        DatasetError: `config.yaml` cannot be opened.
    """
    try:
        handle = os.open(out / CONFIG, os.O_RDWR)
    except OSError as error:
        raise DatasetError(
            f"cannot be used ({error.strerror})", where=str(out / CONFIG), fix=_OTHER
        ) from error
    # C's `struct flock`: type of lock, what the start counts from, start, length (0: to the end), process
    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, first, last - first if last else 0, 0)
    try:
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, wanted)
        except BlockingIOError:
            _LOG.warning("%s: another run makes these shards; waiting for it to end", out)
            fcntl.fcntl(handle, fcntl.F_OFD_SETLKW, wanted)
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        with suppress(OSError):
            os.close(handle)


def claim(out: Path, config: dict, alone: bool = True) -> None:
    """Begin the folder `out` with this configuration, or recognise it as begun with the same.

    One that holds no shard yet changes its configuration, if no other run can be at work in it (`alone`).

    Raises:
        DatasetError: it holds something else, was begun with another configuration (the
            message names the keys), or cannot be written.
    """
    path = out / CONFIG
    text = strict_yaml.to_text(config)
    try:
        held = [p.name for p in out.iterdir() if p.name != "shards" and not p.name.endswith(".tmp")]
        before = strict_yaml.read(path) if path.exists() else None
        if held and before is None:
            what = f"is not empty and not a synthforge data set (it holds {held[0]!r})"
            raise DatasetError(what, where=str(out), fix=_OTHER)
        (out / "shards").mkdir(exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot be used ({error.strerror})", where=str(out), fix=_OTHER) from error
    except ConfigError as error:
        raise DatasetError("is not a synthforge configuration", where=str(path), fix=_OTHER) from error
    if before == strict_yaml.parse(text, str(path)):
        return
    ours = isinstance(before, dict) and before.keys() == config.keys()
    empty = not any((out / "shards").glob("*.h5"))
    if before is None or (alone and ours and empty):
        publish(path, text.encode())
    else:
        for shard in sorted((out / "shards").glob("*.h5"))[:1]:
            require_current(shard_attributes(shard), out)
        raise DatasetError(
            f"was begun with another configuration ({'; '.join(differences(before, config))})",
            where=str(out),
            fix="choose another --out, or give the options it was begun with",
        )
