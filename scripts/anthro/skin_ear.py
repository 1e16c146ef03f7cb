"""The left ear: a relief over the side view for its front, a rolled strip for its back (millimetres)."""

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline, RBFInterpolator
from scipy.spatial import cKDTree

from .common import fair, flip_edges, graded_mesh, spline
from .skin_layout import MEAN

# Curves as (x, y, z) or point names; the front is x over (-z, y).
RIM = [
    "otobasion_sup",
    (78.2, 23, -7),
    (81.3, 26.2, -13.5),
    "superaurale",
    (89.4, 24.2, -28),
    (90.4, 17.5, -34.4),
    "postaurale",
    (86.4, 0, -35.7),
    (82, -8.5, -31.5),
    (76.6, -16.5, -25),
    (72, -23, -17.5),
    (69.8, -27.6, -9.5),
    "subaurale",
    "otobasion_inf",
]
RELIEF = {
    "helix": (["crus_helicis", (71.6, 5, -6), (73.6, 11, -3), (77, 16.6, -5.4)], 10),
    "scapha": ([(79.2, 20.4, -15.5), (84.8, 20.4, -22), (88.6, 16.4, -28), (87.4, 9, -30.6),
                (84.8, 2, -30.8), (81.2, -6, -27.6), (78.2, -11.5, -22.8)], 24),
    "antihelix": (["antitragus", (75, -15.6, -13), (79.6, -11, -20), (84, -5, -25.3), "antihelix",
                   (88, 8.5, -26.4), (89, 14, -24.8), (87.8, 17.6, -21.5)], 26),
    "lower_crus": ([(87.4, 7.5, -25.4), (83.5, 9.3, -18.5), (79.2, 10.4, -12), (76, 11.2, -7.4)], 12),
    "fossa": ([(84.2, 13.2, -21.6), (81.4, 14.8, -17), (78.8, 15.6, -12), (76.6, 15.4, -8.6)], 9),
    "cymba": ([(70.4, 6.4, -10.4), (72.3, 6, -15), (75.4, 4.4, -20), (77, 0.6, -22.8)], 10),
    "crus": (["crus_helicis", (69.6, 1.4, -15.5), (70.6, 0, -19)], 6),
    "bowl": ([(66.4, -3.6, -7), (67, -3.8, -13), (70.6, -5, -20.4)], 8),
    "floor": ([(64.6, -8, -6), (65.2, -9.2, -10), "concha_deep", (69.6, -9.4, -19.4)], 8),
    "low": ([(65.6, -13, -4.5), (66.6, -13, -8.5), (68.6, -12.6, -13.5)], 6),
    "tragus": ([(69.6, -1.2, 0.4), (70.6, -3.6, -0.4), "tragus_tip", (70, -10, -1)], 8),
    "lobe": ([(68.4, -20, 0), (71.4, -20.6, -5.5), (74, -19.6, -12), (76.4, -17.4, -18)], 8),
    "lobe_low": ([(67.8, -25, 1), (71, -25, -6), (73, -23, -13)], 6),
}  # fmt: skip
ROWS = {"scapha": 26, "antihelix": 24}  # relief lines that are rows of vertices
SINGLE = ["tragion", "intertragic_notch", (67.6, -17.4, 2.4)]
BACK_ROWS = 9
ROLL_OUT, ROLL_IN = 2.9, 2.3  # helix crest over its silhouette: outwards (x) and towards the ear's middle, mm


def _curve(knots, n):
    return spline(np.array([MEAN[k] if isinstance(k, str) else k for k in knots], float), n=n)


def _side(p):
    return np.stack([-p[:, 2], p[:, 1]], 1)


def ear(
    front: Float[np.ndarray, "a 3"], back: Float[np.ndarray, "b 3"], rng: np.random.Generator
) -> tuple[
    Float[np.ndarray, "v 3"], Float[np.ndarray, "v 2"], Int[np.ndarray, "f 3"], Float[np.ndarray, "r b 3"]
]:
    """Ear over its attachment lines (top to bottom): front vertices, their side view, triangles; back rows.

    The first a vertices are `front`, the next b - 2 the rim between the ends. The back rows run from the rim
    (row 0) to the row before the attachment.
    """
    rim = _curve(RIM, len(back))
    along = np.linspace(0, 1, len(back))
    full = np.interp(along, [0, 0.1, 0.6, 0.75, 0.92, 1], [0, 1, 1, 0.6, 0.45, 0])[:, None]
    out = _outward(rim)
    crest = rim + full * (np.array([ROLL_OUT, 0, 0]) - ROLL_IN * out)
    relief = [_curve(*spec) for spec in RELIEF.values()]
    single = np.array([MEAN[e] if isinstance(e, str) else e for e in SINGLE], float)
    data = np.concatenate([front, crest[1:-1], *relief, single])
    _, first = np.unique(np.round(_side(data), 1), axis=0, return_index=True)
    data = data[np.sort(first)]
    height = RBFInterpolator(_side(data), data[:, 0], kernel="thin_plate_spline", smoothing=0.5)
    rows = np.concatenate([_curve(RELIEF[name][0], n) for name, n in ROWS.items()])
    border = np.concatenate([front, crest[1:-1]])
    rows = rows[cKDTree(_side(border)).query(_side(rows))[0] > 0.9]
    fixed = np.concatenate([border, rows])
    outline = _side(np.concatenate([front, crest[1:-1][::-1]]))
    loop = np.r_[np.arange(len(front)), np.arange(len(border) - 1, len(front) - 1, -1), 0]
    segments = np.stack([loop[:-1], loop[1:]], 1)
    points, faces = graded_mesh(_side(fixed), outline, [], lambda p: np.full(len(p), 1.5), rng, segments, 30)
    vertices = np.stack([height(points), points[:, 1], -points[:, 0]], 1)
    vertices[: len(border)] = border

    faces = flip_edges(vertices, points, faces, set())
    vertices = fair(vertices, faces, np.arange(len(border)), rounds=12)
    span = back - rim
    reach = np.minimum(1.0, np.linalg.norm(span, axis=1) / 14)[:, None]
    shoulder = rim + full * np.array([1.6, 0, 0])
    behind = rim + full * (np.array([-2.2, 0, 0]) - 0.8 * out)
    hollow = back - span * 0.45 + reach * np.array([-1.2, 0, -1.2])
    profile = np.stack([crest, (crest + shoulder) / 2 + 0.35 * full * out, rim, behind, hollow, back])
    at = np.linspace(0, 1, len(profile))
    rows = CubicSpline(at, profile, axis=0)(
        np.interp(np.linspace(0, 1, BACK_ROWS + 1), [0, 0.55, 1], [0, 0.6, 1])
    )
    rows = rows[:-1]
    return vertices, points, faces, rows


def _outward(rim):
    """Unit normals of the rim in the side view, pointing away from the ear."""
    t = np.gradient(rim, axis=0)
    n = np.stack([0 * t[:, 0], -t[:, 2], t[:, 1]], 1)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    return n * np.sign((n * (rim - rim.mean(0))).sum(1).sum())
