"""Licences of all that images and models are made from: what the package ships, what users and other
packages add. Each data set records those it was made with; reports and model cards repeat them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution
from typing import Any

from synthforge.assets_store import ASSETS, AssetKind, asset_path
from synthforge.plugins import found

OURS = "Apache-2.0"
_AUTHORS = "the synthforge authors"
_PLUGINS = {"head": "synthforge.heads", "backend": "synthforge.backends", "layout": "synthforge.layouts"}


@dataclass(frozen=True)
class Licence:
    """One asset: its name, its licence (SPDX where it has such a name), where it is from, what it is for."""

    name: str
    licence: str
    source: str
    used_for: str


BUNDLED = (
    Licence("head anthro", OURS, f"{_AUTHORS}, from published anthropometry: NOTICE", "mesh, shapes, labels"),
    Licence("backend raster", OURS, _AUTHORS, "images: hair, clothes, worn things and places are procedural"),
    Licence("backend pathtrace", OURS, f"{_AUTHORS}; Mitsuba 3 (BSD-3-Clause) is an extra", "images"),
    Licence("backend next3d", OURS, f"{_AUTHORS}, after Sun et al. 2023; no weights", "the networks"),
    Licence("model shipped", OURS, f"{_AUTHORS}; trained on faces of head anthro alone", "predict, evaluate"),
    Licence(
        "points 300w", OURS, f"{_AUTHORS}, medians over annotations of 300-W: NOTICE",
        "training with `points: 300w`, as of the shipped model",
    ),
)  # fmt: skip


def ledger() -> list[Licence]:
    """What the package ships, the assets that the user has added, and the plug-ins of other packages.

    Raises:
        ConfigError: two packages give the same name to different things.
    """
    return [*BUNDLED, *map(_of_asset, _added()), *_of_plugins()]


def of_dataset(generator: Mapping[str, Any], config: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a data set was made with, as `dataset.json` holds it under `licences`.

    Args:
        generator: its `generator`: names of head and backend.
        config: its configuration: folders of the user's images.
    """
    used = []
    for kind in ("head", "backend"):
        name = f"{kind} {generator[kind]}"
        bundled = [licence for licence in (*BUNDLED, *_of_plugins()) if licence.name == name]
        assets = [_of_asset(asset) for asset in _added() if asset.key == generator[kind]]
        used += bundled + assets or [Licence(name, "not stated", "not known", "")]
    for key in ("backgrounds", "environments"):
        if folder := config.get(generator["backend"], {}).get(key):
            used.append(Licence(key, "that of these images", folder, "behind the heads, and their light"))
    return [asdict(licence) for licence in used]


def of_training(data: Sequence[list[dict[str, str]]], points: str) -> list[dict[str, str]]:
    """Those of several data sets, each once, and of the offsets that `points` of a training names."""
    offsets = [asdict(licence) for licence in BUNDLED if licence.name == f"points {points}"]
    return list({licence["name"]: licence for some in (*data, offsets) for licence in some}.values())


def _added() -> list[AssetKind]:
    return [kind for kind in ASSETS.values() if asset_path(kind.name).exists()]


def _of_asset(kind: AssetKind) -> Licence:
    return Licence(kind.name, kind.license, kind.published_at, kind.what)


def _of_plugins() -> list[Licence]:
    return [
        Licence(f"{kind} {name}", *_of_package(point.dist), f"entry point {point.value}")
        for kind, group in _PLUGINS.items()
        for name, point in found(group).items()
    ]


def _of_package(package: Distribution | None) -> tuple[str, str]:
    """Licence and source that a distribution states of itself."""
    if package is None:
        return "not stated", "not known"
    about = package.metadata.json
    licence = about.get("license_expression") or about.get("license") or "not stated"
    return str(licence), f"package {package.name} {package.version}"
