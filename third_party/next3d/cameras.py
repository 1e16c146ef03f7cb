"""Camera labels: 25 numbers, cam2world (4 x 4) then intrinsics (3 x 3), both row by row.

cam2world takes OpenCV camera axes (x right, y down, z forward) to volume units; intrinsics are in image
widths.

Source: the conventions of the public checkpoints (Chan et al. (2022), "EG3D").
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 2.7  # volume units; the released training cameras
PIVOT = (0.0, 0.0, 0.2)


def fov_intrinsics(fov_deg: Tensor) -> Tensor:
    """Intrinsics (n 3 3) for the fields of view (n) by which the training data names its cameras.

    Both constants are rounded just so in training: the whole angle is 2 atan(0.707 tan(fov / 2)).
    """
    focal = 1 / (1.414 * torch.tan(fov_deg.double() * (3.14159 / 360)))
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    rows = [focal, zero, one / 2, zero, focal, one / 2, zero, zero, one]
    return torch.stack(rows, -1).unflatten(-1, (3, 3)).float()


def look_at(
    yaw: Tensor, pitch: Tensor, radius: float = RADIUS, pivot: tuple[float, float, float] = PIVOT
) -> Tensor:
    """cam2world (n 4 4) of cameras on a sphere around the origin that look at `pivot`.

    `yaw` (n, radians) > 0 moves to +x, the subject's left.  `pitch` (n) is no angle: the camera stands at
    height -2 radius pitch / pi, so that equal steps cover equal areas of the sphere; negative values look
    from above.
    """
    height = (math.pi / 2 + pitch.double()).clamp(1e-5, math.pi - 1e-5) * (-2 / math.pi) + 1  # cosine from +y
    across = (1 - height * height).clamp(min=0).sqrt()
    yaw = yaw.double()
    origin = radius * torch.stack([across * yaw.sin(), height, across * yaw.cos()], -1)
    forward = F.normalize(torch.tensor(pivot, dtype=torch.float64, device=yaw.device) - origin, dim=-1)
    vertical = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, device=yaw.device).expand_as(forward)
    right = F.normalize(torch.linalg.cross(forward, vertical), dim=-1)
    down = torch.linalg.cross(forward, right)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64, device=yaw.device)
    top = torch.stack([right, down, forward, origin], -1)  # n 3 4
    return torch.cat([top, bottom.expand(len(top), 1, 4)], 1).float()


def pack(cam2world: Tensor, intrinsics: Tensor) -> Tensor:
    """Camera labels (n 25)."""
    return torch.cat([cam2world.flatten(1), intrinsics.flatten(1)], 1)


def unpack(label: Tensor) -> tuple[Tensor, Tensor]:
    """cam2world (n 4 4) and intrinsics (n 3 3) of camera labels (n 25)."""
    return label[:, :16].unflatten(1, (4, 4)), label[:, 16:25].unflatten(1, (3, 3))
