"""A stand-in for GNM in its owner's file formats, made of the embedded head.

All parts of the embedded head, stretched and moved into another frame; 253 shapes and 383 expressions, the
embedded head's first, then random smooth ones. Every part has uv charts of its own that overlap the others',
as GNM's do.
"""

from functools import cache
from pathlib import Path

import numpy as np

from synthforge.conventions import CLASS_ID
from synthforge.heads.anthro import load_anthro
from synthforge.heads.dense import face_classes
from tests.helpers.flame_files import smooth_fields

N_SHAPE, N_EXPRESSION = 253, 383
STRETCH, SHIFT = np.array([1.04, 0.97, 1.02]), np.array([0.0, 0.24, 0.015])
_JAW_ORDER = [0, 1, 6, 5, 4, 3, 2, *range(7, 68)]  # as the published points are said to be stored


@cache
def stand_in() -> dict[str, np.ndarray]:
    """The arrays of `gnm_head.npz`."""
    head, rng = load_anthro(), np.random.default_rng(5)
    vertices = head.vertices.numpy() * STRETCH + SHIFT
    names = np.array(head.joint_names)
    joints = [int(np.flatnonzero(names == n)[0]) for n in ("root", "neck", "left_eye", "right_eye")]
    weights = head.weights.numpy().T.copy()
    weights[1] += weights[2]  # the jaw moves by expressions

    def deltas(own: np.ndarray, count: int) -> np.ndarray:
        rest = smooth_fields(vertices, count - len(own), rng) * 2e-4
        return np.concatenate([own * STRETCH, rest]).astype(np.float32)

    shape = deltas(head.shape_deltas.numpy(), N_SHAPE)
    joint_shape = np.zeros((N_SHAPE, 4, 3), np.float32)
    joint_shape[: head.n_shape] = head.joint_shape_deltas.numpy()[:, joints] * STRETCH
    groups = _groups(head)
    return {
        "version": np.array("3.0"),
        "variant": np.array("head"),
        "template_vertex_positions": vertices.astype(np.float32),
        "template_joint_positions": (head.joints.numpy()[joints] * STRETCH + SHIFT).astype(np.float32),
        "vertex_identity_basis": shape,
        "joint_identity_basis": joint_shape,
        "expression_basis": deltas(head.expression_deltas.numpy() * 0.4, N_EXPRESSION),
        "identity_names": np.array([f"head_{i:03d}" for i in range(N_SHAPE)]),
        "expression_names": np.array([f"lower_face_region_{i:03d}" for i in range(N_EXPRESSION)]),
        "joint_names": np.array(["neck", "head", "left_eye", "right_eye"]),
        "joint_parent_indices": np.array([-1, 0, 1, 1]),
        "skinning_weights": weights[joints],
        "triangles": head.faces,
        "triangle_uvs": _uv(head),
        "pose_correctives_regressor": np.float32(smooth_fields(vertices, 36, rng).reshape(36, -1) * 2e-4),
        "vertex_group_names": np.array(list(groups)),
        "vertex_groups": np.stack(list(groups.values())).astype(np.float32),
    }


def write_gnm(folder: Path, **changes: np.ndarray) -> Path:
    """The stand-in's two files in `folder`, with other arrays where given; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "gnm_head.npz", **{k: v for k, v in (stand_in() | changes).items() if v is not None})
    head = load_anthro()
    corners = head.faces[head.landmarks_face][_JAW_ORDER]
    rows = np.stack([corners, head.landmarks_barycentric[_JAW_ORDER]], -1).reshape(68, 6)
    np.savetxt(folder / "head_sparse_68.txt", rows, fmt=["%d", "%.8f"] * 3)
    return folder


def _groups(head) -> dict[str, np.ndarray]:  # noqa: ANN001
    """Vertex groups under GNM's names, from the embedded head's parts and classes."""
    n = len(head.vertices)

    def of(faces: np.ndarray) -> np.ndarray:
        out = np.zeros(n, bool)
        out[head.faces[faces]] = True
        return out

    part = {name: of(head.face_part == i) for i, name in enumerate(head.part_names)}
    classes = face_classes(head)
    outside = part["skin"] | part["ear"]
    inner = part["mouth_bag"] | part["eye_socket"]
    teeth, gums = (part[f"upper_{k}"] | part[f"lower_{k}"] for k in ("teeth", "gum"))
    eyes = {side: part[f"{side}_eyeball"] | part[f"{side}_caruncle"] for side in ("left", "right")}
    return {
        "skin": outside | inner | part["nostril"],
        "skin_exterior": outside,
        "nose_region": of(classes == CLASS_ID["nose"]) & outside,
        "ears": part["ear"],
        "left_eye": eyes["left"],
        "right_eye": eyes["right"],
        "scleras": part["left_eyeball"] | part["right_eyeball"],
        "mouth_sock": part["mouth_bag"],
        "teeth": teeth,
        "gums": gums,
        "upper_teeth_and_gums": part["upper_teeth"] | part["upper_gum"],
        "lower_teeth_and_gums": part["lower_teeth"] | part["lower_gum"],
        "tongue": part["tongue"],
    }


def _uv(head) -> np.ndarray:  # noqa: ANN001
    """The embedded head's charts for the outside; all other parts spread over the whole square."""
    uv = head.uv[head.face_uvs].astype(np.float64)
    for i, name in enumerate(head.part_names):
        if name not in ("skin", "ear"):
            mine = uv[head.face_part == i]
            low, high = mine.reshape(-1, 2).min(0), mine.reshape(-1, 2).max(0)
            uv[head.face_part == i] = (mine - low) / (high - low)
    return uv.astype(np.float32)
