"""What setup.py says of the package, against what the package imports and holds."""

import ast
import re
import runpy
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import setuptools
import yaml

from tests.helpers.build import ROOT, build_wheel

PACKAGE = ROOT / "synthforge"


@pytest.fixture(scope="module")
def setup():
    """Arguments of setup() in setup.py."""
    with pytest.MonkeyPatch.context() as patch:
        said = {}
        patch.setattr(setuptools, "setup", said.update)
        patch.chdir(ROOT)
        runpy.run_path(str(ROOT / "setup.py"))
    return said


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=! ]", line)[0].lower() for line in requirements}


def imported() -> dict[str, set[Path]]:
    """Top-level modules of others that the package imports anywhere, and where."""
    own = sys.stdlib_module_names | {"synthforge", "next3d"}
    found: dict[str, set[Path]] = {}
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "third_party").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "need":
                modules = [c.value for c in ast.walk(node.args[0]) if isinstance(c, ast.Constant)]
            for module in {m.split(".")[0] for m in modules} - own:
                found.setdefault(module, set()).add(path)
    return found


def distributions(modules) -> set[str]:
    known = packages_distributions()
    return {known.get(module, [module])[0].lower() for module in modules}


def test_every_import_is_declared_and_every_requirement_imported(setup):
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    optional = {name for lines in setup["extras_require"].values() for name in names(lines)}
    used = distributions(imported())
    required = names(setup["install_requires"])
    assert used <= required | optional | (names([d for d in conda if isinstance(d, str)]) & {"pytorch3d"})
    assert required <= used


BLOCKED = """
import importlib, pkgutil, sys
for module in {modules}:
    sys.modules[module] = None
import synthforge
from synthforge.errors import AssetError
for module in pkgutil.walk_packages(synthforge.__path__, "synthforge.", onerror=lambda name: None):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except AssetError as error:
            print(module.name, error)
"""


def test_without_the_extras_all_but_training_can_be_imported(setup):
    of_extras = {n for extra in setup["extras_require"] for n in names(setup["extras_require"][extra])}
    blocked = {m for m in imported() if distributions([m]) <= of_extras - names(setup["install_requires"])}
    assert {"lightning", "mitsuba", "ray", "onnx"} <= blocked
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(modules=sorted(blocked))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    refused = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert "synthforge.training" in refused
    for module, error in refused.items():
        assert module.startswith(("synthforge.training", "synthforge.study")), module
        assert error == 'training: lightning is not installed; pip install "synthforge[train]"'


def test_the_wheel_holds_every_file_of_the_package(tmp_path):
    with zipfile.ZipFile(build_wheel(tmp_path)) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
        metadata = next(file.read(n).decode() for n in file.namelist() if n.endswith("/METADATA"))
    wanted = {
        f"{inside}/{path.relative_to(ROOT / folder)}"
        for folder, inside in {
            "synthforge": "synthforge", "configs": "synthforge/configs", "third_party/next3d": "next3d"
        }.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }  # fmt: skip
    assert held == wanted
    for line in ("License-Expression: Apache-2.0", "License-File: LICENSE", "License-File: NOTICE"):
        assert line in metadata
