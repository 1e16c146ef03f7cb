"""Metrics against torchmetrics, closed forms and slow twins."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

from synthforge.evaluation.metrics import (
    POINT_SETS,
    Confusion,
    auc,
    depth_errors,
    failure_rate,
    point_errors,
)


def test_point_errors_are_in_eye_distances():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 100, (68, 2))
    true[36], true[45] = (10, 20), (70, 100)  # 100 pixels apart
    errors, normaliser = point_errors(true + np.array([3.0, 4.0]), true)
    assert normaliser == 100
    np.testing.assert_allclose(errors, 0.05)


def test_point_sets_are_the_ones_of_300w():
    assert {name: len(s) for name, s in POINT_SETS.items()} == {
        "51": 51, "68": 68, "jaw": 17, "brow": 10, "nose": 9, "eye": 12, "mouth": 20,
    }  # fmt: skip
    assert sorted(sum((list(POINT_SETS[n]) for n in ("jaw", "brow", "nose", "eye", "mouth")), [])) == list(
        range(68)
    )


def test_auc_of_known_curves():
    # Errors spread evenly over [0, t]: the curve is the diagonal. All zero: 1. All beyond: 0.
    assert auc(np.linspace(0, 0.08, 100_001), 0.08) == pytest.approx(0.5, abs=1e-4)
    assert auc(np.zeros(5), 0.08) == pytest.approx(1.0, abs=2e-3)
    assert auc(np.full(5, 0.2), 0.08) == 0
    # Any errors: the area is the mean of max(0, t - e), over t.
    errors = np.random.default_rng(1).gamma(3, 0.02, 500)
    assert auc(errors, 0.1) == pytest.approx(np.maximum(0, 0.1 - errors).mean() / 0.1, abs=2e-3)


def test_failure_rate_counts_what_exceeds():
    assert failure_rate(np.array([0.05, 0.08, 0.081, 0.2]), 0.08) == 0.5


def test_confusion_agrees_with_torchmetrics_over_many_images():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 6, (5, 20, 30)).astype(np.uint8)
    predicted = np.where(rng.random(true.shape) < 0.6, true, rng.integers(0, 6, true.shape)).astype(np.uint8)
    true[rng.random(true.shape) < 0.1] = 255
    confusion = Confusion(7)  # class 6 occurs nowhere
    for t, p in zip(true, predicted, strict=True):
        confusion.add(t, p)
    args = torch.from_numpy(predicted).long(), torch.from_numpy(true).long()
    f1 = multiclass_f1_score(*args, 7, average="none", ignore_index=255)
    iou = multiclass_jaccard_index(*args, 7, average="none", ignore_index=255)
    np.testing.assert_allclose(confusion.f1()[:6], f1[:6], rtol=1e-6)
    np.testing.assert_allclose(confusion.iou()[:6], iou[:6], rtol=1e-6)
    assert np.isnan(confusion.f1()[6]) and np.isnan(confusion.iou()[6])


def test_depth_errors_after_each_alignment():
    rng = np.random.default_rng(3)
    true = rng.uniform(0.6, 0.9, (20, 20))
    mask = rng.random(true.shape) < 0.5
    shifted = depth_errors(true - 0.25, true, mask)
    assert shifted.absolute == pytest.approx(250) and shifted.shift == pytest.approx(0, abs=1e-9)
    scaled = depth_errors(0.4 * true + 0.1, true, mask)
    assert scaled.scale_shift == pytest.approx(0, abs=1e-9) and scaled.shift > 10
    noisy = depth_errors(true + rng.normal(0, 0.01, true.shape), true, mask)
    assert noisy.absolute == pytest.approx(10 * np.sqrt(2 / np.pi), rel=0.2)
