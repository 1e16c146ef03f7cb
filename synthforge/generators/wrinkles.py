"""Lines of the skin: those that age leaves, and those that an expression folds while it lasts.

Places are those of the canonical head in metres, taken to millimetres here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from synthforge.heads.base import HeadModel
from synthforge.types import SceneParams


@dataclass(frozen=True)
class Strain:
    """How far the muscles that fold the skin are drawn, 0 to 1; `old` is 0 below 28 years, 1 at 73."""

    old: float
    smile: float = 0.0
    squint: float = 0.0
    raised: float = 0.0
    frown: float = 0.0

    @classmethod
    def of(cls, head: HeadModel, params: SceneParams) -> "Strain":
        """From the age and the weights of ARKit's shapes, where the head has them."""

        def weight(*prefixes: str) -> float:
            drawn = [
                float(w)
                for name, w in zip(head.expression_names, params.expression, strict=True)
                if name.startswith(prefixes)
            ]
            return float(np.clip(max(drawn, default=0.0), 0, 1))

        return cls(
            old=float(np.clip((float(params.attributes.get("age", 35.0)) - 28) / 45, 0, 1)),
            smile=weight("mouthSmile"),
            squint=max(weight("eyeSquint", "cheekSquint"), 0.6 * weight("mouthSmile")),
            raised=weight("browInnerUp", "browOuterUp"),
            frown=weight("browDown", "noseSneer"),
        )


def wrinkles(
    p: Float[np.ndarray, "n 3"],
    nasolabial: Float[np.ndarray, " n"],
    bag: Float[np.ndarray, " n"],
    strain: Strain,
    wander: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """How deep the skin is folded at canonical places (about 1 where most), and the slope of its
    horizontal folds, positive where the skin looks up.

    Args:
        nasolabial, bag: distance to those folds, mm.
        wander: smooth noise of unit deviation that keeps lines from being drawn with a ruler.
    """
    old, mm = strain.old, p * np.float32(1000)
    slope = np.zeros(len(p), np.float32)
    depth = np.exp(-((nasolabial / 1.7) ** 2)) * (0.08 + 0.40 * old + (0.25 + 0.3 * old) * strain.smile)
    depth += np.exp(-((bag / 1.6) ** 2)) * (0.04 + 0.28 * old + 0.15 * strain.squint)
    for lines, amount in (
        (_forehead, 0.42 * old + (0.25 + 0.5 * old) * strain.raised),
        (_crows_feet, 0.38 * old + (0.2 + 0.4 * old) * strain.squint),
        (_frown, 0.25 * old + (0.3 + 0.3 * old) * strain.frown),
        (_marionette, 0.34 * old),
    ):
        if amount < 0.05:
            continue
        at = np.flatnonzero(_BOXES[lines](mm))
        fold, tilt = lines(mm[at], wander[at])
        depth[at] += amount * fold
        slope[at] += amount * tilt
    return depth.astype(np.float32), slope


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _forehead(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four lines across, a little higher at the sides."""
    x, y = mm[:, 0], mm[:, 1]
    phase = (y - 57 + 0.004 * x**2 + 1.3 * wander) / 8.0
    off = (phase - np.round(phase)) * 8.0 / 1.1
    line = np.exp(-(off**2)) * _step(50, 57, y) * _step(88, 80, y) * _step(46, 28, np.abs(x))
    return line, -off * line


def _crows_feet(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A fan from the outer corner of the eye."""
    x, y = np.abs(mm[:, 0]) - 45, mm[:, 1] - 21
    r, angle = np.hypot(x, y), np.arctan2(y, x) + 0.06 * wander
    off = np.sin(angle * 5.0) / 0.22
    fan = np.exp(-(off**2)) * _step(4, 8, r) * _step(22, 12, r) * (np.abs(angle) < 1.1)
    return fan, -0.7 * off * fan


def _frown(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two upright lines between the brows."""
    x, y = np.abs(mm[:, 0]) + 0.5 * wander, mm[:, 1]
    line = np.exp(-(((x - 6 - 0.12 * (y - 42)) / 1.2) ** 2)) * _step(30, 36, y) * _step(56, 46, y)
    return line, np.zeros_like(line)


def _marionette(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the corners of the mouth down to the chin."""
    x, y = np.abs(mm[:, 0]) + 0.6 * wander, mm[:, 1]
    line = np.exp(-(((x - 28 + 0.10 * (y + 47)) / 1.6) ** 2)) * _step(-72, -62, y) * _step(-44, -52, y)
    return line, np.zeros_like(line)


_BOXES = {
    _forehead: lambda mm: (mm[:, 1] > 50) & (mm[:, 1] < 88) & (mm[:, 2] > 20),
    _crows_feet: lambda mm: (np.abs(mm[:, 0]) > 45) & (np.abs(mm[:, 1] - 21) < 27) & (mm[:, 2] > 20),
    _frown: lambda mm: (np.abs(mm[:, 0]) < 14) & (np.abs(mm[:, 1] - 43) < 14) & (mm[:, 2] > 60),
    _marionette: lambda mm: (
        (np.abs(np.abs(mm[:, 0]) - 28) < 8) & (np.abs(mm[:, 1] + 58) < 15) & (mm[:, 2] > 40)
    ),
}
