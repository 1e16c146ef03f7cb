"""Strands as ribbons: as wide as asked, turned to the camera; smooth noise of unit deviation and length."""

import numpy as np

from synthforge.generators.geometry.accessory import Accessory, Strands
from synthforge.generators.hair.strands import smooth_noise


def test_ribbons_face_the_camera_and_are_as_wide_as_asked():
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.uniform(0.001, 0.004, (30, 9, 3)), axis=1)
    half = rng.uniform(0.0002, 0.001, (30, 9))
    camera = np.array([0.2, 0.1, 1.5])
    edges, along = Strands(paths, half, np.ones((30, 9, 3))).ribbons(camera)
    left, right = edges.astype(float).transpose(2, 0, 1, 3)
    across = right - left
    assert np.allclose(np.linalg.norm(across, axis=-1), 2 * half, rtol=1e-3)
    assert np.allclose(0.5 * (left + right), paths, atol=1e-6)
    assert np.abs((across * (camera - paths)).sum(-1)).max() < 1e-6
    central = np.gradient(paths, axis=1)
    central /= np.linalg.norm(central, axis=-1, keepdims=True)
    assert np.allclose(along[:, :, 0], central, atol=1e-6)


def test_smooth_noise_has_unit_deviation_and_correlation_length():
    points = np.random.default_rng(1).uniform(0, 30, (20000, 3))
    here, near, far = (
        smooth_noise(points + shift, np.random.default_rng(2)) for shift in (0.0, [1.0, 0, 0], [4.0, 0, 0])
    )
    assert np.allclose(here.std(0), 1, atol=0.25)
    assert 0.35 < np.mean(here * near) / here.var() < 0.85  # exp(-1/2) at unit distance
    assert abs(np.mean(here * far)) / here.var() < 0.15


def test_hair_is_drawn_as_the_ribbons_of_its_strands():
    """The triangles of an accessory of hair, against its strands: area and centre of each ribbon."""
    rng = np.random.default_rng(3)
    straight = rng.uniform(-1, 1, (20, 1, 3)) + np.linspace(0, 0.2, 7)[:, None] * [0.0, -1.0, 0.0]
    half = np.tile(rng.uniform(0.001, 0.004, (20, 1)), (1, 7))
    albedo = np.tile(rng.random((20, 1, 3)).astype(np.float32), (1, 7, 1))
    hair = Accessory.hair(Strands(straight, half, albedo), np.array([0.0, 0.0, 50.0]))
    a, b, c = (hair.vertices[hair.faces[:, k]].reshape(20, 12, 3).astype(float) for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=-1).sum(1)
    np.testing.assert_allclose(area, 0.2 * 2 * half[:, 0], rtol=1e-3)
    np.testing.assert_allclose(((a + b + c) / 3).mean(1), straight.mean(1), atol=1e-4)
    np.testing.assert_array_equal(hair.albedo.reshape(20, 14, 3)[:, 0], albedo[:, 0])
    assert hair.strands.paths is straight
