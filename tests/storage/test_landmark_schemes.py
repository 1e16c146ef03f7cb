"""Dense landmarks on the disk, layouts made of them, and what verify and a reader say of faults."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from synthforge.conventions import CLASS_ID
from synthforge.errors import DatasetError
from synthforge.landmark_sets import between_jaw_points, dense_set
from synthforge.storage.reader import DatasetReader, pupils_visible
from synthforge.storage.run import run
from synthforge.storage.source import Sample
from synthforge.storage.verify import verify
from tests.helpers.fake_source import FakeConfig, FakeSource, fake_layout

N, N_DENSE = 3, len(dense_set().points)


class DenseSource(FakeSource):
    """The fake samples with a dense set: the 68 points, each again and again."""

    def __call__(self, index: int) -> Sample:
        frame = super().__call__(index).frame
        again = np.arange(N_DENSE) % 68
        dense = {
            f"landmarks_dense_{key}": getattr(frame, f"landmarks_{key}")[again]
            for key in ("2d", "3d", "visible")
        }
        return Sample(dataclasses.replace(frame, **dense), ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("dense") / "x"
    run(DenseSource(fake_layout(dense=N_DENSE)), FakeConfig(), out, N, workers=0)
    return out


def test_dense_landmarks_are_kept_and_described(folder):
    reader = DatasetReader(folder)
    for i, sample in enumerate(reader):
        frame = DenseSource()(i).frame
        for key in ("2d", "3d", "visible"):
            name = f"landmarks_dense_{key}"
            np.testing.assert_array_equal(sample[name], getattr(frame, name))
    about = json.loads((folder / "dataset.json").read_text())["landmark_schemes"]["landmarks_dense_2d"]
    assert about["n_points"] == N_DENSE and about["groups"]["ibug"] == [0, 68]
    assert list(verify(folder)) == []


def test_layouts_take_their_points_from_the_sample(folder):
    reader = DatasetReader(folder)
    sample = reader[1]
    points, visible = reader.landmarks(1)
    np.testing.assert_array_equal(points, sample["landmarks_2d"])
    np.testing.assert_array_equal(visible, sample["landmarks_visible"])
    points, _ = reader.landmarks(1, "jd106", jaw="contour")
    np.testing.assert_array_equal(points[0:33:2], sample["landmarks_contour_2d"])
    np.testing.assert_allclose(points[1:33:2], between_jaw_points(sample["landmarks_contour_2d"]), rtol=1e-6)
    np.testing.assert_array_equal(points[74], sample["pupils_2d"][1])
    group = dense_set().groups["right_brow"][0]
    np.testing.assert_array_equal(points[38], sample["landmarks_dense_2d"][group + 4])


def test_a_layout_of_dense_points_needs_them(folder, tmp_path):
    run(FakeSource(), FakeConfig(), tmp_path / "old", 2, workers=0)
    old = DatasetReader(tmp_path / "old")
    assert old.landmarks(0, "ibug70")[0].shape == (70, 2)
    with pytest.raises(DatasetError, match="wflw98 needs the dense landmarks; here are none"):
        old.landmarks(0, "wflw98")
    reader = DatasetReader(folder)
    reader.index["landmark_schemes"]["landmarks_dense_2d"]["groups"]["jaw"] = [68, 99]
    with pytest.raises(DatasetError, match="here are those of another version"):
        reader.landmarks(0, "wflw98")


def test_verify_sees_a_dense_point_out_of_place(folder, tmp_path):
    out = tmp_path / "broken"
    out.mkdir()
    (out / "shards").mkdir()
    for path in folder.rglob("*.*"):
        (out / path.relative_to(folder)).write_bytes(path.read_bytes())
    with h5py.File(out / "shards" / "shard-000000.h5", "r+") as file:
        file["landmarks_dense_2d"][1, 200] += 3
        file["landmarks_dense_visible"][2, 5] = 7
    text = "\n".join(verify(out))
    assert "sample 1, landmarks_dense_2d: point 200 is 4.24 px from its place in 3D" in text
    assert "sample 2, landmarks_dense_visible: 7 is none of 0, 1, 2" in text


def test_a_pupil_is_seen_where_its_pixel_is_its_eye():
    segmentation = np.full((10, 10), CLASS_ID["skin"], np.uint8)
    segmentation[5, 2], segmentation[5, 7] = CLASS_ID["right_eye"], CLASS_ID["left_eye"]
    seen = pupils_visible(np.array([[7.9, 5.1], [2.0, 5.0]]), segmentation)
    np.testing.assert_array_equal(seen, [2, 2])
    swapped = pupils_visible(np.array([[2.0, 5.0], [12.0, 5.0]]), segmentation)
    np.testing.assert_array_equal(swapped, [1, 0])
