"""synthforge bench: measure, one JSON line per figure."""

import json

import click

from synthforge.cli.generate import CONFIG, HEADS, NEXT3D
from synthforge.cli.help import Setting, device_option, set_option


def _list(_: click.Context, option: click.Parameter, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"expected numbers and commas, got {text!r}", param=option) from error


@click.command()
@click.argument("backend")
@click.option("--config", metavar="YAML|NAME", help="What to make; by default as generate.")
@click.option("--head", cls=Setting, of=CONFIG, names=HEADS, help="Head model.")
@click.option("--weights", cls=Setting, of=NEXT3D, help="For next3d: your checkpoint, or random weights.")
@click.option(
    "--precision",
    "precisions",
    default="",
    show_default="the configuration's",
    help="For next3d, for example fp32,bf16.",
)
@click.option(
    "--batch-size",
    "batches",
    callback=_list,
    default="0",
    metavar="N,N,...",
    help="Samples drawn at once; 0 takes what suits the device.",
)
@click.option(
    "--views-per-identity",
    "views",
    callback=_list,
    default="1",
    metavar="N,N,...",
    help="Consecutive samples that show one person.",
)
@device_option
@click.option("--repeats", type=click.IntRange(1), default=3, help="Number of batches that are timed.")
@click.option("--n", type=click.IntRange(0), default=0, help="Also write that many samples, end to end.")
@set_option  # fmt: skip
def bench(
    backend: str, config: str | None, head: str | None, weights: str | None, precisions: str,
    batches: list[int], views: list[int], device: str, repeats: int, n: int, overrides: tuple[str, ...],
) -> None:  # fmt: skip
    """Time BACKEND by stage: one JSON line per figure."""
    from synthforge.bench import measure
    from synthforge.cli.bars import bar
    from synthforge.cli.generate import resolved_config

    for precision in precisions.split(","):
        for k in views:
            options = {"backend": backend, "head": head, "weights": weights, "precision": precision or None}
            resolved = resolved_config(config, options | {"views_per_identity": k}, overrides)
            for batch in batches:
                with bar("batch") as progress:
                    figures = list(measure(resolved, device, batch, repeats, n, progress))
                for figure in figures:
                    click.echo(json.dumps(figure))
