"""`synthforge evaluate`, from a stored model and photographs on disk to the files it names."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from synthforge.cli.evaluate import evaluate
from synthforge.conventions import OURS
from synthforge.errors import ConfigError
from synthforge.models.multitask import ModelConfig, MultiTaskNet
from synthforge.models.store import save_model


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    import torch

    torch.manual_seed(0)
    net = MultiTaskNet(ModelConfig(input_size=32, stem_stride=2, encoder_widths=(8, 8), head_widths=(8,),
                                   feature_channels=8, keypoint_channels=8, keypoint_depth=2))  # fmt: skip
    folder = tmp_path_factory.mktemp("run")
    save_model(folder, net, OURS, {})
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photos") / "testset", np.random.default_rng(0)
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.jpg"), rng.integers(0, 256, (60, 60, 3), np.uint8))
        lines = "\n".join(f"{x:.2f} {y:.2f}" for x, y in rng.uniform(10, 50, (68, 2)))
        (folder / f"{i}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")
    return folder.parent


def call(run_folder, photographs, *options):
    command = ["--layout", "300w", "--data", str(photographs), "--model", str(run_folder), *options]
    return CliRunner().invoke(evaluate, command, catch_exceptions=False)


@pytest.mark.parametrize("protocol", ["standard", "synthforge"])
def test_it_prints_the_table_and_says_where_the_files_lie(run_folder, photographs, protocol):
    result = call(run_folder, photographs, "--protocol", protocol, "--panels", "2", "--resamples", "20")
    assert result.exit_code == 0
    out = run_folder / "eval" / ("300w" if protocol == "standard" else "300w-synthforge")
    names = {"ced.svg", "panels.png", "per_image.csv", "scores.csv", "scores.json", "scores.md", "summary.md"}
    assert {p.name for p in out.iterdir()} == names
    table = (out / "summary.md").read_text()
    assert table in result.stdout and f"results in {out}: ced.svg" in result.stdout.splitlines()[-2]
    assert "| NME (%) | 51 |" in table and "jaw" not in table and "outer eye corners" in table
    scores = json.loads((out / "scores.json").read_text())
    assert scores["protocol"]["name"] == protocol and scores["protocol"]["images"] == 3
    assert set(scores["nme"]) == {"51", "68", "jaw", "brow", "nose", "eye", "mouth"}
    assert {"auc@8", "fr@10", "pck@5"} <= set(scores)


def test_wrong_options_are_named(run_folder, photographs):
    for option, value in (("--normaliser", "nose"), ("--threshold", "0"), ("--resamples", "-1")):
        with pytest.raises(ConfigError, match=option):
            call(run_folder, photographs, option, value)
