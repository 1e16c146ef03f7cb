"""`synthforge export-model`."""

from pathlib import Path

import click

from synthforge.cli.help import out_option
from synthforge.cli.out import require_writable


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@out_option("Folder to write; by default RUN/export, and out/shipped for shipped.")
@click.option("--onnx", is_flag=True, help="Write ONNX too, and check it against the network.")
@click.option("--license", "licence", default="not stated", help="Licence that the model card states.")
def export_model(run: Path, out: Path | None, onnx: bool, licence: str) -> None:
    """Store the model of RUN for use elsewhere: safetensors, JSON, a model card, and ONNX.

    RUN is the folder of a training run, or `shipped`, the model in the package.
    """
    require_writable(out or (run / "export" if run.is_dir() else Path("out/shipped")))

    from synthforge.cli.bars import bar
    from synthforge.models.export import export
    from synthforge.models.store import SHIPPED

    out = out or (Path("out/shipped") if run == SHIPPED else run / "export")
    with bar("step") as progress:
        difference = export(run, out, onnx, licence, progress)
    if difference is not None:
        click.echo(f"ONNX agrees with the network to {difference:.1e} on random crops")
    click.echo(f"model: {out}\nnext: synthforge predict PICTURE.jpg --model {out}")
