"""Configurations of data sets from Python's arguments, by the rules of the command line."""

import json
import os
from pathlib import Path
from typing import Any

from synthforge.config import config_path, load_config
from synthforge.errors import ConfigError
from synthforge.pipeline.config import GenerateConfig, chosen


def as_path(value: Any, where: str) -> Path:
    """A path that a user gave.

    Raises:
        ConfigError: it is none; `where` names the argument.
    """
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"expected a path, got {value!r}", where=where)
    return Path(value)


def resolve(config: Path | str | None, keys: dict[str, Any], device: str, batch_size: int) -> GenerateConfig:
    """A configuration with keys set as `--set KEY=VALUE` does (None: null), its backend made ready.

    Raises:
        ConfigError: there is no such configuration, or a key or value is wrong.
        AssetError: a file that the head or the backend needs is missing.
    """
    plain = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in keys.items()}
    name, settings = chosen(None if config is None else str(config), plain)
    resolved = load_config(GenerateConfig, config_path(GenerateConfig.KIND, name), settings)
    prepare = resolved.backend_class.prepare
    prepare(resolved.settings, resolved.head, device, batch_size, lambda done, wanted: None)
    return resolved
