"""Material of the inside of the mouth: single teeth, gums, tongue, and the dark cavity behind them."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.color import lab_to_linear
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.numeric import smoothstep as step
from synthforge.generators.shading.numeric import unit, unit32
from synthforge.generators.shading.shade import Material, Samples
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import interpolate

# Teeth: the middle of the shades at 20 years. Source: CIELAB of natural incisors in the ranges
# L* 66-76, b* 10-22 of spectrophotometer studies, which lose about 2 L* and gain 1.5 b* a decade.
_LAB = {
    "upper_teeth": (78, 1.0, 12),
    "lower_teeth": (75, 1.0, 13),
    "upper_gum": (50, 25, 13),
    "lower_gum": (50, 25, 13),
    "tongue": (54, 25, 12),
    "mouth_bag": (34, 26, 13),
}
_AGED_LAB = np.array([-0.20, 0.02, 0.15])  # per year over 20


def crowns(head: HeadModel) -> Float[np.ndarray, "v 3"]:
    """Places on the crowns of the teeth; 0 on all other vertices, and where a jaw is in one piece.

    Columns: towards a neighbour (0 in the middle of the crown, 1 where two touch), towards the root (0 at the
    edge, 1 where the crown ends) and towards the tongue (0 on the lips' side, 1).
    """
    place = np.zeros((len(head.vertices), 3), np.float32)
    for name, root_up in (("upper_teeth", 1.0), ("lower_teeth", -1.0)):
        if name in head.part_names:
            _place_crowns(head, head.part_names.index(name), root_up, place)
    return place


def _place_crowns(head: HeadModel, part: int, root_up: float, place: np.ndarray) -> None:
    """Fill in one jaw; its crowns are pieces that share no vertex."""
    used, faces = np.unique(head.faces[head.face_part == part], return_inverse=True)
    faces = faces.reshape(-1, 3)
    ones = np.ones(2 * len(faces))
    edges = coo_matrix((ones, (faces[:, :2].ravel("F"), faces[:, 1:].ravel("F"))), shape=(len(used),) * 2)
    n, piece = connected_components(edges, directed=False)
    if n < 4:
        return
    rest = head.vertices.numpy()[used].astype(np.float64)
    middle = np.stack([rest[piece == i].mean(0) for i in range(n)])
    back = np.array([0.0, 0.0, middle[:, 2].min() - 0.005])
    order = np.argsort(np.arctan2(*(middle - back)[:, [0, 2]].T))
    along = np.empty((n, 3))
    along[order] = np.gradient(middle[order] * [1, 0, 1], axis=0)
    along = unit(along)
    inward = np.stack([along[:, 2], np.zeros(n), -along[:, 0]], -1)  # `along` runs to the subject's left
    for i in range(n):
        mine = np.flatnonzero(piece == i)
        p = rest[mine] - middle[i]
        side, rise, deep = np.abs(p @ along[i]), root_up * p[:, 1], p @ inward[i]
        place[used[mine]] = np.stack([side / side.max(), *(_share(x) for x in (rise, deep))], -1)


def _share(x: np.ndarray) -> np.ndarray:
    return (x - x.min()) / max(float(np.ptp(x)), 1e-9)


def mouth_material(
    person: Person, samples: Samples, contact: Float[np.ndarray, " n"], lip_front: float
) -> Material:
    """Material of samples inside the mouth: teeth, which turn yellow with age, gums, tongue and cavity.

    They get darker the further they lie behind the lips.

    Args:
        contact: the lips' soft shadow, 0 to 1.
        lip_front: canonical z (m) of the line between the lips.
    """
    head = person.head
    n = len(samples.position)
    lab = np.tile(np.array(_LAB["mouth_bag"], float), (n, 1))
    wet, tooth, tongue = (np.zeros(n, bool) for _ in range(3))
    for name, color in _LAB.items():
        if name not in head.part_names:
            continue
        mine = samples.part == head.part_names.index(name)
        lab[mine] = color
        wet |= mine & (name != "mouth_bag")
        tooth |= mine & name.endswith("teeth")
        tongue |= mine & (name == "tongue")
    lab[tooth] += max(person.appearance.age - 20.0, 0.0) * _AGED_LAB
    p = np.ascontiguousarray(samples.canonical)
    grain = noise(p, 0.0012, np.zeros(3))
    dark = np.zeros(n)
    if tooth.any():
        near, root, inner = interpolate(head.derived(crowns), head.faces, samples.fragments)[0][tooth].T
        lab[tooth] += step(0.45, 0.85, root)[:, None] * [-4.0, 3.0, 5.0]  # dentine shows at the neck
        lab[tooth] += step(0.12, 0.0, root)[:, None] * [-5.0, -1.0, -6.0]  # the edge lets light through
        between = step(0.62, 1.0, near)
        dark[tooth] = 0.40 * between + 0.25 * between * step(0.35, 0.0, root) + 0.7 * inner
    behind = np.maximum(lip_front - 0.006 - p[:, 2], 0) / 0.010
    side = np.maximum(np.abs(p[:, 0]) - 0.010, 0) / 0.014
    shade = (0.06 + 0.94 * 0.5 ** (0.6 * behind + 0.45 * side)) * (1 - 0.58 * contact) * np.exp(-dark)
    tint = np.where(
        tooth[:, None], [0.95, 1.03, 1.08], [0.85, 1.05, 1.08]
    )  # light between the walls turns red
    albedo = lab_to_linear(lab) * np.exp(0.05 * grain[:, 3:]) * shade[:, None] ** tint
    bump = np.where(tongue[:, None], 0.12, 0.03) * grain[:, :3]
    ones = np.ones(n, np.float32)
    return Material(
        albedo=albedo.astype(np.float32),
        normal=unit32(samples.normal + bump),
        roughness=np.where(tooth, 0.20, 0.27).astype(np.float32),
        coat=np.where(wet, 0.6, 0.2).astype(np.float32),
        specular=(0.040 * shade).astype(np.float32),
        scatter=0.6 * ones,
        ambient=np.clip(0.06 + 0.94 * shade, 0, 1).astype(np.float32),
    )
