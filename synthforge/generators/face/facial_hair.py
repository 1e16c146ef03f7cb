"""Hair of the face as strands: brows, lashes, stubble and beards.

Lengths are metres. Ribbons are as wide as the camera can resolve, and as many as cover what the finer real
hairs would cover; so a small face has few.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from synthforge.generators.face.regions import FaceRegions, brow_place
from synthforge.generators.face.skin import brow_color, brow_weight
from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.person import Person
from synthforge.generators.geometry.radial import RadialDepth
from synthforge.generators.hair.color import face_hair_color
from synthforge.generators.hair.strands import Grower, smooth_noise
from synthforge.generators.shading.numeric import unit

# Length (m) of the longest hairs, and the area of all hairs per area of skin.
_BEARDS = {"stubble": (0.0020, 0.32), "moustache": (0.011, 1.7), "goatee": (0.016, 1.7), "full": (0.020, 1.7)}
_PIXELS_WIDE = 0.55  # width of a ribbon, where that is wider than a hair
# Length (m), number. Source: lengths and numbers of lashes in anatomy textbooks:
# 90-150 of 8-12 mm on the upper lid, 70-80 of 6-8 mm on the lower one, each about 0.08 mm thick.
_LASHES = {"upper": (0.0075, 100), "lower": (0.0042, 50)}
_LASH_WIDTH = 0.00008


def grow_face_hair(person: Person, covers: Sequence[RadialDepth] = ()) -> list[Accessory]:
    """Brows, beard or stubble, and lashes.

    Args:
        covers: what is worn over them (hat, mask), head frame; hair stays under it.
    """
    grower = _Face(person, person.rng("face hair"), covers)
    kind = person.appearance.facial_hair
    beards = [] if kind == "none" else [grower.beard(kind)]  # the first to draw from the stream
    return [*grower.brows(), *beards, grower.lashes()]


def _band(x: np.ndarray, low: np.ndarray | float, high: np.ndarray | float, soft: float) -> np.ndarray:
    return np.clip((x - low) / soft + 0.5, 0, 1) * np.clip((high - x) / soft + 0.5, 0, 1)


def beard_density(canonical: Float[np.ndarray, "n 3"], kind: str) -> Float[np.ndarray, " n"]:
    """Relative density of facial hair at canonical places (m), 0 to 1.

    `kind` is moustache, goatee, full or stubble (as full). It grows from the base of the nose to the
    vermilion and from the sideburns to the jaw, down to 15 mm above the larynx.
    """
    x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    moustache = (
        _band(y, -0.0345 - 0.2 * x, -0.0235 - 0.25 * x, 0.009) * _band(x, 0.002, 0.027, 0.014) * (z > 0.07)
    )
    if kind == "moustache":
        return moustache
    round_chin = np.hypot(x / 0.026, np.minimum(y + 0.072, 0) / 0.034)
    chin = np.clip((1.0 - round_chin) / 0.55 + 0.5, 0, 1) * _band(y, -0.115, -0.060, 0.010) * (z > 0.05)
    bow = 0.030 - 6.0 * (y + 0.055) ** 2  # the strip beside the mouth bends in above and below
    frame = _band(x, bow - 0.004, bow + 0.003, 0.010) * _band(y, -0.080, -0.034, 0.014) * (z > 0.06)
    if kind == "goatee":
        return np.maximum(np.maximum(moustache, chin), frame)
    cheek_line = np.interp(x, [0.0, 0.030, 0.045, 0.060, 0.072], [-0.050, -0.042, -0.036, -0.016, 0.010])
    cheek = np.clip((cheek_line - y) / 0.028 + 0.5, 0, 1) * np.clip((y + 0.112) / 0.02, 0, 1) * (z > 0.0)
    sideways = np.clip((x - 0.024) / 0.008, 0, 1)
    return np.maximum.reduce([moustache, chin, frame, cheek * np.maximum(sideways, y < -0.058)])


class _Face(Grower):
    """Hair of one face; its ribbons are no thinner than the camera can resolve."""

    def __init__(self, person: Person, rng: np.random.Generator, covers: Sequence[RadialDepth]):
        super().__init__(person, rng, covers)
        self.regions, self.look = person.head.derived(FaceRegions.of), person.appearance
        self.color = face_hair_color(person)
        distance = np.linalg.norm(self.camera_at - self.to_world(np.array([0.0, -0.05, 0.08])))
        self.pixel = float(distance / person.params.camera.intrinsics[0, 0])  # m at the face

    def _width(self, hair: float, most: float) -> float:
        return float(np.clip(_PIXELS_WIDE * self.pixel, hair, most))

    def _thinned(self, color: np.ndarray, gaps: float) -> np.ndarray:
        """Colour of a ribbon that stands for finer hairs with a share `gaps` of skin between them."""
        return color + gaps * (self.person.skin_color - color)

    def _grown(
        self, q: np.ndarray, direction: np.ndarray, length: np.ndarray, bend: np.ndarray
    ) -> np.ndarray:
        """Paths n 5 3 (head frame) that start at `q` and turn by `bend` at each step."""
        path = [q]
        for _ in range(4):
            q = q + (length / 4)[:, None] * direction
            path.append(q)
            direction = unit(direction + bend)
        return np.stack(path, 1)

    def brows(self) -> list[Accessory]:
        """Hairs that rise at the brow's head, sweep outwards along it and lie flat at its tail."""
        rng, thickness = self.rng, self.look.brow_thickness
        x, lower, upper = self.regions.brow
        place = self.head.canonical.astype(np.float64)
        near = np.zeros(len(place))
        around = (place[:, 2] > 0.03) & (np.abs(place[:, 0]) < x[-1] + 0.005)
        around &= (place[:, 1] > lower.min() - 0.01) & (place[:, 1] < upper.max() + 0.01)
        along, across = brow_place(self.regions, place[around])
        near[around] = (np.abs(across - 0.5) < 1.0) & (np.abs(along - 0.5) < 0.6)
        width = self._width(0.00010, 0.0008)
        share = 1.5 * (0.35 + 0.65 * self.look.brow_density)
        at, normal, canonical = self.roots(near, share / (width * 0.0055), per_area=True)
        along, across = brow_place(self.regions, canonical)
        kept = rng.random(len(at)) < brow_weight(along, across, thickness)
        at, normal, canonical, along, across = (a[kept] for a in (at, normal, canonical, along, across))
        n, normal, sign = len(at), normal @ self.turn, np.sign(canonical[:, 0])
        rise = np.interp(along, [0, 0.12, 0.3, 0.6, 1.0], [1.3, 0.75, 0.32, 0.0, -0.5])
        tangle = 0.16 * smooth_noise(self.to_head(at) / 0.004, rng)[:, 0] + rng.normal(0, 0.20, n)
        rise = rise - 0.9 * (across - 0.35) * (along > 0.1) + tangle
        flow = np.stack([sign * np.cos(rise), np.sin(rise), np.zeros(n)], -1)
        flow = unit(flow - (flow * normal).sum(1, keepdims=True) * normal)
        length = rng.uniform(0.0035, 0.0090, n) * np.interp(along, [0, 0.2, 0.7, 1], [0.65, 1, 1, 0.6])
        # shorter where hairs would leave the region of their class
        room = (1.07 - across) * np.interp(np.abs(canonical[:, 0]), x, upper - lower)
        length = np.minimum(length, np.maximum(room, 0.0002) / np.maximum(np.sin(rise), 0.05))
        bend = np.stack([0.12 * sign, np.full(n, -0.06), np.zeros(n)], -1) - 0.10 * normal
        paths, shown = self.pressed(
            self.to_world(self._grown(self.to_head(at), unit(flow + 0.18 * normal), length, bend))
        )
        color, sign = self._thinned(brow_color(self.person), 0.15), sign[shown]
        sides = (("left_brow", paths[sign > 0]), ("right_brow", paths[sign <= 0]))
        return [self.ribbons(p, np.full(len(p), width), color, name) for name, p in sides]

    def lashes(self) -> Accessory:
        """Upper and lower lashes of both eyes, on the posed margins of the lids."""
        look, paths = self.look, []
        makeup = look.makeup * (look.sex != "male")
        width = self._width(1.5 * _LASH_WIDTH, 0.0006)
        full = 0.75 + 0.25 * (look.sex != "male") + 0.3 * makeup
        for lid, (line, at) in enumerate(zip(self.regions.lids, self.regions.lid_skin, strict=True)):
            near = self.head.canonical[at]
            weight = 1 / np.maximum(np.linalg.norm(near - line[:, None], axis=2, keepdims=True), 1e-4)
            moved = self.person.to_head(self.vertices[at]) - near
            margin = line + (moved * weight / weight.sum(1, keepdims=True)).sum(1)
            upper = lid % 2 == 0
            length, number = _LASHES["upper" if upper else "lower"]
            n = int(np.clip(number * _LASH_WIDTH / width * (1.2 + makeup), 6, 160))
            paths.append(self._lash_paths(margin, n, length * full, upper))
        lines = self.person.to_world(np.concatenate(paths))
        color = np.clip(0.3 * self.color, 0.004, 0.05) * (1 - 0.8 * makeup)
        color = self._thinned(color, 0.4 * (1 - makeup) * (1 - 1.5 * _LASH_WIDTH / width))
        return self.ribbons(lines, np.full(len(lines), width), color, "skin", labelled=False)

    def _lash_paths(self, margin: np.ndarray, n: int, length: float, upper: bool) -> np.ndarray:
        """Strands of one lid, fanned out from the eye's middle and curled away from the opening."""
        rng = self.rng
        t = np.sort(rng.uniform(0.12 if upper else 0.3, 1.0, n))
        root = CubicSpline(np.linspace(0, 1, len(margin)), margin)(t)
        middle = 0.5 * (margin[0] + margin[-1]) - [0, 0, 0.012]
        along = unit(margin[-1:] - margin[:1])
        outward = along * (t - 0.45)[:, None]
        tuft = 0.12 * np.sin(t * rng.uniform(50, 70) + rng.uniform(0, 6))[:, None] * along
        direction = unit(unit(root - middle) + 0.7 * outward + tuft + 0.06 * rng.standard_normal((n, 3)))
        size = length * np.interp(t, [0, 0.3, 0.75, 1], [0.45, 0.85, 1.0, 0.75]) * rng.uniform(0.7, 1.1, n)
        bend = np.tile([0.0, 0.24 if upper else -0.16, 0.0], (n, 1))
        return self._grown(root, direction, size, bend)

    def beard(self, kind: str) -> Accessory:
        """Stubble, moustache, goatee or full beard."""
        rng = self.rng
        longest, share = _BEARDS[kind]
        if kind == "full":
            longest = float(np.exp(rng.uniform(np.log(0.007), np.log(0.032))))
        density = beard_density(self.head.canonical.astype(np.float64), kind)
        hair = 0.00012 if kind == "stubble" else 0.00022
        width = self._width(hair, 0.0008 if kind == "stubble" else 0.0007)
        per_area = share / (width * 0.6 * longest)
        at, normal, canonical = self.roots(density, per_area, per_area=True, most=12000)
        n, normal = len(at), normal @ self.turn
        x, y = canonical[:, 0], canonical[:, 1]
        sideways = np.where(y > -0.045, 1.1 * np.tanh(x / 0.01), 0.25 * np.tanh(x / 0.02))
        flow = np.stack([sideways, -np.ones(n), np.where(y < -0.08, 0.5, 0.1)], -1)
        flow -= (flow * normal).sum(1, keepdims=True) * normal
        q = self.to_head(at)
        stray = 0.25 * smooth_noise(q / 0.008, rng) + 0.2 * rng.standard_normal((n, 3))
        direction = unit(0.45 * normal + unit(flow) + stray)
        length = longest * rng.uniform(0.4, 1.0, n) * np.where(y > -0.045, min(1.0, 0.010 / longest), 1.0)
        length *= 0.35 + 0.65 * beard_density(canonical, kind)  # short at the borders
        paths, _ = self.pressed(self.to_world(self._grown(q, direction, length, np.array([[0, -0.25, 0]]))))
        name, seen = ("skin", False) if kind == "stubble" else ("facial_hair", True)
        color = self.color * 0.9
        if not seen:  # they stand among roots that are painted on the skin
            color = self._thinned(color, 0.25 + 0.60 * (1 - hair / width)) * 0.62
        even = 1 - 0.6 * min(1.0, float(np.mean(color)) / 0.3)  # pale hairs shine through each other
        width = np.full(len(paths), width)
        return self.ribbons(paths, width, color, name, labelled=seen, contrast=even)
