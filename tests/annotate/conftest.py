import pytest

from synthforge.heads.base import HeadModel
from tests.helpers.tiny_head import tiny_head


@pytest.fixture(scope="session")
def tiny() -> HeadModel:
    return tiny_head()


@pytest.fixture(scope="session", params=["tiny", "anthro", "ict"])
def head(request) -> HeadModel:
    """Each head in turn."""
    return request.getfixturevalue("tiny" if request.param == "tiny" else f"{request.param}_head")
