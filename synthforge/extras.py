"""Packages that an extra brings: imported where they are used, one line where they are missing."""

from importlib import import_module
from types import ModuleType

from synthforge.errors import AssetError


def need(module: str, extra: str, where: str) -> ModuleType:
    """Import `module`, which `synthforge[extra]` installs; `where` is what asks for it.

    Raises:
        AssetError: it cannot be imported; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        what = f"{module} is not installed" if missing else f"{module} cannot be imported ({error})"
        raise AssetError(what, where=where, fix=f'pip install "synthforge[{extra}]"') from error
