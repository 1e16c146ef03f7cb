"""Figures over a set against loops over its images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.datasets.source import SourceInfo
from synthforge.evaluation.landmark_metrics import POINT_SETS
from synthforge.evaluation.summary import EvaluateConfig, ImageScore, figures

POINTS = SourceInfo("points", points=68, crop_source="box")


def point_figures(errors: np.ndarray, resamples: int = 0) -> dict[tuple[str, str], float]:
    scores = [ImageScore(f"{i}", e, 50.0) for i, e in enumerate(errors)]
    config = EvaluateConfig(thresholds=(7.0,), resamples=resamples)
    return {(f.metric, f.part): f for f in figures(scores, POINTS, config)}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_point_figures_are_counted(seed, n):
    errors = np.random.default_rng(seed).gamma(2, 0.03, (n, 68))
    found = {key: f.value for key, f in point_figures(errors).items()}
    for name in ("51", "68"):
        nme = [e[list(POINT_SETS[name])].mean() for e in errors]
        assert found["nme", name] == pytest.approx(100 * sum(nme) / n)
        assert found["nme_median", name] == pytest.approx(100 * np.median(nme))
        assert found["fr@7", name] == pytest.approx(100 * sum(e > 0.07 for e in nme) / n)
        for limit in (5, 8, 10):
            good = [e <= limit / 100 for image in errors for e in image[list(POINT_SETS[name])]]
            assert found[f"pck@{limit}", name] == pytest.approx(100 * sum(good) / len(good))
    assert found["nme", "jaw"] == pytest.approx(100 * errors[:, :17].mean())


def test_a_missed_face_fails_and_is_not_averaged_and_unknown_points_do_not_count():
    errors = np.full((4, 68), 0.02)
    errors[1, 20] = np.inf  # not predicted
    errors[2, :17] = np.nan  # jaw not annotated
    errors[2, 17:] = 0.06
    found = {key: f.value for key, f in point_figures(errors).items()}
    assert found["nme", "51"] == pytest.approx(100 * (0.02 + 0.06 + 0.02) / 3)
    assert found["nme", "jaw"] == pytest.approx(2)
    assert found["fr@7", "51"] == 25 and found["fr@7", "68"] == 25
    assert found["pck@5", "68"] == pytest.approx(100 * (3 * 68 - 1) / (3 * 68 + 51))


def test_intervals_narrow_with_the_number_of_images():
    rng = np.random.default_rng(0)
    widths = []
    for n in (25, 400):
        f = point_figures(rng.gamma(2, 0.03, (n, 1)).repeat(68, 1), 500)["nme", "68"]
        widths.append(f.high - f.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)  # with the root of it
