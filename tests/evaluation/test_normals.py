"""Normals of depth against surfaces whose normals are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.evaluation.normals import angles_deg, normal_errors, normals_of_depth

K = np.array([[80.0, 0, 32], [0, 90.0, 24], [0, 0, 1]])
H, W = 48, 64
RAYS = np.stack(
    [
        *np.broadcast_arrays((np.arange(W) + 0.5 - 32) / 80, ((np.arange(H) + 0.5 - 24) / 90)[:, None]),
        np.ones((H, W)),
    ],
    axis=-1,
)


@settings(deadline=None, max_examples=25)
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_plane_has_one_normal(a, b):
    normal = np.array([a, b, -1.0]) / np.sqrt(a * a + b * b + 1)
    depth = -1.0 / (RAYS @ normal)  # the plane normal . x = -1
    found = normals_of_depth(depth, K)
    assert np.isnan(found[0]).all() and np.isnan(found[:, -1]).all()
    np.testing.assert_allclose(found[1:-1, 1:-1], np.broadcast_to(normal, (H - 2, W - 2, 3)), atol=1e-9)


def test_a_sphere_has_the_normals_of_a_sphere():
    centre, radius = np.array([0.05, -0.02, 2.0]), 0.4
    b, c = RAYS @ centre, centre @ centre - radius**2
    inside = b**2 - (RAYS**2).sum(-1) * c
    with np.errstate(invalid="ignore"):
        depth = np.where(inside > 0, (b - np.sqrt(inside)) / (RAYS**2).sum(-1), np.inf)
    true = (RAYS * depth[..., None] - centre) / radius
    found = normals_of_depth(depth, K)
    middle = np.isfinite(found).all(-1) & (true[..., 2] < -0.6)
    assert middle.sum() > 300
    assert angles_deg(found[middle], true[middle]).max() < 2
    assert np.isnan(found[~np.isfinite(depth)]).all()


def test_angles_are_those_of_the_dot_product():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500, 3))
    a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    np.testing.assert_allclose(angles_deg(a, b), np.degrees(np.arccos((a * b).sum(1))), atol=1e-5)
    assert angles_deg(a, a).max() == 0


def test_shares_within_an_angle_are_counted():
    turns = np.radians([[0, 10, 20, 40], [5, 25, 35, 90]])
    true = np.zeros((2, 4, 3))
    true[..., 2] = -1
    predicted = np.stack([np.sin(turns), np.zeros_like(turns), -np.cos(turns)], axis=-1)
    mask = np.ones((2, 4), bool)
    mask[1, 3] = False
    predicted[0, 3] = np.nan  # six pixels are left: 0 10 20 5 25 35
    errors = normal_errors(predicted, true, mask)
    assert errors["mean_deg"] == pytest.approx(95 / 6) and errors["median_deg"] == pytest.approx(15)
    assert errors["within_11.25"] == pytest.approx(50) and errors["within_22.5"] == pytest.approx(400 / 6)
    assert errors["within_30"] == pytest.approx(500 / 6)
    assert normal_errors(predicted, true, ~mask & False) == {}
