"""What is worn below the neck: crew and V necks, roll necks, shirts with a collar, open jackets, hoodies.

A garment is a lattice around the trunk: rows from the neckline down, columns around (azimuth 0 in front),
world frame, metres. It lies on the skin at the neckline and takes the shape of dressed shoulders from there.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import PchipInterpolator

from synthforge.generators.color import hex_to_linear
from synthforge.generators.drape import PosedHead, Reach, outer_faces, worn_mesh
from synthforge.generators.fabric import Pattern, draw_pattern
from synthforge.generators.noise import noise
from synthforge.generators.worn import WornMesh, lattice_faces, tube

GARMENTS = {"crew": 0.34, "v_neck": 0.16, "shirt": 0.20, "jacket": 0.10, "hoodie": 0.12, "roll_neck": 0.08}
_COLORS = (
    "1c1d22", "e8e6e1", "2a3a5c", "7a2430", "3f5a45", "8a8f98", "c8b594", "5b4a6e", "b5542e", "4d7ea8",
    "d7b7be", "d8d9dc", "35383f", "6f8fb5", "23406e",
)  # fmt: skip
_CHEST = np.array([0.0, -0.20, -0.025])  # whence the neck's root, shoulders and chest are all seen
_SKIN_TOP = -0.060  # m, canonical: cloth lies on what is lower, in front on what is below the chin
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
_HUG = 0.045  # m below the neckline within which cloth leaves the skin for the trunk's shape


@dataclass(frozen=True)
class _Cut:
    """Height of the neckline (m) in front, at the side, behind; `point` is how sharp its front is (0 round
    to 1 a V); `gap` (m) between skin and edge."""

    front: float
    side: float
    back: float
    point: float = 0.0
    gap: float = 0.0018


_CUTS = {
    "crew": _Cut(-0.128, -0.110, -0.094),
    "v_neck": _Cut(-0.168, -0.112, -0.094, 1.0),
    "roll_neck": _Cut(-0.116, -0.104, -0.090),
    "shirt": _Cut(-0.150, -0.108, -0.088, 1.0),
    "jacket": _Cut(-0.300, -0.116, -0.098, 1.0, 0.006),
    "hoodie": _Cut(-0.137, -0.112, -0.098),
}


@dataclass(frozen=True)
class _Body:
    """Skin from the neck down as seen from the chest; how broad its shoulders are beside the mean; how far
    (m) it stands from the canonical body, in whose frame all is here."""

    skin: Reach
    broad: float
    shift: np.ndarray

    @classmethod
    def of(cls, posed: PosedHead, broad: float) -> "_Body":
        outer = posed.head.faces[outer_faces(posed.head, ears=False)]
        _, y, z = posed.head.canonical.T
        low = outer[(y + 1.2 * np.maximum(z, 0))[outer].max(1) < _SKIN_TOP]  # not the chin
        used = np.unique(low)
        shift = (posed.world[used] - posed.head.canonical[used]).mean(0).astype(np.float64)
        return cls(Reach.of(posed.world - shift, low, _CHEST).grown(), broad, shift)

    def clear(self, points: Float[np.ndarray, "*n 3"], gap: float) -> Float[np.ndarray, "*n 3"]:
        """Points moved away from the chest until they stand `gap` (m) off the skin."""
        away = (points - _CHEST).reshape(-1, 3)
        r = np.linalg.norm(away, axis=1)
        least = self.skin.at(_CHEST + away)
        stretch = np.where(least > 0, np.maximum(1, (least + gap) / r), 1)
        return (_CHEST + away * stretch[:, None]).reshape(points.shape)

    def trunk(self, azimuth: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Dressed surface at an azimuth and a height (m)."""
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
    """One layer: `lift` (m) is how far it stands off what is under it, `shift` where its folds lie."""

    body: _Body
    cut: _Cut
    lift: float
    shift: np.ndarray
    slack: float

    def neckline(self, azimuth: np.ndarray) -> np.ndarray:
        """Height (m) of the edge."""
        cut, away = self.cut, np.abs((azimuth + np.pi) % (2 * np.pi) - np.pi) / (0.5 * np.pi)
        round_ = 1 - np.cos(0.5 * np.pi * np.minimum(away, 1))
        ahead = cut.front + (cut.side - cut.front) * (
            (1 - cut.point) * round_ + cut.point * np.minimum(away, 1) ** 0.8
        )
        behind = 0.5 - 0.5 * np.cos(np.pi * np.clip(away - 1, 0, 1))
        return ahead + (cut.back - cut.side) * behind

    def surface(self, azimuth: np.ndarray, drop: np.ndarray) -> np.ndarray:
        """Cloth `drop` (m) lower than the neckline, along columns at `azimuth`."""
        azimuth, drop = np.broadcast_arrays(azimuth, drop)
        points = self.body.trunk(azimuth, self.neckline(azimuth) - drop)
        away = points - _CHEST
        r = np.linalg.norm(away, axis=-1)
        least = self.body.skin.at(points.reshape(-1, 3)).reshape(r.shape)
        skin = np.where(least > 0, least + self.lift, -1.0)
        free = np.clip(drop / _HUG, 0, 1) ** 1.3
        free = free * free * (3 - 2 * free)
        near = np.where(least > 0, skin + self.cut.gap, r)
        grain = noise(points.reshape(-1, 3).astype(np.float32), (0.030, 0.055, 0.030), self.shift)
        crease, wave = grain[:, :2].T.reshape(2, *r.shape)
        fold = self.slack * np.clip(drop / 0.05, 0, 1) * (0.7 - np.abs(crease) + 0.5 * wave)
        out = np.maximum(np.maximum(r, skin + 0.003) * free + near * (1 - free) + fold, skin + 0.0015)
        return _CHEST + away * (out / r)[..., None]

    def sheet(self, color: np.ndarray, pattern: Pattern | None) -> WornMesh:
        azimuth = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)[None]
        drop = np.linspace(0, 1, _ROWS)[:, None] ** 1.6 * (0.60 + self.neckline(azimuth))
        points = self.surface(azimuth, drop)
        away = points[:1] - _CHEST
        away /= np.linalg.norm(away, axis=-1, keepdims=True)
        inner = points[:1] - (self.cut.gap + self.lift + 0.001) * away
        return _cloth(np.concatenate([inner, points]), color, pattern, closed=True)

    def band(self, color: np.ndarray, wide: float, kind: str = "knit") -> WornMesh:
        """A ribbed edge sewn to the neckline, `wide` (m)."""
        azimuth = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)[None]
        level = self.slope(azimuth)
        rise = np.array([-0.0012, 0.0006, 0.0016, 0.0016, 0.0014, 0.0002])[:, None]
        share = np.array([0.0, -0.02, 0.06, 0.5, 0.94, 1.02])[:, None]
        points = _lifted(self.surface(azimuth, np.maximum(share, 0) * wide * level), rise)
        along = np.linspace(0, 0.0052 * 90, _COLUMNS, endpoint=False)[None]
        place = np.dstack(np.broadcast_arrays(along, share * wide, 0 * along))
        return _cloth(points, color, None, True, kind, place)

    def slope(self, azimuth: np.ndarray) -> np.ndarray:
        """Fall per metre of cloth near the neckline."""
        two = self.surface(azimuth, np.array([[0.0], [0.012]]))
        return np.clip(0.012 / np.linalg.norm(two[1] - two[0], axis=-1), 0.25, 1)[None]

    def collar(
        self, open_: float, stand: tuple[float, float], leaf: tuple[float, float], bulge: tuple[float, float],
        color: np.ndarray, pattern: Pattern | None, kind: str = "cloth",
    ) -> WornMesh:  # fmt: skip
        """A strip that stands up from the neckline and falls over outside, from `open_` (radians) on one side
        of the front round to the other; its height, width and roundness (m) in front and behind."""
        azimuth = np.linspace(open_, 2 * np.pi - open_, 89)[None]
        back = 0.5 - 0.5 * np.cos(azimuth)
        high, wide, fat = (a + (b - a) * back for a, b in (stand, leaf, bulge))
        base = self.surface(azimuth, np.zeros((1, 1)))[0]
        hem = _lifted(self.surface(azimuth, wide * self.slope(azimuth)), np.full((1, 1), 0.0035))[0]
        up, out = np.array([0.0, 1, 0]), np.stack([np.sin(azimuth), 0 * azimuth, np.cos(azimuth)], -1)[0]
        high, fat = high.T, fat.T
        top = base + high * up
        rows = [base, base + 0.5 * high * up + 0.001 * out, top + 0.002 * out]
        rows.append(top + 0.10 * high * up + (0.002 + 0.35 * fat) * out)
        start, end = top + 0.05 * high * up + (0.004 + 0.7 * fat) * out, hem
        for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            rows.append(start + t * (end - start) + fat * np.sin(np.pi * t) * (out + 0.3 * up))
        points = self.body.clear(np.stack(rows), self.lift + 0.0015)
        thick = 0.0012 + 0.15 * fat
        points = np.concatenate([points, (points[-1] - thick * up - 0.5 * thick * out)[None]])
        return _cloth(points, color, pattern, kind=kind)

    def strip(self, x: tuple[float, float], color: np.ndarray, pattern: Pattern | None) -> WornMesh:
        """A placket down the front, between two places across (m)."""
        across = np.linspace(*x, 5)[None]
        points = self.surface(across / 0.10, 0.005 + np.linspace(0.0, 0.3, 30)[:, None] ** 1.2)
        points[..., 0] = across
        points[..., 2] += np.array([-0.0005, 0.0022, 0.0025, 0.0022, -0.0005])
        return _cloth(points, color, pattern)


