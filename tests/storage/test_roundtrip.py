"""What is written is what is read: exactly, or within the stated quantisation."""

import os
import pickle
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synthforge.errors import DatasetError
from synthforge.storage.codecs import (
    inflated_plane,
    is_plane,
    quantise_depth,
    quantise_normals,
    restore_depth,
    restore_normals,
)
from synthforge.storage.index import write_index
from synthforge.storage.reader import DatasetReader
from synthforge.storage.shards import Origin, ShardPlan, shard_attributes
from synthforge.storage.writer import ShardWriter, encode_frame
from synthforge.types import Frame
from tests.helpers.fake_source import FakeConfig, FakeSource, fake_frame, fake_layout


def write(out: Path, frames: list[Frame], **layout: object) -> DatasetReader:
    """One shard of the given frames, and its reader."""
    built = fake_layout(frames[0].rgb.shape[0], **layout)
    plan, origin = ShardPlan(0, 0, len(frames), True), Origin(vars(FakeConfig()), "c", FakeSource().generator)
    (out / "shards").mkdir(parents=True)
    with ShardWriter(out, plan, built, origin) as writer:
        for frame in frames:
            writer.add(encode_frame(frame, built))
        writer.publish()
    write_index(out, [plan], built, origin)
    return DatasetReader(out)


EXACT = ["rgb", "segmentation", "segmentation_bare", "alpha", "landmarks_2d", "landmarks_3d"]
EXACT += ["landmarks_visible", "landmarks_contour_2d", "pupils_2d", "gaze"]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_values_come_back_exactly(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 40))
    byte = st.integers(0, 255)
    frames = []
    for index in range(data.draw(st.integers(1, 4))):
        base = fake_frame(0, index, size)
        plane = data.draw(arrays(np.uint8, (size, size), elements=byte))
        image = data.draw(arrays(np.uint8, (size, size, 3), elements=byte))
        points = data.draw(arrays(np.float32, (68, 2), elements=st.floats(-1e4, 1e4, width=32)))
        frames.append(replace(base, rgb=image, segmentation=plane, alpha=plane[::-1], landmarks_2d=points))
    for codec in ("png", "raw"):
        with TemporaryDirectory() as folder:
            reader = write(Path(folder) / "x", frames, codec=codec)
            for frame, sample in zip(frames, reader, strict=True):
                for key in EXACT:
                    np.testing.assert_array_equal(sample[key], getattr(frame, key), key)
                    assert sample[key].dtype == getattr(frame, key).dtype
                params = reader.params(int(sample["index"]))
                assert params.attributes == frame.params.attributes
                for key in ("shape", "expression", "pose"):
                    assert (getattr(params, key) == getattr(frame.params, key)).all()
                assert (params.camera.cam2world == frame.params.camera.cam2world).all()
                assert (params.seed, params.index) == (frame.params.seed, frame.params.index)


@given(arrays(np.float32, (5, 7), elements=st.floats(2**-13, 6.5, width=32) | st.just(np.inf)))
def test_depth_is_kept_to_a_twentieth_of_a_millimetre(depth: np.ndarray) -> None:
    back = restore_depth(quantise_depth(depth))
    finite = np.isfinite(depth)
    assert (np.isfinite(back) == finite).all()
    assert (abs(back[finite] - depth[finite]) <= 0.5e-4 + 1e-6).all()


@given(arrays(np.float32, (5, 3), elements=st.floats(-1, 1, width=32)))
def test_normals_are_kept_to_half_a_count(normals: np.ndarray) -> None:
    assert (abs(restore_normals(quantise_normals(normals)) - normals) <= 0.5 / 127 + 1e-6).all()


def test_jpeg_keeps_smooth_images_and_full_colour_resolution(tmp_path: Path) -> None:
    frame = fake_frame(0, 0, 64)
    sample = write(tmp_path / "x", [frame], codec="jpeg")[0]
    error = sample["rgb"].astype(float) - frame.rgb
    assert 10 * np.log10(255**2 / (error**2).mean()) > 35
    stored = DatasetReader(tmp_path / "x").stored(0)["rgb"]
    frame_header = stored.index(b"\xff\xc0")
    assert stored[frame_header + 11] == 0x11  # luma sampled 1x1: no chroma subsampling


def test_depth_that_cannot_be_stored_is_refused_not_wrapped() -> None:
    frame = fake_frame(0, 7)
    deep = replace(frame, depth=frame.depth + np.float32(6))
    with pytest.raises(DatasetError, match="sample 7, depth: depth .* cannot be stored"):
        encode_frame(deep, fake_layout())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks_3d": np.zeros((67, 3), np.float32)}, r"landmarks_3d: shape \(67, 3\) where \(68, 3\)"),
        ({"segmentation": np.zeros((32, 32), np.float32)}, "segmentation: type float32 where uint8"),
    ],
)
def test_frames_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    frame = fake_frame(0, 0)
    broken = object.__new__(Frame)
    broken.__dict__.update(vars(frame) | changes)
    with pytest.raises(DatasetError, match=message):
        encode_frame(broken, fake_layout())


def test_unknown_category_is_refused() -> None:
    frame = fake_frame(0, 0)
    params = replace(frame.params, attributes={"age": 20.0, "hair_style": "mohawk"})
    with pytest.raises(DatasetError, match="hair_style: 'mohawk' is not among bald, short, long"):
        encode_frame(replace(frame, params=params), fake_layout())


