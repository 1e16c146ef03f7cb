"""From classes at sub-pixel samples to the classes and coverages of pixels."""

import numpy as np
from jaxtyping import UInt8
from numba import njit


def majority(samples: UInt8[np.ndarray, "hs ws"], factor: int) -> UInt8[np.ndarray, "h w"]:
    """Class of most of each pixel's `factor` x `factor` samples.

    Of classes with equally many, the one at the pixel's centre, else the lowest id.
    """
    return _majority(samples, factor)


def coverage(samples: UInt8[np.ndarray, "hs ws"], factor: int, class_id: int) -> UInt8[np.ndarray, "h w"]:
    """Share of each pixel's samples that are of one class; 255 is all of them."""
    return _coverage(samples, factor, class_id)


def foreground(samples: UInt8[np.ndarray, "hs ws"], factor: int) -> UInt8[np.ndarray, "h w"]:
    """Share of each pixel's samples that are not background; 255 is all of them."""
    return 255 - _coverage(samples, factor, 0)


@njit(cache=True)
def _majority(samples, factor):
    height, width = samples.shape[0] // factor, samples.shape[1] // factor
    out = np.zeros((height, width), np.uint8)
    count = np.zeros(256, np.int64)
    for row in range(height):
        for col in range(width):
            top, left = row * factor, col * factor
            centre = samples[top + factor // 2, left + factor // 2]
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
def _coverage(samples, factor, class_id):
    height, width = samples.shape[0] // factor, samples.shape[1] // factor
    out = np.zeros((height, width), np.uint8)
    n = factor * factor
    for row in range(height):
        for col in range(width):
            hits = 0
            for i in range(factor):
                for j in range(factor):
                    if samples[row * factor + i, col * factor + j] == class_id:
                        hits += 1
            out[row, col] = (2 * 255 * hits + n) // (2 * n)
    return out
