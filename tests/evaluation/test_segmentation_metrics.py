"""F1, IoU and class sets against torchmetrics on relabelled maps, and against counting by hand."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

from synthforge.conventions import OURS
from synthforge.datasets.schemas import CELEBAMASK_CLASSES, DATAGEN16_CLASSES, LAPA_CLASSES
from synthforge.evaluation.segmentation_metrics import (
    CLASS_SETS,
    class_sets,
    confusion,
    f1,
    group_counts,
    iou,
)


def maps(n_classes: int, used: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Five pairs of true and predicted maps; a tenth of the truth is unknown."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, used, (5, 20, 30)).astype(np.uint8)
    wrong = rng.integers(0, used, true.shape)
    predicted = np.where(rng.random(true.shape) < 0.6, true, wrong).astype(np.uint8)
    true[rng.random(true.shape) < 0.1] = 255
    return true, predicted


def matrices(true: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    return np.stack([confusion(t, p, n_classes) for t, p in zip(true, predicted, strict=True)])


def test_one_matrix_over_many_images_agrees_with_torchmetrics():
    true, predicted = maps(7, 6)  # class 6 occurs nowhere
    counts = group_counts(matrices(true, predicted, 7), [[c] for c in range(7)]).sum(0)
    args = torch.from_numpy(predicted).long(), torch.from_numpy(true).long()
    want_f1 = multiclass_f1_score(*args, 7, average="none", ignore_index=255)
    want_iou = multiclass_jaccard_index(*args, 7, average="none", ignore_index=255)
    np.testing.assert_allclose(f1(counts)[:6], want_f1[:6], rtol=1e-6)
    np.testing.assert_allclose(iou(counts)[:6], want_iou[:6], rtol=1e-6)
    assert np.isnan(f1(counts)[6]) and np.isnan(iou(counts)[6])


def test_rows_are_true_and_columns_predicted():
    true, predicted = np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 1]])
    np.testing.assert_array_equal(confusion(true, predicted, 2), [[1, 1], [0, 1]])


@pytest.mark.parametrize(
    "layout, classes", [("helen", LAPA_CLASSES), ("celebamask-farl", CELEBAMASK_CLASSES)]
)
def test_a_set_scores_as_if_its_groups_had_been_painted_as_one_class(layout, classes):
    n = len(classes)
    true, predicted = maps(n, n)
    found = class_sets(layout, classes)
    assert found
    for name, groups in found.items():
        table = np.full(256, len(groups))  # what belongs to no group is one more class
        for new, members in enumerate(groups):
            table[members] = new
        table[255] = 255
        args = torch.from_numpy(table[predicted]), torch.from_numpy(table[true])
        k = len(groups) + 1
        want_f1 = multiclass_f1_score(*args, k, average="none", ignore_index=255)[:-1]
        want_iou = multiclass_jaccard_index(*args, k, average="none", ignore_index=255)[:-1]
        counts = group_counts(matrices(true, predicted, n), groups).sum(0)
        np.testing.assert_allclose(f1(counts), want_f1, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(iou(counts), want_iou, rtol=1e-5, err_msg=name)


def names_of(layout: str, classes, name: str) -> set[str]:
    return {classes[i].name for group in class_sets(layout, classes)[name] for i in group}


def test_celebamask_sets_leave_out_what_their_papers_leave_out():
    table = CELEBAMASK_CLASSES
    everything = {c.name for c in table}
    sizes = {name: len(groups) for name, groups in class_sets("celebamask", table).items()}
    assert sizes == {"fg18": 18, "sf14": 14, "dg16": 16, "xf10": 10, "SynthesisAI-9": 9}
    assert names_of("celebamask", table, "fg18") == everything - {"background"}
    worn = {"headwear", "earring", "necklace", "clothing"}
    assert names_of("celebamask", table, "sf14") == everything - {"background"} - worn
    assert names_of("celebamask", table, "dg16") == everything - {"earring", "necklace", "clothing"}
    lapa = {c.name for c in LAPA_CLASSES} - {"background"}
    assert names_of("celebamask", table, "xf10") == names_of("lapa", LAPA_CLASSES, "LaPa-10") == lapa
    assert names_of("celebamask", table, "SynthesisAI-9") == everything  # all 19 are in one of nine


def test_sets_apply_only_where_no_group_is_empty_and_only_to_their_data_sets():
    assert set(class_sets("celebamask", DATAGEN16_CLASSES)) == {"sf14", "dg16", "xf10", "SynthesisAI-9"}
    assert set(class_sets("helen", LAPA_CLASSES)) == {
        "HELEN eyes", "HELEN brows", "HELEN mouth", "HELEN overall", "SynthesisAI-9",
    }  # fmt: skip
    assert class_sets("drawn", OURS) == {}
    for one in CLASS_SETS:  # no class is in two groups
        members = [name for group in one.groups for name in group]
        assert len(members) == len(set(members)), one.name
