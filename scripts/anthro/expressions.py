"""Expression shapes under the ARKit names, one-sided ones with _L and _R (the subject's sides).

The moves stand in expressions.yaml. Three fields are solved for each shape: over the eyes' slits,
between them and the mouth, and under the mouth; each sees only the lid and lip points of its own
side, so that only the slits themselves tear. Lids turn about the globe like visors. The jaw turns.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from .assemble import Assembled
from .eyes import globe_radius
from .fields import MIRROR, MM, Anatomy, harmonic, rbf, smoothstep
from .identity import LOWER_MOUTH, expand_groups

HERE = Path(__file__).parent
UPPER_LIDS = frozenset(["palpebrale_sup", "lid_up_med", "lid_up_lat", "upper_lid_crease"])
LOWER_LIDS = frozenset(["palpebrale_inf", "lid_low_med", "lid_low_lat"])
UPPER_LIP = frozenset(["upper_verm_lat", "upper_lip_front", "labiale_superius", "crista_philtri", "seam_upper", "stomion_upper"])
LOWER_LIP = frozenset(["lower_verm_lat", "lower_lip_front", "labiale_inferius", "seam_lower", "stomion_lower"])
LID_GAP = 0.35 * MM  # least clearance of lid skin from the globe when it moves over it
LID_STEP = 0.5 * MM  # how far the upper lid's edge stands before the lower's when shut
MOST_LIFT = 1.5 * MM  # beyond this a shut lid would bulge
UPPER_FADE, LOWER_FADE = np.deg2rad(34), np.deg2rad(34)  # angle above or below the margin where lid travel ends
JAW_AXIS = "condyle_centre"


@dataclass(frozen=True)
class Slits:
    """Which side of the eye slits and of the mouth each skin vertex belongs to.

    `eye`: 0 above the own side's fissure, 1 below; `mouth`: 0 above the lips' parting line, 1 below;
    both change in one step across the slit and smoothly beyond its corners. `jaw`: how far each
    vertex of the head goes with the mandible.
    """

    eye: Float[np.ndarray, " n"]
    mouth: Float[np.ndarray, " n"]
    jaw: Float[np.ndarray, " v"]

    @classmethod
    def of(cls, anatomy: Anatomy) -> "Slits":
        head, n = anatomy.head, anatomy.head.n_skin
        skin, faces = head.vertices[:n], head.faces[: head.n_skin_faces]
        label = {k: v[:n] for k, v in head.labels.items()}
        over = [np.flatnonzero(label[f"upper_lid_{s}"] > 0.9) for s in ("left", "right")]
        under = [np.flatnonzero(label[f"lower_lid_{s}"] > 0.9) for s in ("left", "right")]
        eye = harmonic(skin, faces, np.concatenate(over + under), _marks(over, under), 1)
        upper, lower = (np.flatnonzero(label[f"{s}_lip"] > 0.9) for s in ("upper", "lower"))
        mouth = harmonic(skin, faces, np.concatenate([upper, lower]), _marks([upper], [lower]), 1)
        return cls(eye, mouth, jaw_weight(anatomy, upper, lower))


def _marks(zeros: list, ones: list) -> np.ndarray:
    return np.concatenate([np.zeros(sum(map(len, zeros))), np.ones(sum(map(len, ones)))])


def jaw_weight(anatomy: Anatomy, upper: np.ndarray, lower: np.ndarray) -> Float[np.ndarray, " v"]:
    """How far each vertex goes with the mandible: 1 chin and lower lip, 0 the skull, smooth between.

    Args:
        upper: skin vertices of the upper lip and the roof of the mouth.
        lower: those of the lower lip and the floor of the mouth.
    """
    head, n, p = anatomy.head, anatomy.head.n_skin, anatomy.points
    skin = head.vertices[:n]
    half = np.abs(skin) * [1, 0, 0] + skin * [0, 1, 1]
    # from the middle to the corners the lips part along an ellipse
    aside = np.clip(half[:, 0] / p["cheilion"][0], 0, 1)
    part = np.sqrt(1 - aside**2)
    front = skin[:, 2] > p["stomion"][2] - 38 * MM  # the throat end of the mouth bag is free
    sets = [(lower[front[lower]], None), (upper[front[upper]], None)]
    sets += [(rows, 1.0) for rows in _around(half, p, CHIN, 5 * MM)]
    sets += [(rows, 0.0) for rows in _around(half, p, SKULL, 5 * MM)]
    behind = (skin[:, 2] < p["gonion"][2] - 22 * MM) | (skin[:, 1] > p["alare"][1])
    below = skin[:, 1] < p["laryngeal_prominence"][1] + 6 * MM
    sets.append((np.flatnonzero(behind | below), 0.0))
    for share, names in PARTLY.items():
        sets += [(rows, share) for rows in _around(half, p, names, 3 * MM)]
    value = np.full(n, np.nan)
    for rows, share in reversed(sets):  # the first to claim a vertex has it
        value[rows] = share if share is not None else 0.5 + 0.5 * part[rows]
    value[sets[1][0]] = 0.5 - 0.5 * part[sets[1][0]]
    fixed = np.flatnonzero(~np.isnan(value))
    field = harmonic(skin, head.faces[: head.n_skin_faces], fixed, value[fixed], 2)
    weight = np.zeros(len(head.vertices))
    weight[:n] = (field + field[anatomy.mirror[:n]]) / 2
    for name in LOWER_MOUTH:
        weight[head.part_vertices(name)] = 1.0
    return weight


CHIN = ("pogonion", "gnathion", "menton", "mental_tubercle", "sublabiale", "prejowl")
SKULL = ("subnasale", "philtrum_mid", "alar_curvature", "nasolabial_top", "mastoid", "otobasion_inf", "zygion", "zygomaxillare")
PARTLY = {  # share of the mandible's move
    0.9: ("jaw_mid_body",),
    0.8: ("marionette",),
    0.75: ("submental_mid",),
    0.6: ("gonion",),
    0.45: ("masseter",),
    0.42: ("buccal_hollow",),
    0.4: ("modiolus",),
    0.18: ("cervical_point", "cheek_front"),
    0.1: ("nasolabial_mid",),
}


def _around(half: np.ndarray, points: dict, names: tuple[str, ...], radius: float) -> list[np.ndarray]:
    return [np.flatnonzero(np.linalg.norm(half - points[n], axis=1) < radius) for n in names]


@dataclass(frozen=True)
class Lids:
    """The left eye's lids as visors: turns about the axis through the globe's centre along x.

    Margins are curves over the lateral place, x from the centre over the distance from it, which a
    visor's turn does not change: `upper`, `lower` give angle (radians, 0 forward, + up) and distance.
    """

    centre: Float[np.ndarray, " 3"]
    upper: PchipInterpolator
    lower: PchipInterpolator
    ends: tuple[float, float]

    @classmethod
    def of(cls, head: Assembled) -> "Lids":
        centre = head.eye_centres[0]
        margin = head.vertices[head.loops["lid_margin_left"]] - centre
        radius = np.linalg.norm(margin, axis=1)
        aside = margin[:, 0] / radius
        angle = np.arctan2(margin[:, 1], margin[:, 2])
        corner = aside.argmax()
        rows = np.arange(corner + 1), np.r_[0, np.arange(len(margin) - 1, corner - 1, -1)]
        curves = [_curve(aside[row], np.stack([angle[row], radius[row]], -1)) for row in rows]
        return cls(centre, *curves, (float(aside[0]), float(aside[corner])))

    def at(self, aside: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Upper and lower margin (n 2: angle, distance) and how open the fissure is (0 ... 1)."""
        aside = np.clip(aside, *self.ends)
        grid = np.linspace(*self.ends, 200)
        widest = (self.upper(grid) - self.lower(grid))[:, 0].max()
        upper, lower = self.upper(aside), self.lower(aside)
        return upper, lower, np.clip((upper - lower)[:, 0] / widest, 0, 1)


