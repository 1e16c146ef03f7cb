"""Boxes: the file format and its mistakes; the detector's squares mapped back and ordered."""

import json
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthforge.datasets.sample import points_box, read_rgb
from synthforge.datasets.w300 import read_pts
from synthforge.errors import AssetError, DatasetError
from synthforge.models.store import SHIPPED, load_model
from synthforge.prediction.boxes import Detector, GivenBoxes, overlap
from synthforge.prediction.faces import FaceModel, find_faces
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
    """OpenCV with cascades that answer as planted and note what they were shown."""
    shown = []

    class Cascade:
        def __init__(self, file):
            self.name = Path(file).stem.removeprefix("haarcascade_")

        def detectMultiScale(self, image, minNeighbors, **options):
            shown.append((self.name, minNeighbors, image))
            return np.array(answers.get(self.name, []), np.int32).reshape(-1, 4)

    for name in Detector.CASCADES:
        (tmp_path / f"haarcascade_{name}.xml").touch()
    monkeypatch.setattr(cv2, "CascadeClassifier", Cascade, raising=False)
    monkeypatch.setattr(cv2.data, "haarcascades", f"{tmp_path}/")
    return shown


def test_squares_come_back_to_the_picture_and_the_largest_is_first(monkeypatch, tmp_path):
    squares = [(10, 20, 50, 50), (200, 100, 100, 100), (100, 100, 100, 100)]
    shown = planted_cascades(monkeypatch, tmp_path, {"frontalface_default": squares})
    large = picture("x.jpg", size=(800, 1600))  # searched at half its size
    boxes = next(Detector().attempts())(large)
    assert [(name, image.shape) for name, _, image in shown] == [("frontalface_default", (400, 800))]
    assert [round(b[2] - b[0], 6) for b in boxes] == [2 * 0.82 * s for s in (100, 100, 50)]
    centre = np.array([boxes[0][0] + boxes[0][2], boxes[0][1] + boxes[0][3]]) / 2
    np.testing.assert_allclose(centre, [2 * 150, 2 * (150 + 0.167 * 100)])  # ties: from the left


def test_profiles_are_looked_for_to_both_sides(monkeypatch, tmp_path):
    shown = planted_cascades(monkeypatch, tmp_path, {"profileface": [(5, 10, 30, 30)]})
    gradient = np.repeat(np.arange(60, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)
    strict, second, loose, middle = Detector().attempts()
    boxes = second(Picture(Input(Path("x.jpg"), "n"), gradient))
    assert [name for name, _, _ in shown] == ["frontalface_alt2", "profileface", "profileface"]
    np.testing.assert_array_equal(shown[1][2], shown[2][2][:, ::-1])
    assert sorted((b[0] + b[2]) / 2 for b in boxes) == [20, 40]  # 5 + 15, and as far from the other side
    assert strict(picture("x.jpg")) == [] and len(loose(picture("x.jpg"))) == 2
    assert {n for _, n, _ in shown[:4]} == {5} and {n for _, n, _ in shown[4:]} == {1}
    for x0, y0, x1, y1 in middle(picture("x.jpg", size=(40, 60))):
        assert (x0 + x1, y0 + y1) == (60, 40) and 0 < x1 - x0 < 40


@pytest.mark.parametrize("lacking", ["CascadeClassifier", "data"])
def test_an_opencv_without_cascades_is_named_with_what_to_uninstall(monkeypatch, tmp_path, lacking):
    info = tmp_path / "opencv_python-5.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 5.0.0\n")
    (info / "top_level.txt").write_text("cv2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delattr(cv2, lacking)
    with pytest.raises(AssetError) as error:
        Detector()
    headless = f"opencv-python-headless {version('opencv-python-headless')}"
    assert f"(installed: opencv-python 5.0.0, {headless})" in str(error.value)
    advice = "pip uninstall opencv-python opencv-python-headless; "
    advice += 'pip install "opencv-python-headless>=4.9,<5"; or give --boxes'
    assert str(error.value).endswith(advice)


def test_an_opencv_whose_cascade_files_are_gone_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2.data, "haarcascades", f"{tmp_path}/")
    with pytest.raises(AssetError, match="comes without its face cascades"):
        Detector()


def test_faces_of_photographs_are_found_where_they_were_annotated():
    folder = shared_path("real_dev") / "300W"
    try:
        detector = Detector()
    except AssetError as error:
        pytest.skip(str(error))
    files = [f for name in ("helen/trainset", "afw") for f in sorted((folder / name).glob("*.pts"))[:10]]
    pictures = [Picture(Input(file, "n"), read_rgb(str(file.with_suffix(".jpg")))) for file in files]
    found = find_faces(FaceModel(load_model(SHIPPED)), detector, pictures)
    for file, [box] in zip(files, found, strict=True):
        assert overlap(box, points_box(read_pts(file))) > 0.5, file


def test_overlap_is_the_shared_part_of_the_union():
    assert overlap((0.0, 0.0, 2.0, 2.0), (1.0, 0.0, 3.0, 2.0)) == pytest.approx(1 / 3)
    assert overlap((0.0, 0.0, 2.0, 2.0), (2.0, 2.0, 3.0, 3.0)) == 0