def test_file_is_what_the_schema_says_to_any_hdf5_reader(tmp_path: Path) -> None:
    frames = [fake_frame(0, i) for i in range(3)]
    write(tmp_path / "x", frames, codec="png")
    with h5py.File(tmp_path / "x/shards/shard-000000.h5") as file:
        assert file["depth"].dtype == np.uint16 and file["depth"].shape == (3, 32, 32)
        assert file["depth"].attrs["scale"] == 1e-4 and file["depth"].attrs["unit"] == "m"
        counts = file["depth"][1]  # through HDF5's own filters
        on = np.isfinite(frames[1].depth)
        assert ((counts > 0) == on).all()
        assert abs(counts[on] * 1e-4 - frames[1].depth[on]).max() <= 0.51e-4
        assert (file["normals"].dtype, file["normals"].shape) == (np.int8, (3, 32, 32, 3))
        bgr = cv2.imdecode(file["rgb"][2], cv2.IMREAD_COLOR)
        assert (bgr[..., ::-1] == frames[2].rgb).all()
        assert list(file["pose"].attrs["names"]) == ["neck", "jaw"]
        assert list(file["expression"].attrs["names"]) == ["smile", "blink"]
        style = file["attributes/hair_style"]
        assert style.attrs["words"][style[0]] == frames[0].params.attributes["hair_style"]
        assert {"schema_version", "first_index", "n_samples", "complete"} <= set(file.attrs)
        assert np.isnan(file["alignment_rms"][()]).all()
        assert file["sample_seed"].dtype == np.uint64 and file["index"].dtype == np.int64


def test_optional_parts_are_absent_when_not_asked_for(tmp_path: Path) -> None:
    reader = write(tmp_path / "x", [fake_frame(0, 0)], normals=False, segmentation_bare=False, soft_masks=())
    assert not {"normals", "segmentation_bare", "soft_masks"} & set(reader.keys)


def test_same_frames_make_the_same_bytes(tmp_path: Path) -> None:
    frames = [fake_frame(0, i) for i in range(5)]
    for name in "ab":
        write(tmp_path / name, frames)
    file = "shards/shard-000000.h5"
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_unfinished_shards_leave_nothing(tmp_path: Path) -> None:
    layout = fake_layout()
    (tmp_path / "shards").mkdir()
    unfinished = ShardWriter(tmp_path, ShardPlan(0, 0, 2, False), layout, Origin({}, "", {}))
    with pytest.raises(KeyboardInterrupt), unfinished as w:
        w.add(encode_frame(fake_frame(0, 0), layout))
        raise KeyboardInterrupt
    assert list((tmp_path / "shards").iterdir()) == []
    (tmp_path / "half.h5").write_bytes(b"\x89HDF\r\n\x1a\n half")
    with pytest.raises(DatasetError, match="half.h5: cannot be read as HDF5"):
        shard_attributes(tmp_path / "half.h5")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> DatasetReader:
    return write(tmp_path_factory.mktemp("set") / "x", [fake_frame(0, i) for i in range(6)])


def test_reader_reads_only_what_is_asked(reader: DatasetReader) -> None:
    assert set(reader.read(2, ["rgb", "landmarks_2d"])) == {"rgb", "landmarks_2d"}
    assert reader[-1]["index"] == 5
    assert reader.column("landmarks_2d").shape == (6, 68, 2)
    assert set(reader.column("attributes/hair_style")) <= {"bald", "short", "long"}
    with pytest.raises(IndexError):
        reader[6]
    with pytest.raises(DatasetError, match="no data set 'depht'.*it holds: .*depth"):
        reader.read(0, ["depht"])


def test_reader_survives_fork_and_pickle(reader: DatasetReader) -> None:
    expected = reader[3]["rgb"]
    assert (pickle.loads(pickle.dumps(reader))[3]["rgb"] == expected).all()
    child = os.fork()
    if child == 0:
        same = all((reader[3]["rgb"] == expected).all() and reader[i]["index"] == i for i in range(6))
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (reader[3]["rgb"] == expected).all()


def test_reader_of_a_folder_without_index(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset.json here"):
        DatasetReader(tmp_path)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(["u1", "u2", "i1", "f4"]), st.booleans())
def test_planes_are_inflated_as_hdf5_does(data: st.DataObject, kind: str, shuffle: bool) -> None:
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    values = np.frombuffer(data.draw(st.binary(min_size=4 * 243, max_size=4 * 243)), np.uint8)
    values = np.resize(values[: np.prod(shape) * np.dtype(kind).itemsize], np.prod(shape) * 4).view("u1")
    values = values[: np.prod(shape) * np.dtype(kind).itemsize].view(kind).reshape(shape)
    with h5py.File.in_memory() as file:
        stored = file.create_dataset(
            "x", data=values, chunks=(1, *shape[1:]), compression="gzip", shuffle=shuffle
        )
        assert is_plane(stored) and not is_plane(file.create_dataset("y", data=values))
        for row in range(shape[0]):
            np.testing.assert_array_equal(inflated_plane(stored, row), stored[row])


def test_a_damaged_plane_is_named(tmp_path: Path) -> None:
    reader = write(tmp_path / "x", [fake_frame(0, i) for i in range(2)])
    with h5py.File(reader.path / reader.shards[0]["file"], "r+") as file:
        file["depth"].id.write_direct_chunk((1, 0, 0), b"not deflated")
    with pytest.raises(DatasetError, match="sample 1, depth: cannot be read.*synthforge verify"):
        reader.read(1, ["depth"])