def _curve(x: np.ndarray, y: np.ndarray) -> PchipInterpolator:
    keep = np.r_[True, x[1:] > np.maximum.accumulate(x)[:-1] + 1e-6]
    return PchipInterpolator(x[keep], y[keep])


def lid_field(anatomy: Anatomy, slits: Slits, shape: dict) -> Float[np.ndarray, "v 3"]:
    """Moves of the left eye's lid skin along the globe; see expressions.yaml for `lids` and `close`."""
    head, lids, travel = anatomy.head, Lids.of(anatomy.head), shape.get("lids", {})
    delta = np.zeros_like(head.vertices)
    place = head.vertices[: head.n_skin] - lids.centre
    near = np.flatnonzero((np.linalg.norm(place, axis=1) < 26 * MM) & (place[:, 2] > -2 * MM))
    place, below = place[near], slits.eye[near]
    radius = np.linalg.norm(place, axis=1)
    angle = np.arctan2(place[:, 1], place[:, 2])
    upper, lower, opening = lids.at(place[:, 0] / radius)
    over, under = np.maximum(angle - upper[:, 0], 0), np.maximum(lower[:, 0] - angle, 0)
    # what stands out farther than the margin is the fold over the lid, or cheek: it follows less
    reach = 1 - smoothstep(radius - np.where(below < 0.5, upper[:, 1], lower[:, 1]), 1 * MM, 7 * MM)
    share_up = (1 - below) * (1 - smoothstep(over, 0, UPPER_FADE)) * reach
    share_low = below * (1 - smoothstep(under, 0, LOWER_FADE)) * reach
    arm = 13 * MM
    lift = np.zeros_like(radius)
    if "close" in shape:
        fissure = (upper - lower)[:, 0]
        turn_up, turn_low = (shape["close"]["upper"] - 1) * fissure, shape["close"]["lower"] * fissure
        outermost = np.maximum(upper[:, 1], lower[:, 1] + LID_STEP)
        lift = share_up * (outermost - upper[:, 1]) + share_low * (outermost - LID_STEP - lower[:, 1])
    else:
        turn_up, turn_low = (travel.get(k, 0) * MM / arm * opening for k in ("upper", "lower"))
    turn = share_up * turn_up + share_low * turn_low
    nasal = -(travel.get("nasal", 0) * (share_up + share_low) + travel.get("nasal_lower", 0) * share_low)
    to = _turned(place, turn, nasal * MM / arm * np.sqrt(opening))
    ray = to / radius[:, None]
    to = to + lift[:, None] * ray
    # shut lids bulge over the cornea
    before_cornea = np.exp(-((np.arccos(np.clip(ray[:, 2], -1, 1)) / np.deg2rad(24)) ** 2))
    swell = (share_up + share_low) * opening * (0.4 + 0.6 * before_cornea)
    outer = ~np.isin(near, np.setdiff1d(head.faces[head.part_faces("eye_socket")], head.loops["lid_margin_left"]))
    gaze = np.deg2rad(shape.get("gaze", [0, 0]))
    higher = _needed_lift(place[outer], to[outer], swell[outer], gaze)
    delta[near] = to + higher * swell[:, None] * ray - place
    return delta


