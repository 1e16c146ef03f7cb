"""Examples for the help of every command, and options that show the defaults of configurations."""

import typing
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import click

EXAMPLES: dict[str, tuple[str, ...]] = {
    "generate": (
        "generate --n 4000 --resolution 256 --out out/faces",
        "generate --preview --set eyeglasses=clear --set 'age={uniform: [60, 80]}'",
        "generate --config paper --n 100 --seed 7",
    ),
    "attributes": ("attributes", "attributes --config paper --json", "attributes --backend pathtrace"),
    "config": ("config list", "config show default --set eyeglasses=clear"),
    "config list": ("config list",),
    "config show": ("config show default", "config show small --kind train --set fit.steps=1e4"),
    "verify": ("verify out/faces",),
    "render": ("render out/faces 3 --resolution 1024", "render out/faces 3 --labels --out labels.png"),
    "report": ("report out/faces --samples 100",),
    "train-multitask": (
        "train-multitask --data out/faces --out runs/faces",
        "train-multitask --data out/faces --config small --steps 2000 --set fit.batch=16",
    ),
    "label-finetune": (
        "label-finetune --target 300w --data PATH/300W --backbone runs/faces --out runs/adapted",
        "label-finetune --target lapa --data PATH/LaPa --method adapter --n-real 100",
    ),
    "evaluate": (
        "evaluate --model runs/faces --data out/faces",
        "evaluate --layout 300w --data PATH/300W --split test --model runs/adapted",
    ),
    "gaps": ("gaps --data PATH/300W --layout 300w --shards out/faces --model runs/faces --out gaps.md",),
    "study": ("study label_count_small --train PATH/300W --test PATH/300W --run synthetic=runs/faces",),
    "predict": ("predict PICTURE.jpg", "predict FOLDER --model runs/faces --all-faces --out out/answers"),
    "export-model": ("export-model runs/faces", "export-model shipped --onnx --out out/shipped"),
    "dataset": ("dataset check --layout 300w --data PATH/300W",),
    "dataset check": ("dataset check --layout 300w --data PATH/300W --samples 0",),
    "align": ("align --n 64 --device cuda",),
    "bench": ("bench raster --n 64", "bench next3d --weights random --batch-size 1,4 --repeats 5"),
    "assets": ("assets check", "assets add ict-facekit PATH/ICT-FaceKit"),
    "assets add": ("assets add ict-facekit PATH/ICT-FaceKit", "assets add flame PATH/FLAME2023"),
    "assets list": ("assets list",),
    "assets check": ("assets check",),
    "licences": ("licences", "licences --json"),
}


def add_examples(command: click.Command, path: str) -> None:
    """Put the examples of a command, and of the commands in it, at the end of their help."""
    if path in EXAMPLES:
        lines = "\n".join(f"  synthforge {line}" for line in EXAMPLES[path])
        command.epilog = f"\b\nExamples:\n{lines}"
    for name, inner in getattr(command, "commands", {}).items():
        add_examples(inner, f"{path} {name}")


set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE",
    help="Override a key of the configuration, by the end of its name; may be repeated.",
)  # fmt: skip

device_option = click.option("--device", default="auto", help="cpu, cuda, cuda:1, ...")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
PLACE = click.Path(path_type=Path)
SPLIT = click.Choice(["train", "val", "test", "all"])


def data_option(text: str, option: str = "--data", name: str = "folders", kind: Any = FOLDER) -> Callable:
    """Folders that must be given, one or several."""
    return click.option(option, name, multiple=True, required=True, type=kind, help=text)


def out_option(text: str, kind: Any = PLACE) -> Callable:
    """What is written."""
    return click.option("--out", type=kind, help=text)


class Setting(click.Option):
    """An option that sets a key of a configuration, and shows that key's choices and default.

    Args:
        of: "module:Class" of the dataclass that has a field of the option's name; imported for help only.
        names: "module:REGISTRY" of the things that can be named, if these are the choices.
    """

    def __init__(self, *declarations: Any, of: str, names: str = "", **options: Any):
        super().__init__(*declarations, **options)
        self.of, self.names = of, names

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        cls = _object(self.of)
        hint = typing.get_type_hints(cls)[self.name]
        choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
        if self.names:
            choices = _object(self.names).points()
        default = next(f.default for f in fields(cls) if f.name == self.name)
        parts = [", ".join(choices)] if choices else []
        option, text = super().get_help_record(ctx) or ("", "")
        return option, f"{text}  [{'; '.join([*parts, f'default: {default}'])}]"


def _object(place: str) -> Any:
    """What stands at "module:name"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
