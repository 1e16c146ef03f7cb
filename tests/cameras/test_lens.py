"""Lens distortion against OpenCV, its own inverse, and the geometry of a fold."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synthforge.cameras.lens import distort, reach, shows, undistort
from synthforge.errors import GeometryError


@st.composite
def lenses(draw):
    k1, k2, k3 = (draw(st.floats(-0.4, 0.4)) for _ in range(3))
    p1, p2 = (draw(st.floats(-0.02, 0.02)) for _ in range(2))
    return np.array([k1, k2, p1, p2, k3])


def within(radius, seed, n=200):
    rng = np.random.default_rng(seed)
    angle, r = rng.uniform(0, 2 * np.pi, n), radius * np.sqrt(rng.uniform(0, 1, n))
    return np.stack([r * np.cos(angle), r * np.sin(angle)], -1)


@settings(deadline=None, max_examples=50)
@given(lenses(), st.integers(0, 2**32 - 1))
def test_the_lens_is_opencvs_and_inverts_within_its_reach(lens, seed):
    rays = within(reach(lens), seed)
    seen = distort(rays, lens)
    points, none = np.column_stack([rays, np.ones(len(rays))]), np.zeros(3)
    want, _ = cv2.projectPoints(points, none, none, np.eye(3), lens)
    np.testing.assert_allclose(seen, want[:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(undistort(seen, lens), rays, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(lenses(), st.integers(0, 2**32 - 1), st.floats(0.1, 0.99))
def test_what_lies_beyond_the_image_is_never_seen_in_it(lens, seed, share):
    """A ray outside the reach stays outside every circle that the lens shows whole."""
    radius = share * reach(lens)
    assume(shows(lens, radius))
    rng = np.random.default_rng(seed)
    angle, r = rng.uniform(0, 2 * np.pi, 200), reach(lens) * rng.uniform(1, 40, 200)
    far = np.stack([r * np.cos(angle), r * np.sin(angle)], -1)
    assert (np.linalg.norm(distort(far, lens), axis=1) >= radius).all()
    assert np.isfinite(undistort(within(radius, seed), lens)).all()


def test_no_lens_changes_nothing_and_a_fold_is_refused():
    rays = within(2.0, 0)
    np.testing.assert_array_equal(distort(rays, np.zeros(5)), rays)
    barrel = np.array([-0.5, 0, 0, 0, 0])
    assert reach(barrel) == pytest.approx(np.sqrt(0.95 / 1.5), abs=2e-3)  # d(r - r3/2)/dr = 0.05 there
    assert shows(barrel, 0.5) and not shows(barrel, 0.6)
    with pytest.raises(GeometryError, match="one place twice"):
        undistort(np.array([[0.9, 0.0]]), barrel)
