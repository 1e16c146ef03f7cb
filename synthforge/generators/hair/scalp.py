"""Scalp hair: guides that grow from the scalp in the head frame, and strands that follow them.

Lengths are metres, angles radians. The styles are in `styles`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import between, clip_triangles
from synthforge.generators.geometry.person import Person, outer_faces
from synthforge.generators.geometry.radial import RadialDepth
from synthforge.generators.hair.clumps import coils, finer, follow, ropes
from synthforge.generators.hair.color import hair_color, strand_colors
from synthforge.generators.hair.strands import Grower, smooth_noise
from synthforge.generators.hair.styles import (
    LONG,
    STYLES,
    Style,
    fringe_share,
    neighbourhood,
    parted,
    style_height,
    swell,
)
from synthforge.generators.hair.updos import hanging, ties_of, to_ties
from synthforge.generators.shading.numeric import unit
from synthforge.heads.anatomy import BRAINCASE

_NECK = -0.145  # m, relative to the middle of the braincase: below, hair meets the body, not the head
_EVERY = 5  # hair falls on every fifth vertex of the body, which is enough
_RIM = 0.02  # m; hair further than this beside the nearest point of the body is past the rim of the bust
_FINE = 0.0007  # m per pixel at which strands have their own width; in coarser images they are wider


def grow_hair(
    person: Person, covers: Sequence[RadialDepth] = (), under: Sequence[Accessory] = ()
) -> list[Accessory]:
    """Hair of the scalp; for the bald only the lock that falls over the face as an occluder.

    Args:
        covers: what is worn over it (hat, mask), head frame; hair stays under it. A headscarf hides all hair
            of the scalp, a hood hides long hair.
        under: clothes that hair falls on, world frame.
    """
    look = person.appearance
    style, loose = STYLES.get(look.hair_style), look.occluder == "hair"
    if style is None and not loose:
        return []
    if style and look.headwear == "hood" and (style.top > LONG or style.free):
        style = STYLES["short"]
    scalp = _Scalp(person, person.rng("hair"), covers, under)
    grown = [] if style is None or look.headwear == "headscarf" else scalp.hair(style)
    return [*grown, scalp.over_face()] if loose else grown


class _Scalp(Grower):
    """Scalp of one person, with the radial depth of the head and the place of the body."""

    def __init__(
        self,
        person: Person,
        rng: np.random.Generator,
        covers: Sequence[RadialDepth],
        under: Sequence[Accessory],
    ):
        super().__init__(person, rng, covers)
        self.under = under
        self.down = np.array([0.0, -1.0, 0.0]) @ self.turn
        away = np.linalg.norm(self.camera_at - person.vertices.mean(0))
        self.grain = float(away / person.params.camera.intrinsics[0, 0])  # m per pixel at the head
        self.coarse = float(np.clip(self.grain / _FINE, 0.7, 3.0))

    def _skull(self, ears: bool) -> RadialDepth:
        """Radial depth of the head, smoothed; with ears for long hair, which falls over them."""
        depth = self.person.radial_depth(ears, heights=(-0.105, 9.0))
        if not ears:
            return depth
        smooth = ndimage.gaussian_filter(ndimage.maximum_filter(depth.radius, 3), 1.5)
        return replace(depth, radius=np.where(depth.radius > 0, np.maximum(smooth, depth.radius), 0))

    @cached_property
    def body(self) -> tuple[cKDTree, np.ndarray, np.ndarray, np.ndarray]:
        """Search tree of points of neck and shoulders (m, relative to the braincase), the points, their
        normals, and the thickness (m) of clothes there."""
        skin = np.unique(self.head.faces[outer_faces(self.head, ears=False)])
        skin = skin[self.head.canonical[skin, 1] < -0.08][::_EVERY]
        points, normals = self.to_head(self.vertices[skin]), self.normals[skin] @ self.turn
        tree, thick = cKDTree(points), np.zeros(len(skin))
        for cloth in self.under:
            worn = self.to_head(cloth.vertices.astype(np.float64))
            near, at = tree.query(worn)
            off = ((worn - points[at]) * normals[at]).sum(1)
            np.maximum.at(thick, at, np.where(near < 0.06, off, 0))
        return tree, points, normals, thick

    def hair(self, style: Style) -> list[Accessory]:
        """Hair of a style: a cap close to the scalp, the strands, and what hangs from ties."""
        rng, long = self.rng, style.top > LONG
        self.skull = self._skull(ears=long)
        part = rng.choice([-1, 1]) * rng.uniform(0.3, 1.0) * abs(style.part)
        height = style_height(self.head.canonical.astype(np.float64), style)
        border = (0.030, 0.06) if style.recess else (0.012, 0.25) if long else (0.020, 0.10)
        density = np.clip(height / border[0] + border[1], 0, 1)  # thin along the border
        density *= height > 0 if style.gather else 1.0
        # more where a parting or a fringe would show the scalp
        density *= 1 + 1.5 * parted(style, self.head.canonical, part, 0.018)
        density *= 1 + (style.fringe > 0) * fringe_share(self.head.canonical)
        at, normal, canonical = self.roots(density, style.guides)
        if not len(at):
            return []
        ties = ties_of(style.gather, rng) if style.gather else None
        uneven = np.clip(0.5 * smooth_noise(canonical / 0.02, rng)[:, 0], -1, 1) + 0.5 * rng.random(len(at))
        length = self._length(style, canonical) * (1 - 0.5 * style.ragged * (1 + uneven))
        if ties is None:
            guides = self._guides(style, self.to_head(at), normal @ self.turn, canonical, length, part)
        else:
            guides = to_ties(self.to_head(at), ties, 12)
            rise = np.minimum(1, np.arange(1, 12) / 4)  # close to the skin at the hairline
            guides[:, 1:] = self._off_skull(guides[:, 1:], rise * rng.uniform(0.0015, 0.007, (len(at), 1)))
        if style.curl and style.clump >= 0.5:  # whole locks coil; with less clump, single strands
            guides = self._curled(style, guides, length)

        shade: np.ndarray | float = 1.0
        if style.rope:
            each_rope = int(np.clip(28 / self.coarse, 9, 36))
            radius = style.rope * rng.uniform(0.75, 1.2, len(guides))
            paths, out = ropes(finer(guides, 25), radius, each_rope, rng)
            place = np.repeat(canonical, each_rope, 0)
            tone = np.exp(rng.normal(0, 0.25, len(guides)))
            shade = np.repeat(tone, each_rope)[:, None, None] * self._turned_away(paths, out)
        else:
            paths, place = self._from_guides(style, guides, canonical, density, part)
        paths = paths + self._strayed(style, paths)
        if long and ties is None:
            beside = (fringe_share(place) < 0.5) | (style.fringe == 0)
            paths[beside, 1:] = self._beside_face(paths[beside, 1:])
        paths[:, 1:] = self._off_skull(paths[:, 1:], 0.0008)
        above = np.maximum(style_height(place, style), 0)
        width = self._width() if long else min(0.0009 * self.coarse**0.9, 0.2 * style.top)
        width *= 1.3 if style.rope else 1.0  # ropes are opaque
        width = width * np.clip(0.35 + above / 0.018, 0.35, 1)  # fine hair along the border
        worn = [self._cap(style, height, part), self._strands(paths, width, place, shade)]
        for tie in [] if ties is None else ties:
            tail = hanging(tie, style.gather, self.down, self._off_body, self.coarse, rng)
            worn.append(self._strands(tail, self._width(), np.broadcast_to(tie + BRAINCASE, (len(tail), 3))))
        return worn

    def _from_guides(
        self, style: Style, guides: np.ndarray, canonical: np.ndarray, density: np.ndarray, part: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Strands that follow guides rooted at `canonical`: their paths and their canonical roots (m)."""
        rng, long = self.rng, style.top > LONG
        n = int(style.dense * (4200 if style.curl else 5500 if long else 8000) / self.coarse)
        root, _, place = self.roots(density, n)
        free = parted(style, place, part, 0.0014) < 0.5
        root, place, n = root[free], place[free], int(free.sum())
        share = np.ones(n) if style.gather else np.clip(rng.normal(0.92, 0.07, n), 0.5, 1.0)
        keys = (neighbourhood(style, at, part) for at in (canonical, place))
        paths = follow(guides, *keys, self.to_head(root), share, style.clump, self._points(style))
        if style.curl and style.clump < 0.5:
            paths = self._curled(style, paths, self._length(style, place) * share)
        return paths, place

    def _turned_away(self, paths: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Factor of the colour of strands on round locks: darker where they face away from the camera."""
        view = unit(self.camera_at - self.to_world(paths.reshape(-1, 3))) @ self.turn
        facing = (out * view.reshape(paths.shape)).sum(-1, keepdims=True)
        return 0.1 + 1.1 * np.clip(facing, 0, 1) ** 1.5

    def over_face(self) -> Accessory:
        """A loose lock that hangs over the forehead and an eye."""
        loose = Style(
            0.15, 0.15, lift=0.25, comb=0.8, weight=0.25, volume=0.014, clump=0.35, fringe=0.17, mess=0.35
        )
        x, y, _ = self.head.canonical.T.astype(np.float64)
        side = self.rng.choice([-1, 1]) * self.rng.uniform(0.004, 0.022)
        height = style_height(self.head.canonical.astype(np.float64), loose)
        patch = np.exp(-(((x - side) / 0.008) ** 2)) * (height > -0.004) * (height < 0.02) * (y > 0.075)
        self.skull = self._skull(ears=True)
        at, normal, canonical = self.roots(patch, 12)
        if not len(at):
            return self._strands(np.zeros((0, 14, 3)), self._width(), at)
        length = self.rng.uniform(0.10, 0.18, len(at))
        guides = self._guides(loose, self.to_head(at), normal @ self.turn, canonical, length, 0.0)
        root, _, place = self.roots(patch, int(170 / self.coarse))
        share = self.rng.uniform(0.6, 1.0, len(root))
        paths = follow(guides, canonical, place, self.to_head(root), share, loose.clump, 14)
        paths[:, 1:] = self._off_skull(paths[:, 1:], 0.0015)
        return self._strands(paths, 0.7 * self._width(), place)

    def _width(self) -> float:
        return 0.0013 * self.coarse**0.9

    def _strands(
        self,
        paths: np.ndarray,
        width: np.ndarray | float,
        places: np.ndarray,
        shade: np.ndarray | float = 1.0,
    ) -> Accessory:
        """Strands along paths of the head frame, without those that are covered.

        Args:
            width: metres.
            places: canonical roots (m).
            shade: factor of the colour.
        """
        color = shade * strand_colors(self.person, places, paths.shape[1], self.rng, 1 / self.coarse)
        paths, shown = self.pressed(self.to_world(paths))
        width = np.broadcast_to(width, len(shown))[shown]
        least = 0.5 * min(self.grain, 0.0015)  # thinner lines would look dotted
        contrast = 1 / self.coarse  # a wider ribbon stands for more hairs
        return self.ribbons(paths, width, color[shown], "hair", least=least, contrast=contrast)

    def _points(self, style: Style) -> int:
        """Number of points of a strand: enough for its bends."""
        if style.gather:
            return 8
        if style.curl:
            return int(np.clip(5.5 * style.turns * style.top, 12, 32))
        return 13 if style.top > LONG else 3 if style.top < 0.01 else 6

    def _length(self, style: Style, canonical: np.ndarray) -> np.ndarray:
        """Length (m): longer at the top, shorter at the border; short hair fades towards the nape."""
        above = np.maximum(style_height(canonical, style), 0)
        side = np.clip((0.085 - canonical[:, 1]) / 0.05, 0, 1) * (canonical[:, 2] < 0.06)
        length = style.top + (style.sides - style.top) * side
        least, over = (0.3, 0.02) if style.top > LONG else (0.12, 0.05)
        length = length * np.clip(least + above / over, least, 1)
        length = np.minimum(length, canonical[:, 1] + 0.02 - style.cut)
        if not style.fringe:
            return length
        share = fringe_share(canonical)  # longer towards the temples
        return np.where(share > 0, np.minimum(length, style.fringe + 0.05 * (1 - share)), length)

    def _guides(
        self,
        style: Style,
        q: np.ndarray,
        normal: np.ndarray,
        canonical: np.ndarray,
        length: np.ndarray,
        part: float,
    ) -> np.ndarray:
        """Guides g k 3, grown step by step: combed, bent down by their weight, kept off head and body."""
        rng, n = self.rng, len(q)
        long = style.top > LONG
        steps = 16 if long else 7
        comb = self._combing(style, canonical, normal, part)
        clump = smooth_noise(q / 0.02, rng)
        stray = style.mess * (clump + (0.2 if long else 0.35) * rng.standard_normal((n, 3)))
        rise = 0.8 * parted(style, canonical, part, 0.012)[:, None]  # at a parting, hair rises first
        direction = unit((style.lift + rise) * normal + comb + stray)
        offset = rng.uniform(0.001, 0.010, n) * min(1.0, style.top / 0.06)
        even = 0.35 if long else 0.75
        bound = np.full(n, np.inf) if style.free else style.volume * rng.uniform(even, 1.0, n)
        beside = (fringe_share(canonical) < 0.5) | (style.fringe == 0)
        front = self._before_shoulder(q)
        share = np.linspace(0.5, 1.5, steps) / steps  # short steps where the head is round
        path = [q]
        for s in range(1, steps + 1):
            pull = style.weight * (0.4 + s / steps)
            low = min(1.0, 0.25 + 2 * s / steps)  # roots lie close, so that no loops stand up
            direction = unit(direction + pull * self.down + 0.06 * comb)
            falling = np.clip((-0.06 - q[:, 1]) / 0.05, 0, 1) * (q[:, 1] > -0.22)
            # forwards or backwards past the shoulder (m from the middle of the braincase)
            direction[:, 2] += falling * np.clip((np.where(front, 0.075, -0.045) - q[:, 2]) / 0.06, -0.5, 0.5)
            q = q + (length * share[s - 1])[:, None] * unit(direction)
            if style.top > 0.02:
                q[beside] = self._beside_face(q[beside])
                swollen = swell(style, q, part)
                q = self._off_skull(q, swollen * offset * min(1.0, 3 * s / steps), swollen * low * bound)
                if long:
                    q = self._off_body(q, 0.004 + 0.6 * offset)
            direction = unit(0.35 * direction + 0.65 * unit(q - path[-1]))
            path.append(q)
        paths = np.stack(path, 1)
        paths[:, 1:-1] = 0.5 * paths[:, 1:-1] + 0.25 * (paths[:, :-2] + paths[:, 2:])  # no corners
        return paths

    def _curled(self, style: Style, guides: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Guides with more points, wound into coils; neighbours wave together."""
        rng, g = self.rng, len(guides)
        guides = finer(guides, self._points(style))
        together = 0.3 * smooth_noise(guides[:, 0] / 0.025, rng)[:, 0]
        phase = together + (0.15 if style.turns < 25 else 1.0) * rng.random(g)
        radius = style.curl * rng.uniform(0.6, 1.25, g)
        return guides + coils(guides, length, radius, style.turns * rng.uniform(0.85, 1.15, g), phase)

    def _strayed(self, style: Style, paths: np.ndarray) -> np.ndarray:
        """Offsets (m) of single strands from their locks: small for most, large for a few."""
        n, m, _ = paths.shape
        rng = self.rng
        far = style.frizz * np.where(rng.random(n) < 0.04, 2.0, 1.0) * rng.random(n)
        u = np.linspace(0, 1, m)[None, :, None]
        first, second = rng.standard_normal((2, n, 1, 3))
        bend = np.sin(np.pi * u * rng.uniform(0.6, 2.0, (n, 1, 1)))
        return far[:, None, None] * (first * bend + 0.6 * second * u)

    def _cap(self, style: Style, height: np.ndarray, part: float) -> Accessory:
        """The scalp in the colour of hair, slightly lifted and cut along the hairline, so that no skin
        shows between strands."""
        inset = 0.012 if style.recess else 0.002  # where hair is thin, the skin is bare
        ragged = inset + 0.0022 * smooth_noise(self.head.canonical / 0.0035, self.rng)[:, 0]
        faces = self.head.faces[self.skin_faces]
        faces = faces[(height[faces] > 0).any(1)]
        faces, edges, share = clip_triangles(faces, ragged - height)

        grain = np.exp(0.12 * smooth_noise(self.head.canonical / 0.003, self.rng)[:, :1])
        points, normal, canonical, above, grain = (
            between(values, edges, share)
            for values in (self.vertices, self.normals, self.head.canonical, height[:, None], grain)
        )
        normal = unit(normal)
        lift = min(0.0015, 0.3 * style.sides) * np.clip(above / 0.02, 0.1, 1)
        tangent = unit(np.cross(normal, [1.0, 0.2, 0.1]))
        # scalp shows between cropped hairs, between the first ones at the border and along a parting
        shows = 0.2 if style.top < 0.01 else 0.0
        if not style.rope:
            shows = np.maximum(shows, 0.85 * np.clip(1 - (above[:, 0] - inset) / 0.009, 0, 1))
        shows = np.maximum(shows, 0.35 * parted(style, canonical, part, 0.0016))[:, None]
        hair, skin = hair_color(self.person), self.person.skin_color
        albedo = grain * (0.55 * (1 - shows) * hair + 0.6 * shows * skin)
        arrays = (points + lift * normal, albedo, tangent)
        points, albedo, tangent = (np.ascontiguousarray(a, np.float32) for a in arrays)
        return Accessory(points, faces, "hair", albedo, "hair", tangent)

    def _combing(self, style: Style, canonical: np.ndarray, normal: np.ndarray, part: float) -> np.ndarray:
        """Direction n 3 along the scalp: from the parting to the sides, forwards or backwards, downwards
        below."""
        away = np.tanh((canonical[:, 0] - part) / 0.012)
        forward = 0.9 if style.fringe else 0.75 - 1.7 * style.back
        top = np.clip((canonical[:, 1] - 0.06) / 0.05, 0, 1)
        front = np.clip((canonical[:, 2] - 0.01) / 0.06, 0, 1)
        sideways = 0.25 if style.fringe or style.back >= 1 else 1.0
        ahead = forward * top - 0.45 * (1 - top) * (1 - front)
        flow = np.stack([away * (0.35 + 0.65 * top) * sideways, -1.2 * (1 - top), ahead], -1)
        flow -= (flow * normal).sum(1, keepdims=True) * normal
        return max(style.comb, 0.05) * unit(flow)

    def _before_shoulder(self, q: np.ndarray) -> np.ndarray:
        """Which locks fall in front of the shoulder, not behind it; each side has its own border."""
        border = np.radians(self.rng.uniform(45, 120, 2))
        azimuth = np.abs(np.arctan2(q[:, 0], q[:, 2])) + 0.12 * self.rng.standard_normal(len(q))
        return azimuth < border[(q[:, 0] > 0).astype(int)]

    def _beside_face(self, q: np.ndarray) -> np.ndarray:
        """Points turned about the head's vertical axis until they are beside the face."""
        x, y, z = np.moveaxis(q, -1, 0)
        height = y + BRAINCASE[1]
        # tangent of the azimuths 38, 62, 66, 56 and 0 degrees at which the face ends
        least = np.interp(height, [-0.12, -0.05, 0.02, 0.06, 0.10], [0.78, 1.88, 2.25, 1.48, 0.0])
        over = (z * least > np.abs(x)) & (height > -0.14) & (z > 0.015)
        flat = np.hypot(x, z) / np.hypot(1, least)
        turned = np.stack([np.where(x < 0, -least, least) * flat, y, flat], -1)
        return np.where(over[..., None], turned, q)

    def _off_skull(
        self, q: np.ndarray, offset: np.ndarray | float, bound: np.ndarray | float = np.inf
    ) -> np.ndarray:
        """Points moved to at least `offset` (m) off the head; above the ears, to at most `bound` (m) more."""
        flat = q.reshape(-1, 3)
        r = np.linalg.norm(flat, axis=1)
        skull = self.skull.at(flat + BRAINCASE)
        least = skull.reshape(q.shape[:-1]) + offset
        most = least + bound + np.maximum(0.0, 0.01 - BRAINCASE[1] - q[..., 1]) * 2.0
        wanted = np.clip(r.reshape(least.shape), least, most)
        free = (skull.reshape(least.shape) == 0) | (q[..., 1] < _NECK)
        return q * np.where(free, 1, wanted / np.maximum(r.reshape(least.shape), 1e-6))[..., None]

    def _off_body(self, q: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
        """Points moved to at least `offset` (m) off the neck, the shoulders and the clothes on them.
        Points past the rim of the bust stay."""
        low = np.flatnonzero(q[:, 1] < -0.10)
        if not len(low):
            return q
        tree, points, normals, thick = self.body
        near, at = tree.query(q[low])
        far = ((q[low] - points[at]) * normals[at]).sum(1)
        inside = np.clip(np.broadcast_to(offset, len(q))[low] + thick[at] - far, 0, 0.06)
        inside[near**2 - far**2 > _RIM**2] = 0
        q = q.copy()
        q[low] += inside[:, None] * normals[at]
        return q
