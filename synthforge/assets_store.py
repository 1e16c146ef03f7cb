"""Where licensed model files that users bring are kept: one file per asset, in one folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from synthforge.errors import AssetError, ConfigError


@dataclass(frozen=True)
class AssetKind:
    """A model that users bring: its file in the store, what it is, its licence, its owner's address."""

    name: str
    file: str
    what: str
    license: str
    published_at: str


ASSETS = {
    kind.name: kind
    for kind in [
        AssetKind(
            "ict-facekit", "ict.npz", "ICT Face Model Light (head `ict`)", "MIT",
            "https://github.com/ICT-VGL/ICT-FaceKit",
        ),
    ]
}  # fmt: skip


def store_dir() -> Path:
    """Folder of the user's assets: $SYNTHFORGE_HOME, else synthforge in $XDG_DATA_HOME or ~/.local/share."""
    if home := os.environ.get("SYNTHFORGE_HOME"):
        return Path(home).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "synthforge"


def asset_kind(name: str) -> AssetKind:
    """Asset by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in ASSETS:
        raise ConfigError(f"unknown asset {name!r}", where="assets", fix=f"use one of: {', '.join(ASSETS)}")
    return ASSETS[name]


def asset_path(name: str) -> Path:
    """Where an asset lies in the store, whether or not it is there."""
    return store_dir() / asset_kind(name).file


def require_asset(name: str) -> Path:
    """Where an asset lies in the store.

    Raises:
        AssetError: it is not there.
    """
    path, kind = asset_path(name), asset_kind(name)
    if not path.is_file():
        raise AssetError(
            f"{kind.what} is not installed", where=str(path),
            fix=f"get it from {kind.published_at} and run: synthforge assets add {name} PATH",
        )  # fmt: skip
    return path
