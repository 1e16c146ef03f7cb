"""Lines of age and expression: where they are, and when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.cameras.orbit import orbit_camera
from synthforge.generators.face.wrinkles import Strain, lid_crease, wrinkles
from synthforge.generators.geometry.person import Person
from synthforge.heads import load_head
from synthforge.types import SceneParams


def depth(points_mm, strain: Strain):
    p = np.array(points_mm, np.float32) * 1e-3
    return wrinkles(p, strain, np.zeros(len(p), np.float32))


def grid(x: tuple, y: tuple, z: float):
    x, y = np.meshgrid(np.linspace(*x, 25), np.linspace(*y, 121))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], -1)


PLACES = {  # by the muscle whose folds they are
    "raised": grid((-20, 20), (60, 78), 85.0),
    "squint": grid((53, 62), (15, 27), 65.0),
    "frown": grid((4, 9), (36, 46), 92.0),
}


@pytest.mark.parametrize("muscle", PLACES)
def test_expressions_fold_their_own_region_only(muscle):
    for name, place in PLACES.items():
        folded = depth(place, Strain(old=0.0, **{muscle: 1.0}))[0].max()
        assert (folded > 0.15) == (name == muscle)


def test_young_skin_at_rest_is_smooth_and_age_folds_it():
    everywhere = np.concatenate(list(PLACES.values()))
    young, middle, old = (depth(everywhere, Strain(age))[0] for age in (0.0, 0.5, 1.0))
    assert young.max() == 0 and 0.1 < middle.max() < old.max() < 1
    assert np.array_equal(*(depth(everywhere * [s, 1, 1], Strain(1.0))[0] for s in (1, -1)))


def test_folds_turn_up_below_and_down_above():
    """Over whole folds the slopes cancel: lines change the relief, not the mean normal."""
    column = np.column_stack([np.zeros(2001), np.linspace(57, 81, 2001), np.full(2001, 88)])  # three folds
    fold, slope = depth(column, Strain(1.0))
    side, up = slope.T
    assert not side.any() and np.abs(up).max() > 0.1 and abs(up.mean()) < 0.005
    at = fold[500:1500].argmax() + 500
    assert up[at - 60] > 0 > up[at + 60]  # a groove: its lower wall looks up


def test_a_smile_folds_the_cheek_over_the_lip():
    """Deepest on the line from the nose's wing past the mouth's corner, alike on both sides; the cheek's
    wall of the furrow looks inwards and down."""
    x = np.linspace(18, 48, 301)
    for sign in (1, -1):
        row = np.column_stack([sign * x, np.full(301, -29.0), np.full(301, 86)])
        rest, smiling, old = (
            depth(row, s) for s in (Strain(0.0), Strain(0.0, smile=1.0), Strain(1.0, smile=1.0))
        )
        assert rest[0].max() < 0.1 < 0.35 < smiling[0].max() < old[0].max()
        assert abs(x[smiling[0].argmax()] - 31.5) < 1
        side, down = smiling[1][np.abs(x - 34).argmin()]
        assert side * sign < -0.2 and down < -0.1
        assert depth(row, Strain(0.0, raised=1.0))[0].max() == rest[0].max()


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=20)
def test_lid_creases_are_alike_and_lie_above_the_eye(x, y, z):
    p = np.array([[0.05 * x, 0.05 * y, 0.1 * z]], np.float32)
    crease = lid_crease(p)
    assert np.allclose(crease, lid_crease(p * [-1, 1, 1]), atol=1e-6)
    assert 0 <= crease[0] <= 1 and (crease[0] < 0.05 or 0.022 < p[0, 1] < 0.036)


def test_strain_reads_the_head_s_shapes():
    head = load_head("anthro")
    weights = np.array([0.8 * name.startswith("mouthSmile") for name in head.expression_names], np.float32)
    zeros = np.zeros(head.n_shape, np.float32)
    camera = orbit_camera(0.0, 0.0, 0.0, 1.0, 0.3, np.zeros(3), (32, 32))
    pose = np.zeros((head.n_joints, 3), np.float32)

    def strain_of(weights, **attributes) -> Strain:
        return Strain.of(Person(head, SceneParams(0, 0, zeros, weights, pose, camera, attributes), vertices))

    vertices = head.vertices.numpy()
    strain = strain_of(weights, age=50.5)
    assert strain.smile == pytest.approx(0.8) and strain.squint == pytest.approx(0.48)
    assert strain.raised == strain.frown == 0 and strain.old == pytest.approx(0.5)
    for weight, folded in ((0.3, 0.0), (0.65, 0.5), (1.0, 1.0)):  # little raising folds nothing
        weights = np.array([weight * (name == "browInnerUp") for name in head.expression_names], np.float32)
        raised = strain_of(weights).raised
        assert raised == pytest.approx(folded, abs=1e-6)
