"""Strands found again in the ribbons that show them: centre lines, widths and colours."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from synthforge.generators.geometry.worn import WornMesh


@dataclass(frozen=True)
class Strands:
    """Polylines one after the other: strand i is `points[starts[i] : starts[i + 1]]`.

    `points` metres, world frame; `side` half of the ribbon's width as a vector; `albedo` linear RGB per
    strand.
    """

    starts: Int[np.ndarray, " k"]
    points: Float[np.ndarray, "n 3"]
    side: Float[np.ndarray, "n 3"]
    albedo: Float[np.ndarray, "s 3"]


def strands_of(worn: WornMesh) -> Strands | None:
    """Centre lines of a mesh of ribbons; None for any other.

    A ribbon's vertices are pairs, left and right, from root to tip, and its triangles join neighbouring
    pairs.
    """
    n, faces = len(worn.vertices), worn.faces
    if n < 4 or n % 2 or not len(faces):
        return None
    pair = faces // 2
    first = pair.min(1)
    if (pair.max(1) != first + 1).any():
        return None
    joined = np.zeros(n // 2, bool)
    joined[first] = True
    if 2 * joined.sum() != len(faces):  # two triangles per step
        return None
    left, right = worn.vertices[0::2], worn.vertices[1::2]
    starts = np.concatenate([[0], np.flatnonzero(~joined) + 1]).astype(np.int64)
    albedo = np.add.reduceat(worn.albedo[0::2], starts[:-1]) / np.diff(starts)[:, None]
    return Strands(starts, (left + right) / 2, (right - left) / 2, albedo.astype(np.float32))
