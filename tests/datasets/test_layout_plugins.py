"""The layout of docs/extending.md, taken from its text and installed: the commands work on its data."""

import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from synthforge.cli import main
from synthforge.datasets.check import check_data, open_checked
from synthforge.datasets.open import open_source
from synthforge.errors import ConfigError, DatasetError
from tests.datasets import made_up
from tests.helpers.packages import install

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Folder with the documented package, on sys.path."""
    section = DOCUMENT.read_text(encoding="utf-8").split("\n## A layout\n")[1].split("\n## ")[0]
    toml, code = (re.search(rf"```{kind}\n(.*?)```", section, re.S)[1] for kind in ("toml", "python"))
    assert len(toml.splitlines()) + len(code.splitlines()) < 75 and len(code.splitlines()) < 60
    folder = tmp_path / "site"
    install(folder, "synthforge-mugshots", tomllib.loads(toml)["project"]["entry-points"])
    (folder / "mugshots.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Drawn faces whose eyes, mouth and points are known, as the layout wants them."""
    masks, points = made_up.face(), made_up.points68()
    ids = np.zeros((made_up.SIZE,) * 2, np.uint8)
    rows = ("skin", "nose", "upper_lip", "inner_mouth", "lower_lip"), ("right_eye",), ("left_eye",)
    for k, names in enumerate(rows, 1):
        for name in names:
            ids[masks[name]] = k
    for split, names in (("train", "abcd"), ("test", "ef")):
        for i, name in enumerate(names):
            folder = tmp_path / "data" / split
            folder.mkdir(parents=True, exist_ok=True)
            made_up.write(folder / f"{name}.jpg", made_up.picture(i + 10 * (split == "test")))
            made_up.write(folder / f"{name}.png", ids)
            np.savetxt(folder / f"{name}.txt", points - 0.5)
    return tmp_path / "data"


def call(*args: str) -> str:
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def test_its_samples_are_what_was_drawn(package, photographs):
    source = open_source("mugshots", [photographs], "test")
    assert [source[i].name for i in range(len(source))] == ["e", "f"]
    np.testing.assert_allclose(source[0].points, made_up.points68(), atol=1e-6)
    eyes = source[0].target == 2, source[0].target == 3  # the subject's right one is on the picture's left
    assert np.nonzero(eyes[0])[1].mean() < np.nonzero(eyes[1])[1].mean()
    assert source.info.schema.flip[[1, 2, 3]].tolist() == [1, 3, 2]


def test_the_commands_work_on_it(package, photographs, tmp_path):
    data = ("--data", str(photographs))
    table = call("dataset", "check", "--layout", "mugshots", *data)
    assert "mugshots, train: 4 photographs, 4 read" in table and "E106  ok" in table
    run, out = str(tmp_path / "run"), tmp_path / "scores"
    small = ("--set", "fit.batch=2", "--set", "fit.precision=32-true", "--set", "adapter_views=1")
    call("label-finetune", "--target", "mugshots", *data, "--steps", "2", "--out", run, *small)
    call("evaluate", "--layout", "mugshots", "--split", "test", *data, "--model", run, "--out", str(out))
    scores = json.loads((out / "scores.json").read_text())
    assert scores["protocol"]["data"] == "mugshots" and scores["protocol"]["images"] == 2
    assert set(scores["f1"]) == {"rest", "face", "right_eye", "left_eye"}


def test_what_is_wrong_with_its_data_or_itself_is_one_line(package, photographs):
    (photographs / "test/e.txt").write_text("1 2\n")
    with pytest.raises(DatasetError, match="E107: is not 68 lines of x y .*e.txt|e.txt.*E107"):
        open_source("mugshots", [photographs], "test")[0]
    (photographs / "train/b.png").unlink()
    with pytest.raises(DatasetError, match="b.png: E102"):
        open_source("mugshots", [photographs])
    with pytest.raises(ConfigError, match="mugshots, or a layout's YAML file"):
        open_source("mugshot", [photographs])


WRONG = """
from dataclasses import replace
import numpy as np
import mugshots
from mugshots import *

READER = next(v for v in vars(mugshots).values()
              if isinstance(v, type) and issubclass(v, PhotoSource) and v is not PhotoSource)

class Wrong(READER):
    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return replace(sample, {field}={value})
"""


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        (
            "points",
            "sample.points[:67]",
            r"E107 error: a: points are of shape \(67, 2\); .*says 68 landmarks",
        ),
        ("target", "sample.target + np.uint8(40)", r"E105 error: a: holds unknown ids 40 \("),
        ("rgb", "sample.rgb / 255", r"E112 error: a: rgb is float64 of shape .*must give uint8 h w 3"),
    ],
)
def test_a_reader_that_gives_something_else_is_refused(
    package, photographs, monkeypatch, untyped, field, value, text
):
    install(package, "wrong", {"synthforge.layouts": {"wrong": "wrong:Wrong"}})
    (package / "wrong.py").write_text(WRONG.format(field=field, value=value))
    for name in ("wrong", "mugshots"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(DatasetError, match=text) as error:
        open_checked("wrong", [photographs], "train")
    assert "\n" not in str(error.value)
    report = check_data("wrong", [photographs])
    assert {f.code for f in report.errors} == {re.match("E...", text)[0]}


@pytest.mark.parametrize(("value", "text"), [("builtins:zip", "reads a zip"), ("math:nothing", "nothing")])
def test_a_reader_that_is_none_is_refused(tmp_path, monkeypatch, value, text):
    install(tmp_path, "bad", {"synthforge.layouts": {"odd": value}})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"{text}.*'odd'|'odd'.*{text}"):
        open_source("odd", [tmp_path], "all")
