"""Where licensed model files that users bring are kept: one file or folder per asset, in one folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from synthforge.errors import AssetError, ConfigError


@dataclass(frozen=True)
class Part:
    """A file of the owner's that an asset is made from, what it is for, and where its owner publishes it."""

    file: str
    purpose: str
    published_at: str


@dataclass(frozen=True)
class AssetKind:
    """A model that users bring: its place in the store, what it is, its licence, its owner's address.

    `module` has install_KEY(*paths) -> (place in the store, whether it is new) and check_KEY(place) -> one
    line on it; both raise AssetError.
    """

    name: str
    file: str
    what: str
    license: str
    published_at: str
    module: str
    key: str
    parts: tuple[Part, ...]
    next_step: str

    def install(self, paths: Sequence[Path]) -> tuple[Path, bool]:
        """Convert the owner's files into the store; returns their place and whether it is new.

        Raises:
            AssetError: the files are not what the asset is made of.
            ConfigError: several paths for an asset of one part.
        """
        if len(self.parts) == 1 != len(paths):
            raise ConfigError(f"{len(paths)} paths", where=f"assets add {self.name}", fix="give one")
        return getattr(import_module(self.module), f"install_{self.key}")(*paths)

    def check(self) -> str:
        """One line on what is installed.

        Raises:
            AssetError: it is damaged.
        """
        return getattr(import_module(self.module), f"check_{self.key}")(asset_path(self.name))


_ICT, _NEXT3D = "https://github.com/ICT-VGL/ICT-FaceKit", "https://github.com/MrTornado24/Next3D"
_GNM, _GNM_CODE = "https://huggingface.co/google/gnm-v3", "https://github.com/google/GNM"
_FLAME, _RINGNET = "https://flame.is.tue.mpg.de", "https://github.com/soubhiksanyal/RingNet"
ASSETS = {
    kind.name: kind
    for kind in [
        AssetKind(
            "ict-facekit", "ict.npz", "ICT Face Model Light (head `ict`)", "MIT", _ICT,
            "synthforge.heads.ict", "ict",
            (Part("a clone of the repository", "meshes, identities and expressions", _ICT),),
            "synthforge generate --head ict",
        ),
        AssetKind(
            "next3d", "next3d", "Next3D generator (backend `next3d`)",
            "none stated for the weights: ask their owners before you use or pass them on", _NEXT3D,
            "synthforge.licensed.next3d_file", "next3d",
            (Part("next3d_ffhq_512.pkl", "networks, their mesh topology and the mask of the face", _NEXT3D),),
            "synthforge generate --backend next3d",
        ),
        AssetKind(
            "flame", "flame.npz", "FLAME head (head `flame`)",
            "FLAME's own for research (2020, 2023), or CC-BY-4.0 (2023 Open)", _FLAME,
            "synthforge.heads.flame", "flame",
            (
                Part("generic_model.pkl or flame2023*.pkl", "mesh, shapes, expressions, joints", _FLAME),
                Part("FLAME_masks.pkl", "regions of the mesh, from which the classes are made", _FLAME),
                Part("FLAME_texture.npz or head_template.obj", "uv layout", _FLAME),
                Part("flame_static_embedding.pkl", "51 landmarks inside the face", _RINGNET),
                Part("flame_dynamic_embedding.npy", "17 landmarks of the jaw line, by yaw", _RINGNET),
            ),
            "synthforge generate --head flame",
        ),
        AssetKind(
            "gnm", "gnm.npz", "GNM head (head `gnm`)", "Apache-2.0", _GNM, "synthforge.heads.gnm", "gnm",
            (
                Part("gnm_head.npz", "mesh, shapes, expressions, joints, uv, vertex groups", _GNM),
                Part("head_sparse_68.txt", "68 landmarks, in gnm/shape/data/landmarks", _GNM_CODE),
            ),
            "synthforge generate --head gnm",
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
    if not path.exists():
        raise AssetError(
            f"{kind.what} is not installed", where=str(path),
            fix=f"get it from {kind.published_at} and run: synthforge assets add {name} PATH",
        )  # fmt: skip
    return path


def require_assets(*names: str) -> None:
    """
    Raises:
        AssetError: some are not in the store; all of them are named.
    """
    if missing := [asset_kind(name) for name in names if not asset_path(name).exists()]:
        raise AssetError(
            f"not installed: {'; '.join(kind.what for kind in missing)}", where=str(store_dir()),
            fix="synthforge assets check says what they are made of and where to get it; then run: "
            + "; ".join(f"synthforge assets add {kind.name} PATH" for kind in missing),
        )  # fmt: skip
