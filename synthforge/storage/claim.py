"""Whose a folder is: one configuration's, and one run's at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthforge import strict_yaml
from synthforge.errors import ConfigError, DatasetError
from synthforge.provenance import differences
from synthforge.storage.files import write_atomically
from synthforge.storage.index import CONFIG

_OTHER = "choose another --out"


@contextmanager
def locked(out: Path, shared: bool) -> Iterator[None]:
    """Make the folder. One whole run in it, or several `--shards` runs, at a time; gone with the process.

    Raises:
        DatasetError: another run is at work in it, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise DatasetError(f"cannot be used ({error.strerror})", where=str(out), fix=_OTHER) from error
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise DatasetError("is being written by another run", where=str(out), fix="wait for it") from error
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
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
        write_atomically(path, text)
    else:
        raise DatasetError(
            f"was begun with another configuration ({'; '.join(differences(before, config))})",
            where=str(out),
            fix="choose another --out, or give the options it was begun with",
        )
