"""Speed and memory of a backend, stage by stage and end to end."""

import platform
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch

from synthforge.config import to_dict
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from synthforge.scene.sampling import posed_heads
from synthforge.storage.run import run
from synthforge.storage.writer import encode_frame


def measure(
    config: GenerateConfig,
    device: str = "auto",
    batch_size: int = 0,
    repeats: int = 3,
    n: int = 0,
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> Iterator[dict[str, Any]]:
    """Figures of one configuration, each {name, value, unit, ...what it was measured under}.

    Stages: medians over `repeats` batches after one to warm up, with the device waited for between them.
    `progress` is called with (batches done, batches wanted).
    End to end (`n` > 0): `n` samples written to a temporary folder by as many workers as there are cores.

    Raises:
        AssetError, ConfigError: as generating does.
    """
    source = SceneSource(config, device, batch_size)
    batch = source.backend.batch
    if cuda := torch.cuda.is_initialized():
        torch.cuda.set_device(device if ":" in device else 0)
    under = {
        "commit": _commit(), "device": torch.cuda.get_device_name() if cuda else platform.machine(),
        "torch": torch.__version__, "threads": torch.get_num_threads(), "batch": batch,
        "views_per_identity": config.scene.views_per_identity,
        "views_per_expression": config.scene.views_per_expression,
    } | to_dict(config.settings)  # fmt: skip

    def figure(name: str, value: float, unit: str) -> dict[str, Any]:
        return {"name": f"{config.backend}/{name}", "value": round(value, 6), "unit": unit} | under

    taken: dict[str, list[float]] = defaultdict(list)
    for i in range(repeats + 1):
        progress(i, repeats + 1)
        seconds = _one_batch(source, range(i * batch, (i + 1) * batch))
        for name, value in seconds.items() if i else ():
            taken[name].append(value)
    progress(repeats + 1, repeats + 1)
    for name, values in taken.items():
        yield figure(name, median(values) / batch, "s/image")
    if cuda:
        yield figure("memory", torch.cuda.max_memory_allocated() / 2**20, "MiB of the GPU")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield figure("memory", peak, "MiB of the process")
    if n:
        with tempfile.TemporaryDirectory() as folder:
            done = run(source, config, Path(folder) / "x", n, workers=torch.get_num_threads())
            yield figure("end_to_end", n / done.seconds, "samples/s, start of the workers included")


class Stages:
    """Seconds by stage; a stage inside another counts as its own alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = _now()
        self._inside.append(0.0)
        try:
            yield
        finally:
            taken = _now() - started
            self.seconds[name] += taken - self._inside.pop()
            if self._inside:
                self._inside[-1] += taken


def _now() -> float:
    """Seconds, when the device is done with all it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _one_batch(source: SceneSource, indices: range) -> dict[str, float]:
    """Seconds per stage; those of the backend's own are timed inside the calls that generating makes."""
    stage = Stages()
    with stage("sampling"):
        params = [source.sampler.sample(source.config.seed, index) for index in indices]
        vertices = posed_heads(source.head, params)
    started = _now()
    with source.backend.timed(stage):
        renders = source.backend.draw(params, vertices)
    stage.seconds["drawing"] = _now() - started
    with stage("labels"):
        frames = [source.frame(*drawn) for drawn in zip(params, vertices, renders, strict=True)]
    with stage("encode"):
        for frame in frames:
            encode_frame(frame, source.layout)
    return dict(stage.seconds)


def _commit() -> str:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
