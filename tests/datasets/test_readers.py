"""Each layout's facts: counting from 1, viewer's sides, persons, and errors that name the file."""

import cv2
import numpy as np
import pytest
import yaml

from synthforge.conventions import CLASS_ID
from synthforge.datasets.custom import CustomLayout, CustomSource
from synthforge.datasets.lapa import LAPA_CLASSES, LapaSource
from synthforge.datasets.open import open_source
from synthforge.datasets.validate import survey
from synthforge.datasets.w300 import W300Source, read_pts
from synthforge.errors import ConfigError, DatasetError
from tests.helpers.shared import shared_path


def write_pts(path, points, head="version: 1\nn_points: 68\n{\n"):
    body = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points)
    path.write_text(f"{head}{body}\n}}\n")


def test_pts_counts_pixel_centres_from_one(tmp_path):
    points = np.random.default_rng(0).uniform(1, 200, (68, 2))
    points[0] = (1, 1)  # the centre of the first pixel
    write_pts(tmp_path / "a.pts", points, "version: 1\r\nn_points:  68\r\n{\r\n")
    read = read_pts(tmp_path / "a.pts")
    np.testing.assert_allclose(read[0], [0.5, 0.5])
    np.testing.assert_allclose(read, points - 0.5, atol=1e-6)


@pytest.mark.parametrize("points", [np.ones((67, 2)), np.full((68, 2), np.nan), np.ones((68, 3))])
def test_bad_pts_names_the_file(tmp_path, points):
    body = "\n".join(" ".join(map(str, p)) for p in points)
    (tmp_path / "bad.pts").write_text(f"version: 1\n{{\n{body}\n}}\n")
    with pytest.raises(DatasetError, match=r"bad\.pts"):
        read_pts(tmp_path / "bad.pts")


def test_300w_is_read_in_order_without_mirrored_copies(tmp_path):
    for name in ("b/2", "a/1", "a/1_mirror"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((40, 50, 3), (10, 20, 30), np.uint8))
        write_pts(tmp_path / f"{name}.pts", np.random.default_rng(1).uniform(5, 35, (68, 2)))
    source = W300Source([tmp_path])
    assert [source[i].name for i in range(len(source))] == ["a/1", "b/2"]
    assert source[0].rgb[0, 0].tolist() == [30, 20, 10]
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(DatasetError, match="E102"):
        W300Source([tmp_path])


def test_lapa_sides_are_the_viewers_and_become_the_subjects(tmp_path):
    ids = np.zeros((60, 80), np.uint8)
    ids[20:25, 15:30], ids[20:25, 50:65] = 4, 5  # LaPa's left eye is on the image's left
    points = np.tile([40.0, 30.0], (106, 1))
    points[66], points[79] = (15, 22), (65, 22)  # outer corners, image left and right
    for folder, name in (("images", "x.jpg"), ("labels", "x.png")):
        (tmp_path / folder).mkdir()
        picture = ids if folder == "labels" else np.zeros((60, 80, 3), np.uint8)
        cv2.imwrite(str(tmp_path / folder / name), picture)
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks/x.txt").write_text("106\n" + "\n".join(f"{x} {y}" for x, y in points))
    sample = LapaSource([tmp_path])[0]
    by_name = {c.name: c.id for c in LAPA_CLASSES}
    # The subject's right eye is on the left of the image, in masks and in points alike.
    assert np.argwhere(sample.target == by_name["right_eye"])[:, 1].mean() < 40
    assert sample.points[36, 0] < sample.points[45, 0]
    np.testing.assert_allclose(sample.points[36], [15.5, 22.5])
    assert {s for c in LAPA_CLASSES for s in c.sources} == set(CLASS_ID)


