"""Landmark errors with their published definitions: NME, AUC, failure rate, PCK."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.integrate import simpson

from synthforge.conventions import LANDMARK_GROUPS
from synthforge.errors import ConfigError

POINT_SETS = {"51": range(17, 68), "68": range(0, 68), **LANDMARK_GROUPS}
STEP = 1e-4  # of the cumulative curve


# What divides the distances: how it is measured on the true points, and how tables name it.
# 300-W, LaPa and WFLW use the outer eye corners; 300-W papers before 2018 often the eye centres (values
# about 1.4 times as large); 300-W's private set and AFLW2000 the box; AFLW its diagonal.
NORMALISERS: dict[str, tuple[Callable[[np.ndarray], float], str]] = {
    "inter-ocular": (lambda true: float(np.linalg.norm(true[36] - true[45])), "outer eye corners"),
    "inter-pupil": (
        lambda true: float(np.linalg.norm(true[36:42].mean(0) - true[42:48].mean(0))),
        "eye centres",
    ),
    "box": (lambda true: float(np.sqrt(np.ptp(true, axis=0).prod())), "root of the landmarks' box area"),
    "diagonal": (lambda true: float(np.linalg.norm(np.ptp(true, axis=0))), "diagonal of the landmarks' box"),
}


def point_errors(
    predicted: Float[np.ndarray, "p 2"], true: Float[np.ndarray, "p 2"], normaliser: str = "inter-ocular"
) -> tuple[Float[np.ndarray, " p"], float]:
    """Distance of each point over the normaliser; and the normaliser, in pixels.

    A point that was not predicted (NaN) has error infinity; one that is not annotated has error NaN.

    Raises:
        ConfigError: unknown normaliser.
    """
    if normaliser not in NORMALISERS:
        raise ConfigError(
            f"unknown normaliser {normaliser!r}", where="--normaliser", fix=f"use: {', '.join(NORMALISERS)}"
        )
    length = NORMALISERS[normaliser][0](true)
    distance = np.linalg.norm(predicted - true, axis=1)
    missed = np.isnan(predicted).any(1) & ~np.isnan(true).any(1)
    return np.where(missed, np.inf, distance) / length, length


def auc_shares(errors: Float[np.ndarray, " n"], threshold: float) -> Float[np.ndarray, " n"]:
    """What each image adds to AUC, the area under the cumulative error curve up to `threshold`, over
    `threshold` (0 to 1): the AUC is their mean.

    The curve is a mean of one step per image, and Simpson's rule is linear, so the area of the mean is
    the mean of the areas; that makes it cheap to resample.

    Source: the 300-W protocol as in the code of HRNet and STAR: steps of 1e-4, Simpson's rule.
    """
    x = np.linspace(0, threshold, round(threshold / STEP) + 1)
    weights = simpson(np.eye(len(x)), x=x, axis=1)
    tails = np.append(np.cumsum(weights[::-1])[::-1], 0.0) / threshold
    return tails[np.searchsorted(x, errors, side="left")]
