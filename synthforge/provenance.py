"""What made something, as hashes: files, folders of files, arrays, configurations, data sets.

Every function returns a SHA-256 as 64 hexadecimal digits. Nothing is cached: hash once per run.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from synthforge.config import to_dict
from synthforge.errors import AssetError

_CHUNK = 1 << 20
_READERS = 8  # threads: hashing and reading both release the interpreter


def files_sha256(*paths: Path) -> str:
    """Hash of the bytes of files, one after the other; of one file, what `sha256sum` prints.

    Raises:
        AssetError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise AssetError(f"cannot be read ({error.strerror})", where=str(path)) from error
    return digest.hexdigest()


def folder_sha256(folder: Path, files: Sequence[Path]) -> str:
    """Hash of the names below `folder`, and the bytes, of these of its files, in any order.

    Another file under the same name, even of the same length, gives another hash; a moved or copied
    folder gives the same.

    Raises:
        AssetError: a file cannot be read.
    """
    files = sorted(files)
    with ThreadPoolExecutor(_READERS) as pool:
        hashes = pool.map(files_sha256, files)
        named = {f.relative_to(folder).as_posix(): sha for f, sha in zip(files, hashes, strict=True)}
    return value_sha256(named)


def value_sha256(value: Any) -> str:
    """Hash of plain data (what JSON can hold), independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def config_sha256(config: Any) -> str:
    """Hash of a resolved configuration, independent of the order of keys and of formatting."""
    return value_sha256(to_dict(config))


def arrays_sha256(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    """Hash of named arrays: names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """`key: old, now new` for every leaf of two nested dicts that differs; empty where they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = dict.fromkeys([*before, *now])
        return [
            line
            for name in names
            for line in differences(before.get(name), now.get(name), f"{key}.{name}".lstrip("."))
        ]
    return [] if before == now else [f"{key or 'everything'}: {before!r}, now {now!r}"]


def dataset_sha256(index: Mapping[str, Any]) -> str:
    """Hash of every byte of a generated data set's shards, by the hashes that its `dataset.json` holds."""
    return hashlib.sha256("".join(shard["sha256"] for shard in index["shards"]).encode()).hexdigest()
