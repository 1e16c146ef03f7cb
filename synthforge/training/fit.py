"""The loop both stages share: schedule, optimizer, logs, checkpoints, resume."""

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from synthforge.config import to_dict
from synthforge.datasets.views import ViewLoader, ViewSampler
from synthforge.datasets.workers import keep_freed_memory
from synthforge.errors import ConfigError, DatasetError
from synthforge.models.domain_norm import BatchInstanceNorm2d
from synthforge.models.multitask import TASKS, Prediction, normalise
from synthforge.provenance import differences
from synthforge.training.ema import Ema

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitConfig:
    """Length, optimizer and bookkeeping of a run.

    `minutes` > 0 ends the run by the clock, and the learning rate follows the clock too; otherwise
    `steps` does both. `encoder_rate` applies to the encoder, `rate` to all else.

    `batch` is what one step of the optimizer sees, whatever the machine: `accumulate` works through it in
    so many parts to save memory, `devices` (on each of `nodes`) share it out. `ema` > 0 stores the moving
    average of the weights in place of the last ones. `start` is how the loader's workers begin.
    """

    steps: int = 6000
    minutes: float = 0.0
    batch: int = 32
    accumulate: int = 1
    devices: int = 1
    nodes: int = 1
    rate: float = 2e-3
    encoder_rate: float = 2e-3
    final_rate: float = 1e-6
    warmup: int = 60
    weight_decay: float = 1e-2
    clip: float = 5.0
    ema: float = 0.0
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "bf16-mixed"
    workers: int = 1
    start: Literal["fork", "spawn"] = "fork"
    threads: int = 0  # 0: as many as there are cores
    check_every: int = 500
    seed: int = 0

    def __post_init__(self):
        least = dict.fromkeys(("steps", "batch", "check_every", "accumulate", "devices", "nodes"), 1)
        positive = ("minutes", "rate", "encoder_rate", "final_rate", "warmup", "weight_decay", "clip")
        for name, low in (least | dict.fromkeys((*positive, "workers", "threads"), 0)).items():
            if not low <= getattr(self, name) < math.inf:
                raise ConfigError(f"got {getattr(self, name)}", where=name, fix=f"use {low} or more")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"got {self.ema}", where="ema", fix="use 0 (off) or a decay such as 0.999")
        parts = self.accumulate * self.processes
        if self.batch % parts:
            raise ConfigError(f"got {self.batch}", where="batch", fix=f"use a multiple of {parts}")

    @property
    def last(self) -> int:
        """The step that the batches of a run end with."""
        return self.steps if not self.minutes else 10**7

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes


