"""Which shards a data set is made of, and whether those that are there belong to it."""

import errno
import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from synthforge import __version__
from synthforge.errors import DatasetError
from synthforge.provenance import differences
from synthforge.storage.schema import READABLE, SCHEMA_VERSION


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a data set; `done` where it is published, `sha256` where this run made its bytes."""

    number: int
    first_index: int
    n_samples: int
    done: bool
    sha256: str = ""

    @property
    def file(self) -> str:
        return f"shards/shard-{self.number:06d}.h5"


@dataclass(frozen=True)
class Origin:
    """What a data set is made by: its configuration in plain form, the hash of that, and the generator as
    `dataset.json` states it."""

    config: dict[str, Any]
    config_sha256: str
    generator: dict[str, Any]


def plan_shards(out: Path, n: int, shard_size: int) -> list[ShardPlan]:
    """Shards of samples 0 .. n-1. Published ones keep what they hold (the last of an earlier, smaller run
    may be short); the rest are `shard_size` long, or fill what is missing between published ones.

    Raises:
        DatasetError: the folder already holds more than `n` samples.
    """
    names = (path.stem.removeprefix("shard-") for path in (out / "shards").glob("shard-*.h5"))
    numbers = sorted(int(name) for name in names if name.isdigit())
    plans: list[ShardPlan] = []
    first = 0
    while first < n:
        plan = ShardPlan(len(plans), first, min(shard_size, n - first), False)
        later = numbers[bisect_left(numbers, plan.number) :]
        if later and later[0] == plan.number:
            plan = replace(plan, n_samples=shard_attributes(out / plan.file)["n_samples"], done=True)
        elif later:  # the samples up to the next published shard, at least one in each shard between
            following = replace(plan, number=later[0])
            room = shard_attributes(out / following.file)["first_index"] - first
            room -= following.number - plan.number - 1
            plan = replace(plan, n_samples=max(1, min(plan.n_samples, room)))
        plans.append(plan)
        first += plan.n_samples
    if first > n or (numbers and numbers[-1] >= len(plans)):
        raise DatasetError(
            f"holds samples beyond the {n} asked for", where=str(out), fix="ask for more, or another --out"
        )
    return plans


def shard_attributes(path: Path) -> dict[str, Any]:
    """File attributes of a published shard, JSON ones decoded.

    Raises:
        DatasetError: it cannot be read, or is not a complete shard of a schema that is understood.
    """
    fix = "move it away and run the same generate command again to have it made anew"
    try:
        with h5py.File(path, "r") as file:
            attributes: dict[str, Any] = {key: file.attrs[key] for key in file.attrs}
    except (OSError, RuntimeError, KeyError) as error:
        if refused := refusal(error, path):
            raise refused from error
        raise DatasetError("cannot be read as HDF5", where=str(path), fix=fix) from error
    try:
        if attributes["complete"] and int(attributes["schema_version"]) in READABLE:
            return {
                "schema_version": int(attributes["schema_version"]),
                "first_index": int(attributes["first_index"]),
                "n_samples": int(attributes["n_samples"]),
                "config_sha256": str(attributes["config_sha256"]),
                "synthforge_version": str(attributes["synthforge_version"]),
                "generator": json.loads(attributes["generator"]),
                "rejected": json.loads(attributes["rejected"]),
            }
    except (KeyError, ValueError, TypeError):
        pass  # an attribute is missing or damaged
    what = f"is not a complete shard of schema version {' or '.join(map(str, READABLE))}"
    raise DatasetError(what, where=str(path), fix=fix)


def refusal(error: Exception, path: Path) -> DatasetError | None:
    """What to say where the operating system did not let a shard be read; None where its bytes are wrong."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        return None
    if number in (errno.EAGAIN, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
        what = "is locked by another program, or lies on a file system without locks"
        fix = "close that program, or set the environment variable HDF5_USE_FILE_LOCKING=FALSE"
    elif number in (errno.EACCES, errno.EPERM):
        what, fix = "may not be read", "change its permissions"
    else:
        what = f"cannot be read ({os.strerror(number)})"
        fix = "look to the disk or its connection, then run the same command again"
    return DatasetError(what, where=str(path), fix=fix)


def require_current(attributes: dict[str, Any], out: Path) -> None:
    """Raise DatasetError where a shard's attributes are of a schema version that is only read."""
    if (version := attributes["schema_version"]) != SCHEMA_VERSION:
        what, fix = f"schema version {version} can be read, not extended", "use another --out"
        raise DatasetError(what, where=str(out), fix=fix)


def check_shards(out: Path, plans: list[ShardPlan], origin: Origin) -> Counter[str]:
    """Rejected draws by reason in the published shards of `plans`.

    Raises:
        DatasetError: a shard is damaged or was made by another configuration, asset or version.
    """
    rejected: Counter[str] = Counter()
    for plan in (plan for plan in plans if plan.done):
        attributes = shard_attributes(out / plan.file)
        require_current(attributes, out)
        expected = {"config_sha256": origin.config_sha256, "generator": origin.generator}
        expected |= {"synthforge_version": __version__}
        expected |= {"first_index": plan.first_index, "n_samples": plan.n_samples}
        for key, value in expected.items():
            if attributes[key] != value:
                raise DatasetError(
                    f"was made with another {key} ({_changes(attributes[key], value, origin.config)})",
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
