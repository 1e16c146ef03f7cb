"""Stage II: adapt a stage I network to what a benchmark's annotators mean by a label."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import lightning as L
import numpy as np
import torch
import yaml
from torch import Tensor

from synthforge.config import to_dict
from synthforge.conventions import CLASS_ID
from synthforge.datasets.photos import PhotoSource
from synthforge.datasets.sample import CachedSource, Source
from synthforge.datasets.shards import OUR_CLASSES
from synthforge.datasets.views import AugmentConfig, Views, augmentation, train_loader
from synthforge.errors import ConfigError, DatasetError
from synthforge.models import losses
from synthforge.models.label_nets import LabelConfig, LabelTuned, PointTranslator, state_sha256
from synthforge.models.losses import LossConfig
from synthforge.models.multitask import ModelConfig, MultiTaskNet, Prediction, normalise
from synthforge.models.store import load_model, save_model
from synthforge.rng import sample_rng
from synthforge.training.fit import FitConfig, TaskModule, fit, resume_step

Method = Literal["lf", "adapter", "finetune", "scratch"]
PENALTIES = tuple(10.0 ** np.arange(-5, 1.1, 0.5))


@dataclass(frozen=True)
class LabelTrainConfig:
    """One stage II run; `adapter_views` crops of each photograph fit the closed-form adapter."""

    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=lambda: replace(augmentation("strong"), wide=0.0))
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=800))
    adapter_views: int = 12
    subset_seed: int = 0


class LabelModule(TaskModule):
    """Losses of stage II: those of stage I, on what the photographs have labels for."""

    def __init__(self, net: LabelTuned, config: LabelTrainConfig, has_points: bool, has_classes: bool):
        tasks = ["points"] * has_points + ["segmentation"] * has_classes
        super().__init__(net, config.fit, tasks)
        self.config, self.has_points, self.has_classes = config, has_points, has_classes

    def losses(self, prediction: Prediction, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        weight, terms = self.config.loss, {}
        points, known = batch["points"], batch["point_weight"]
        if self.has_points:
            error = losses.point_loss(prediction.points, points, known, weight.point_beta)
            terms["points"] = weight.points * error
            if self.net.points is None:  # the coordinates come from the heat maps
                heat = losses.heatmap_loss(prediction.log_heatmaps[-1], points, known, weight.heatmap_sigma)
                terms["heatmap"] = weight.heatmap * heat
        if self.has_classes:
            loss = losses.segmentation_loss(prediction.segmentation, batch["target"], weight.dice)
            terms["segmentation"] = weight.segmentation * loss
        return terms


def build(backbone: MultiTaskNet, source: Source, method: Method, features: bool) -> LabelTuned:
    """The network that `method` trains: label networks for what `source` has labels for.

    Raises:
        ConfigError: the adapter was asked for where there are no points.
    """
    if method == "adapter" and not source.has_points:
        raise ConfigError("'adapter' moves points", where="--method", fix=f"{source.name} has none: use lf")
    frozen = method in ("lf", "adapter")
    points = "none"
    if source.has_points and frozen:
        points = "affine" if method == "adapter" else ("maps" if features else "mlp")
    table = tuple(tuple(CLASS_ID[s] for s in c.sources) for c in source.classes)
    segment = () if method == "adapter" else table
    return LabelTuned(backbone, LabelConfig(points=points, classes=segment, features=features, frozen=frozen))


def label_finetune(
    config: LabelTrainConfig,
    source: Source,
    backbone: Path | None,
    out: Path,
    method: Method = "lf",
    features: bool = True,
    n_real: int | None = None,
    progress_bar: bool = True,
) -> dict:
    """Adapt the model in `backbone` to `source` by `method`, and store the result in `out`.

    `backbone` may be left out with "scratch", which then trains the `tiny` network.

    Returns:
        the report, also written to `out/report.json`: with a frozen backbone it holds the SHA-256 of all
        its parameters and buffers before and after.
    Raises:
        DatasetError, AssetError, ConfigError: unusable data, model or combination.
    """
    resume_step(out, resume=False)
    net, began = _prepare(backbone, source, method, features, config.fit.seed), time.monotonic()
    chosen = choose(len(source), n_real, config.subset_seed)
    photographs = CachedSource(source, 1.6 * net.config.input_size, chosen)
    before = state_sha256(net.backbone)
    L.seed_everything(config.fit.seed, workers=True, verbose=False)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(to_dict(config), sort_keys=False), encoding="utf-8")
    steps, penalty = 0, None
    if net.points is not None:
        penalty = fit_adapter(net, photographs, config)
        net.points.affine.requires_grad_(False)  # descent would only spoil the closed form
    if method != "adapter":
        module = LabelModule(net, config, source.has_points, bool(source.classes))
        views = Views(photographs, net.config.input_size, net.label_stride, config.augment, config.fit.seed)
        loader = train_loader(
            views, config.fit.batch, 0, config.fit.steps, config.fit.seed, config.fit.workers
        )
        steps = fit(module, loader, None, out, progress_bar=progress_bar)
    after = state_sha256(net.backbone)
    frozen = net.label_config.frozen
    if frozen and before != after:
        raise DatasetError("the frozen backbone changed while training", where=str(out))
    report = {
        "method": method,
        "features": features if method == "lf" else None,
        "target": source.name,
        "photographs": len(chosen),
        "data_licence": source.benchmark.licence if isinstance(source, PhotoSource) else "",
        "steps": steps,
        "minutes": round((time.monotonic() - began) / 60, 2),
        "ridge_penalty": penalty,
        "backbone": None if backbone is None else str(backbone),
        "backbone_frozen": frozen,
        "backbone_sha256_before": before,
        "backbone_sha256_after": after,
        "trained_parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
    }
    save_model(out, net, _class_list(source, net), report)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _prepare(backbone: Path | None, source: Source, method: Method, features: bool, seed: int) -> LabelTuned:
    torch.manual_seed(seed)
    if method == "scratch":
        size = ModelConfig() if backbone is None else load_model(backbone).net.config
        return build(MultiTaskNet(size), source, method, features)
    if backbone is None:
        raise ConfigError("is needed by this method", where="--backbone", fix="only scratch does without")
    net = load_model(backbone).net
    if not isinstance(net, MultiTaskNet):
        raise ConfigError(
            "is a label-tuned model", where="--backbone", fix="give the folder of a stage I run"
        )
    return build(net, source, method, features)


def choose(n_samples: int, wanted: int | None, seed: int) -> list[int]:
    """Indices of the photographs used: all, or `wanted` drawn at random.

    Raises:
        ConfigError: more are wanted than there are.
    """
    if wanted is None:
        return list(range(n_samples))
    if not 1 <= wanted <= n_samples:
        raise ConfigError(f"got {wanted}", where="--n-real", fix=f"there are {n_samples}")
    return sorted(int(i) for i in sample_rng(seed, 0, "subset").permutation(n_samples)[:wanted])


def _class_list(source: Source, net: LabelTuned) -> list[dict]:
    classes = OUR_CLASSES if net.segmentation is None else source.classes
    return [{"id": c.id, "name": c.name, "color": list(c.color)} for c in classes]


def fit_adapter(net: LabelTuned, photographs: Source, config: LabelTrainConfig) -> float:
    """Fit the affine part of the point translator in closed form; returns the ridge penalty.

    The backbone predicts on several mildly jittered, mirrored crops of each photograph; the penalty is
    the one with the least error in a 5-fold cross-validation over photographs.
    """
    size, stride = net.config.input_size, net.label_stride
    views = Views(photographs, size, stride, augmentation("weak"), config.fit.seed + 1)
    n, repeats = len(photographs), config.adapter_views
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
