"""synthforge bench: measure, one JSON line per figure."""

import json

import click


def _list(_: click.Context, option: click.Parameter, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"expected numbers and commas, got {text!r}", param=option) from error


@click.group()
def bench() -> None:
    """Measure speed and memory."""


@bench.command()
@click.option("--weights", type=click.Choice(["random", "released"]), default="random", show_default=True,
              help="Your checkpoint, or random weights of the same networks.")  # fmt: skip
@click.option("--head", help="Head model.  [flame for released weights, anthro for random ones]")
@click.option("--precision", "precisions", default="fp32", show_default=True, help="For example fp32,bf16.")
@click.option("--batch-size", "batches", callback=_list, default="0", show_default=True, metavar="N,N,...",
              help="0: what generate takes on the device.")  # fmt: skip
@click.option("--views-per-identity", "views", callback=_list, default="1", metavar="N,N,...",
              show_default=True, help="Samples that show one person.")  # fmt: skip
@click.option("--views-per-expression", "per_expression", type=click.IntRange(1), default=1,
              help="Samples that show one expression.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Batches timed.")
@click.option("--n", type=click.IntRange(0), default=0, help="Also write that many samples, end to end.")
def next3d(
    weights: str, head: str | None, precisions: str, batches: list[int], views: list[int],
    per_expression: int, device: str, repeats: int, n: int,
) -> None:  # fmt: skip
    """Time the neural backend by stage: one JSON line per figure."""
    from synthforge.bench import bench_next3d, paper_config

    head = head or ("anthro" if weights == "random" else "flame")
    for precision in precisions.split(","):
        for k in views:
            config = paper_config(weights, head, precision, k, per_expression)
            for batch in batches:
                for figure in bench_next3d(config, device, batch, repeats, n):
                    click.echo(json.dumps(figure))
