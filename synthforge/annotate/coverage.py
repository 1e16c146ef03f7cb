"""From classes at sub-pixel samples to the classes and coverages of pixels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from numba import njit


def majority(samples: UInt8[np.ndarray, "hs ws"], factor: int) -> UInt8[np.ndarray, "h w"]:
    """Class of most of each pixel's `factor` x `factor` samples.

    Of classes with equally many, the one at the pixel's centre, else the lowest id.
    """
    return _majority(samples, factor)


def coverages(
    samples: UInt8[np.ndarray, "hs ws"], factor: int, class_ids: Sequence[int]
) -> UInt8[np.ndarray, "k h w"]:
    """Shares of each pixel's samples that are of the given classes; 255 is all of them."""
    layer = np.full(256, -1, np.int64)
    layer[list(class_ids)] = np.arange(len(class_ids))
    return _coverages(samples, factor, layer, len(class_ids))


@njit(cache=True)
def _majority(samples, factor):
    height, width = samples.shape[0] // factor, samples.shape[1] // factor
    out = np.zeros((height, width), np.uint8)
    count = np.zeros(256, np.int64)
    for row in range(height):
        for col in range(width):
            top, left = row * factor, col * factor
            centre = samples[top + factor // 2, left + factor // 2]
            uniform = True
            for i in range(factor):
                for j in range(factor):
                    uniform &= samples[top + i, left + j] == centre
            if uniform:
                out[row, col] = centre
                continue
            for i in range(factor):
                for j in range(factor):
                    count[samples[top + i, left + j]] += 1
            best, most = centre, count[centre]
            if most < factor * factor:
                for i in range(factor):
                    for j in range(factor):
                        c = samples[top + i, left + j]
                        if count[c] > most or (count[c] == most and c < best and best != centre):
                            best, most = c, count[c]
            for i in range(factor):
                for j in range(factor):
                    count[samples[top + i, left + j]] = 0
            out[row, col] = best
    return out


@njit(cache=True)
def _coverages(samples, factor, layer, n_layers):
    height, width = samples.shape[0] // factor, samples.shape[1] // factor
    out = np.zeros((n_layers, height, width), np.uint8)
    n = factor * factor
    hits = np.zeros(n_layers, np.int64)
    for row in range(height):
        for col in range(width):
            hits[:] = 0
            for i in range(factor):
                for j in range(factor):
                    k = layer[samples[row * factor + i, col * factor + j]]
                    if k >= 0:
                        hits[k] += 1
            for k in range(n_layers):
                out[k, row, col] = (2 * 255 * hits[k] + n) // (2 * n)
    return out
