"""Views: random crops of samples with all their labels, drawn from (seed, number of the view) alone.

View n of a run is the same whatever worker makes it and wherever the run was interrupted.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Sampler

from synthforge.conventions import IGNORE, LANDMARK_FLIP, N_LANDMARKS
from synthforge.datasets import geometry
from synthforge.datasets.augment import AugmentConfig, random_matrix
from synthforge.datasets.backgrounds import background, swap_background
from synthforge.datasets.batches import Loader, Start, epoch_order
from synthforge.datasets.photometric import photometric
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import Source, runs_of
from synthforge.rng import sample_rng


class Views(Dataset):
    """Map from (number of the view, index of the sample) to tensors of one crop.

    Keys: rgb uint8 3 s s; points float32 68 2 (fractions of the crop), point_weight 68 (0 where
    unknown or outside) and visible uint8 68 (0 outside, 1 occluded, 2 visible); target uint8 t t (255:
    unknown); depth float32 t t (inf: none); where the samples have them, normals float32 3 t t (0: none) and
    coverage uint8 c t t (255: all of the pixel; nowhere where it is unknown).

    Args:
        source: data set.
        size: side of the crop, pixels.
        label_stride: crop pixels per pixel of `target` and `depth`.
        augment: random crops, or None for the plain crop.
        seed: of the random views.
        outside: class id beyond the image's border.
        real: adds a key `real` of this value, where photographs and synthetic samples are told apart.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        label_stride: int = 1,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        outside: int = IGNORE,
        real: bool | None = None,
    ):
        self.source, self.size, self.label_stride = source, size, label_stride
        self.augment, self.seed, self.outside, self.real = augment, seed, outside, real

    def __len__(self) -> int:
        return len(self.source)

    @property
    def runs(self) -> list[int]:
        """Numbers of samples that lie behind one another in a file."""
        return runs_of(self.source)

    def __getitem__(self, key: tuple[int, int] | int) -> dict[str, Tensor]:
        number, index = key if isinstance(key, tuple) else (key, key)
        sample = self.source[index]
        rng = sample_rng(self.seed, number, "view")
        if self.augment is None:
            matrix = geometry.crop_matrix(sample.box, self.size, self.source.info.crop_scale)
        else:
            matrix = random_matrix(sample, self.size, self.augment, rng, self.source.info.crop_scale)
        replicate = self.augment is not None and rng.random() < 0.5
        rgb = geometry.warp_rgb(sample.rgb, matrix, self.size, replicate)
        if self.augment is not None:
            rgb = self._other_background(rgb, sample, matrix, rng)
            rgb = photometric(rgb, self.augment.photometric, rng)
        return {
            "rgb": torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))),
            **self._points(sample, matrix),
            **self._maps(sample, matrix),
            **({} if self.real is None else {"real": torch.tensor(self.real)}),
        }

    def _other_background(self, rgb: np.ndarray, sample: Sample, matrix, rng: np.random.Generator):
        if sample.alpha is None or rng.random() >= self.augment.background:
            return rgb
        alpha = geometry.warp_image(sample.alpha, matrix, self.size)
        return swap_background(rgb, alpha, background(self.size, rng, self.augment.background_folder))

    def _points(self, sample: Sample, matrix) -> dict[str, Tensor]:
        points, visible = np.zeros((N_LANDMARKS, 2)), np.zeros(N_LANDMARKS, np.uint8)
        inside = np.zeros(N_LANDMARKS, bool)
        if sample.points is not None:
            moved = geometry.warp_points(sample.points, matrix, LANDMARK_FLIP)
            seen = np.full(N_LANDMARKS, 2, np.uint8) if sample.visible is None else sample.visible
            swap = LANDMARK_FLIP if geometry.is_mirror(matrix) else None
            visible = geometry.warp_visible(seen, moved, self.size, swap)
            points, inside = moved / self.size, ((moved > 0) & (moved < self.size)).all(1)
        return {
            "points": torch.from_numpy(points.astype(np.float32)),
            "point_weight": torch.from_numpy(inside.astype(np.float32)),
            "visible": torch.from_numpy(visible),
        }

    def _maps(self, sample: Sample, matrix) -> dict[str, Tensor]:
        side = self.size // self.label_stride
        small = geometry.scaled(matrix, 1 / self.label_stride)
        target = np.full((side, side), IGNORE, np.uint8)
        depth = np.full((side, side), np.inf, np.float32)
        if sample.target is not None:
            target = geometry.warp_ids(sample.target, small, side, self.outside, self.source.info.schema.flip)
        if sample.depth is not None:
            depth = geometry.warp_depth(sample.depth, small, side)
        maps = {"target": torch.from_numpy(target), "depth": torch.from_numpy(depth)}
        if sample.under is not None:
            schema = self.source.info.schema
            coverage = geometry.warp_coverage(
                sample.under, sample.layers, len(schema), small, side, schema.flip
            )
            maps["coverage"] = torch.from_numpy(coverage)
        if sample.normals is not None:
            normals = geometry.warp_normals(sample.normals, small, side)
            maps["normals"] = torch.from_numpy(normals.transpose(2, 0, 1).copy())
        return maps


