"""The generating run: samples from worker processes, in order, into shards.

A sample is a pure function of (config, seed, index). Workers make samples, the parent writes
them: a shard's bytes do not depend on the number of workers, nor on being stopped and resumed.
Where images come from a device in batches, a thread of the parent draws those, ahead of the
workers, who label and encode them.
"""

import fcntl
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import cv2
import yaml

from synthforge.config import to_dict
from synthforge.errors import ConfigError, DatasetError, SynthforgeError
from synthforge.extras import need
from synthforge.provenance import config_sha256, differences
from synthforge.storage.index import CONFIG, ShardPlan, check_shards, plan_shards, write_index
from synthforge.storage.schema import Layout
from synthforge.storage.writer import Record, ShardKey, ShardWriter, encode_frame, write_atomically
from synthforge.types import Frame

_SINGLE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Sample:
    """One accepted frame, and why earlier draws of the same index were rejected."""

    frame: Frame
    rejected: tuple[str, ...] = ()


@runtime_checkable
class SampleSource(Protocol):
    """What a run takes its samples from; pickled into the workers, so it builds itself lazily."""

    layout: Layout
    generator: dict[str, Any]

    def __call__(self, index: int) -> Sample: ...


@runtime_checkable
class BatchSource(SampleSource, Protocol):
    """A source that can draw `batch` samples at once in the parent (0: it rather does not), and finish
    what it has drawn anywhere; draws are pickled in between. Batches begin anew with every shard."""

    batch: int

    def draw(self, indices: Sequence[int]) -> list[Any]: ...

    def finish(self, drawn: Any) -> Sample: ...


Stored = tuple[Record, tuple[str, ...]]  # a sample as it is written, and its rejected draws
Task = tuple[int, Any]  # a sample's index, and what a batch source has drawn of it, or None


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
        source: makes one sample.
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
    plain, sha256 = to_dict(config), config_sha256(config)
    layout, generator = source.layout, source.generator  # before `out` is made: an asset may be missing
    with _lock(out, shared=shards is not None):
        begin(out, plain, alone=shards is None)
        plans = plan_shards(out, n, config.shard_size)
        mine = plans[slice(*shards)] if shards else plans
        if not mine:
            raise ConfigError(f"no such shards; there are {len(plans)}", where="--shards")
        check_shards(out, plans, plain, sha256, generator)
        if shards is None:
            for partial in (out / "shards").glob("*.tmp"):
                partial.unlink()
        wanted = sum(plan.n_samples for plan in mine)
        todo = [plan for plan in mine if not plan.done]
        n_made = sum(plan.n_samples for plan in todo)
        n_done = wanted - n_made
        progress(n_done, wanted)

        def advance(n_new: int) -> None:
            nonlocal n_done
            n_done += n_new
            progress(n_done, wanted)

        make = _make_local if engine == "local" else _make_by_ray
        for plan in make(source, out, todo, sha256, workers, advance):
            if shards is None:
                plans[plan.number] = replace(plan, done=True)
                write_index(out, plans, layout, plain, sha256, generator)
        plans = plan_shards(out, n, config.shard_size)
        missing = sum(not plan.done for plan in plans)
        index = {} if missing else write_index(out, plans, layout, plain, sha256, generator)
    return RunSummary(out, n, n_made, missing, index.get("rejected", {}), time.monotonic() - started)


def begin(out: Path, config: dict, alone: bool = True) -> None:
    """Claim the folder `out` for this configuration, or recognise it as begun with the same.

    One that holds no shard yet changes its configuration, if no other run can be at work in it (`alone`).

    Raises:
        DatasetError: it holds something else, was begun with another configuration (the
            message names the keys), or cannot be written.
    """
    path, fix = out / CONFIG, "choose another --out"
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    try:
        held = [p.name for p in out.iterdir() if p.name != "shards" and not p.name.endswith(".tmp")]
        before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
        if held and before is None:
            raise DatasetError(
                f"is not empty and not a synthforge data set (it holds {held[0]!r})", where=str(out), fix=fix
            )
        (out / "shards").mkdir(exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot be used ({error.strerror})", where=str(out), fix=fix) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError("is not a synthforge configuration", where=str(path), fix=fix) from error
    if before == yaml.safe_load(text):
        return
    ours = isinstance(before, dict) and before.keys() == config.keys()
    empty = not any((out / "shards").glob("*.h5"))
    if before is None or (alone and ours and empty):
        write_atomically(path, text)
    else:
        raise DatasetError(
            f"was begun with another configuration ({'; '.join(differences(before, config))})",
            where=str(out),
            fix="choose another --out, or give the options it was begun with",
        )


@contextmanager
def _lock(out: Path, shared: bool) -> Iterator[None]:
    """Make the folder. One whole run in it, or several `--shards` runs, at a time; gone with the process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        fix = "choose another --out"
        raise DatasetError(f"cannot be used ({error.strerror})", where=str(out), fix=fix) from error
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise DatasetError("is being written by another run", where=str(out), fix="wait for it") from error
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(handle)


def write_shard(
    source: SampleSource,
    out: Path,
    plan: ShardPlan,
    sha256: str,
    samples: Iterator[Stored],
    advance: Callable[[int], None] = lambda n_new: None,
) -> ShardPlan:
    """Publish one shard from the next of `samples`; returns its plan."""
    key = ShardKey(plan.first_index, plan.n_samples, sha256, source.generator)
    with ShardWriter(out / plan.file, source.layout, key) as writer:
        for _ in range(plan.n_samples):
            writer.add(*next(samples))
            advance(1)
        writer.publish()
    return plan


def _make_local(
    source: SampleSource,
    out: Path,
    plans: list[ShardPlan],
    sha256: str,
    workers: int,
    advance: Callable[[int], None],
) -> Iterator[ShardPlan]:
    """Shards one after the other, their samples from the workers."""
    with _samples(source, plans, workers) as samples:
        for plan in plans:
            yield write_shard(source, out, plan, sha256, samples, advance)


def _make_by_ray(
    source: SampleSource,
    out: Path,
    plans: list[ShardPlan],
    sha256: str,
    workers: int,
    advance: Callable[[int], None],
) -> Iterator[ShardPlan]:
    """Shards in the order in which tasks finish them; `workers` is Ray's affair."""
    ray = need("ray", "ray", "--engine ray")
    variables = {name: "1" for name in _SINGLE_THREAD}
    ray.init(runtime_env={"env_vars": variables}, ignore_reinit_error=True, log_to_driver=False)
    draws = isinstance(source, BatchSource) and source.batch > 0
    n_gpus = int(draws and ray.cluster_resources().get("GPU", 0) > 0)
    task = ray.remote(num_cpus=1, num_gpus=n_gpus)(_shard_task)
    pending = [task.remote(source, out.resolve(), plan, sha256) for plan in plans]
    while pending:
        finished, pending = ray.wait(pending)
        try:
            plan = ray.get(finished[0])
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, SynthforgeError) else error from None
        advance(plan.n_samples)
        yield plan


