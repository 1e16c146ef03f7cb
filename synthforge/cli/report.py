"""report: look at a data set."""

from pathlib import Path

import click

from synthforge.cli.help import FILE, out_option
from synthforge.cli.out import require_writable


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@out_option("File of the page; by default DIR/report.html.", FILE)
@click.option("--samples", type=click.IntRange(1, 500), default=48, help="Number of samples that are shown.")
def report(folder: Path, out: Path | None, samples: int) -> None:
    """Make an HTML page of the data set in DIR, and a contact sheet beside it.

    The page is one file that needs no network: samples with switchable overlays, distributions of
    cameras, poses, classes and attributes, sizes, and where everything came from.
    """
    from synthforge.cli.bars import bar
    from synthforge.report.page import write_report

    out = out or folder / "report.html"
    require_writable(out, folder=False)
    with bar("sample") as progress:
        page, sheet = write_report(folder, out, samples, progress)
    click.echo(f"wrote {page} ({page.stat().st_size / 1e6:.1f} MB); open it in a browser")
    click.echo(f"wrote {sheet}")
    click.echo(f"next: synthforge train-multitask --data {folder}")
