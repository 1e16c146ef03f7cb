"""Entry points of other packages: found without an import, and one line where they are broken."""

import sys

import pytest

from synthforge import plugins
from synthforge.errors import ConfigError
from tests.helpers import packages


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Writes a package's metadata (name -> value of the group `synthforge.things`) where Python looks."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, **points: str) -> None:
        packages.install(tmp_path, package, {"synthforge.things": points})

    return install


def test_what_packages_name_is_found_and_loaded(put, tmp_path):
    put("one", sqrt="math:sqrt")
    put("two", mine="module_of_two:MINE")
    (tmp_path / "module_of_two.py").write_text("MINE = 7\n")
    found = plugins.found("synthforge.things")
    assert set(found) == {"sqrt", "mine"} and "module_of_two" not in sys.modules
    assert plugins.load(found["sqrt"])(9) == 3 and plugins.load(found["mine"]) == 7
    assert plugins.found("synthforge.others") == {}


@pytest.mark.parametrize("value", ["no_such_module:f", "math:no_such_name", "broken_module:f"])
def test_a_broken_package_is_one_line(put, tmp_path, value):
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('two\\nlines')\n")
    put("bad", thing=value)
    with pytest.raises(ConfigError, match="entry point 'thing' of synthforge.things") as error:
        plugins.load(plugins.found("synthforge.things")["thing"])
    assert value in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_two_packages_claim_is_refused_where_it_is_asked_for(put):
    put("one", thing="math:sqrt", other="math:exp")
    put("two", thing="math:cos")
    found = plugins.found("synthforge.things")
    assert plugins.load(found["other"])(0) == 1
    with pytest.raises(ConfigError, match=r"math:(sqrt|cos) and math:(sqrt|cos) are called 'thing'.*package"):
        plugins.load(found["thing"])


def test_the_name_of_something_own_cannot_be_taken(put):
    put("thief", own="math:cos")
    registry = plugins.Registry("thing", "synthforge.things", {"own": "math:sqrt", "second": "math:exp"})
    assert registry.load("second")(0) == 1 and registry.package("own") == ""
    with pytest.raises(ConfigError, match=r"math:cos and math:sqrt .* uninstall the package"):
        registry.load("own")
