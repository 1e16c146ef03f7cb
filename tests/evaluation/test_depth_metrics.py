"""Depth errors against numpy.linalg.lstsq, SciPy, torchmetrics and loops over pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torchmetrics.functional import mean_absolute_percentage_error, mean_squared_error

from synthforge.evaluation.depth_metrics import ALIGNMENTS, align_depth, depth_errors


def pair(seed: int = 3, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.6, 0.9, 300)
    return 0.7 * true + 0.15 + rng.normal(0, noise, 300), true


def test_alignments_are_the_least_squares_ones():
    p, t = pair()
    np.testing.assert_allclose(
        align_depth(p, t, "scale"), p * np.linalg.lstsq(p[:, None], t, rcond=None)[0], rtol=1e-12
    )
    design = np.column_stack([p, np.ones_like(p)])
    want = design @ np.linalg.lstsq(design, t, rcond=None)[0]
    np.testing.assert_allclose(align_depth(p, t, "scale_shift"), want, rtol=1e-12)
    assert np.median(align_depth(p, t, "shift") - t) == pytest.approx(0, abs=1e-15)
    np.testing.assert_array_equal(align_depth(p, t, "absolute"), p)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(0.2, 5), st.floats(-1, 1))
def test_what_an_alignment_removes_does_not_count(seed, scale, shift):
    p, t = pair(seed)
    for alignment, changed in (
        ("shift", p + shift),
        ("scale", scale * p),
        ("scale_shift", scale * p + shift),
    ):
        before, after = depth_errors(p, t, (alignment,)), depth_errors(changed, t, (alignment,))
        assert after == pytest.approx(before, abs=1e-6)
    before, after = depth_errors(p, t, ()), depth_errors(scale * p + shift, t, ())
    assert after == pytest.approx(before, abs=1e-6) and set(before) == {("ssi", ""), ("order", "")}


def test_errors_agree_with_torchmetrics_scipy_and_a_loop():
    p, t = pair()
    errors = depth_errors(p, t)
    for alignment in ALIGNMENTS:
        a = align_depth(p, t, alignment)
        args = torch.from_numpy(a), torch.from_numpy(t)
        rmse = 1000 * float(mean_squared_error(*args, squared=False))
        assert errors["rmse_mm", alignment] == pytest.approx(rmse, rel=1e-6)
        absrel = 100 * float(mean_absolute_percentage_error(*args))
        assert errors["absrel", alignment] == pytest.approx(absrel, rel=1e-6)
        for limit in (1.05, 1.10, 1.25):
            inside = sum(max(x / y, y / x) < limit for x, y in zip(a, t, strict=True))
            assert errors[f"delta<{limit:g}", alignment] == pytest.approx(100 * inside / len(t))
    assert errors["order", ""] == pytest.approx(spearmanr(p, t).statistic)


def test_errors_of_known_size():
    t = np.array([0.5, 1.0, 2.0])
    errors = depth_errors(t + [0.05, -0.1, 0.2], t)
    assert errors["mm", "absolute"] == pytest.approx(1000 * 0.35 / 3)
    assert errors["absrel", "absolute"] == pytest.approx(10)
    assert depth_errors(-t, t)["order", ""] == pytest.approx(-1)
    assert depth_errors(-t, t)["delta<1.25", "absolute"] == 0  # behind the camera is never near
    # median 1, mean |d - median| 0.5; the prediction's: median 1, mean |d - median| 1
    assert depth_errors(np.array([0.0, 1.0, 3.0]), t)["ssi", ""] == pytest.approx(
        np.abs(np.array([-1, 0, 2.0]) / 1 - np.array([-0.5, 0, 1]) / 0.5).mean()
    )
