"""Shards as tasks of a Ray cluster."""

from collections.abc import Iterator

import cv2

from synthforge.errors import SynthforgeError
from synthforge.extras import need
from synthforge.storage.job import Advance, Job
from synthforge.storage.pool import SINGLE_THREAD
from synthforge.storage.shards import ShardPlan


def shards_by_ray(job: Job, plans: list[ShardPlan], advance: Advance) -> Iterator[ShardPlan]:
    """Publish shards, one task each; a plan is given back when its shard is, in any order.

    Raises:
        AssetError: ray is not installed.
        SynthforgeError: a sample failed.
    """
    ray = need("ray", "ray", "--engine ray")
    ours = not ray.is_initialized()  # else the caller's, who goes on with it
    ray.init(runtime_env={"env_vars": SINGLE_THREAD}, ignore_reinit_error=True, log_to_driver=False)
    try:
        n_gpus = int(job.source.batch > 0 and ray.cluster_resources().get("GPU", 0) > 0)
        task = ray.remote(num_cpus=1, num_gpus=n_gpus)(_make)
        pending = [task.remote(job, plan) for plan in plans]
        while pending:
            finished, pending = ray.wait(pending)
            try:
                plan = ray.get(finished[0])
            except ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, SynthforgeError) else error from None
            advance(plan.n_samples)
            yield plan
    finally:
        if ours:
            ray.shutdown()


def _make(job: Job, plan: ShardPlan) -> ShardPlan:
    cv2.setNumThreads(1)
    (made,) = job.shards([plan], 0, lambda n_new: None)
    return made
