"""Headphones: cups over the ears and a band over the head; labelled as headwear."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import ConvexHull

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.drape import sheet
from synthforge.generators.geometry.person import Person
from synthforge.generators.geometry.radial import RadialDepth
from synthforge.generators.shading.color import hex_to_linear
from synthforge.heads.anatomy import BRAINCASE

_PLASTIC = ("17181b", "1d1f24", "e4e4e2", "8d9096", "5b1f24", "25395c", "c9b9a6")
_EAR = [[88, 2, -27], [-88, 2, -27]]  # mm, canonical
_BULK = {"afro": 0.014, "curly": 0.009, "bald": 0.0, "buzz": 0.002}  # m of hair under the band, others 0.004


def put_on_headphones(
    person: Person, under: Sequence[Accessory] = ()
) -> tuple[list[Accessory], list[RadialDepth]]:
    """Headphones (world frame) over the head and what is worn `under` them; and the surfaces (head frame)
    that hair has to stay under."""
    if person.appearance.headphones == "none":
        return [], []
    rng = person.rng("headphones")
    shell, accent = (hex_to_linear(str(rng.choice(_PLASTIC))) for _ in range(2))
    ears = person.skin_at(np.array(_EAR, float)) + [0, 0, 0.006]
    bulk = _BULK.get(person.appearance.hair_style, 0.004)
    size = rng.uniform(0.033, 0.038)
    out = []
    for ear, side in zip(ears, (1, -1), strict=True):
        out += _cup(person, ear, side, size * np.array([1.0, rng.uniform(1.05, 1.2), 0.95]), shell, accent)
    out.append(_band(person, under, ears, bulk, shell))
    return out, [RadialDepth.of(person.to_head(a.vertices), a.faces, BRAINCASE) for a in out]


def _cup(
    person: Person, ear: np.ndarray, side: int, size: np.ndarray, shell: np.ndarray, pad: np.ndarray
) -> list:
    """Cushion against the head and the shell on it: surfaces of revolution around the ear's axis."""
    t = np.linspace(-np.pi, np.pi, 32, endpoint=False)
    inner = side * ear[0] - 0.016

    def turned(profile: list, color: np.ndarray, material: str) -> Accessory:
        depth, wide = np.array(profile, float).T
        x = np.broadcast_to((inner + depth)[:, None], (len(depth), len(t)))
        ring = wide[:, None, None] * np.stack([size[1] * np.cos(t), size[2] * np.sin(t)], -1)
        points = np.stack([side * x, ear[1] + ring[..., 0], ear[2] + ring[..., 1]], -1)
        return sheet(person, points[:, ::-side], color, "headwear", material, closed=True)

    cushion = [[0.025, 0.0], [0.025, 0.80], [0.022, 0.94], [0.017, 1.0], [0.010, 1.0], [0.004, 0.94]]
    cushion += [[0.0, 0.8], [0.002, 0.6]]
    cover = [[0.040, 0.0], [0.040, 0.45], [0.0385, 0.66], [0.035, 0.78], [0.030, 0.85], [0.023, 0.86]]
    return [turned(cushion, 0.35 * pad.mean() + np.zeros(3) + 0.01, "cloth"), turned(cover, shell, "solid")]


def _band(
    person: Person, under: Sequence[Accessory], ears: np.ndarray, bulk: float, color: np.ndarray
) -> Accessory:
    """Padded strip over the crown from cup to cup."""
    depth = person.radial_depth(ears=False, under=under)
    middle = np.array([0.0, ears[:, 1].mean(), ears[:, 2].mean()])
    t = np.linspace(-np.pi / 2, np.pi / 2, 61)
    path = np.stack([np.sin(t), np.cos(t), 0 * t], -1)
    least = []
    for z in (-0.012, 0.0, 0.012):
        line = middle + 0.10 * path + [0, 0, z]
        away = line - BRAINCASE
        on = BRAINCASE + away * (depth.at(line) / np.linalg.norm(away, axis=1))[:, None]
        least.append(np.linalg.norm((on - middle)[:, :2], axis=1))
    least = np.max(least, 0) + bulk
    wide = np.abs(ears[:, 0]).mean() + 0.010
    least[[0, -1]] = wide
    flat = np.append(least[:, None] * path[:, :2], [[0, -0.05]], 0)
    edges = ConvexHull(flat).equations  # taut from cup to cup: straight except where it lies on the head
    ahead = path[:, :2] @ edges[:, :2].T
    r = np.where(ahead > 1e-9, -edges[:, 2] / np.maximum(ahead, 1e-9), np.inf).min(1)
    half = 0.008 + 0.006 * np.cos(t) ** 2
    thick = 0.004 + 0.003 * np.cos(t) ** 2
    section = [[0, -1], [0, 1], [0.35, 1.12], [0.75, 1.05], [1, 0.7], [1, -0.7], [0.75, -1.05], [0.35, -1.12]]
    rows = [
        middle + (r + up * thick)[:, None] * path + np.stack([0 * t, 0 * t, side * half], -1)
        for up, side in section
    ]
    return sheet(person, np.stack(rows, 1)[::-1], color, "headwear", "solid", closed=True)
