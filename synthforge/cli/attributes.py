"""`synthforge attributes`."""

import json

import click


@click.command()
@click.option("--config", metavar="YAML|NAME", help="Configuration that draws them; default as in generate.")
@click.option("--backend", help="Backend whose images show them; by default the configuration's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def attributes(config: str | None, backend: str | None, as_json: bool) -> None:
    """List every attribute of a face and its picture that a backend draws, and how a configuration varies it.

    Each can be set by its name, to a value or to a distribution (docs/distributions.md).
    """
    from synthforge.cli.settings import resolve
    from synthforge.config import to_dict
    from synthforge.pipeline.config import GenerateConfig, chosen

    name, settings = chosen(config, {"backend": backend})
    resolved = resolve(GenerateConfig, name, settings)
    drawn = resolved.scene.attributes
    rows = []
    for key, about in resolved.backend_class.capabilities.attributes.items():
        values = {"words": list(about.words)} if about.words else {"range": [about.low, about.high]}
        row = {"name": key, "meaning": about.text, "kind": "word" if about.words else "number", **values}
        text = drawn[key].text if key in drawn else f"always {_plain(about.default)}"
        plain = to_dict(drawn[key]) if key in drawn else about.default
        rows.append(row | {"default": about.default, "drawn": plain, "drawn_text": text})
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        click.echo(f"the backend {resolved.backend} draws no attributes")
        return
    for row in rows:
        of = ", ".join(row["words"]) if "words" in row else "{:g} to {:g}".format(*row["range"])
        click.echo(f"{click.style(row['name'], bold=True)}: {row['meaning']}")
        click.echo(f"  {row['kind']}: {of}")
        click.echo(f"  in {name}: {row['drawn_text']}")
    option = f" --backend {backend}" if backend else ""
    setting = f"{rows[-1]['name']}={_plain(rows[-1]['default'])}"
    click.echo(f"next: synthforge generate --preview{option} --set {setting}")


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
