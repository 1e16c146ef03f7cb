"""Grids, their resume and their tables; training itself is tested where it lives."""

import csv
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synthforge.config import config_path, from_dict, load_config
from synthforge.datasets.source import SourceInfo
from synthforge.errors import ConfigError, DatasetError
from synthforge.storage.run import run
from synthforge.study import run as study_run
from synthforge.study.config import (
    Cell,
    Column,
    StudyConfig,
    cells,
    load_published,
    photographs,
)
from synthforge.study.run import StudyData, run_study
from synthforge.study.tables import gaps, plot, summary, table, write_results
from tests.helpers.fake_source import FakeConfig, FakeSource

GRID = {
    "title": "A grid",
    "target": "300w",
    "metrics": ["nme.51"],
    "columns": [10, "50%", "all"],
    "seeds": [0, 1],
    "backbones": {"synthetic": {}},
    "arms": {
        "as it is": {"method": "none", "backbone": "synthetic"},
        "tuned": {"method": "finetune", "backbone": "synthetic"},
        "alone": {"method": "scratch", "backbone": "synthetic", "columns": ["all"]},
    },
}


def grid(**changes) -> StudyConfig:
    return from_dict(StudyConfig, {**GRID, **changes}, "test")


def test_cells_are_rows_by_columns_by_seeds() -> None:
    found = cells(grid())
    assert found[0] == Cell("as it is", "", 0)  # needs no photographs: once
    tuned = [(c.column, c.seed) for c in found if c.arm == "tuned"]
    assert tuned == [("10", 0), ("10", 1), ("50%", 0), ("50%", 1), ("all", 0), ("all", 1)]
    assert [(c.column, c.seed) for c in found if c.arm == "alone"] == [("all", 0), ("all", 1)]
    assert len(found) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": [0]}, "numbers, shares"),
        ({"columns": ["120%"]}, "numbers, shares"),
        ({"columns": ["few"]}, "numbers, shares"),
        ({"columns": []}, "columns"),
        ({"seeds": [1, 1]}, "different seeds"),
        ({"arms": {"a": {"method": "lf"}}}, "backbone"),
        ({"arms": {"a": {"method": "lf", "backbone": "other"}}}, "unknown backbone 'other'"),
        ({"arms": {"a": {"method": "scratch", "columns": [7]}}}, "no column of the study"),
        ({"gaps": dict.fromkeys(["initial", "varied", "adapted", "real"], "tuned ")}, "unknown arm"),
    ],
)
def test_a_grid_that_cannot_run_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(**change)


@given(st.integers(1, 100_000), st.floats(0.01, 100))
def test_shares_are_of_what_there_is(available: int, share: float) -> None:
    n = photographs(Column.from_plain(f"{share:.2f}%", ""), available)
    assert 1 <= n <= available
    assert abs(n - available * share / 100) <= max(1, 0.5 + available * 0.005 / 100)
    assert photographs("all", available) is None
    with pytest.raises(ConfigError, match="there are"):
        photographs(str(available + 1), available)


class Photographs:
    """As many photographs as it says, none of which is read."""

    info = SourceInfo("300w", points=68, crop_source="box")

    def __init__(self, n: int):
        self.n, self.sha256 = n, f"photographs {n}"

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> None:
        raise AssertionError("not to be read")


class Machine:
    """Stands for training and scoring: counts what is asked of it."""

    def __init__(self) -> None:
        self.tuned, self.trained, self.fail = [], [], False

    def label_finetune(self, settings, source, run, out, method, features, n, **how) -> dict:  # noqa: ANN001
        if self.fail:
            raise KeyboardInterrupt
        out.mkdir(parents=True)
        (out / "report.json").write_text("{}")
        (out / "model.json").write_text(json.dumps({"method": method, "n": n, "seed": settings.fit.seed}))
        assert settings.subset_seed == settings.fit.seed
        self.tuned.append((method, n, settings.fit.seed))

    def train(self, settings, folders, out, resume, detector) -> dict:  # noqa: ANN001
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.json").write_text(json.dumps({"method": "none", "n": 0, "seed": 0}))
        self.trained.append((folders, settings.samples, detector))

    def evaluate(self, model, tests, out, **how) -> None:  # noqa: ANN001
        error = {"none": 5.0, "finetune": 3.0, "scratch": 4.0}[model["method"]]
        protocol = {"data": "300w", "images": 3, "name": "standard", "normaliser": "eyes", "crop": "box"}
        scores = {"protocol": protocol, "nme": {"51": error + 0.1 * model["seed"]}}
        out.mkdir(parents=True, exist_ok=True)
        (out / "scores.json").write_text(json.dumps(scores))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "d"
    run(FakeSource(), FakeConfig(), out, n=2, workers=0)
    return out


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    m = Machine()
    for name in ("label_finetune", "train", "evaluate"):
        monkeypatch.setattr(study_run, name, getattr(m, name))
    monkeypatch.setattr(study_run, "load_model", lambda p: json.loads((p / "model.json").read_text()))
    monkeypatch.setattr(study_run, "open_source", lambda *a: Photographs(3))
    monkeypatch.setattr(study_run, "open_checked", lambda *a: Photographs(20))
    return m


