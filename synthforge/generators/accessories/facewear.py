"""Masks over nose, mouth and chin: taut sheets over the posed face, which follow the jaw."""

import numpy as np
from scipy.interpolate import CubicSpline

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.drape import drape, sheet
from synthforge.generators.geometry.meshes import lattice_faces, tube
from synthforge.generators.geometry.person import Person
from synthforge.generators.geometry.radial import FORWARD, RadialDepth
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.numeric import unit
from synthforge.heads.anatomy import NECK_HEIGHT

# points of the canonical skin (mm) along the upper and the lower edge, from the middle to the subject's left
_TOP = [[0, 14, 101], [13, 7, 91], [24, 0, 86], [40, -6, 81], [54, -9, 68], [63, -13, 42]]
_BOTTOM = [[0, -94, 74], [13, -93, 72], [26, -89, 68], [40, -80, 58], [50, -70, 44], [57, -57, 32]]
_KNOTS = [0, 0.18, 0.36, 0.58, 0.8, 1.0]  # where these are along the half edge
_EAR = [[73, 19, -3], [66, -28, 3]]  # roots of the ear above and below (mm)
_COLUMNS, _ROWS = 57, 41
_SURGICAL = ("8fbcd8", "a9cfe3", "9fd0c4", "e8ecee", "2a2c30")
_COTTON = ("17181c", "222f4d", "8a2a33", "d9d4c8", "4e6a58", "7a7f88", "b98ea0", "c8a66a")


