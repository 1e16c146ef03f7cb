"""`synthforge dataset check`."""

from pathlib import Path

import click

from synthforge.cli.help import SPLIT, data_option


@click.group()
def dataset() -> None:
    """Look into a data set of photographs."""


@dataset.command()
@click.option("--layout", required=True, help="300w, lapa, celebamask, ..., or a custom layout's YAML.")
@data_option("Folder of annotated images; may be repeated.", kind=click.Path(path_type=Path))
@click.option("--split", type=SPLIT, default="all", help="Part of the photographs to check.")
@click.option(
    "--samples", default=500, help="Number of photographs that are read of each split; 0 reads all."
)
@click.option("--model", type=click.Path(path_type=Path), help="Also check that this model fits the data.")
@click.option(
    "--leak-check", is_flag=True, help="Take photographs that are in two splits or sets (E110) for an error."
)
def check(
    layout: str, folders: tuple[Path, ...], split: str, samples: int, model: Path | None, leak_check: bool
) -> None:
    """Check a data set before training on it: one line for each of E101 to E114, fails on an error."""
    from synthforge.cli.bars import bar
    from synthforge.datasets.check import check_data
    from synthforge.models.store import read_card

    card = read_card(model) if model else None
    with bar("photograph") as progress:
        report = check_data(layout, folders, split, samples, card, leak_check, progress)
    click.echo(report.table())
    report.require_good()
    given = " ".join(f"--data {folder}" for folder in folders)
    click.echo(f"next: synthforge label-finetune --target {layout} {given}")
