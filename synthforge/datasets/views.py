"""Views: random crops of samples with all their labels, drawn from (seed, number of the view) alone.

View n of a run is the same whatever worker makes it and wherever the run was interrupted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler

from synthforge.conventions import IGNORE, LANDMARK_FLIP, N_LANDMARKS
from synthforge.datasets import geometry
from synthforge.datasets.photometric import PhotometricConfig, photometric
from synthforge.datasets.sample import Sample, Source
from synthforge.errors import ConfigError
from synthforge.rng import sample_rng


@dataclass(frozen=True)
class AugmentConfig:
    """Geometry of the random crops (degrees, fractions of the crop) and the photometric part.

    `scale` is the crop's side over that of the plain crop; a share `wide` of the views takes
    `wide_scale` instead, so that whole heads are seen too.
    """

    rotation: float = 16.0
    scale: tuple[float, ...] = (0.88, 1.15)
    wide: float = 0.25
    wide_scale: tuple[float, ...] = (1.15, 1.75)
    shift: float = 0.06
    shear: float = 0.05
    mirror: float = 0.5
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)


AUGMENTATIONS = {
    "weak": AugmentConfig(
        rotation=10.0, scale=(0.92, 1.08), wide=0.0, shear=0.0, photometric=PhotometricConfig(amount=0.0)
    ),
    "medium": AugmentConfig(),
    "strong": AugmentConfig(
        rotation=28.0,
        scale=(0.88, 1.2),
        shift=0.08,
        shear=0.1,
        photometric=PhotometricConfig(amount=0.9),
    ),
}


def augmentation(name: str) -> AugmentConfig:
    """Preset by name: weak, medium, strong."""
    if name not in AUGMENTATIONS:
        raise ConfigError(
            f"unknown augmentation {name!r}", where="augment", fix=f"use one of: {', '.join(AUGMENTATIONS)}"
        )
    return AUGMENTATIONS[name]


def random_matrix(
    sample: Sample, size: int, config: AugmentConfig, rng: np.random.Generator, crop_scale: float
) -> geometry.Affine:
    """Affine map of one random crop; the plain crop is `crop_scale` times the sample's box."""
    wide, mirror, rotation, scale, dx, dy, shear = rng.random(7)
    low, high = config.wide_scale if wide < config.wide else config.scale
    return geometry.crop_matrix(
        sample.box,
        size,
        scale=crop_scale * low * (high / low) ** scale,
        rotation=np.deg2rad(config.rotation) * (2 * rotation - 1),
        shift=(config.shift * (2 * dx - 1), config.shift * (2 * dy - 1)),
        shear=config.shear * (2 * shear - 1),
        mirror=bool(mirror < config.mirror),
    )


class Views(Dataset):
    """Map from (number of the view, index of the sample) to tensors of one crop.

    Keys: rgb uint8 3 s s; points float32 68 2 (fractions of the crop) and point_weight 68 (0 where
    unknown or outside); target uint8 t t (255: unknown); depth float32 t t (inf: none).

    Args:
        source: data set.
        size: side of the crop, pixels.
        label_stride: crop pixels per pixel of `target` and `depth`.
        augment: random crops, or None for the plain crop.
        seed: of the random views.
        outside: class id beyond the image's border.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        label_stride: int = 1,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        outside: int = IGNORE,
    ):
        self.source, self.size, self.label_stride = source, size, label_stride
        self.augment, self.seed, self.outside = augment, seed, outside

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: tuple[int, int] | int) -> dict[str, Tensor]:
        number, index = key if isinstance(key, tuple) else (key, key)
        sample = self.source[index]
        rng = sample_rng(self.seed, number, "view")
        if self.augment is None:
            matrix = geometry.crop_matrix(sample.box, self.size, self.source.crop_scale)
        else:
            matrix = random_matrix(sample, self.size, self.augment, rng, self.source.crop_scale)
        replicate = self.augment is not None and rng.random() < 0.5
        rgb = geometry.warp_rgb(sample.rgb, matrix, self.size, replicate)
        if self.augment is not None:
            rgb = photometric(rgb, self.augment.photometric, rng)
        return {
            "rgb": torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))),
            **self._points(sample, matrix),
            **self._maps(sample, matrix),
        }

    def _points(self, sample: Sample, matrix) -> dict[str, Tensor]:
        if sample.points is None:
            return {"points": torch.zeros(N_LANDMARKS, 2), "point_weight": torch.zeros(N_LANDMARKS)}
        points = geometry.warp_points(sample.points, matrix, LANDMARK_FLIP) / self.size
        inside = ((points > 0) & (points < 1)).all(1)
        return {
            "points": torch.from_numpy(points.astype(np.float32)),
            "point_weight": torch.from_numpy(inside.astype(np.float32)),
        }

    def _maps(self, sample: Sample, matrix) -> dict[str, Tensor]:
        side = self.size // self.label_stride
        small = geometry.scaled(matrix, 1 / self.label_stride)
        target = np.full((side, side), IGNORE, np.uint8)
        depth = np.full((side, side), np.inf, np.float32)
        if sample.target is not None:
            target = geometry.warp_ids(sample.target, small, side, self.outside, self.source.flip_classes)
        if sample.depth is not None:
            depth = geometry.warp_depth(sample.depth, small, side)
        return {"target": torch.from_numpy(target), "depth": torch.from_numpy(depth)}


class ViewSampler(Sampler):
    """(view, sample) pairs `first` to `last`: a fresh seeded permutation of the samples per pass.

    Its length counts from view 0, as the trainer counts the steps of a resumed run.
    """

    def __init__(self, n_samples: int, first: int, last: int, seed: int):
        self.n_samples, self.first, self.last, self.seed = n_samples, first, last, seed

    def __len__(self) -> int:
        return self.last

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, order = -1, None
        for view in range(self.first, self.last):
            if view // self.n_samples != epoch:
                epoch = view // self.n_samples
                order = sample_rng(self.seed, epoch, "order").permutation(self.n_samples)
            yield view, int(order[view % self.n_samples])


def train_loader(views: Dataset, batch: int, first_step: int, last_step: int, seed: int, workers: int):
    """Batches `first_step` to `last_step` of a run.

    Args:
        views: `Views`, or `JoinedViews` of several sources.
        workers: processes that make views beside the training one.
    """
    return DataLoader(
        views,
        batch_size=batch,
        sampler=ViewSampler(len(views), first_step * batch, last_step * batch, seed),
        num_workers=workers,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )


class JoinedViews(Dataset):
    """Several `Views` behind one another."""

    def __init__(self, parts: list[Views]):
        self.parts = parts
        self.starts = ConcatDataset.cumsum(parts)

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        number, index = key
        part = int(np.searchsorted(self.starts, index, side="right"))
        return self.parts[part][number, index - (self.starts[part - 1] if part else 0)]


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
