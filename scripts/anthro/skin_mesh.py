"""The triangulated half head on the layout: points, triangles, borders."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from .common import fair, flip_edges, graded_mesh, spline
from .skin_curves import CURVES, ROWS
from .skin_layout import MEAN, MIDLINE, OFF_SKIN, ON_EAR, RADIUS, TABLE, TOP, capsule, curves, knot, plane, surface, unplane

# (curve, wanted edge length there in mm); lengths grow by GROWTH per mm away from the curves
SIZES = {
    "lid_upper": 1.15, "lid_lower": 1.15, "lid_crease": 1.3, "lid_fold": 1.6, "lip_upper": 1.2, "lip_lower": 1.3,
    "stomion_upper": 1.1, "stomion_lower": 1.1, "nostril": 1.2, "wing_rim": 1.3, "alar_groove": 1.3, "wing": 1.5,
    "columella_edge": 1.3, "dorsum": 2.0, "nose_side": 2.2, "nose_base": 1.4, "lid_cheek": 2.2, "lip_upper_crest": 1.1,
    "lip_upper_mid": 1.1, "lip_lower_mid": 1.2, "lip_lower_crest": 1.2, "lid_low_bulge": 1.6, "mentolabial": 2.2,
    "philtral_column": 1.7, "ear_front": 1.9, "ear_back": 1.9, "brow_ridge": 2.8, "jaw": 3.6,
}  # fmt: skip
GROWTH = 0.13
COARSEST = 8.0
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
    """Mesh of the half head, without the parts swept into its holes."""
    sampled = curves()
    fit = surface(sampled)
    flat = {name: plane(c[1]) for name, c in sampled.items()}

    named = np.array([knot(n)[1] for n in TABLE if n not in OFF_SKIN and n not in ON_EAR])
    gap, _ = cKDTree(np.concatenate(list(flat.values()))).query(plane(named))
    flat["named"] = plane(named[(gap > 0.9) & (named[:, 0] > 0) & (named[:, 0] < RADIUS * np.pi - 1e-6)])

    for hole, width in COLLARS.items():
        flat[f"{hole}_collar"] = offset(hole_outline(flat, hole), width)
    for name, (knots, step) in ROWS.items():
        flat[name] = plane(spline(np.array(knots, float), step))
    # one list of fixed points; shared ends of curves are one vertex
    stacked = np.concatenate(list(flat.values()))
    names = np.repeat(np.arange(len(flat)), [len(c) for c in flat.values()])
    _, first, same = np.unique(np.round(stacked, 2), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    ids = rank[same.ravel()]
    fixed = stacked[first[order]]
    rows = {name: ids[names == k] for k, name in enumerate(flat)}

    seeds = np.concatenate([flat[n] for n in SIZES])
    wanted = np.concatenate([np.full(len(flat[n]), h) for n, h in SIZES.items()])
    tree = cKDTree(seeds)

    def size(p):
        d, i = tree.query(p, k=24)
        return np.minimum((wanted[i] + GROWTH * d).min(1), COARSEST)

    outline = np.concatenate(
        [flat["throat"], flat["chin"][1:], flat["face"], flat["crown"][1:], flat["back"][1:], flat["hem"][::-1][1:-1]]
    )
    holes = [hole_outline(flat, name) for name in HOLES]
    lines = [row for name, row in rows.items() if name != "named"]
    segments = np.concatenate([np.stack([row[:-1], row[1:]], 1) for row in lines])
    points, faces = graded_mesh(fixed, outline, holes, size, np.random.default_rng(7), segments)
    places = unplane(points)
    places[points[:, 1] > TOP - 1e-6] = [RADIUS * np.pi / 2, TOP]
    vertices = fit(capsule(places))
    for name, row in rows.items():
        if name not in CURVES:
            continue
        vertices[row] = sampled[name][0]
        places[row] = sampled[name][1]
    keep = {tuple(sorted(e)) for r in rows.values() for e in zip(r[:-1].tolist(), r[1:].tolist(), strict=True)}
    centre = MEAN["eyeball_centre"]
    out = vertices - centre
    near = np.linalg.norm(out, axis=1)
    lift = np.maximum(near, LID_RADIUS) / near
    vertices = centre + out * lift[:, None]
    faces = flip_edges(vertices, points, faces, keep)
    held = np.unique(np.concatenate([rows[n] for n in HELD]))
    coarse = size(points) > 4.5
    held = np.union1d(held, np.flatnonzero(coarse))
    middle = np.concatenate([rows[n] for n in MIDLINE])
    vertices = fair(vertices, faces, held, middle)
    return HalfSkin(vertices, places, faces, rows)
