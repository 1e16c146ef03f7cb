"""Fibres that Mitsuba gets for strands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("mitsuba", reason="the path tracer is an optional extra")

from synthforge.generators.mitsuba.scene import fibre_points  # noqa: E402


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(2, 7), st.integers(0, 99))
def test_fibres_lie_side_by_side_and_fill_the_ribbon(n, m, seed):
    """At every point, fibres touch their neighbours, and the outer ones the ribbon's edges."""
    rng = np.random.default_rng(seed)
    line, side = rng.normal(size=(n, m, 3)), 1e-3 * rng.normal(size=(n, m, 3))
    points, counts = fibre_points(np.stack([line - side, line + side], 2).astype(np.float32))
    assert (counts == m).all() and len(points) == counts.sum()
    fibres = points.reshape(-1, n, m, 4)
    half = np.linalg.norm(side, axis=-1)
    along = ((fibres[..., :3] - line) * side).sum(-1) / half  # m from the middle, towards the right edge
    radius = fibres[..., 3]
    np.testing.assert_allclose(np.linalg.norm(fibres[..., :3] - line, axis=-1), np.abs(along), atol=1e-6)
    np.testing.assert_allclose(along[0] - radius[0], -half, atol=1e-6)
    np.testing.assert_allclose(along[-1] + radius[-1], half, atol=1e-6)
    np.testing.assert_allclose(along[:-1] + radius[:-1], along[1:] - radius[1:], atol=1e-6)
