"""Named random streams: sample i depends on (seed, i) only."""

import zlib

import numpy as np


def sample_rng(seed: int, index: int, stream: str) -> np.random.Generator:
    """Generator of one named stream of one sample, independent of worker, order and resume."""
    key = (index, zlib.crc32(stream.encode()))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def sample_seed(seed: int, index: int) -> int:
    """64-bit provenance number of a sample."""
    return int(np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1, np.uint64)[0])
