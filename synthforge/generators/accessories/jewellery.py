"""Earrings, and headphones over the head."""

import numpy as np
from scipy.spatial import ConvexHull

from synthforge.generators.accessories.headwear import PutOn
from synthforge.generators.geometry.drape import CENTRE, PosedHead, Reach, sheet, toward, worn_mesh
from synthforge.generators.geometry.worn import WornMesh, lattice_faces, tube
from synthforge.generators.shading.color import hex_to_linear

_METALS = ("d8b25a", "c9c9cc", "c9c9cc", "d99a7c", "d8b25a")
_STONES = ("f2f0ea", "e9eef2", "2b4f8c", "8c1f33", "1f6b4a", "17171a", "e8dcc8", "3fa0a8")
_PLASTIC = ("17181b", "1d1f24", "e4e4e2", "8d9096", "5b1f24", "25395c", "c9b9a6")
_LOBE = [[70, -22, -3], [-70, -22, -3]]  # mm, canonical: where a lobe is pierced
_EAR = [[88, 2, -27], [-88, 2, -27]]


def hang_earrings(posed: PosedHead, kind: str, rng: np.random.Generator) -> list[WornMesh]:
    """A pair of a `kind` (as the attribute has it); hoops and drops hang plumb. Nothing for "none"."""
    if kind == "none" or posed.params.attributes.get("headwear") in ("hood", "headscarf"):
        return []
    if posed.params.attributes.get("headphones", "none") != "none":
        return []
    make = {"stud": _stud, "hoop": _hoop, "drop": _drop}[kind]
    metal, stone = hex_to_linear(str(rng.choice(_METALS))), hex_to_linear(str(rng.choice(_STONES)))
    shape = rng.uniform(size=4)
    out = []
    for lobe, side in zip(posed.to_world(posed.on_skin(np.array(_LOBE, float))), (1, -1), strict=True):
        out_of_ear = posed.turn @ np.array([side, 0.0, 0.25])
        out += make(lobe, out_of_ear / np.linalg.norm(out_of_ear), metal, stone, shape)
    return out


def _stud(lobe: np.ndarray, out: np.ndarray, metal: np.ndarray, stone: np.ndarray, shape: np.ndarray) -> list:
    radius = 0.0018 + 0.0022 * shape[0]
    kinds = ((stone, False), (stone, True), (metal, True), (metal, True))
    return [_ball(lobe + out * 0.6 * radius, radius, *kinds[int(4 * shape[1])])]


def _hoop(lobe: np.ndarray, out: np.ndarray, metal: np.ndarray, stone: np.ndarray, shape: np.ndarray) -> list:
    """Ring through the lobe, its plane a little turned to the front."""
    radius, thick = 0.006 + 0.018 * shape[0] ** 1.5, 0.0007 + 0.0010 * shape[1]
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    level = out * [1, 0, 1]
    level /= np.linalg.norm(level)
    ahead = np.cross([0, 1.0, 0], level) * np.sign(out[0] or 1) * -1
    flat = 0.85 * ahead + 0.55 * level
    flat /= np.linalg.norm(flat)
    middle = lobe + 0.002 * level - [0, 0.9 * radius - 0.001, 0]
    line = middle + radius * (np.sin(t)[:, None] * flat + np.cos(t)[:, None] * [0, 1.0, 0])
    points, faces = tube(line, thick, closed=True)
    return [worn_mesh(points, faces, metal, "earring", "metal")]


def _drop(lobe: np.ndarray, out: np.ndarray, metal: np.ndarray, stone: np.ndarray, shape: np.ndarray) -> list:
    """Bead at the lobe, wire, pendant like a drop of water."""
    long, wide = 0.008 + 0.022 * shape[0], 0.0028 + 0.0028 * shape[1]
    at = lobe + out * 0.003
    wire, faces = tube(at - np.linspace(0, long, 4)[:, None] * [0, 1.0, 0], 0.0005, closed=False)
    theta = np.linspace(0, np.pi, 14)[:, None]
    q = toward(np.linspace(-np.pi, np.pi, 16, endpoint=False)[None], theta)
    up = np.maximum(q[..., 1], 0)
    pendant = q * wide
    pendant[..., 0::2] *= ((1 - up) ** 0.4)[..., None]
    pendant[..., 1] *= 1 + 1.4 * up
    hung = at - [0, long + 2.2 * wide, 0] + pendant
    kind = "metal" if shape[2] < 0.4 else "solid"
    return [
        _ball(at, 0.0016, metal, True),
        worn_mesh(wire, faces, metal, "earring", "metal"),
        _lathe(hung, metal if kind == "metal" else stone, "earring", kind),
    ]


def _ball(middle: np.ndarray, radius: float, color: np.ndarray, metal: bool) -> WornMesh:
    theta = np.linspace(0, np.pi, 9)[:, None]
    points = middle + radius * toward(np.linspace(-np.pi, np.pi, 14, endpoint=False)[None], theta)
    return _lathe(points, color, "earring", "metal" if metal else "solid")


