"""Stage I resumes exactly; stage II learns, and leaves a frozen backbone alone."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from synthforge.config import from_dict
from synthforge.conventions import ClassSchema
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import SourceInfo
from synthforge.datasets.views import Views
from synthforge.errors import ConfigError, DatasetError
from synthforge.models.label_nets import state_sha256
from synthforge.models.multitask import normalise
from synthforge.models.store import load_model
from synthforge.storage.run import run
from synthforge.training.label_finetune import LabelTrainConfig, label_finetune
from synthforge.training.multitask import TrainConfig, open_shards, train
from synthforge.training.subset import choose
from tests.helpers.fake_source import FakeConfig, FakeSource
from tests.training.small import FIT, MODEL, config


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "d"
    run(FakeSource(), FakeConfig(), out, n=12, workers=0)
    return out


@pytest.fixture(scope="module")
def stage_one(shards, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    train(config(), [shards], out, progress_bar=False)
    return out


def test_a_run_leaves_all_it_promises(stage_one):
    report = json.loads((stage_one / "report.json").read_text())
    assert report["steps"] == 8 and report["views"] == 32 and report["samples"] == 9
    rows = list(csv.DictReader((stage_one / "logs/metrics.csv").open()))
    assert {"loss/heatmap", "loss/depth", "loss/consistency", "check/points_px"} <= set(rows[0])
    assert (stage_one / "panels/step_000008.png").is_file()
    model = load_model(stage_one)
    assert model.schema[13].name == "hair"
    assert 0 < model.certainty <= 1 and model.certainty == report["held_out"]["check/certainty"]


def test_an_interrupted_run_resumes_to_the_same_weights(shards, stage_one, tmp_path, monkeypatch, capsys):
    from synthforge.training import multitask

    def stop_at_five(module, part):
        if module.global_step == 5:
            raise RuntimeError("pulled the plug")
        return original(module, part)

    original = multitask.MultiTaskModule.part_losses
    monkeypatch.setattr(multitask.MultiTaskModule, "part_losses", stop_at_five)
    with pytest.raises(RuntimeError, match="plug"):
        train(config(), [shards], tmp_path / "two", progress_bar=False)
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="--resume"):
        train(config(), [shards], tmp_path / "two", progress_bar=False)
    report = train(config(), [shards], tmp_path / "two", resume=True)
    assert report["steps"] == 8
    logs = [(tmp_path / "two" / name / "metrics.csv").read_text() for name in ("logs", "logs-2")]
    assert all("check/points_px" in log for log in logs)  # those of the first part are kept
    bar = capsys.readouterr()
    bar = bar.out + bar.err
    assert "8/8" in bar and "8/?" not in bar  # a resumed run knows its end
    assert state_sha256(load_model(tmp_path / "two").net) == state_sha256(load_model(stage_one).net)


def test_a_finished_run_goes_on_to_more_steps(shards, stage_one, tmp_path, capsys):
    shutil.copytree(stage_one, tmp_path / "run")
    before = json.loads((stage_one / "report.json").read_text())
    again = train(config(), [shards], tmp_path / "run", resume=True, progress_bar=False)
    assert again["held_out"] == pytest.approx(before["held_out"]) and again["steps"] == 8
    assert again["resumed"] == [{"step": 8, "changed": []}]
    more = train(config(12, check_every=5), [shards], tmp_path / "run", resume=True)
    assert more["steps"] == 12 and more["held_out"] != before["held_out"]
    assert more["resumed"] == [*again["resumed"], {"step": 8, "changed": ["fit.steps: 8, now 12"]}]
    bar = capsys.readouterr()
    assert "12/12" in bar.out + bar.err
    assert state_sha256(load_model(tmp_path / "run").net) != state_sha256(load_model(stage_one).net)


def test_a_resumed_run_learns_what_it_began_with_or_is_refused(shards, stage_one, tmp_path):
    out, other = tmp_path / "run", tmp_path / "other"
    shutil.copytree(stage_one, out)
    written = (out / "config.yaml").read_bytes()
    run(FakeSource(), FakeConfig(), other, n=11, workers=0)
    relabelled = {"detector": lambda rgb: np.full((68, 2), 16.0)}
    for settings, data, how, text in (
        (config(12, rate=1e-3), shards, {}, "fit.rate: 0.002, now 0.001"),
        (config(4), shards, {}, "fit.steps: 8, now 4"),
        (replace(config(), jaw="fixed"), shards, {}, "jaw: 'contour', now 'fixed'"),
        (config(), other, {}, "shards: "),
        (config(), shards, relabelled, "labels: 'shards', now 'detector'"),
    ):
        with pytest.raises(DatasetError, match="another run is to be resumed") as error:
            train(settings, [data], out, resume=True, progress_bar=False, **how)
        assert text in str(error.value) and "\n" not in str(error.value) and "--out" in str(error.value)
    assert (out / "config.yaml").read_bytes() == written


def test_the_report_scores_the_last_weights(shards, tmp_path):
    report = train(config(check_every=5), [shards], tmp_path / "run", progress_bar=False)
    source = open_shards([shards], config())[0][1]
    net = load_model(tmp_path / "run").net.eval()
    views = Views(source, net.config.input_size, net.label_stride)
    batch = next(iter(DataLoader([views[i] for i in range(len(source))], len(source))))
    with torch.no_grad():
        points = net(normalise(batch["rgb"])).points
    error = (points - batch["points"]).norm(dim=2) * net.config.input_size
    expected = (error * batch["point_weight"]).sum() / batch["point_weight"].sum()
    assert report["held_out"]["check/points_px"] == pytest.approx(float(expected), rel=1e-3)


def test_a_run_by_the_clock_ends_by_it(shards, tmp_path):
    report = train(config(minutes=0.03), [shards], tmp_path / "c", progress_bar=False)
    assert report["steps"] > 2 and 0.03 <= report["minutes"] < 0.2


def test_data_that_do_not_suffice_are_refused(shards, tmp_path):
    with pytest.raises(DatasetError, match="held out"):
        train(from_dict(TrainConfig, {"samples": 12}, "t"), [shards], tmp_path / "x", progress_bar=False)
    with pytest.raises(DatasetError, match="no checkpoint"):
        train(config(), [shards], tmp_path / "x", resume=True, progress_bar=False)


class Spots:
    """A bright spot in the dark; all points lie around it, and class 1 is where it is."""

    schema = ClassSchema.of(("rest", "background"), ("spot", "skin", "nose"))
    info = SourceInfo("spots", schema, 68, crop_source="image", crop_scale=1.0)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        centre = rng.uniform(12, 36, 2)
        rows, columns = np.mgrid[:48, :48] + 0.5
        spot = np.hypot(columns - centre[0], rows - centre[1]) < 6
        rgb = np.where(spot[..., None], 220, 30).astype(np.uint8) * np.ones(3, np.uint8)
        points = centre + 5 * np.stack([np.cos(np.arange(68)), np.sin(np.arange(68))], 1)
        box = (0.0, 0.0, 48.0, 48.0)
        return Sample(str(index), rgb, box, points, spot.astype(np.uint8), person=str(index))


def label_config(steps) -> LabelTrainConfig:
    return from_dict(
        LabelTrainConfig,
        {"fit": FIT | {"steps": steps, "rate": 5e-3, "encoder_rate": 5e-3}, "augment": {"wide": 0.0}},
        "test",
    )


@pytest.mark.parametrize(
    ("method", "features"), [("lf", True), ("lf", False), ("adapter", True), ("finetune", True)]
)
def test_each_method_adapts_and_says_what_it_froze(stage_one, tmp_path, method, features):
    before = state_sha256(load_model(stage_one).net)
    report = label_finetune(
        label_config(6), Spots(), stage_one, tmp_path / "r", method, features, n_real=8, progress_bar=False
    )
    frozen = method in ("lf", "adapter")
    assert report["backbone_frozen"] == frozen and report["photographs"] == 8
    assert report["backbone_sha256_before"] == before
    assert (report["backbone_sha256_after"] == before) == frozen
    stored = load_model(tmp_path / "r")
    assert (state_sha256(stored.net.backbone) == before) == frozen
    if method != "adapter":
        assert stored.schema.names == ("rest", "spot")


def test_learning_from_scratch_finds_the_spot(tmp_path, monkeypatch):
    from synthforge.models.multitask import ModelConfig
    from synthforge.training import label_finetune as module

    small = from_dict(ModelConfig, MODEL, "test")
    monkeypatch.setattr(module, "ModelConfig", lambda: small)
    label_finetune(label_config(60), Spots(), None, tmp_path / "s", "scratch", progress_bar=False)
    net = load_model(tmp_path / "s").net
    from synthforge.datasets.views import Views
    from synthforge.models.multitask import normalise

    batch = torch.utils.data.default_collate([Views(Spots(), 32, net.label_stride)[i] for i in range(12)])
    out = net(normalise(batch["rgb"]))
    assert (out.points - batch["points"]).norm(dim=2).mean() < 0.15
    assert (out.segmentation.argmax(1) == batch["target"]).float().mean() > 0.9


def test_what_cannot_be_combined_is_refused(stage_one, tmp_path):
    class Pointless(Spots):
        info = replace(Spots.info, points=0)

    with pytest.raises(ConfigError, match="adapter"):
        label_finetune(label_config(1), Pointless(), stage_one, tmp_path / "a", "adapter")
    with pytest.raises(ConfigError, match="--backbone"):
        label_finetune(label_config(1), Spots(), None, tmp_path / "b", "lf")
    with pytest.raises(ConfigError, match="there are 12"):
        choose(Spots(), 13, 0)


def test_the_drawn_photographs_depend_on_the_seed_alone():
    assert choose(Spots(), 5, 1) == choose(Spots(), 5, 1) != choose(Spots(), 5, 2)
    assert choose(Spots(), None, 0) == list(range(12))
