"""Stage I: train the multi-task network on synthetic shards."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import lightning as L
import torch
import yaml
from torch import Tensor
from torch.utils.data import DataLoader

from synthforge.config import to_dict
from synthforge.conventions import CLASS_COLORS
from synthforge.datasets.sample import CachedSource, Source
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.views import AugmentConfig, JoinedViews, Views, train_loader
from synthforge.errors import DatasetError
from synthforge.evaluation.panels import batch_panel, write_png
from synthforge.models import losses
from synthforge.models.losses import LossConfig
from synthforge.models.multitask import ModelConfig, MultiTaskNet, Prediction, normalise
from synthforge.models.store import save_model
from synthforge.training.fit import FitConfig, TaskModule, fit, resume_step


@dataclass(frozen=True)
class TrainConfig:
    """One stage I run. `cache_mb` bounds the memory in which decoded samples are kept; larger sets are
    read from disk. `held_out` samples at the end of each data set are never trained on."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    jaw: Literal["contour", "fixed"] = "contour"
    cache_mb: int = 3000
    held_out: int = 64


class MultiTaskModule(TaskModule):
    """Losses of stage I, with the affine-consistency term on part of each batch."""

    def __init__(self, config: TrainConfig):
        torch.manual_seed(config.fit.seed)
        super().__init__(MultiTaskNet(config.model), config.fit)
        self.config = config

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        rgb, weight = normalise(batch["rgb"]), self.config.loss
        b = len(rgb)
        n = round(b * weight.consistency_fraction) if weight.consistency else 0
        generator = torch.Generator().manual_seed(self.fit_config.seed * 1_000_003 + self.global_step)
        affine = losses.random_affines(n, generator).to(rgb.device)
        # One pass for both, so that BatchNorm sees the warped images among the others.
        warped = losses.warp(rgb[:n], affine, padding="reflection") if n else rgb[:0]
        features = self.net.encoder(torch.cat([rgb, warped]))
        prediction = self.net.heads(features[:b], ["points"])
        mapped = max(1, round(b * weight.map_fraction))
        maps = self.net.heads(features[:mapped], ["segmentation", "depth"])
        prediction.segmentation, prediction.depth = maps.segmentation, maps.depth
        terms = self.losses(prediction, batch)
        if n:
            drift = losses.consistency_loss(features[b:], features[:n], affine)
            terms["consistency"] = weight.consistency * drift
        self.log_dict({f"loss/{k}": v.detach() for k, v in terms.items()}, prog_bar=True)
        return torch.stack(list(terms.values())).sum()

    def losses(self, prediction: Prediction, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        weight, points, known = self.config.loss, batch["points"], batch["point_weight"]
        mapped = len(prediction.depth)
        target, depth = batch["target"][:mapped], batch["depth"][:mapped]
        if self.config.model.depth_target == "relative":
            depth = losses.relative_depth(depth)
        maps = prediction.log_heatmaps
        heat = sum(losses.heatmap_loss(m, points, known, weight.heatmap_sigma) for m in maps) / len(maps)
        offset = losses.point_loss(prediction.points, points, known, weight.point_beta)
        return {
            "heatmap": weight.heatmap * heat,
            "points": weight.points * offset,
            "segmentation": weight.segmentation
            * losses.segmentation_loss(prediction.segmentation, target, weight.dice),
            "depth": weight.depth * losses.depth_loss(prediction.depth.float(), depth),
        }

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        prediction = self.predict_batch(batch)
        terms = self.losses(prediction, batch)
        n = len(batch["rgb"])
        self.log("check/loss", torch.stack(list(terms.values())).sum(), batch_size=n)
        error = (prediction.points - batch["points"]).norm(dim=2) * self.config.model.input_size
        self.log(
            "check/points_px", losses.weighted_mean(error, batch["point_weight"]), prog_bar=True, batch_size=n
        )
        known = batch["target"] != 255
        right = (prediction.segmentation.argmax(1) == batch["target"])[known].float().mean()
        self.log("check/pixel_accuracy", right, prog_bar=True, batch_size=n)
        target = losses.relative_depth(batch["depth"])
        surface = torch.isfinite(target)
        relative = losses.relative_depth(torch.where(surface, prediction.depth.float(), torch.inf))
        off = (torch.where(surface, relative - target, 0)).abs()
        self.log("check/depth_mm", 1000 * losses.weighted_mean(off, surface.float()), batch_size=n)


class PanelWriter(L.Callback):
    """Writes predictions on the first held-out samples at each check."""

    def __init__(self, batch: dict[str, Tensor], folder: Path):
        self.batch, self.folder = {k: v[:8] for k, v in batch.items()}, folder

    @torch.no_grad()
    def on_validation_end(self, trainer: L.Trainer, module: TaskModule) -> None:
        batch = {k: v.to(module.device) for k, v in self.batch.items()}
        module.eval()
        p = module.predict_batch(batch)
        truth = (self.batch["points"].numpy(), self.batch["target"].numpy(), self.batch["depth"].numpy())
        panel = batch_panel(
            self.batch["rgb"].numpy(),
            p.points.float().cpu().numpy(),
            p.segmentation.argmax(1).cpu().numpy(),
            p.depth.float().cpu().numpy(),
            CLASS_COLORS,
            truth,
        )
        write_png(self.folder / f"step_{trainer.global_step:06d}.png", panel)


def open_shards(folders: Sequence[Path], config: TrainConfig) -> list[tuple[Source, Source]]:
    """(training part, held-out part) of each data set, cached in memory where they fit."""
    pairs = []
    for folder in folders:
        source = ShardSource(folder, config.jaw)
        if len(source) <= config.held_out:
            raise DatasetError(
                f"has {len(source)} samples, {config.held_out} are held out",
                where=str(folder),
                fix="generate more, or --set held_out=0",
            )
        first = len(source) - config.held_out
        pairs.append((_part(source, range(first), config), _part(source, range(first, len(source)), config)))
    return pairs


def _part(source: Source, indices: range, config: TrainConfig) -> Source:
    side = 1.6 * config.model.input_size  # a crop needs no more pixels across the face than this
    if len(indices):
        probe = source[0].reduced(side)
        size = sum(a.nbytes for a in (probe.rgb, probe.target, probe.depth) if a is not None)
        if size * len(indices) <= config.cache_mb * 2**20:
            return CachedSource(source, side, indices)
    return _Slice(source, indices)


class _Slice:
    """Some samples of a source, read when they are asked for."""

    def __init__(self, source: Source, indices: range):
        self.source, self.indices = source, indices
        for name in Source.__annotations__:
            setattr(self, name, getattr(source, name))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int):
        return self.source[self.indices[index]]


