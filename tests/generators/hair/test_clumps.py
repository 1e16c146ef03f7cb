"""Strands from guides against what a straight guide and a helix must give."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.generators.hair.clumps import coils, follow, ropes


def straight(direction, points=8):
    return np.linspace(0, 1, points)[:, None] * np.asarray(direction, float)


@settings(deadline=None, max_examples=25)
@given(reach=st.floats(0.3, 1.0), x=st.floats(-0.1, 0.1), z=st.floats(-0.1, 0.1))
def test_a_strand_beside_one_straight_guide_is_its_parallel(reach, x, z):
    guide = straight([0, -0.3, 0.1])[None]
    root = np.array([[x, 0.05, z]])
    (path,) = follow(guide, guide[:, 0], root, root, np.array([reach]), 0.0, 6)
    assert np.allclose(path, root + straight(reach * np.array([0, -0.3, 0.1]), 6), atol=1e-12)


def test_locks_meet_at_the_tip_of_their_guide():
    guide = straight([0, -0.3, 0])[None]
    roots = np.random.default_rng(0).uniform(-0.01, 0.01, (20, 3)) * [1, 0, 1]
    paths = follow(guide, guide[:, 0], roots, roots, np.ones(20), 1.0, 9)
    assert np.allclose(paths[:, 0], roots)
    assert np.allclose(paths[:, -1], [0, -0.3, 0])
    spread = np.linalg.norm(paths[:, :, ::2], axis=-1)
    assert (np.diff(spread, axis=1) < 1e-12).all()


def test_strands_take_the_guide_of_their_own_key():
    guides = np.stack([straight([0.1, 0, 0]), straight([-0.1, 0, 0])])
    keys = np.array([[0.5, 0, 0], [-0.5, 0, 0]])
    roots = np.zeros((2, 3))
    right, left = follow(guides, keys, keys * 0.99, roots, np.ones(2), 0.0, 4)
    assert right[-1, 0] > 0.099 and left[-1, 0] < -0.099


def test_ropes_are_round_and_follow_their_guides():
    guides = np.stack([straight([0, -0.3, 0], 21), straight([0.2, -0.1, 0.1], 21)])
    radius = np.array([0.004, 0.006])
    paths, out = ropes(guides, radius, 7, np.random.default_rng(4))
    paths, out = paths.reshape(2, 7, 21, 3), out.reshape(2, 7, 21, 3)
    away = paths - guides[:, None]
    thick = np.linalg.norm(away, axis=-1)
    assert np.allclose(thick.max(2), radius[:, None])
    assert (thick[..., [0, -1]] < 0.6 * radius[:, None, None]).all()
    assert np.allclose(away, thick[..., None] * out)
    along = guides[:, -1] - guides[:, 0]
    assert np.abs((out * along[:, None, None]).sum(-1)).max() < 1e-9


def test_coils_have_their_radius_and_number_of_turns():
    path = straight([0, -0.5, 0], 400)[None]
    wound = coils(path, np.array([0.5]), np.array([0.004]), np.array([12.0]), np.array([0.0]))[0]
    radius = np.linalg.norm(wound, axis=1)
    assert np.allclose(radius[80:], 0.004, rtol=1e-3)  # grown out after 1.2 turns
    assert np.abs(wound[:, 1]).max() < 1e-4  # across the path
    assert wound[0] @ wound[0] == 0
    angle = np.unwrap(np.arctan2(wound[1:, 0], wound[1:, 2]))
    assert np.isclose(abs(angle[-1] - angle[0]) / (2 * np.pi), 6.0, atol=0.05)
