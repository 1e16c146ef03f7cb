"""Lines of the skin: those of age, and those that an expression folds.

Public functions take places on the canonical head in metres; inside, they are millimetres (`mm`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.numeric import smoothstep as step

_NASOLABIAL = [12, 20, 29, 40, 50], [19, 24.5, 31.5, 35.5, 37]  # mm below the tragia; to the side
_BAG = [19, 26, 34, 42], [14, 10, 9, 12]  # mm to the side; above
_LID_CREASE = [18, 24, 31.5, 40, 47], [25, 30.5, 32.5, 31, 26]  # mm, the same
_FLAT = np.zeros((1, 2), np.float32)


@dataclass(frozen=True)
class Strain:
    """How tight the muscles are that fold the skin, 0 to 1; and `old`, 0 up to 28 years, 1 from 73 on."""

    old: float
    smile: float = 0.0
    squint: float = 0.0
    raised: float = 0.0
    frown: float = 0.0

    @classmethod
    def of(cls, person: Person) -> "Strain":
        """From the age and the weights of ARKit's shapes, where the head has them."""
        named = list(zip(person.head.expression_names, person.params.expression, strict=True))

        def weight(*prefixes: str) -> float:
            drawn = [float(w) for name, w in named if name.startswith(prefixes)]
            return float(np.clip(max(drawn, default=0.0), 0, 1))

        return cls(
            old=float(np.clip((person.appearance.age - 28) / 45, 0, 1)),
            smile=max(weight("mouthSmile"), 0.7 * weight("noseSneer", "mouthUpperUp", "cheekSquint")),
            squint=max(weight("eyeSquint", "cheekSquint"), 0.6 * weight("mouthSmile")),
            raised=(max(weight("browInnerUp", "browOuterUp"), 0.3) - 0.3) / 0.7,  # weak ones fold nothing
            frown=weight("browDown", "noseSneer"),
        )


