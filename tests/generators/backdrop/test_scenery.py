"""Painted places: geometry of the view, brightness by the time of day, nothing undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.generators.backdrop.background import procedural_background
from synthforge.generators.backdrop.perspective import View
from synthforge.generators.backdrop.scenery import PLACES
from synthforge.generators.shading.color import LUMINANCE
from synthforge.generators.shading.light import SETTINGS


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(PLACES)), st.sampled_from(sorted(SETTINGS)), st.integers(0, 2**32 - 1))
def test_every_place_is_light_of_the_right_amount(kind, light, seed):
    one, other = (procedural_background(kind, light, (48, 72), np.random.default_rng(seed)) for _ in range(2))
    assert one.shape == (48, 72, 3) and one.dtype == np.float32
    assert np.isfinite(one).all() and one.min() >= 0 and one.max() < 20
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", sorted(PLACES))
def test_nights_are_darker_than_evenings_than_days(kind):
    usual = [
        np.median([
            np.median(procedural_background(kind, light, (48, 48), np.random.default_rng(i)) @ LUMINANCE)
            for i in range(12)
        ])
        for light in ("night", "evening", "day")
    ]  # fmt: skip
    assert 1.5 * usual[0] < usual[1] and 1.5 * usual[1] < usual[2]


def test_a_quad_is_painted_where_a_pinhole_has_it():
    """A square metre 4 m ahead, at a field of view of 90 degrees, is an eighth of the image wide."""
    view = View(160, np.pi / 2, 0.0, 0.0)
    view.quad([(0, 0, 4), (1, 0, 4), (1, 1, 4), (0, 1, 4)], np.ones(3))
    rows, columns = np.nonzero(view.painted(np.zeros((160, 160, 3), np.float32))[..., 0])
    assert (rows.min(), columns.min()) == (60, 80)
    assert abs(rows.max() - 80) <= 1 and abs(columns.max() - 100) <= 1


def test_the_ground_reaches_from_below_the_camera_to_the_horizon():
    """What passes behind the camera is cut off, not turned over."""
    view = View(100, 1.0, 0.3, 0.0)
    view.ground(-500, 500, -50, 5000, np.ones(3))
    painted = view.painted(np.zeros((100, 100, 3), np.float32))[..., 0]
    assert painted[52:].all() and not painted[:49].any()
