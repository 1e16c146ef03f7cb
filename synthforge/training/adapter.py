"""The closed-form point adapter: ridge regression from predicted to annotated points."""

import numpy as np
import torch
from torch import Tensor

from synthforge.datasets.augment import augmentation
from synthforge.datasets.sample import Source
from synthforge.datasets.views import Views
from synthforge.models.label_nets import LabelTuned, PointTranslator
from synthforge.models.multitask import normalise

PENALTIES = tuple(10.0 ** np.arange(-5, 1.1, 0.5))


def fit_adapter(net: LabelTuned, photographs: Source, repeats: int, seed: int) -> float:
    """Fit the affine part of the point translator in closed form; returns the ridge penalty.

    The backbone predicts on `repeats` mildly jittered, mirrored crops of each photograph; the penalty is
    the one with the least error in a 5-fold cross-validation over photographs.
    """
    n = len(photographs)
    views = mild_views(net, photographs, seed)
    predicted, true = [], []
    net.eval()
    with torch.no_grad():
        for repeat in range(repeats):
            items = [views[repeat * n + i, i] for i in range(n)]
            for start in range(0, n, 64):
                rgb = torch.stack([item["rgb"] for item in items[start : start + 64]])
                predicted.append(net.backbone(normalise(rgb), ["points"]).points)
            true += [item["points"] for item in items]
    x, y = torch.cat(predicted), torch.stack(true)
    photo = torch.arange(n).repeat(repeats)
    penalty = min(PENALTIES, key=lambda value: _cross_validate(x, y, photo, value))
    net.points.fit(x, y, penalty)
    return float(penalty)


def mild_views(net: LabelTuned, photographs: Source, seed: int) -> Views:
    """Mildly jittered crops of the photographs."""
    return Views(photographs, net.config.input_size, net.label_stride, augmentation("weak"), seed + 1)


def _cross_validate(x: Tensor, y: Tensor, photo: Tensor, penalty: float, folds: int = 5) -> float:
    """Mean distance of held-out points after an adapter fitted on the other photographs."""
    total = 0.0
    for fold in range(folds):
        held = photo % folds == fold
        if held.all() or not held.any():
            continue
        adapter = PointTranslator(x.shape[1], 0).fit(x[~held], y[~held], penalty)
        with torch.no_grad():
            total += float((adapter(x[held]) - y[held]).norm(dim=2).mean(1).sum())
    return total
