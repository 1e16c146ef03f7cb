"""Training and evaluation images per second of the presets: loading, augmentation, network and optimizer.

    PYTHONPATH=. python -m benchmarks.training DATA [--preset small,paper] [--precision bf16-mixed,32-true]

DATA is a generated data set of at least 128 samples. Each combination takes `--steps` steps after two to warm
up, on the GPU where there is one, then scores as many images. Memory is the peak of the process and its
loader's workers so far, so the first line is the only one that is the combination's own.
"""

import resource
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import lightning as L
import torch

from synthforge.config import config_path, load_config
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.views import Views
from synthforge.models.store import load_model, save_model
from synthforge.prediction.faces import FaceModel
from synthforge.training.fit import Batches, fit, run_loader
from synthforge.training.multitask import MultiTaskModule, TrainConfig, open_shards

WARM = 2


class Clock(L.Callback):
    """When each step of the optimizer was over."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def measure(config: TrainConfig, data: Path, steps: int, out: Path) -> tuple[float, float]:
    """Images per second of training (without the first steps) and of evaluation."""
    run = replace(config.fit, steps=steps + WARM, minutes=0.0, check_every=10**6)
    config = replace(config, fit=run)
    (source, _), clock = open_shards([data], config)[0], Clock()
    module = MultiTaskModule(config)
    views = Views(source, config.model.input_size, module.net.label_stride, config.augment, run.seed)
    batches = Batches(lambda *share: run_loader(views, run, 0, share))
    fit(module, batches, out, callbacks=(clock,), progress_bar=False)
    training = steps * run.batch / (clock.ends[-1] - clock.ends[WARM - 1])
    save_model(out, module.net.cpu(), source.info.schema, {}, source.info.framing)
    shards = ShardSource(data)
    predict = FaceModel(load_model(out), shards.info).label
    samples = [shards[i] for i in range(min(len(shards), 24))]
    start = time.perf_counter()
    for sample in samples:
        predict(sample)
    return training, len(samples) / (time.perf_counter() - start)


def memory_gb() -> float:
    """Peak of this process and of the largest of its children."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) / 2**20


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--preset", "presets", default="tiny,small,paper", show_default=True)
@click.option("--precision", "precisions", default="bf16-mixed,32-true", show_default=True)
@click.option("--steps", default=12, show_default=True)
@click.option("--batch", default=0, help="Default: the preset's.")
def main(data: Path, presets: str, precisions: str, steps: int, batch: int) -> None:
    """Print a line for each preset and precision."""
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{torch.get_num_threads()} CPU threads"
    )
    print(
        f"{device}\n| preset | precision | batch | training, images/s | evaluation, images/s | memory, GB |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for preset in presets.split(","):
        for precision in precisions.split(","):
            overrides = [f"fit.precision={precision}", "held_out=8"]
            overrides += [f"fit.batch={batch}", "fit.accumulate=1"] if batch else []
            config = load_config(TrainConfig, config_path("train", preset), overrides)
            with TemporaryDirectory() as folder:
                training, scoring = measure(config, data, steps, Path(folder) / "run")
            print(f"| {preset} | {precision} | {config.fit.batch} | {training:.1f} | {scoring:.1f} | "
                  f"{memory_gb():.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
