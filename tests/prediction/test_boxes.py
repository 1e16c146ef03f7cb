"""Boxes: the file format and its mistakes; the detector's squares mapped back and ordered."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthforge.datasets.sample import points_box, read_rgb
from synthforge.datasets.w300 import read_pts
from synthforge.errors import AssetError, DatasetError
from synthforge.prediction.boxes import Detector, GivenBoxes
from synthforge.prediction.sources import Input, Picture
from tests.helpers.shared import shared_path

ROWS = [("a/x.jpg", 1, 2, 30, 40.5, ""), ("x.jpg", 5, 6, 7, 8, ""), ("v.mp4", 0, 0, 9, 9, 2)]


def picture(path, frame=0, size=(40, 60)) -> Picture:
    return Picture(Input(Path(path), "n"), np.zeros((*size, 3), np.uint8), frame)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_boxes_go_to_the_files_and_frames_they_name(tmp_path, suffix):
    keys = ("file", "x0", "y0", "x1", "y1", "frame")
    file = tmp_path / f"boxes{suffix}"
    if suffix == ".json":
        rows = [{k: v for k, v in zip(keys, row, strict=True) if v != ""} for row in ROWS]
        file.write_text(json.dumps(rows))
    else:
        file.write_text("\n".join(",".join(map(str, row)) for row in (keys, *ROWS)))
    boxes = GivenBoxes(file)
    assert boxes(picture("/data/a/x.jpg")) == [(1, 2, 30, 40.5), (5, 6, 7, 8)]
    assert boxes(picture("/data/b/x.jpg")) == [(5, 6, 7, 8)]
    assert boxes(picture("/data/xx.jpg")) == []
    assert boxes(picture("v.mp4", frame=2)) == [(0, 0, 9, 9)] and boxes(picture("v.mp4", frame=1)) == []


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("b.csv", "file,x0,y0,x1\na.jpg,1,2,3", "box 1.*give file, x0, y0, x1, y1"),
        ("b.csv", "file,x0,y0,x1,y1\na.jpg,1,2,3,4\na.jpg,5,2,3,4", "box 2.*x0 < x1"),
        ("b.csv", "file,x0,y0,x1,y1\na.jpg,1,2,nan,4", "box 1.*x0 < x1"),
        ("b.json", '{"a.jpg": [1, 2, 3, 4]}', "no list"),
        ("b.json", '[["a.jpg", 1, 2, 3, 4]]', "box 1"),
        ("b.json", "[", "cannot be read"),
    ],
)
def test_mistakes_in_a_box_file_are_named(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=match):
        GivenBoxes(tmp_path / name)


def planted_cascades(monkeypatch, tmp_path, answers):
    """OpenCV with cascades that answer as planted and note the size of what they were shown."""
    shown = []

    class Cascade:
        def __init__(self, file):
            self.name = Path(file).name

        def detectMultiScale(self, image, **options):
            shown.append(image.shape)
            return np.array(answers.get(self.name, []), np.int32).reshape(-1, 4)

    for name in Detector.CASCADES:
        (tmp_path / name).touch()
    monkeypatch.setattr(cv2, "CascadeClassifier", Cascade, raising=False)
    monkeypatch.setattr(cv2.data, "haarcascades", f"{tmp_path}/")
    return shown


def test_squares_come_back_to_the_picture_and_the_largest_is_first(monkeypatch, tmp_path):
    squares = [(10, 20, 50, 50), (200, 100, 100, 100), (100, 100, 100, 100)]
    shown = planted_cascades(monkeypatch, tmp_path, {Detector.CASCADES[0]: squares})
    large = picture("x.jpg", size=(800, 1600))  # searched at half its size
    boxes = Detector(all_faces=True)(large)
    assert shown == [(400, 800)]
    assert [round(b[2] - b[0], 6) for b in boxes] == [2 * 0.82 * s for s in (100, 100, 50)]
    centre = np.array([boxes[0][0] + boxes[0][2], boxes[0][1] + boxes[0][3]]) / 2
    np.testing.assert_allclose(centre, [2 * 150, 2 * (150 + 0.167 * 100)])  # ties: from the left
    assert Detector()(large) == boxes[:1]


def test_the_second_cascade_is_asked_where_the_first_sees_nothing(monkeypatch, tmp_path):
    shown = planted_cascades(monkeypatch, tmp_path, {Detector.CASCADES[1]: [(5, 5, 30, 30)]})
    assert len(Detector()(picture("x.jpg"))) == 1 and len(shown) == 2
    planted_cascades(monkeypatch, tmp_path, {})
    assert Detector()(picture("x.jpg")) == []


def test_an_opencv_without_cascades_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2.data, "haarcascades", f"{tmp_path}/")
    with pytest.raises(AssetError, match="opencv-python-headless<5.*--boxes"):
        Detector()


def test_faces_of_photographs_are_found_where_they_were_annotated():
    folder = shared_path("real_dev") / "300W/helen/trainset"
    try:
        detect = Detector()
    except AssetError as error:
        pytest.skip(str(error))
    hits, files = 0, sorted(folder.glob("*.pts"))[:12]
    for file in files:
        true = points_box(read_pts(file))
        rgb = read_rgb(str(file.with_suffix(".jpg")))
        for box in detect(Picture(Input(file, "n"), rgb)):
            width = min(true[2], box[2]) - max(true[0], box[0])
            height = min(true[3], box[3]) - max(true[1], box[1])
            areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (true, box))
            both = max(0.0, width) * max(0.0, height)
            hits += both / (areas - both) > 0.5
    assert hits >= 10
