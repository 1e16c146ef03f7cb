"""Radial depth of an ellipsoid and a sphere against their equations; taut sheets over obstacles."""

import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synthforge.generators.geometry.drape import drape
from synthforge.generators.geometry.person import outer_faces
from synthforge.generators.geometry.radial import FORWARD, UP, RadialDepth, around, toward
from tests.helpers.tiny_head import RADII, tiny_head


def test_radial_depth_of_an_ellipsoid():
    head = tiny_head()
    rng = np.random.default_rng(0)
    away = rng.standard_normal((500, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    away = away[away[:, 1] > -0.7]
    skin = head.faces[outer_faces(head, ears=True)]
    for axes, pole in ((UP, away[:, 1] > -0.7), (FORWARD, away[:, 2] > -0.7)):
        depth = RadialDepth.of(head.vertices.numpy(), skin, np.zeros(3), axes).at(away[pole])
        truth = 1 / np.linalg.norm(away[pole] / RADII, axis=1)
        # the eyeballs, which look out, are not skin; flat triangles lie a little inside
        assert np.abs(depth / truth - 1).max() < 0.006


@given(st.floats(-3.1, 3.1), st.floats(0.01, 3.1))
def test_directions_and_angles_are_inverse(azimuth, angle):
    for axes in (UP, FORWARD):
        a, t = around(toward(np.array([azimuth]), np.array([angle]), axes), axes)
        np.testing.assert_allclose([a[0], t[0]], [azimuth, angle], atol=1e-6)


def test_radial_depth_is_the_distance_to_a_sphere_in_every_direction():
    """From off its centre, with triangles over the map's far pole as everywhere."""
    sphere = trimesh.creation.icosphere(4, 0.1)
    middle = np.array([0.0, 0.05, 0.0])
    depth = RadialDepth.of(sphere.vertices, sphere.faces, middle, wide=3.08)
    rng = np.random.default_rng(0)
    ray = rng.normal(size=(2000, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    ray = ray[ray[:, 1] > -0.95]
    along = ray @ middle
    wanted = -along + np.sqrt(along**2 + 0.1**2 - middle @ middle)
    np.testing.assert_allclose(depth.at(middle + 0.3 * ray), wanted, rtol=0.03)


@settings(deadline=None, max_examples=25)
@given(arrays(float, (7, 9), elements=st.floats(0.05, 0.2)), st.booleans())
def test_draped_sheet_rests_on_what_is_under_it(least, closed):
    pinned = np.zeros(least.shape, bool)
    pinned[-1] = True
    radius = drape(least, pinned, 60, closed)
    assert (radius >= least - 1e-12).all() and np.array_equal(radius[-1], least[-1])
    assert radius.max() <= least.max() + 1e-12  # a taut sheet has no bumps of its own
    assert np.allclose(drape(np.full((7, 9), 0.1), pinned, 20, closed), 0.1)
