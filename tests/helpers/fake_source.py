"""An analytic stand-in for the whole generator: a sphere before a coloured gradient."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthforge.rng import sample_rng
from synthforge.storage.schema import Layout
from synthforge.storage.source import Sample
from synthforge.types import Camera, Frame, SceneParams

STYLES = ["bald", "short", "long"]
ATTRIBUTES = {
    "age": {"kind": "continuous", "range": [16, 80]},
    "hair_style": {"kind": "categorical", "words": STYLES},
}
JOINTS = ("neck", "jaw")


@dataclass(frozen=True)
class FakeConfig:
    name: str = "fake"
    seed: int = 0
    shard_size: int = 8
    resolution: int = 32
    nested: dict = field(default_factory=lambda: {"a": 1})


def fake_layout(resolution: int = 32, codec: str = "png", **changes: Any) -> Layout:
    """Small layout with every kind of data set."""
    values = {"shape_names": ("wide", "tall", "deep"), "expression_names": ("smile", "blink")}
    values |= {"joint_names": JOINTS, "attributes": ATTRIBUTES}
    return Layout(resolution, codec, **(values | {"soft_masks": ("hair",)} | changes))


def fake_frame(seed: int, index: int, size: int = 32, attempt: int = 0) -> Frame:
    """A sphere of 0.1 m at about 1 m: depth, normals and landmarks in closed form."""
    rng = sample_rng(seed, index, "fake")
    f = 4.0 * size
    k = np.array([[f, 0, size / 2], [0, f, size / 2], [0, 0, 1]], np.float32)
    centre, radius = np.array([*rng.uniform(-0.01, 0.01, 2), rng.uniform(1.0, 1.2)]), 0.1
    v, u = np.mgrid[:size, :size] + 0.5
    ray = np.stack([(u - k[0, 2]) / f, (v - k[1, 2]) / f, np.ones_like(u)], -1)
    depth = _hit(ray, centre, radius)
    hit = np.isfinite(depth)
    normals = np.where(hit[..., None], (ray * np.where(hit, depth, 0)[..., None] - centre) / radius, 0)
    angle = rng.uniform(0, 2 * np.pi, 68)
    reach = rng.uniform(0, 0.06, 68)
    px = np.stack([np.cos(angle), np.sin(angle)], -1) * reach[:, None] + centre[:2]
    ray_l = np.concatenate([px / centre[2], np.ones((68, 1))], -1)
    landmarks = ray_l * _hit(ray_l, centre, radius)[:, None]
    rgb = np.clip(np.stack([u, v, 128 + 100 * hit], -1) * [255 / size, 255 / size, 1], 0, 255)
    two = np.array([[0, 0, -1.0], [0, 0, -1]])
    params = SceneParams(
        seed, index, rng.normal(size=3).astype(np.float32), rng.normal(size=2).astype(np.float32),
        rng.normal(size=(2, 3)).astype(np.float32), Camera(k, np.eye(4, dtype=np.float32), (size, size)),
        {"age": float(np.float32(rng.uniform(16, 80))), "hair_style": str(rng.choice(STYLES))},
        attempt=attempt,
    )  # fmt: skip
    segmentation = np.where(hit, rng.integers(1, 21), 0).astype(np.uint8)
    landmarks_2d = (landmarks[:, :2] * f / landmarks[:, 2:] + size / 2).astype(np.float32)
    return Frame(
        rgb=rgb.astype(np.uint8), segmentation=segmentation, segmentation_bare=segmentation,
        depth=depth.astype(np.float32), normals=normals.astype(np.float32),
        alpha=(255 * hit).astype(np.uint8),
        soft_masks={"hair": (255 * hit).astype(np.uint8)}, landmarks_2d=landmarks_2d,
        landmarks_3d=landmarks.astype(np.float32), landmarks_visible=np.full(68, 2, np.uint8),
        landmarks_contour_2d=landmarks_2d[:17].copy(), pupils_2d=landmarks_2d[36:38].copy(),
        gaze=two.astype(np.float32), params=params,
    )  # fmt: skip


def _hit(ray: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """z-depth where rays (z = 1) first meet a sphere; inf where they miss."""
    a, b, c = (ray**2).sum(-1), ray @ centre, centre @ centre - radius**2
    root = b * b - a * c
    return np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)


@dataclass
class FakeSource:
    """Sample source of `fake_frame`; can dawdle, fail, or kill its process at one index."""

    layout: Layout = field(default_factory=fake_layout)
    generator: dict = field(default_factory=lambda: {"backend": "fake", "head": "sphere", "assets": {}})
    seed: int = 0
    seconds: float = 0.0
    fail_at: int = -1
    die_at: int = -1
    batch: int = 0

    def __call__(self, index: int) -> Sample:
        time.sleep(self.seconds)
        if index == self.fail_at:
            raise ValueError("no\nface")
        if index == self.die_at:
            os._exit(9)
        rejected = ("too small",) * (index % 5 == 3)
        return Sample(fake_frame(self.seed, index, self.layout.resolution, len(rejected)), rejected)

    def draw(self, indices: Sequence[int]) -> list[int]:
        return list(indices)

    def finish(self, drawn: int) -> Sample:
        return self(drawn)


@dataclass
class FakeBatches(FakeSource):
    """The same samples, drawn in batches by the parent and finished by the workers."""

    batch: int = 3
    drawn: list[tuple[int, ...]] = field(default_factory=list)

    def draw(self, indices: Sequence[int]) -> list[int]:
        self.drawn.append(tuple(indices))
        if self.fail_at in indices:
            raise ValueError("no device")
        return list(indices)
