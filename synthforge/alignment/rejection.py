"""Which aligned samples to throw away, and under which name to count them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from synthforge.alignment.frame import Cameras

BIN_DEG = 15.0


@dataclass(frozen=True)
class AlignmentLimits:
    """A sample is kept when its residual is at most `rms_mm` and at least `inliers` of the face's points
    found the surface; the rest may be under hair."""

    rms_mm: float = 1.5
    inliers: float = 0.4


def pose_bins(cameras: Cameras, width_deg: float = BIN_DEG) -> list[str]:
    """Names such as "yaw 30 to 45" (degrees, positive to the subject's left) of where cameras look from."""
    lows = (torch.rad2deg(cameras.yaw_pitch()[:, 0]) / width_deg).floor() * width_deg + 0.0  # not -0
    return [f"yaw {low:g} to {low + width_deg:g}" for low in lows.tolist()]


def rejections(
    rms: Float[Tensor, " n"], inliers: Float[Tensor, " n"], cameras: Cameras, limits: AlignmentLimits
) -> Sequence[str | None]:
    """Why each sample is rejected, such as "alignment residual, yaw 30 to 45", or None.

    Args:
        rms: metres.
        inliers: share in [0, 1].
    """
    out: list[str | None] = []
    for value, share, pose in zip(rms.tolist(), inliers.tolist(), pose_bins(cameras), strict=True):
        if not math.isfinite(value) or share < limits.inliers:
            out.append(f"alignment lost, {pose}")
        else:
            out.append(f"alignment residual, {pose}" if 1e3 * value > limits.rms_mm else None)
    return out