def _lathe(points: np.ndarray, color: np.ndarray, class_name: str, kind: str) -> WornMesh:
    n, m, _ = points.shape
    return worn_mesh(points.reshape(-1, 3), lattice_faces(n, m, True), color, class_name, kind)


def put_on_headphones(posed: PosedHead, kind: str, rng: np.random.Generator) -> PutOn:
    """Cups over the ears and a band over the skull and whatever is `under`; headwear to the labels."""
    if kind == "none":
        return PutOn()
    shell, accent = (hex_to_linear(str(rng.choice(_PLASTIC))) for _ in range(2))
    ears = posed.on_skin(np.array(_EAR, float)) + [0, 0, 0.006]
    bulk = {"afro": 0.014, "curly": 0.009, "bald": 0.0, "buzz": 0.002}.get(
        str(posed.params.attributes.get("hair_style", "short")), 0.004
    )
    size = rng.uniform(0.033, 0.038)
    out = []
    for ear, side in zip(ears, (1, -1), strict=True):
        out += _cup(posed, ear, side, size * np.array([1.0, rng.uniform(1.05, 1.2), 0.95]), shell, accent)
    out.append(_band(posed, ears, bulk, shell))
    return PutOn(out, [Reach.of(posed.to_head(w.vertices), w.faces, CENTRE) for w in out])


def _cup(
    posed: PosedHead, ear: np.ndarray, side: int, size: np.ndarray, shell: np.ndarray, pad: np.ndarray
) -> list:
    """Cushion against the head and a shell on it: bodies of revolution about the ear's axis."""
    t = np.linspace(-np.pi, np.pi, 32, endpoint=False)
    inner = side * ear[0] - 0.016

    def turned(profile: list, color: np.ndarray, kind: str) -> WornMesh:
        depth, wide = np.array(profile, float).T
        x = np.broadcast_to((inner + depth)[:, None], (len(depth), len(t)))
        ring = wide[:, None, None] * np.stack([size[1] * np.cos(t), size[2] * np.sin(t)], -1)
        points = np.stack([side * x, ear[1] + ring[..., 0], ear[2] + ring[..., 1]], -1)
        return sheet(posed, points[:, ::-side], color, "headwear", kind, closed=True)

    cushion = [
        [0.025, 0.0],
        [0.025, 0.80],
        [0.022, 0.94],
        [0.017, 1.0],
        [0.010, 1.0],
        [0.004, 0.94],
        [0.0, 0.8],
        [0.002, 0.6],
    ]
    cover = [[0.040, 0.0], [0.040, 0.45], [0.0385, 0.66], [0.035, 0.78], [0.030, 0.85], [0.023, 0.86]]
    return [turned(cushion, 0.35 * pad.mean() + np.zeros(3) + 0.01, "cloth"), turned(cover, shell, "solid")]


def _band(posed: PosedHead, ears: np.ndarray, bulk: float, color: np.ndarray) -> WornMesh:
    """Padded strip over the crown from cup to cup."""
    reach = posed.reach(ears=False)
    middle = np.array([0.0, ears[:, 1].mean(), ears[:, 2].mean()])
    t = np.linspace(-np.pi / 2, np.pi / 2, 61)
    path = np.stack([np.sin(t), np.cos(t), 0 * t], -1)
    least = []
    for z in (-0.012, 0.0, 0.012):
        line = middle + 0.10 * path + [0, 0, z]
        away = line - CENTRE
        on = CENTRE + away * (reach.at(line) / np.linalg.norm(away, axis=1))[:, None]
        least.append(np.linalg.norm((on - middle)[:, :2], axis=1))
    least = np.max(least, 0) + bulk
    wide = np.abs(ears[:, 0]).mean() + 0.010
    least[[0, -1]] = wide
    flat = np.append(least[:, None] * path[:, :2], [[0, -0.05]], 0)
    edges = ConvexHull(flat).equations  # taut from cup to cup: straight but where it lies on the head
    ahead = path[:, :2] @ edges[:, :2].T
    r = np.where(ahead > 1e-9, -edges[:, 2] / np.maximum(ahead, 1e-9), np.inf).min(1)
    half = 0.008 + 0.006 * np.cos(t) ** 2
    thick = 0.004 + 0.003 * np.cos(t) ** 2
    section = np.array(
        [[0, -1], [0, 1], [0.35, 1.12], [0.75, 1.05], [1, 0.7], [1, -0.7], [0.75, -1.05], [0.35, -1.12]]
    )
    rows = [
        middle + (r + up * thick)[:, None] * path + np.stack([0 * t, 0 * t, wide_ * half], -1)
        for up, wide_ in section
    ]
    return sheet(posed, np.stack(rows, 1)[::-1], color, "headwear", "solid", closed=True)
