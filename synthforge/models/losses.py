"""Losses of stage I and stage II; each one is a mean over what is labelled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer, UInt8
from torch import Tensor
from torch.nn import functional as F

from synthforge.conventions import IGNORE
from synthforge.errors import ConfigError
from synthforge.models.hourglass import cell_centres


@dataclass(frozen=True)
class LossConfig:
    """Weights. `point_beta` is where the smooth L1 turns from square to straight (fraction of the crop)."""

    heatmap: float = 1.0
    points: float = 20.0
    point_beta: float = 0.01
    heatmap_sigma: float = 1.0  # cells
    segmentation: float = 1.0
    dice: float = 0.0
    depth: float = 10.0  # per metre
    consistency: float = 0.1
    consistency_fraction: float = 0.125  # share of a batch that is warped
    map_fraction: float = 1.0  # share of a batch that segmentation and depth are trained on
    occluded: float = 1.0  # weight of a point that something hides

    def __post_init__(self):
        for name, value in vars(self).items():
            top = 1.0 if name.endswith("_fraction") or name == "occluded" else math.inf
            if not 0 <= value <= top or value == math.inf:
                raise ConfigError(f"got {value}", where=name, fix=f"use 0 to {top:g}")
        if not (self.point_beta and self.heatmap_sigma and self.map_fraction):
            raise ConfigError("got 0", where="point_beta, heatmap_sigma or map_fraction", fix="use more")


def stacks_loss(
    stacks: Sequence[Float[Tensor, "b p h w"]],
    points: Float[Tensor, "b p 2"],
    weight: Float[Tensor, "b p"],
    sigma: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean of `heatmap_loss` over all hourglasses of a stack (Newell et al. 2016)."""
    return torch.stack([heatmap_loss(maps, points, weight, sigma) for maps in stacks]).mean()


def heatmap_loss(
    log_maps: Float[Tensor, "b p h w"],
    points: Float[Tensor, "b p 2"],
    weight: Float[Tensor, "b p"],
    sigma: float = 1.0,
) -> Float[Tensor, ""]:
    """Cross-entropy between each map and a Gaussian of `sigma` cells at the true point.

    The Gaussian is separable and normalised over the cells, so its place is sub-pixel exact.
    """
    h, w = log_maps.shape[-2:]
    y, x = cell_centres(h, w, like=log_maps)
    across = F.softmax(-(((x - points[..., :1]) * w / sigma) ** 2) / 2, dim=-1)  # b p w
    along = F.softmax(-(((y - points[..., 1:]) * h / sigma) ** 2) / 2, dim=-1)  # b p h
    entropy = -torch.einsum("bph,bphw,bpw->bp", along, log_maps, across)
    return weighted_mean(entropy, weight)


def point_loss(
    predicted: Float[Tensor, "b p 2"],
    points: Float[Tensor, "b p 2"],
    weight: Float[Tensor, "b p"],
    beta: float = 0.01,
) -> Float[Tensor, ""]:
    """Smooth L1 of the coordinates, summed over x and y (fractions of the crop)."""
    error = F.smooth_l1_loss(predicted, points, beta=beta, reduction="none").sum(-1)
    return weighted_mean(error, weight)


def segmentation_loss(
    logits: Float[Tensor, "b c h w"], classes: Integer[Tensor, "b h w"], dice: float = 0.0
) -> Float[Tensor, ""]:
    """Cross-entropy over the labelled pixels (255 is ignored), plus `dice` times a soft Dice loss.

    Dice is over the batch and the classes that occur in it, so that thin parts count as much as hair.
    """
    known = classes.flatten() != IGNORE
    if not known.any():
        return logits.sum() * 0
    # Classes last: contiguous for the channels-last maps of the network, and much faster on a CPU.
    flat = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).float()
    target = classes.flatten().long()
    loss = F.cross_entropy(flat, target, ignore_index=IGNORE)
    if dice:
        p = F.softmax(flat, dim=1) * known[:, None]
        size, true = p.sum(0), torch.bincount(target[known], minlength=flat.shape[1])
        overlap = p.gather(1, torch.where(known, target, 0)[:, None])[:, 0]
        overlap = torch.zeros_like(size).index_add(0, torch.where(known, target, 0), overlap)
        loss = loss + dice * (1 - (2 * overlap + 1) / (size + true + 1))[true > 0].mean()
    return loss