def put_on_mask(person: Person) -> tuple[list[Accessory], list[RadialDepth]]:
    """Mask (world frame), and the surface (head frame) that hair has to stay under."""
    kind, rng = person.appearance.facewear, person.rng("facewear")
    if kind == "none":
        return [], []
    middle = person.head.landmarks(person.head_vertices)[[2, 14]].mean(0) + [0, -0.008, 0.012]
    directions = _directions(person, middle)
    skin = person.radial_depth(False, middle, FORWARD, 2.0, heights=(NECK_HEIGHT, 9.0))  # no shoulders
    least = skin.at((middle + directions).reshape(-1, 3)).reshape(directions.shape[:2])
    rim = np.zeros(least.shape, bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    beard = {"full": 0.006, "goatee": 0.004}.get(person.appearance.facial_hair, 0.0)
    inner = np.minimum(_bell(_ROWS), _bell(_COLUMNS).T)
    tight = drape(least, np.zeros_like(rim), 6, False)
    least = np.where(rim, tight + 0.0022, least + 0.0028 + beard * inner)
    surgical = kind == "surgical_mask"
    radius = drape(least, rim, 150, False)
    v, u = np.meshgrid(np.linspace(0, 1, _ROWS), np.linspace(-1, 1, _COLUMNS), indexing="ij")
    if surgical:
        color, radius = _pleated(radius, u, v, rng)
    else:
        color, radius = _seamed(radius, u, v, rng)
    points = middle + radius[..., None] * directions
    faces = lattice_faces(_ROWS, _COLUMNS)
    cover = RadialDepth.of(points.reshape(-1, 3), faces.astype(np.int32), middle, FORWARD, 2.0)
    wide = np.pad(color, ((1, 1), (1, 1), (0, 0)), mode="edge")
    front = sheet(person, _turned_in(points, middle), wide, "facewear")
    elastic = np.full(3, 0.75) if surgical else color[0, 0]
    return [front, *_loops(person, skin, points, elastic)], [cover]


def _directions(person: Person, middle: np.ndarray) -> np.ndarray:
    """Rows from the upper to the lower edge, columns from the subject's right to left: unit vectors."""
    knots = np.array(_KNOTS)
    u = np.linspace(-1, 1, _COLUMNS)
    edges = []
    for half in (_TOP, _BOTTOM):
        left = np.array(half, float)
        both = np.concatenate([left[:0:-1] * [-1, 1, 1], left])
        away = unit(person.skin_at(both) - middle)
        edges.append(CubicSpline(np.concatenate([-knots[:0:-1], knots]), away)(u))
    v = np.linspace(0, 1, _ROWS)[:, None, None]
    return unit((1 - v) * edges[0] + v * edges[1])


def _bell(n: int) -> np.ndarray:
    """Column n 1 that is 0 at both ends and 1 further inside than a tenth."""
    t = np.linspace(0, 1, n)
    return np.clip(np.minimum(t, 1 - t) / 0.1, 0, 1)[:, None]


def _pleated(radius: np.ndarray, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> tuple:
    """Three folds across, flat at the sides; a stitched border and the wire at the nose."""
    color = hex_to_linear(str(rng.choice(_SURGICAL, p=[0.4, 0.22, 0.1, 0.18, 0.1])))
    fold = (v - 0.26) / 0.16
    saw = np.where((fold > 0) & (fold < 3), fold % 1, 0)
    lift = 0.0026 * saw * np.clip((0.97 - np.abs(u)) / 0.35, 0, 1)
    line = np.exp(-0.5 * (((saw - 0.97) / 0.06) ** 2)) * (np.abs(u) < 0.97)
    border = (v < 0.045) | (v > 0.955) | (np.abs(u) > 0.94)
    wire = np.exp(-0.5 * ((v - 0.075) / 0.018) ** 2) * (np.abs(u) < 0.42)
    tone = (1 - 0.30 * line)[..., None] * np.where(border[..., None], 0.5 * color + 0.35, color)
    return tone, radius + lift + 0.0008 * wire


def _seamed(radius: np.ndarray, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> tuple:
    """Two cups sewn along the middle; plain or striped cotton."""
    color = hex_to_linear(str(rng.choice(_COTTON))) * np.exp(rng.normal(0, 0.1, 3))
    other = hex_to_linear(str(rng.choice(_COTTON)))
    inside = np.clip(np.minimum(v, 1 - v) / 0.25, 0, 1) * np.clip((1 - np.abs(u)) / 0.5, 0, 1)
    seam = np.exp(-0.5 * (u / 0.022) ** 2)
    band = (v < 0.05) | (v > 0.95)
    striped = (rng.random() < 0.25) & (np.floor(v * 10).astype(int) % 2 == 0)
    tone = np.where((striped & ~band)[..., None], other, color) * (1 - 0.35 * seam - 0.15 * band)[..., None]
    return np.clip(tone, 0.01, 0.8), radius + 0.003 * inside * (1 - 0.35 * seam) - 0.0006 * seam


def _turned_in(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The sheet with an edge all round that turns towards the skin."""
    padded = np.pad(points, ((1, 1), (1, 1), (0, 0)), mode="edge")
    away = unit(padded - middle)
    rim = np.ones(padded.shape[:2], bool)
    rim[1:-1, 1:-1] = False
    padded[rim] -= 0.0016 * away[rim]
    return padded


def _loops(person: Person, skin: RadialDepth, points: np.ndarray, color: np.ndarray) -> list[Accessory]:
    """Elastic bands from the corners around the ears."""
    ears = person.skin_at(np.concatenate([_EAR, np.array(_EAR, float) * [-1, 1, 1]]))
    out = []
    t = np.linspace(0, 1, 16)[:, None]
    for column, (above, below) in ((-1, ears[:2]), (0, ears[2:])):
        for corner, root in ((points[1, column], above), (points[-2, column], below)):
            line = corner * (1 - t) + root * t
            away = line - skin.centre
            r = np.linalg.norm(away, axis=1)
            lifted = np.maximum(r, skin.at(line) + 0.0012) / r
            lifted[0], lifted[-1] = 1, 0.96  # ends behind the ear
            line = skin.centre + away * lifted[:, None]
            loop, faces = tube(line, 0.0013, closed=False)
            out.append(Accessory.surface(person.to_world(loop), faces, color, "facewear", "cloth"))
    return out
