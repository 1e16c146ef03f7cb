"""Run the cells of a study one after the other; what is finished is never run again.

A cell and a backbone are kept in folders whose names end in a hash of all that decides their outcome: the
resolved presets, the bytes of the data, the version of synthforge.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from synthforge import __version__
from synthforge.config import config_path, load_config, to_dict
from synthforge.datasets.check import open_checked
from synthforge.datasets.open import open_source
from synthforge.errors import ConfigError
from synthforge.evaluation.evaluate import evaluate
from synthforge.evaluation.summary import EvaluateConfig
from synthforge.models.store import card_path, load_model
from synthforge.provenance import dataset_sha256, files_sha256, value_sha256
from synthforge.storage.reader import DatasetReader
from synthforge.study.config import Cell, StudyConfig, cells, photographs
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
    config: StudyConfig, data: StudyData, out: Path, track: Callable[[Sequence[Cell]], Sequence[Cell]] = iter
) -> dict[Cell, dict]:
    """Scores of every cell; each is kept in `out/cells`, each backbone in `out/backbones`.

    Args:
        track: wraps the loop over cells still to run (a progress bar).
    Raises:
        ConfigError, DatasetError: data or a combination that cannot work, before anything is trained.
    """
    study = _Study(config, data, out)
    study.require()
    folders = {cell: study.folder(cell) for cell in cells(config)}
    for cell in track([c for c, folder in folders.items() if not (folder / _SCORES).is_file()]):
        study.run(cell, folders[cell])
    return {c: json.loads((f / _SCORES).read_text(encoding="utf-8")) for c, f in folders.items()}


class _Study:
    """A study with its data opened."""

    def __init__(self, config: StudyConfig, data: StudyData, out: Path):
        self.config, self.data, self.out = config, data, out
        self.tests = open_source(config.target, data.test, "test")
        adapts = any(arm.method != "none" for arm in config.arms.values())
        self.trains = open_checked(config.target, data.train, "train") if adapts else None

    def require(self) -> None:
        """Every column needs its photographs, every backbone a finished run or its shards."""
        if self.trains is not None:
            for column in self.config.columns:
                photographs(column, len(self.trains))
        for name in {a.backbone for a in self.config.arms.values() if a.backbone} - set(self.data.runs):
            backbone = self.config.backbones[name]
            if backbone.data not in self.data.shards:
                raise ConfigError(
                    f"backbone {name!r} trains on {backbone.data!r}, which is not given",
                    where="--shards",
                    fix=f"give --shards {backbone.data}=DIR, or --run {name}=DIR",
                )
            if backbone.labels == "detector" and self.data.detector is None:
                raise ConfigError(f"is needed by backbone {name!r}", where="--labels-from")

    @cached_property
    def photographs_sha256(self) -> dict[str, str]:
        """Of those trained on, and of those tested on."""
        return {"train": self.trains.sha256 if self.trains else "", "test": self.tests.sha256}

    @cached_property
    def backbone_made_of(self) -> dict[str, dict]:
        """Backbone -> all that decides what it is."""
        return {name: self._made_of(name) for name in self.config.backbones}

    def _made_of(self, name: str) -> dict:
        if name in self.data.runs:
            card = card_path(self.data.runs[name])
            return {"run": files_sha256(card, card.with_suffix(".safetensors"))}
        backbone = self.config.backbones[name]
        if backbone.data not in self.data.shards:
            return {}  # no arm uses it
        detector = self.data.detector if backbone.labels == "detector" else None
        return {
            "preset": to_dict(self._preset(name)),
            "data": dataset_sha256(DatasetReader(self.data.shards[backbone.data]).index),
            "detector": detector and f"{detector.__module__}:{detector.__qualname__}",
            "version": __version__,
        }

    def _preset(self, name: str) -> TrainConfig:
        backbone = self.config.backbones[name]
        overrides = (*backbone.set, f"samples={backbone.samples}")
        return load_config(TrainConfig, config_path("train", backbone.config), overrides)

    def _label_preset(self, cell: Cell) -> LabelTrainConfig:
        overrides = (*self.config.arms[cell.arm].set, f"fit.seed={cell.seed}", f"subset_seed={cell.seed}")
        return load_config(LabelTrainConfig, config_path("train", "label"), overrides)

    def folder(self, cell: Cell) -> Path:
        """Where a cell is kept: equal folders need no second run."""
        arm = self.config.arms[cell.arm]
        made_of = {
            "target": self.config.target,
            "arm": {k: v for k, v in to_dict(arm).items() if k not in ("columns", "set")},
            "preset": to_dict(self._label_preset(cell)),
            "backbone": self.backbone_made_of[arm.backbone] if arm.backbone else None,
            "column": cell.column,
            "data": self.photographs_sha256,
            "version": __version__,
        }
        return self.out / "cells" / _named(f"{cell.arm}-{cell.column}-{cell.seed}", made_of)

    def run(self, cell: Cell, folder: Path) -> None:
        """Train one cell, score it, keep its scores; weights of the cell are not kept."""
        arm = self.config.arms[cell.arm]
        run = self._backbone(arm.backbone) if arm.backbone else None
        if arm.method != "none":
            partial = folder.with_name(folder.name + _PARTIAL)
            shutil.rmtree(partial, ignore_errors=True)
            label_finetune(
                self._label_preset(cell),
                self.trains,
                run,
                partial,
                arm.method,
                arm.features,
                photographs(cell.column, len(self.trains)),
                subset=arm.subset,
                bn=arm.bn,
                label_net=arm.label_net,
                progress_bar=False,
            )
            run = partial
        config = replace(EvaluateConfig(), resamples=0)
        evaluate(load_model(run), self.tests, folder, panels=0, config=config)
        if arm.method != "none":
            shutil.move(run / "report.json", folder / "report.json")
            shutil.rmtree(run)

    def _backbone(self, name: str) -> Path:
        """Folder of a stage I run: the one given, the one kept, or one trained (or resumed) now."""
        if name in self.data.runs:
            return self.data.runs[name]
        folder = self.out / "backbones" / _named(name, self.backbone_made_of[name])
        if not (folder / "model.json").is_file():
            backbone = self.config.backbones[name]
            detector = self.data.detector if backbone.labels == "detector" else None
            shards = [self.data.shards[backbone.data]]
            train(self._preset(name), shards, folder, resume=folder.exists(), detector=detector)
        return folder


def _named(name: str, made_of: dict) -> str:
    """A name that file systems take, with a hash of what is kept under it."""
    slug = "".join(c if c.isalnum() else "-" for c in name.lower())
    return f"{slug.strip('-')}-{value_sha256(made_of)[:12]}"
