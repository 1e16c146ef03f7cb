"""Stage II: adapt a stage I network to what a benchmark's annotators mean by a label."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import lightning as L
import torch
from torch import Tensor

from synthforge import strict_yaml
from synthforge.config import to_dict
from synthforge.conventions import CLASS_ID, IGNORE, OURS
from synthforge.datasets.augment import AugmentConfig, augmentation
from synthforge.datasets.mixed import MixSampler, RelabelledSource
from synthforge.datasets.sample import CROP_SCALE, LANDMARK_BOX
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.source import CachedSource, Source
from synthforge.datasets.views import JoinedViews, ViewLoader, Views
from synthforge.errors import ConfigError, DatasetError
from synthforge.models import losses
from synthforge.models.domain_norm import adapt_statistics
from synthforge.models.label_nets import LabelConfig, LabelTuned, state_sha256
from synthforge.models.losses import LossConfig
from synthforge.models.multitask import ModelConfig, MultiTaskNet, Prediction, normalise
from synthforge.models.store import load_model, read_card, save_model, trained_scale
from synthforge.training.adapter import fit_adapter, mild_views
from synthforge.training.fit import Batches, FitConfig, TaskModule, begin, first_process, fit, run_loader
from synthforge.training.subset import choose

Method = Literal["lf", "adapter", "finetune", "scratch", "mix", "lastlayer"]
BatchNorms = Literal["frozen", "adapt", "dsbn", "dson"]
LabelNet = Literal["unet", "resnet18-unet", "mlp"]
TRAINED = {"lf": "none", "adapter": "none", "lastlayer": "last"}  # of the backbone; all with other methods


@dataclass(frozen=True)
class LabelTrainConfig:
    """One stage II run; `adapter_views` crops of each photograph fit the closed-form adapter and the
    statistics of BatchNorm; `mix` shows a share `real_share` of photographs."""

    KIND: ClassVar = "train"

    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=lambda: replace(augmentation("strong"), wide=0.0))
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=800))
    adapter_views: int = 12
    subset_seed: int = 0
    real_share: float = 0.5

    def __post_init__(self):
        if self.adapter_views < 1:
            raise ConfigError(f"got {self.adapter_views}", where="adapter_views", fix="use 1 or more")
        if not 0 < self.real_share < 1:
            raise ConfigError(
                f"got {self.real_share}", where="real_share", fix="use more than 0, less than 1"
            )


class LabelModule(TaskModule):
    """Losses of stage II: those of stage I, on what the photographs have labels for."""

    def __init__(self, net: LabelTuned, config: LabelTrainConfig, source: Source):
        super().__init__(net, config.fit, source.info.tasks)
        self.config, self.relative = config, source.info.depth == "relative"

    def part_losses(self, part: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.net.domain is not None:
            self.net.domain.real = part["real"]
        return super().part_losses(part)

    def losses(self, prediction: Prediction, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        weight, terms = self.config.loss, {}
        points, known = batch["points"], batch["point_weight"]
        if "points" in self.tasks:
            error = losses.point_loss(prediction.points, points, known, weight.point_beta)
            terms["points"] = weight.points * error
            if self.net.points is None:  # the coordinates come from the heat maps
                heat = losses.stacks_loss(prediction.log_heatmaps, points, known, weight.heatmap_sigma)
                terms["heatmap"] = weight.heatmap * heat
        if "segmentation" in self.tasks:
            loss = losses.segmentation_loss(prediction.segmentation, batch["target"], weight.dice)
            terms["segmentation"] = weight.segmentation * loss
        if "depth" in self.tasks:
            compare = losses.scale_free_loss if self.relative else losses.depth_loss
            terms["depth"] = (1.0 if self.relative else weight.depth) * compare(
                prediction.depth.float(), batch["depth"]
            )
        return terms

    def label_counts(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        counts, points = {}, batch["point_weight"].sum()
        if "points" in self.tasks:
            counts |= {"points": points} | ({"heatmap": points} if self.net.points is None else {})
        if "segmentation" in self.tasks:
            counts["segmentation"] = (batch["target"] != IGNORE).sum().float()
        if "depth" in self.tasks:
            counts["depth"] = torch.isfinite(batch["depth"]).sum().float()
        return counts


def build(
    backbone: MultiTaskNet,
    source: Source,
    method: Method,
    features: bool,
    bn: BatchNorms = "frozen",
    label_net: LabelNet = "unet",
) -> LabelTuned:
    """The network that `method` trains: label networks for what `source` has labels for.

    Raises:
        ConfigError: options that exclude each other.
    """
    info = source.info
    if method == "adapter" and not info.points:
        raise ConfigError("'adapter' moves points", where="--method", fix=f"{info.name} has none: use lf")
    own_norm = bn in ("dsbn", "dson")
    if own_norm and method in ("adapter", "scratch"):
        why = {"adapter": "trains nothing by descent", "scratch": "sees one domain alone"}[method]
        raise ConfigError(f"got {bn!r}", where="--bn", fix=f"{method} {why}: use frozen or adapt")
    points = "none"
    if info.points and method in ("lf", "adapter"):
        points = "affine" if method == "adapter" else ("mlp" if label_net == "mlp" else "maps")
    table = tuple(tuple(CLASS_ID[s] for s in c.sources if s in CLASS_ID) for c in info.schema)
    config = LabelConfig(
        points=points,
        classes=() if method == "adapter" else table,
        depth=method == "lf" and info.depth is not None,
        net="linear" if method == "lastlayer" else label_net,
        features=features and method != "lastlayer",
        trained=TRAINED.get(method, "all"),
        norm=bn if own_norm else "shared",
    )
    return LabelTuned(backbone, config)


def label_finetune(
    config: LabelTrainConfig,
    source: Source,
    backbone: Path | None,
    out: Path,
    method: Method = "lf",
    features: bool = True,
    n_real: int | None = None,
    subset: str = "random",
    bn: BatchNorms = "frozen",
    label_net: LabelNet = "unet",
    synthetic: Sequence[Path] = (),
    exclude: Path | None = None,
    resume: bool = False,
    progress_bar: bool = True,
) -> dict:
    """Adapt the model in `backbone` to `source` by `method`, and store the result in `out`.

    Args:
        backbone: may be left out with "scratch", which then trains the `tiny` network.
        n_real, subset, exclude: which photographs (`training.subset.choose`).
        bn: what BatchNorm does about the change of domain (docs/training.md).
        label_net: kind of label network.
        synthetic: data sets that "mix" trains on too (default: those of the backbone).
        resume: continue the run in `out`.
    Returns:
        the report, also written to `out/report.json`: with a frozen backbone it holds the SHA-256 of all
        its parameters and buffers before and after.
    Raises:
        DatasetError, AssetError, ConfigError: unusable data, model or combination.
    """
    start = begin(out, resume)
    shards = _shards(method, backbone, synthetic)
    net, began = _prepare(backbone, source, method, features, bn, label_net, config), time.monotonic()
    chosen = choose(source, n_real, config.subset_seed, subset, exclude)
    card = None if backbone is None else read_card(backbone)
    scale = trained_scale(card or {}, **source.info.framing)  # crops as large as those it knows
    photographs = CachedSource(source, 1.6 * net.config.input_size, chosen, crop_scale=scale)
    before = state_sha256(net.backbone)
    record = start.continued(
        config,
        method=method,
        features=features,
        label_net=label_net,
        bn=bn,
        backbone=before,
        photographs=photographs.sha256,
        synthetic=[ShardSource(p).sha256 for p in shards],
    )
    L.seed_everything(config.fit.seed, workers=True, verbose=False)
    _begin(out, config, photographs)
    all_trained = net.label_config.trained == "all"
    if bn == "adapt" and not all_trained:
        _adapt(net, photographs, config)
    fixed = state_sha256(net.fixed())
    steps, penalties = 0, None
    if net.points is not None:
        penalties = fit_adapter(net, photographs, config.adapter_views, config.fit.seed)
        net.points.affine.requires_grad_(False)  # descent would only spoil the closed form
    if method != "adapter":
        module = LabelModule(net, config, source)
        module.record = record
        make = _loader(config, net, photographs, shards, start.step)
        steps = fit(module, Batches(make), out, start.checkpoint, progress_bar=progress_bar)
    if state_sha256(net.fixed()) != fixed:
        raise DatasetError("what is frozen in the backbone changed while training", where=str(out))
    if bn == "adapt" and all_trained:
        _adapt(net, photographs, config)
    after = state_sha256(net.backbone)
    report = {
        "method": method,
        "features": features if method == "lf" else None,
        "label_net": label_net if method != "adapter" else None,
        "bn": bn,
        "target": source.info.name,
        "photographs": len(photographs),
        "subset": subset,
        "subset_seed": config.subset_seed,
        "data_sha256": photographs.sha256,
        "data_licence": source.info.licence,
        "resumed": record["resumed"],
        "steps": steps,
        "minutes": round((time.monotonic() - began) / 60, 2),
        "ridge_penalty": penalties and penalties[0],
        "offset_penalty": penalties and penalties[1],
        "certainty": card and card["training"].get("certainty"),
        "backbone": None if backbone is None else str(backbone),
        "backbone_frozen": before == after,
        "backbone_sha256_before": before,
        "backbone_sha256_after": after,
        "trained_parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
    }
    if first_process():
        if net.domain is not None:
            net.domain.real = None
        schema = OURS if net.segmentation is None else source.info.schema
        save_model(out, net, schema, report, photographs.info.framing)
        (out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _begin(out: Path, config: LabelTrainConfig, photographs: Source) -> None:
    """Write what the run is made of."""
    if first_process():
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.yaml").write_text(strict_yaml.to_text(to_dict(config)), encoding="utf-8")
        names = [photographs[i].name for i in range(len(photographs))]
        (out / "photographs.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def _prepare(backbone, source, method, features, bn, label_net, config: LabelTrainConfig) -> LabelTuned:
    torch.manual_seed(config.fit.seed)
    if method == "scratch" and backbone is None:
        return build(MultiTaskNet(ModelConfig()), source, method, features, bn, label_net)
    if backbone is None:
        raise ConfigError("is needed by this method", where="--backbone", fix="only scratch does without")
    net = load_model(backbone).net
    if not isinstance(net, MultiTaskNet):
        raise ConfigError(
            "is a label-tuned model", where="--backbone", fix="give the folder of a stage I run"
        )
    if method in ("scratch", "mix"):  # its size, and new weights
        net = MultiTaskNet(net.config)
    return build(net, source, method, features, bn, label_net)


def _shards(method: Method, backbone: Path | None, synthetic: Sequence[Path]) -> list[Path]:
    """Synthetic data sets of a mixed run."""
    if method != "mix":
        if synthetic:
            raise ConfigError(
                "is for mix alone", where="--synthetic", fix="add --method mix, or leave it out"
            )
        return []
    known = synthetic or read_card(backbone)["training"].get("data", [])
    if not known or not all(Path(p).is_dir() for p in known):
        what = f"{known[0]} is not there" if known else "is needed"
        raise ConfigError(what, where="--synthetic", fix="give the folder of a generated data set")
    return [Path(p) for p in known]


def _loader(config: LabelTrainConfig, net: LabelTuned, photographs: Source, shards: list[Path], first: int):
    """Maker of the training loader: (number of this process, processes) -> loader."""
    size, stride, run = net.config.input_size, net.label_stride, config.fit
    real = Views(photographs, size, stride, config.augment, run.seed, real=True)
    if not shards:
        return lambda *share: run_loader(real, run, first, share)
    info = photographs.info
    scale = info.crop_scale if info.crop_source == LANDMARK_BOX else CROP_SCALE
    made = [
        Views(RelabelledSource(shard, photographs), size, stride, config.augment, run.seed, real=False)
        for shard in (ShardSource(p, crop_scale=scale, points="300w") for p in shards)
    ]
    views = JoinedViews([real, *made])

    def make(*share: int) -> ViewLoader:
        span = first * run.batch, run.last * run.batch
        runs = real.runs, [n for part in made for n in part.runs]
        sampler = MixSampler(*runs, config.real_share, *span, run.seed, share)
        return run_loader(views, run, first, share, sampler)

    return make


def _adapt(net: LabelTuned, photographs: Source, config: LabelTrainConfig) -> None:
    """Give BatchNorm the statistics of the photographs."""
    n, size = len(photographs), config.fit.batch
    views = mild_views(net, photographs, config.fit.seed)
    whole = max(1, n * config.adapter_views // size) * size  # batches of one size count alike
    device = next(net.parameters()).device

    batches = ViewLoader(views, [(k, k % n) for k in range(whole)], size)
    adapt_statistics(net.backbone, (normalise(batch["rgb"].to(device)) for batch in batches))
