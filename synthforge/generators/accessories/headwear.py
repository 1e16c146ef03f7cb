"""Headwear: caps, beanies, hats with a brim, hoods and headscarves.

All are lattices of directions around a centre in the head: rows from the zenith down, columns around. Rims
and openings run through points of the canonical skin, in millimetres.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from synthforge.generators.accessories.clothes import WHITEST
from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.drape import drape, sheet
from synthforge.generators.geometry.meshes import between, boundary_edges, clip_triangles, lattice_faces
from synthforge.generators.geometry.person import Person
from synthforge.generators.geometry.radial import FORWARD, RadialDepth, around, ring, toward
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.numeric import smoothstep, unit
from synthforge.heads.anatomy import BRAINCASE, NECK_HEIGHT

_COLORS = ("15161a", "1f2a44", "7b1e26", "3b4a36", "8a8d92", "c9b48f", "e9e6df", "5a3e2b", "b0552f", "2f6076",
           "6b5a86", "d9a7b0", "c79a2c")  # fmt: skip
_FELT = ("2a2523", "6b5640", "4a4f57", "b9a37e", "1b1b20", "7a2b2b")
_STRAW = ("c8ad76", "d8c79c", "a98a55")
_COLUMNS, _ROWS = 144, 30
_MARGIN = 0.003  # m between skin and the inside of a hat
_CLOTH = 0.0016  # m
# m of hair between scalp and hat, by style
_BULK = {"bald": 0.0, "buzz": 0.001, "short": 0.003, "receding": 0.002, "curly": 0.008, "afro": 0.010}
# points of the canonical skin (mm, subject's left) under the lower edge, from the forehead to the nape
_RIMS = {
    "cap": [
        [0, 62, 89], [34, 60, 79], [58, 52, 52], [72, 42, 15],
        [76, 38, -25], [66, 20, -66], [30, 4, -90], [0, 0, -94],
    ],
    "brim": [
        [0, 68, 87], [34, 66, 77], [58, 57, 50], [73, 45, 15],
        [76, 42, -25], [66, 30, -66], [30, 18, -92], [0, 14, -96],
    ],
    "beanie": [
        [0, 66, 88], [34, 63, 78], [58, 52, 50], [74, 28, 10],
        [84, 8, -24], [66, -8, -62], [30, -14, -84], [0, -16, -86],
    ],
}  # fmt: skip
_OPENINGS = {  # the same for the edge around the face, from the forehead to under the chin
    "headscarf": [
        [0, 82, 80], [34, 76, 72], [60, 50, 50], [65, 20, 44],
        [63, -18, 42], [56, -52, 44], [34, -82, 62], [0, -93, 74],
    ],
    "hood": [
        [0, 94, 76], [34, 86, 72], [60, 58, 54], [68, 20, 38],
        [66, -20, 35], [58, -56, 32], [48, -88, 24], [30, -116, 28], [0, -128, 36],
    ],
}  # fmt: skip


# centres of their lattices: all that they cover is seen from there, and the opening is in front
_MIDDLES = {"headscarf": np.array([0.0, -0.015, 0.0]), "hood": np.array([0.0, -0.085, -0.015])}


def put_on_hat(person: Person, shirt: Sequence[Accessory] = ()) -> tuple[list[Accessory], list[RadialDepth]]:
    """Headwear (world frame) over a person in a `shirt`, and the surfaces (head frame) that hair has to stay
    under."""
    kind, rng = person.appearance.headwear, person.rng("headwear")
    if kind == "none":
        return [], []
    bulk = _BULK.get(person.appearance.hair_style, 0.004)
    if kind in _OPENINGS:
        cloth = _wrap(person, kind, bulk, shirt, rng)
        points, middle = person.to_head(cloth.vertices), _MIDDLES[kind] + person.rest_shift
        return [cloth], [RadialDepth.of(points, cloth.faces, middle, wide=3.0)]
    crown, hat = {"cap": _cap, "beanie": _beanie, "brim": _brim_hat}[kind](person, bulk, rng)
    return hat, [crown.cover]


@dataclass(frozen=True)
class _Crown:
    """Crown of a hat: `azimuth` m of the columns; angle `theta` n m (radians) from the zenith and `radius`
    n m (m) of its points, from the top to the rim."""

    azimuth: np.ndarray
    theta: np.ndarray
    radius: np.ndarray

    @property
    def points(self) -> np.ndarray:
        return BRAINCASE + self.radius[..., None] * toward(self.azimuth[None], self.theta)

    @property
    def rim(self) -> np.ndarray:
        return self.points[-1]

    @property
    def cover(self) -> RadialDepth:
        """Surface that hair stays under: the crown and a little below it; none lies on a brim."""
        below = BRAINCASE + self.radius[-1][:, None] * toward(self.azimuth, self.theta[-1] + 0.13)
        rows = np.concatenate([self.points, below[None]])
        return RadialDepth.of(rows.reshape(-1, 3), lattice_faces(len(rows), _COLUMNS, True), BRAINCASE)


def _mirrored(half: list) -> np.ndarray:
    left = np.array(half, float)
    return np.concatenate([left, left[np.abs(left[:, 0]) > 1] * [-1, 1, 1]])


def _crown(
    person: Person,
    kind: str,
    bulk: float,
    tall: float,
    square: float,
    lowered: float,
    rng: np.random.Generator,
) -> _Crown:
    """Crown whose top is `tall` (m) above the skull, from round (`square` 2) to boxy, its rim `lowered`
    (radians) in front."""
    azimuth = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    rim = ring(person.skin_at(_mirrored(_RIMS[kind])) - BRAINCASE, azimuth)
    rim = rim + lowered * np.cos(azimuth) + rng.normal(0, 0.012) * np.sin(azimuth)
    theta = np.linspace(0, 1, _ROWS)[:, None] ** 0.9 * rim
    skin = person.radial_depth(kind == "beanie", heights=(NECK_HEIGHT, 9.0))
    least = skin.at((BRAINCASE + toward(azimuth[None], theta)).reshape(-1, 3)).reshape(theta.shape)
    hairy = np.clip((1 - np.linspace(0, 1, _ROWS)) / 0.25, 0.25, 1)[:, None]
    least = least + _MARGIN + _CLOTH + bulk * hairy
    edge = drape(least[-3:], np.zeros((3, _COLUMNS), bool), 60, True)[-1]  # a rim is stiff
    high = least[0].max() + tall
    upright = (np.maximum(np.cos(theta), 0) / high) ** square
    wide = np.sin(rim) / np.maximum(edge**-square - upright[-1], 1e-3) ** (1 / square)
    least = np.maximum(least, ((np.sin(theta) / wide) ** square + upright) ** (-1 / square))
    least[-1] = edge
    pinned = np.zeros(least.shape, bool)
    pinned[-1] = True
    return _Crown(azimuth, theta, drape(least, pinned, 40, True))


def _with_hem(crown: _Crown, thick: float, deep: float) -> np.ndarray:
    """Points (m) of a crown whose edge turns in and runs up again inside."""
    points = crown.points
    inward = -toward(crown.azimuth, crown.theta[-1])
    up = unit(points[-2] - points[-1])
    rim = points[-1]
    inside = rim + thick * inward
    rows = [rim + 0.5 * thick * (inward - up), inside, inside + deep * up]
    return np.concatenate([points, np.stack(rows)])


def _dyed(names: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    color = hex_to_linear(str(rng.choice(names))) * np.exp(rng.normal(0, 0.15, 3))
    return np.clip(color, 0.01, WHITEST)


def _cap(person: Person, bulk: float, rng: np.random.Generator) -> tuple[_Crown, list[Accessory]]:
    """Six panels with seams, a button and a visor; one in eight worn backwards."""
    tall, square = rng.uniform(0.001, 0.010), rng.uniform(2.0, 2.35)
    crown = _crown(person, "cap", bulk, tall, square, rng.normal(0.0, 0.03), rng)
    main = _dyed(_COLORS, rng)
    other = _dyed(_COLORS, rng) if rng.random() < 0.35 else main
    backwards = rng.random() < 0.125
    front = crown.azimuth + (np.pi if backwards else 0)
    seam = np.exp(-0.5 * (np.sin(3 * front) / 0.07) ** 2)
    seam = seam[None] * np.clip(crown.theta / 0.25, 0, 1)
    radius = crown.radius - 0.0009 * seam
    crown = _Crown(crown.azimuth, crown.theta, radius)
    points = _with_hem(crown, _CLOTH, 0.012)
    panel = np.abs((front + np.pi) % (2 * np.pi) - np.pi) < np.pi / 3 + 0.02
    color = np.where(panel[None, :, None], main, other) * (1 - 0.35 * seam[..., None])
    color = np.concatenate([color, np.broadcast_to(0.7 * main, (3, *color.shape[1:]))])
    visor = _visor(crown, np.pi if backwards else 0.0, rng.uniform(0.060, 0.074), rng.uniform(0.18, 0.36))
    button = _button(crown.points[0, 0], 0.0065, 0.004)
    return crown, [
        sheet(person, points, color, "headwear", closed=True),
        sheet(person, visor, other, "headwear"),
        sheet(person, button, other, "headwear", closed=True),
    ]


_VISOR = 1.05  # radians of azimuth to either side of its middle
_BENT = 2.4  # 1/m, curvature by which a visor falls to its sides


def _visor(crown: _Crown, ahead: float, long: float, down: float) -> np.ndarray:
    """Plate that stands off the rim at azimuth `ahead`, `long` (m) in its middle, tilted `down` (radians)."""
    a = np.linspace(-_VISOR, _VISOR, 49)
    at = (a + ahead + np.pi) / (2 * np.pi) * _COLUMNS
    i, share = np.floor(at).astype(int), (at % 1)[:, None]
    rim = crown.rim[i % _COLUMNS] * (1 - share) + crown.rim[(i + 1) % _COLUMNS] * share
    out = np.stack(
        [0.30 * np.sin(a + ahead), np.full_like(a, -np.tan(down)), np.full_like(a, np.cos(ahead))], -1
    )
    out *= (long * np.maximum(1 - (a / _VISOR) ** 2, 0) ** 0.4)[:, None]
    s = np.array([-0.06, 0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.88, 0.96, 1.0])[:, None]
    top = rim + s[..., None] * out
    top[..., 1] -= _BENT * s * (top[..., 0] ** 2 - 0.4 * rim[:, 0] ** 2)
    return _two_sided(top, 0.0026)


def _two_sided(top: np.ndarray, thick: float) -> np.ndarray:
    """Upper side of a plate (rows go outwards), its edge, and its lower side `thick` (m) below."""
    low = top[::-1] - [0, thick, 0]
    edge = 0.5 * (top[-1] + low[0]) + 0.03 * (top[-1] - top[-3])
    return np.concatenate([top, edge[None], low])


def _button(at: np.ndarray, wide: float, high: float) -> np.ndarray:
    """Flattened ball, rows from the zenith down."""
    theta = np.linspace(0, np.pi, 8)[:, None]
    return at + toward(np.linspace(-np.pi, np.pi, 16, endpoint=False)[None], theta) * [wide, high, wide]


def _beanie(person: Person, bulk: float, rng: np.random.Generator) -> tuple[_Crown, list[Accessory]]:
    """Knitted, with or without a turned-up cuff, sometimes striped or with a bobble."""
    tall, square = rng.uniform(0.006, 0.030), rng.uniform(1.9, 2.3)
    crown = _crown(person, "beanie", bulk, tall, square, rng.normal(0.02, 0.05), rng)
    main, other = _dyed(_COLORS, rng), _dyed(_COLORS, rng)
    t = np.linspace(0, 1, _ROWS) ** 0.9
    gathers = 0.0012 * np.cos(18 * crown.azimuth) * np.exp(-crown.theta / 0.25)  # where the ribs meet on top
    crown = _Crown(crown.azimuth, crown.theta, crown.radius + gathers)
    striped = rng.random() < 0.3
    bands = (np.floor(t * rng.integers(7, 13)).astype(int) % 2 == 0) & (t > 0.3) & striped
    color = np.where(bands[:, None, None], other, main)  # rows 1 3
    cuffed, tone = rng.random() < 0.7, other if rng.random() < 0.25 else main
    inside = np.broadcast_to(tone if cuffed else color[-1, 0], (3, 1, 3))
    shell = np.concatenate([np.broadcast_to(color, (_ROWS, 1, 3)), inside])
    out = [_knitted(person, _with_hem(crown, 0.003, 0.015), shell, crown)]
    if cuffed:
        high = rng.uniform(0.26, 0.36)
        rows = np.linspace(1 - high, 1.0, 9)
        theta = rows[:, None] * crown.theta[-1]
        radius = np.stack([np.interp(rows, t, column) for column in crown.radius.T], 1)
        rise = np.array([0.0005, 0.0032, *[0.0042] * 6, 0.0036])[:, None]
        cuff = _Crown(crown.azimuth, theta, radius + rise)
        out.append(_knitted(person, _with_hem(cuff, 0.005, 0.004), tone, cuff))
    if rng.random() < 0.2:
        ball = _button(crown.points[0, 0] + [0, 0.018, 0], 0.026, 0.024)
        fuzz = 1 + 0.10 * rng.standard_normal(ball.shape[:2] + (1,))
        middle = crown.points[0, 0] + [0, 0.018, 0]
        out.append(sheet(person, middle + (ball - middle) * fuzz, other, "headwear", "cloth", closed=True))
    return crown, out


def _knitted(person: Person, points: np.ndarray, color: np.ndarray, crown: _Crown) -> Accessory:
    """Ribs that run up to the top, as many everywhere as at the rim."""
    around_rim = np.linspace(0, 1, _COLUMNS, endpoint=False) * 0.0052 * 120
    down = np.append(0, np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(1).cumsum())
    place = np.dstack(np.broadcast_arrays(around_rim[None], down[:, None]))
    return sheet(person, points, color, "headwear", "knit", closed=True, place=place)


def _brim_hat(person: Person, bulk: float, rng: np.random.Generator) -> tuple[_Crown, list[Accessory]]:
    """Felt, straw or cotton hat: crown, ribbon, and a brim all around."""
    make = str(rng.choice(["felt", "straw", "bucket"]))
    tall = {"felt": 0.024, "straw": 0.020, "bucket": 0.008}[make] * rng.uniform(0.8, 1.25)
    square = {"felt": 5.0, "straw": 4.5, "bucket": 3.6}[make]
    crown = _crown(person, "brim", bulk, tall, square, rng.normal(0.0, 0.03), rng)
    color = _dyed({"felt": _FELT, "straw": _STRAW, "bucket": _COLORS}[make], rng)
    if make == "felt":  # pinched along the top
        x, z = (np.sin(crown.theta) * f(crown.azimuth) for f in (np.sin, np.cos))
        dent = 0.014 * np.exp(-((x / 0.16) ** 2)) * np.clip((0.95 - crown.theta) / 0.35, 0, 1)
        pinch = 0.010 * np.exp(-(((np.abs(x) - 0.38) / 0.14) ** 2 + ((z - 0.50) / 0.22) ** 2))
        crown = _Crown(crown.azimuth, crown.theta, crown.radius - dent - pinch)
    wide = {"felt": 0.055, "straw": 0.075, "bucket": 0.050}[make] * rng.uniform(0.85, 1.15)
    parts = (_with_hem(crown, _CLOTH, 0.015), _brim(crown, wide, make, rng))
    kind = "knit" if make == "straw" else "cloth"  # straw is sewn in rings
    out = [sheet(person, points, color, "headwear", kind, closed=True, rings=True) for points in parts]
    if make != "bucket":
        rows = np.linspace(0.80, 0.995, 6)
        t = np.linspace(0, 1, _ROWS) ** 0.9
        radius = np.stack([np.interp(rows, t, column) for column in crown.radius.T], 1)
        rise = np.array([-0.0008, 0.0012, 0.0014, 0.0014, 0.0014, 0.0014])[:, None]
        band = _Crown(crown.azimuth, rows[:, None] * crown.theta[-1], radius + rise)
        out.append(sheet(person, band.points, _dyed(_FELT, rng) * 0.6, "headwear", closed=True))
    return crown, out


def _brim(crown: _Crown, wide: float, make: str, rng: np.random.Generator) -> np.ndarray:
    """Ring from the rim outwards: upper side, edge, lower side."""
    rim, a = crown.rim, crown.azimuth
    out = np.stack([np.sin(a), np.zeros_like(a), np.cos(a)], -1)
    s = np.array([-0.05, 0.0, 0.12, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95, 1.0])[:, None]
    droop = {"felt": 0.06, "straw": 0.16, "bucket": 0.75}[make] + rng.normal(0, 0.04)
    turned_up = {"felt": 0.010, "straw": 0.0, "bucket": 0.0}[make]
    wave = 0.004 * np.cos(2 * a + rng.uniform(0, 6)) + 0.002 * np.cos(3 * a + rng.uniform(0, 6))
    top = rim[None] + (s * wide)[..., None] * out[None]
    top[..., 1] += -s * wide * droop + s**2 * (turned_up * np.abs(np.sin(a)) + wave)
    return _two_sided(top, 0.0022)


def _wrap(
    person: Person, kind: str, bulk: float, shirt: Sequence[Accessory], rng: np.random.Generator
) -> Accessory:
    """Hood or headscarf: cloth around the head down to the shoulders, open in front of the face."""
    scarf, middle = kind == "headscarf", _MIDDLES[kind] + person.rest_shift
    rows, wide = 72, 2.95
    azimuth = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    theta = np.broadcast_to(np.linspace(0, wide, rows)[:, None], (rows, _COLUMNS))
    directions = toward(azimuth[None], theta)
    opening = ring(person.skin_at(_mirrored(_OPENINGS[kind])) - middle, azimuth, FORWARD)
    alpha, psi = around(directions, FORWARD)
    height = 0.1 * (np.interp(alpha, np.append(azimuth, np.pi), np.append(opening, opening[0])) - psi)

    def met(ears: bool, low: float, high: float, under: Sequence[Accessory] = ()) -> np.ndarray:
        depth = person.radial_depth(ears, middle, wide=3.08, heights=(low, high), under=under)
        radius = depth.at((middle + directions).reshape(-1, 3)).reshape(theta.shape)
        return np.minimum(radius, 0.36 if scarf else 0.5)

    thick = 0.0045 if scarf else 0.009
    body = ndimage.maximum_filter(met(False, -9.0, NECK_HEIGHT, shirt), 5)  # seen at a flat angle
    body = np.where(body > 0, body + thick + 0.002, 0)
    skull = ndimage.maximum_filter(met(True, NECK_HEIGHT, 9.0), 3)
    around_ears = ndimage.gaussian_filter(ndimage.maximum_filter(skull, 13), 4, mode=["nearest", "wrap"])
    least = np.maximum(np.maximum(skull, around_ears) + thick + bulk, body)
    for column, hit in zip(least.T, (np.maximum(skull, body) > 0).T, strict=True):  # from chin to chest
        column[~hit] = np.interp(theta[~hit, 0], theta[hit, 0], column[hit])
    if not scarf:
        least = least + rng.uniform(0.006, 0.016) * np.clip((1.9 - theta) / 0.5, 0, 1)
    radius = drape(least, np.zeros(least.shape, bool), 36 if scarf else 14, True)
    hug = met(False, NECK_HEIGHT, 9.0)  # close to the face, before the ears; a hood only above the jaw
    hug = np.where(hug > 0, hug + (0.004 if scarf else 0.012), radius)
    free = np.clip((np.abs(height) - 0.007) / (0.012 if scarf else 0.030), 0, 1)
    free = np.maximum(free, 0 if scarf else np.clip((theta - 0.8) / 0.9, 0, 1))
    radius = hug + smoothstep(0, 1, free) * np.maximum(radius - hug, 0)
    folds = _folds(theta, azimuth, psi, scarf, rng)
    radius = radius + folds * np.clip(-height / 0.012, 0, 1)
    points = (middle + radius[..., None] * directions).reshape(-1, 3)
    faces, ends, share = clip_triangles(lattice_faces(rows, _COLUMNS, True), height.reshape(-1))
    points = between(points, ends, share)
    under = shirt[0].albedo[0] if shirt else _dyed(_COLORS, rng)
    color = _dyed(_COLORS, rng) if scarf else np.asarray(under, float)
    return _hemmed(person, faces, points, middle, share > 0, color, 0.0050 if scarf else 0.007)


def _folds(
    theta: np.ndarray, azimuth: np.ndarray, psi: np.ndarray, scarf: bool, rng: np.random.Generator
) -> np.ndarray:
    """Height of creases (m) that run down and get deeper towards the shoulders; those of a scarf also run
    around the face."""
    out = np.zeros(theta.shape)
    for count in (5, 9, 14, 21):
        phase = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.8) * theta
        out += np.cos(count * azimuth[None] + phase) / count
    low = np.clip((theta - 1.3) / 1.2, 0, 1)
    depth = 0.012 * low**1.5
    if not scarf:  # gathered at the neck, part of the garment below
        return 0.009 * np.exp(-(((theta - 1.75) / 0.35) ** 2)) * np.maximum(out + 0.15, 0)
    wave = np.cos(psi * rng.uniform(17, 23) + 1.5 * np.sin(azimuth + rng.uniform(0, 6)) + 4 * out)
    wound = (0.0015 + 0.0035 * np.clip((theta - 1.1) / 0.6, 0, 1)) * np.maximum(wave - 0.2, 0)
    return depth * np.maximum(out + 0.15, 0) + wound


def _hemmed(
    person: Person, faces: np.ndarray, points: np.ndarray, middle: np.ndarray, cut: np.ndarray,
    color: np.ndarray, thick: float,
) -> Accessory:  # fmt: skip
    """Cloth whose edge around the opening, where `cut` is true, is turned in."""
    border = boundary_edges(faces)
    border = border[cut[border].all(1)]
    used, at = np.unique(border, return_inverse=True)
    away = unit(points[used] - middle)
    back = away[:, 2:] * away - [0, 0, 1.0]  # along the cloth, away from the face
    back /= np.maximum(np.linalg.norm(back, axis=1, keepdims=True), 1e-6)
    rings = [points[used] - 0.5 * thick * away - 0.4 * thick * back, points[used] - thick * away]
    rings.append(rings[1] + 0.008 * back - 0.0015 * away)
    parts, near, n = [faces], border, len(points)
    for _ in rings:
        far = at.reshape(-1, 2) + n
        parts.append(np.stack([near[:, 1], near[:, 0], far[:, 0]], 1))
        parts.append(np.stack([near[:, 1], far[:, 0], far[:, 1]], 1))
        near, n = far, n + len(used)
    points = np.concatenate([points, *rings])
    faces = np.concatenate(parts)
    return Accessory.surface(person.to_world(points), faces, color, "headwear", "cloth", place=points)
