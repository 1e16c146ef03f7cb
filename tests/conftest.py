"""Shapes and dtypes of every public signature are checked while testing."""

from jaxtyping import install_import_hook

install_import_hook("synthforge", "beartype.beartype")
