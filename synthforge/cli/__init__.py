"""The command line: each command lives in a module that is imported when it is called."""

import sys
from importlib import import_module

import click

from synthforge import __version__
from synthforge.cli.help import add_examples
from synthforge.errors import SynthforgeError

# name -> (module, one line of help): help of the group must not import the modules.
COMMANDS = {
    "generate": ("generate", "Write labelled synthetic faces."),
    "attributes": ("attributes", "List what can be set about a face and its picture."),
    "config": ("config", "Show the named configurations."),
    "verify": ("generate", "Check a data set."),
    "render": ("generate", "Re-render one sample from its stored parameters."),
    "report": ("report", "Make an HTML page and a contact sheet of a data set."),
    "train-multitask": ("train", "Train the multi-task network on synthetic data (stage I)."),
    "label-finetune": ("train", "Adapt a frozen network to a real benchmark's labels (stage II)."),
    "evaluate": ("evaluate", "Score a model on annotated images."),
    "gaps": ("gaps", "Compare photographs with synthetic faces and a model's answers."),
    "study": ("study", "Run an experiment: methods by amounts of photographs by seeds."),
    "predict": ("predict", "Run a model on your own pictures and videos."),
    "export-model": ("export_model", "Write a model as safetensors or ONNX, with its card."),
    "dataset": ("dataset", "Check annotated photographs before training on them."),
    "align": ("align", "Fit where a Next3D checkpoint has its faces, once for each."),
    "bench": ("bench", "Measure speed and memory, stage by stage."),
    "assets": ("assets", "Add, list and check licensed model files."),
    "licences": ("licences", "Show the licence of everything that images and models are made from."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"synthforge.cli.{COMMANDS[name][0]}")
        command = getattr(module, name.replace("-", "_"))
        add_examples(command, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    epilog="\b\nExamples:\n  synthforge generate --n 64 --out out/faces\n  synthforge report out/faces",
)
@click.version_option(__version__)
def main() -> None:
    """Labelled synthetic faces, and face-analysis models trained on them."""


def run() -> None:
    """Entry point: a user's mistake ends in one line and exit code 1."""
    try:
        main()
    except SynthforgeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
