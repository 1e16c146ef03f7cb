"""Configurations of data sets from Python's arguments, by the rules of the command line."""

import json
from pathlib import Path
from typing import Any

from synthforge.config import config_path, load_config
from synthforge.pipeline.config import GenerateConfig


def resolve(config: Path | str, overrides: dict[str, Any]) -> GenerateConfig:
    """A configuration by its name or file, with keys overridden as `--set KEY=VALUE` does; None: left alone.

    Raises:
        ConfigError: there is no such configuration, or a key or value is wrong.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    plain = [f"{key}={json.dumps(value, default=str)}" for key, value in given.items()]
    return load_config(GenerateConfig, config_path("generate", str(config)), plain)
