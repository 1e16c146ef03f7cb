"""Names of the heads and where each comes from."""

from collections.abc import Callable

from synthforge.errors import ConfigError
from synthforge.heads.base import HeadModel


def _anthro() -> HeadModel:
    from synthforge.heads.anthro import load_anthro

    return load_anthro()


def _ict() -> HeadModel:
    from synthforge.heads.ict import load_ict

    return load_ict()


def _flame() -> HeadModel:
    from synthforge.heads.flame import load_flame

    return load_flame()


HEADS: dict[str, Callable[[], HeadModel]] = {"anthro": _anthro, "ict": _ict, "flame": _flame}


def check_head(name: str) -> None:
    """
    Raises:
        ConfigError: there is no head of that name.
    """
    if name not in HEADS:
        raise ConfigError(f"unknown head {name!r}", where="head", fix=f"use one of: {', '.join(HEADS)}")


def load_head(name: str) -> HeadModel:
    """Head model by name.

    Raises:
        ConfigError: there is no head of that name.
        AssetError: its asset is missing; the message says how to add it.
    """
    check_head(name)
    return HEADS[name]()
