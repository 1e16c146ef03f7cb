"""Digests of every pixel and label of a few small samples, per backend and named configuration.

`python -m tests.golden.bytes` writes `bytes.json` anew. Do so only where a change means to alter what samples
look like or what their labels say, and name it in the changelog.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from synthforge.config import config_path, load_config
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from synthforge.types import Frame

FILE = Path(__file__).with_name("bytes.json")
NAMED = ("default", "paper", "datagen", "datagen_initial", "landmarks")
TRACED = ("backend=pathtrace", "pathtrace.spp=4")
NEURAL = ("backend=next3d", "next3d.weights=random", "next3d.alignment=analytic")
FEATURES = (  # what `default` shows rarely or never
    "scene.camera.lens={k1: {uniform: [-0.1, 0.1]}}", "scene.attributes.hair_style=braids",
    "scene.attributes.eyeglasses=sunglasses", "scene.attributes.earrings=drop",
    "scene.attributes.headphones=over_ear", "scene.attributes.aperture=20",
)  # fmt: skip
# name -> configuration, overrides, indices
CASES: dict[str, tuple[str, tuple[str, ...], tuple[int, ...]]] = {
    **{f"raster {name}": (name, (), (0, 1, 2)) for name in NAMED},
    "raster default seed 7": ("default", ("seed=7",), tuple(range(3, 15))),
    "raster features": ("default", FEATURES, (0, 1)),
    "raster ict": ("default", ("head=ict",), (0, 1)),
    "raster views": ("default", ("scene.views_per_identity=4", "scene.views_per_expression=2"), (1, 2)),
    "pathtrace default": ("default", TRACED, (0, 5)),
    "pathtrace landmarks": ("landmarks", TRACED, (1,)),
    "next3d paper": ("paper", NEURAL, (0, 1)),
}


def digest(value: object) -> str:
    """Of an array: its dtype, shape and bytes; of a dict: its items; of anything else: its repr."""
    if isinstance(value, dict):
        value = repr([(key, digest(item)) for key, item in sorted(value.items())])
    if isinstance(value, np.ndarray):
        value = np.ascontiguousarray(value)
        text = f"{value.dtype} {value.shape}".encode() + value.tobytes()
    else:
        text = repr(value).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def digests(frame: Frame) -> dict[str, str]:
    """Digest of every field of a frame, its parameters' apart."""
    fields = {k: v for k, v in vars(frame).items() if k != "params"}
    params = {f"params.{k}": v for k, v in vars(frame.params).items() if k != "camera"}
    camera = {f"camera.{k}": v for k, v in vars(frame.params.camera).items()}
    return {name: digest(value) for name, value in (fields | params | camera).items() if value is not None}


def cpu() -> str:
    """Instruction set that torch's kernels use here: the neural backend's depth is rounded by it."""
    return torch.backends.cpu.get_cpu_capability()


def source_of(case: str) -> tuple[SceneSource, tuple[int, ...]]:
    name, overrides, indices = CASES[case]
    path = config_path("generate", name)
    return SceneSource(load_config(GenerateConfig, path, ["resolution=64", *overrides])), indices


def made(case: str) -> dict[str, dict[str, str]]:
    """Digests of a case's samples, by index."""
    torch.set_num_threads(1)
    source, indices = source_of(case)
    return {str(index): digests(source(index).frame) for index in indices}


if __name__ == "__main__":
    everything = {"cpu": cpu(), "cases": {case: made(case) for case in CASES}}
    FILE.write_text(json.dumps(everything, indent=0) + "\n", encoding="utf-8")
