"""Fitting of the affine between mesh and volume of a checkpoint: once for each, on samples of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from synthforge.alignment import CheckpointAffine, Samples, fit_affine
from synthforge.assets_store import require_asset, store_dir
from synthforge.detector import LandmarkDetector
from synthforge.generate_config import GenerateConfig
from synthforge.generators.next3d.backend import AFFINE, Next3dGenerator
from synthforge.pipeline import SceneSource
from synthforge.types import SceneParams


def affine_path() -> Path:
    """Where the affine of the installed checkpoint belongs, whether or not it is there.

    Raises:
        AssetError: no checkpoint is installed.
    """
    require_asset("next3d")
    return store_dir() / AFFINE


def fit(
    config: GenerateConfig,
    n: int = 64,
    device: str = "auto",
    batch_size: int = 0,
    detector: LandmarkDetector | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CheckpointAffine:
    """Draw `n` samples as `config` says and fit the affine on their volumes.

    Args:
        detector: finds the 68 landmarks in an image (uint8 h w 3, RGB), in pixels, or returns None.
        progress: called with (samples made, samples wanted).
    Raises:
        AssetError: a licensed file is missing.
        GeometryError: meshes and volumes do not meet.
    """
    neural = replace(config.neural, alignment="analytic")
    source = SceneSource(replace(config, neural=neural), device, batch_size)
    generator: Next3dGenerator = source.backend
    samples: list[Samples] = []
    for first in range(0, n, source.batch):
        indices = range(first, min(n, first + source.batch))
        params = [source.sampler.sample(config.seed, index) for index in indices]
        samples.append(_samples(generator, params, source.vertices(params), detector))
        progress(indices.stop, n)
    return fit_affine(samples, source.head, generator.assets["next3d"], generator.frame.depth_shift)


@torch.inference_mode()
def _samples(
    generator: Next3dGenerator,
    params: list[SceneParams],
    vertices: Float[np.ndarray, "b v 3"],
    detector: LandmarkDetector | None,
) -> Samples:
    posed = torch.from_numpy(vertices).to(generator.device)
    volume, image = generator.volume(params, posed)
    if detector is None:
        return Samples(posed, volume)
    found = [detector(rgb) for rgb in generator.pixels(image)]
    landmarks = np.stack([np.full((68, 2), np.nan) if f is None else np.asarray(f, float) for f in found])
    return Samples(posed, volume, torch.from_numpy(landmarks), image.shape[-1])
