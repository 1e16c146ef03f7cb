"""`synthforge train-multitask` and `synthforge label-finetune`."""

from pathlib import Path
from typing import Any

import click

from synthforge.cli.help import FOLDER, data_option, out_option, set_option
from synthforge.cli.out import require_writable

_METHODS = click.Choice(["lf", "adapter", "finetune", "scratch", "mix", "lastlayer"])


@click.command()
@data_option("Generated data set; may be repeated.")
@click.option(
    "--config", "--preset", "config", default="tiny",
    help="Name of a configuration (synthforge config list), or a YAML file.",
)  # fmt: skip
@out_option("Folder of this run; by default runs/CONFIG.")
@click.option("--minutes", type=float, help="Train for this many minutes, in place of a number of steps.")
@click.option("--steps", type=int, help="Train for this many batches.")
@set_option
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
def train_multitask(
    folders: tuple[Path, ...],
    config: str,
    out: Path | None,
    minutes: float | None,
    steps: int | None,
    overrides: tuple[str, ...],
    resume: bool,
) -> None:
    """Train the multi-task network on synthetic data (stage I)."""
    out = out or Path("runs") / Path(config).stem
    require_writable(out)

    from synthforge.config import config_path, load_config
    from synthforge.training.fit import first_process
    from synthforge.training.multitask import TrainConfig, train

    overrides += (f"fit.minutes={minutes}",) if minutes else ()
    overrides += (f"fit.steps={steps}", "fit.minutes=0") if steps else ()
    report = train(load_config(TrainConfig, config_path("train", config), overrides), folders, out, resume)
    if not first_process():  # the others of several processes that train together
        return
    held_out = ", ".join(f"{k[6:]} {v:.4g}" for k, v in report["held_out"].items())
    click.echo(f"{report['steps']} steps, {report['views']} views, {report['minutes']} min")
    click.echo(f"held out: {held_out}")
    click.echo(f"model: {out}\nnext: synthforge evaluate --model {out} --data {folders[0]}")


@click.command()
@click.option(
    "--target",
    required=True,
    help="300w, lapa, lapa-d, celebamask[-farl], helen, wflw, facesynthetics, custom, or a layout's YAML.",
)
@data_option("Folder of annotated photographs; may be repeated.")
@click.option("--backbone", type=click.Path(path_type=Path), default="shipped",
              help="Folder of a stage I run; scratch and mix take the network's size from it.")  # fmt: skip
@out_option("Folder of this run; by default runs/TARGET-METHOD.")
@click.option("--method", type=_METHODS, default="lf", help="What is trained; see above.")
@click.option(
    "--features/--no-features",
    default=True,
    help="Whether label networks see the features of the backbone too.",
)
@click.option(
    "--label-net", type=click.Choice(["unet", "resnet18-unet", "mlp"]), default="unet",
    help="Kind of label network.",
)  # fmt: skip
@click.option(
    "--bn", type=click.Choice(["frozen", "adapt", "dsbn", "dson"]), default="frozen",
    help="How BatchNorm of the backbone is treated: kept, with the statistics of the photographs, or one for "
    "each domain.",
)  # fmt: skip
@click.option("--n-real", type=int, help="Use this many photographs; by default all.")
@click.option(
    "--subset", default="random",
    help="Which ones: random, min-variance (without glasses, hats and the like, most usual faces first), "
    "or a file of names.",
)  # fmt: skip
@click.option("--subset-seed", type=int, help="Seed of the random choice of photographs.")
@click.option("--exclude", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="File with the names of photographs to leave out.")  # fmt: skip
@click.option(
    "--synthetic",
    multiple=True,
    type=FOLDER,
    help="Generated data set for the method mix; by default the one of the backbone.",
)
@click.option("--config", default="label", help="Name of a configuration, or a YAML file.")
@click.option("--steps", type=int, help="Train for this many batches.")
@set_option
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
def label_finetune(
    target: str,
    folders: tuple[Path, ...],
    backbone: Path,
    out: Path | None,
    method: Any,
    features: bool,
    label_net: Any,
    bn: Any,
    n_real: int | None,
    subset: str,
    subset_seed: int | None,
    exclude: Path | None,
    synthetic: tuple[Path, ...],
    config: str,
    steps: int | None,
    overrides: tuple[str, ...],
    resume: bool,
) -> None:
    """Adapt a network to a benchmark's labels (stage II).

    lf trains label networks on a frozen backbone, adapter maps points by ridge regression in closed
    form, lastlayer trains the last layer of each head, finetune all weights; scratch trains the same
    network on the photographs alone, mix on photographs and synthetic data together.
    """
    out = out or Path("runs") / f"{Path(target).stem}-{method}"
    require_writable(out)

    from synthforge.config import config_path, load_config
    from synthforge.datasets.check import open_checked
    from synthforge.datasets.open import has_split
    from synthforge.models.store import read_card
    from synthforge.training.fit import first_process
    from synthforge.training.label_finetune import LabelTrainConfig
    from synthforge.training.label_finetune import label_finetune as run

    overrides += (f"fit.steps={steps}",) if steps else ()
    overrides += (f"subset_seed={subset_seed}",) if subset_seed is not None else ()
    settings = load_config(LabelTrainConfig, config_path("train", config), overrides)
    source = open_checked(target, folders, "train", read_card(backbone))
    report = run(
        settings, source, backbone, out, method, features, n_real, subset, bn, label_net, synthetic, exclude,
        resume,
    )  # fmt: skip
    if not first_process():
        return
    click.echo(f"{report['photographs']} photographs, {report['steps']} steps, {report['minutes']} min")
    if report["backbone_frozen"]:
        click.echo(f"backbone unchanged: sha256 {report['backbone_sha256_after'][:16]}... before and after")
    given = " ".join(f"--data {folder}" for folder in folders)
    given += " --split test" if has_split(target, folders, "test") else ""
    click.echo(f"model: {out}\nnext: synthforge evaluate --model {out} --layout {target} {given}")
