"""`synthforge gaps`."""

from pathlib import Path
from typing import Literal

import click

from synthforge.cli.help import FOLDER, SPLIT, data_option, out_option
from synthforge.cli.out import require_writable


@click.command()
@data_option("Folder of annotated photographs; may be repeated.")
@click.option("--layout", default="300w", help="Layout of the photographs.")
@click.option(
    "--split", type=SPLIT, default="train",
    help="Part of the photographs. Look at what you may train on, not at what you score on.",
)  # fmt: skip
@click.option("--shards", type=FOLDER, help="Generated data set to compare with.")
@click.option(
    "--model", type=click.Path(path_type=Path), help="Folder of a training run whose answers are compared."
)
@out_option("Markdown file to write the table to.")
def gaps(
    folders: tuple[Path, ...],
    layout: str,
    split: Literal["train", "val", "test", "all"],
    shards: Path | None,
    model: Path | None,
    out: Path | None,
) -> None:
    """Compare photographs with synthetic faces and a model's answers, measure by measure."""
    if out:
        require_writable(out, folder=False)

    from dataclasses import replace

    from tqdm import tqdm

    from synthforge.conventions import ClassSchema
    from synthforge.datasets.open import open_source
    from synthforge.datasets.shards import ShardSource
    from synthforge.evaluation.gaps import find_gaps, gap_table, offset_table, point_offsets
    from synthforge.models.store import load_model
    from synthforge.prediction.faces import FaceModel

    source = open_source(layout, folders, split)

    def track(indices):
        return tqdm(indices, unit="image")

    predicted = None
    if model is not None:
        net = FaceModel(load_model(model), replace(source.info, schema=ClassSchema(), depth=None))
        predicted = [net.label(source[i]).points for i in track(range(len(source)))]
    table = gap_table(find_gaps(source, ShardSource(shards) if shards else None, predicted, track))
    if predicted is not None:
        true = [source[i].points for i in range(len(source))]
        table += "\n" + offset_table(point_offsets(true, predicted))
    if out:
        out.write_text(table, encoding="utf-8")
    click.echo(table)
    click.echo("Now change the distribution (docs/distributions.md), generate, train, and look again.")