def test_a_study_runs_each_cell_once_and_goes_on_where_it_stopped(machine, shards, tmp_path) -> None:
    data = StudyData([tmp_path], [tmp_path], {"synthetic": shards}, {})
    machine.fail = True
    with pytest.raises(KeyboardInterrupt):
        run_study(grid(), data, tmp_path / "out")
    machine.fail = False
    scores = run_study(grid(), data, tmp_path / "out")
    amounts = [10, 10, 10, 10, None, None]
    assert [n for m, n, _ in machine.tuned if m == "finetune"] == amounts  # 50 % of 20 is 10
    assert machine.trained == [([shards], 0, None)]
    assert len(scores) == len(cells(grid()))
    assert not list((tmp_path / "out").rglob("*.partial"))

    before = len(machine.tuned)
    assert run_study(grid(), data, tmp_path / "out") == scores
    assert len(machine.tuned) == before
    run_study(grid(seeds=[0, 1, 2]), data, tmp_path / "out")  # a third seed runs alone
    assert {seed for _, _, seed in machine.tuned[before:]} == {2}


def test_what_decides_an_outcome_and_nothing_else_makes_a_cell_run_again(
    machine, shards, tmp_path, monkeypatch
) -> None:
    """All cells are finished; after each change only those run that it bears on."""
    data, out = StudyData([tmp_path], [tmp_path], {"synthetic": shards}, {}), tmp_path / "out"
    run_study(grid(), data, out)

    def again(config: StudyConfig | None = None, data: StudyData = data) -> tuple[set[str], int]:
        """Methods that were tuned, and backbones that were trained."""
        tuned, trained = len(machine.tuned), len(machine.trained)
        run_study(config or grid(), data, out)
        return {method for method, _, _ in machine.tuned[tuned:]}, len(machine.trained) - trained

    assert again() == again(grid(title="Another", columns=[10, "all", "50%"])) == (set(), 0)
    other_arm = {**GRID["arms"], "tuned": {**GRID["arms"]["tuned"], "set": ["fit.steps=3"]}}
    assert again(grid(arms=other_arm)) == ({"finetune"}, 0)
    assert again(grid(backbones={"synthetic": {"samples": 1}})) == ({"finetune", "scratch"}, 1)

    for count in (21, 22):  # other photographs to learn from
        monkeypatch.setattr(study_run, "open_checked", lambda *a, n=count: Photographs(n))
        assert again() == ({"finetune", "scratch"}, 0)
    monkeypatch.setattr(study_run, "open_source", lambda *a: Photographs(4))  # others to score on
    assert again() == ({"finetune", "scratch"}, 0)

    run(FakeSource(), FakeConfig(), tmp_path / "more", n=3, workers=0)  # other synthetic data
    assert again(data=replace(data, shards={"synthetic": tmp_path / "more"})) == ({"finetune", "scratch"}, 1)

    preset = study_run.load_config  # a preset of another synthforge
    monkeypatch.setattr(study_run, "load_config", lambda c, p, o: preset(c, p, (*o, "fit.clip=1")))
    assert again() == ({"finetune", "scratch"}, 1)
    monkeypatch.setattr(study_run, "__version__", "99")
    assert again() == ({"finetune", "scratch"}, 1) and again() == (set(), 0)


def test_a_finished_run_counts_by_its_bytes(machine, tmp_path) -> None:
    finished, out = tmp_path / "finished", tmp_path / "out"
    finished.mkdir()
    (finished / "model.json").write_text(json.dumps({"method": "none", "n": 0, "seed": 0}))
    (finished / "model.safetensors").write_bytes(b"weights")
    data = StudyData([tmp_path], [tmp_path], {}, {"synthetic": finished})
    run_study(grid(), data, out)
    before = len(machine.tuned)
    run_study(grid(), data, out)
    assert len(machine.tuned) == before
    (finished / "model.safetensors").write_bytes(b"retuned")
    run_study(grid(), data, out)
    assert len(machine.tuned) == 2 * before and machine.trained == []


