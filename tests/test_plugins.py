"""Entry points of other packages: found without an import, and one line where they are broken."""

import importlib
import sys

import pytest

from synthforge import plugins
from synthforge.errors import ConfigError


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Writes a package's metadata (name -> value of the group `synthforge.things`) where Python looks."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, **points: str) -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("[synthforge.things]\n" + "\n".join(lines) + "\n")
        importlib.invalidate_caches()

    return install


def test_what_packages_name_is_found_and_loaded(packages, tmp_path):
    packages("one", sqrt="math:sqrt")
    packages("two", mine="module_of_two:MINE")
    (tmp_path / "module_of_two.py").write_text("MINE = 7\n")
    found = plugins.found("synthforge.things")
    assert set(found) == {"sqrt", "mine"} and "module_of_two" not in sys.modules
    assert plugins.load(found["sqrt"])(9) == 3 and plugins.load(found["mine"]) == 7
    assert plugins.found("synthforge.others") == {}


@pytest.mark.parametrize("value", ["no_such_module:f", "math:no_such_name", "broken_module:f"])
def test_a_broken_package_is_one_line(packages, tmp_path, value):
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('two\\nlines')\n")
    packages("bad", thing=value)
    with pytest.raises(ConfigError, match="entry point 'thing' of synthforge.things") as error:
        plugins.load(plugins.found("synthforge.things")["thing"])
    assert value in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_two_packages_claim_is_refused(packages):
    packages("one", thing="math:sqrt")
    packages("two", thing="math:cos")
    with pytest.raises(ConfigError, match=r"math:(sqrt|cos) and math:(sqrt|cos) are called 'thing'"):
        plugins.found("synthforge.things")
