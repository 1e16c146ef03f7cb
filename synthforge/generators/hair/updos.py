"""Updos: pony tail, bun and braids as strands around a line that hangs from the tie.

Lengths are metres. Points are in the head frame, relative to the middle of the braincase.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from synthforge.generators.shading.numeric import unit

# where hair is tied (subject's left half, lowest to highest)
_TIES = {
    "tail": [[0.0, -0.035, -0.088], [0.0, 0.050, -0.092]],
    "bun": [[0.0, -0.030, -0.088], [0.0, 0.085, -0.062]],
    "braid": [[0.0, -0.060, -0.070], [0.0, -0.020, -0.090]],
    "braids": [[0.050, -0.075, -0.052], [0.062, -0.050, -0.050]],
}
_BUN = 0.030  # m, its radius
_LOBE = 0.0085  # m, radius of one of a braid's three locks

Outside = Callable[
    [np.ndarray, float], np.ndarray
]  # points n 3, distance (m) -> points that far off the body


def ties_of(gather: str, rng: np.random.Generator) -> Float[np.ndarray, "t 3"]:
    """Where the hair is tied: one place, or one on each side (left first)."""
    low, high = np.array(_TIES[gather])
    at = low + rng.random() * (high - low)
    return np.stack([at, at * [-1, 1, 1]]) if gather == "braids" else at[None]


def to_ties(
    roots: Float[np.ndarray, "g 3"], ties: Float[np.ndarray, "t 3"], steps: int
) -> Float[np.ndarray, "g s 3"]:
    """Paths from the roots over a sphere to the tie on their side; the radius changes evenly along them."""
    tie = ties[np.where(roots[:, 0] >= 0, 0, -1)]
    # the front goes back over the ears before it comes down
    front = np.clip(roots[:, 2:] / 0.06, 0, 1) * np.clip((roots[:, 1:2] - tie[:, 1:2]) / 0.05, 0, 1)
    above = unit(unit(roots) + unit(tie) + front * np.array([0, 0.7, -0.7]))
    a, b = unit(roots), unit(tie)
    t = np.linspace(0, 1, steps)[None, :, None]
    way = (1 - t) ** 2 * a[:, None] + 2.2 * t * (1 - t) * above[:, None] + t**2 * b[:, None]
    r0, r1 = (np.linalg.norm(p, axis=1)[:, None, None] for p in (roots, tie))
    return unit(way) * ((1 - t) * r0 + t * r1)


def hanging(
    tie: Float[np.ndarray, " 3"],
    gather: str,
    down: Float[np.ndarray, " 3"],
    outside: Outside,
    coarse: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n p 3"]:
    """Strands beyond one tie.

    Args:
        gather: "tail", "bun", "braid" or "braids".
        down: unit vector.
        outside: keeps points off the body.
        coarse: divides the number of strands.
    """
    tie = tie[None]
    if gather == "bun":
        return _bun(tie, int(900 / coarse), rng)
    out = unit(tie * [1, 0.3, 1])
    if gather == "tail":
        line = _line(tie, 0.6 * out + 0.5 * np.array([0, 1, 0]), rng.uniform(0.20, 0.34), 0.30, down, outside)
        return _tail(line, int(900 / coarse), rng)
    forward = np.array([0, 0, 0.5]) if gather == "braids" else np.zeros(3)
    line = _line(tie, out + 2 * down + forward, rng.uniform(0.18, 0.27), 0.5, down, outside)
    return _braid(line, int(260 / coarse), rng)


def _line(
    start: np.ndarray, direction: np.ndarray, length: float, weight: float, down: np.ndarray, outside: Outside
) -> np.ndarray:
    """Middle line of hanging hair, which bends down and stays off the head and shoulders; `start` and
    `direction` are rows 1 3."""
    steps = 16
    direction, points = unit(direction), [start]
    for _ in range(steps):
        direction = unit(direction + weight * down)
        points.append(outside(points[-1] + length / steps * direction, 0.014))
        direction = unit(0.3 * direction + 0.7 * unit(points[-1] - points[-2]))
    line = np.concatenate(points)
    line[1:-1] = 0.5 * line[1:-1] + 0.25 * (line[2:] + line[:-2])
    return line


def _frame(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors across a line: sideways, and outwards from the head's axis."""
    along = unit(np.gradient(line, axis=0))
    out = line * [1, 0, 1]
    out = unit(out - (out * along).sum(1, keepdims=True) * along)
    return np.cross(along, out), out


