"""Shapes and dtypes of every public signature are checked while testing."""

import pytest
from jaxtyping import config, install_import_hook

import tests.helpers.typecheck  # noqa: F401 (the hook looks it up by name)

install_import_hook("synthforge", "tests.helpers.typecheck.typechecker")

from tests.helpers.heads import anthro_head, any_head, ict_file, ict_head  # noqa: E402, F401 (fixtures of all tests)


@pytest.fixture
def untyped(monkeypatch) -> None:
    """Arguments of wrong types reach the code, as they do outside the tests."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)
