"""`dataset.json`, and which shards a data set is made of: all of it can be rebuilt from the shards."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py

from synthforge import __version__
from synthforge.conventions import CLASSES, N_LANDMARKS
from synthforge.errors import DatasetError
from synthforge.landmark_sets import dense_set
from synthforge.licences import of_dataset
from synthforge.provenance import differences, files_sha256
from synthforge.storage.schema import SCHEMA_VERSION, Layout
from synthforge.storage.writer import write_atomically

INDEX, CONFIG = "dataset.json", "config.yaml"
KEYS = (
    *("schema_version", "name", "created", "synthforge_version", "generator", "seed", "n_samples"),
    *("resolution", "classes", "landmark_schemes", "attributes", "shards", "rejected", "config_sha256"),
)
LANDMARK_SCHEMES = {
    "landmarks_2d": {"scheme": "ibug68", "n_points": N_LANDMARKS, "jaw": "fixed on the mesh"},
    "landmarks_3d": {"scheme": "ibug68", "n_points": N_LANDMARKS, "jaw": "fixed on the mesh"},
    "landmarks_contour_2d": {"scheme": "ibug68 jaw (0-16)", "n_points": 17, "jaw": "visible contour"},
}


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a data set of `n` samples; `done` where it is already published."""

    number: int
    first_index: int
    n_samples: int
    done: bool

    @property
    def file(self) -> str:
        return f"shards/shard-{self.number:06d}.h5"


def plan_shards(out: Path, n: int, shard_size: int) -> list[ShardPlan]:
    """Shards of samples 0 .. n-1. Published ones keep what they hold (the last of an earlier,
    smaller run may be short); the rest are `shard_size` long.

    Raises:
        DatasetError: the folder already holds more than `n` samples.
    """
    plans: list[ShardPlan] = []
    first = 0
    while first < n:
        plan = ShardPlan(len(plans), first, min(shard_size, n - first), False)
        path = out / plan.file
        if path.exists():
            n_samples = shard_attributes(path)["n_samples"]
            plan = ShardPlan(plan.number, first, n_samples, True)
        plans.append(plan)
        first += plan.n_samples
    beyond = out / ShardPlan(len(plans), 0, 0, False).file
    if first > n or beyond.exists():
        raise DatasetError(
            f"holds samples beyond the {n} asked for", where=str(out), fix="ask for more, or another --out"
        )
    return plans


def shard_attributes(path: Path) -> dict[str, Any]:
    """File attributes of a published shard, JSON ones decoded.

    Raises:
        DatasetError: it cannot be read, or is not a complete shard of this schema.
    """
    fix = "move it away and run the same generate command again to have it made anew"
    try:
        with h5py.File(path, "r") as file:
            attributes = {key: file.attrs[key] for key in file.attrs}
    except (OSError, RuntimeError, KeyError) as error:
        raise DatasetError("cannot be read as HDF5", where=str(path), fix=fix) from error
    try:
        if attributes["complete"] and int(attributes["schema_version"]) == SCHEMA_VERSION:
            return {
                "first_index": int(attributes["first_index"]),
                "n_samples": int(attributes["n_samples"]),
                "config_sha256": str(attributes["config_sha256"]),
                "synthforge_version": str(attributes["synthforge_version"]),
                "generator": json.loads(attributes["generator"]),
                "rejected": json.loads(attributes["rejected"]),
            }
    except (KeyError, ValueError, TypeError):
        pass  # an attribute is missing or damaged
    what = f"is not a complete shard of schema version {SCHEMA_VERSION}"
    raise DatasetError(what, where=str(path), fix=fix)


