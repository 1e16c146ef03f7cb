"""`synthforge evaluate`."""

from pathlib import Path
from typing import Literal

import click

from synthforge.cli.help import SPLIT, data_option, out_option
from synthforge.cli.out import require_writable


@click.command()
@data_option("Folder of annotated images; may be repeated for benchmarks.")
@click.option(
    "--layout",
    default="shards",
    help="shards, 300w, lapa, lapa-d, celebamask, celebamask-farl, celebamask-datagen16, helen, wflw, "
    "facesynthetics, or a custom layout's YAML.",
)
@click.option("--model", type=click.Path(path_type=Path), default="shipped",
              help="Folder of a training run, or the model in the package.")  # fmt: skip
@click.option("--split", type=SPLIT, default="all", help="Part of the images to score on.")
@out_option("Folder of the results; by default MODEL/eval/LAYOUT.")
@click.option(
    "--protocol",
    type=click.Choice(["standard", "synthforge"]),
    default="standard",
    help="synthforge: 256x256 crops cut by the annotation, as that paper's released code scores.",
)
@click.option("--normaliser", default="inter-ocular",
              help="inter-ocular, inter-pupil, box or diagonal.")  # fmt: skip
@click.option(
    "--threshold", "thresholds", multiple=True, type=float, default=(8.0, 10.0),
    help="Threshold of AUC and failure rate, in % of the normaliser; may be repeated.",
)  # fmt: skip
@click.option("--resamples", default=1000, help="Resamples of the bootstrap; with 0 there are no intervals.")
@click.option("--seed", default=0, help="Seed of the bootstrap.")
@click.option(
    "--flip/--no-flip", default=False, help="Average the answers for a crop and for its mirror image."
)
@click.option("--panels", default=12, help="Number of images in the picture of predictions.")
def evaluate(
    folders: tuple[Path, ...],
    layout: str,
    model: Path,
    split: Literal["train", "val", "test", "all"],
    out: Path | None,
    flip: bool,
    panels: int,
    **how,
) -> None:
    """Score a trained model on annotated images."""
    require_writable(out or (model / "eval" if model.is_dir() else Path("runs/shipped")))

    from tqdm import tqdm

    from synthforge.datasets.open import open_source
    from synthforge.evaluation.evaluate import evaluate as run
    from synthforge.evaluation.summary import EvaluateConfig
    from synthforge.models.store import SHIPPED, load_model

    home = Path("runs/shipped") if model == SHIPPED else model
    config = EvaluateConfig(**how)
    stored, source = load_model(model), open_source(layout, folders, split)
    variant = "" if config.protocol == "standard" else f"-{config.protocol}"
    out = out or home / "eval" / f"{source.info.name}{variant}"
    run(stored, source, out, flip, panels, lambda it: tqdm(it, unit="image"), config)
    click.echo((out / "summary.md").read_text(encoding="utf-8"))
    names = ", ".join(sorted(p.name for p in out.iterdir()))
    click.echo(f"results in {out}: {names}\nnext: synthforge export-model {model}")