class TaskModule(L.LightningModule):
    """A network, the tasks it is asked for, and its schedule.

    Subclasses add `losses(prediction, batch)`: named, weighted terms whose sum is minimised, and
    `label_counts(batch)`: the number of labels that each is the mean over. Parts of a batch, and processes,
    count by these numbers, so that what is minimised is the loss of the whole batch.
    """

    net: Any  # MultiTaskNet, LabelTuned

    def __init__(self, net: nn.Module, config: FitConfig, tasks: Sequence[str] = TASKS):
        super().__init__()
        self.automatic_optimization = False
        self.net, self.fit_config, self.tasks = net, config, tuple(tasks)
        self.record: dict = {}  # what the run is made of, for those that resume it
        self.clock_before = 0.0  # seconds trained before the run was resumed
        self.began = time.monotonic()

    def losses(self, prediction: Prediction, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named, weighted terms."""
        raise NotImplementedError

    def label_counts(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The number of labels that each term is the mean over."""
        raise NotImplementedError

    def predict_batch(self, batch: dict[str, Tensor]) -> Prediction:
        return self.net(normalise(batch["rgb"]), self.tasks)

    def prepare(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch with what else each of its samples needs."""
        return batch

    def part_losses(self, part: dict[str, Tensor]) -> dict[str, Tensor]:
        """Terms of a part of a batch."""
        return self.losses(self.predict_batch(part), part)

    def training_step(self, batch: dict[str, Tensor], index: int) -> None:
        parts, together = self.fit_config.accumulate, self.fit_config.processes > 1
        torch.manual_seed(self.fit_config.seed + 1_000_003 * self.global_step)  # dropout, resumed or not
        batch = self.prepare(batch)
        total = self.label_counts(batch)
        if together:
            total = {k: self.trainer.strategy.reduce(n, reduce_op="mean") for k, n in total.items()}
        optimizer: Any = self.optimizers()
        logged = dict.fromkeys(total, 0.0)
        optimizer.zero_grad()
        for k in range(parts):
            part = {key: value[k::parts] for key, value in batch.items()}
            counts = self.label_counts(part)
            terms = {
                name: term * (counts[name] / total[name].clamp(min=1e-6))
                for name, term in self.part_losses(part).items()
            }
            self.manual_backward(torch.stack(list(terms.values())).sum())
            logged |= {name: logged[name] + term.detach() for name, term in terms.items()}
        optimizer.step()
        self.log_dict({f"loss/{k}": v for k, v in logged.items()}, prog_bar=True, sync_dist=together)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        if self.fit_config.clip:  # mixed precision has taken its scale out of the gradients by now
            nn.utils.clip_grad_norm_(self.parameters(), self.fit_config.clip)

    def parameter_groups(self) -> list[dict]:
        encoder = [p for n, p in self.net.named_parameters() if "encoder." in n and p.requires_grad]
        rest = [p for n, p in self.net.named_parameters() if "encoder." not in n and p.requires_grad]
        groups = [(encoder, self.fit_config.encoder_rate), (rest, self.fit_config.rate)]
        return [{"params": params, "lr": rate, "peak": rate} for params, rate in groups if params]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameter_groups(), weight_decay=self.fit_config.weight_decay)

    def progress(self) -> float:
        """Share of the run that is done, by steps or by the clock."""
        if self.fit_config.minutes:
            seconds = self.trainer.strategy.broadcast(self.seconds())  # all processes go by one clock
            return seconds / (60 * self.fit_config.minutes)
        return self.global_step / self.fit_config.steps

    def seconds(self) -> float:
        """Time trained, in all parts of an interrupted run."""
        return self.clock_before + time.monotonic() - self.began

    def on_train_start(self) -> None:
        self.began = time.monotonic()

    def on_train_batch_start(self, batch: dict[str, Tensor], index: int) -> None:
        done, config = self.progress(), self.fit_config
        warm = min(1.0, (self.global_step + 1) / config.warmup) if config.warmup else 1.0
        cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        for group in self.optimizers().param_groups:
            group["lr"] = warm * (config.final_rate + (group["peak"] - config.final_rate) * cosine)

    def on_train_batch_end(self, outputs, batch: dict[str, Tensor], index: int) -> None:
        if self.fit_config.minutes and self.progress() >= 1:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint |= {"clock": self.seconds(), "record": self.record}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.clock_before = checkpoint["clock"]


class RunBar(TQDMProgressBar):
    """Lightning's bar over the steps of the run: a resumed one goes on where it stopped."""

    def on_train_start(self, trainer: L.Trainer, module: TaskModule) -> None:
        super().on_train_start(trainer, module)
        config = module.fit_config
        self.train_progress_bar.reset(None if config.minutes else config.steps)
        self.train_progress_bar.initial = self.train_progress_bar.n = trainer.global_step

    def on_train_epoch_start(self, *_) -> None:
        """The bar is set up already."""

    def on_train_batch_end(self, trainer: L.Trainer, module: TaskModule, outputs, batch, index: int) -> None:
        super().on_train_batch_end(trainer, module, outputs, batch, trainer.global_step - 1)


def first_process() -> bool:
    """Whether this process is the first of those that train together, by the variables of the launchers
    (Lightning's own, torchrun, SLURM)."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(int(os.environ.get(name, 0)) == 0 for name in names)


# What a resumed run may have otherwise: it changes the speed, not what is learnt.
FREE = {
    f"fit.{key}" for key in ("workers", "threads", "start", "accumulate", "devices", "nodes", "check_every")
}
FREE |= {"cache_mb"}
LONGER = {"fit.steps", "fit.minutes"}  # and these may grow


@dataclass(frozen=True)
class Start:
    """Where a run begins: anew, or at a step of a checkpoint, whose run was made of `record`."""

    checkpoint: Path | None = None
    step: int = 0
    record: dict = field(default_factory=dict)

    def continued(self, config: Any, **data: Any) -> dict:
        """The record of this run, once it is known to go on with what the checkpoint's run began with.

        Args:
            config: of the run (a dataclass).
            data: plain values that say what it learns from: hashes, names.
        Raises:
            DatasetError: something differs that decides what is learnt.
        """
        now = {"config": to_dict(config), "data": data}
        if not self.record:
            return now | {"resumed": []}
        found = {
            line: key
            for part in now
            for line in differences(self.record[part], now[part])
            if (key := line.split(":")[0]) not in FREE
        }
        grown = {line for line, key in found.items() if key in LONGER and _grows(self.record, now, key)}
        if wrong := [line for line in found if line not in grown]:
            raise DatasetError(
                f"another run is to be resumed: {'; '.join(wrong)}",
                where=str(self.checkpoint),
                fix="give what it began with, or another --out",
            )
        return now | {"resumed": [*self.record["resumed"], {"step": self.step, "changed": sorted(grown)}]}


def _grows(before: dict, now: dict, key: str) -> bool:
    name = key.split(".")[1]
    return now["config"]["fit"][name] >= before["config"]["fit"][name] > 0


def begin(out: Path, resume: bool) -> Start:
    """Where the run in `out` begins.

    Raises:
        DatasetError: `out` holds a run and `resume` is off, or there is none to resume.
    """
    last = out / "checkpoints" / "last.ckpt"
    if resume:
        if not last.is_file():
            raise DatasetError("no checkpoint to resume from", where=str(last), fix="leave --resume out")
        state = torch.load(last, map_location="cpu", weights_only=False, mmap=True)
        return Start(last, int(state["global_step"]), state.get("record", {}))
    if first_process() and out.exists() and any(out.iterdir()):
        raise DatasetError("is not empty", where=str(out), fix="give another --out, or --resume")
    return Start()


class Batches(L.LightningDataModule):
    """Loaders of a run, made when it is known which process this is.

    Args:
        train: (number of this process, processes) -> loader of its share of each batch.
        check: loader of the held-out batches (None: nothing held out).
    """

    def __init__(self, train: Callable[[int, int], ViewLoader], check: ViewLoader | None = None):
        super().__init__()
        self.train, self.check = train, check

    def train_dataloader(self) -> ViewLoader:
        return self.train(self.trainer.global_rank, self.trainer.world_size)

    def val_dataloader(self) -> ViewLoader | list:
        return self.check or []


def run_loader(
    views: Dataset, config: FitConfig, first: int, share: tuple[int, int], pairs: Sampler | None = None
) -> ViewLoader:
    """The training batches of a run from step `first` on, or this process's share of them.

    Args:
        share: number of this process, processes.
        pairs: (view, sample) of each crop in turn (default: `ViewSampler`).
    """
    if pairs is None:
        pairs = ViewSampler(views.runs, first * config.batch, config.last * config.batch, config.seed, share)
    return ViewLoader(views, pairs, config.batch // share[1], config.workers, config.start)


def fit(
    module: TaskModule,
    batches: Batches,
    out: Path,
    checkpoint: Path | None = None,
    callbacks: tuple[L.Callback, ...] = (),
    progress_bar: bool = True,
) -> int:
    """Train `module`, which ends with the averaged weights where `ema` is on.

    Args:
        out: run folder; logs and checkpoints go there.
        checkpoint: to resume from.
    Returns:
        the number of steps taken.
    """
    config = module.fit_config
    keep_freed_memory()
    if config.threads:
        torch.set_num_threads(config.threads)
    quiet = logging.getLogger("lightning.pytorch")
    quiet.setLevel(logging.WARNING)
    bar = (RunBar(refresh_rate=10),) if progress_bar else ()
    cuda, together = torch.cuda.is_available(), config.processes > 1
    ema = (Ema(config.ema, "cuda" if cuda else None),) if config.ema else ()
    saver = ModelCheckpoint(out / "checkpoints", save_last=True, every_n_train_steps=config.check_every)
    checked = min(config.check_every, config.steps)
    own = any(isinstance(m, BatchInstanceNorm2d) for m in module.modules())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning|torch")
        trainer = L.Trainer(
            accelerator="gpu" if cuda else "cpu",
            devices=config.devices,
            num_nodes=config.nodes,
            strategy="ddp_find_unused_parameters_true" if together else "auto",
            sync_batchnorm=cuda and together and not own,
            use_distributed_sampler=False,
            precision=config.precision,
            max_steps=config.steps if not config.minutes else -1,
            max_epochs=-1,
            logger=_loggers(out),
            log_every_n_steps=min(20, config.steps),
            callbacks=[saver, *bar, *callbacks, *ema],
            enable_progress_bar=progress_bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            val_check_interval=config.check_every if config.minutes else checked,
        )
        trainer.fit(module, datamodule=batches, ckpt_path=checkpoint, weights_only=False)
        trainer.save_checkpoint(out / "checkpoints" / "last.ckpt")
        if batches.check is not None:  # the last step may lie between two checks, or before a resume
            trainer.validate(module, datamodule=batches, verbose=False)
    for average in ema:
        average.finish(trainer, module)
    return trainer.global_step


def _loggers(out: Path) -> list:
    """CSV (and TensorBoard) logs; a resumed run's lie beside those it goes on from, in logs-2, ..."""
    names = ("logs", *(f"logs-{k}" for k in range(2, 10_000)))
    version = next(name for name in names if not (out / name).exists())
    loggers: list = [CSVLogger(out, name="", version=version)]
    try:
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(out, name="", version=version))
    except ModuleNotFoundError:
        log.info('no TensorBoard logs; pip install "synthforge[tb]" brings them')
    return loggers