def read_index(out: Path) -> dict[str, Any] | None:
    """`dataset.json`, or None where there is none yet.

    Raises:
        DatasetError: it is not valid JSON, lacks a key, or is of another schema version.
    """
    path, fix = out / INDEX, "delete it and run generate again: it is rebuilt"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        version = index.get("schema_version")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"is damaged ({error})", where=str(path), fix=fix) from error
    if version != SCHEMA_VERSION:
        raise DatasetError(f"schema version {version}, expected {SCHEMA_VERSION}", where=str(path))
    if missing := [key for key in KEYS if key not in index]:
        raise DatasetError(f"is damaged ({', '.join(missing)} missing)", where=str(path), fix=fix)
    return index


def check_shards(
    out: Path, plans: list[ShardPlan], config: dict, config_sha256: str, generator: dict
) -> Counter[str]:
    """Rejected draws by reason in the published shards of `plans`.

    Raises:
        DatasetError: a shard is damaged or was made by another configuration, asset or version.
    """
    rejected: Counter[str] = Counter()
    for plan in (plan for plan in plans if plan.done):
        attributes = shard_attributes(out / plan.file)
        expected = {"config_sha256": config_sha256, "generator": generator}
        expected |= {"synthforge_version": __version__, "first_index": plan.first_index}
        for key, value in expected.items():
            if attributes[key] != value:
                changes = _changes(attributes[key], value, config)
                raise DatasetError(
                    f"was made with another {key} ({changes})",
                    where=str(out / plan.file),
                    fix="use another --out, or the version and options it was begun with",
                )
        rejected.update(attributes["rejected"])
    return rejected


def _changes(before: Any, now: Any, config: dict) -> str:
    """What differs; a folder of the user's whose files did is named instead of its hash."""
    folders = {f"assets.{key}": value for key, value in _leaves(config)}
    lines = [(line.partition(":")[0], line) for line in differences(before, now)]
    return "; ".join(f"other files in {folders[key]}" if key in folders else line for key, line in lines)


def _leaves(config: dict) -> Iterator[tuple[str, Any]]:
    """Values of nested dicts with their own keys."""
    for key, value in config.items():
        yield from _leaves(value) if isinstance(value, dict) else [(key, value)]


def _landmark_schemes(layout: Layout) -> dict[str, dict]:
    dense = ("landmarks_dense_2d", "landmarks_dense_3d") if layout.dense else ()
    return LANDMARK_SCHEMES | {name: dense_set().about for name in dense}


def write_index(
    out: Path, plans: list[ShardPlan], layout: Layout, config: dict, config_sha256: str, generator: dict
) -> dict[str, Any]:
    """Build `dataset.json` from the published shards of `plans` and replace it atomically.

    Shards that the present index knows keep their recorded hash; others are hashed.

    Raises:
        DatasetError: a shard is damaged or was made by another configuration or version.
    """
    old = read_index(out) or {}
    known = {shard["file"]: shard for shard in old.get("shards", [])}
    rejected = check_shards(out, plans, config, config_sha256, generator)
    shards = []
    for plan in (plan for plan in plans if plan.done):
        path = out / plan.file
        sha256 = known[plan.file]["sha256"] if plan.file in known else files_sha256(path)
        shards.append(
            {
                "file": plan.file,
                "first_index": plan.first_index,
                "n_samples": plan.n_samples,
                "sha256": sha256,
            }
        )
    index = {
        "schema_version": SCHEMA_VERSION,
        "name": config["name"],
        "created": old.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
        "synthforge_version": __version__,
        "generator": generator,
        "seed": config["seed"],
        "n_samples": sum(shard["n_samples"] for shard in shards),
        "resolution": layout.resolution,
        "classes": [{"id": c.id, "name": c.name, "color": list(c.color)} for c in CLASSES],
        "landmark_schemes": _landmark_schemes(layout),
        "attributes": layout.attributes,
        "shards": shards,
        "rejected": dict(sorted(rejected.items())),
        "config_sha256": config_sha256,
        "licences": of_dataset(generator, config),
    }
    write_atomically(out / INDEX, json.dumps(index, indent=1, allow_nan=False) + "\n")
    return index