def _lifted(points: np.ndarray, by: np.ndarray) -> np.ndarray:
    away = points - _CHEST
    return points + by[..., None] * away / np.linalg.norm(away, axis=-1, keepdims=True)


def _cloth(
    points: np.ndarray, color: np.ndarray, pattern: Pattern | None, closed: bool = False, kind: str = "cloth",
    place: np.ndarray | None = None,
) -> WornMesh:  # fmt: skip
    """A lattice as clothing; patterns run level, as cloth cut for a chest and a back lies."""
    n, m, _ = points.shape
    if place is None:
        place = points.copy()
        place[..., 1] -= 0.45 * np.abs(points[..., 2] + 0.045)
    across = np.roll(points, -1, 1) - np.roll(points, 1, 1) if closed else np.gradient(points, axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    made = worn_mesh(
        points.reshape(-1, 3), lattice_faces(n, m, closed), color, "clothing", kind, across.reshape(-1, 3),
        place.reshape(-1, 3),
    )  # fmt: skip
    return replace(made, pattern=pattern)


def dress(posed: PosedHead, headwear: str, rng: np.random.Generator) -> list[WornMesh]:
    """A garment on the shoulders of a posed head, such as goes with what is on the head.

    The first mesh has the colour of the sleeves.
    """
    kind = str(rng.choice(list(GARMENTS), p=list(GARMENTS.values())))
    colors = [_washed(rng) for _ in range(3)]
    pattern = draw_pattern(colors[1], rng)
    broad, slack, shift = rng.normal(1.0, 0.04), rng.uniform(0.0012, 0.0030), rng.uniform(0, 48, 3)
    body = _Body.of(posed, float(np.clip(broad, 0.9, 1.1)))
    kind = {"hood": "hoodie", "headscarf": "crew"}.get(headwear, kind)

    def layer(name: str, lift: float = 0.0) -> _Garment:
        return _Garment(body, _CUTS[name], lift, shift, slack)

    main, tone = layer(kind, 0.006 if kind == "jacket" else 0.0), rng.uniform(0.7, 1.0)
    out = [main.sheet(colors[0], pattern if kind != "hoodie" else None)]
    if kind in ("crew", "v_neck"):
        out.append(main.band(colors[0] * tone, rng.uniform(0.012, 0.020)))
    elif kind == "roll_neck":
        high = rng.uniform(0.028, 0.038)
        stand, wide, fat = (0.6 * high, high), (0.006, 0.006), (0.003, 0.003)
        out.append(main.collar(0.0, stand, wide, fat, colors[0], pattern, "knit"))
    elif kind == "shirt":
        out.append(main.collar(0.10, (0.010, 0.030), (0.058, 0.040), (0.002, 0.003), colors[0], pattern))
        out.append(main.strip((-0.016, 0.016), colors[0], pattern))
    elif kind == "jacket":
        inner = layer("crew")
        out.append(inner.sheet(colors[2], None))
        out.append(inner.band(colors[2], 0.014))
        out.append(main.collar(0.02, (0.001, 0.024), (0.048, 0.036), (0.003, 0.004), colors[0], pattern))
    elif headwear == "hood":
        out.append(main.band(colors[0], 0.02))
    else:
        out.append(main.collar(0.16, (0.012, 0.028), (0.040, 0.085), (0.006, 0.022), colors[0], None))
        out += _strings(main, colors[0], rng)
    return [replace(w, vertices=w.vertices + body.shift.astype(np.float32)) for w in out]


def _strings(hoodie: _Garment, color: np.ndarray, rng: np.random.Generator) -> list[WornMesh]:
    """Two cords that hang from the hood's ends."""
    pale = 0.4 * color + 0.4
    out = []
    for side in (-1, 1):
        long = rng.uniform(0.09, 0.16)
        line = hoodie.surface(np.array([[side * 0.30]]), np.linspace(0.012, long, 12)[:, None])[:, 0]
        line = _lifted(line, np.full(12, 0.0035))
        points, faces = tube(line, 0.0019, closed=False)
        out.append(worn_mesh(points, faces, pale, "clothing", "cloth", place=points))
    return out


def _washed(rng: np.random.Generator) -> np.ndarray:
    color = hex_to_linear(str(rng.choice(_COLORS))) * np.exp(rng.normal(0, 0.15, 3))
    return np.clip(color + rng.uniform(0.1, 0.5) * (color.mean() - color), 0.01, 0.8)


def clip_triangles(
    faces: Int[np.ndarray, "f 3"], height: Float[np.ndarray, " v"]
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """The part of triangles where `height` is negative, cut along its zero line.

    Returns faces into k new vertices; new vertex i is `share[i]` of the way from old vertex
    `edges[i, 0]` to `edges[i, 1]`, and stands on the zero line exactly where the share is positive.
    """
    below = height[faces] < 0
    count = below.sum(1)
    # turn each triangle so that its odd corner (one below or one above) comes first
    odd = np.where(count == 1, below.argmax(1), np.where(count == 2, (~below).argmax(1), 0))
    turned = np.take_along_axis(faces, (odd[:, None] + np.arange(3)) % 3, 1)
    a, b, c = turned.T

    def corner(i: np.ndarray) -> np.ndarray:
        return np.stack([i, i], -1)

    def cut(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.sort(np.stack([i, j], -1), -1)

    whole, one, two = (count == k for k in (3, 1, 2))
    triangles = [
        np.stack([corner(a), corner(b), corner(c)], 1)[whole],
        np.stack([corner(a), cut(a, b), cut(a, c)], 1)[one],
        np.stack([cut(a, b), corner(b), corner(c)], 1)[two],
        np.stack([cut(a, b), corner(c), cut(a, c)], 1)[two],
    ]
    keys, index = np.unique(np.concatenate(triangles) @ [len(height), 1], return_inverse=True)
    edges = np.stack(np.divmod(keys, len(height)), -1)
    low, high = height[edges[:, 0]], height[edges[:, 1]]
    share = np.where(edges[:, 0] == edges[:, 1], 0.0, low / np.where(low == high, 1.0, low - high))
    return index.reshape(-1, 3).astype(np.int32), edges, share


def boundary_edges(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    """Directed edges that only one triangle has."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys = np.sort(edges, 1) @ [edges.max() + 1, 1]
    _, index, count = np.unique(keys, return_index=True, return_counts=True)
    return edges[index[count == 1]]
