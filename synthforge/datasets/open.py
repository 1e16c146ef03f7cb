"""One way to open each layout, for training, label fine-tuning and evaluation alike."""

from collections.abc import Sequence
from pathlib import Path

from synthforge.config import config_path, load_config
from synthforge.datasets.custom import CustomLayout, CustomSource
from synthforge.datasets.lapa import LapaSource
from synthforge.datasets.sample import Source
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.w300 import W300Source
from synthforge.errors import ConfigError

LAYOUTS = ("300w", "lapa", "shards", "a layout file such as fasseg.yaml")


def open_source(layout: str, folders: Sequence[Path], split: str = "all") -> Source:
    """Open folders of one layout.

    Args:
        layout: `300w`, `lapa`, `shards`, or a custom layout by name or YAML path.
        folders: one folder for shards and custom layouts, any number for the others.
        split: train, test or all; by person in custom layouts, by folder in 300w.
    Raises:
        ConfigError, DatasetError: unknown layout, missing files.
    """
    if layout == "300w":
        return W300Source(folders, split)
    if layout == "lapa":
        return LapaSource(folders)
    if layout != "shards" and layout != "custom":
        custom = load_config(CustomLayout, config_path("layouts", layout))
        return CustomSource(custom, _single(folders), split)
    if layout == "shards":
        return ShardSource(_single(folders))
    raise ConfigError(f"unknown layout {layout!r}", where="--layout", fix=f"use one of: {', '.join(LAYOUTS)}")


def _single(folders: Sequence[Path]) -> Path:
    if len(folders) != 1:
        raise ConfigError(f"got {len(folders)} folders", where="--data", fix="this layout takes one folder")
    return Path(folders[0])
