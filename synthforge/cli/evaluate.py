"""`synthforge evaluate`."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--data",
    "folders",
    multiple=True,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of annotated images; may be repeated (300w, lapa).",
)
@click.option(
    "--layout", default="shards", show_default=True, help="shards, 300w, lapa, or a custom layout's YAML."
)
@click.option("--model", required=True, type=click.Path(path_type=Path), help="Folder of a training run.")
@click.option("--split", type=click.Choice(["train", "test", "all"]), default="all", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Default: MODEL/eval/LAYOUT.")
@click.option("--flip/--no-flip", default=False, help="Average with the mirrored crop.")
@click.option("--panels", default=12, show_default=True, help="Images in the picture of predictions.")
def evaluate(
    folders: tuple[Path, ...],
    layout: str,
    model: Path,
    split: str,
    out: Path | None,
    flip: bool,
    panels: int,
) -> None:
    """Score a trained model on annotated images."""
    from tqdm import tqdm

    from synthforge.datasets.open import open_source
    from synthforge.evaluation.evaluate import evaluate as run
    from synthforge.evaluation.evaluate import table
    from synthforge.models.store import load_model

    stored, source = load_model(model), open_source(layout, folders, split)
    out = out or model / "eval" / source.name
    scores = run(stored, source, out, flip, panels, lambda it: tqdm(it, unit="image"))
    click.echo(table(scores))
    click.echo(f"\nresults: {out}/scores.json, per_image.csv, panels.png")
