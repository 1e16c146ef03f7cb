"""Whether results can be written where they are asked for, before any work."""

import os
import tempfile
from pathlib import Path

from synthforge.errors import ConfigError


def require_writable(out: Path, folder: bool = True) -> None:
    """Check that a folder, or a file, can be made or written; nothing is left behind.

    Raises:
        ConfigError: it cannot; the message names the path and why.
    """
    try:
        _try(out, folder)
    except OSError as error:
        raise ConfigError(
            f"{str(out)!r} cannot be written ({error.strerror})", where="--out", fix="choose another place"
        ) from error


def _try(out: Path, folder: bool) -> None:
    if os.path.lexists(out):
        if not folder:
            os.close(os.open(out, os.O_WRONLY | os.O_APPEND))
            return
        nearest = out
    else:
        nearest = next(parent for parent in out.absolute().parents if os.path.lexists(parent))
        longest = max(len(os.fsencode(part)) for part in out.parts)
        if longest > os.pathconf(nearest, "PC_NAME_MAX"):
            os.stat(nearest / ("x" * longest))  # raises: name too long
    with tempfile.TemporaryFile(dir=nearest) as file:
        file.write(b"0")
