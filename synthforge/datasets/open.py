"""One way to open each layout, for training, label fine-tuning, evaluation and checks alike."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from synthforge import plugins
from synthforge.config import config_path, load_config
from synthforge.datasets.celebamask import CelebAMaskSource
from synthforge.datasets.custom import CustomLayout, CustomSource
from synthforge.datasets.facesynthetics import FaceSyntheticsSource
from synthforge.datasets.helen import HelenSource
from synthforge.datasets.lapa import LapaSource
from synthforge.datasets.lapa_d import LapaDSource
from synthforge.datasets.photos import PhotoSource, Split
from synthforge.datasets.sample import CheckError
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.source import Source, SourceInfo
from synthforge.datasets.w300 import W300Source
from synthforge.datasets.wflw import WflwSource
from synthforge.errors import ConfigError, SynthforgeError, unforeseen

CUSTOM_FILE = "dataset.yaml"  # describes the data folder it lies in, for the layout `custom`


def _shards(folders: Sequence[Path], split: Split) -> Source:
    return ShardSource(_single(folders))


def _custom(folders: Sequence[Path], split: Split) -> Source:
    path = _single(folders) / CUSTOM_FILE
    if not path.is_file():
        fix = f"describe the folder in {CUSTOM_FILE}, or give a layout's YAML file as its name"
        raise CheckError("E101", f"has no {CUSTOM_FILE}", where=str(path.parent), fix=fix)
    return CustomSource(load_config(CustomLayout, path), path.parent, split)


# name -> reader of (folders, split)
LAYOUTS: dict[str, Callable[[Sequence[Path], Split], Source]] = {
    "300w": W300Source,
    "lapa": LapaSource,
    "lapa-d": LapaDSource,
    "celebamask": CelebAMaskSource,
    "celebamask-farl": partial(CelebAMaskSource, order="farl"),
    "celebamask-datagen16": partial(CelebAMaskSource, order="datagen16"),
    "helen": HelenSource,
    "wflw": WflwSource,
    "facesynthetics": FaceSyntheticsSource,
    "custom": _custom,
    "shards": _shards,
}
GROUP = "synthforge.layouts"  # entry points of other packages: a reader of (folders, split) too


def open_source(layout: str, folders: Sequence[Path], split: Split = "all") -> Source:
    """Open folders of one layout.

    Args:
        layout: one of `LAYOUTS`, one that another package adds, or a custom layout by name or YAML path.
        folders: one folder for shards and custom layouts, any number for the others.
        split: train, val, test or all; by the benchmark's own lists or folders, by person in custom
            layouts. Shards have none.
    Raises:
        ConfigError, DatasetError: unknown layout, missing files.
    """
    if layout in LAYOUTS:
        return LAYOUTS[layout](folders, split)
    if layout in (added := plugins.found(GROUP)):
        read = plugins.load(added[layout])
        with unforeseen(f"layout {layout}"):
            source = read(folders, split)
        if not (isinstance(source, PhotoSource) and isinstance(getattr(source, "info", None), SourceInfo)):
            what, fix = f"reads a {type(source).__name__}", "give a PhotoSource with its SourceInfo as `info`"
            raise ConfigError(what, where=f"layout {layout!r} ({added[layout].value})", fix=fix)
        return source
    try:
        path = config_path("layouts", layout)
    except ConfigError as error:
        fix = f"use one of: {', '.join([*LAYOUTS, *added])}, or a layout's YAML file"
        raise ConfigError(f"unknown layout {layout!r}", where="--layout", fix=fix) from error
    return CustomSource(load_config(CustomLayout, path), _single(folders), split)


def has_split(layout: str, folders: Sequence[Path], split: Split) -> bool:
    """Whether folders of one layout hold photographs of a split."""
    try:
        return len(open_source(layout, folders, split)) > 0
    except SynthforgeError:
        return False


def _single(folders: Sequence[Path]) -> Path:
    if len(folders) != 1:
        raise ConfigError(f"got {len(folders)} folders", where="--data", fix="this layout takes one folder")
    return Path(folders[0])
