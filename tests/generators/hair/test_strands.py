"""Strands as ribbons: as wide as asked, turned to the camera; smooth noise of unit deviation and length."""

import numpy as np

from synthforge.generators.hair.strands import _strips, smooth_noise


def test_ribbons_face_the_camera_and_are_as_wide_as_asked():
    rng = np.random.default_rng(0)
    paths = np.cumsum(rng.uniform(0.001, 0.004, (30, 9, 3)), axis=1)
    half = rng.uniform(0.0002, 0.001, (30, 9))
    camera = np.array([0.2, 0.1, 1.5])
    points, along = _strips(paths, half, camera)
    left, right = points.reshape(30, 9, 2, 3).astype(float).transpose(2, 0, 1, 3)
    across = right - left
    assert np.allclose(np.linalg.norm(across, axis=-1), 2 * half, rtol=1e-3)
    assert np.allclose(0.5 * (left + right), paths, atol=1e-6)
    assert np.abs((across * (camera - paths)).sum(-1)).max() < 1e-6
    central = np.gradient(paths, axis=1)
    central /= np.linalg.norm(central, axis=-1, keepdims=True)
    assert np.allclose(along.reshape(30, 9, 2, 3)[:, :, 0], central, atol=1e-6)


def test_smooth_noise_has_unit_deviation_and_correlation_length():
    points = np.random.default_rng(1).uniform(0, 30, (20000, 3))
    here, near, far = (
        smooth_noise(points + shift, np.random.default_rng(2)) for shift in (0.0, [1.0, 0, 0], [4.0, 0, 0])
    )
    assert np.allclose(here.std(0), 1, atol=0.25)
    assert 0.35 < np.mean(here * near) / here.var() < 0.85  # exp(-1/2) at unit distance
    assert abs(np.mean(here * far)) / here.var() < 0.15
