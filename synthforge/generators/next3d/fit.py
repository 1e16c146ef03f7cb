"""Fitting of the affine between mesh and volume of a checkpoint: once for each, on samples of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from synthforge import strict_yaml
from synthforge.alignment import CheckpointAffine, Samples, fit_affine
from synthforge.assets_store import require_asset, store_dir
from synthforge.config import config_path, from_dict
from synthforge.detector import LandmarkDetector
from synthforge.generators.base import Progress
from synthforge.generators.next3d.backend import AFFINE, Next3dGenerator
from synthforge.generators.next3d.config import LATENT, NAMED_CONFIG, Next3dConfig
from synthforge.heads.registry import load_head
from synthforge.scene.config import SceneConfig
from synthforge.scene.sampling import SceneSampler, posed_heads
from synthforge.types import SceneParams

SIDE = 512  # pixels of a sample's image


def affine_path() -> Path:
    """Where the affine of the installed checkpoint belongs, whether or not it is there.

    Raises:
        AssetError: no checkpoint is installed.
    """
    require_asset("next3d")
    return store_dir() / AFFINE


def paper_scene() -> SceneConfig:
    """What is sampled for the fit: the scene of the named configuration that the backend is made for."""
    path = config_path("generate", NAMED_CONFIG)
    return from_dict(SceneConfig, strict_yaml.read(path)["scene"], str(path))


def fit(
    config: Next3dConfig,
    head: str,
    scene: SceneConfig,
    n: int = 64,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 0,
    detector: LandmarkDetector | None = None,
    progress: Progress = lambda done, total: None,
) -> CheckpointAffine:
    """Draw `n` samples of a scene and fit the affine on their volumes.

    Args:
        head: name of the head.
        detector: finds the 68 landmarks in an image (uint8 h w 3, RGB), in pixels, or returns None.
        progress: called with (samples made, samples wanted).
    Raises:
        AssetError: a licensed file is missing.
        GeometryError: meshes and volumes do not meet.
    """
    model, one_view = load_head(head).eval(), scene.views_per_identity == 1
    generator = Next3dGenerator(replace(config, alignment="analytic"), model, one_view, device, batch_size)
    plain = replace(scene, attributes={})
    sampler = SceneSampler(plain, model, SIDE, LATENT)
    samples: list[Samples] = []
    for first in range(0, n, generator.batch_size):
        indices = range(first, min(n, first + generator.batch_size))
        samples.append(_samples(generator, [sampler.sample(seed, index) for index in indices], detector))
        progress(indices.stop, n)
    return fit_affine(samples, model, generator.assets["next3d"], generator.frame.depth_shift)


@torch.inference_mode()
def _samples(
    generator: Next3dGenerator, params: Sequence[SceneParams], detector: LandmarkDetector | None
) -> Samples:
    posed = torch.from_numpy(posed_heads(generator.head, params)).to(generator.device)
    volume, image = generator.volume(params, posed)
    if detector is None:
        return Samples(posed, volume)
    found = [detector(rgb) for rgb in generator.pixels(image)]
    landmarks = np.stack([np.full((68, 2), np.nan) if f is None else np.asarray(f, float) for f in found])
    return Samples(posed, volume, torch.from_numpy(landmarks), image.shape[-1])
