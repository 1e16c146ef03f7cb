"""Clothes: crew and V necks, roll necks, shirts with a collar, open jackets, hoodies.

A garment is a lattice around the trunk: rows from the neckline down, columns around (azimuth 0 in front),
metres. It lies on the skin at the neckline and takes the shape of dressed shoulders below.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import lattice_faces, tube
from synthforge.generators.geometry.person import Person, outer_faces
from synthforge.generators.geometry.radial import RadialDepth
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.contact import contact_visibility
from synthforge.generators.shading.fabric import Pattern, draw_pattern
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.numeric import smoothstep, unit
from synthforge.heads.base import HeadModel

GARMENTS = {"crew": 0.34, "v_neck": 0.16, "shirt": 0.20, "jacket": 0.10, "hoodie": 0.12, "roll_neck": 0.08}
_COLORS = (
    "1c1d22", "e8e6e1", "2a3a5c", "7a2430", "3f5a45", "8a8f98", "c8b594", "5b4a6e", "b5542e", "4d7ea8",
    "d7b7be", "d8d9dc", "35383f", "6f8fb5", "23406e",
)  # fmt: skip
WHITEST = 0.55  # white cotton reflects 0.7 to 0.8; its folds and pores absorb some of that
_CHEST = np.array([0.0, -0.20, -0.025])  # neck, shoulders and chest are all seen from here
_SKIN_TOP = -0.060  # m, canonical: cloth lies on skin below, in front below the chin
# height (m, 0 at the tragia); half breadth, front and back of a dressed trunk. Biacromial breadth 385 mm,
# shoulders 190 mm below the tragia: means of both sexes of ANSUR (Gordon et al. 1989)
_TRUNK = np.array([
    [-0.060, 0.058, 0.050, -0.072], [-0.100, 0.061, 0.048, -0.080], [-0.118, 0.078, 0.045, -0.090],
    [-0.132, 0.108, 0.043, -0.098], [-0.148, 0.143, 0.044, -0.105], [-0.166, 0.172, 0.048, -0.112],
    [-0.190, 0.198, 0.057, -0.120], [-0.220, 0.214, 0.072, -0.127], [-0.260, 0.222, 0.088, -0.132],
    [-0.330, 0.226, 0.100, -0.134], [-0.620, 0.230, 0.104, -0.134],
])  # fmt: skip
_PROFILE = PchipInterpolator(-_TRUNK[:, 0], _TRUNK[:, 1:])
_ROWS, _COLUMNS = 44, 128
_VALLEY = 0.30  # share of light lost per unit of depth between folds
# m: cloth off skin; height over which cloth comes down to the trunk below the end of the skin
_OFF, _FADE = 0.003, 0.05
_NECK_MIDDLE = np.array([0.0, -0.105, -0.020])  # centre of the rays along which collars stand off the neck
# its map has its pole below, near the neck's base, so that even coarse triangles are small
_DOWN = np.diag([1.0, -1, -1])
_TURN = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
_AZIMUTH = _TURN - 0.45 * np.sin(_TURN)  # denser in front, where they are seen


@dataclass(frozen=True)
class _Cut:
    """Shape of a neckline: its height (m) in front, at the side and behind.

    `bend` (radians of azimuth) makes its front a V: the smaller, the steeper; 0 is round. `gap` (m) lies
    between skin and edge. `hug` (m) is how far below the edge the cloth has left the skin for the trunk's
    shape.
    """

    front: float
    side: float
    back: float
    bend: float = 0.0
    gap: float = 0.0018
    hug: float = 0.045


_CUTS = {
    "crew": _Cut(-0.128, -0.110, -0.094),
    "v_neck": _Cut(-0.168, -0.108, -0.094, 0.42),
    "roll_neck": _Cut(-0.116, -0.104, -0.090),
    "shirt": _Cut(-0.152, -0.108, -0.088, 0.50),
    "jacket": _Cut(-0.300, -0.116, -0.098, 0.23, 0.006, 0.0),
    "hoodie": _Cut(-0.140, -0.112, -0.098, 0.8),
}
# azimuth from the front (radians); height of the stand (m); how much lower (m) and further back (radians)
# the hem lies than the neckline; roundness of the fold (m)
_COLLAR_ROWS = {
    "shirt": [
        [0.0, 0.000, 0.036, 0.20, 0.0010], [0.12, 0.007, 0.031, 0.14, 0.0015],
        [0.3, 0.013, 0.024, 0.10, 0.0018], [0.5, 0.018, 0.020, 0.07, 0.0020],
        [1.57, 0.027, 0.012, 0.0, 0.0025], [3.15, 0.033, 0.012, 0.0, 0.0025],
    ],
    "jacket": [
        [0.0, 0.000, 0.0, 0.02, 0.0015], [0.137, 0.001, -0.005, 0.20, 0.0030],
        [0.225, 0.002, -0.012, 0.36, 0.0030], [0.265, 0.003, -0.010, 0.19, 0.0030],
        [0.61, 0.010, 0.016, 0.12, 0.0035], [1.57, 0.020, 0.018, 0.0, 0.0040],
        [3.15, 0.026, 0.014, 0.0, 0.0040],
    ],
    "hoodie": [
        [0.0, 0.000, 0.022, 0.05, 0.003], [0.15, 0.010, 0.026, 0.08, 0.006],
        [0.5, 0.016, 0.030, 0.08, 0.009], [1.57, 0.020, 0.042, 0.0, 0.012],
        [3.15, 0.028, 0.085, 0.0, 0.022],
    ],
    "roll_neck": [[0.0, 0.024, 0.004, 0.0, 0.003], [3.15, 0.036, 0.004, 0.0, 0.003]],
}  # fmt: skip
_COLLARS = {
    name: PchipInterpolator([row[0] for row in rows], [row[1:] for row in rows])
    for name, rows in _COLLAR_ROWS.items()
}


def _bust(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of a head's outer skin from the neck down, and the triangles between them."""
    outer = head.faces[outer_faces(head, ears=False)]
    _, y, z = head.canonical.T
    low = outer[(y + 1.2 * np.maximum(z, 0))[outer].max(1) < _SKIN_TOP]  # not the chin
    used, faces = np.unique(low, return_inverse=True)
    return used, faces.reshape(-1, 3).astype(np.int32)


