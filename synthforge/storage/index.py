"""`dataset.json`: what a data set holds; all of it can be rebuilt from the shards and the configuration."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synthforge import __version__
from synthforge.conventions import CLASSES, N_LANDMARKS
from synthforge.errors import DatasetError
from synthforge.landmark_sets import dense_set
from synthforge.licences import of_dataset
from synthforge.provenance import files_sha256
from synthforge.storage.files import publish
from synthforge.storage.schema import READABLE, SCHEMA_VERSION, Layout
from synthforge.storage.shards import Origin, ShardPlan, check_shards

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


def read_index(out: Path) -> dict[str, Any] | None:
    """`dataset.json`, or None where there is none yet. One of schema version 1 is given in the form of
    version 2, but for its number.

    Raises:
        DatasetError: it is not valid JSON, lacks a key, or is of a schema version that is not understood.
    """
    path, fix = out / INDEX, "delete it and run generate again: it is rebuilt"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        version = index.get("schema_version")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"is damaged ({error})", where=str(path), fix=fix) from error
    if version not in READABLE:
        raise DatasetError(
            f"schema version {version}, expected {' or '.join(map(str, READABLE))}",
            where=str(path),
            fix="read it with the version of synthforge that wrote it",
        )
    if missing := [key for key in KEYS if key not in index]:
        raise DatasetError(f"is damaged ({', '.join(missing)} missing)", where=str(path), fix=fix)
    if version == 1:
        for about in index["attributes"].values():
            if "values" in about:
                about["words"] = about.pop("values")
    return index


def write_index(out: Path, plans: list[ShardPlan], layout: Layout, origin: Origin) -> dict[str, Any]:
    """Build `dataset.json` from the published shards of `plans` and replace it atomically.

    The hash of a shard is that of the bytes this run meant to write, else what the present index says,
    else that of the file.

    Raises:
        DatasetError: a shard is damaged or was made by another configuration or version.
    """
    old = read_index(out) or {}
    known = {
        (shard["file"], shard["first_index"], shard["n_samples"]): shard["sha256"]
        for shard in old.get("shards", [])
    }
    rejected = check_shards(out, plans, origin)
    shards = [
        {
            "file": plan.file,
            "first_index": plan.first_index,
            "n_samples": plan.n_samples,
            "sha256": plan.sha256
            or known.get((plan.file, plan.first_index, plan.n_samples))
            or files_sha256(out / plan.file),
        }
        for plan in plans
        if plan.done
    ]
    index = {
        "schema_version": SCHEMA_VERSION,
        "name": origin.config["name"],
        "created": old.get("created") or datetime.now(UTC).isoformat(timespec="seconds"),
        "synthforge_version": __version__,
        "generator": origin.generator,
        "seed": origin.config["seed"],
        "n_samples": sum(shard["n_samples"] for shard in shards),
        "resolution": layout.resolution,
        "classes": [{"id": c.id, "name": c.name, "color": list(c.color)} for c in CLASSES],
        "landmark_schemes": _landmark_schemes(layout),
        "attributes": layout.attributes,
        "shards": shards,
        "rejected": dict(sorted(rejected.items())),
        "config_sha256": origin.config_sha256,
        "licences": of_dataset(origin.generator, origin.config),
    }
    publish(out / INDEX, (json.dumps(index, indent=1, allow_nan=False) + "\n").encode())
    return index


def _landmark_schemes(layout: Layout) -> dict[str, dict]:
    dense = ("landmarks_dense_2d", "landmarks_dense_3d") if layout.dense else ()
    return LANDMARK_SCHEMES | {name: dense_set().about for name in dense}
