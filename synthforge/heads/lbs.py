"""Linear blend skinning. Source: Loper et al., SMPL (2015), eq. 2-4."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rotation matrices of axis-angle vectors (radians).

    Source: Rodrigues' formula, with series near zero so that gradients stay finite.
    """
    angle2 = (axis_angle**2).sum(-1)[..., None, None]
    small = angle2 < 1e-8
    angle = torch.where(small, torch.ones_like(angle2), angle2).sqrt()
    a = torch.where(small, 1 - angle2 / 6, angle.sin() / angle)
    b = torch.where(small, 0.5 - angle2 / 24, (1 - angle.cos()) / angle**2)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + a * skew + b * (skew @ skew)


def joint_transforms(
    joints: Float[Tensor, "b j 3"], rotations: Float[Tensor, "b j 3 3"], parents: Sequence[int]
) -> tuple[Float[Tensor, "b j 3 3"], Float[Tensor, "b j 3"]]:
    """World rotation and shift of each joint, such that a point x fixed to it moves to R x + t.

    Joints turn about their rest positions `joints`; parents come before children.
    """
    turns: list[Tensor] = []  # b 3 3
    shifts: list[Tensor] = []  # b 3
    for j, parent in enumerate(parents):
        turn, centre = rotations[:, j], joints[:, j]
        local_shift = centre - torch.einsum("bij,bj->bi", turn, centre)
        if parent < 0:
            turns.append(turn)
            shifts.append(local_shift)
        else:
            turns.append(turns[parent] @ turn)
            shifts.append(torch.einsum("bij,bj->bi", turns[parent], local_shift) + shifts[parent])
    return torch.stack(turns, 1), torch.stack(shifts, 1)


def linear_blend_skinning(
    vertices: Float[Tensor, "b v 3"],
    joints: Float[Tensor, "b j 3"],
    rotations: Float[Tensor, "b j 3 3"],
    parents: Sequence[int],
    weights: Float[Tensor, "v j"],
) -> Float[Tensor, "b v 3"]:
    """Vertices moved by joints turning about their rest positions; parents come before children."""
    turns, shifts = joint_transforms(joints, rotations, parents)
    turn_v = torch.einsum("vj,bjkl->bvkl", weights, turns)
    shift_v = torch.einsum("vj,bjk->bvk", weights, shifts)
    return torch.einsum("bvkl,bvl->bvk", turn_v, vertices) + shift_v
