"""Converted heads in the asset store: written whole, with a stamp of what they were made from."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from synthforge.errors import AssetError


def stamp(path: Path) -> tuple[str, int] | None:
    """sha256 of the source, and the version of the conversion; None if the file cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return str(data["source_sha256"]), int(data["conversion"])
    except (KeyError, ValueError, OSError, zipfile.BadZipFile):
        return None


def write(path: Path, arrays: dict[str, Any]) -> None:
    """Replace the file at once, so that a run that stops leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def require_version(path: Path, conversion: int, asset: str) -> None:
    """
    Raises:
        AssetError: the file cannot be read, or another version of the conversion wrote it.
    """
    found = stamp(path)
    if found is None or found[1] != conversion:
        raise AssetError(
            "damaged, or converted by another version of synthforge", where=str(path),
            fix=f"run again: synthforge assets add {asset} PATH",
        )  # fmt: skip
