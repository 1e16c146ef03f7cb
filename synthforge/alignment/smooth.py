"""Smooth displacement fields on a head, in order of how likely they are."""

import torch
from jaxtyping import Float
from torch import Tensor


def smooth_basis(
    points: Float[Tensor, "v 3"], n_functions: int, sd: float, length: float, n_knots: int = 300
) -> Float[Tensor, "v k"]:
    """The leading functions at `points` (m) of a Gaussian prior on displacements.

    One component of the displacement has standard deviation `sd` (m) everywhere and correlation
    exp(-d² / 2 length²) over a distance d (m). Independent standard normals times the functions have that
    covariance, but for the finest detail.

    Source: Williams & Seeger, Using the Nystroem method to speed up kernel machines (2001).
    """
    points = points.double()
    knots = _farthest(points, min(n_knots, len(points)))
    value, vector = torch.linalg.eigh(_covariance(knots, knots, sd, length))
    n = min(n_functions, len(knots))
    value, vector = value.flip(0)[:n], vector.flip(1)[:, :n]
    return (_covariance(points, knots, sd, length) @ (vector / value.clamp(min=1e-12 * sd**2).sqrt())).float()


def _covariance(a: Tensor, b: Tensor, sd: float, length: float) -> Tensor:
    squared = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()
    return sd**2 * torch.exp(squared / (-2 * length**2))


def _farthest(points: Tensor, n: int) -> Tensor:
    """n of the points, each as far as can be from those before it."""
    chosen = [0]
    gap = (points - points[0]).norm(dim=1)
    for _ in range(n - 1):
        chosen.append(int(gap.argmax()))
        gap = torch.minimum(gap, (points - points[chosen[-1]]).norm(dim=1))
    return points[chosen]
