"""Stage I: train the multi-task network on synthetic shards."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import lightning as L
import numpy as np
import torch
from torch import Tensor

from synthforge import strict_yaml
from synthforge.config import to_dict
from synthforge.conventions import IGNORE
from synthforge.datasets.augment import AugmentConfig
from synthforge.datasets.detected import DetectedSource
from synthforge.datasets.sample import CROP_SCALE
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.source import CachedSource, Derived, Source
from synthforge.datasets.views import JoinedViews, ViewLoader, Views
from synthforge.detector import LandmarkDetector
from synthforge.errors import ConfigError, DatasetError
from synthforge.licences import of_training
from synthforge.models import losses
from synthforge.models.hourglass import certainty
from synthforge.models.losses import LossConfig
from synthforge.models.multitask import ModelConfig, MultiTaskNet, Prediction, normalise
from synthforge.models.store import save_model
from synthforge.report import draw
from synthforge.training.fit import Batches, FitConfig, TaskModule, begin, first_process, fit, run_loader


@dataclass(frozen=True)
class TrainConfig:
    """One stage I run. `cache_mb` bounds the memory in which decoded samples are kept; larger sets are read
    from disk. `held_out` samples at the end of each data set (a quarter of a small one) are never trained
    on, nor are others than the first `samples` of each (0: all). `points` are trained as the geometry has
    them, or as annotators of 300-W put them (`datasets.annotators`), with the `jaw` on the mesh or on the
    contour. `crop_scale` is the side of the plain crop over the landmarks' box; it is stored with the
    model, which is then used on crops of that size. `soft_targets` trains segmentation on what each class
    covers of a pixel, else on the class at its centre. `half` stores the weights in 16 bits."""

    KIND: ClassVar = "train"

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    jaw: Literal["contour", "fixed"] = "contour"
    points: Literal["geometry", "300w"] = "geometry"
    crop_scale: float = CROP_SCALE
    cache_mb: int = 3000
    held_out: int = 64
    samples: int = 0
    soft_targets: bool = False
    half: bool = False

    def __post_init__(self):
        for name in ("cache_mb", "held_out", "samples"):
            if getattr(self, name) < 0:
                raise ConfigError(f"got {getattr(self, name)}", where=name, fix="use 0 or more")
        if not 1 <= self.crop_scale <= 4:
            raise ConfigError(f"got {self.crop_scale}", where="crop_scale", fix="use 1 to 4")


class MultiTaskModule(TaskModule):
    """Losses of stage I, with the affine-consistency term on part of each batch."""

    def __init__(self, config: TrainConfig):
        torch.manual_seed(config.fit.seed)
        super().__init__(MultiTaskNet(config.model), config.fit)
        self.config = config

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mark the samples whose maps are trained on, and those that are warped, with their warp.

        They are the first of the whole batch, of which every so many-th sample is with this process.
        """
        weight, size = self.config.loss, self.fit_config.batch
        own = slice(self.trainer.global_rank, None, self.trainer.world_size)
        generator = torch.Generator().manual_seed(self.fit_config.seed * 1_000_003 + self.global_step)
        n = round(size * weight.consistency_fraction) if weight.consistency else 0
        affine = torch.eye(2, 3).repeat(size, 1, 1)
        affine[:n] = losses.random_affines(n, generator)
        device, place = batch["rgb"].device, torch.arange(size)[own]
        occluded = torch.where(batch["visible"] == 1, weight.occluded, 1.0)
        return batch | {
            "mapped": place < max(1, round(size * weight.map_fraction)),
            "warped": place < n,
            "affine": affine[own].to(device),
            "point_weight": batch["point_weight"] * occluded,
        }

    def part_losses(self, part: dict[str, Tensor]) -> dict[str, Tensor]:
        rgb, affine = normalise(part["rgb"]), part["affine"]
        b, n, mapped = len(rgb), int(part["warped"].sum()), int(part["mapped"].sum())
        # One pass for both, so that BatchNorm sees the warped images among the others.
        warped = losses.warp(rgb[:n], affine[:n], padding="reflection") if n else rgb[:0]
        features = self.net.encoder(torch.cat([rgb, warped]))
        prediction = self.net.heads(features[:b], ["points"])
        if mapped:
            maps = self.net.heads(features[:mapped], ["segmentation", "depth"])
            prediction.segmentation, prediction.depth = maps.segmentation, maps.depth
        terms = self.losses(prediction, part)
        if n:
            drift = losses.consistency_loss(features[b:], features[:n], affine[:n])
            terms["consistency"] = self.config.loss.consistency * drift
        return terms

    def label_counts(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        points, mapped, n = (
            batch["point_weight"].sum(),
            int(batch["mapped"].sum()),
            int(batch["warped"].sum()),
        )
        side = self.config.model.input_size // self.config.model.stem_stride
        kept = (
            losses.warp_valid(batch["affine"][:n], (side, side)).sum().float() if n else points.new_zeros(())
        )
        known = batch["target"][:mapped] != IGNORE
        if "coverage" in batch:
            known = batch["coverage"][:mapped].float() / 255
        return {
            "heatmap": points,
            "points": points,
            "segmentation": known.sum().float(),
            "depth": torch.isfinite(batch["depth"][:mapped]).sum().float(),
            "consistency": kept,
        }

    def losses(self, prediction: Prediction, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        weight, points, known = self.config.loss, batch["points"], batch["point_weight"]
        heat = losses.stacks_loss(prediction.log_heatmaps, points, known, weight.heatmap_sigma)
        offset = losses.point_loss(prediction.points, points, known, weight.point_beta)
        terms = {"heatmap": weight.heatmap * heat, "points": weight.points * offset}
        if prediction.depth is None:  # none of these samples trains the maps
            return terms
        mapped = len(prediction.depth)
        target, depth = batch["target"][:mapped], batch["depth"][:mapped]
        if self.config.model.depth_target == "relative":
            depth = losses.relative_depth(depth)
        if "coverage" in batch:
            target = batch["coverage"][:mapped]
            segmentation = losses.coverage_loss(prediction.segmentation, target, weight.dice)
        else:
            segmentation = losses.segmentation_loss(prediction.segmentation, target, weight.dice)
        return terms | {
            "segmentation": weight.segmentation * segmentation,
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
        known = batch["target"] != IGNORE
        right = (prediction.segmentation.argmax(1) == batch["target"])[known].float().mean()
        self.log("check/pixel_accuracy", right, prog_bar=True, batch_size=n)
        target = losses.relative_depth(batch["depth"])
        surface = torch.isfinite(target)
        relative = losses.relative_depth(torch.where(surface, prediction.depth.float(), torch.inf))
        off = (torch.where(surface, relative - target, 0)).abs()
        self.log("check/certainty", certainty(prediction.log_heatmaps[-1]).mean(), batch_size=n)
        self.log("check/depth_mm", 1000 * losses.weighted_mean(off, surface.float()), batch_size=n)


class PanelWriter(L.Callback):
    """Writes predictions on the first held-out samples at each check, and the true labels beside them."""

    SIDE = 192  # of a tile, pixels

    def __init__(self, batch: dict[str, Tensor], folder: Path):
        self.batch, self.folder = {k: v[:8] for k, v in batch.items()}, folder

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: L.Trainer, module: TaskModule) -> None:
        if not trainer.is_global_zero:
            return
        module.eval()
        p = module.predict_batch({k: v.to(module.device) for k, v in self.batch.items()})
        answer = p.points.float().cpu(), p.segmentation.argmax(1).byte().cpu(), p.depth.float().cpu()
        truth = self.batch["points"], self.batch["target"], self.batch["depth"]
        tiles = []
        for i, rgb in enumerate(self.batch["rgb"]):
            for labels, color in ((answer, draw.PREDICTED), (truth, draw.TRUE)):
                tiles += self._tiles(rgb, *(label[i].numpy() for label in labels), color)
        sheet = draw.contact_sheet(tiles, 6, gap=0)
        draw.write_png(self.folder / f"step_{trainer.global_step:06d}.png", sheet)

    def _tiles(self, rgb: Tensor, points, ids, depth, color: tuple[int, int, int]) -> list:
        picture = draw.resized(rgb.permute(1, 2, 0).contiguous().numpy(), self.SIDE)
        classes = draw.tinted(picture, draw.resized(ids, self.SIDE, smooth=False))
        shown = draw.depth_rgb(draw.resized(np.where(ids != 0, depth, np.inf), self.SIDE, smooth=False))
        return [draw.draw_points(picture, points * self.SIDE, color), classes, shown]


def open_shards(
    folders: Sequence[Path], config: TrainConfig, detector: LandmarkDetector | None = None
) -> list[tuple[Source, Source]]:
    """(training part, held-out part) of each data set, cached in memory where they fit.

    With a `detector` the landmarks are those it finds.
    """
    pairs = []
    for folder in folders:
        needed = {"alpha": config.augment.background > 0, "layers": config.soft_targets}
        extra = tuple(name for name, is_needed in needed.items() if is_needed)
        source: Source = ShardSource(folder, config.jaw, config.crop_scale, extra, config.points)
        if detector is not None:
            source = DetectedSource(source, detector)
        held_out = min(config.held_out, len(source) // 4)
        available = len(source) - held_out
        if available < 1 or available < config.samples:
            raise DatasetError(
                f"has {len(source)} samples, {held_out} are held out, {config.samples or 1} wanted",
                where=str(folder),
                fix="generate more, or --set held_out=0",
            )
        wanted = range(config.samples or available)
        pairs.append((_part(source, wanted, config), _part(source, range(available, len(source)), config)))
    return pairs


def _part(source: Source, indices: range, config: TrainConfig) -> Source:
    side = 1.6 * config.model.input_size  # a crop needs no more pixels across the face than this
    if len(indices):
        probe = source[0].reduced(side)
        kept = (probe.rgb, probe.target, probe.depth, probe.alpha, probe.under, *probe.layers.values())
        size = sum(a.nbytes for a in kept if a is not None)
        if size * len(indices) <= config.cache_mb * 2**20:
            return CachedSource(source, side, indices)
    return Derived(source, indices)


def train(
    config: TrainConfig,
    data: Sequence[Path],
    out: Path,
    resume: bool = False,
    progress_bar: bool = True,
    detector: LandmarkDetector | None = None,
) -> dict:
    """Train stage I on some data sets and store the model in `out`.

    Args:
        detector: its landmarks take the place of the data's own.
    Returns:
        the report, also written to `out/report.json`.
    Raises:
        DatasetError: no data, or `out` is in use.
    """
    start = begin(out, resume)
    hashes = [ShardSource(p).sha256 for p in data]
    record = start.continued(config, shards=hashes, labels="shards" if detector is None else "detector")
    sources = open_shards(data, config, detector)
    L.seed_everything(config.fit.seed, workers=True, verbose=False)
    module = MultiTaskModule(config)
    module.record = record
    size, stride, run = config.model.input_size, module.net.label_stride, config.fit
    views = JoinedViews([Views(s, size, stride, config.augment, run.seed) for s, _ in sources])
    held = JoinedViews([Views(s, size, stride) for _, s in sources])
    if first_process():
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.yaml").write_text(strict_yaml.to_text(to_dict(config)), encoding="utf-8")
    check = ViewLoader(held, [(i, i) for i in range(len(held))], run.batch) if len(held) else None
    panels = (PanelWriter(next(iter(check)), out / "panels"),) if check else ()
    batches = Batches(lambda *share: run_loader(views, run, start.step, share), check)
    taken = fit(module, batches, out, start.checkpoint, panels, progress_bar)
    metrics = {name: float(value) for name, value in module.trainer.callback_metrics.items()}
    report = {
        "steps": taken,
        "views": taken * run.batch,
        "samples": len(views),
        "parameters": sum(p.numel() for p in module.net.parameters()),
        "minutes": round(module.seconds() / 60, 2),
        "data": [str(p) for p in data],
        "data_sha256": hashes,
        "resumed": record["resumed"],
        "licences": of_training([ShardSource(p).licences for p in data], config.points),
        "held_out": {name: value for name, value in metrics.items() if "check/" in name},
        "certainty": metrics.get("check/certainty"),
    }
    if first_process():
        info = sources[0][0].info
        save_model(out, module.net, info.schema, report, info.framing, config.half)
        (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report
