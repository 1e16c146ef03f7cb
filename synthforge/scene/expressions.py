"""Named expressions as ranges of ARKit weights, mixed with small random movements.

A name without _L/_R stands for both sides (each side gets up to 15 % more or less). Combinations
follow the action units of Ekman & Friesen's FACS (1978): 6+12 happiness, 1+4+15 sadness, ...
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loads with the first draw: a configuration is checked without it
    import numpy

EXPRESSIONS: dict[str, dict[str, tuple[float, float]]] = {
    "neutral": {},
    "smile": {
        "mouthSmile": (0.3, 0.9),
        "cheekSquint": (0.1, 0.6),
        "eyeSquint": (0.0, 0.5),
        "mouthUpperUp": (0.0, 0.25),
        "mouthDimple": (0.0, 0.3),
    },
    "laugh": {
        "mouthSmile": (0.75, 1.0),
        "jawOpen": (0.04, 0.32),
        "cheekSquint": (0.4, 0.9),
        "eyeSquint": (0.2, 0.8),
        "mouthUpperUp": (0.3, 0.8),
        "mouthLowerDown": (0.1, 0.5),
        "mouthStretch": (0.1, 0.5),
    },
    "grin": {
        "mouthSmile": (0.6, 1.0),
        "mouthUpperUp": (0.25, 0.7),
        "mouthLowerDown": (0.2, 0.6),
        "mouthStretch": (0.0, 0.4),
        "cheekSquint": (0.3, 0.8),
        "eyeSquint": (0.1, 0.6),
        "jawOpen": (0.0, 0.08),
    },
    "talk": {
        "jawOpen": (0.03, 0.4),
        "mouthFunnel": (0.0, 0.4),
        "mouthLowerDown": (0.0, 0.4),
        "mouthUpperUp": (0.0, 0.3),
        "mouthStretch": (0.0, 0.3),
        "mouthSmile": (0.0, 0.3),
    },
    "surprise": {
        "browInnerUp": (0.4, 1.0),
        "browOuterUp": (0.4, 1.0),
        "eyeWide": (0.3, 0.9),
        "jawOpen": (0.1, 0.7),
    },
    "anger": {
        "browDown": (0.4, 1.0),
        "eyeSquint": (0.1, 0.6),
        "noseSneer": (0.0, 0.6),
        "mouthPress": (0.0, 0.7),
        "mouthFrown": (0.0, 0.4),
        "mouthShrugUpper": (0.0, 0.3),
    },
    "squint": {
        "browDown": (0.15, 0.9),
        "eyeSquint": (0.3, 1.0),
        "cheekSquint": (0.1, 0.7),
        "mouthSmile": (0.0, 0.5),
        "mouthUpperUp": (0.0, 0.3),
        "noseSneer": (0.0, 0.2),
    },
    "sadness": {
        "browInnerUp": (0.3, 1.0),
        "mouthFrown": (0.2, 0.9),
        "mouthShrugLower": (0.0, 0.7),
        "eyeSquint": (0.0, 0.3),
    },
    "disgust": {
        "noseSneer": (0.4, 1.0),
        "mouthUpperUp": (0.2, 0.8),
        "browDown": (0.1, 0.6),
        "eyeSquint": (0.1, 0.6),
        "mouthFrown": (0.0, 0.4),
    },
    "fear": {
        "browInnerUp": (0.4, 1.0),
        "browOuterUp": (0.1, 0.5),
        "eyeWide": (0.3, 1.0),
        "mouthStretch": (0.2, 0.8),
        "jawOpen": (0.05, 0.3),
    },
    "pucker": {"mouthPucker": (0.3, 1.0), "mouthFunnel": (0.0, 0.4)},
    "shout": {
        "jawOpen": (0.4, 0.9),
        "mouthStretch": (0.0, 0.4),
        "mouthUpperUp": (0.1, 0.5),
        "mouthLowerDown": (0.1, 0.5),
        "browDown": (0.0, 0.5),
    },
    "blink": {"eyeBlink": (0.6, 1.0)},
    "drowsy": {"eyeBlink": (0.2, 0.6), "browInnerUp": (0.0, 0.3)},
    "puff": {"cheekPuff": (0.3, 0.9), "mouthPress": (0.0, 0.3)},
    "smirk": {"mouthSmile_L": (0.2, 0.8), "mouthDimple_L": (0.0, 0.5), "browOuterUp_R": (0.0, 0.5)},
    "wink": {"eyeBlink_L": (0.9, 1.0), "cheekSquint_L": (0.2, 0.6), "mouthSmile_L": (0.1, 0.5)},
    "eyes_closed": {"eyeBlink_L": (0.95, 1.0), "eyeBlink_R": (0.95, 1.0)},
    "mouth_open": {"jawOpen": (0.4, 0.8)},
}

# Small movements any face may carry: largest weight of a half-normal draw.
_FIDGETS = {
    "browInnerUp": 0.15, "browDown": 0.4, "browOuterUp": 0.15, "eyeSquint": 0.12, "eyeBlink": 0.12,
    "mouthSmile": 0.12, "mouthFrown": 0.1, "mouthPress": 0.3, "mouthPucker": 0.08, "jawOpen": 0.04,
    "mouthRollLower": 0.25, "mouthRollUpper": 0.3, "noseSneer": 0.05, "mouthLeft": 0.08, "mouthRight": 0.08,
}  # fmt: skip
_ONE_SIDED = ("smirk", "wink")


def draw_expression(
    name: str, names: tuple[str, ...], rng: "numpy.random.Generator", intensity: float | None = None
) -> "numpy.ndarray":
    """Weights (float32, in [0, 1]) for a head whose expressions are called `names`.

    Each weight is drawn from its range; given an `intensity`, it is that share of the range's upper end.
    """
    import numpy as np

    weights = dict.fromkeys(names, 0.0)
    mirrored = name in _ONE_SIDED and rng.random() < 0.5
    drawn = [
        (key, rng.uniform(low, high) if intensity is None else intensity * high)
        for key, (low, high) in EXPRESSIONS[name].items()
    ]
    drawn += [(key, abs(rng.normal()) * most / 2) for key, most in _FIDGETS.items()]
    for key, weight in drawn:
        sides = [key] if key in weights or key[-2:] in ("_L", "_R") else [f"{key}_L", f"{key}_R"]
        for side in sides:
            gain = rng.uniform(0.85, 1.15) if len(sides) == 2 else 1.0
            if mirrored and side[-2:] in ("_L", "_R"):
                side = side[:-1] + ("R" if side[-1] == "L" else "L")
            if side in weights:
                weights[side] += weight * gain
    return np.clip(np.array([weights[n] for n in names], np.float32), 0.0, 1.0)
