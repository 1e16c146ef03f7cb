"""Triangles for rasterizer tests."""

import numpy as np
import trimesh

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.types import Camera


def soup(rng: np.random.Generator, n: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Random triangles of all sizes: points (x, y px; z m) partly outside the image and behind the camera."""
    centre = rng.uniform(-0.2, 1.2, (n, 1, 2)) * [width, height]
    size = 10 ** rng.uniform(-1, 2, (n, 1, 1))
    xy = centre + size * rng.normal(size=(n, 3, 2))
    z = rng.uniform(-0.1, 3, (n, 1, 1)) + 0.2 * rng.normal(size=(n, 3, 1))
    return np.concatenate([xy, z], -1).reshape(-1, 3), np.arange(3 * n).reshape(n, 3)


def blob() -> trimesh.Trimesh:
    """A lumpy closed surface the size of a head, with folds that hide one another."""
    sphere = trimesh.creation.icosphere(4, 0.09)
    x, y, z = (np.asarray(sphere.vertices) / 0.09).T
    radius = 1 + 0.25 * np.sin(5 * x + 1) * np.cos(4 * y) + 0.15 * np.sin(9 * z)
    return trimesh.Trimesh(np.asarray(sphere.vertices) * radius[:, None], sphere.faces, process=False)


def view(height: int = 96, width: int = 80, azimuth: float = 0.4) -> Camera:
    return orbit_camera(azimuth, 0.2, 0.3, 1.0, np.deg2rad(15), np.zeros(3), (height, width))


def projected(vertices: np.ndarray, camera: Camera) -> np.ndarray:
    return project(np.asarray(vertices, np.float64), camera)
