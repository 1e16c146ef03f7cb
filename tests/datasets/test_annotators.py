"""Annotators' habits move points as the face lies, and mirror with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from synthforge.conventions import LANDMARK_FLIP
from synthforge.datasets.annotators import HABITS, as_annotated

K = np.array([[800.0, 0, 200], [0, 800, 200], [0, 0, 1]])


def flat_face() -> np.ndarray:
    """68 points in a plane, eyes' outer corners 0.09 m apart, mouth corners below; camera frame axes."""
    rng = np.random.default_rng(0)
    p = np.c_[rng.uniform(-0.06, 0.06, (68, 2)), np.zeros(68)]
    p[[36, 45]] = [-0.045, -0.02, 0], [0.045, -0.02, 0]
    p[[48, 54]] = [-0.025, 0.05, 0], [0.025, 0.05, 0]
    return p


def pixels(points: np.ndarray) -> np.ndarray:
    image = points @ K.T
    return image[:, :2] / image[:, 2:]


@pytest.mark.parametrize("style", HABITS)
@settings(deadline=None)
@given(st.floats(-50, 50), st.floats(-25, 25), st.floats(-40, 40))
def test_the_mirrored_face_is_annotated_as_the_mirror_image(style, yaw, pitch, roll):
    """The picture is 400 px wide and its mirror image taken by the same camera."""
    face = Rotation.from_euler("zxy", [roll, pitch, yaw], degrees=True).apply(flat_face()) + (0.03, 0, 0.8)
    mirrored = (face * (-1, 1, 1))[LANDMARK_FLIP]
    there = as_annotated(pixels(face), face, K, style)
    np.testing.assert_allclose(
        pixels(mirrored), (pixels(face) * (-1, 1) + (400, 0))[LANDMARK_FLIP], atol=1e-9
    )
    mirror_image = (there * (-1, 1) + (400, 0))[LANDMARK_FLIP]
    np.testing.assert_allclose(as_annotated(pixels(mirrored), mirrored, K, style), mirror_image, atol=1e-9)
    assert np.abs(there - pixels(face)).max() > 1  # they are moved at all


def test_annotators_go_by_lashes_and_shadows():
    """From the front: upper lids and chins where lashes and shadows are, jaw and brows end further out."""
    face = flat_face() + (0, 0, 0.8)
    off = as_annotated(pixels(face), face, K, "300w") - pixels(face)
    eyes = np.linalg.norm(pixels(face)[45] - pixels(face)[36])
    assert (off[[37, 38, 43, 44], 1] < 0).all()
    assert (off[6:11, 1] > 0).all() and off[0, 0] < 0 < off[16, 0] and off[17, 0] < 0 < off[26, 0]
    assert 0.02 * eyes < np.linalg.norm(off, axis=1).max() < 0.07 * eyes


@settings(deadline=None)
@given(st.floats(-60, 60), st.floats(-25, 25), st.floats(-40, 40))
def test_offsets_turn_with_the_face(yaw, pitch, roll):
    turn = Rotation.from_euler("zxy", [roll, pitch, yaw], degrees=True)
    place = np.array([0.02, -0.01, 0.8])
    moved_in_space = flat_face() + 0.09 * np.c_[HABITS["300w"], np.zeros(68)]
    face = turn.apply(flat_face()) + place
    expected = pixels(turn.apply(moved_in_space) + place)
    np.testing.assert_allclose(as_annotated(pixels(face), face, K, "300w"), expected, atol=1e-6)


def test_brow_tails_go_out_and_chins_down():
    face = flat_face() + (0, 0, 0.8)
    before, after = pixels(face), as_annotated(pixels(face), face, K, "300w")
    moved = after - before
    eyes = np.linalg.norm(before[45] - before[36])
    assert moved[17, 0] < 0 < moved[26, 0] and moved[17, 0] == pytest.approx(-0.033 * eyes)
    assert moved[8] == pytest.approx([0, 0.036 * eyes])
