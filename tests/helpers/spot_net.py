"""A planted network whose every answer is known: it finds a red spot in its crop.

Points lie around the spot's centroid in a fixed pattern, with heat maps narrow where red is strong and flat
where there is none; class 5 is where red is strong, and depth is a plane over the crop.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from synthforge.conventions import N_CLASSES, OURS
from synthforge.models.multitask import Prediction
from synthforge.models.store import StoredModel

SIZE, STRIDE, CLASS = 64, 2, 5
ANGLE = np.linspace(0, 2 * np.pi, 68, endpoint=False)
PATTERN = 0.25 * np.stack([np.cos(ANGLE), np.sin(ANGLE)], 1)  # about the spot, fractions of the crop
SIGMA = 0.06  # of the spot, fraction of the crop
RADIUS = SIGMA * np.sqrt(2 * np.log(2))  # where its red is half


def plane(u, v):
    """Depth (metres) at fractions u, v of the crop."""
    return 0.7 + 0.1 * u + 0.05 * v


class SpotNet(nn.Module):
    label_stride = STRIDE

    def __init__(self, spread: float = 1.0, depth_target: str = "metric"):
        super().__init__()
        self.config = SimpleNamespace(input_size=SIZE, depth_target=depth_target)
        self.spread = nn.Parameter(torch.tensor(spread))

    def forward(self, rgb, tasks):
        red = (rgb[:, 0] + 1) / 2
        red = torch.where(red > 0.05, red, 0)
        at = (torch.arange(SIZE) + 0.5) / SIZE
        mass = red.sum((1, 2)).clamp(min=1e-6)
        spot = torch.stack([(red.sum(1) * at).sum(1), (red.sum(2) * at).sum(1)], 1) / mass[:, None]
        points = spot[:, None] + self.spread * torch.from_numpy(PATTERN).float()
        small = nn.functional.avg_pool2d(red[:, None], STRIDE)
        logits = torch.full((len(rgb), N_CLASSES, SIZE // STRIDE, SIZE // STRIDE), -20.0)
        logits[:, :1], logits[:, CLASS : CLASS + 1] = 10 * (0.5 - small), 10 * (small - 0.5)
        at = (torch.arange(SIZE // STRIDE) + 0.5) * STRIDE / SIZE
        depth = plane(at[None, None, :], at[None, :, None]).expand(len(rgb), -1, -1)
        cells = (torch.arange(20) + 0.5) / 20
        away = (cells - points[..., :1])[:, :, None] ** 2 + (cells - points[..., 1:])[..., None] ** 2
        maps = (-away * 1200 * red.amax((1, 2))[:, None, None, None]).flatten(2).log_softmax(2)
        return Prediction(rgb[:, :1, :2, :2], points, [maps.view_as(away)], logits, depth)


def spot_model(**kwargs) -> StoredModel:
    """The network as `load_model` would give it."""
    card = {"kind": "multitask", "classes": OURS.to_plain(), "training": {}}
    return StoredModel(SpotNet(**kwargs).eval(), card)


def spot_image(size: tuple[int, int], spot, crop: float) -> np.ndarray:
    """Grey-blue picture (h, w) with a red Gaussian at `spot` for a crop of side `crop`, pixels."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    red = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * (SIGMA * crop) ** 2))
    return np.stack([np.rint(red), 0 * x, np.full_like(x, 90)], -1).astype(np.uint8)
