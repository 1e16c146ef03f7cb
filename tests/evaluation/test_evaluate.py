"""Predictions come back to the photograph's own pixels, and the scores are those of the labels drawn."""

import csv
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from synthforge.conventions import CLASS_FLIP, CLASS_ID, CLASS_NAMES, OURS
from synthforge.datasets.geometry import crop_matrix, warp_ids, warp_points
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import SourceInfo
from synthforge.errors import DatasetError
from synthforge.evaluation.evaluate import evaluate
from synthforge.evaluation.landmark_metrics import NORMALISERS
from synthforge.evaluation.summary import EvaluateConfig
from synthforge.models.multitask import Prediction
from synthforge.models.store import StoredModel
from synthforge.prediction.faces import FaceModel

SIZE = 64


class Oracle(nn.Module):
    """Reads the labels that `Drawn` paints into its images: point i is the brightest red of crop i."""

    label_stride = 1
    config = SimpleNamespace(input_size=SIZE, depth_target="metric")

    def __init__(self, source):
        super().__init__()
        self.dummy = nn.Parameter(torch.zeros(1))
        self.source, self.offset = source, 0.0

    def forward(self, rgb, tasks):
        image = ((rgb[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        for mirror in (False, True):
            for sample in (self.source[i] for i in range(len(self.source))):
                matrix = crop_matrix(sample.box, SIZE, self.source.info.crop_scale, mirror=mirror)
                from synthforge.datasets.geometry import warp_depth, warp_rgb

                if np.array_equal(warp_rgb(sample.rgb, matrix, SIZE), image):
                    from synthforge.conventions import LANDMARK_FLIP

                    points = warp_points(sample.points, matrix, LANDMARK_FLIP) / SIZE + self.offset
                    ids = warp_ids(sample.target, matrix, SIZE, 0, CLASS_FLIP)
                    logits = 20 * torch.nn.functional.one_hot(torch.from_numpy(ids).long(), 21)
                    depth = warp_depth(sample.depth, matrix, SIZE)
                    return Prediction(
                        features=torch.zeros(1, 1, 2, 2),
                        points=torch.from_numpy(points).float()[None],
                        segmentation=logits.float().permute(2, 0, 1)[None],
                        depth=torch.from_numpy(np.where(np.isfinite(depth), depth, 0.75)).float()[None],
                    )
        raise AssertionError("no such crop")


def card() -> dict:
    return {"classes": OURS.to_plain(), "training": {}}


class Drawn:
    """Random faces of big blocks of classes; smooth depth."""

    info = SourceInfo("drawn", OURS, 68, "metric", "drawn box", 1.2)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        target = np.zeros((90, 120), np.uint8)
        for k in range(1, 21):
            x, y = rng.integers(25, 75), rng.integers(15, 60)
            target[y : y + 20, x : x + 20] = k
        rgb = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), (120, 90))
        depth = np.full((90, 120), np.inf, np.float32)
        depth[15:80, 25:95] = 0.7 + np.linspace(0, 0.1, 70, dtype=np.float32)
        points = rng.uniform(20, 80, (68, 2))
        return Sample(f"n{index}", rgb, (20.0, 10.0, 100.0, 85.0), points, target, depth)


@pytest.mark.parametrize("flip", [False, True])
def test_an_oracle_scores_full_marks(tmp_path, flip):
    source = Drawn()
    model = StoredModel(Oracle(source).eval(), card())
    scores = evaluate(model, source, tmp_path, flip=flip, panels=3)
    assert scores["nme"]["68"] < 1e-3
    assert scores["f1_mean_foreground"] > 90 and scores["depth_mm"]["absolute"] < 2
    assert scores["protocol"]["normaliser"] == "outer eye corners" and scores["protocol"]["images"] == 3
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    rows = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert [r["name"] for r in rows] == ["n0", "n1", "n2"]
    assert "| 51 | 0.00 [0.00, 0.00] |" in (tmp_path / "scores.md").read_text()
    assert cv2.imread(str(tmp_path / "panels.png")).shape[1] % 256 == 0


def test_crops_are_as_large_as_those_of_training_where_the_box_is_of_that_kind(tmp_path):
    wider = Drawn()
    wider.info = replace(wider.info, crop_scale=1.5)  # the oracle knows no crop but these
    trained = card() | {"framing": {"crop_source": "drawn box", "crop_scale": 1.5}}
    scores = evaluate(StoredModel(Oracle(wider).eval(), trained), Drawn(), tmp_path, panels=0)
    assert scores["nme"]["68"] < 1e-3 and scores["protocol"]["crop"].endswith("x1.5")
    trained["framing"]["crop_source"] = "another box"
    scores = evaluate(StoredModel(Oracle(Drawn()).eval(), trained), Drawn(), tmp_path, panels=0)
    assert scores["protocol"]["crop"].endswith("x1.2")


def test_an_error_of_known_size_is_reported_as_such(tmp_path):
    source = Drawn()
    oracle = Oracle(source).eval()
    oracle.offset = 1 / SIZE  # one crop pixel in x and y
    model = StoredModel(oracle, card())
    scores = evaluate(model, source, tmp_path, panels=0)
    image_pixels = np.sqrt(2) * 1.2 * 80 / SIZE
    eyes = [np.linalg.norm(source[i].points[36] - source[i].points[45]) for i in range(3)]
    assert scores["nme"]["51"] == pytest.approx(100 * np.mean(image_pixels / np.array(eyes)), rel=1e-3)


def stored(net) -> StoredModel:
    return StoredModel(net.eval(), card())


def test_every_table_says_the_normaliser_the_crop_and_the_protocol(tmp_path):
    source = Drawn()
    for name, (_, words) in NORMALISERS.items():
        config = EvaluateConfig(normaliser=name, thresholds=(7.0,), resamples=20)
        scores = evaluate(stored(Oracle(source)), source, tmp_path / name, panels=0, config=config)
        text = (tmp_path / name / "scores.md").read_text()
        assert f"in % of: {words}" in text and "AUC@7" in text and "protocol: standard" in text
        titles = re.findall(r"\*\*(.*)\*\*", text)
        assert len(titles) == 4 and all("crop: drawn box, square, x1.2" in t for t in titles)
        rows = list(csv.DictReader((tmp_path / name / "scores.csv").open()))
        assert {(r["normaliser"], r["crop"], r["protocol"]) for r in rows} == {
            (words, "drawn box, square, x1.2", "standard")
        }
        flat = {(r["metric"], r["part"]): r["value"] for r in rows}
        assert float(flat["fr@7", "51"]) == scores["fr@7"]["51"]


def test_intervals_hold_the_figures_and_come_from_the_seed(tmp_path):
    source = Drawn()
    oracle = Oracle(source)
    oracle.offset = 1 / SIZE

    def run(name: str, **how) -> dict:
        config = EvaluateConfig(**{"resamples": 300, **how})
        return evaluate(stored(oracle), source, tmp_path / name, panels=0, config=config)

    first, again = run("a"), run("b")
    files = ("scores.json", "scores.csv", "scores.md", "per_image.csv", "ced.svg")
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert first == again
    per_image = [float(r["nme_51"]) for r in csv.DictReader((tmp_path / "a" / "per_image.csv").open())]
    low, high = first["ci95"]["nme"]["51"]
    assert min(per_image) - 1e-4 <= low < first["nme"]["51"] < high <= max(per_image) + 1e-4
    for group in ("f1", "pck@5", "depth_mm"):
        for part, (low, high) in first["ci95"][group].items():
            assert low <= first[group][part] <= high
    assert run("c", resamples=0)["ci95"] == {}


def test_per_image_mean_and_set_figures_differ_as_defined(tmp_path):
    source = Drawn()
    scores = evaluate(stored(Oracle(source)), source, tmp_path, panels=0)
    net = FaceModel(stored(Oracle(source)), source.info)
    hits, total, each = np.zeros(21), np.zeros(21), []
    for i in range(3):
        labels = net.label(source[i])
        known = np.isfinite(labels.depth)
        true, ids = source[i].target[known], labels.ids[known]
        h = np.array([((true == c) & (ids == c)).sum() for c in range(21)], float)
        n = np.array([(true == c).sum() + (ids == c).sum() for c in range(21)], float)
        each.append(np.where(n > 0, 2 * h / np.maximum(n, 1), np.nan))
        hits, total = hits + h, total + n
    present = total > 0
    names = [n for n, p in zip(CLASS_NAMES, present, strict=True) if p]
    want = dict(zip(names, 200 * hits[present] / total[present], strict=True))
    assert {n: scores["f1"][n] for n in names} == pytest.approx(want)
    want = dict(zip(names, 100 * np.nanmean(np.array(each)[:, present], axis=0), strict=True))
    assert {n: scores["f1_per_image"][n] for n in names} == pytest.approx(want)
    assert scores["absent_classes"] == [n for n in CLASS_NAMES if n not in names]


def test_a_relative_prediction_has_no_absolute_error(tmp_path):
    source = Drawn()
    net = Oracle(source)
    net.config = SimpleNamespace(input_size=SIZE, depth_target="relative")
    scores = evaluate(stored(net), source, tmp_path, panels=0)
    assert set(scores["depth_mm"]) == set(scores["depth_absrel"]) == {"shift", "scale_shift"}
    source.info = replace(source.info, depth="relative")  # nor has anything against a relative truth
    scores = evaluate(stored(net), source, tmp_path, panels=2)
    assert "depth_mm" not in scores and scores["depth_order"] > 0.9


class Tilted(Drawn):
    """A slanted wall in front of a known camera."""

    def __getitem__(self, index):
        s = super().__getitem__(index)
        intrinsics = np.array([[150.0, 0, 60], [0, 150, 45], [0, 0, 1]])
        depth = (0.7 + 0.001 * np.arange(120, dtype=np.float32))[None].repeat(90, 0)
        return replace(s, depth=depth, intrinsics=intrinsics)


@pytest.mark.parametrize("protocol", ["standard", "synthforge"])
def test_normals_are_scored_where_the_camera_is_known(tmp_path, protocol):
    source = Tilted()
    from synthforge.evaluation.protocols import under_protocol

    net = Oracle(under_protocol(source, protocol))
    config = EvaluateConfig(protocol=protocol, resamples=50)
    scores = evaluate(stored(net), source, tmp_path, panels=0, config=config)
    assert scores["normals_median_deg"]["scale_shift"] < 2
    assert scores["normals_within_30"]["scale_shift"] > 95
    assert scores["nme"]["68"] < 0.01 and scores["protocol"]["name"] == protocol


def test_our_classes_are_merged_into_the_wanted_ones():
    from synthforge.datasets.lapa import LAPA_CLASSES

    table = LAPA_CLASSES.merge(CLASS_NAMES)
    assert table.shape == (21, 11) and (table.sum(1) == 1).all()
    assert table[CLASS_ID["left_ear"], 1] == 1 and table[CLASS_ID["right_brow"], 2] == 1
    np.testing.assert_array_equal(LAPA_CLASSES.merge(LAPA_CLASSES.names), np.eye(11))
    strange = [{"id": i, "name": name, "color": [0, 0, 0]} for i, name in enumerate(("cat", "dog"))]
    with pytest.raises(DatasetError, match="cat, dog"):
        FaceModel(StoredModel(Oracle(Drawn()), card() | {"classes": strange}), Drawn.info)


def test_beyond_the_crop_is_background():
    source = Drawn()
    labels = FaceModel(stored(Oracle(source)), source.info).label(source[0])
    assert labels.ids.shape == labels.depth.shape == source[0].target.shape
    assert (labels.ids[:, :8] == 0).all() and np.isnan(labels.depth[:, :8]).all()
    assert (labels.ids[20:70, 35:85] > 0).any() and np.isfinite(labels.depth[20:70, 35:85]).all()
