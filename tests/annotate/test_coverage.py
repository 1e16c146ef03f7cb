"""Pixel classes and coverages against counting by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.annotate.coverage import coverages, majority


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 5]), st.integers(2, 21))
def test_majority_and_coverage_count_samples(seed, factor, n_classes):
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, n_classes, (4 * factor, 6 * factor)).astype(np.uint8)
    got, (share, empty) = majority(samples, factor), coverages(samples, factor, [1, 0])
    assert got.shape == share.shape == empty.shape == (4, 6)
    for row in range(4):
        for col in range(6):
            block = samples[row * factor : (row + 1) * factor, col * factor : (col + 1) * factor]
            count = np.bincount(block.ravel(), minlength=n_classes)
            winners = np.flatnonzero(count == count.max())
            centre = block[factor // 2, factor // 2]
            assert got[row, col] == (centre if centre in winners else winners[0])
            assert abs(share[row, col] - 255 * (block == 1).mean()) <= 0.5
            assert abs(empty[row, col] - 255 * (block == 0).mean()) <= 0.5


def test_coverage_is_full_and_empty_at_the_ends():
    share, other = coverages(np.full((6, 6), 13, np.uint8), 3, [13, 1])
    assert (share == 255).all() and not other.any()
