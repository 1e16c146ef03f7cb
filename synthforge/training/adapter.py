"""The closed-form point adapter: ridge regression from predicted to annotated points."""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from synthforge.datasets.augment import augmentation
from synthforge.datasets.source import Source
from synthforge.datasets.views import ViewLoader, Views
from synthforge.models.label_nets import LabelTuned, PointTranslator
from synthforge.models.multitask import normalise

PENALTIES = tuple(10.0 ** np.arange(-5, 1.1, 0.5))
OFFSET_PENALTIES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 1e6)  # from ten photographs an offset is a guess too


def fit_adapter(net: LabelTuned, photographs: Source, repeats: int, seed: int) -> tuple[float, float]:
    """Fit the affine part of the point translator in closed form; returns the penalties of the ridge
    regression and of the offset.

    The backbone predicts on `repeats` mildly jittered, mirrored crops of each photograph; the penalties are
    those with the least error in a 5-fold cross-validation over photographs.
    """
    n = len(photographs)
    views = mild_views(net, photographs, seed)
    predicted, true = [], []
    net.eval()
    with torch.no_grad():
        for batch in ViewLoader(views, [(k, k % n) for k in range(repeats * n)], 64):
            predicted.append(net.backbone(normalise(batch["rgb"]), ["points"]).points)
            true.append(batch["points"])
    x, y = torch.cat(predicted), torch.cat(true)
    photo = torch.arange(n).repeat(repeats)
    candidates = product(PENALTIES, OFFSET_PENALTIES)
    penalties = min(candidates, key=lambda pair: _cross_validate(x, y, photo, *pair))
    net.points.fit(x, y, *penalties)
    return float(penalties[0]), penalties[1]


def mild_views(net: LabelTuned, photographs: Source, seed: int) -> Views:
    """Mildly jittered crops of the photographs."""
    return Views(photographs, net.config.input_size, net.label_stride, augmentation("weak"), seed + 1)


def _cross_validate(
    x: Tensor, y: Tensor, photo: Tensor, penalty: float, offset_penalty: float, folds: int = 5
) -> float:
    """Mean distance of held-out points after an adapter fitted on the other photographs."""
    total = 0.0
    for fold in range(folds):
        held = photo % folds == fold
        if held.all() or not held.any():
            continue
        adapter = PointTranslator(x.shape[1], 0).fit(x[~held], y[~held], penalty, offset_penalty)
        with torch.no_grad():
            total += float((adapter(x[held]) - y[held]).norm(dim=2).mean(1).sum())
    return total
