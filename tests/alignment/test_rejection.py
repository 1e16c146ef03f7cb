"""Reasons are names that count well."""

import numpy as np
import torch

from synthforge.alignment import AlignmentLimits, Cameras, rejections
from synthforge.cameras.orbit import orbit_camera


def test_reasons_name_what_and_where():
    yaws = (0, 0, 40, -20, 40)
    cameras = Cameras.stack([orbit_camera(np.deg2rad(y), 0, 0, 1, 0.3, np.zeros(3), (8, 8)) for y in yaws])
    rms = torch.tensor([0.0005, 0.002, 0.003, 0.0005, torch.nan])
    inliers = torch.tensor([0.9, 0.9, 0.9, 0.2, 0.9])
    assert rejections(rms, inliers, cameras, AlignmentLimits(rms_mm=1.0, inliers=0.4)) == [
        None,
        "alignment residual, yaw 0 to 15",
        "alignment residual, yaw 30 to 45",
        "alignment lost, yaw -30 to -15",
        "alignment lost, yaw 30 to 45",
    ]