def _shard_task(source: SampleSource, out: Path, plan: ShardPlan, sha256: str) -> ShardPlan:
    cv2.setNumThreads(1)
    with _samples(source, [plan], 0) as samples:
        return write_shard(source, out, plan, sha256, samples)


def _tasks(source: SampleSource, plans: Iterable[ShardPlan]) -> Iterator[Task]:
    """What there is to do for each sample, in order: its index, or what was drawn of it."""
    for plan in plans:
        indices = range(plan.first_index, plan.first_index + plan.n_samples)
        if isinstance(source, BatchSource) and source.batch:
            for start in range(0, len(indices), source.batch):
                batch = indices[start : start + source.batch]
                with _named(f"samples {batch[0]} to {batch[-1]}"):
                    drawn = source.draw(batch)
                yield from zip(batch, drawn, strict=True)
        else:
            yield from ((index, None) for index in indices)


@contextmanager
def _ahead(tasks: Iterator[Task], n: int) -> Iterator[Iterator[Task]]:
    """The same tasks, up to `n` of them drawn by a thread before they are asked for."""
    ready: queue.Queue = queue.Queue(n)
    stopped = threading.Event()

    def put(item: Any) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def draw() -> None:
        try:
            for task in tasks:
                put((task, None))
                if stopped.is_set():
                    return
            put((None, None))
        except BaseException as error:
            put((None, error))

    def take() -> Iterator[Task]:
        while True:
            task, error = ready.get()
            if error is not None:
                raise error
            if task is None:
                return
            yield task

    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        thread.join()


@contextmanager
def _samples(source: SampleSource, plans: list[ShardPlan], workers: int) -> Iterator[Iterator[Stored]]:
    """Stored samples in order; only a bounded number is in flight."""
    tasks = _tasks(source, plans)
    if workers == 0:
        yield (_make(source, *task) for task in tasks)
        return
    in_flight = 4 * workers + 8
    with _environment({name: "1" for name in _SINGLE_THREAD}):
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (source,))
        try:
            if isinstance(source, BatchSource) and source.batch:
                with _ahead(tasks, 2 * source.batch) as tasks:
                    yield _ordered(pool, tasks, in_flight)
            else:
                yield _ordered(pool, tasks, in_flight)
        except BrokenProcessPool as error:
            raise SynthforgeError(
                "a worker process died (killed, or out of memory)",
                where="generate",
                fix="run the same command again, with fewer --workers if memory is short",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _ordered(pool: ProcessPoolExecutor, tasks: Iterator[Task], in_flight: int) -> Iterator[Stored]:
    pending: deque[Future] = deque()
    failure: SynthforgeError | None = None
    while True:
        try:
            task = next(tasks, None)
        except SynthforgeError as error:  # raised after what was drawn before it has been stored
            failure = error
            break
        if task is None:
            break
        # Workers start inside and inherit the mask: Ctrl-C is for the parent, which ends them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        pending.append(pool.submit(_work, *task))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while pending and (len(pending) >= in_flight or pending[0].done()):
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
    if failure:
        raise failure


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the processes started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


_worker_source: SampleSource | None = None


def _start_worker(source: SampleSource) -> None:
    """Set up a worker: one thread, gone with the parent."""
    global _worker_source
    _worker_source = source
    threading.Thread(target=_follow_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _follow_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _work(index: int, drawn: Any) -> Stored:
    return _make(_worker_source, index, drawn)


def _make(source: SampleSource, index: int, drawn: Any) -> Stored:
    with _named(f"sample {index}"):
        sample = source(index) if drawn is None else source.finish(drawn)
        return encode_frame(sample.frame, source.layout, len(sample.rejected)), sample.rejected


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Unforeseen errors inside become one line that names the sample and the place in the code."""
    try:
        yield
    except SynthforgeError:
        raise
    except Exception as error:
        trace = error.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        raise SynthforgeError(
            f"{type(error).__name__}: {' '.join(str(error).split())} ({place})", where=what
        ) from error
