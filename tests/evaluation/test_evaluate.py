"""Predictions come back to the photograph's own pixels, and the scores are those of the labels drawn."""

import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from synthforge.conventions import CLASS_FLIP, CLASS_ID, CLASS_NAMES
from synthforge.datasets.geometry import crop_matrix, warp_ids, warp_points
from synthforge.datasets.sample import Sample
from synthforge.datasets.shards import OUR_CLASSES
from synthforge.errors import DatasetError
from synthforge.evaluation.evaluate import evaluate
from synthforge.evaluation.predictor import Predictor, class_table
from synthforge.models.multitask import Prediction
from synthforge.models.store import StoredModel

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
                matrix = crop_matrix(sample.box, SIZE, self.source.crop_scale, mirror=mirror)
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


class Drawn:
    """Random faces of big blocks of classes; smooth depth."""

    name, classes, flip_classes = "drawn", OUR_CLASSES, CLASS_FLIP
    has_points = has_depth = True
    crop_source, crop_scale = "drawn box", 1.2

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
    model = StoredModel(Oracle(source).eval(), {"classes": [{"name": n} for n in CLASS_NAMES]})
    scores = evaluate(model, source, tmp_path, flip=flip, panels=3)
    assert scores["nme"]["68"] < 1e-3
    assert scores["f1_mean_foreground"] > 90 and scores["depth_mm"]["absolute"] < 2
    assert scores["protocol"]["normaliser"] == "outer eye corners" and scores["protocol"]["images"] == 3
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    rows = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert [r["name"] for r in rows] == ["n0", "n1", "n2"]
    assert "NME 51" in (tmp_path / "scores.md").read_text()
    assert cv2.imread(str(tmp_path / "panels.png")).shape[1] % 256 == 0


def test_an_error_of_known_size_is_reported_as_such(tmp_path):
    source = Drawn()
    oracle = Oracle(source).eval()
    oracle.offset = 1 / SIZE  # one crop pixel in x and y
    model = StoredModel(oracle, {"classes": [{"name": n} for n in CLASS_NAMES]})
    scores = evaluate(model, source, tmp_path, panels=0)
    image_pixels = np.sqrt(2) * 1.2 * 80 / SIZE
    eyes = [np.linalg.norm(source[i].points[36] - source[i].points[45]) for i in range(3)]
    assert scores["nme"]["51"] == pytest.approx(100 * np.mean(image_pixels / np.array(eyes)), rel=1e-3)


def test_our_classes_are_merged_into_the_wanted_ones():
    from synthforge.datasets.lapa import LAPA_CLASSES

    model = StoredModel(nn.Identity(), {"classes": [{"name": n} for n in CLASS_NAMES]})
    table = class_table(model, LAPA_CLASSES)
    assert table.shape == (21, 11) and (table.sum(1) == 1).all()
    assert table[CLASS_ID["left_ear"], 1] == 1 and table[CLASS_ID["right_brow"], 2] == 1
    tuned = StoredModel(nn.Identity(), {"classes": [{"name": c.name} for c in LAPA_CLASSES]})
    np.testing.assert_array_equal(class_table(tuned, LAPA_CLASSES), np.eye(11))
    stranger = StoredModel(nn.Identity(), {"classes": [{"name": "cat"}, {"name": "dog"}]})
    with pytest.raises(DatasetError, match="cat, dog"):
        class_table(stranger, LAPA_CLASSES)


def test_beyond_the_crop_is_background():
    source = Drawn()
    model = StoredModel(Oracle(source).eval(), {"classes": [{"name": n} for n in CLASS_NAMES]})
    labels = Predictor(model, 1.2, OUR_CLASSES, depth=True)(source[0])
    np.testing.assert_allclose(labels.probability.sum(0), 1, atol=1e-4)
    assert (labels.probability.argmax(0)[:, :8] == 0).all() and np.isnan(labels.depth[:, :8]).all()