@pytest.fixture
def custom(tmp_path):
    for person in "abc":
        for view in "12":
            (tmp_path / "rgb" / person).mkdir(parents=True, exist_ok=True)
            (tmp_path / "ids" / person).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / f"rgb/{person}/{view}.jpg"), np.zeros((20, 30, 3), np.uint8))
            mask = np.zeros((20, 30), np.uint8)
            mask[5:15, 10:20] = 1
            cv2.imwrite(str(tmp_path / f"ids/{person}/{view}.png"), mask)
    layout = {
        "name": "mine",
        "sets": [{"images": "rgb/*/*.jpg", "masks": "ids/{parent}/{stem}.png"}],
        "classes": [
            {"id": 0, "name": "background", "from": ["background"]},
            {"id": 1, "name": "left eye", "from": ["left_eye"]},
        ],
        "person": "rgb/(.)/",
        "test_persons": ["b"],
        "crop": {"source": "classes", "classes": ["left eye"], "scale": 2.0},
    }
    return tmp_path, layout


def load(folder, layout, split="all"):
    (folder / "layout.yaml").write_text(yaml.safe_dump(layout))
    return open_source(str(folder / "layout.yaml"), [folder], split)


def test_custom_layout_splits_by_person(custom):
    folder, layout = custom
    assert len(load(folder, layout)) == 6
    test, rest = load(folder, layout, "test"), load(folder, layout, "train")
    assert {test[i].person for i in range(len(test))} == {"b"}
    assert {rest[i].person for i in range(len(rest))} == {"a", "c"}
    assert test[0].box == (10, 5, 20, 15)


def test_custom_viewer_side_is_exchanged(custom):
    folder, layout = custom
    assert load(folder, layout).info.schema[1].sources == ("left_eye",)
    assert load(folder, layout | {"side": "viewer"}).info.schema[1].sources == ("right_eye",)


def test_custom_errors_name_what_is_wrong(custom):
    folder, layout = custom
    wrong = [{"id": 0, "name": "x", "from": ["nostril"]}]
    with pytest.raises(ConfigError, match="nostril"):
        load(folder, layout | {"classes": wrong})
    with pytest.raises(DatasetError, match="holds unknown ids 1"):
        load(folder, layout | {"classes": layout["classes"][:1], "crop": {}})[0]
    with pytest.raises(DatasetError, match="test person 'z'"):
        load(folder, layout | {"test_persons": ["z"]})
    (folder / "ids/a/1.png").unlink()
    with pytest.raises(DatasetError, match="ids/a/1.png"):
        load(folder, layout)


def test_fasseg_layout_reads_the_real_sample():
    folder = shared_path("real_dev/FASSEG")
    train, test = (open_source("fasseg", [folder], split) for split in ("train", "test"))
    persons = [{s[i].person for i in range(len(s))} for s in (train, test)]
    assert len(train) + len(test) == 40
    assert not persons[0] & persons[1] and len(persons[0] | persons[1]) == 24
    assert isinstance(train, CustomSource) and isinstance(train.layout, CustomLayout)


def test_real_photographs_have_their_eyes_on_the_right_sides():
    source = W300Source([shared_path("real_dev/300W/helen/testset")])
    assert len(source) == 30
    for i in range(5):
        points = source[i].points
        assert points[36:42, 0].mean() < points[42:48, 0].mean()  # the subject's right eye, image left


def test_the_side_check_finds_every_real_frontal_face_right():
    records = survey(W300Source([shared_path("real_dev/300W/helen/testset")])).records
    votes = [r.sides["landmarks"] for r in records if r.sides]
    assert len(votes) > 20 and all(votes)


def test_300w_never_trains_on_its_test_folders():
    folders = [shared_path("real_dev/300W")]
    train, test, both = (W300Source(folders, split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(both)) == (204, 30, 234)
    assert all("testset" in name for _, _, name in test.items)
    assert not {item[0] for item in train.items} & {item[0] for item in test.items}
    with pytest.raises(DatasetError, match="no photograph of the train split"):
        W300Source([shared_path("real_dev/300W/helen/testset")], "train")
