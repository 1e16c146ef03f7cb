"""Speed and memory of the neural backend, stage by stage and end to end."""

import platform
import resource
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from synthforge.config import config_path, load_config
from synthforge.generate_config import GenerateConfig
from synthforge.generators.next3d.backend import Next3dGenerator
from synthforge.pipeline import SceneSource
from synthforge.storage.run import run
from synthforge.storage.writer import encode_frame

# Parts of the network by the stage that they are counted in.
_MODULES = {
    "mapping": "backbone.mapping",
    "texture": "texture_backbone.synthesis",
    "static_planes": "backbone.synthesis",
    "mouth": "mouth_backbone.synthesis",
    "blending": "neural_blending.synthesis",
    "superresolution": "superresolution",
}


def bench_next3d(
    config: GenerateConfig, device: str = "auto", batch_size: int = 0, repeats: int = 3, n: int = 0
) -> Iterator[dict[str, Any]]:
    """Figures of one configuration, each {name, value, unit, ...what it was measured under}.

    Stages: medians over `repeats` batches after one to warm up, with the device waited for between them.
    End to end (`n` > 0): `n` samples written to a temporary folder by as many workers as there are cores.

    Raises:
        AssetError, ConfigError: as generating does.
    """
    source = SceneSource(config, device, batch_size)
    generator: Next3dGenerator = source.backend
    kind = generator.device.type
    under = {
        "commit": _commit(),
        "device": torch.cuda.get_device_name(generator.device) if kind == "cuda" else platform.machine(),
        "torch": torch.__version__, "threads": torch.get_num_threads(), "precision": config.neural.precision,
        "batch": source.batch, "views_per_identity": config.scene.views_per_identity,
        "views_per_expression": config.scene.views_per_expression, "alignment": config.neural.alignment,
    }  # fmt: skip

    def figure(name: str, value: float, unit: str) -> dict[str, Any]:
        return {"name": name, "value": round(value, 6), "unit": unit} | under

    stages = _stages(source, repeats)
    for name, seconds in stages.items():
        yield figure(f"next3d/{name}", seconds / source.batch, "s/image")
    if kind == "cuda":
        peak = torch.cuda.max_memory_allocated(generator.device) / 2**20
        yield figure("next3d/memory", peak, "MiB of the GPU")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield figure("next3d/memory", peak, "MiB of the process")
    if n:
        with tempfile.TemporaryDirectory() as folder:
            done = run(source, config, Path(folder) / "x", n, workers=torch.get_num_threads())
            yield figure("next3d/end_to_end", n / done.seconds, "samples/s, start of the workers included")


def _stages(source: SceneSource, repeats: int) -> dict[str, float]:
    """Median seconds of each stage per batch."""
    taken: dict[str, list[float]] = defaultdict(list)
    for i in range(repeats + 1):
        seconds = _one_batch(source, range(i * source.batch, (i + 1) * source.batch))
        if i:
            for name, value in seconds.items():
                taken[name].append(value)
    return {name: median(values) for name, values in taken.items()}


def _one_batch(source: SceneSource, indices: range) -> dict[str, float]:
    """Seconds per stage; stages of the networks are timed inside the calls that generating makes."""
    generator: Next3dGenerator = source.backend
    network, wait = generator.network, _waiter(generator.device)
    seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        wait()
        started = time.perf_counter()
        yield
        wait()
        seconds[name] += time.perf_counter() - started

    with stage("sampling"):
        params = [source.sampler.sample(source.config.seed, index) for index in indices]
        vertices = source.vertices(params)
    inside = {name: network.get_submodule(path) for name, path in _MODULES.items()}
    with _timed(inside, stage), _timed_calls(network, ("planes", "render"), stage):
        with stage("drawing"):
            images = generator.images(source.head, params, vertices)
    seconds["rasterization"] = seconds.pop("planes") - seconds["mouth"] - seconds["blending"]
    seconds["volume"] = seconds.pop("render") - seconds["superresolution"]
    parts = [*_MODULES, "rasterization", "volume"]
    seconds["alignment"] = seconds["drawing"] - sum(seconds[name] for name in parts)
    with stage("labels"):
        frames = [source.frame(*drawn) for drawn in zip(params, vertices, images, strict=True)]
    with stage("encode"):
        for frame in frames:
            encode_frame(frame, source.layout)
    return {name: seconds[name] for name in ["sampling", *parts, "alignment", "drawing", "labels", "encode"]}


def _waiter(device: torch.device) -> Callable[[], None]:
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


@contextmanager
def _timed(modules: dict[str, torch.nn.Module], stage: Callable) -> Iterator[None]:
    """Within, each module's calls count as its stage."""
    open_stages: list = []

    def enter(name: str) -> Callable:
        def hook(*_: Any) -> None:
            open_stages.append(stage(name))
            open_stages[-1].__enter__()

        return hook

    def leave(*_: Any) -> None:
        open_stages.pop().__exit__(None, None, None)

    handles = []
    for name, module in modules.items():
        handles += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _timed_calls(owner: Any, names: tuple[str, ...], stage: Callable) -> Iterator[None]:
    """Within, each named method's calls count as the stage of its name."""

    def timed(name: str, method: Callable) -> Callable:
        def call(*args: Any, **options: Any) -> Any:
            with stage(name):
                return method(*args, **options)

        return call

    for name in names:
        object.__setattr__(owner, name, timed(name, getattr(owner, name)))
    try:
        yield
    finally:
        for name in names:
            object.__delattr__(owner, name)


def _commit() -> str:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def paper_config(weights: str, head: str, precision: str, views: int, per_expression: int) -> GenerateConfig:
    """The paper's experiment, set up for one measurement."""
    config = load_config(GenerateConfig, config_path("generate", "paper"))
    alignment = "analytic" if weights == "random" else config.neural.alignment
    neural = replace(config.neural, weights=weights, precision=precision, alignment=alignment)
    scene = replace(config.scene, views_per_identity=views, views_per_expression=per_expression)
    return replace(config, backend="next3d", head=head, neural=neural, scene=scene)