def train(
    config: TrainConfig, data: Sequence[Path], out: Path, resume: bool = False, progress_bar: bool = True
) -> dict:
    """Train stage I on some data sets and store the model in `out`.

    Returns:
        the report, also written to `out/report.json`.
    Raises:
        DatasetError: no data, or `out` is in use.
    """
    checkpoint, first = resume_step(out, resume)
    sources = open_shards(data, config)
    L.seed_everything(config.fit.seed, workers=True, verbose=False)
    module = MultiTaskModule(config)
    size, stride = config.model.input_size, module.net.label_stride
    views = JoinedViews([Views(s, size, stride, config.augment, config.fit.seed) for s, _ in sources])
    steps = config.fit.steps if not config.fit.minutes else 10**7
    loader = train_loader(views, config.fit.batch, first, steps, config.fit.seed, config.fit.workers)
    held = [Views(s, size, stride)[i] for _, s in sources for i in range(len(s))]
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(yaml.safe_dump(to_dict(config), sort_keys=False), encoding="utf-8")
    check = DataLoader(held, config.fit.batch) if held else None
    panels = (PanelWriter(next(iter(check)), out / "panels"),) if check else ()
    taken = fit(module, loader, check, out, checkpoint, panels, progress_bar)
    report = {
        "steps": taken,
        "views": taken * config.fit.batch,
        "samples": len(views),
        "parameters": sum(p.numel() for p in module.net.parameters()),
        "minutes": round(module.seconds() / 60, 2),
        "data": [str(p) for p in data],
        "held_out": {k: float(v) for k, v in module.trainer.callback_metrics.items() if "check/" in k},
    }
    classes = [{"id": c.id, "name": c.name, "color": list(c.color)} for c in sources[0][0].classes]
    save_model(out, module.net, classes, report)
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report