@dataclass(frozen=True)
class _Body:
    """Skin from the neck down, in the frame of the canonical body (m).

    Attributes:
        points, faces: the skin.
        skin: its radial depth from the chest.
        broad: breadth of the shoulders relative to the mean.
        shift: adding it takes points to the world frame.
    """

    points: np.ndarray
    faces: np.ndarray
    skin: RadialDepth
    broad: float
    shift: np.ndarray

    @classmethod
    def of(cls, person: Person, broad: float) -> "_Body":
        used, faces = person.head.derived(_bust)
        shift = (person.vertices[used] - person.head.canonical[used]).mean(0).astype(np.float64)
        points = person.vertices[used] - shift
        return cls(points, faces, RadialDepth.of(points, faces, _CHEST).grown(2), broad, shift)

    @cached_property
    def neck(self) -> RadialDepth:
        """Radial depth of the skin from inside the neck."""
        return RadialDepth.of(self.points, self.faces, _NECK_MIDDLE, _DOWN).grown()

    def clear(self, points: Float[np.ndarray, "n m 3"], gap: Float[np.ndarray, "n 1"]) -> np.ndarray:
        """Rows of points, those closer to the skin than `gap` (m) moved away from the neck's middle."""
        away, skin = points - _NECK_MIDDLE, self.on_neck(points, gap) - _NECK_MIDDLE
        far, least = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (away, skin))
        push = ndimage.maximum_filter1d(np.maximum(1, least / far), 5, 1, mode="wrap")
        return _NECK_MIDDLE + away * ndimage.gaussian_filter1d(push, 2.0, 1, mode="wrap")

    def on_neck(self, points: np.ndarray, gap: np.ndarray | float) -> np.ndarray:
        """Points moved along rays from the neck's middle to `gap` (m) off the skin, where there is any."""
        away = points - _NECK_MIDDLE
        r = np.linalg.norm(away, axis=-1)
        least = self.neck.at(points.reshape(-1, 3)).reshape(r.shape)
        return _NECK_MIDDLE + away * np.where(least > 0, (least + gap) / r, 1)[..., None]

    def trunk(self, azimuth: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Points of a dressed trunk at an azimuth (radians) and a height (m)."""
        wide, front, back = np.moveaxis(_PROFILE(-height), -1, 0)
        wide = np.where(height < -0.11, wide * self.broad, wide)
        x, z = np.sin(azimuth), np.cos(azimuth)
        deep = 0.5 * (front - back)
        power = 2.3  # between an ellipse and a box
        scale = (np.abs(x) ** power + np.abs(z) ** power) ** (-1 / power)
        middle = 0.5 * (front + back)
        return np.stack([wide * x * scale, height + 0 * azimuth, middle + deep * z * scale], -1)


@dataclass(frozen=True)
class _Garment:
    """One layer of clothes.

    `lift` (m) is its distance from what is under it, `shift` moves its folds, `slack` (m) is their size.
    """

    body: _Body
    cut: _Cut
    lift: float
    shift: np.ndarray
    slack: float

    def neckline(self, azimuth: np.ndarray) -> np.ndarray:
        """Height (m) of the edge."""
        cut, away = self.cut, np.abs((azimuth + np.pi) % (2 * np.pi) - np.pi) / (0.5 * np.pi)
        rise = 1 - np.cos(0.5 * np.pi * np.minimum(away, 1))
        if cut.bend:
            steep = 0.5 * np.pi / cut.bend
            rise = np.expm1(-steep * np.minimum(away, 1)) / np.expm1(-steep)
        ahead = cut.front + (cut.side - cut.front) * rise
        behind = 0.5 - 0.5 * np.cos(np.pi * np.clip(away - 1, 0, 1))
        return ahead + (cut.back - cut.side) * behind

    def surface(self, azimuth: np.ndarray, drop: np.ndarray) -> np.ndarray:
        """Cloth `drop` (m) lower than the neckline, along columns at `azimuth`."""
        azimuth, drop = np.broadcast_arrays(azimuth, drop)
        points = self.body.trunk(azimuth, self.neckline(azimuth) - drop)
        away = points - _CHEST
        r = np.linalg.norm(away, axis=-1)
        least = self.body.skin.at(points.reshape(-1, 3)).reshape(r.shape)
        skin = _skirt(least, r, drop) + self.lift
        free = np.clip(drop / self.cut.hug, 0, 1) ** 1.3 if self.cut.hug else np.ones(r.shape)
        free = np.maximum(free, np.clip((np.abs(points[..., 0]) - 0.065) / 0.025, 0, 1))  # a raised shoulder
        free = smoothstep(0, 1, free)
        fold = self.slack * np.clip(drop / 0.05, 0, 1) * self.crumple(points)
        out = np.maximum(np.maximum(r + self.lift, skin + _OFF) + fold, skin + 0.0015)
        hung = _CHEST + away * (out / r)[..., None]
        if not self.cut.hug:
            return hung
        return hung + (1 - free)[..., None] * (self.body.on_neck(points, self.cut.gap + self.lift) - hung)

    def crumple(self, points: np.ndarray) -> np.ndarray:
        """Height of the folds at points, about -1.5 in their valleys to 1.5 on their ridges."""
        flat = points.reshape(-1, 3).astype(np.float32)
        crease, wave = noise(flat, (0.030, 0.055, 0.030), self.shift)[:, :2].T
        fine = noise(flat, (0.011, 0.022, 0.011), self.shift)[:, 2]
        return (0.6 - np.abs(crease) + 0.5 * wave + 0.35 * fine).reshape(points.shape[:-1])

    def sheet(self, color: np.ndarray, pattern: Pattern | None) -> Accessory:
        azimuth = _AZIMUTH[None]
        drop = np.linspace(0, 1, _ROWS)[:, None] ** 1.6 * (0.60 + self.neckline(azimuth))
        points = self.surface(azimuth, drop)
        inner = points[:1] - (self.cut.gap + self.lift + 0.001) * unit(points[:1] - _CHEST)
        made = _cloth(np.concatenate([inner, points]), color, pattern, closed=True)
        ambient = self.ambient(points, drop)
        return replace(made, ambient=np.concatenate([ambient[:1], ambient]).ravel())

    def ambient(self, points: np.ndarray, drop: np.ndarray) -> np.ndarray:
        """Ambient visibility of points `drop` (m) below the neckline: lower in the valleys of folds."""
        lost = _VALLEY * np.clip(drop / 0.05, 0, 1) * np.clip(1 - self.crumple(points), 0, 1.6)
        return (1 - lost).astype(np.float32)

    def band(self, color: np.ndarray, wide: float) -> Accessory:
        """A ribbed edge sewn to the neckline, `wide` (m)."""
        azimuth = _AZIMUTH[None]
        level = self.slope(azimuth)
        rise = np.array([-0.0012, 0.0006, 0.0016, 0.0016, 0.0014, 0.0002])[:, None]
        share = np.array([0.0, -0.02, 0.06, 0.5, 0.94, 1.02])[:, None]
        points = _lifted(self.surface(azimuth, np.maximum(share, 0) * wide * level), rise)
        along = (_AZIMUTH[None] / (2 * np.pi)) * 0.0052 * 90
        place = np.dstack(np.broadcast_arrays(along, share * wide, 0 * along))
        return _cloth(points, color, None, True, "knit", place)

    def slope(self, azimuth: np.ndarray) -> np.ndarray:
        """Fall per metre of cloth near the neckline."""
        two = self.surface(azimuth, np.array([[0.0], [0.012]]))
        return np.clip(0.012 / np.linalg.norm(two[1] - two[0], axis=-1), 0.25, 1)[None]

    def collar(
        self,
        name: str,
        color: np.ndarray,
        pattern: Pattern | None,
        tall: float = 1.0,
        material: str = "cloth",
    ) -> Accessory:
        """A strip that stands up from the neckline and falls over to the outside, shaped as `_COLLARS`
        says. Its ends meet in front."""
        closed = name == "roll_neck"
        turn = np.linspace(0, 2 * np.pi, 96, endpoint=not closed) + np.pi * closed  # seams are behind
        azimuth = turn - 0.6 * np.sin(turn)
        azimuth = azimuth if closed else np.clip(azimuth, 0.004, 2 * np.pi - 0.004)
        front = np.abs((azimuth + np.pi) % (2 * np.pi) - np.pi)
        high, fall, back, fat = _COLLARS[name](front).T
        high, back = tall * high, back * np.sign(np.pi - azimuth)
        up, out = np.array([0.0, 1, 0]), np.stack([np.sin(azimuth), 0 * azimuth, np.cos(azimuth)], -1)
        t = np.array([0.0, 0.15, 0.35, 0.6, 0.8, 1.0])[:, None]
        height, behind = self.neckline(azimuth) - t * fall, azimuth + t * back
        under = self.surface(behind, np.maximum(self.neckline(behind) - height, 0))
        rise, swell = high[:, None] * up, fat[:, None] * (out + 0.3 * up)
        base, t = under[0], t[..., None]
        leaf = _lifted(under, 0.0030 + 0.3 * fat + 0 * height) + (1 - t) * (rise + 0.004 * out)
        leaf += (np.sin(np.pi * t) + (1 - t)) * swell
        stand = [base, base + 0.5 * rise + 0.0005 * out, base + rise + 0.001 * out]
        top = 0.5 * (stand[2] + leaf[0]) + 0.4 * fat[:, None] * up + 0.0012 * up
        edge = _lifted(leaf[-1:], -0.0018 - 0.3 * fat[None]) + 0.0006 * up
        points = np.concatenate([np.stack([*stand, top]), leaf, edge])
        gap = np.array([0.0, 0.5, 1, 2, *[3] * 7])[:, None] * 0.0012 + 0.0012 + self.lift
        points = self.body.clear(points, gap)
        along = np.append(0, np.linalg.norm(np.diff(points[3], axis=0), axis=-1).cumsum())
        down = np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=-1).cumsum(0)
        place = np.dstack(np.broadcast_arrays(along[None], down, 0.0))
        made = _cloth(points, color, pattern, closed, material, place)
        dusk = np.repeat([0.45, 0.35, 0.15, 0.0, 0.0, 0.4], [1, 1, 1, 1, 6, 1])[:, None]
        ambient = np.broadcast_to(1 - dusk, points.shape[:2]).ravel().astype(np.float32)
        return replace(made, ambient=ambient)

    def strip(self, x: tuple[float, float], color: np.ndarray, pattern: Pattern | None) -> Accessory:
        """A placket down the front between two x (m)."""
        across = np.linspace(*x, 5)[None]
        drop = 0.001 + np.linspace(0.0, 0.3, 30)[:, None] ** 1.2
        points = self.surface(across / 0.16, drop)
        points[..., 0] = across
        points[..., 2] += np.array([-0.0005, 0.0022, 0.0025, 0.0022, -0.0005])
        return replace(_cloth(points, color, pattern), ambient=self.ambient(points, drop).ravel())


def _skirt(least: np.ndarray, r: np.ndarray, drop: np.ndarray) -> np.ndarray:
    """Radius (m) of the skin, `least`, continued below its end, where `least` is 0.

    Where the lowest skin of a column stands further out than the trunk's radius `r`, the continuation does
    so less and less as it goes down by `drop` (m). So there is no step where the head model's shoulders
    end.
    """
    low = len(least) - 1 - (least > 0)[::-1].argmax(0)[None]
    proud, end = (np.take_along_axis(v, low, 0) for v in (least - r + _OFF, drop))
    fade = np.exp(-(((drop - end) / _FADE) ** 2))
    return np.where(least > 0, least, r - _OFF + np.maximum(proud, 0) * fade)


def _lifted(points: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Points moved away from the chest by so many metres."""
    away = points - _CHEST
    return points + by[..., None] * away / np.linalg.norm(away, axis=-1, keepdims=True)


def _cloth(
    points: np.ndarray, color: np.ndarray, pattern: Pattern | None, closed: bool = False,
    material: str = "cloth",
    place: np.ndarray | None = None,
) -> Accessory:  # fmt: skip
    """A lattice as clothing. Without a `place` in the cloth, patterns run level around the body."""
    n, m, _ = points.shape
    if place is None:
        place = points.copy()
        place[..., 1] -= 0.45 * np.abs(points[..., 2] + 0.045)
    across = np.roll(points, -1, 1) - np.roll(points, 1, 1) if closed else np.gradient(points, axis=1)
    made = Accessory.surface(
        points.reshape(-1, 3), lattice_faces(n, m, closed), color, "clothing", material,
        unit(across).reshape(-1, 3), place.reshape(-1, 3),
    )  # fmt: skip
    return replace(made, pattern=pattern)


def dress(person: Person) -> list[Accessory]:
    """A random garment, world frame, that fits what is on the head. Sleeves take the colour of its first
    piece."""
    headwear, rng = person.appearance.headwear, person.rng("clothes")
    kind = str(rng.choice(list(GARMENTS), p=list(GARMENTS.values())))
    colors = [_washed(rng) for _ in range(3)]
    pattern = draw_pattern(colors[1], rng)
    broad, slack, shift = rng.normal(1.0, 0.04), rng.uniform(0.0020, 0.0042), rng.uniform(0, 48, 3)
    body = _Body.of(person, float(np.clip(broad, 0.9, 1.1)))
    kind = {"hood": "hoodie", "headscarf": "crew"}.get(headwear, kind)

    def layer(name: str, lift: float = 0.0) -> _Garment:
        return _Garment(body, _CUTS[name], lift, shift, slack)

    main, tone = layer(kind, 0.011 if kind == "jacket" else 0.0), rng.uniform(0.7, 1.0)
    out = [main.sheet(colors[0], pattern if kind != "hoodie" else None)]
    if kind in ("crew", "v_neck"):
        out.append(main.band(colors[0] * tone, rng.uniform(0.012, 0.020)))
    elif kind == "roll_neck":
        out.append(main.collar(kind, colors[0], None, rng.uniform(0.8, 1.1), "knit"))
    elif kind == "shirt":
        out.append(main.collar(kind, colors[0], pattern))
        out.append(main.strip((-0.016, 0.016), colors[0], pattern))
    elif kind == "jacket":
        inner = replace(layer("crew"), slack=0.3 * slack)
        out.append(main.collar(kind, colors[0], pattern))
        out.append(inner.sheet(colors[2], None))
        out.append(inner.band(colors[2], 0.014))
    elif headwear == "hood":
        out.append(main.band(colors[0], 0.02))
    else:
        out.append(main.collar(kind, colors[0], None))
        out += _strings(main, colors[0], rng)
    if kind in ("shirt", "jacket", "hoodie") and headwear != "hood":
        hem = out[1].vertices.reshape(-1, 96, 3)[-1]
        out[0] = replace(out[0], ambient=out[0].ambient * contact_visibility(out[0].vertices, hem))
    return [replace(w, vertices=w.vertices + body.shift.astype(np.float32)) for w in out]


def _strings(hoodie: _Garment, color: np.ndarray, rng: np.random.Generator) -> list[Accessory]:
    """Two cords that hang from the hood's ends."""
    pale = 0.4 * color + 0.4
    out = []
    for side in (-1, 1):
        long = rng.uniform(0.09, 0.16)
        line = hoodie.surface(np.array([[side * 0.30]]), np.linspace(0.012, long, 12)[:, None])[:, 0]
        line = _lifted(line, np.full(12, 0.0035))
        points, faces = tube(line, 0.0019, closed=False)
        out.append(Accessory.surface(points, faces, pale, "clothing", "cloth", place=points))
    return out


def _washed(rng: np.random.Generator) -> np.ndarray:
    color = hex_to_linear(str(rng.choice(_COLORS))) * np.exp(rng.normal(0, 0.15, 3))
    return np.clip(color + rng.uniform(0.1, 0.5) * (color.mean() - color), 0.01, WHITEST)