def coverage_loss(
    logits: Float[Tensor, "b c h w"], coverage: UInt8[Tensor, "b c h w"], dice: float = 0.0
) -> Float[Tensor, ""]:
    """As `segmentation_loss`, for pixels that several classes share: `coverage` (255: all) is the target.

    A pixel counts by the share of it that has a label. Source: soft hair labels of "Knowing the Distance".
    """
    flat = logits.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).float()
    target = coverage.permute(0, 2, 3, 1).reshape(flat.shape).float() / 255
    known = target.sum(1)
    log_p = F.log_softmax(flat, dim=1)
    if not known.any():
        return logits.sum() * 0
    loss = -(target * log_p).sum() / known.sum()
    if dice:
        p = log_p.exp()
        size, true = (p * known[:, None]).sum(0), target.sum(0)
        loss = loss + dice * (1 - (2 * (p * target).sum(0) + 1) / (size + true + 1))[true > 0].mean()
    return loss


def depth_loss(
    predicted: Float[Tensor, "b h w"], depth: Float[Tensor, "b h w"], beta: float = 0.01
) -> Float[Tensor, ""]:
    """Smooth L1 over the pixels whose depth is known (finite), metres; 0 where none is."""
    known = torch.isfinite(depth)
    error = F.smooth_l1_loss(predicted, torch.where(known, depth, 0.0), beta=beta, reduction="none")
    return weighted_mean(error, known.float())


def scale_free(depth: Float[Tensor, "b h w"], known: Bool[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Depth about its median over its mean distance from it, image by image; 0 where it is not known.

    It is the same whatever the unit and the zero of depth are. Source: MiDaS (Ranftl et al. 2020).
    """
    centred = torch.where(known, relative_depth(torch.where(known, depth, torch.inf)), 0.0)
    spread = centred.abs().flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)
    return centred / spread.clamp(min=1e-4)[:, None, None]


def scale_free_loss(predicted: Float[Tensor, "b h w"], depth: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """Mean difference of both once they are `scale_free`, over the pixels whose depth is known."""
    known = torch.isfinite(depth)
    error = (scale_free(predicted, known) - scale_free(depth, known)).abs()
    return weighted_mean(error, known.float())


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Mean of `value` under `weight`; 0 where all weights are 0."""
    return (value * weight).sum() / weight.sum().clamp(min=1e-6)


def relative_depth(depth: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """z minus the image's median over the foreground (finite z), metres; background stays inf."""
    known = torch.isfinite(depth)
    median = torch.nanmedian(torch.where(known, depth, torch.nan).flatten(1), dim=1).values
    return torch.where(known, depth - torch.nan_to_num(median)[:, None, None], torch.inf)


def random_affines(
    n: int, generator: torch.Generator, rotation: float = 1.0, shift: float = 1 / 3
) -> Float[Tensor, "n 2 3"]:
    """Random rotation (radians) and shift (fraction of the image) in `affine_grid`'s coordinates.

    Source: SynthForge's self-consistency term: rotation within 57 degrees, shift within a third.
    """
    u = torch.rand(n, 3, generator=generator) * 2 - 1
    angle, t = u[:, 0] * rotation, u[:, 1:] * 2 * shift
    c, s = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([c, -s, t[:, 0]], 1), torch.stack([s, c, t[:, 1]], 1)], 1)


def warp(x: Tensor, affine: Float[Tensor, "b 2 3"], padding: str = "zeros") -> Tensor:
    """Resample maps b c h w under an affine map (half-pixel convention, bilinear)."""
    grid = F.affine_grid(affine.to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)


def warp_valid(affine: Float[Tensor, "b 2 3"], size: tuple[int, int]) -> Bool[Tensor, "b 1 h w"]:
    """Where a warped map shows something that was in frame."""
    ones = torch.ones(len(affine), 1, *size, dtype=affine.dtype, device=affine.device)
    return warp(ones, affine) > 0.999


def consistency_loss(
    features_of_warped: Float[Tensor, "b c h w"],
    features: Float[Tensor, "b c h w"],
    affine: Float[Tensor, "b 2 3"],
) -> Float[Tensor, ""]:
    """|E(warp(x)) - warp(E(x))|: mean over channels and over the pixels that stay in frame.

    The second term is the target and takes no gradient. Both are divided by the spread of each target,
    so that shrinking the features does not satisfy the loss. Source: SynthForge, equation 2, with a
    mask and a mean in place of the released code's sum over zero padding.
    """
    with torch.no_grad():
        target = warp(features.float(), affine)
        mask = warp_valid(affine, (features.shape[2], features.shape[3])).float()
        spread = features.float().std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3)
    error = (features_of_warped.float() - target).abs().mean(1, keepdim=True) / spread
    return weighted_mean(error, mask)
