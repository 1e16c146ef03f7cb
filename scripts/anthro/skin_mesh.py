"""The triangulated half head on the layout: points, triangles, borders."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from .common import fair, flip_edges, graded_mesh, spline
from .skin_curves import CURVES, ROWS
from .skin_layout import (
    MEAN,
    MIDLINE,
    OFF_SKIN,
    ON_EAR,
    RADIUS,
    TABLE,
    TOP,
    capsule,
    curves,
    knot,
    plane,
    surface,
    unplane,
)

# (curve, wanted edge length there in mm); lengths grow by GROWTH per mm away from the curves
SIZES = {
    "lid_upper": 1.15, "lid_lower": 1.15, "lid_crease": 1.3, "lid_fold": 1.6, "lid_low_bulge": 1.6,
    "lid_cheek": 2.2, "lip_upper": 1.2, "lip_lower": 1.3, "lip_upper_crest": 1.1, "lip_upper_mid": 1.1,
    "lip_lower_mid": 1.2, "lip_lower_crest": 1.2, "stomion_upper": 1.1, "stomion_lower": 1.1, "nostril": 1.2,
    "wing_rim": 1.3, "alar_groove": 1.3, "wing": 1.5, "columella_edge": 1.3, "dorsum": 2.0, "nose_side": 2.2,
    "nose_base": 1.4, "philtral_column": 1.7, "mentolabial": 2.2, "ear_front": 1.9, "ear_back": 1.9,
    "brow_ridge": 2.8, "jaw": 3.6,
}  # fmt: skip
GROWTH = 0.13
COARSEST = 8.0
FAIR_BELOW = 4.5  # only the part meshed finer than this is smoothed, mm
LID_RADIUS = 13.0  # skin stays this far from the centre of the globe, mm
HOLES = {
    "eye": ("lid_upper", "lid_lower"),
    "mouth": ("stomion_upper", "stomion_lower"),
    "nostril": ("nostril", None),
    "ear": ("ear_front", "ear_back"),
}


COLLARS = {"eye": 1.0, "nostril": 0.9}  # first row of vertices around a hole, mm on the layout
HELD = ("hem", "lid_upper", "lid_lower", "stomion_upper", "stomion_lower", "nostril",
        "ear_front", "ear_back")  # fmt: skip


@dataclass
class HalfSkin:
    """Left half (x >= 0): vertices in mm, places on the layout, triangles, and vertex rows by curve name."""

    vertices: Float[np.ndarray, "v 3"]
    places: Float[np.ndarray, "v 2"]
    faces: Int[np.ndarray, "f 3"]
    rows: dict[str, np.ndarray]


def hole_outline(places: dict[str, np.ndarray], name: str) -> Float[np.ndarray, "k 2"]:
    """Closed outline of a hole on the layout: there along one curve, back along the other."""
    there, back = HOLES[name]
    if back is None:
        return places[there][:-1]
    closed = np.concatenate([places[there], places[back][::-1]])
    return closed[np.linalg.norm(closed - np.roll(closed, -1, axis=0), axis=1) > 1e-6]


def offset(loop: Float[np.ndarray, "k 2"], width: float) -> Float[np.ndarray, "k 2"]:
    """The loop moved outwards by width, sample by sample."""
    t = np.roll(loop, -1, axis=0) - np.roll(loop, 1, axis=0)
    n = np.stack([t[:, 1], -t[:, 0]], 1) / np.linalg.norm(t, axis=1, keepdims=True)
    x, y = loop.T
    turn = np.sign((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
    return loop + turn * width * n


def half_skin() -> HalfSkin:
    """Mesh of the half head, without the sheets that fill its holes."""
    sampled = curves()
    fixed, rows = _fixed_points({name: plane(c[1]) for name, c in sampled.items()})
    flat = {name: fixed[ids] for name, ids in rows.items()}
    size = _size_field(flat)
    way_round = [flat["throat"], flat["chin"], flat["face"], flat["crown"], flat["back"], flat["hem"][::-1]]
    outline = np.concatenate(way_round)
    outline = outline[np.linalg.norm(outline - np.roll(outline, -1, axis=0), axis=1) > 1e-6]
    segments = np.concatenate([np.stack([r[:-1], r[1:]], 1) for n, r in rows.items() if n != "named"])
    holes = [hole_outline(flat, name) for name in HOLES]
    points, faces = graded_mesh(fixed, outline, holes, size, np.random.default_rng(7), segments)

    places = unplane(points)
    places[points[:, 1] > TOP - 1e-6] = [RADIUS * np.pi / 2, TOP]
    vertices = surface(sampled)(capsule(places))
    for name in CURVES:
        vertices[rows[name]], places[rows[name]] = sampled[name]
    vertices = _clear_of_globe(vertices)
    keep = {
        tuple(sorted(e)) for r in rows.values() for e in zip(r[:-1].tolist(), r[1:].tolist(), strict=True)
    }
    faces = flip_edges(vertices, points, faces, keep)
    held = np.concatenate([*(rows[n] for n in HELD), np.flatnonzero(size(points) > FAIR_BELOW)])
    vertices = fair(vertices, faces, held, np.concatenate([rows[n] for n in MIDLINE]))
    return HalfSkin(vertices, places, faces, rows)


def _fixed_points(flat: dict[str, np.ndarray]) -> tuple[Float[np.ndarray, "n 2"], dict[str, np.ndarray]]:
    """One list of the authored points on the plane, shared ends merged, and the ids of each row in it."""
    named = np.array([knot(n)[1] for n in TABLE if n not in OFF_SKIN and n not in ON_EAR])
    gap, _ = cKDTree(np.concatenate(list(flat.values()))).query(plane(named))
    inland = (named[:, 0] > 0) & (named[:, 0] < RADIUS * np.pi - 1e-6)
    rows = dict(flat, named=plane(named[(gap > 0.9) & inland]))
    rows |= {f"{hole}_collar": offset(hole_outline(flat, hole), width) for hole, width in COLLARS.items()}
    rows |= {name: plane(spline(np.array(knots, float), step)) for name, (knots, step) in ROWS.items()}
    stacked = np.concatenate(list(rows.values()))
    owner = np.repeat(np.arange(len(rows)), [len(r) for r in rows.values()])
    _, first, same = np.unique(np.round(stacked, 2), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    ids = np.argsort(order)[same.ravel()]
    return stacked[first[order]], {name: ids[owner == k] for k, name in enumerate(rows)}


def _size_field(flat: dict[str, np.ndarray]):
    """Wanted edge length at points of the plane, mm."""
    tree = cKDTree(np.concatenate([flat[n] for n in SIZES]))
    wanted = np.repeat(list(SIZES.values()), [len(flat[n]) for n in SIZES])

    def size(p):
        d, i = tree.query(p, k=24)
        return np.minimum((wanted[i] + GROWTH * d).min(1), COARSEST)

    return size


def _clear_of_globe(vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    out = vertices - MEAN["eyeball_centre"]
    near = np.linalg.norm(out, axis=1, keepdims=True)
    return MEAN["eyeball_centre"] + out * np.maximum(1, LID_RADIUS / near)
