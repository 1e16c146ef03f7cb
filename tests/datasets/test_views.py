"""Views are a function of (seed, number) alone, and their labels agree with their pixels."""

import numpy as np
import pytest
import torch

from synthforge.conventions import ClassSchema
from synthforge.datasets.augment import AUGMENTATIONS
from synthforge.datasets.batches import epoch_order
from synthforge.datasets.sample import CheckError, Sample
from synthforge.datasets.shards import ShardSource
from synthforge.datasets.source import SourceInfo
from synthforge.datasets.views import JoinedViews, ViewLoader, Views, ViewSampler
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource


class Faces:
    """Left half red, right half green; classes 2 (subject's left brow) on the right half, 3 else."""

    info = SourceInfo("faces", ClassSchema((), ((2, 3),)), 68, "metric", "box", 1.0)

    def __init__(self, n=5):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        rgb = np.zeros((100, 100, 3), np.uint8)
        rgb[:, :50, 0] = rgb[:, 50:, 1] = 255
        target = np.full((100, 100), 3, np.uint8)
        target[:, 50:] = 2
        depth = np.full((100, 100), 0.5 + index, np.float32)
        points = np.random.default_rng(index).uniform(20, 80, (68, 2))
        return Sample(str(index), rgb, (20.0, 20.0, 80.0, 80.0), points=points, target=target, depth=depth)


def test_views_depend_on_seed_and_number_alone():
    a, b = (Views(Faces(), 64, 2, AUGMENTATIONS["strong"], seed=3) for _ in range(2))
    one, _, two = a[7, 1], b[2, 2], b[7, 1]
    assert all(torch.equal(one[k], two[k]) for k in one)
    other = Views(Faces(), 64, 2, AUGMENTATIONS["strong"], seed=4)[7, 1]
    assert not torch.equal(one["points"], other["points"])


def test_mirrored_views_swap_classes_with_the_picture():
    views = Views(Faces(), 64, 1, AUGMENTATIONS["weak"])
    mirrored = 0
    for number in range(30):
        view = views[number, 0]
        rgb, target = view["rgb"].numpy().astype(int), view["target"].numpy()
        inside = target != 255
        # In a mirrored picture green is on the left, and what was class 2 there is now class 3.
        green = rgb[1] > rgb[0]
        swapped = green[:, :16][inside[:, :16]].mean() > 0.5
        mirrored += swapped
        clear = inside & (np.abs(rgb[0] - rgb[1]) > 200)
        np.testing.assert_array_equal(target[clear], np.where(green[clear] ^ swapped, 2, 3))
    assert 5 < mirrored < 25


def test_points_outside_the_crop_have_no_weight():
    view = Views(Faces(), 64, 1, AUGMENTATIONS["strong"])[0, 0]
    inside = ((view["points"] > 0) & (view["points"] < 1)).all(1)
    assert torch.equal(view["point_weight"], inside.float())


def test_each_pass_shows_every_sample_once_and_a_resumed_one_goes_on():
    whole = list(ViewSampler([7], 0, 21, seed=1))
    for start in range(0, 21, 7):
        assert sorted(i for _, i in whole[start : start + 7]) == list(range(7))
    assert whole[:7] != [(v - 7, i) for v, i in whole[7:14]]
    assert list(ViewSampler([7], 9, 21, seed=1)) == whole[9:]


def test_large_sets_are_shuffled_shard_by_shard():
    runs = [5, 3, 8, 4, 1, 6, 7]
    shard = np.repeat(np.arange(7), runs)
    orders = [epoch_order(runs, np.random.default_rng(seed), window=3) for seed in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(34))
        touched = [set(shard[order[i : i + 4]]) for i in range(31)]
        groups, seen = [], []
        for s in shard[order]:  # a shard that is left is never opened again
            if s not in seen:
                seen.append(s)
        groups = [set(seen[:3]), set(seen[3:6]), set(seen[6:])]
        assert all(t <= groups[0] | groups[1] or t <= groups[1] | groups[2] for t in touched)
        firsts = [np.flatnonzero(np.isin(shard[order], list(g))) for g in groups]
        assert firsts[0].max() < firsts[1].min() and firsts[1].max() < firsts[2].min()
        assert len(np.flatnonzero(np.diff(shard[order]))) > 12  # and within a group they are mixed
    assert list(orders[0]) != list(orders[1])


def test_processes_share_each_batch():
    whole = list(ViewSampler([7], 4, 28, seed=1))
    shares = [list(ViewSampler([7], 4, 28, seed=1, share=(rank, 2))) for rank in (0, 1)]
    assert [pair for both in zip(*shares, strict=True) for pair in both] == whole
    assert len(ViewSampler([7], 4, 28, 1, (0, 2))) == 14


def test_batches_are_the_same_with_and_without_workers():
    views = JoinedViews([Views(Faces(3), 32, 2, AUGMENTATIONS["medium"]), Views(Faces(2), 32, 2)])
    assert len(views) == 5
    alone, helped = (list(ViewLoader(views, ViewSampler([5], 0, 12, 0), 4, w)) for w in (0, 2))
    assert len(alone) == 3
    for a, b in zip(alone, helped, strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)
    number, index = list(ViewSampler([5], 0, 12, 0))[6]
    assert all(torch.equal(alone[1][k][2], v) for k, v in views[number, index].items())


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_reader_finds_wrong_is_told_as_it_is(workers):
    class Broken(Faces):
        def __getitem__(self, index):
            if index == 3:
                raise CheckError("E112", "cannot be read as an image", where="3.jpg", fix="mend it")
            return super().__getitem__(index)

    with pytest.raises(CheckError, match="3.jpg: E112: cannot be read as an image; mend it") as error:
        list(ViewLoader(Views(Broken(), 32), [(i, i) for i in range(5)], 2, workers))
    assert error.value.code == "E112"


def test_shards_are_read_with_the_contour_for_jaw(tmp_path):
    run(FakeSource(), FakeConfig(), tmp_path / "d", n=3, workers=0)
    contour, fixed = ShardSource(tmp_path / "d"), ShardSource(tmp_path / "d", "fixed")
    data = contour.reader.read(1)
    np.testing.assert_array_equal(contour[1].points[:17], data["landmarks_contour_2d"].astype(float))
    np.testing.assert_array_equal(fixed[1].points, data["landmarks_2d"].astype(float))
    np.testing.assert_array_equal(contour[1].target, data["segmentation"])
    np.testing.assert_array_equal(contour[1].depth, data["depth"])


@pytest.mark.parametrize("side", [1000.0, 9.0])
def test_the_camera_of_a_shard_follows_its_image(tmp_path, side):
    run(FakeSource(), FakeConfig(), tmp_path / "d", 3, workers=0)
    source = ShardSource(tmp_path / "d", "fixed")
    for i in range(3):
        sample = source[i].reduced(side)
        points = source.reader.read(i, ["landmarks_3d"])["landmarks_3d"]
        projected = points @ sample.intrinsics.T
        np.testing.assert_allclose(projected[:, :2] / projected[:, 2:], sample.points, atol=1e-3)
