"""A user's own landmark detector, named on the command line."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from synthforge.errors import ConfigError

LandmarkDetector = Callable[[np.ndarray], np.ndarray | None]  # uint8 h w 3 -> 68 2 px, None: no face


def load_detector(name: str, option: str = "--detector") -> LandmarkDetector:
    """A function by its name, `package.module:function`, installed or in the working folder.

    Raises:
        ConfigError: there is none of that name; `option` is where it was given.
    """
    module, _, function = name.partition(":")
    sys.path.append(str(Path.cwd()))  # where users keep such a file
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"cannot be imported ({error})", where=f"{option} {name}", fix="give package.module:function"
        ) from error
