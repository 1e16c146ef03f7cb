"""How well each layer of alignment recovers planted truth: a table, and one per yaw.

    python -m benchmarks.alignment            # some minutes on one core
    python -m benchmarks.alignment --ablate   # how it depends on what was planted

Volumes are made from a head with a known affine, smooth distortion, rough surface, noise and hair
(tests/helpers/planted.py), seen through random cameras. The affine is fitted on others than those scored.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from synthforge.alignment import (
    Cameras,
    CheckpointAffine,
    RefineConfig,
    Refiner,
    Samples,
    fit_affine,
    pose_bins,
)
from synthforge.alignment.evidence import face_vertices
from synthforge.heads import load_head
from synthforge.heads.base import HeadModel
from tests.helpers.planted import Planted, Recipe, draw_bases, draw_cameras, draw_warp

BATCH = 4
FULL, BOUND = "a + b + c", "best possible affine (bounds the paper's)"
Layer = Callable[[Planted], Tensor]
RANGES = {"paper": (np.pi / 4, np.pi / 4), "code": (0.8, 0.534)}  # yaw, pitch; of the paper, of its script
ABLATIONS = {
    "as planted": {},
    "density 60 inside": {"interior": 60.0},
    "density 400 inside, 0.7 mm soft": {"interior": 400.0, "softness": 0.7e-3},
    "distortion 8 mm": {"distortion": 8e-3},
    "waves 8 to 20 cm, 2 mm": {"waves": (0.08, 0.2), "distortion": 2e-3},
    "roughness 1 mm": {"bumps": 1e-3},
    "24 locks": {"locks": 24},
    "no hair": {"locks": 0, "scalp_hair": False},
}


def planted(
    head: HeadModel, bases: list, n: int, rng, recipe: Recipe, view, resolution: int
) -> Iterator[Planted]:
    """n samples, in batches."""
    for start in range(0, n, BATCH):
        some = [bases[(start + i) % len(bases)] for i in range(BATCH)]
        cameras = draw_cameras(rng, BATCH, *view)
        yield Planted(some, draw_warp(rng, BATCH, recipe), cameras, recipe, rng, resolution)


class Scores:
    """Errors per layer over batches: distances of the face's vertices (mm), of landmarks (pixels of 512)."""

    def __init__(self, head: HeadModel, layers: dict[str, Layer]):
        self.face, self.layers = face_vertices(head), layers
        self.corners = torch.from_numpy(head.faces[head.landmarks_face].astype(np.int64))
        self.weights = torch.from_numpy(head.landmarks_barycentric)[..., None]
        self.found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}
        self.seconds = dict.fromkeys(layers, 0.0)
        self.poses: list[str] = []
        self.kept: list[tuple[Tensor, Tensor, Cameras]] = []

    def add(self, batch: Planted) -> None:
        for name, layer in self.layers.items():
            start = time.perf_counter()
            got = layer(batch)
            self.seconds[name] += time.perf_counter() - start
            self.found[name].append(self._errors(got, batch.truth, batch.cameras))
        self.poses += pose_bins(batch.cameras)
        self.kept.append((batch.vertices, batch.truth, batch.cameras))

    def add_bound(self, name: str) -> None:
        """Also the affine that fits the truth of these very samples best: no single affine does better."""
        ones = lambda v: torch.cat([v, torch.ones_like(v[..., :1])], -1).double()  # noqa: E731
        source = torch.cat([ones(v[:, self.face]).flatten(0, 1) for v, _, _ in self.kept])
        target = torch.cat([truth[:, self.face].flatten(0, 1).double() for _, truth, _ in self.kept])
        solution = torch.linalg.lstsq(source, target).solution
        self.found[name] = [self._errors((ones(v) @ solution).float(), t, c) for v, t, c in self.kept]
        self.seconds[name] = 0.0

    def errors(self, name: str) -> tuple[Tensor, Tensor]:
        """Of vertices n f and landmarks n 68."""
        vertices, landmarks = zip(*self.found[name], strict=True)
        return torch.cat(vertices), torch.cat(landmarks)

    def _errors(self, got: Tensor, truth: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        pixels = [512 * cameras.project((v[:, self.corners] * self.weights).sum(-2)) for v in (got, truth)]
        return 1e3 * (got - truth)[:, self.face].norm(dim=-1), (pixels[0] - pixels[1])[..., :2].norm(dim=-1)


def layers_of(head: HeadModel, affine: CheckpointAffine, all_of_them: bool = True) -> dict[str, Layer]:
    """What is compared: batch -> vertices."""
    configs = {FULL: RefineConfig()}
    if all_of_them:
        configs = {
            f"{FULL}, similarity only": RefineConfig(n_functions=0),
            f"{FULL}, depth image only": RefineConfig(density_sd=None),
            f"{FULL}, density only": RefineConfig(depth_sd=None),
        } | configs
    out: dict[str, Layer] = {
        "a: frame": lambda b: b.vertices,
        "a + b: checkpoint affine": lambda b: affine(b.vertices),
    }
    for name, config in configs.items():
        refiner = Refiner(head, config)
        out[name] = lambda b, refiner=refiner: refiner(affine(b.vertices), b).vertices
    return out


def row(name: str, vertices: Tensor, landmarks: Tensor) -> str:
    parts = [f"{x.median():.2f} | {x.flatten().quantile(0.95):.2f}" for x in (vertices, landmarks)]
    return f"| {name} | {parts[0]} | {parts[1]} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", default="anthro", choices=["anthro", "ict"])
    parser.add_argument("--samples", type=int, default=48, help="scored; a multiple of 4")
    parser.add_argument("--fit", type=int, default=24, help="for the affine; a multiple of 4")
    parser.add_argument("--heads", type=int, default=8, help="identities with expressions")
    parser.add_argument("--resolution", type=int, default=64, help="of the neural depth")
    parser.add_argument("--cameras", default="paper", choices=RANGES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablate", action="store_true", help="layers b and c only, under other plantings")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng, head, view = np.random.default_rng(options.seed), load_head(options.head), RANGES[options.cameras]
    bases = draw_bases(head, rng, options.heads, Recipe().voxel)
    for name, changes in (ABLATIONS if options.ablate else {"": {}}).items():
        recipe = dataclasses.replace(Recipe(), **changes)
        make = lambda n, recipe=recipe: planted(head, bases, n, rng, recipe, view, options.resolution)  # noqa: E731
        affine = fit_affine([Samples(b.vertices, b) for b in make(options.fit)], head, "0" * 64)
        scores = Scores(head, layers_of(head, affine, not options.ablate))
        for batch in make(options.samples):
            scores.add(batch)
        if options.ablate:
            for layer in list(scores.layers)[1:]:
                print(row(f"{name}: {layer}", *scores.errors(layer)), flush=True)
        else:
            scores.add_bound(BOUND)
            show(scores)


def show(scores: Scores) -> None:
    n = len(scores.poses)
    print("| layers | vertices mm, median | 95 % | landmarks px of 512, median | 95 % | s/sample |")
    print("| --- | --- | --- | --- | --- | --- |")
    for layer in scores.found:
        print(row(layer, *scores.errors(layer)) + f" {scores.seconds[layer] / n:.2f} |")
    for pose in sorted(set(scores.poses), key=lambda name: float(name.split()[1])):
        rows = torch.tensor([p == pose for p in scores.poses])
        print(row(f"{FULL}, {pose} ({int(rows.sum())})", *(x[rows] for x in scores.errors(FULL))))


if __name__ == "__main__":
    main()
