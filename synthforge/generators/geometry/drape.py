"""Cloth over a head: taut sheets of points laid over an obstacle, as accessories."""

import numpy as np
from jaxtyping import Float
from numba import njit

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import lattice_faces
from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.numeric import unit


@njit(cache=True)
def drape(least, pinned, rounds, closed):
    """Radii n m (m) of a taut sheet over an obstacle, on a lattice of directions.

    Args:
        least: n m, the obstacle's radii, which the sheet's never fall below.
        pinned: n m, where the sheet keeps the obstacle's radius.
        rounds: of smoothing; more make it more taut.
        closed: joins the last column to the first, and makes row 0 one point.
    """
    n, m = least.shape
    r = least.copy()
    for _ in range(rounds):
        if closed:
            top = max(r[1].mean(), least[0].max())
            r[0, :] = top
        for i in range(1 if closed else 0, n):
            up, down = max(i - 1, 0), min(i + 1, n - 1)
            for j in range(m):
                if pinned[i, j]:
                    continue
                left = (j - 1) % m if closed else max(j - 1, 0)
                right = (j + 1) % m if closed else min(j + 1, m - 1)
                if i == 0 or i == n - 1:
                    mean = 0.5 * (r[i, left] + r[i, right])
                elif not closed and (j == 0 or j == m - 1):
                    mean = 0.5 * (r[up, j] + r[down, j])
                else:
                    mean = 0.25 * (r[i, left] + r[i, right] + r[up, j] + r[down, j])
                r[i, j] = max(least[i, j], mean)
    return r


def sheet(
    person: Person,
    points: Float[np.ndarray, "n m 3"],
    color: np.ndarray,
    class_name: str,
    material: str = "cloth",
    closed: bool = False,
    place: Float[np.ndarray, "n m 2"] | None = None,
    rings: bool = False,
) -> Accessory:
    """Accessory (world frame) whose points form a lattice.

    Args:
        points: metres, head frame.
        color: linear RGB, one (3) or per point (n m 3).
        closed: the last column is joined to the first.
        place: place in the cloth (m); None: measured along rows and columns.
        rings: ribs of knitwear run along the rows instead of down the columns.
    """
    n, m, _ = points.shape
    world = person.to_world(points)
    across = np.roll(world, -1, 1) - np.roll(world, 1, 1) if closed else np.gradient(world, axis=1)
    place = _measured(points) if place is None else place
    if rings:
        across, place = np.gradient(world, axis=0), place[..., ::-1]
    return Accessory.surface(
        world.reshape(-1, 3),
        lattice_faces(n, m, closed),
        np.broadcast_to(color, points.shape).reshape(-1, 3),
        class_name,
        material,
        unit(across).reshape(-1, 3),
        np.dstack([place, np.zeros((n, m))]).reshape(-1, 3),
    )


def _measured(points: np.ndarray) -> np.ndarray:
    """Distance (m) along the longest row and down the columns, so that each row has as many ribs."""
    step = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    u = np.append(0, step[step.sum(1).argmax()].cumsum())
    v = np.append(0, np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(1).cumsum())
    return np.dstack(np.broadcast_arrays(u[None], v[:, None]))
