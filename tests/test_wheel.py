"""The wheel does the main job in an environment of its own, outside the checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from tests.helpers.build import ROOT, build_wheel

pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment with the wheel in it, and the folder that its commands run in.

    The packages that synthforge needs are those of the tests' environment, found by a path alone: its hook
    for this checkout, if that is installed editable, is not active here.
    """

    def __init__(self, folder: Path):
        self.home, self.work = folder / "env", folder / "work"
        self.work.mkdir()
        venv.create(self.home, symlinks=True)
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(self.home)}))
        (self.packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, *packages: Path) -> None:
        python = ["--python", str(self.home / "bin" / "python")]
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([sys.executable, "-m", "pip", *python, "install", *options, *packages], check=True)

    def run(self, *command: str, fails: bool = False) -> str:
        """What a program of the environment prints; on its error channel if it is to fail."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}
        kept |= {"SYNTHFORGE_HOME": str(self.home / "store")}
        program = self.home / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=self.work, env=kept, capture_output=True, text=True, timeout=300
        )
        assert (done.returncode != 0) == fails, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stderr if fails else done.stdout

    def synthforge(self, line: str, fails: bool = False) -> str:
        return self.run("synthforge", *line.split(), fails=fails)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("wheel"))
    made.install(build_wheel(tmp_path_factory.mktemp("build")))
    return made


def test_every_step_from_faces_to_a_model(environment):
    call = environment.synthforge
    for package in ("synthforge", "next3d"):
        where = environment.run("python", "-c", f"import {package}; print({package}.__file__)")
        assert Path(where).is_relative_to(environment.packages), where
    call("generate --n 2 --resolution 256 --workers 1 --out faces")
    assert "2 samples checked" in call("verify faces")
    call("report faces")
    assert "licence of head anthro" in (environment.work / "faces/report.html").read_text()
    assert "equals the stored sample in every byte" in call("render faces 0 --out face.png")
    call("generate --n 2 --config paper --resolution 64 --workers 1 --out paper")
    error = call("generate --n 2 --head ict --out none", fails=True)
    assert "synthforge assets add ict-facekit PATH" in error and len(error.splitlines()) == 1

    call("predict face.png --out answers")
    (picture,) = json.loads((environment.work / "answers/predictions.json").read_text())["images"]
    assert len(picture["faces"]) == 1
    call("train-multitask --data faces --steps 2 --set held_out=0 --set fit.batch=2 --set fit.workers=0")
    call("export-model shipped")
    call("predict face.png --model out/shipped --out again")
    assert "head anthro: Apache-2.0" in call("licences")


def documented_packages() -> list[tuple[str, str]]:
    """pyproject.toml and module of every package in docs/extending.md."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    found = re.findall(r"```toml\n(.*?)```.*?```python\n(.*?)```", text, re.S)
    (whole,) = (toml for toml, _ in found if "[project]\n" in toml)
    return [(completed(toml, whole), code) for toml, code in found]


def completed(toml: str, whole: str) -> str:
    """A pyproject.toml of which the document shows the entry points only: the rest is as in `whole`."""
    if toml == whole:
        return toml
    module = re.search(r'= "(\w+):', toml)[1]
    text = re.sub(r"\[project\.entry-points.*?\n\n", toml + "\n", whole, flags=re.S)
    text = re.sub(r'^name = ".*"', f'name = "synthforge-{module}"', text, flags=re.M)
    return re.sub(r"^py-modules = .*", f'py-modules = ["{module}"]', text, flags=re.M)


def test_packages_that_extend_it_are_found(environment, tmp_path):
    packages = documented_packages()
    assert packages
    for toml, code in packages:
        about = tomllib.loads(toml)
        folder = tmp_path / about["project"]["name"]
        folder.mkdir()
        (folder / "pyproject.toml").write_text(toml, encoding="utf-8")
        (module,) = about["tool"]["setuptools"]["py-modules"]
        (folder / f"{module}.py").write_text(code, encoding="utf-8")
        environment.install(folder)
        for group, points in about["project"]["entry-points"].items():
            kind = group.removeprefix("synthforge.").removesuffix("s")
            for name in points:
                assert f"{kind} {name}: " in environment.synthforge("licences")
                if kind in ("head", "backend"):
                    made = environment.synthforge(
                        f"generate --n 1 --workers 0 --resolution 64 --{kind} {name} --out {name}"
                    )
                    assert "made 1 samples" in made
                else:
                    error = environment.synthforge(f"dataset check --layout {name} --data .", fails=True)
                    assert "Traceback" not in error
