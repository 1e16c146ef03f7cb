"""Landmark metrics against slow twins, closed forms and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson

from synthforge.errors import ConfigError
from synthforge.evaluation.landmark_metrics import (
    NORMALISERS,
    POINT_SETS,
    auc_shares,
    point_errors,
)

FACES = st.integers(0, 2**32 - 1).map(lambda s: np.random.default_rng(s).uniform(0, 100, (68, 2)))
ERRORS = st.lists(st.floats(0, 0.3), min_size=1, max_size=40).map(np.array)


def test_point_errors_are_in_eye_distances():
    true = np.random.default_rng(0).uniform(0, 100, (68, 2))
    true[36], true[45] = (10, 20), (70, 100)  # 100 pixels apart
    errors, normaliser = point_errors(true + np.array([3.0, 4.0]), true)
    assert normaliser == 100
    np.testing.assert_allclose(errors, 0.05)


def test_each_normaliser_measures_what_it_says():
    true = np.random.default_rng(1).uniform(40, 60, (68, 2))
    true[0], true[16], true[8], true[24] = (0, 50), (80, 50), (40, 100), (40, 40)  # box 80 x 60
    true[36:42], true[42:48] = (20, 50), (20 + 30, 50 + 40)
    true[36:42, 0] += [-3, 0, 0, 3, 0, 0]  # corners move, centres do not
    true[42:48, 0] += [-3, 0, 0, 3, 0, 0]
    length = {name: point_errors(true, true, name)[1] for name in NORMALISERS}
    assert length["inter-pupil"] == pytest.approx(50)
    assert length["inter-ocular"] == pytest.approx(np.hypot(36, 40))
    assert length["box"] == pytest.approx(np.sqrt(80 * 60)) and length["diagonal"] == pytest.approx(100)
    with pytest.raises(ConfigError, match="use: inter-ocular"):
        point_errors(true, true, "nose")


@settings(deadline=None, max_examples=25)
@given(FACES, FACES, st.floats(0.1, 10), st.floats(-200, 200))
def test_errors_do_not_depend_on_place_and_size(true, predicted, scale, shift):
    for name in NORMALISERS:
        errors, _ = point_errors(predicted, true, name)
        moved, _ = point_errors(scale * predicted + shift, scale * true + shift, name)
        np.testing.assert_allclose(moved, errors, rtol=1e-6)


def test_a_missing_prediction_is_a_failure_and_a_missing_annotation_is_left_out():
    true = np.random.default_rng(2).uniform(0, 100, (68, 2))
    predicted = true.copy()
    predicted[3], true[5] = np.nan, np.nan
    errors, _ = point_errors(predicted, true)
    assert np.isinf(errors[3]) and np.isnan(errors[5]) and (np.delete(errors, [3, 5]) == 0).all()
    assert auc_shares(np.array([np.inf]), 0.08)[0] == 0


def test_point_sets_are_the_ones_of_300w():
    assert {name: len(s) for name, s in POINT_SETS.items()} == {
        "51": 51, "68": 68, "jaw": 17, "brow": 10, "nose": 9, "eye": 12, "mouth": 20,
    }  # fmt: skip
    parts = ("jaw", "brow", "nose", "eye", "mouth")
    assert sorted(sum((list(POINT_SETS[n]) for n in parts), [])) == list(range(68))


@settings(deadline=None, max_examples=25)
@given(ERRORS, st.sampled_from([0.05, 0.07, 0.08, 0.10]))
def test_auc_is_simpsons_rule_on_the_counted_curve(errors, threshold):
    x = np.linspace(0, threshold, round(threshold * 1e4) + 1)
    curve = [sum(e <= v for e in errors) / len(errors) for v in x]
    assert auc_shares(errors, threshold).mean() == pytest.approx(simpson(curve, x=x) / threshold, abs=1e-9)
    # The exact area of the step curve: the mean of max(0, t - e), over t.
    assert auc_shares(errors, threshold).mean() == pytest.approx(
        np.maximum(0, 1 - errors / threshold).mean(), abs=3e-3
    )


def test_auc_of_known_curves():
    # Errors spread evenly over [0, t]: the curve is the diagonal. All zero: 1. All beyond: 0.
    assert auc_shares(np.linspace(0, 0.08, 100_001), 0.08).mean() == pytest.approx(0.5, abs=1e-4)
    assert auc_shares(np.zeros(5), 0.08) == pytest.approx(1.0)
    assert (auc_shares(np.full(5, 0.2), 0.08) == 0).all()
