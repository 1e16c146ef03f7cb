"""The cumulative error curve as a small SVG picture."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from synthforge.report.svg import Line, line_chart

LIMIT = 10.0  # per cent of the normaliser


def cumulative_curve(errors: Mapping[str, Float[np.ndarray, " n"]], normaliser: str) -> str:
    """Share of images (%) whose NME is at most x (%), one curve per set of points.

    Args:
        errors: name of the point set -> NME of each image, %.
        normaliser: what the errors are divided by, in words.
    """
    lines = [Line(f"{name} points", _corners(*curve_steps(values))) for name, values in errors.items()]
    x, y = ({float(v): str(v) for v in range(0, end + 1, step)} for end, step in ((int(LIMIT), 2), (100, 20)))
    return line_chart(lines, x, y, f"NME, % of {normaliser}", "images (%)")


def _corners(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """The steps as a line from 0 to `LIMIT`."""
    below = [0.0, *y[:-1]] if len(y) else []
    steps = [p for a, b, c in zip(x, below, y, strict=True) for p in ((a, b), (a, c))]
    return [(0.0, 0.0), *steps, (LIMIT, steps[-1][1] if steps else 0.0)]


def curve_steps(errors: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Where the curve rises up to `LIMIT`, and its value (%) from there on."""
    x, counts = np.unique(errors, return_counts=True)
    inside = x <= LIMIT
    return x[inside], (100 * counts.cumsum() / len(errors))[inside]
