"""Depth errors of one image, after each way of aligning the prediction with the truth."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

ALIGNMENTS = ("absolute", "shift", "scale", "scale_shift")
DELTAS = (1.05, 1.10, 1.25)


def align_depth(
    predicted: Float[np.ndarray, " n"], true: Float[np.ndarray, " n"], alignment: str
) -> Float[np.ndarray, " n"]:
    """The prediction as it is (`absolute`), shifted by the median difference, scaled, or scaled and
    shifted, the last two by least squares in closed form."""
    p, t = predicted.astype(float), true.astype(float)
    if alignment == "shift":
        return p + np.median(t - p)
    if alignment == "scale":
        return p * (p @ t / max(p @ p, 1e-30))
    if alignment == "scale_shift":
        centred = p - p.mean()
        slope = centred @ t / max(centred @ centred, 1e-30)
        return t.mean() + slope * centred
    return p


def depth_errors(
    predicted: Float[np.ndarray, " n"], true: Float[np.ndarray, " n"], alignments: Sequence[str] = ALIGNMENTS
) -> dict[tuple[str, str], float]:
    """(metric, alignment) -> error over the pixels given, z in metres.

    `mm` and `rmse_mm` mean absolute and root mean square error in millimetres; `absrel` mean of the
    absolute error over the true depth, in %; `delta<x` share of pixels, in %, where the larger of the
    two is less than x times the smaller. Without alignment, since they need none: `ssi`, the mean
    absolute difference after each map is brought to median 0 and mean absolute deviation 1 (MiDaS),
    and `order`, Spearman's rank correlation.
    """
    out: dict[tuple[str, str], float] = {}
    t = true.astype(float)
    for alignment in alignments:
        p = align_depth(predicted, true, alignment)
        error = np.abs(p - t)
        out["mm", alignment] = 1000 * float(error.mean())
        out["rmse_mm", alignment] = 1000 * float(np.sqrt((error**2).mean()))
        out["absrel", alignment] = 100 * float((error / t).mean())
        ratio = np.maximum(p / t, t / np.where(p > 0, p, np.nan))
        for x in DELTAS:
            out[f"delta<{x:g}", alignment] = 100 * float((ratio < x).mean())
    out["ssi", ""] = float(np.abs(_standard(predicted) - _standard(t)).mean())
    out["order", ""] = _correlation(rankdata(predicted), rankdata(t))
    return out


def _standard(depth: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    centred = depth.astype(float) - np.median(depth)
    return centred / max(float(np.abs(centred).mean()), 1e-12)


def _correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-30))
