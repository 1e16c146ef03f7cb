"""`synthforge attributes`."""

import json

import click


@click.command()
@click.option("--config", default="default", metavar="YAML|NAME", help="Configuration that draws them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def attributes(config: str, as_json: bool) -> None:
    """List every attribute of a face and its picture, and how a configuration draws it.

    Each can be set by its name, to a value or to a distribution (docs/distributions.md).
    """
    from synthforge.attributes import ATTRIBUTES
    from synthforge.cli.settings import resolve
    from synthforge.config import to_dict
    from synthforge.pipeline.config import GenerateConfig

    drawn = resolve(GenerateConfig, config).scene.attributes
    rows = []
    for name, about in ATTRIBUTES.items():
        values = {"words": list(about.words)} if about.words else {"range": [about.low, about.high]}
        row = {"name": name, "meaning": about.text, "kind": "word" if about.words else "number", **values}
        text = drawn[name].text if name in drawn else f"always {_plain(about.default)}"
        plain = to_dict(drawn[name]) if name in drawn else about.default
        rows.append(row | {"default": about.default, "drawn": plain, "drawn_text": text})
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        of = ", ".join(row["words"]) if "words" in row else "{:g} to {:g}".format(*row["range"])
        click.echo(f"{click.style(row['name'], bold=True)}: {row['meaning']}")
        click.echo(f"  {row['kind']}: {of}")
        click.echo(f"  in {config}: {row['drawn_text']}")
    click.echo(f"next: synthforge generate --preview --set {rows[-1]['name']}={_plain(rows[-1]['default'])}")


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
