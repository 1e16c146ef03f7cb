"""Strand hair and beards: roots on the canonical scalp, ribbons grown in the head's frame.

Borders and directions follow published hairline and beard maps as collected in docs/heads.md;
lengths are metres, angles radians. Every style is one row of `STYLES`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from synthforge.conventions import CLASS_ID
from synthforge.generators.clothes import clip_triangles
from synthforge.generators.color import hex_to_linear
from synthforge.generators.drape import CENTRE, PosedHead, Reach, outer_faces
from synthforge.generators.worn import WornMesh
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import vertex_normals
from synthforge.rng import sample_rng
from synthforge.types import SceneParams

# sRGB middles of natural hair; dyed hair draws its hue.
COLORS = {
    "black": "17120f", "dark_brown": "2c1d15", "brown": "4f3422", "blond": "a5835a", "red": "7a3a1d",
    "grey": "8b8782", "white": "c6c2ba",
}  # fmt: skip
# Azimuth (degrees from the front) against height of the scalp border (m), subject's either side.
_BORDER = np.array(
    [[0, 0.091], [18, 0.091], [36, 0.088], [44, 0.072], [50, 0.056], [62, 0.034], [70, -0.012], [74, -0.012],
     [80, 0.030], [97, 0.030], [103, -0.002], [112, -0.038], [134, -0.068], [160, -0.064], [180, -0.060]]
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """`top` and `sides` are strand lengths; `lift` the share of the normal in a strand's first
    direction; `weight` how fast it bends down; `comb` how hard it follows the combing direction;
    `curl` radius and `turns` per metre of its coils; `back` combs the front backwards;
    `volume` bounds how far strands stand off the head (m), for all but coiled hair; `fringe` lets the
    front fall over the forehead; `tail` gathers all strands behind the head; `recess` moves the
    front border back; `cut` is the height (m, head frame) at which hanging hair ends."""

    top: float
    sides: float
    lift: float = 0.35
    weight: float = 0.15
    comb: float = 0.5
    curl: float = 0.0
    turns: float = 0.0
    back: float = 0.0
    volume: float = 0.018
    fringe: bool = False
    tail: bool = False
    recess: float = 0.0
    cut: float = -9.0


STYLES = {
    "buzz": Style(0.006, 0.004, lift=0.9, comb=0.1, weight=0.0),
    "short": Style(0.040, 0.012, lift=0.5, comb=0.45, weight=0.06, back=0.2, volume=0.024),
    "side_part": Style(0.075, 0.016, lift=0.3, comb=1.0, weight=0.08, back=0.3, volume=0.022),
    "receding": Style(0.022, 0.012, lift=0.35, comb=0.5, weight=0.1, back=0.3, recess=0.013, volume=0.012),
    "curly": Style(0.085, 0.040, lift=0.7, comb=0.15, weight=0.14, curl=0.0055, turns=55, back=0.2),
    "afro": Style(0.060, 0.048, lift=1.0, comb=0.0, weight=0.0, curl=0.004, turns=95),
    "bob": Style(0.235, 0.165, lift=0.15, comb=0.8, weight=0.35, back=0.35, volume=0.015, cut=-0.105),
    "long": Style(0.420, 0.360, lift=0.12, comb=0.8, weight=0.35, back=0.4, volume=0.012),
    "wavy": Style(
        0.380, 0.320, lift=0.25, comb=0.6, weight=0.35, curl=0.0065, turns=12, back=0.4, volume=0.024
    ),
    "fringe": Style(0.360, 0.300, lift=0.12, comb=0.8, weight=0.35, back=0.2, volume=0.012, fringe=True),
    "ponytail": Style(0.300, 0.260, lift=0.05, comb=1.0, weight=0.2, back=1.0, tail=True, volume=0.008),
}


def grow_hair(
    head: HeadModel,
    params: SceneParams,
    vertices: Float[np.ndarray, "v 3"],
    covers: Sequence[Reach] = (),
) -> list[WornMesh]:
    """Scalp hair and beard of one sample, world frame; nothing for the bald and shaven.

    Args:
        vertices: posed head, metres, world frame.
        covers: what is worn over it (hat, mask); hair stays under them. A headscarf hides all of the
            scalp's, a hood takes in what is long.
    """
    rng = sample_rng(params.seed, params.index, "hair")
    grower = _Grower(head, params, vertices, rng, covers)
    worn = []
    style = STYLES.get(str(params.attributes.get("hair_style", "short")))
    headwear = str(params.attributes.get("headwear", "none"))
    if style is not None and headwear == "hood":
        style = replace(style, top=min(style.top, 0.05), sides=min(style.sides, 0.03), tail=False)
    if style is not None and headwear != "headscarf":
        worn += grower.scalp(style)
    beard = str(params.attributes.get("facial_hair", "none"))
    if beard in _BEARDS:
        worn.append(grower.beard(beard))
    return worn


def hair_color(params: SceneParams) -> Float[np.ndarray, " 3"]:
    """Linear RGB of the hair; brows and stubble share it."""
    rng = sample_rng(params.seed, params.index, "hair color")
    name = str(params.attributes.get("hair_color", "dark_brown"))
    if name == "dyed":
        hue, depth = rng.random(), rng.uniform(0.15, 0.5)
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * (hue - np.array([0, 1, 2]) / 3))
        return (depth * (0.15 + 0.85 * wave)).astype(np.float32)
    return (hex_to_linear(COLORS[name]) * rng.uniform(0.75, 1.3)).astype(np.float32)


def scalp_height(canonical: Float[np.ndarray, "n 3"], recess: float = 0.0) -> Float[np.ndarray, " n"]:
    """Metres above the scalp border (negative: bare skin), from canonical places."""
    x, y, z = (canonical - CENTRE).T
    azimuth = np.degrees(np.arctan2(np.abs(x), z))
    border = np.interp(azimuth, *_BORDER.T)
    # A receding border climbs and moves back over the forehead, most at the corners.
    front = np.interp(azimuth, [0, 25, 40, 60], [0.6, 1.5, 1.6, 0.0])
    return canonical[:, 1] - border - recess * front - 2.0 * recess * front * np.clip(z / 0.08, 0, 1)


def style_height(canonical: Float[np.ndarray, "n 3"], style: Style) -> Float[np.ndarray, " n"]:
    """Metres above the border of a style: cropped hair is shaved at the nape, behind the ears."""
    height = scalp_height(canonical, style.recess)
    nape = np.clip((-0.045 - canonical[:, 2]) / 0.03, 0, 1) * (0.0 if style.top > 0.1 else 0.024)
    return height - nape


# Where beards grow: weights over the canonical face, product of soft bands (m).
_BEARDS = {"moustache": 0.010, "goatee": 0.016, "full": 0.020}
_BEARD_HAIRS = {"moustache": 1500, "goatee": 4500, "full": 9000}


def _band(x: np.ndarray, low: np.ndarray | float, high: np.ndarray | float, soft: float) -> np.ndarray:
    return np.clip((x - low) / soft + 0.5, 0, 1) * np.clip((high - x) / soft + 0.5, 0, 1)


def beard_density(canonical: Float[np.ndarray, "n 3"], kind: str) -> Float[np.ndarray, " n"]:
    """Relative density of facial hair at canonical places, 0 to 1.

    `kind` is moustache, goatee or full. Borders: nose base to vermilion, sideburn to jaw, a neck
    limit 15 mm above the larynx.
    """
    x, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    moustache = (
        _band(y, -0.0345 - 0.2 * x, -0.0235 - 0.25 * x, 0.007) * _band(x, 0.002, 0.027, 0.010) * (z > 0.07)
    )
    chin = _band(y, -0.105, -0.060, 0.008) * _band(x, -1, 0.026, 0.010) * (z > 0.05)
    frame = _band(x, 0.027, 0.033, 0.006) * _band(y, -0.075, -0.032, 0.008) * (z > 0.06)
    if kind == "moustache":
        return moustache
    if kind == "goatee":
        return np.maximum(np.maximum(moustache, chin), frame)
    cheek_line = np.interp(x, [0.0, 0.030, 0.045, 0.060, 0.072], [-0.050, -0.040, -0.034, -0.014, 0.010])
    cheek = np.clip((cheek_line - y) / 0.012 + 0.5, 0, 1) * np.clip((y + 0.112) / 0.02, 0, 1) * (z > 0.0)
    sideways = np.clip((x - 0.024) / 0.008, 0, 1)
    return np.maximum.reduce([moustache, chin, frame, cheek * np.maximum(sideways, y < -0.058)])


class _Grower:
    """Geometry shared by scalp and beard of one sample."""

    def __init__(
        self,
        head: HeadModel,
        params: SceneParams,
        vertices: np.ndarray,
        rng: np.random.Generator,
        covers: Sequence[Reach],
    ):
        self.head, self.rng = head, rng
        self.vertices = vertices.astype(np.float64)
        self.normals = vertex_normals(vertices, head.faces).astype(np.float64)
        self.posed = PosedHead(head, params, vertices)
        self.turn = self.posed.turn
        self.covers = covers
        self.color = hair_color(params)
        self.camera_at = params.camera.cam2world[:3, 3].astype(np.float64)
        self.skin_faces = outer_faces(head, ears=False)
        skin = np.unique(head.faces[outer_faces(head, ears=True)])
        # Two maps: seen from the braincase, the shoulders would hide the neck.
        self.head_radius = self._radius_map(skin[head.canonical[skin, 1] > -0.105])
        self.body_radius = self._radius_map(skin)

    def to_head(self, points: np.ndarray) -> np.ndarray:
        """World points before the head turned, relative to the middle of the braincase."""
        return self.posed.to_head(points) - CENTRE

    def to_world(self, points: np.ndarray) -> np.ndarray:
        return self.posed.to_world(points + CENTRE)

    def _radius_map(self, vertices: np.ndarray) -> np.ndarray:
        """Outermost of the vertices around the braincase's middle over (elevation, azimuth), m."""
        points = self.to_head(self.vertices[vertices])
        rows, cols = _map_cell(points)
        radius = np.zeros((_ROWS, _COLS))
        np.maximum.at(radius, (rows.astype(int), cols.astype(int) % _COLS), np.linalg.norm(points, axis=1))
        tiled = np.concatenate([radius] * 3, 1)
        nearest = ndimage.distance_transform_edt(tiled == 0, return_distances=False, return_indices=True)
        filled = ndimage.gaussian_filter(tiled[tuple(nearest)], 1.0, mode="nearest")
        return filled[:, _COLS : 2 * _COLS]

    def roots(self, density: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`count` points on the skin by per-vertex density: world position, normal, canonical place."""
        faces = self.head.faces[self.skin_faces]
        a, b, c = (self.vertices[faces[:, i]] for i in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        weight = np.cumsum(area * density[faces].mean(1))
        if weight[-1] <= 0:
            return (np.zeros((0, 3)),) * 3
        at = np.searchsorted(weight, self.rng.random(count) * weight[-1])
        u, v = self.rng.random((2, count))
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        bary = np.stack([1 - u - v, u, v], -1)[..., None]
        corners = faces[at]

        def mix(values: np.ndarray) -> np.ndarray:
            return (values[corners] * bary).sum(1)

        return mix(self.vertices), _unit(mix(self.normals)), mix(self.head.canonical.astype(float))

    def scalp(self, style: Style) -> list[WornMesh]:
        """Cap under the hair, and the strands."""
        long = style.top > 0.1
        height = style_height(self.head.canonical.astype(np.float64), style)
        density = np.clip(height / 0.008 + 0.25, 0, 1)
        at, normal, canonical = self.roots(density, 5500 if style.curl else 6500 if long else 9000)
        if not len(at):
            return []
        above = np.maximum(style_height(canonical, style), 0)
        side = np.clip((0.085 - canonical[:, 1]) / 0.05, 0, 1) * (canonical[:, 2] < 0.06)
        length = style.top + (style.sides - style.top) * side
        if not style.tail:  # hair is shorter at its border; cropped hair fades towards the nape
            length *= np.clip(0.3 + above / (0.02 if long else 0.05), 0.3, 1)
        length = np.minimum(length, canonical[:, 1] + 0.02 - style.cut) * self.rng.uniform(
            0.75, 1.08, len(at)
        )
        if style.fringe:
            length = np.where(self._in_fringe(canonical), self.rng.uniform(0.045, 0.062, len(at)), length)
        n_segments = (13 if long else 5) + (9 if style.curl else 0)
        paths = self._paths(style, at, normal, canonical, length, n_segments)
        width = 0.0021 if long else min(0.0013, 0.14 * style.top)
        width = width * np.clip(0.3 + above / 0.018, 0.3, 1)  # fine hair along the border
        paths, shown = self._pressed(paths)
        strands = self._ribbons(paths, width[shown], self.color, CLASS_ID["hair"])
        return [self._cap(style, height), strands]

    def _cap(self, style: Style, height: np.ndarray) -> WornMesh:
        """Scalp lifted a little, cut along the hairline: no skin shines through between strands."""
        ragged = 0.002 + 0.0022 * _smooth_noise(self.head.canonical / 0.0035, self.rng)[:, 0]
        faces = self.head.faces[self.skin_faces]
        faces = faces[(height[faces] > 0).any(1)]
        faces, edges, share = clip_triangles(faces, ragged - height)

        def mix(values: np.ndarray) -> np.ndarray:
            return values[edges[:, 0]] * (1 - share[:, None]) + values[edges[:, 1]] * share[:, None]

        normal = _unit(mix(self.normals))
        lift = min(0.0015, 0.3 * style.sides) * np.clip(mix(height[:, None]) / 0.02, 0.1, 1)
        tangent = _unit(np.cross(normal, [1.0, 0.2, 0.1]))
        albedo = np.repeat(self.color[None] * 0.55, len(edges), 0)
        return _worn(mix(self.vertices) + lift * normal, faces, CLASS_ID["hair"], albedo, tangent)

    def _paths(
        self,
        style: Style,
        at: np.ndarray,
        normal: np.ndarray,
        canonical: np.ndarray,
        length: np.ndarray,
        n_segments: int,
    ) -> np.ndarray:
        """Strand points, world frame: n segments+1 3."""
        rng, n = self.rng, len(at)
        q = self.to_head(at)
        normal = normal @ self.turn
        down = np.array([0.0, -1.0, 0.0]) @ self.turn
        comb = self._combing(style, canonical, normal)
        # Neighbours move together: clumps share a direction, single hairs stray a little.
        clump = _smooth_noise(q / 0.018, rng)
        direction = _unit(style.lift * normal + comb + 0.22 * clump + 0.10 * rng.standard_normal((n, 3)))
        offset = rng.uniform(0.001, 0.010, n) * min(1.0, style.top / 0.06)
        bound = style.volume * rng.uniform(0.3, 1.0, n)
        if style.curl and style.top < 0.1:
            bound[:] = np.inf
        beside = np.ones(n, bool) if not style.fringe else ~self._in_fringe(canonical)
        share = np.linspace(0.5, 1.5, n_segments) / n_segments  # short steps where the head is round
        path = [q]
        for s in range(1, n_segments + 1):
            pull = style.weight * (0.4 + s / n_segments)
            low = min(1.0, 0.1 + 2 * s / n_segments)  # no loops above the roots
            direction = _unit(direction + pull * down + 0.06 * comb * (not style.tail))
            if style.tail:
                direction = self._to_tail(q, direction)
            q = q + (length * share[s - 1])[:, None] * direction
            q = self._keep_outside(q, offset * min(1.0, 3 * s / n_segments), low * bound, beside, style)
            direction = _unit(0.35 * direction + 0.65 * _unit(q - path[-1]))
            path.append(q)
        paths = np.stack(path, 1)
        paths[:, 1:-1] = 0.5 * paths[:, 1:-1] + 0.25 * (paths[:, :-2] + paths[:, 2:])  # no corners
        if style.curl:
            paths = paths + self._coils(style, paths, length, rng)
        return self.to_world(paths)

    def _pressed(self, paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World paths pressed under what covers the head; which of them come out from it."""
        hidden = np.zeros(paths.shape[:2], bool)
        if not self.covers:
            return paths, ~hidden.all(1)
        points = self.posed.to_head(paths.reshape(-1, 3))
        for cover in self.covers:
            roof = cover.at(points)
            away = points - cover.middle
            r = np.maximum(np.linalg.norm(away, axis=1), 1e-6)
            share = np.where(roof > 0, np.minimum(1, (roof - _UNDER) / r), 1)
            points = cover.middle + away * share[:, None]
            hidden |= (roof > 0).reshape(hidden.shape)
        points = points.reshape(paths.shape)
        # the first point outside stays near the last one under: no strand breaks through the rim
        at = np.nonzero(hidden[:, :-1] & ~hidden[:, 1:])
        inner, outer = (np.linalg.norm((points[at[0], at[1] + k] - CENTRE)[:, ::2], axis=1) for k in (0, 1))
        share = np.minimum(1, (inner + 0.003) / np.maximum(outer, 1e-6))[:, None]
        points[at[0], at[1] + 1, ::2] = CENTRE[::2] + share * (points[at[0], at[1] + 1, ::2] - CENTRE[::2])
        shown = ~hidden.all(1)
        return self.posed.to_world(points[shown]), shown

    def _combing(self, style: Style, canonical: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Direction along the scalp: from the parting to the sides, forward or back, down below."""
        if style.tail:
            return _unit(_BAND - (canonical - CENTRE))
        part = self.rng.choice([-1, 1]) * (0.030 if style.comb > 0.8 else self.rng.uniform(0, 0.02))
        away = np.tanh((canonical[:, 0] - part) / 0.012)
        forward = 0.75 - 1.7 * style.back if not style.fringe else 0.9
        top = np.clip((canonical[:, 1] - 0.06) / 0.05, 0, 1)
        front = np.clip((canonical[:, 2] - 0.01) / 0.06, 0, 1)
        sideways = 0.25 if style.fringe else 1.0
        flow = np.stack(
            [
                away * (0.35 + 0.65 * top) * sideways,
                -1.2 * (1 - top),
                forward * top - 0.45 * (1 - top) * (1 - front),
            ],
            -1,
        )
        flow -= (flow * normal).sum(1, keepdims=True) * normal
        return max(style.comb, 0.05) * _unit(flow)

    def _to_tail(self, q: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Towards the band behind the head; past it, down."""
        to = _BAND - q
        far = np.linalg.norm(to, axis=1, keepdims=True)
        passed = q[:, 2:] < _BAND[2] + 0.012
        return np.where(
            passed & (far < 0.2), _unit(0.5 * direction + [0, -0.5, -0.1]), _unit(direction + 1.6 * to / far)
        )

    def _in_fringe(self, canonical: np.ndarray) -> np.ndarray:
        x, y, z = canonical.T
        return (z > 0.03) & (np.abs(x) < 0.045) & (y > 0.075)

    def _keep_outside(
        self, q: np.ndarray, offset: np.ndarray, bound: np.ndarray, beside: np.ndarray, style: Style
    ) -> np.ndarray:
        """Out of the head, not far off it above the ears, and where `beside` not over the face."""
        azimuth = np.arctan2(q[:, 0], q[:, 2])
        height = q[:, 1] + CENTRE[1]
        least = np.radians(np.interp(height, [-0.12, -0.05, 0.02, 0.06, 0.10], [38, 62, 66, 56, 0]))
        flat = np.hypot(q[:, 0], q[:, 2])
        over_face = beside & (np.abs(azimuth) < least) & (flat > 0.03)
        turned = np.where(over_face, np.where(azimuth < 0, -least, least), azimuth)
        q = np.stack([flat * np.sin(turned), q[:, 1], flat * np.cos(turned)], -1)
        rows, cols = _map_cell(q)
        cell = np.stack([rows - 0.5, cols - 0.5])
        maps = (np.pad(m, ((0, 0), (0, 1)), mode="wrap") for m in (self.head_radius, self.body_radius))
        of_head, of_body = (ndimage.map_coordinates(m, cell, order=1, mode="nearest") for m in maps)
        least = np.where(height > -0.10, of_head, of_body) + offset
        r = np.linalg.norm(q, axis=1)
        most = least + bound + np.maximum(0.0, 0.01 - height) * 2.0
        if style.tail:
            most = np.where(q[:, 2] < -0.09, np.inf, most)
        return q * (np.clip(r, least, np.maximum(most, least)) / np.maximum(r, 1e-6))[:, None]

    def _coils(
        self, style: Style, paths: np.ndarray, length: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Helix around each path, growing from the root."""
        n, m, _ = paths.shape
        along = np.linspace(0, 1, m)[None] * length[:, None]
        lock = 0.25 * _smooth_noise(paths[:, 0] / 0.02, rng)[:, :1]  # neighbours wave together
        phase = (
            2
            * np.pi
            * (along * style.turns * rng.uniform(0.98, 1.02, (n, 1)) + lock + 0.08 * rng.random((n, 1)))
        )
        tangent = _unit(np.gradient(paths, axis=1))
        side = _unit(np.cross(tangent, [0.3, 0.2, 0.93]))
        other = np.cross(tangent, side)
        radius = style.curl * rng.uniform(0.5, 1.3, (n, 1)) * np.clip(along * style.turns / 1.5, 0, 1)
        return radius[..., None] * (np.cos(phase)[..., None] * side + np.sin(phase)[..., None] * other)

    def beard(self, kind: str) -> WornMesh:
        """Moustache, goatee or full beard."""
        canonical = self.head.canonical.astype(np.float64)
        at, normal, canonical = self.roots(beard_density(canonical, kind), _BEARD_HAIRS[kind])
        rng, n = self.rng, len(at)
        normal = normal @ self.turn
        x, y = canonical[:, 0], canonical[:, 1]
        sideways = np.where(y > -0.045, 1.1 * np.tanh(x / 0.01), 0.25 * np.tanh(x / 0.02))
        flow = np.stack([sideways, -np.ones(n), np.where(y < -0.08, 0.5, 0.1)], -1)
        flow -= (flow * normal).sum(1, keepdims=True) * normal
        q = self.to_head(at)
        direction = _unit(
            0.45 * normal
            + _unit(flow)
            + 0.25 * _smooth_noise(q / 0.008, rng)
            + 0.2 * rng.standard_normal((n, 3))
        )
        length = (
            _BEARDS[kind] * rng.uniform(0.4, 1.0, n) * np.where(y > -0.045, 0.6, 1.0) * rng.uniform(0.5, 1.3)
        )
        length *= 0.35 + 0.65 * beard_density(canonical, kind)  # short at the borders
        path = [q]
        for _ in range(4):
            direction = _unit(direction + np.array([0, -0.25, 0]))
            q = q + (length / 4)[:, None] * direction
            path.append(q)
        paths, _ = self._pressed(self.to_world(np.stack(path, 1)))
        return self._ribbons(paths, np.full(len(paths), 0.0006), self.color * 0.9, CLASS_ID["facial_hair"])

    def _ribbons(self, paths: np.ndarray, width: np.ndarray, color: np.ndarray, class_id: int) -> WornMesh:
        """Strips that face the camera, tapering to the tip; darker at the root, lighter at the tip."""
        n, m, _ = paths.shape
        tangent = _unit(np.gradient(paths, axis=1))
        side = _unit(np.cross(tangent, self.camera_at - paths))
        taper = np.interp(np.linspace(0, 1, m), [0, 0.25, 0.6, 1], [0.6, 1.0, 0.9, 0.15])[None, :, None]
        half = 0.5 * width[:, None, None] * self.rng.uniform(0.6, 1.4, (n, 1, 1)) * taper
        points = np.stack([paths - half * side, paths + half * side], 2)  # n m 2 3
        strand = np.arange(n)[:, None] * 2 * m + 2 * np.arange(m - 1)[None]
        quads = np.stack([strand, strand + 1, strand + 3, strand, strand + 3, strand + 2], -1)
        locks = _smooth_noise(self.to_head(paths[:, 0]) / 0.006, self.rng)[:, :1, None]
        tone = (
            np.exp(self.rng.normal(0, 0.15, (n, 1, 1)) + 0.15 * locks)
            * np.interp(np.linspace(0, 1, m), [0, 0.4, 1], [0.5, 0.95, 1.15])[None, :, None]
        )
        albedo = np.clip(color * tone, 0, 1)
        doubled = [np.repeat(a[:, :, None], 2, 2).reshape(-1, 3) for a in (albedo, tangent)]
        return _worn(points.reshape(-1, 3), quads.reshape(-1, 3), class_id, *doubled)


_BAND = np.array([0.0, 0.025, -0.108])  # where a pony tail is bound, from CENTRE
_ROWS, _COLS = 64, 128
_UNDER = 0.003  # m between the outside of a hat or mask and the hair it presses down


def _map_cell(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fractional (row, column) of directions in the radius map."""
    x, y, z = points.T
    elevation = np.arctan2(y, np.hypot(x, z))
    rows = np.clip((elevation / np.pi + 0.5) * _ROWS, 0, _ROWS - 1e-6)
    cols = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * _COLS
    return rows, np.clip(cols, 0, _COLS - 1e-6)


def _smooth_noise(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three smooth random fields (about unit size): sums of random plane waves."""
    waves = rng.standard_normal((12, 3))
    phase = rng.uniform(0, 2 * np.pi, (12, 3))
    gain = rng.standard_normal((12, 3)) * np.sqrt(2 / 12)
    return (np.sin((points @ waves.T)[:, :, None] + phase) * gain).sum(1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _worn(
    points: np.ndarray, faces: Int[np.ndarray, "m 3"], class_id: int, albedo: np.ndarray, tangent: np.ndarray
) -> WornMesh:
    as32 = [np.ascontiguousarray(a, np.float32) for a in (points, albedo, tangent)]
    return WornMesh(as32[0], np.ascontiguousarray(faces, np.int32), class_id, as32[1], as32[2], "hair")
