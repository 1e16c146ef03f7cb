"""`synthforge train-multitask` and `synthforge label-finetune`."""

from pathlib import Path

import click

_METHODS = click.Choice(["lf", "adapter", "finetune", "scratch", "mix", "lastlayer"])
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--data", "folders", multiple=True, required=True, type=_FOLDER, help="Data set; may be repeated."
)
@click.option(
    "--config", "--preset", "config", default="tiny", show_default=True,
    help="tiny, small, paper, or a YAML file.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder of this run.  [runs/CONFIG]")
@click.option("--minutes", type=float, help="Train this long.")
@click.option("--steps", type=int, help="Train this many batches.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one config key.")
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
    from synthforge.config import config_path, load_config
    from synthforge.training.fit import first_process
    from synthforge.training.multitask import TrainConfig, train

    out = out or Path("runs") / Path(config).stem
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
@click.option(
    "--data", "folders", multiple=True, required=True, type=_FOLDER, help="Photographs; may be repeated."
)
@click.option("--backbone", type=click.Path(path_type=Path), default="shipped", show_default=True,
              help="Folder of a stage I run; scratch and mix take the network's size from it.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder of this run.  [runs/TARGET-METHOD]")
@click.option("--method", type=_METHODS, default="lf", show_default=True, help="What is trained; see above.")
@click.option("--features/--no-features", default=True, show_default=True, help="Features for label nets.")
@click.option(
    "--label-net", type=click.Choice(["unet", "resnet18-unet", "mlp"]), default="unet", show_default=True,
    help="Kind of label network.",
)  # fmt: skip
@click.option(
    "--bn", type=click.Choice(["frozen", "adapt", "dsbn", "dson"]), default="frozen", show_default=True,
    help="BatchNorm of the backbone: kept; with the statistics of the photographs; one for each domain.",
)  # fmt: skip
@click.option("--n-real", type=int, help="Use this many photographs of the subset.  [all]")
@click.option(
    "--subset", default="random", show_default=True,
    help="random, min-variance (no glasses, hats, ...; else the most usual faces), or a file of names.",
)  # fmt: skip
@click.option("--subset-seed", type=int, help="Of the draw.")
@click.option("--exclude", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="File of names of photographs to leave out.")  # fmt: skip
@click.option(
    "--synthetic", multiple=True, type=_FOLDER, help="Data set that mix trains on too.  [the backbone's]"
)
@click.option("--config", default="label", show_default=True, help="A name or a YAML file.")
@click.option("--steps", type=int, help="Train this many batches.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one config key.")
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
def label_finetune(
    target: str,
    folders: tuple[Path, ...],
    backbone: Path,
    out: Path | None,
    method: str,
    features: bool,
    label_net: str,
    bn: str,
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
    from synthforge.config import config_path, load_config
    from synthforge.datasets.check import open_checked
    from synthforge.datasets.open import has_split
    from synthforge.models.store import read_card
    from synthforge.training.fit import first_process
    from synthforge.training.label_finetune import LabelTrainConfig
    from synthforge.training.label_finetune import label_finetune as run

    out = out or Path("runs") / f"{Path(target).stem}-{method}"
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