def wrinkles(
    p: Float[np.ndarray, "n 3"], strain: Strain, wander: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 2"]]:
    """Depth of the skin's folds at canonical places (m), about 1 at most, and their slopes to the side and
    up, positive where the skin faces the subject's left and upwards.

    Args:
        wander: smooth noise of unit deviation that bends the lines.
    """
    old, mm = strain.old, p * np.float32(1000)
    slope = np.zeros((len(p), 2), np.float32)
    depth = np.zeros(len(p), np.float32)
    aged = max(old - 0.25, 0.0) / 0.75  # from 39 years
    for lines, amount in (
        (_furrow, 0.05 + 0.40 * old + (0.55 + 0.2 * old) * strain.smile),
        (_bag, 0.04 + 0.28 * old + 0.15 * strain.squint),
        (_forehead, 0.34 * aged + (0.28 + 0.42 * aged) * strain.raised),
        (_crows_feet, 0.34 * aged + (0.2 + 0.4 * aged) * strain.squint),
        (_frown, 0.24 * aged + (0.3 + 0.3 * aged) * strain.frown),
        (_marionette, 0.34 * old),
    ):
        if amount < 0.03:
            continue
        at = np.flatnonzero(_BOXES[lines](mm))
        fold, tilt = lines(mm[at], wander[at])
        depth[at] += amount * fold
        slope[at] += amount * tilt
    return depth.astype(np.float32), slope


def lid_crease(p: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Depth of the upper lid's fold at canonical places (m), 0 to 1."""
    depth, mm = np.zeros(len(p), np.float32), p * np.float32(1000)
    x = np.abs(mm[:, 0])
    at = np.flatnonzero((np.abs(mm[:, 1] - 29) < 6) & (np.abs(x - 32.5) < 16) & (mm[:, 2] > 40))
    x = x[at]
    depth[at] = np.exp(-(((mm[at, 1] - np.interp(x, *_LID_CREASE)) / 0.9) ** 2))
    depth[at] *= step(17, 22, x) * step(48, 43, x)
    return depth


def _upward(tilt: np.ndarray) -> np.ndarray:
    return np.stack([np.zeros_like(tilt), tilt], -1)


def _furrow(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the wing of the nose past the corner of the mouth. The cheek stands higher than the lip, so
    that the skin is steep on its side, and the shade is wider on the other."""
    x, y = mm[:, 0], mm[:, 1]
    off = 0.8 * (np.abs(x) - np.interp(-y, *_NASOLABIAL)) + 0.4 * wander  # 0.8: the line is slanted
    ends = step(-52, -36, y) * step(-10, -16, y)
    core = (0.65 * np.exp(-((off / 2.0) ** 2)) + 0.35 * np.exp(-(((off + 1.0) / 4.0) ** 2))) * ends
    bulge = -np.exp(-(((off - 1.4) / 2.4) ** 2)) * ends
    return core, np.stack([1.0 * np.sign(x) * bulge, 0.6 * bulge], -1)


def _bag(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower border of the lid's bag."""
    x = np.abs(mm[:, 0])
    off = mm[:, 1] - np.interp(x, *_BAG)
    return np.exp(-((off / 1.6) ** 2)) * step(16, 21, x) * step(46, 38, x), _FLAT


def _forehead(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four lines across, of uneven depth, broken, a little higher at the sides."""
    x, y = mm[:, 0], mm[:, 1]
    phase = (y - 57 + 0.004 * x**2 + 1.5 * wander) / 8.0
    off = (phase - np.round(phase)) * 8.0 / 1.5
    line = np.exp(-(off**2)) * step(50, 57, y) * step(88, 80, y) * step(44, 16, np.abs(x))
    line *= (0.75 + 0.25 * np.cos(2.4 * np.round(phase))) * (0.7 + 0.3 * np.tanh(2 * wander))
    return line, _upward(-off * line)


def _crows_feet(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A fan from the outer corner of the eye."""
    x, y = np.abs(mm[:, 0]) - 45, mm[:, 1] - 21
    r, angle = np.hypot(x, y), np.arctan2(y, x) + 0.06 * wander
    off = np.sin(angle * 5.0) / 0.22
    fan = np.exp(-(off**2)) * step(4, 8, r) * step(22, 12, r) * (np.abs(angle) < 1.1)
    return fan, _upward(-0.7 * off * fan)


def _frown(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two upright lines between the brows."""
    x, y = np.abs(mm[:, 0]) + 0.5 * wander, mm[:, 1]
    line = np.exp(-(((x - 6 - 0.12 * (y - 42)) / 1.2) ** 2)) * step(30, 36, y) * step(56, 46, y)
    return line, _FLAT


def _marionette(mm: np.ndarray, wander: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the corners of the mouth down to the chin."""
    x, y = np.abs(mm[:, 0]) + 0.6 * wander, mm[:, 1]
    line = np.exp(-(((x - 28 + 0.10 * (y + 47)) / 1.6) ** 2)) * step(-72, -62, y) * step(-44, -52, y)
    return line, _FLAT


_BOXES = {
    _furrow: lambda mm: (np.abs(mm[:, 1] + 32) < 22) & (np.abs(np.abs(mm[:, 0]) - 28) < 20) & (mm[:, 2] > 40),
    _bag: lambda mm: (np.abs(mm[:, 1] - 11) < 8) & (np.abs(np.abs(mm[:, 0]) - 31) < 15) & (mm[:, 2] > 40),
    _forehead: lambda mm: (mm[:, 1] > 50) & (mm[:, 1] < 88) & (mm[:, 2] > 20),
    _crows_feet: lambda mm: (np.abs(mm[:, 0]) > 45) & (np.abs(mm[:, 1] - 21) < 27) & (mm[:, 2] > 20),
    _frown: lambda mm: (np.abs(mm[:, 0]) < 14) & (np.abs(mm[:, 1] - 43) < 14) & (mm[:, 2] > 60),
    _marionette: lambda mm: (
        (np.abs(np.abs(mm[:, 0]) - 28) < 8) & (np.abs(mm[:, 1] + 58) < 15) & (mm[:, 2] > 40)
    ),
}
