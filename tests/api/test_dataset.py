"""`synthforge.load` gives what was stored, as tensors that PyTorch's own loader can batch."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import synthforge
from synthforge.errors import DatasetError
from synthforge.storage.run import run
from tests.helpers.fake_source import STYLES, FakeConfig, FakeSource, fake_frame, fake_layout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 samples in shards of 8, 8 and 4, without loss of colour."""
    out = tmp_path_factory.mktemp("api") / "set"
    run(FakeSource(fake_layout(codec="png", latent=0)), FakeConfig(), out, n=20, workers=0)
    return out


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_the_default_loader_are_the_frames(folder, workers):
    loader = DataLoader(synthforge.load(folder), batch_size=6, num_workers=workers)
    batches = list(loader)
    assert [len(batch["index"]) for batch in batches] == [6, 6, 6, 2]
    seen = 0
    for batch in batches:
        for row in range(len(batch["index"])):
            frame = fake_frame(0, seen)
            for name in ("rgb", "segmentation", "alpha", "landmarks_2d", "landmarks_3d", "gaze"):
                got, want = batch[name][row].numpy(), getattr(frame, name)
                assert got.dtype == want.dtype, name
                np.testing.assert_array_equal(got, want, name)
            np.testing.assert_allclose(batch["depth"][row], frame.depth, atol=5.1e-5)
            np.testing.assert_allclose(batch["normals"][row], frame.normals, atol=0.5 / 127 + 1e-6)
            np.testing.assert_array_equal(batch["soft_masks"]["hair"][row], frame.soft_masks["hair"])
            assert batch["attributes"]["age"][row] == frame.params.attributes["age"]
            assert batch["attributes"]["hair_style"][row] == frame.params.attributes["hair_style"]
            seen += 1
    assert seen == 20
    assert batches[0]["attributes"]["age"].dtype == batches[0]["depth"].dtype == torch.float32


def test_any_fields_and_any_way_to_count(folder):
    ds = synthforge.load(folder, fields=["landmarks_2d", "attributes/hair_style", "soft_masks"])
    assert len(ds) == 20 and list(ds[0]) == ["landmarks_2d", "attributes/hair_style", "soft_masks"]
    for index, place in ((-1, 19), (np.int64(3), 3), (torch.tensor(5), 5)):
        assert np.array_equal(ds[index]["landmarks_2d"], fake_frame(0, place).landmarks_2d)
    part = ds[4:-4:3]
    assert [i for i in range(20)][4:-4:3] == list(part.rows) and len(list(part)) == len(part)
    assert np.array_equal(part[-1]["landmarks_2d"], fake_frame(0, 13).landmarks_2d)
    assert np.array_equal(part[1:][0]["landmarks_2d"], fake_frame(0, 7).landmarks_2d)
    assert list(synthforge.load(folder, "rgb")[2]) == ["rgb"]
    for wrong in (20, -21):
        with pytest.raises(IndexError, match=f"sample {wrong} of 20"):
            ds[wrong]


def test_where_keeps_the_samples_that_are_wanted(folder):
    frames = [fake_frame(0, i).params.attributes for i in range(20)]
    want = [i for i, a in enumerate(frames) if a["age"] > 40 and a["hair_style"] != "bald"]
    ds = synthforge.load(folder, ["index"]).where(lambda a: a["age"] > 40 and a["hair_style"] != "bald")
    assert 0 < len(want) < 20 and [int(sample["index"]) for sample in ds] == want
    again = pickle.loads(pickle.dumps(ds[1:]))
    assert [int(sample["index"]) for sample in again] == want[1:]
    assert again.params(0).attributes == frames[want[1]]


def test_fields_say_what_they_hold(folder):
    ds = synthforge.load(folder, ["depth", "attributes", "landmarks_2d"])
    assert list(ds.fields) == ["attributes/age", "attributes/hair_style", "depth", "landmarks_2d"]
    depth, style = ds.fields["depth"], ds.fields["attributes/hair_style"]
    assert (depth.shape, depth.dtype, depth.unit, depth.frame) == ((32, 32), "float32", "m", "camera")
    assert synthforge.load(folder).fields["normals"].unit == "1"
    assert style.dtype == "word" and set(style.words) >= set(STYLES)
    for name, about in synthforge.load(folder).fields.items():
        group, _, member = name.partition("/")
        value = synthforge.load(folder)[0][group]
        value = value[member] if member else value
        if about.dtype == "word":
            assert value in about.words
        else:
            assert (tuple(value.shape), str(value.dtype)) == (about.shape, f"torch.{about.dtype}"), name


def test_unknown_fields_and_folders_say_what_to_do(folder, tmp_path):
    with pytest.raises(DatasetError, match="no field 'landmark_2d' \\(did you mean 'landmarks_2d'\\?\\)"):
        synthforge.load(folder, ["rgb", "landmark_2d"])
    with pytest.raises(synthforge.SynthforgeError, match=f"{tmp_path}: no dataset.json here"):
        synthforge.load(tmp_path)


@pytest.mark.parametrize("path", [3, None])
def test_what_is_no_path_is_one_line(path, untyped):
    with pytest.raises(synthforge.SynthforgeError, match=f"^load: expected a path, got {path}$"):
        synthforge.load(path)
