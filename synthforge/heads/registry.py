"""Names of the heads and where each comes from. Imports nothing heavy: names are checked fast."""

from importlib import import_module
from typing import Any

from synthforge.errors import ConfigError

HEADS = {name: f"synthforge.heads.{name}:load_{name}" for name in ("anthro", "ict", "flame", "gnm")}


def check_head(name: str) -> None:
    """
    Raises:
        ConfigError: there is no head of that name.
    """
    if name not in HEADS:
        raise ConfigError(f"unknown head {name!r}", where="head", fix=f"use one of: {', '.join(HEADS)}")


def load_head(name: str) -> Any:
    """Head model (`heads.base.HeadModel`) by name.

    Raises:
        ConfigError: there is no head of that name.
        AssetError: its asset is missing; the message says how to add it.
    """
    check_head(name)
    module, _, function = HEADS[name].partition(":")
    return getattr(import_module(module), function)()
