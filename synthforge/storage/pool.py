"""Stored samples in order, made by worker processes.

Where a source draws in batches, a thread of this process draws them, ahead of the workers, who label
and encode.
"""

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2

from synthforge.errors import SynthforgeError, unforeseen
from synthforge.storage.shards import ShardPlan
from synthforge.storage.source import SampleSource
from synthforge.storage.writer import Record, encode_frame

SINGLE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
Stored = tuple[Record, tuple[str, ...]]  # a sample as it is written, and its rejected draws
Task = tuple[int, Any]  # a sample's index, and what was drawn of it in a batch, or None
_PATIENCE = 10.0  # seconds without a sample before workers are looked at
_STUCK = {
    "T": "is stopped (kill -CONT lets it go on)",
    "t": "is stopped by a debugger",
    "D": "waits for a disk or a network file system",
}
_LOG = logging.getLogger(__name__)


@contextmanager
def stored_samples(source: SampleSource, plans: list[ShardPlan], workers: int) -> Iterator[Iterator[Stored]]:
    """All samples of the shards, in order; only a bounded number is in flight.

    Args:
        workers: processes of one thread each; 0 works in this process.
    """
    tasks = _tasks(source, plans)
    if workers == 0:
        yield (_make(source, *task) for task in tasks)
        return
    in_flight = 4 * workers + 8
    with _environment(SINGLE_THREAD):
        with _for_parent():
            pool = ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), _start_worker, (source,)
            )
        try:
            if source.batch:
                with _ahead(tasks, 2 * source.batch) as tasks:
                    yield _ordered(pool, tasks, in_flight)
            else:
                yield _ordered(pool, tasks, in_flight)
        except BrokenProcessPool as error:
            time.sleep(0.5)  # a signal that ended the whole group reaches this process too, and says more
            raise SynthforgeError(
                "a worker process died (killed, or out of memory)",
                where="generate",
                fix="run the same command again, with fewer --workers if memory is short",
            ) from error
        except BaseException:
            for process in _processes(pool):  # a stopped one, or a long sample, is not waited for
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _tasks(source: SampleSource, plans: Iterable[ShardPlan]) -> Iterator[Task]:
    """What there is to do for each sample, in order: its index, or what was drawn of it."""
    for plan in plans:
        indices = range(plan.first_index, plan.first_index + plan.n_samples)
        if source.batch:
            for start in range(0, len(indices), source.batch):
                batch = indices[start : start + source.batch]
                with unforeseen(f"samples {batch[0]} to {batch[-1]}"):
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
        with _for_parent():
            pending.append(pool.submit(_work, *task))
        while pending and (len(pending) >= in_flight or pending[0].done()):
            yield _result(pool, pending.popleft())
    while pending:
        yield _result(pool, pending.popleft())
    if failure:
        raise failure


@contextmanager
def _for_parent() -> Iterator[None]:
    """Processes that start inside leave Ctrl-C and a closed terminal to this one, which ends them.

    SIGTERM reaches them: a broken pool ends its workers by it.
    """
    signals = {signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _result(pool: ProcessPoolExecutor, future: Future) -> Stored:
    """What a worker made; while it takes long, workers that cannot go on by themselves are named, once."""
    told: set[int | None] = set()
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            if future.done():
                return future.result()
        for process in _processes(pool):
            why = _STUCK.get(_state(process.pid))
            if why and process.pid not in told:
                told.add(process.pid)
                _LOG.warning("worker process %d %s; this run waits for it", process.pid, why)


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())


def _state(pid: int | None) -> str:
    """State of a process, as Linux gives it: R, S, D, T, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


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


_worker_source: Any = None


def _start_worker(source: SampleSource) -> None:
    """Set up a worker: one thread, gone with the parent."""
    global _worker_source
    _worker_source = source
    threading.Thread(target=_follow_parent, daemon=True).start()
    cv2.setNumThreads(1)


def _follow_parent() -> None:
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)


def _work(index: int, drawn: Any) -> Stored:
    return _make(_worker_source, index, drawn)


def _make(source: SampleSource, index: int, drawn: Any) -> Stored:
    with unforeseen(f"sample {index}"):
        sample = source(index) if drawn is None else source.finish(drawn)
        return encode_frame(sample.frame, source.layout), sample.rejected
