"""Batches hold what the reader reads, whoever decodes them."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.datasets.batches import Batch, BatchLoader
from synthforge.errors import DatasetError
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource, fake_layout

NAMES = ("rgb", "segmentation", "depth", "normals", "landmarks_2d", "landmarks_visible", "attempt", "index")
NAMES += ("attributes/age", "soft_masks/hair")


@pytest.fixture(scope="module", params=["png", "jpeg", "raw"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 samples in shards of 8, 8 and 4."""
    out = tmp_path_factory.mktemp("batches") / "set"
    run(FakeSource(fake_layout(codec=request.param)), FakeConfig(), out, n=20, workers=0)
    return out


def same(a: list[Batch], b: list[Batch]) -> bool:
    """Whether two passes are equal, bit for bit."""
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(np.array_equal(x[k].numpy(), y[k].numpy()) for k in x)
        for x, y in zip(a, b, strict=True)
    )


@settings(max_examples=12, deadline=None)
@given(size=st.integers(1, 25), seed=st.integers(0, 9))
def test_a_pass_is_every_sample_once_as_the_reader_reads_it(folder: Path, size: int, seed: int) -> None:
    reader, seen = DatasetReader(folder), []
    loader = BatchLoader(folder, NAMES, batch=size, workers=0, seed=seed)
    for batch in loader:
        for row, i in enumerate(batch["index"].tolist()):
            sample = reader[i]
            for name in NAMES:
                group, _, member = name.partition("/")
                expected = sample[group][member] if member else sample[name]
                np.testing.assert_array_equal(batch[name][row].numpy(), expected, name)
            seen.append(i)
    assert sorted(seen) == list(range(20))
    assert len(loader) == -(-20 // size)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_change_nothing_and_kept_batches_stay(folder: Path, start: str) -> None:
    alone = BatchLoader(folder, NAMES, batch=3, workers=0, seed=4)
    helped = BatchLoader(folder, NAMES, batch=3, workers=2, seed=4, start=start)
    first, second = list(alone), list(alone)
    assert same(first, list(helped)) and same(second, list(helped))
    order = [i for batch in first for i in batch["index"].tolist()]
    assert order != [i for batch in second for i in batch["index"].tolist()]
    assert not same(first, list(BatchLoader(folder, NAMES, batch=3, workers=0, seed=5)))


def test_a_pass_may_be_left_early(folder: Path) -> None:
    loader = BatchLoader(folder, NAMES, batch=2, workers=1, seed=1)
    for _ in loader:
        break
    whole = BatchLoader(folder, NAMES, batch=2, workers=0, seed=1)
    _ = list(whole)
    assert same(list(loader), list(whole))


def test_unknown_names_are_refused(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no data set 'depht'.*it holds: .*depth"):
        BatchLoader(folder, ["depht"])


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_named(tmp_path: Path, workers: int) -> None:
    run(FakeSource(fake_layout(codec="jpeg")), FakeConfig(), tmp_path / "x", n=4, workers=0)
    reader = DatasetReader(tmp_path / "x")
    with h5py.File(reader.path / reader.shards[0]["file"], "r+") as file:
        file["rgb"][2] = np.frombuffer(b"\xff\xd8 no more of a JPEG", np.uint8)
    with pytest.raises(DatasetError, match="sample 2, rgb: is not a readable image"):
        list(BatchLoader(tmp_path / "x", workers=workers))


def test_a_killed_worker_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatasetReader, "read_into", lambda *_: os._exit(9))
    with pytest.raises(DatasetError, match="a worker was killed; .*fewer workers"):
        list(BatchLoader(folder, workers=1))
