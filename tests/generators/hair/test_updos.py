"""Tied hair: ways to the tie, and what hangs from it, on a free line."""

import numpy as np
import pytest

from synthforge.generators.hair.updos import hanging, ties_of, to_ties

DOWN = np.array([0.0, -1.0, 0.0])


def free(points, distance):
    return points


@pytest.mark.parametrize("gather", ["tail", "bun", "braid", "braids"])
def test_ways_start_at_the_root_and_end_at_the_tie_of_their_side(gather):
    rng = np.random.default_rng(1)
    ties = ties_of(gather, rng)
    roots = rng.standard_normal((50, 3))
    roots *= 0.1 / np.linalg.norm(roots, axis=1, keepdims=True)
    ways = to_ties(roots, ties, 9)
    assert np.allclose(ways[:, 0], roots)
    side = np.where(roots[:, 0] >= 0, 0, len(ties) - 1)
    assert np.allclose(ways[:, -1], ties[side])
    if gather == "braids":
        assert np.allclose(ties[0] * [-1, 1, 1], ties[1]) and ties[0, 0] > 0


def test_a_tail_falls_and_ends_thinner_than_its_middle():
    tie = np.array([0.0, 0.02, -0.09])
    strands = hanging(tie, "tail", DOWN, free, 1.0, np.random.default_rng(2))
    assert np.linalg.norm(strands[:, 0] - tie, axis=1).max() < 0.012
    assert np.median(strands[:, -1, 1]) < tie[1] - 0.1
    length = np.linalg.norm(np.diff(strands, axis=1), axis=-1).sum(1)
    assert length.min() > 0.08 and length.max() < 0.40


def test_the_locks_of_a_braid_cross():
    strands = hanging(np.array([0.0, 0.0, -0.09]), "braid", DOWN, free, 2.0, np.random.default_rng(3))
    locks = strands.reshape(3, -1, *strands.shape[1:]).mean(1)
    order = np.argsort(locks[:, :, 0], axis=0)  # from right to left, along the braid
    crossings = (np.diff(order, axis=1) != 0).any(0).sum()
    assert crossings >= 6
    assert np.ptp(strands[:, :30, 0]) < 0.06


def test_a_bun_is_a_ball_on_its_tie():
    tie = np.array([0.0, 0.06, -0.08])
    strands = hanging(tie, "bun", DOWN, free, 1.0, np.random.default_rng(4))
    away = np.linalg.norm(strands - tie, axis=-1)
    assert away.max() < 0.06
    thick, thin = hanging(tie, "bun", DOWN, free, 2.0, np.random.default_rng(4)), strands
    assert len(thick) == len(thin) // 2
