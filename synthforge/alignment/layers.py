"""Masks that only the volume can give: the foreground, and what stands before or beside the head."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

IN_FRONT = 4e-3  # metres before the mesh at which something counts half as hair (or another cover)
SOFTNESS = 2e-3  # metres to either side of it over which the mask goes from 0 to 1


class Layers(NamedTuple):
    """`foreground`: the share of each pixel that is not background. `hair_or_other`: the share that the
    volume covers before or outside the mesh: hair, headwear, glasses, clothes. Both in [0, 1]."""

    foreground: Float[Tensor, "n H W"]
    hair_or_other: Float[Tensor, "n H W"]


def derive_layers(
    mesh_depth: Float[Tensor, "n H W"],
    coverage: Float[Tensor, "n H W"],
    depth: Float[Tensor, "n h w"],
    alpha: Float[Tensor, "n h w"],
    depth_bias: Float[Tensor, " n"],
) -> Layers:
    """Soft masks at the resolution of the image.

    Mesh and volume are compared at the volume's resolution, the mesh averaged over each of its pixels as
    rendering averages the volume, so the edges of nose and head do not read as hair.

    Args:
        mesh_depth: z-depth of the aligned mesh (m), inf where it is not; H, W multiples of h, w.
        coverage: share of each pixel that the mesh covers.
        depth, alpha: of the volume, z-depth (m) and weight.
        depth_bias: how far the volume's depth stands behind its surface (m), from refinement.
    """
    shape, small = mesh_depth.shape[1:], (depth.shape[1], depth.shape[2])
    there = mesh_depth.isfinite()
    share = F.adaptive_avg_pool2d(there.to(depth), small)
    mean = F.adaptive_avg_pool2d(torch.where(there, mesh_depth, 0.0), small) / share.clamp(min=1e-6)
    gap = mean - (depth - depth_bias[:, None, None])
    front = _smoothstep((gap - IN_FRONT + SOFTNESS) / (2 * SOFTNESS))
    front = _enlarge(front * share * alpha, shape) / _enlarge(share, shape).clamp(min=1e-6)
    beside = F.adaptive_avg_pool2d(coverage, small)
    alpha, beside = _enlarge(alpha, shape), _enlarge(beside, shape)
    outside = ((alpha - beside) / (1 - beside).clamp(min=0.05)).clamp(0, 1)
    return Layers(
        (coverage + (1 - coverage) * outside).clamp(0, 1),
        (coverage * front + (1 - coverage) * outside).clamp(0, 1),
    )


def _enlarge(image: Tensor, shape: torch.Size) -> Tensor:
    return F.interpolate(image[:, None], tuple(shape), mode="bilinear", align_corners=False)[:, 0]


def _smoothstep(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
