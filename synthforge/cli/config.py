"""`synthforge config`: the configurations that ship, and what they come to."""

from importlib import import_module
from itertools import takewhile
from pathlib import Path
from textwrap import shorten

import click

from synthforge.cli.help import set_option

# Kind -> the folder below configs/, and the class that its files are read as.
KINDS = {
    "generate": ("generate", "synthforge.pipeline.config:GenerateConfig"),
    "train": ("train", "synthforge.training.multitask:TrainConfig"),
    "label": ("train", "synthforge.training.label_finetune:LabelTrainConfig"),
    "study": ("study", "synthforge.study.config:StudyConfig"),
    "layouts": ("layouts", "synthforge.datasets.custom:CustomLayout"),
}


@click.group()
def config() -> None:
    """Show the named configurations, and what a configuration comes to with all its defaults."""


def _names(kind: str) -> dict[str, Path]:
    """Configurations of one kind; `label` is the one in `train` that label-finetune reads."""
    from synthforge.config import named_configs

    named = named_configs(KINDS[kind][0])
    named.pop("published", None)  # tables of published figures
    return {name: path for name, path in named.items() if kind not in ("train", "label") or
            (name == "label") == (kind == "label")}  # fmt: skip


@config.command(name="list")
def list_configs() -> None:
    """List the named configurations, each with the beginning of its file."""
    for kind in KINDS:
        click.echo(f"{kind}:")
        for name, path in _names(kind).items():
            click.echo(f"  {name:20} {_about(path)}")
    click.echo("next: synthforge config show default")


@config.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)),
              help="What NAME is.  [the first that has it; for a file, generate]")  # fmt: skip
@set_option
def show(name: str, kind: str | None, overrides: tuple[str, ...]) -> None:
    """Print the configuration NAME (or a YAML file) with every key, as YAML that can be used again."""
    from synthforge.cli.settings import resolve
    from synthforge.config import to_dict
    from synthforge.strict_yaml import to_text

    kind = kind or next((k for k in KINDS if name in _names(k)), "generate")
    module, _, cls = KINDS[kind][1].partition(":")
    resolved = resolve(getattr(import_module(module), cls), name, overrides)
    click.echo(to_text(to_dict(resolved)), nl=False)


def _about(path: Path) -> str:
    """The beginning of a file's opening comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
    return shorten(comment.split(". ")[0], 90, placeholder=" ...").rstrip(".:")
