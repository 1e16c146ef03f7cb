"""Metrics with their published definitions; each one is checked against an independent one in tests."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer, Shaped
from scipy.integrate import simpson

from synthforge.conventions import IGNORE, LANDMARK_GROUPS

OUTER_EYE_CORNERS = (36, 45)
POINT_SETS = {"51": range(17, 68), "68": range(0, 68), **LANDMARK_GROUPS}


def point_errors(
    predicted: Float[np.ndarray, "p 2"], true: Float[np.ndarray, "p 2"]
) -> tuple[Float[np.ndarray, " p"], float]:
    """Distance of each point over that of the true outer eye corners; and that distance, in pixels."""
    a, b = OUTER_EYE_CORNERS
    normaliser = float(np.linalg.norm(true[a] - true[b]))
    return np.linalg.norm(predicted - true, axis=1) / normaliser, normaliser


def auc(errors: Float[np.ndarray, " n"], threshold: float) -> float:
    """Area under the cumulative error curve up to `threshold`, over `threshold` (0 to 1).

    Source: the 300-W protocol as in the code of HRNet and STAR: steps of 1e-4, Simpson's rule.
    """
    x = np.arange(0, threshold + 1e-4, 1e-4)
    curve = np.searchsorted(np.sort(errors), x, side="right") / len(errors)
    return float(simpson(curve, x=x) / threshold)


def failure_rate(errors: Float[np.ndarray, " n"], threshold: float) -> float:
    """Share of images whose error exceeds `threshold`."""
    return float((errors > threshold).mean())


class Confusion:
    """One confusion matrix over a whole data set: rows true, columns predicted; 255 is left out."""

    def __init__(self, n_classes: int):
        self.counts = np.zeros((n_classes, n_classes), np.int64)

    def add(self, true: Integer[np.ndarray, "h w"], predicted: Integer[np.ndarray, "h w"]) -> None:
        """Count the pixels of one image."""
        n = len(self.counts)
        known = true != IGNORE
        pairs = true[known].astype(np.int64) * n + predicted[known]
        self.counts += np.bincount(pairs, minlength=n * n).reshape(n, n)

    def f1(self) -> Float[np.ndarray, " c"]:
        """2 TP / (true + predicted) of each class; NaN where a class is in neither."""
        hits = np.diag(self.counts).astype(float)
        total = self.counts.sum(0) + self.counts.sum(1)
        return np.divide(2 * hits, total, out=np.full(len(hits), np.nan), where=total > 0)

    def iou(self) -> Float[np.ndarray, " c"]:
        """TP / union of each class; NaN where a class is in neither."""
        f1 = self.f1()
        return f1 / (2 - f1)


@dataclass(frozen=True)
class DepthErrors:
    """Mean absolute error of one image in millimetres, after each alignment."""

    absolute: float
    shift: float
    scale_shift: float


def depth_errors(
    predicted: Float[np.ndarray, "h w"], true: Float[np.ndarray, "h w"], mask: Shaped[np.ndarray, "h w"]
) -> DepthErrors:
    """Errors over `mask`: as predicted, after the best shift (median), after the least-squares affine."""
    p, t = predicted[mask].astype(float), true[mask].astype(float)
    shift = p + np.median(t - p)
    design = np.column_stack([p, np.ones_like(p)])
    affine = design @ np.linalg.lstsq(design, t, rcond=None)[0]
    return DepthErrors(*(1000 * float(np.abs(x - t).mean()) for x in (p, shift, affine)))