def _needed_lift(start: np.ndarray, end: np.ndarray, swell: np.ndarray, gaze: np.ndarray) -> float:
    """How far (m) the end places of the lids' outer skin must swell for straight paths to clear the globe.

    A chord cuts the arc half way, and the cornea, turned by `gaze` (pitch down, yaw left; radians)
    with the shape, stands out of the sphere. They keep LID_GAP, or what they have at
    rest, as far as MOST_LIFT allows.
    """

    def clearance(p, w):
        r = np.linalg.norm(p, axis=1)
        pitch, yaw = w * gaze
        axis = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        return r - globe_radius(np.arccos(np.clip(p @ axis / r, -1, 1)))

    counts = (clearance(start, 0) < 3 * MM) & (swell > 0.3)
    least = np.minimum(clearance(start, 0), LID_GAP)
    lift = 0.0
    for w in (0.35, 0.5, 0.75, 1.0):
        short = (least - clearance(start + w * (end - start), w)) / (w * np.maximum(swell, 0.3))
        lift = max(lift, float(short[counts].max(initial=0.0)))
    return min(lift, MOST_LIFT)


def _turned(place: np.ndarray, pitch: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    x, y, z = place.T
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    return np.stack([x * np.cos(yaw) + z * np.sin(yaw), y, z * np.cos(yaw) - x * np.sin(yaw)], -1)


@dataclass(frozen=True)
class ExpressionBuilder:
    """Everything that all shapes share."""

    anatomy: Anatomy

    @cached_property
    def slits(self) -> Slits:
        return Slits.of(self.anatomy)

    @cached_property
    def pointed(self) -> Anatomy:
        """The anatomy with the parting line's points for each lip in place of the one stomion."""
        points, head = dict(self.anatomy.points), self.anatomy.head
        del points["stomion"]
        for lip in ("upper", "lower"):
            line = head.vertices[head.loops[f"stomion_{lip}"]]
            left = line[line[:, 0] >= -1e-6]
            points[f"stomion_{lip}"] = left[left[:, 0].argmin()]
            points[f"seam_{lip}"] = left[np.abs(left[:, 0] - 0.55 * left[:, 0].max()).argmin()]
        return replace(self.anatomy, points=points)

    def point_field(self, moves: dict, reach: float, both: bool) -> Float[np.ndarray, "v 3"]:
        """Vertex moves (m) carried from named points, torn at the slits only."""
        head = self.anatomy.head
        skin = head.vertices[: head.n_skin]
        above = 1 - smoothstep(skin[:, 1], -25 * MM, -5 * MM)  # 1 at the mouth, 0 at the eyes
        weights = ((1 - self.slits.eye) * (1 - above), None, self.slits.mouth * above)
        weights = (weights[0], 1 - weights[0] - weights[2], weights[2])
        delta = np.zeros_like(head.vertices)
        for weight, skip in zip(weights, (LOWER_LIDS | LOWER_LIP, UPPER_LIDS | LOWER_LIP, UPPER_LIDS | UPPER_LIP)):
            seen = {k: m for k, m in moves.items() if k.removeprefix("right.") not in skip}
            if not any(np.any(m) for m in seen.values()):
                continue
            centres, values = self.pointed.handles(seen, reach * MM, float(both), skip)
            moved = centres[np.any(values, axis=1)]
            gap = np.linalg.norm(skin[:, None] - moved[None], axis=2).min(1)
            fade = 1 - smoothstep(gap, 1.2 * reach * MM, 2.4 * reach * MM)
            delta[: head.n_skin] += rbf(centres, values, skin, 5 * MM) * (fade * weight)[:, None]
        return delta

    def jaw_field(self, turn: float, shift: list[float]) -> Float[np.ndarray, "v 3"]:
        """Moves with the mandible: a turn (degrees) about the condyles and a shift (mm), each by weight."""
        weight = self.slits.jaw
        place = self.anatomy.head.vertices - self.anatomy.points[JAW_AXIS] * [0, 1, 1]
        moved = _turned(place, -np.deg2rad(turn) * weight, np.zeros_like(weight))
        return moved - place + weight[:, None] * np.array(shift) * MM

    def close_field(self, opened: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """What shuts the lips while the jaw is open: takes `opened` back at the lips, fading to the chin."""
        p, head = self.pointed.points | self.anatomy.points, self.anatomy.head
        share = dict.fromkeys(("stomion", "seam_upper", "seam_lower", "lower_lip_front", "cheilion"), 1.0)
        share |= {"labiale_inferius": 0.97, "lower_verm_lat": 0.97, "sublabiale": 0.55, "modiolus": 0.7, "marionette": 0.4}
        share |= {"pogonion": 0.12, "lower_incisor_edge": 0.9}
        still = ("gnathion", "menton", "mental_tubercle", "prejowl", "jaw_mid_body", "submental_mid", "gonion", "masseter")
        share |= dict.fromkeys((*still, "cervical_point", "lower_first_molar"), 0.0)
        names = [*share, *(n for n in share if p[n][0] > 1e-4)]
        at = np.array([p[n] * (MIRROR if i >= len(share) else 1) for i, n in enumerate(names)])
        back = rbf(at, np.array([[share[n]] for n in names]), head.vertices[: head.n_skin])
        deep = smoothstep(p["stomion"][2] - head.vertices[: head.n_skin, 2], 12 * MM, 34 * MM)
        out = np.zeros_like(opened)
        lips = np.clip(back[:, 0], 0, 1) * (1 - deep * self._inside)
        out[: head.n_skin] = -lips[:, None] * opened[: head.n_skin]
        return out

    @cached_property
    def _inside(self) -> Float[np.ndarray, " n"]:
        """1 in the mouth bag, 0 on outer skin."""
        head = self.anatomy.head
        out = np.zeros(head.n_skin)
        if "mouth_bag" in head.part_names:
            out[head.faces[head.face_part == head.part_names.index("mouth_bag")].ravel()] = 1
        return out

    def tongue_field(self, tip: list[float], arch: float) -> Float[np.ndarray, "v 3"]:
        """The tongue put out: its tip moves by `tip`, its middle `arch` higher (mm), its root stays."""
        head = self.anatomy.head
        rows = head.part_vertices("tongue")
        z = head.vertices[rows, 2]
        along = smoothstep((z - z.min()) / np.ptp(z), 0.1, 1.0)[:, None]
        delta = np.zeros_like(head.vertices)
        delta[rows] = (along * tip + 4 * along * (1 - along) * [0, arch, 0]) * MM
        return delta

    def shape(self, spec: dict, both: bool) -> Float[np.ndarray, "v 3"]:
        """One shape; a one-sided one for the subject's left."""
        delta = np.zeros_like(self.anatomy.head.vertices)
        if "moves" in spec:
            delta += self.point_field(spec["moves"], spec["reach"], both)
            delta = self.anatomy.wrap_globes(delta)
        if "lids" in spec or "close" in spec:
            delta += lid_field(self.anatomy, self.slits, spec)
        if "jaw" in spec:
            delta += self.jaw_field(**spec["jaw"])
        if "tongue" in spec:
            delta += self.tongue_field(**spec["tongue"])
        return delta


def load_shapes() -> dict[str, dict[str, dict]]:
    """The authored shapes, `paired` and `single`, with groups of points expanded."""
    spec = yaml.safe_load((HERE / "expressions.yaml").read_text())
    groups = yaml.safe_load((HERE / "identity.yaml").read_text())["groups"]
    for shape in (*spec["paired"].values(), *spec["single"].values()):
        if "moves" in shape:
            shape["moves"] = expand_groups(shape["moves"], groups)
    return spec


def build_expressions(build: ExpressionBuilder) -> tuple[list[str], Float[np.ndarray, "e v 3"]]:
    """Names (ARKit's) and vertex moves (m) at weight 1."""
    spec, anatomy = load_shapes(), build.anatomy
    fields = {}
    for name, shape in spec["paired"].items():
        fields[f"{name}_L"] = build.shape(shape, both=False)
        fields[f"{name}_R"] = anatomy.mirrored(fields[f"{name}_L"])
    for name, shape in spec["single"].items():
        field = build.shape(shape, both=not name.endswith("Left"))
        if name.endswith("Left"):
            fields[name], fields[name.replace("Left", "Right")] = field, anatomy.mirrored(field)
        else:
            fields[name] = anatomy.symmetric(field)
    fields["mouthClose"] = anatomy.symmetric(build.close_field(fields["jawOpen"]))
    return list(fields), np.stack(list(fields.values()))
