"""Bootstrap intervals over images, for whatever is a function of sums over images."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from synthforge.rng import sample_rng

LEVEL = 0.95
CHUNK = 64  # resamples at a time: memory stays small for any number of images


def resampled_sums(rows: Float[np.ndarray, "n k"], resamples: int, seed: int) -> Float[np.ndarray, "r k"]:
    """Sums over n images drawn with replacement; resample j is the same for every table of n rows."""
    n, sums = len(rows), []
    for chunk, first in enumerate(range(0, resamples, CHUNK)):
        rng = sample_rng(seed, chunk, "bootstrap")
        drawn = rng.integers(n, size=(CHUNK, n))[: resamples - first]
        sums.append(np.stack([np.bincount(d, minlength=n) for d in drawn]) @ rows)
    return np.concatenate(sums) if sums else np.zeros((0, rows.shape[1]))


def interval(
    rows: Float[np.ndarray, "n k"],
    statistic: Callable[[Float[np.ndarray, "r k"]], Float[np.ndarray, "r m"]],
    resamples: int = 1000,
    seed: int = 0,
) -> Float[np.ndarray, "2 m"]:
    """Percentile interval (95 %) of `statistic`, which maps sums over images to m figures.

    Resamples in which a figure is not defined (NaN) do not count for it.

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    values = statistic(resampled_sums(rows, resamples, seed))
    out = np.full((2, values.shape[1]), np.nan)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    for k, column in enumerate(values.T):
        if len(defined := column[~np.isnan(column)]):
            out[:, k] = np.quantile(defined, tails)
    return out
