"""The one exception users see: what was wrong, where, and what to do."""

import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType


class SynthforgeError(Exception):
    """An error a user can act on; the command line prints it in one line, without a traceback.

    Args:
        what: what was wrong, with the value received.
        where: the file, key, option or function it was found in.
        fix: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = ""):
        self.what, self.where, self.fix = what, where, fix
        super().__init__((f"{where}: " if where else "") + what + (f"; {fix}" if fix else ""))


class ConfigError(SynthforgeError):
    """A configuration file or option is wrong."""


class GeometryError(SynthforgeError):
    """Geometry that cannot be: a point behind the camera, a degenerate mesh."""


class DatasetError(SynthforgeError):
    """A data set, shard or annotation file is missing, damaged or does not fit."""


class AssetError(SynthforgeError):
    """A model file or an optional dependency is missing or not what it claims to be."""


@contextmanager
def unforeseen(where: str, fix: str = "") -> Iterator[None]:
    """Errors inside that nobody foresaw become one line that names `where` and the place in the code."""
    try:
        yield
    except SynthforgeError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        what = f"{type(error).__name__}: {' '.join(str(error).split())} ({place})"
        raise SynthforgeError(what, where=where, fix=fix) from error


def nearest(word: object, known: Iterable[str], synonyms: Mapping[str, str] = MappingProxyType({})) -> str:
    """` (did you mean 'x'?)` with the known word that is most like `word`; nothing where none is."""
    known = list(known)
    meant = synonyms.get(str(word).lower())
    close = [meant] if meant in known else get_close_matches(str(word), known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def one_of(word: object, known: Iterable[str], synonyms: Mapping[str, str] = MappingProxyType({})) -> str:
    """What to do about an unknown word: the allowed ones, and the nearest of them."""
    return f"use one of: {', '.join(known)}{nearest(word, known, synonyms)}"
