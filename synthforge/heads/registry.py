"""Names of the heads and where each comes from: a function that returns a `HeadModel`.

Imports nothing heavy: names are checked fast.
"""

from typing import TYPE_CHECKING

from synthforge.errors import ConfigError, unforeseen
from synthforge.plugins import Registry

if TYPE_CHECKING:
    import synthforge.heads.base

OWN = {name: f"synthforge.heads.{name}:load_{name}" for name in ("anthro", "ict", "flame", "gnm")}
HEADS = Registry("head", "synthforge.heads", OWN)
NAMED_CONFIG = {"flame": "paper", "gnm": "paper"}  # for heads whose expressions have no names


def load_head(name: str) -> "synthforge.heads.base.HeadModel":
    """Head model by name.

    Raises:
        ConfigError: there is no head of that name, or its package is broken.
        AssetError: its asset is missing; the message says how to add it.
        SynthforgeError: it cannot be loaded.
    """
    from synthforge.heads.base import HeadModel

    make = HEADS.load(name)
    with unforeseen(f"head {name}", "repair or uninstall the package that adds it"):
        head = make()
    if not isinstance(head, HeadModel):
        raise ConfigError(
            f"got {type(head).__name__}, no synthforge.heads.base.HeadModel", where=f"head {name}",
            fix="repair or uninstall the package that adds it",
        )  # fmt: skip
    return head
