"""Canonical face coordinates: where a point of any head lies on the canonical head.

Appearance (brows, lips, beard, hair borders, skin colour) is defined once, on the canonical head; a head
says with `canonical_coordinates` where each of its vertices lies there.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from synthforge.errors import GeometryError

_FILE = Path(__file__).parents[1] / "assets" / "canonical_points.json"
_MIRROR = np.array([-1.0, 1.0, 1.0])


@cache
def _table() -> dict:
    return json.loads(_FILE.read_text())


def canonical_points(column: str = "canonical") -> dict[str, Float[np.ndarray, " 3"]]:
    """Named points (metres, head frame; of paired points the left one).

    Args:
        column: "canonical" (half way between the mean man and the mean woman) or "ict" (the same
            points on the neutral of ICT-FaceKit).
    Source: see the file's own "source" entry.
    """
    return {name: np.array(point) for name, point in _table()[column].items()}


def inside_points() -> frozenset[str]:
    """Names of the points that lie inside the head, not on its skin."""
    return frozenset(_table()["inside"])


def canonical_coordinates(
    vertices: Float[np.ndarray, "v 3"], points: dict[str, Float[np.ndarray, " 3"]], smoothing: float = 2e-4
) -> Float[np.ndarray, "v 3"]:
    """Each vertex's place on the canonical head (metres, head frame).

    The warp is the smoothest one (least bending energy; thin-plate spline of three dimensions, kernel r)
    that takes the head's named points to the canonical head's; it is the identity where they agree.

    Args:
        vertices: neutral head, metres, head frame.
        points: some of the names of `canonical_points` on this head; left ones of pairs, mirrored here.
        smoothing: metres; the points are known to about half a millimetre.
    Raises:
        GeometryError: fewer than ten known names.
    Source: Bookstein, Principal warps (1989), with scipy's RBFInterpolator.
    """
    target = canonical_points()
    names = [name for name in target if name in points]
    if len(names) < 10:
        raise GeometryError(
            f"{len(names)} known named points", where="canonical_coordinates",
            fix="give at least ten of the names in canonical_points.json",
        )  # fmt: skip
    here = np.array([points[n] for n in names], float)
    there = np.array([target[n] for n in names])
    paired = there[:, 0] > 1e-6
    here = np.concatenate([here, here[paired] * _MIRROR])
    there = np.concatenate([there, there[paired] * _MIRROR])
    warp = RBFInterpolator(here, there - here, kernel="linear", degree=1, smoothing=smoothing)
    return np.asarray(vertices, float) + warp(np.asarray(vertices, float))