def _resampled(line: np.ndarray, points: int) -> np.ndarray:
    at, to = np.linspace(0, 1, len(line)), np.linspace(0, 1, points)
    return np.stack([np.interp(to, at, c) for c in line.T], 1)


def _tail(line: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    p = 15
    line = _resampled(line, p)
    side, out = _frame(line)
    u = np.linspace(0, 1, p)
    wide = np.interp(u, [0, 0.1, 0.3, 0.7, 1], [0.007, 0.014, 0.020, 0.017, 0.006])
    angle = 2 * np.pi * rng.random(n)
    rho = np.sqrt(rng.random(n)) * np.exp(rng.normal(0, 0.08, n))
    wave = 0.15 * np.sin(2 * np.pi * (u * rng.uniform(0.6, 1.6) + rng.random((n, 1)) * 0.25))
    x = wide * (rho * np.cos(angle))[:, None] + 0.5 * wide * wave
    y = wide * (rho * np.sin(angle))[:, None] * 0.8
    paths = line + x[..., None] * side + y[..., None] * out
    share = np.clip(rng.normal(0.86, 0.10, n), 0.5, 1.05)  # ends at many lengths
    at = np.linspace(0, 1, p)[None] * share[:, None] * (p - 1)
    low = np.clip(at.astype(int), 0, p - 2)
    rows = np.arange(n)[:, None]
    return paths[rows, low] + (at - low)[..., None] * (paths[rows, low + 1] - paths[rows, low])


def _braid(line: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Three locks of `n` strands each that cross in turn."""
    p = 42
    line = _resampled(line, p)
    side, out = _frame(line)
    u = np.linspace(0, 1, p)
    turns = np.linalg.norm(np.diff(line, axis=0), axis=1).sum() / 0.055  # m per full turn
    # full down to the lower tie, then a tuft
    wide = np.interp(u, [0, 0.06, 0.8, 0.86, 0.88, 0.94, 1], [0.8, 1.0, 0.72, 0.42, 0.42, 0.85, 0.3])
    plait = np.interp(u, [0, 0.04, 0.84, 0.88], [0.4, 1, 1, 0])
    paths = []
    for lock in range(3):
        angle = 2 * np.pi * (turns * u + lock / 3)
        x0 = 1.15 * _LOBE * plait * np.sin(angle)
        y0 = 0.62 * _LOBE * plait * np.sin(2 * angle)
        around, rho = 2 * np.pi * rng.random((n, 1)), np.sqrt(rng.random((n, 1)))
        x = wide * (x0 + _LOBE * rho * np.cos(around + 0.5 * angle))
        y = wide * (y0 + 0.8 * _LOBE * rho * np.sin(around + 0.5 * angle))
        paths.append(line + x[..., None] * side + y[..., None] * out)
    return np.concatenate(paths)


def _bun(tie: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    p = 16
    axis = unit(tie)
    side = unit(np.cross(axis, [0.2, 1.0, 0.1]))
    other = np.cross(axis, side)
    middle = tie + 0.45 * _BUN * axis
    u = np.linspace(0, 1, p)
    angle = 2 * np.pi * (rng.random((n, 1)) + rng.uniform(0.5, 0.8, (n, 1)) * u)
    rise = rng.uniform(-0.6, 1.3, (n, 1)) + 0.35 * np.sin(2 * np.pi * (u + rng.random((n, 1)))) + 0.25 * u
    r = _BUN * rng.uniform(0.80, 1.04, (n, 1)) * (1 + 0.05 * np.sin(3 * angle + 4 * rise))
    flat = r * np.cos(rise)
    return (
        middle
        + (flat * np.cos(angle))[..., None] * side
        + (flat * np.sin(angle))[..., None] * other
        + (0.85 * r * np.sin(rise))[..., None] * axis
    )