def test_missing_data_is_named_before_anything_runs(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--shards.*synthetic"):
        run_study(grid(), StudyData([tmp_path], [tmp_path], {}, {}), tmp_path / "out")
    with pytest.raises(ConfigError, match="21 photographs are wanted, there are 20"):
        run_study(grid(columns=[21], arms={"a": {"method": "scratch"}}), StudyData([], [], {}, {}), tmp_path)
    detected = grid(backbones={"synthetic": {"labels": "detector"}})
    with pytest.raises(ConfigError, match="--labels-from"):
        run_study(detected, StudyData([], [], {"synthetic": tmp_path}, {}), tmp_path)
    assert machine.tuned == machine.trained == []


def scores_of(config: StudyConfig) -> dict[Cell, dict]:
    rng = np.random.default_rng(0)
    protocol = {"data": "300w", "images": 3, "name": "standard", "normaliser": "eyes", "crop": "box"}
    return {c: {"protocol": protocol, "nme": {"51": float(rng.uniform(2, 6))}} for c in cells(config)}


def test_tables_hold_means_and_spreads_over_seeds(tmp_path: Path) -> None:
    config = grid(published=["datagen-subsets"])
    scores = scores_of(config)
    text = write_results(config, scores, load_published(config.published), tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())["nme.51"]
    ten = [s["nme"]["51"] for c, s in scores.items() if c.arm == "tuned" and c.column == "10"]
    assert found["tuned"]["10"] == pytest.approx([sum(ten) / 2, abs(ten[0] - ten[1]) / 2**0.5, 2])
    assert found["as it is"]["10"] == found["as it is"]["all"]
    assert f"| tuned | {sum(ten) / 2:.2f} ± " in text
    assert "| real only, minimal variance | 75.90 |" in text and "Knowing the Distance" in text
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [float(r["nme.51"]) for r in rows] == pytest.approx([s["nme"]["51"] for s in scores.values()])
    with pytest.raises(DatasetError, match="nme.99"):
        write_results(grid(metrics=["nme.99"]), scores, [], tmp_path)


def test_plot_shows_each_mean_at_its_height() -> None:
    means = {"a": {"10": (2.0, None, 1), "all": (4.0, 0.5, 3)}, "b<c": {"all": (3.0, None, 1)}}
    svg = plot(["10", "all"], means, "nme")
    heights = [float(p.split('"')[0]) for p in svg.split('cy="')[1:]]
    assert len(heights) == 3
    assert heights[2] - heights[1] == pytest.approx((heights[0] - heights[1]) / 2, abs=0.11)
    assert "b&lt;c" in svg and "b<c" not in svg
    [bar] = [e for e in ElementTree.fromstring(svg).iter() if e.get("x1") and e.get("stroke") != "#ddd"
             and e.get("y1") != e.get("y2")]  # fmt: skip
    length = abs(float(bar.get("y2")) - float(bar.get("y1")))
    assert length == pytest.approx((heights[0] - heights[1]) / 2, abs=0.21)  # twice 0.5 of the 2 between them
    assert table(["10", "all"], means).splitlines()[-1] == "| b<c |  | 3.00 |"


def test_gaps_are_those_of_the_paper() -> None:
    """53, 36 and 10 per cent of 10.5 points: "Knowing the Distance"."""
    found = gaps(initial=80.7, varied=86.3, adapted=90.1, real=91.2)
    assert found == pytest.approx({"distribution": 5.6, "label": 3.8, "rest": 1.1})
    assert [int(100 * v / 10.5) for v in found.values()] == [53, 36, 10]


@pytest.mark.parametrize("path", sorted(config_path("study", "published").parent.glob("*.yaml")))
def test_shipped_studies_load(path: Path) -> None:
    if path.stem == "published":
        assert all(
            t.source and t.rows for t in load_published(tuple(yaml.safe_load(path.read_text())["tables"]))
        )
        return
    config = load_config(StudyConfig, path)
    load_published(config.published)
    for arm in config.arms.values():
        summary(config, {Cell(n, "", 0): {"x": 1} for n, a in config.arms.items() if a is arm}, "x")
    for backbone in config.backbones.values():
        config_path("train", backbone.config)
