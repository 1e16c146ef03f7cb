"""What alignment needs of a neural volume."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from synthforge.alignment.frame import Cameras


@runtime_checkable
class NeuralView(Protocol):
    """What any neural generator shows: n scenes in the head's world frame (metres), each seen by one camera.

    `depth` is the expected z-depth in metres (`z_of_ray` converts distances along rays) and `alpha` the
    accumulated weight in [0, 1], both with row 0 at the top; where alpha is 0 depth says nothing. Alignment
    works with these alone (of Gaussians, say), and better with the density of a `NeuralVolume`.
    """

    cameras: Cameras
    depth: Float[Tensor, "n h w"]
    alpha: Float[Tensor, "n h w"]


@runtime_checkable
class NeuralVolume(NeuralView, Protocol):
    """A view whose scene has a density, which knows no viewpoint."""

    def density(self, points: Float[Tensor, "n m 3"]) -> Float[Tensor, "n m"]:
        """Density per metre (what volume rendering integrates, not negative) at world points in metres."""
        ...


def z_of_ray(distance: Float[Tensor, "n h w"], intrinsics: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n h w"]:
    """z-depth of points given by their distance along the ray through each pixel's centre."""
    height, width = distance.shape[1:]
    v = (torch.arange(height, device=distance.device) + 0.5) / height
    u = (torch.arange(width, device=distance.device) + 0.5) / width
    k = intrinsics[:, :, :, None, None]
    y = (v[:, None] - k[:, 1, 2]) / k[:, 1, 1]
    x = (u - k[:, 0, 2] - k[:, 0, 1] * y) / k[:, 0, 0]
    return distance / (1 + x * x + y * y).sqrt()
