"""Frames as files and in notebooks."""

import base64
import re

import cv2
import numpy as np
import pytest

import synthforge
from tests.helpers.fake_source import fake_frame


def test_files_hold_the_picture(tmp_path):
    frame = fake_frame(0, 0, 48)
    frame.save(tmp_path / "face.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "face.png"))[..., ::-1], frame.rgb)
    frame.save(tmp_path / "face.jpg")
    assert (tmp_path / "face.jpg").read_bytes()[:2] == b"\xff\xd8"
    frame.save(str(tmp_path / "labels.png"), labels=True)
    strip = cv2.imread(str(tmp_path / "labels.png"))[..., ::-1]
    assert strip.shape == (48, 5 * 48, 3) and np.array_equal(strip[:, :48], frame.rgb)
    with pytest.raises(synthforge.SynthforgeError, match="face.tga: is no kind of image; use a name in .png"):
        frame.save(tmp_path / "face.tga")
    with pytest.raises(synthforge.SynthforgeError, match="cannot be written"):
        frame.save(tmp_path / "absent" / "face.png")


def test_a_notebook_shows_image_and_labels():
    frame = fake_frame(0, 1, 64)
    (data,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', frame._repr_html_())
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (64, 5 * 64, 3)
    assert np.abs(shown[:, :64].astype(int) - frame.rgb).mean() < 8
