"""The configuration that a command works with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from synthforge.config import config_path, left_at_defaults, load_config


def resolve(cls: Any, name_or_path: str, overrides: Sequence[str] = ()) -> Any:
    """A configuration of class `cls` by name or path, with overrides.

    Of a file of the user's own that names no base, it is said what it leaves at which value.

    Raises:
        ConfigError: there is none, or a key or value is wrong.
    """
    path = config_path(cls.KIND, name_or_path)
    found = load_config(cls, path, overrides)
    if left := left_at_defaults(cls, path):
        click.echo(f"note: {Path(name_or_path).name} {left}", err=True)
    return found
