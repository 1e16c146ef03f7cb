"""`synthforge licences`."""

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def licences(as_json: bool) -> None:
    """Show the licence of everything that images and models are made from.

    That is what the package ships, the assets you have added, and the plug-ins of other packages. Each data
    set records those it was made with in its dataset.json; its report and the cards of models repeat them.
    """
    from synthforge.licences import ledger

    found = [asdict(licence) for licence in ledger()]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for licence in found:
        click.echo(f"{licence['name']}: {licence['licence']}\n  source: {licence['source']}")
        click.echo(f"  used for: {licence['used_for']}")
