"""Which side is which, seen in the labels themselves.

Of someone who faces the camera the right eye is seen on the left of the line that runs down the face,
however the head is tilted. Data sets that name sides from the viewer's point of view, or readers that confuse
the two, have it the other way round.
"""

import numpy as np
from jaxtyping import Float

from synthforge.conventions import ClassSchema
from synthforge.datasets.sample import Sample

Sides = dict[str, bool]  # what was looked at -> whether its sides are the subject's
PAIRS = ("eye", "brow", "ear")
BELOW = ("nose", "upper_lip", "inner_mouth", "lower_lip")  # whatever of these there is lies below the eyes
FRONTAL = (0.3, 0.7)  # of the way from one eye to the other, where the nose of a frontal face is
FEW_PIXELS = 8


def observed_sides(sample: Sample, classes: ClassSchema) -> Sides:
    """Whether right is right in landmarks ("landmarks") and in each pair of classes ("eye classes", ...).

    Empty where the face is not frontal or there is nothing to tell it from.
    """
    sides: Sides = {}
    if (points := sample.points) is not None:
        right, left = points[36:42].mean(0), points[42:48].mean(0)
        if _is_frontal(right, left, points[30]):
            sides["landmarks"] = right_is_right(right, left, points[48:68].mean(0) - (right + left) / 2)
    if sample.target is not None:
        sides |= _class_sides(sample.target, classes)
    return sides


def right_is_right(
    right: Float[np.ndarray, " 2"], left: Float[np.ndarray, " 2"], down: Float[np.ndarray, " 2"]
) -> bool:
    """True where a part called right is the subject's.

    Args:
        right: x right, y down, as are the others.
        left: its counterpart.
        down: direction from the eyes to the mouth.
    """
    across = left - right
    return bool(across[0] * down[1] - across[1] * down[0] > 0)


def _is_frontal(right: np.ndarray, left: np.ndarray, nose: np.ndarray) -> bool:
    across = left - right
    length = float(across @ across)
    return length > 0 and FRONTAL[0] < float((nose - right) @ across) / length < FRONTAL[1]


def _class_sides(ids: np.ndarray, classes: ClassSchema) -> Sides:
    centres = {c.sources[0]: _centre(ids == c.id) for c in classes if len(c.sources) == 1}
    seen = {name: centre for name, centre in centres.items() if centre is not None}
    low = [seen[name] for name in BELOW if name in seen]
    pairs = {
        p: (seen[f"right_{p}"], seen[f"left_{p}"])
        for p in PAIRS
        if f"right_{p}" in seen and f"left_{p}" in seen
    }
    upright = pairs.get("eye") or pairs.get("brow")
    if not low or upright is None or not _is_frontal(*upright, low[0]):
        return {}
    down = np.mean(low, axis=0) - np.mean(upright, axis=0)
    return {f"{p} classes": right_is_right(r, l, down) for p, (r, l) in pairs.items()}


def _centre(mask: np.ndarray) -> np.ndarray | None:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()]) if len(rows) >= FEW_PIXELS else None
