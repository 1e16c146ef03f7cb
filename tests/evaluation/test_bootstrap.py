"""Intervals against SciPy's bootstrap and the normal distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from synthforge.evaluation.bootstrap import interval, resampled_sums


def mean_of(n: int):
    return lambda sums: sums / n


def test_interval_of_a_mean_is_that_of_scipy_and_of_theory():
    values = np.random.default_rng(0).gamma(2, 1.5, 200)
    low, high = interval(values[:, None], mean_of(200), resamples=4000)[:, 0]
    peer = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.03)
    half = 1.96 * values.std() / np.sqrt(200)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.06)


def test_interval_of_a_pooled_ratio_is_that_of_scipy():
    rng = np.random.default_rng(1)
    below = rng.integers(5, 50, 120).astype(float)
    above = rng.binomial(below.astype(int), 0.7).astype(float)
    rows = np.column_stack([above, below])
    low, high = interval(rows, lambda s: s[:, :1] / s[:, 1:], resamples=4000)[:, 0]
    peer = bootstrap(
        (above, below), lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True, method="percentile", n_resamples=4000, rng=2,
    ).confidence_interval  # fmt: skip
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.004)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 30), st.integers(0, 150), st.integers(0, 5))
def test_each_resample_draws_as_many_images_as_there_are(n, resamples, seed):
    sums = resampled_sums(np.column_stack([np.ones(n), np.arange(n)]), resamples, seed)
    assert sums.shape == (resamples, 2) and (sums[:, 0] == n).all()
    again = resampled_sums(np.column_stack([np.ones(n), np.arange(n)]), resamples + 1, seed)
    np.testing.assert_array_equal(again[:resamples], sums)  # more resamples go on where fewer stop


def test_what_no_resample_defines_has_no_interval():
    rows = np.array([[1.0, 0.0], [3.0, 0.0]])
    with np.errstate(invalid="ignore"):
        bounds = interval(rows, lambda s: s / (s > 0), resamples=100)
    assert np.isfinite(bounds[:, 0]).all() and np.isnan(bounds[:, 1]).all()
    assert np.isnan(interval(rows, mean_of(2), resamples=0)).all()
