"""Moves that belong to the product of two weights: where the sum of two shapes would be wrong.

A blink that shuts the mean eye leaves a wider one open, and lids that are shut already neither squint nor
follow the gaze. Mouth shapes that hinder each other stand in expressions.yaml.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from .expressions import ExpressionBuilder, load_shapes
from .fields import EYEBALLS, MM, Anatomy
from .lids import lid_field

STEP = 1.5  # standard deviations by which an axis is tried
LEAST = 0.3 * MM  # smaller corrections are left out
LIDS = ("eyeSquint", "cheekSquint", "eyeWide", "eyeLookDown", "eyeLookUp")  # what shut lids do not do


def build_correctives(
    build: ExpressionBuilder, expressions: list[str], shapes: dict[str, Float[np.ndarray, "v 3"]]
) -> tuple[list[tuple[int, int]], Float[np.ndarray, "k v 3"]]:
    """Pairs of indices (expressions, then shape axes) and vertex moves (m) at a product of 1.

    Args:
        build: what made the expressions.
        expressions: their names.
        shapes: name -> vertex moves per standard deviation.
    """
    place = {name: i for i, name in enumerate([*expressions, *shapes])}
    spec, mirrored = load_shapes(), build.anatomy.mirrored
    out: dict[tuple[int, int], np.ndarray] = {}
    for name, axis in shapes.items():
        for side, move in zip("LR", _blink_of(build, axis), strict=True):
            out[place[f"eyeBlink_{side}"], place[name]] = move
    for name in LIDS:
        still = -lid_field(build.anatomy, build.slits.eye, spec["paired"][name])
        for side, move in (("L", still), ("R", mirrored(still))):
            out[place[f"eyeBlink_{side}"], place[f"{name}_{side}"]] = move
    for entry in spec["correctives"]:
        move = build.shape(entry, both=entry.get("both", False))
        if entry.get("both"):
            out[tuple(place[n] for n in entry["pair"])] = build.anatomy.symmetric(move)
            continue
        for side, half in (("L", move), ("R", mirrored(move))):
            out[tuple(place.get(n, place.get(f"{n}_{side}")) for n in entry["pair"])] = half
    out = {pair: move for pair, move in out.items() if np.abs(move).max() > LEAST}
    return list(out), np.stack(list(out.values()))


def _blink_of(build: ExpressionBuilder, axis: Float[np.ndarray, "v 3"]) -> list[Float[np.ndarray, "v 3"]]:
    """How the left and the right blink change per standard deviation of an identity axis."""
    there, back = (_blink(build, sign * STEP * axis) for sign in (1, -1))
    left = (there - back) / (2 * STEP)
    mirrored = build.anatomy.mirrored
    there, back = (mirrored(_blink(build, mirrored(sign * STEP * axis))) for sign in (1, -1))
    return [left, (there - back) / (2 * STEP)]


def _blink(build: ExpressionBuilder, moved: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """The left blink of the head moved by an identity."""
    head = build.anatomy.head
    shifts = np.stack([moved[head.part_vertices(part)].mean(0) for part in EYEBALLS])
    head = replace(head, vertices=head.vertices + moved, eye_centres=head.eye_centres + shifts)
    anatomy = Anatomy(head, build.anatomy.points, build.anatomy.mirror)
    return lid_field(anatomy, build.slits.eye, load_shapes()["paired"]["eyeBlink"])
