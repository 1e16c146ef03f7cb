"""Fixtures of the imported FLAME stand-in."""

from pathlib import Path

import pytest

from synthforge.heads.base import HeadModel


@pytest.fixture(scope="session")
def flame_file(tmp_path_factory) -> Path:
    """The stand-in of tests/helpers/flame_files.py imported into a store of its own."""
    from synthforge.heads.flame import install_flame
    from tests.helpers.flame_files import write_flame

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTHFORGE_HOME", str(tmp_path_factory.mktemp("assets")))
        return install_flame(write_flame(tmp_path_factory.mktemp("flame")))[0]


@pytest.fixture(scope="session")
def flame_head(flame_file) -> HeadModel:
    return HeadModel.from_npz("flame", flame_file)
