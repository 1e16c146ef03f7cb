"""Joints and skinning of the embedded head, with its identity axes and expression shapes."""

import numpy as np
from jaxtyping import Float

from .assemble import Assembled
from .correctives import build_correctives
from .expressions import ExpressionBuilder, build_expressions, load_shapes
from .fields import EYEBALLS, MIRROR, MM, Anatomy, smoothstep
from .identity import build_identity

JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
ROOT = np.array([0.0, -150.0, -35.0]) * MM  # between C7 and the jugular notch
NECK = np.array([0.0, -78.0, -24.0]) * MM  # about C3: one pivot for what the whole neck does
# The neck turns between two planes that rise backwards, through C7 and the jugular notch and under
# jaw and nape: heights (m) at z = 0, and slope.
BASE, TOP, SLOPE = -152 * MM, -78 * MM, -0.30
# The joints' followers: points whose mean move, both sides, an identity axis gives to the joint.
FOLLOW = {
    "root": ("cervicale_C7", "suprasternal_notch"),
    "neck": ("nuchal_concavity", "cervical_point"),
    "jaw": ("tragion",),
}


def jaw_pivot(anatomy: Anatomy) -> Float[np.ndarray, " 3"]:
    """Centre of the turn that equals the turn about the condyles with its glide: where `jawOpen` turns.

    It lies below the condyles, as the best single centre of human jaw opening does (Mehl 2025).
    """
    jaw = load_shapes()["single"]["jawOpen"]["jaw"]
    angle = np.deg2rad(jaw["turn"])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # of (y, z)
    offset = np.linalg.solve(np.eye(2) - turn, np.array(jaw["shift"][1:]) * MM)
    return anatomy.points["condyle_centre"] * [0, 1, 1] + [0, *offset]


def skin_weights(anatomy: Anatomy, jaw: Float[np.ndarray, " v"]) -> Float[np.ndarray, "v j"]:
    """Weights of `JOINTS`: rows sum to 1; eyeballs turn with their joint alone.

    Args:
        jaw: how far each vertex goes with the mandible.
    """
    head = anatomy.head
    height = head.vertices[:, 1] - SLOPE * head.vertices[:, 2]
    turns = smoothstep(height, BASE, TOP)
    weights = np.zeros((len(head.vertices), len(JOINTS)))
    weights[:, 0] = 1 - turns
    weights[:, 1] = turns * (1 - jaw)
    weights[:, 2] = turns * jaw
    for k, part in enumerate(EYEBALLS):
        weights[head.part_vertices(part)] = np.eye(len(JOINTS))[3 + k]
    return weights


def joint_moves(anatomy: Anatomy, delta: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "j 3"]:
    """What a vertex field does to the joints."""
    left, right = anatomy.point_moves(delta), anatomy.point_moves(anatomy.mirrored(delta))
    means = []
    for names in FOLLOW.values():
        both = [left[n] for n in names] + [right[n] * MIRROR for n in names]
        means.append(np.mean(both, axis=0))
    globes = [delta[anatomy.head.part_vertices(part)].mean(0) for part in EYEBALLS]
    return np.stack([*means, *globes])


def build_rig(head: Assembled) -> dict[str, np.ndarray]:
    """Shapes, joints and weights of `HeadModel` (see its docstring) for an assembled head."""
    anatomy = Anatomy.of(head)
    shape_names, shape_deltas, cholesky = build_identity(anatomy)
    builder = ExpressionBuilder(anatomy)
    expression_names, expression_deltas = build_expressions(builder)
    shapes = dict(zip(shape_names, shape_deltas, strict=True))
    pairs, corrective_deltas = build_correctives(builder, expression_names, shapes)
    return {
        "shape_names": np.array(shape_names),
        "shape_deltas": shape_deltas,
        "shape_cholesky": cholesky,
        "expression_names": np.array(expression_names),
        "expression_deltas": expression_deltas,
        "corrective_pairs": np.array(pairs),
        "corrective_deltas": corrective_deltas,
        "joint_names": np.array(JOINTS),
        "joint_parents": np.array(PARENTS, np.int32),
        "joints": np.stack([ROOT, NECK, jaw_pivot(anatomy), *head.eye_centres]),
        "joint_shape_deltas": np.stack([joint_moves(anatomy, d) for d in shape_deltas]),
        "weights": skin_weights(anatomy, builder.slits.jaw),
    }
