"""Run the cells of a study one after the other; what is finished is never run again."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from synthforge.config import config_path, load_config
from synthforge.datasets.check import open_checked
from synthforge.datasets.open import open_source
from synthforge.datasets.source import Source
from synthforge.errors import ConfigError
from synthforge.evaluation.evaluate import evaluate
from synthforge.evaluation.summary import EvaluateConfig
from synthforge.models.store import load_model
from synthforge.study.config import Cell, StudyConfig, cell_key, cells, photographs
from synthforge.training.label_finetune import LabelTrainConfig, label_finetune
from synthforge.training.multitask import TrainConfig, train

_SCORES, _PARTIAL = "scores.json", ".partial"


@dataclass(frozen=True)
class StudyData:
    """Where a study finds its data.

    `train` and `test` are folders of the target's layout, `shards` folders of synthetic data by name,
    `runs` finished stage I runs by the name of the backbone they stand for, `detector` a function for
    backbones with `labels: detector`.
    """

    train: Sequence[Path]
    test: Sequence[Path]
    shards: Mapping[str, Path]
    runs: Mapping[str, Path]
    detector: Callable | None = None


def run_study(
    config: StudyConfig,
    data: StudyData,
    out: Path,
    track: Callable[[Sequence[Cell]], Sequence[Cell]] = iter,
) -> dict[Cell, dict]:
    """Scores of every cell; each is kept in `out/cells`, each backbone in `out/backbones`.

    Args:
        track: wraps the loop over cells still to run (a progress bar).
    Raises:
        ConfigError, DatasetError: data or a combination that cannot work, before anything is trained.
    """
    tests = open_source(config.target, data.test, "test")
    trains = None
    if any(a.method != "none" for a in config.arms.values()):
        trains = open_checked(config.target, data.train, "train")
        for column in config.columns:
            photographs(column, len(trains))
    _require(config, data)
    folders = {cell: _folder(config, cell, out) for cell in cells(config)}
    for cell in track([c for c, folder in folders.items() if not (folder / _SCORES).is_file()]):
        _run(config, data, cell, trains, tests, out)
    return {c: json.loads((f / _SCORES).read_text(encoding="utf-8")) for c, f in folders.items()}


def _require(config: StudyConfig, data: StudyData) -> None:
    """Every backbone needs a finished run or its shards."""
    for name in {a.backbone for a in config.arms.values() if a.backbone} - set(data.runs):
        backbone = config.backbones[name]
        if backbone.data not in data.shards:
            raise ConfigError(
                f"backbone {name!r} trains on {backbone.data!r}, which is not given",
                where="--shards",
                fix=f"give --shards {backbone.data}=DIR, or --run {name}=DIR",
            )
        if backbone.labels == "detector" and data.detector is None:
            raise ConfigError(f"is needed by backbone {name!r}", where="--labels-from")


def _folder(config: StudyConfig, cell: Cell, out: Path) -> Path:
    slug = "".join(c if c.isalnum() else "-" for c in f"{cell.arm}-{cell.column}-{cell.seed}".lower())
    return out / "cells" / f"{slug.strip('-')}-{cell_key(config, cell)}"


def _run(config: StudyConfig, data: StudyData, cell: Cell, trains: Source, tests: Source, out: Path) -> None:
    """Train one cell, score it, keep its scores; weights of the cell are not kept."""
    arm, folder = config.arms[cell.arm], _folder(config, cell, out)
    run = _backbone(config, data, arm.backbone, out) if arm.backbone else None
    if arm.method != "none":
        partial = folder.with_name(folder.name + _PARTIAL)
        shutil.rmtree(partial, ignore_errors=True)
        overrides = (*arm.set, f"fit.seed={cell.seed}", f"subset_seed={cell.seed}")
        settings = load_config(LabelTrainConfig, config_path("train", "label"), overrides)
        label_finetune(
            settings,
            trains,
            run,
            partial,
            arm.method,
            arm.features,
            photographs(cell.column, len(trains)),
            subset=arm.subset,
            bn=arm.bn,
            label_net=arm.label_net,
            progress_bar=False,
        )
        run = partial
    evaluate(load_model(run), tests, folder, panels=0, config=replace(EvaluateConfig(), resamples=0))
    if arm.method != "none":
        shutil.move(run / "report.json", folder / "report.json")
        shutil.rmtree(run)


def _backbone(config: StudyConfig, data: StudyData, name: str, out: Path) -> Path:
    """Folder of a stage I run: the one given, the one kept, or one trained (or resumed) now."""
    if name in data.runs:
        return data.runs[name]
    folder, backbone = out / "backbones" / name, config.backbones[name]
    if not (folder / "model.json").is_file():
        overrides = (*backbone.set, f"samples={backbone.samples}")
        settings = load_config(TrainConfig, config_path("train", backbone.config), overrides)
        detector = data.detector if backbone.labels == "detector" else None
        train(settings, [data.shards[backbone.data]], folder, resume=folder.exists(), detector=detector)
    return folder
