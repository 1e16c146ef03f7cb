"""Expression shapes under the ARKit names, one-sided ones with _L and _R (the subject's sides).

The moves stand in expressions.yaml. Three fields are solved for each shape: over the eyes' slits,
between them and the mouth, and under the mouth; each sees only the lid and lip points of its own
side, so that only the slits themselves tear. Lids and jaw turn about their axes (lids.py).
"""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float

from .fields import MIRROR, MM, Anatomy, harmonic, rbf, smoothstep
from .identity import LOWER_MOUTH, expand_groups
from .lids import lid_field, turned

HERE = Path(__file__).parent
UPPER_LIDS = frozenset(["palpebrale_sup", "lid_up_med", "lid_up_lat", "upper_lid_crease"])
LOWER_LIDS = frozenset(["palpebrale_inf", "lid_low_med", "lid_low_lat"])
UPPER_LIP = frozenset(
    "upper_verm_lat upper_lip_front labiale_superius crista_philtri seam_upper stomion_upper".split()
)
LOWER_LIP = frozenset("lower_verm_lat lower_lip_front labiale_inferius seam_lower stomion_lower".split())
# Points hidden from the field over the eye slits, between them and the mouth, and under the mouth.
HIDDEN = (LOWER_LIDS | LOWER_LIP, UPPER_LIDS | LOWER_LIP, UPPER_LIDS | UPPER_LIP)


@cache
def load_shapes() -> dict[str, dict]:
    """expressions.yaml with the groups of points in its moves expanded."""
    spec = yaml.safe_load((HERE / "expressions.yaml").read_text())
    groups = yaml.safe_load((HERE / "identity.yaml").read_text())["groups"]
    for shape in (*spec["paired"].values(), *spec["single"].values(), *spec["correctives"]):
        if "moves" in shape:
            shape["moves"] = expand_groups(shape["moves"], groups)
    return spec


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
    behind = (skin[:, 2] < p["gonion"][2] - 22 * MM) | (skin[:, 1] > p["alare"][1])
    below = skin[:, 1] < p["laryngeal_prominence"][1] + 6 * MM
    sets.append((np.flatnonzero(behind | below), 0.0))
    for share, names in load_shapes()["jaw_share"].items():
        radius = (5 if share in (0, 1) else 3) * MM
        sets += [(np.flatnonzero(np.linalg.norm(half - p[n], axis=1) < radius), share) for n in names]
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
        for weight, skip in zip(weights, HIDDEN, strict=True):
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
        place = self.anatomy.head.vertices - self.anatomy.points["condyle_centre"] * [0, 1, 1]
        moved = turned(place, -np.deg2rad(turn) * weight)
        return moved - place + weight[:, None] * np.array(shift) * MM

    def close_field(self, opened: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """What shuts the lips while the jaw is open: takes `opened` back at the lips, fading to the chin."""
        p, head = self.pointed.points | self.anatomy.points, self.anatomy.head
        share = {n: [s] for s, names in load_shapes()["close_share"].items() for n in names}
        sides = [(p[n], s) for n, s in share.items()] + [
            (p[n] * MIRROR, s) for n, s in share.items() if p[n][0] > 1e-4
        ]
        back = rbf(*map(np.array, zip(*sides, strict=True)), head.vertices[: head.n_skin])
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
            delta += lid_field(self.anatomy, self.slits.eye, spec)
        if "jaw" in spec:
            delta += self.jaw_field(**spec["jaw"])
        if "tongue" in spec:
            delta += self.tongue_field(**spec["tongue"])
        return delta


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
