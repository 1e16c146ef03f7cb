"""Files become upright pictures with names of their own."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from synthforge.prediction.sources import count_pictures, find_inputs, pictures


def test_names_are_relative_unique_and_free_of_earlier_results(tmp_path):
    for name in ("a/x.jpg", "a/x.png", "a/b/x.jpg", "c/X.jpg", "a/notes.txt", "a/out/overlays/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    paths = [tmp_path / "a", tmp_path / "c", tmp_path / "a/x.jpg", tmp_path / "a/notes.txt"]
    found = find_inputs(paths, tmp_path / "a/out")
    assert [(str(i.path.relative_to(tmp_path)), i.name) for i in found] == [
        ("a/b/x.jpg", "b/x"),
        ("a/x.jpg", "x"),
        ("a/x.png", "x-2"),
        ("c/X.jpg", "X-3"),
        ("a/notes.txt", "notes"),
    ]


def test_pictures_are_rgb_and_upright(tmp_path):
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[:, :10] = 255, 0, 0  # the left third
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise: left becomes top
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(stored).convert("L").save(tmp_path / "grey.png")
    bad: list[Path] = []
    grey, turned = pictures(find_inputs([tmp_path], tmp_path / "o"), bad)
    assert turned.rgb.shape == (30, 20, 3) and not bad
    np.testing.assert_array_equal(turned.rgb[:10], np.broadcast_to([255, 0, 0], (10, 20, 3)))
    assert grey.rgb.shape == (20, 30, 3) and grey.rgb[0, 0, 0] == grey.rgb[0, 0, 2] > 0


def test_a_video_is_read_frame_by_frame_and_what_is_none_is_named(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (48, 32))
    for i in range(5):
        writer.write(np.full((32, 48, 3), 40 * i, np.uint8))
    writer.release()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "broken.png").write_bytes(b"no image")
    inputs = find_inputs([tmp_path, tmp_path / "absent.jpg"], tmp_path / "o")
    bad: list[Path] = []
    got = list(pictures(inputs, bad))
    assert [p.frame for p in got] == [0, 1, 2, 3, 4] and {p.rate for p in got} == {10.0}
    assert [round(float(p.rgb.mean()) / 40) for p in got] == [0, 1, 2, 3, 4]
    assert {p.name for p in bad} == {"broken.mp4", "broken.png", "absent.jpg"}
    assert count_pictures(inputs) == 5 + 2  # the broken image and the absent one count until tried
