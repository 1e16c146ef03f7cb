"""synthforge bench: measure, one JSON line per figure."""

import json

import click


def _list(_: click.Context, option: click.Parameter, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"expected numbers and commas, got {text!r}", param=option) from error


@click.command()
@click.argument("backend")
@click.option("--config", metavar="YAML|NAME", help="What to make; default as of generate.")
@click.option("--head", help="Head model; default as of generate.")
@click.option("--weights", help="Of next3d.  [released, random]")
@click.option("--precision", "precisions", default="", help="Of next3d; for example fp32,bf16.")
@click.option("--batch-size", "batches", callback=_list, default="0", show_default=True, metavar="N,N,...",
              help="0: what generate takes on the device.")  # fmt: skip
@click.option("--views-per-identity", "views", callback=_list, default="1", metavar="N,N,...",
              show_default=True, help="Samples that show one person.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True, help="Batches timed.")
@click.option("--n", type=click.IntRange(0), default=0, help="Also write that many samples, end to end.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a configuration key.")
def bench(
    backend: str, config: str | None, head: str | None, weights: str | None, precisions: str,
    batches: list[int], views: list[int], device: str, repeats: int, n: int, overrides: tuple[str, ...],
) -> None:  # fmt: skip
    """Time BACKEND by stage: one JSON line per figure."""
    from synthforge.bench import measure
    from synthforge.cli.generate import resolved_config

    for precision in precisions.split(","):
        for k in views:
            options = {"backend": backend, "head": head, "weights": weights, "precision": precision or None}
            resolved = resolved_config(config, options | {"views_per_identity": k}, overrides)
            for batch in batches:
                for figure in measure(resolved, device, batch, repeats, n):
                    click.echo(json.dumps(figure))
