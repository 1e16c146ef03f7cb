"""The generating run: samples from worker processes, in order, into shards.

A sample is a pure function of (config, seed, index). Workers make samples, the parent writes
them: a shard's bytes do not depend on the number of workers, nor on being stopped and resumed.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from synthforge.config import to_dict
from synthforge.errors import ConfigError
from synthforge.provenance import config_sha256
from synthforge.storage.claim import claim, locked, shards_locked
from synthforge.storage.files import remove_stale
from synthforge.storage.index import CONFIG, INDEX, write_index
from synthforge.storage.job import Job
from synthforge.storage.ray_tasks import shards_by_ray
from synthforge.storage.shards import Origin, check_shards, plan_shards
from synthforge.storage.source import SampleSource


@dataclass(frozen=True)
class RunSummary:
    """What a run did; `missing` counts shards that other runs have yet to make."""

    out: Path
    n_samples: int
    n_made: int
    missing: int
    rejected: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def run(
    source: SampleSource,
    config: Any,
    out: Path,
    n: int,
    workers: int = 1,
    shards: tuple[int, int] | None = None,
    engine: Literal["local", "ray"] = "local",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RunSummary:
    """Make samples 0 .. n-1 that `out` does not hold yet; the same call resumes a stopped run.

    Args:
        source: makes the samples.
        config: dataclass with at least name, seed and shard_size; everything that decides the
            samples. `n` is not part of it: a finished data set can be extended.
        out: new, empty, or begun with the same configuration.
        n: samples wanted in all.
        workers: processes of one thread each; 0 works in this process.
        shards: only shards a .. b-1; the index is written by the run that completes the set.
        engine: "local" processes, or "ray": one task per shard on the cluster that RAY_ADDRESS names
            (this machine without it); all its machines must share the file system of `out`.
        progress: called with (samples present, samples wanted) after each sample.
    Raises:
        DatasetError: `out` is not ours, differs in configuration, or cannot be written.
        SynthforgeError: a sample failed; the message names it.
        AssetError: ray is asked for and not installed.
    """
    started = time.monotonic()
    # Both are asked for before `out` is made: an asset may be missing.
    layout, origin = source.layout, Origin(to_dict(config), config_sha256(config), source.generator)
    with ExitStack() as locks:
        alone = locks.enter_context(locked(out, shared=shards is not None)) and shards is None
        claim(out, origin.config, alone=shards is None)
        locks.enter_context(shards_locked(out, *(shards or (0, None))))
        for folder, names in ((out, INDEX + ".*"), (out, CONFIG + ".*"), (out / "shards", "shard-*")):
            remove_stale(folder, names, alone)
        plans = plan_shards(out, n, config.shard_size)
        mine = plans[slice(*shards)] if shards else plans
        if not mine:
            raise ConfigError(f"no such shards; there are {len(plans)}", where="--shards")
        check_shards(out, plans, origin)
        wanted = sum(plan.n_samples for plan in mine)
        todo = [plan for plan in mine if not plan.done]
        n_made = sum(plan.n_samples for plan in todo)
        n_done = wanted - n_made
        progress(n_done, wanted)

        def advance(n_new: int) -> None:
            nonlocal n_done
            n_done += n_new
            progress(n_done, wanted)

        job = Job(source, out.resolve(), origin)
        done = shards_by_ray(job, todo, advance) if engine == "ray" else job.shards(todo, workers, advance)
        made: dict[int, str] = {}
        for plan in done:
            made[plan.number] = plan.sha256
            if shards is None:
                plans[plan.number] = plan
                write_index(out, plans, layout, origin)
        plans = [
            replace(plan, sha256=made.get(plan.number, "")) for plan in plan_shards(out, n, config.shard_size)
        ]
        missing = sum(not plan.done for plan in plans)
        index = {} if missing else write_index(out, plans, layout, origin)
    return RunSummary(out, n, n_made, missing, index.get("rejected", {}), time.monotonic() - started)