class ViewSampler(Sampler):
    """(view, sample) pairs `first` to `last`: a fresh seeded order of the samples per pass.

    Its length counts from view 0, as the trainer counts the steps of a resumed run.

    Args:
        runs: samples that lie behind one another in each file.
        share: (number of this process, processes): every so many-th view is its own.
    """

    def __init__(
        self, runs: Sequence[int], first: int, last: int, seed: int, share: tuple[int, int] = (0, 1)
    ):
        self.runs, self.first, self.last, self.seed, self.share = runs, first, last, seed, share

    def __len__(self) -> int:
        return self.last // self.share[1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, order, n = -1, None, sum(self.runs)
        for view in range(self.first + self.share[0], self.last, self.share[1]):
            if view // n != epoch:
                epoch = view // n
                order = epoch_order(self.runs, sample_rng(self.seed, epoch, "order"))
            yield view, int(order[view % n])


class ViewLoader(Loader):
    """Batches of views.

    Args:
        views: `Views`, or `JoinedViews` of several sources.
        pairs: (view, sample) of each crop in turn, such as a `ViewSampler`; its length may count crops that
            an earlier part of the run has shown.
        size, workers, start: as in `Loader`.
    """

    def __init__(
        self, views: Dataset, pairs: Sampler | Sequence, size: int, workers: int = 0, start: Start = "fork"
    ):
        self.views, self.pairs = views, pairs
        view = views[next(iter(pairs), (0, 0))]
        forms = {name: (tuple(v.shape), v.numpy().dtype) for name, v in view.items()}
        super().__init__(forms, size, workers, start, "training data")

    def __len__(self) -> int:
        return -(-len(self.pairs) // self.size)

    def keys(self) -> Iterator[list[tuple[int, int]]]:
        pairs = iter(self.pairs)
        return iter(lambda: list(islice(pairs, self.size)), [])

    def read_into(self, key: tuple[int, int], out: dict[str, np.ndarray]) -> None:
        for name, value in self.views[key].items():
            out[name][...] = value.numpy()


class JoinedViews(Dataset):
    """Several `Views` behind one another."""

    def __init__(self, parts: list[Views]):
        self.parts = parts
        self.starts = ConcatDataset.cumsum(parts)

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def runs(self) -> list[int]:
        """Those of the parts; parts kept in memory are shuffled as one."""
        runs = [part.runs for part in self.parts]
        return [len(self)] if all(len(r) == 1 for r in runs) else sum(runs, [])

    def __getitem__(self, key: tuple[int, int] | int) -> dict[str, Tensor]:
        number, index = key if isinstance(key, tuple) else (key, key)
        part = int(np.searchsorted(self.starts, index, side="right"))
        return self.parts[part][number, index - (self.starts[part - 1] if part else 0)]
