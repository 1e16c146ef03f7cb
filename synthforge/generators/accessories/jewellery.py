"""Jewellery: earrings."""

import numpy as np

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import lattice_faces, tube
from synthforge.generators.geometry.person import Person
from synthforge.generators.geometry.radial import toward
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.numeric import unit

_METALS = ("d8b25a", "c9c9cc", "c9c9cc", "d99a7c", "d8b25a")
_STONES = ("f2f0ea", "e9eef2", "2b4f8c", "8c1f33", "1f6b4a", "17171a", "e8dcc8", "3fa0a8")
_LOBE = [[70, -22, -3], [-70, -22, -3]]  # mm, canonical: the holes in the lobes


def hang_earrings(person: Person) -> list[Accessory]:
    """A pair of earrings, world frame; hoops and drops hang straight down. Nothing where other things
    cover the ears."""
    look, rng = person.appearance, person.rng("earrings")
    covered = look.headwear in ("hood", "headscarf") or look.headphones != "none"
    if covered or look.earrings == "none":
        return []
    make = {"stud": _stud, "hoop": _hoop, "drop": _drop}[look.earrings]
    metal, stone = hex_to_linear(str(rng.choice(_METALS))), hex_to_linear(str(rng.choice(_STONES)))
    shape = rng.uniform(size=4)
    out = []
    for lobe, side in zip(person.to_world(person.skin_at(np.array(_LOBE, float))), (1, -1), strict=True):
        out += make(lobe, unit(person.turn @ np.array([side, 0.0, 0.25])), metal, stone, shape)
    return out


def _stud(lobe: np.ndarray, out: np.ndarray, metal: np.ndarray, stone: np.ndarray, shape: np.ndarray) -> list:
    radius = 0.0018 + 0.0022 * shape[0]
    kinds = ((stone, False), (stone, True), (metal, True), (metal, True))
    return [_ball(lobe + out * 0.6 * radius, radius, *kinds[int(4 * shape[1])])]


def _hoop(lobe: np.ndarray, out: np.ndarray, metal: np.ndarray, stone: np.ndarray, shape: np.ndarray) -> list:
    """Ring through the lobe; its plane is turned a little to the front."""
    radius, thick = 0.006 + 0.018 * shape[0] ** 1.5, 0.0007 + 0.0010 * shape[1]
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    level = unit(out * [1, 0, 1])
    ahead = np.cross([0, 1.0, 0], level) * np.sign(out[0] or 1) * -1
    flat = unit(0.85 * ahead + 0.55 * level)
    middle = lobe + 0.002 * level - [0, 0.9 * radius - 0.001, 0]
    line = middle + radius * (np.sin(t)[:, None] * flat + np.cos(t)[:, None] * [0, 1.0, 0])
    points, faces = tube(line, thick, closed=True)
    return [Accessory.surface(points, faces, metal, "earring", "metal")]


def _drop(lobe: np.ndarray, out: np.ndarray, metal: np.ndarray, stone: np.ndarray, shape: np.ndarray) -> list:
    """Bead at the lobe, wire, and a pendant shaped like a drop of water."""
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
        Accessory.surface(wire, faces, metal, "earring", "metal"),
        _lathe(hung, metal if kind == "metal" else stone, kind),
    ]


def _ball(middle: np.ndarray, radius: float, color: np.ndarray, metal: bool) -> Accessory:
    theta = np.linspace(0, np.pi, 9)[:, None]
    points = middle + radius * toward(np.linspace(-np.pi, np.pi, 14, endpoint=False)[None], theta)
    return _lathe(points, color, "metal" if metal else "solid")


def _lathe(points: np.ndarray, color: np.ndarray, material: str) -> Accessory:
    """Surface through rings of points, from the top down."""
    n, m, _ = points.shape
    return Accessory.surface(points.reshape(-1, 3), lattice_faces(n, m, True), color, "earring", material)
