"""A network in Next3D's place whose volumes are heads in known places."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import torch

from synthforge.alignment import VolumeFrame
from synthforge.alignment.evidence import outer_vertices
from synthforge.alignment.frame import SCALE
from synthforge.heads.base import HeadModel
from tests.helpers.planted import CLEAN, Planted, base_head, draw_warp

STILL = np.eye(3)


class PlantedNetwork:
    """Stands for Next3D where alignment is concerned: density made of the very meshes it is given."""

    def __init__(self, head: HeadModel, matrix=STILL, shift=(1e-3, 2e-3, -1e-3), distortion=3e-3):
        self.head, self.matrix, self.shift, self.distortion = head, matrix, np.asarray(shift), distortion
        self.topology = SimpleNamespace(n_vertices=len(head.vertices))
        self.made: list[Planted] = []

    def mapping(self, z, c, psi, cutoff):
        return torch.zeros(len(z), 28, 512)

    def identity(self, ws):
        return (ws,)

    def planes(self, identity, mesh, variant, waiting):
        return mesh[:, :-68]

    def render(self, planes, ws, label, size, depth_factor):
        cameras = VolumeFrame().cameras(label)
        volume = self.of(planes) or self._plant(planes, cameras)
        ray = volume.depth / _z_per_ray(cameras, 64) * SCALE
        image = torch.zeros(len(planes), 3, 512, 512)
        return SimpleNamespace(image=image, depth=ray[:, None], depth_weight_sum=volume.alpha[:, None])

    def density(self, planes, points):
        return self.of(planes).sigma(VolumeFrame().to_world(points))[..., None]

    def of(self, planes) -> Planted | None:
        """The volume made for these meshes."""
        return next((v for v in self.made if torch.equal(v.vertices, planes)), None)

    def _plant(self, vertices, cameras) -> Planted:
        rng = np.random.default_rng(0)
        outer = outer_vertices(self.head)[self.head.faces].all(1)
        bases = [base_head(self.head.faces, outer, v, 2e-3) for v in vertices.numpy()]
        recipe = dataclasses.replace(CLEAN, distortion=self.distortion, voxel=2e-3)
        warp = draw_warp(rng, len(vertices), recipe, self.matrix, self.shift)
        self.made.append(Planted(bases, warp, cameras, recipe, rng, 64))
        return self.made[-1]


def _z_per_ray(cameras, n: int) -> torch.Tensor:
    centre = (torch.arange(n) + 0.5) / n - 0.5
    f = cameras.intrinsics[:, 0, 0, None, None]
    return 1 / torch.sqrt(1 + (centre / f) ** 2 + (centre[:, None] / f) ** 2)
