"""Teeth, gums and tongue, laid along the dental arches.

Sources: crown widths and heights: Orozco-Varo et al. 2015 and Abad-Coronel et al. 2025 (upper
front), textbook values elsewhere; arch through the incisal edge, the canine tip and the first
molar of the mean man and the mean woman, 26 mm between the lower canines.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from synthforge.conventions import CLASS_ID

from .common import Part
from .grids import joined, named_point, tube

INNER_MOUTH = CLASS_ID["inner_mouth"]
MM = 1e-3
TONGUE_LENGTH = 38.0  # mm, of the part in the mouth

# From the midline outwards: kind, width, height, thickness at the neck (mm).
UPPER_TEETH = (
    ("incisor", 8.6, 10.2, 7.0),
    ("incisor", 6.75, 8.8, 6.2),
    ("canine", 7.8, 9.9, 7.8),
    ("premolar", 7.0, 8.2, 8.8),
    ("premolar", 6.8, 7.6, 8.8),
    ("molar", 10.3, 7.2, 10.6),
    ("molar", 9.6, 6.8, 10.4),
)
LOWER_TEETH = (
    ("incisor", 5.3, 8.8, 5.8),
    ("incisor", 5.9, 9.0, 6.0),
    ("canine", 6.9, 10.2, 7.4),
    ("premolar", 7.0, 8.2, 7.6),
    ("premolar", 7.1, 7.8, 7.8),
    ("molar", 11.0, 7.2, 10.0),
    ("molar", 10.4, 6.8, 9.8),
)


@dataclass(frozen=True)
class Arch:
    """The line of incisal edges and cusps in millimetres: half of it, from the midline to the left.

    z falls behind the incisal edge as |x| to the power that passes through canine and molar;
    y runs from the incisal edge to the molar.
    """

    edge: Float[np.ndarray, " 3"]
    canine: Float[np.ndarray, " 2"]  # x, z
    molar: Float[np.ndarray, " 3"]
    crown_up: int  # +1: the roots are above the crowns

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Arc lengths and points (n 3) of the half arch, finely sampled and running past the last molar."""
        drop_canine, drop_molar = self.edge[2] - self.canine[1], self.edge[2] - self.molar[2]
        power = np.log(drop_molar / drop_canine) / np.log(self.molar[0] / self.canine[0])
        angle = np.linspace(0, 1, 800)
        x = 1.4 * self.molar[0] * (1 - (1 - angle) ** 2.2)
        z = self.edge[2] - drop_molar * (x / self.molar[0]) ** power
        behind = (self.edge[2] - z) / drop_molar
        y = self.edge[1] + (self.molar[1] - self.edge[1]) * behind
        points = np.stack([x, y, z], -1)
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        return np.concatenate([[0], np.cumsum(steps)]), points

    def at(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (n 3) and unit outward directions (n 3, horizontal) at signed arc lengths, + left."""
        arc, points = self.table()
        place = np.stack([np.interp(np.abs(s), arc, points[:, k]) for k in range(3)], -1)
        ahead = np.stack([np.interp(np.abs(s) + 0.5, arc, points[:, k]) for k in range(3)], -1)
        before = np.stack([np.interp(np.abs(np.abs(s) - 0.5), arc, points[:, k]) for k in range(3)], -1)
        before[:, 0] *= np.where(np.abs(s) < 0.5, -1, 1)
        tangent = ahead - before
        outward = np.stack([-tangent[:, 2], np.zeros(len(place)), tangent[:, 0]], -1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        side = np.where(s < 0, -1.0, 1.0)[:, None]
        mirror = np.concatenate([side, np.ones_like(side), np.ones_like(side)], -1)
        return place * mirror, outward * mirror


def arches(sex: float) -> tuple[Arch, Arch]:
    """Upper and lower arch; `sex` +1 mean man, -1 mean woman."""

    def point(name):
        return named_point(name, sex)

    upper = Arch(
        point("upper_incisor_edge"), point("upper_canine_tip")[[0, 2]], point("upper_first_molar"), crown_up=1
    )
    # lower canines: 26 mm apart, as far behind the incisors as the upper ones are narrower in front of theirs
    lower_canine = point("lower_incisor_edge")[[0, 2]] + [13.0 + 0.3 * sex, -5.25 - 0.25 * sex]
    lower = Arch(point("lower_incisor_edge"), lower_canine, point("lower_first_molar"), crown_up=-1)
    return upper, lower


def tooth_places(arch: Arch, teeth: tuple) -> list[tuple[float, float]]:
    """Arc length of the middle and width (mm) of each tooth of the left half.

    Widths are scaled in front of and behind the canine so that canine and first molar stand where
    the arch has them.
    """
    arc, points = arch.table()
    s_canine, s_molar = np.interp([arch.canine[0], arch.molar[0]], points[:, 0], arc)
    widths = np.array([t[1] for t in teeth])
    middles = np.cumsum(widths) - widths / 2
    places = np.interp(middles, [0, middles[2], middles[5]], [0, s_canine, s_molar])
    front, back = s_canine / middles[2], (s_molar - s_canine) / (middles[5] - middles[2])
    places[6] = s_molar + (middles[6] - middles[5]) * back
    scale = np.array([front] * 2 + [0.5 * (front + back)] + [back] * 4)
    return list(zip(places, widths * scale, strict=True))


def crown(kind: str, width: float, height: float, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Rings (r k 3) and tip of one crown in its own frame (mm).

    Axes: along the arch, outward, from the incisal edge to the root (0 at the edge, `height` at the
    gum line, a little more inside the gum).
    """
    n_around = 12
    phi = 2 * np.pi * np.arange(n_around) / n_around
    shapes = {  # width and depth factor at heights 1.15 (root) 0.85 0.5 0.2 0.06 0 of the crown
        "incisor": ((0.62, 0.76, 0.95, 1.0, 0.96, 0.80), (0.92, 0.97, 0.70, 0.40, 0.27, 0.12)),
        "canine": ((0.62, 0.78, 0.98, 0.90, 0.62, 0.34), (0.92, 1.0, 0.84, 0.54, 0.34, 0.16)),
        "premolar": ((0.70, 0.82, 1.0, 0.97, 0.84, 0.62), (0.85, 0.95, 1.0, 0.88, 0.74, 0.54)),
        "molar": ((0.80, 0.90, 1.0, 0.98, 0.90, 0.74), (0.86, 0.96, 1.0, 0.92, 0.82, 0.62)),
    }
    levels = np.array([1.15, 0.85, 0.5, 0.2, 0.06, 0.0]) * height
    square = {"incisor": 3.2, "canine": 2.4, "premolar": 2.6, "molar": 3.4}[kind]
    c, s = np.cos(phi), np.sin(phi)
    unit = (np.abs(c) ** square + np.abs(s) ** square) ** (-1 / square)
    rings = np.empty((len(levels), n_around, 3))
    for i, (level, w, d) in enumerate(zip(levels, *shapes[kind], strict=True)):
        rings[i, :, 0] = 0.5 * width * w * unit * c
        # the front face is flat: what the crown loses in depth it loses on the tongue side
        outer = 0.5 * depth * (1 - 0.35 * (1 - d) - 0.25 * np.clip(level / height - 0.5, 0, 1))
        rings[i, :, 1] = outer - 0.5 * depth * d + 0.5 * depth * d * unit * s
        rings[i, :, 2] = level
    cusp = {"incisor": 0.0, "canine": 0.0, "premolar": 1.3, "molar": 1.2}[kind]
    bump = s**2 if kind == "premolar" else np.sin(2 * phi) ** 2
    rings[-2:, :, 2] += cusp * (1 - bump) * np.array([[0.5], [1.0]])
    tip = rings[-1].mean(0)
    tip[2] = {"incisor": 0.0, "canine": -0.05 * height, "premolar": 1.1, "molar": 1.1}[kind]
    return rings, tip


def build_teeth(arch: Arch, teeth: tuple, name: str) -> Part:
    """Separate crowns of one jaw."""
    # laterals end a little short of the centrals, the canine is level with them
    short = np.array([0, 0.7, 0, 0.6, 0.9, 0.6, 0.3]) * (arch.crown_up > 0)
    rows = list(zip(teeth, tooth_places(arch, teeth), short, strict=True))
    crowns = []
    for side in (1, -1):
        for (kind, _, height, depth), (s, width), lift in rows:
            (place,), (outward,) = arch.at(np.array([side * s]))
            rings, tip = crown(kind, 0.985 * width, height, depth)
            q = np.concatenate([rings.reshape(-1, 3), tip[None]])
            out = q[:, 1] - _inset(kind, depth) - _lean(arch) * q[:, 2] * _front(s)
            along = np.cross([0.0, 1.0, 0.0], outward)
            world = place + q[:, :1] * along + out[:, None] * outward
            world[:, 1] += arch.crown_up * (q[:, 2] + lift)
            crowns.append(tube(world[:-1].reshape(rings.shape) * MM, name, INNER_MOUTH, end=world[-1] * MM))
    return joined(crowns, 7)


def build_gum(arch: Arch, teeth: tuple, name: str) -> Part:
    """Gum of one jaw: a ridge that the crowns stand in, scalloped at their necks."""
    places = tooth_places(arch, teeth)
    per_tooth = 4
    u = (np.arange(per_tooth) + 0.5) / per_tooth - 0.5
    s = np.concatenate([place + u * width for place, width in places])
    # papillae reach down between the crowns, the zenith stands at the gum line
    neck = np.concatenate([height * (0.97 - 0.42 * np.abs(2 * u) ** 2.2) for _, _, height, _ in teeth])
    depth = np.repeat([t[3] for t in teeth], per_tooth)
    middle = np.repeat([_inset(kind, d) for kind, _, _, d in teeth], per_tooth)
    order = np.r_[len(s) - 1 : -1 : -1, 0 : len(s)]
    s = np.concatenate([-s[::-1], s])
    neck, depth, middle = neck[order], depth[order], middle[order]
    neck_mean, depth, middle = (_smooth(x) for x in (neck, depth, middle))
    place, outward = arch.at(s)
    # cross-section from the outer fornix over the ridge to the tongue side: outward (of depth), root-ward
    outer = np.array([0.36, 0.50, 0.56, 0.52, 0.38, 0.0, -0.42, -0.58, -0.62, -0.55])
    rootward = np.array([8.0, 5.0, 2.0, 0.4, -0.2, -0.2, 0.2, 2.0, 5.0, 8.0])
    scallop = np.clip(1 - rootward / 5, 0, 1)
    rootward = rootward * (0.55 + 0.45 * _front(s))[:, None]  # the cheek is near beside the molars
    lift = scallop * neck[:, None] + (1 - scallop) * neck_mean[:, None] + rootward
    out = depth[:, None] * outer - middle[:, None]
    out = out - _lean(arch) * lift * _front(s)[:, None]
    rings = place[:, None] + out[..., None] * outward[:, None] + arch.crown_up * lift[..., None] * [0, 1, 0]
    rings = rings * MM
    return tube(rings, name, INNER_MOUTH, start=rings[0].mean(0), end=rings[-1].mean(0))


def build_tongue(lower: Arch) -> Part:
    """Tongue at rest: tip behind the lower incisors, dorsum flat, a little below the edges of the teeth."""
    tip = lower.edge + [0, -4.0, -9.0]
    t = np.linspace(0, 1, 16)[1:]  # from the tip backwards
    phi = 2 * np.pi * np.arange(24) / 24
    half_width = 17.0 * np.sin(0.5 * np.pi * np.minimum(t / 0.8, 1)) ** 0.55
    half_thick = 1.8 + 5.0 * np.minimum(t / 0.6, 1) ** 0.8
    rings = np.empty((len(t), len(phi), 3))
    x, up = np.cos(phi), np.sin(phi)
    rings[..., 0] = half_width[:, None] * np.sign(x) * np.abs(x) ** 0.8
    groove = 1.6 * np.exp(-((rings[..., 0] / 3.2) ** 2)) * np.clip(up, 0, 1)
    groove = groove * np.minimum(t / 0.35, 1)[:, None]
    level = tip[1] + 0.5 * np.sin(np.pi * t) - 5.0 * np.clip(t - 0.75, 0, 1)
    rounded = np.sign(up) * np.abs(up) ** 0.7  # flat on top
    rings[..., 1] = level[:, None] - half_thick[:, None] * (1 - rounded) * 0.9 - groove
    rings[..., 2] = tip[2] - (TONGUE_LENGTH * t)[:, None]
    end = rings[-1].mean(0) - [0, 0, 1.0]
    return tube(rings * MM, "tongue", INNER_MOUTH, start=(tip + [0, -1.5, 0.8]) * MM, end=end * MM)


def build_mouth(sex: float) -> list[Part]:
    """Upper and lower teeth and gums, tongue; `sex` +1 mean man, -1 mean woman."""
    upper, lower = arches(sex)
    return [
        build_teeth(upper, UPPER_TEETH, "upper_teeth"),
        build_teeth(lower, LOWER_TEETH, "lower_teeth"),
        build_gum(upper, UPPER_TEETH, "upper_gum"),
        build_gum(lower, LOWER_TEETH, "lower_gum"),
        build_tongue(lower),
    ]


def _front(s: np.ndarray | float) -> np.ndarray | float:
    """1 at the incisors, 0 behind the canines (arc length in mm)."""
    return np.clip((22 - np.abs(s)) / 10, 0, 1)


def _lean(arch: Arch) -> float:
    """How far front crowns lean forward from neck to edge, per unit of height."""
    return float(np.tan(np.deg2rad(12 if arch.crown_up > 0 else 4)))


def _inset(kind: str, depth: float) -> float:
    """Middle of a crown behind the line of edges and cusps (mm)."""
    return {"incisor": 0.4, "canine": 0.25, "premolar": 0.08, "molar": 0.0}[kind] * depth


def _smooth(values: np.ndarray) -> np.ndarray:
    kernel = np.hanning(15)[1:-1]
    return np.convolve(np.pad(values, 6, mode="edge"), kernel / kernel.sum(), mode="valid")
