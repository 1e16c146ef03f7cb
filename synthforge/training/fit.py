"""The loop both stages share: schedule, optimizer, logs, checkpoints, resume."""

import ctypes
import logging
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from synthforge.errors import ConfigError, DatasetError
from synthforge.models.multitask import TASKS, Prediction, normalise

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitConfig:
    """Length, optimizer and bookkeeping of a run.

    `minutes` > 0 ends the run by the clock, and the learning rate follows the clock too; otherwise
    `steps` does both. `encoder_rate` applies to the encoder, `rate` to all else.
    """

    steps: int = 6000
    minutes: float = 0.0
    batch: int = 32
    rate: float = 2e-3
    encoder_rate: float = 2e-3
    final_rate: float = 1e-6
    warmup: int = 60
    weight_decay: float = 1e-2
    clip: float = 5.0
    precision: Literal["bf16-mixed", "16-mixed", "32-true"] = "bf16-mixed"
    workers: int = 1
    threads: int = 0  # 0: as many as there are cores
    check_every: int = 500
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch", "check_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"got {getattr(self, name)}", where=name, fix="use 1 or more")


class TaskModule(L.LightningModule):
    """A network, the tasks it is asked for, and its schedule.

    Subclasses add `losses(prediction, batch)`: named, weighted terms whose sum is minimised.
    """

    def __init__(self, net: nn.Module, config: FitConfig, tasks: Sequence[str] = TASKS):
        super().__init__()
        self.net, self.fit_config, self.tasks = net, config, tuple(tasks)
        self.clock_before = 0.0  # seconds trained before the run was resumed
        self.began = time.monotonic()

    def predict_batch(self, batch: dict[str, Tensor]) -> Prediction:
        return self.net(normalise(batch["rgb"]), self.tasks)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        terms = self.losses(self.predict_batch(batch), batch)
        self.log_dict({f"loss/{k}": v.detach() for k, v in terms.items()}, prog_bar=True)
        return torch.stack(list(terms.values())).sum()

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
            return self.seconds() / (60 * self.fit_config.minutes)
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
        checkpoint["clock"] = self.seconds()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.clock_before = checkpoint["clock"]


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: otherwise each activation is handed back to the kernel and faulted
    in anew, which costs about a tenth of a step on a CPU. Elsewhere this does nothing."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        mmap_threshold, trim_threshold = -3, -1  # malloc.h
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 2**31 - 1)
    except (OSError, AttributeError):
        log.debug("no glibc: memory settings left alone")


def resume_step(out: Path, resume: bool) -> tuple[Path | None, int]:
    """Checkpoint to continue from and its step; (None, 0) for a fresh run.

    Raises:
        DatasetError: `out` holds a run and `resume` is off, or there is none to resume.
    """
    last = out / "checkpoints" / "last.ckpt"
    if resume:
        if not last.is_file():
            raise DatasetError("no checkpoint to resume from", where=str(last), fix="leave --resume out")
        return last, int(torch.load(last, map_location="cpu", weights_only=False)["global_step"])
    if out.exists() and any(out.iterdir()):
        raise DatasetError("is not empty", where=str(out), fix="give another --out, or --resume")
    return None, 0


def fit(
    module: TaskModule,
    train,
    check,
    out: Path,
    checkpoint: Path | None = None,
    callbacks: tuple[L.Callback, ...] = (),
    progress_bar: bool = True,
) -> int:
    """Train `module`; returns the number of steps taken.

    Args:
        train, check: loaders of the training and the held-out batches (None: nothing held out).
        out: run folder; logs and checkpoints go there.
        checkpoint: to resume from.
    """
    config = module.fit_config
    keep_freed_memory()
    if config.threads:
        torch.set_num_threads(config.threads)
    quiet = logging.getLogger("lightning.pytorch")
    quiet.setLevel(logging.WARNING)
    bar = (TQDMProgressBar(refresh_rate=10),) if progress_bar else ()
    saver = ModelCheckpoint(out / "checkpoints", save_last=True, every_n_train_steps=config.check_every)
    cuda = torch.cuda.is_available()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning|torch")
        trainer = L.Trainer(
            accelerator="gpu" if cuda else "cpu",
            devices=1,
            precision=config.precision,
            max_steps=config.steps if not config.minutes else -1,
            max_epochs=1,
            gradient_clip_val=config.clip,
            logger=_loggers(out),
            log_every_n_steps=min(20, config.steps),
            callbacks=[saver, *bar, *callbacks],
            enable_progress_bar=progress_bar,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            val_check_interval=min(config.check_every, len(train)),
        )
        trainer.fit(module, train, check, ckpt_path=checkpoint, weights_only=False)
        trainer.save_checkpoint(out / "checkpoints" / "last.ckpt")
    return trainer.global_step


def _loggers(out: Path) -> list:
    loggers = [CSVLogger(out, name="", version="logs")]
    try:
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(out, name="", version="logs"))
    except ModuleNotFoundError:
        log.info('no TensorBoard logs; pip install "synthforge[tb]" brings them')
    return loggers
