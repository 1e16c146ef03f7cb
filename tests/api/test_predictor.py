"""`Predictor` gives what `synthforge predict` writes, in the picture's own pixels."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import synthforge
from synthforge.cli.predict import predict as command
from synthforge.types import Frame


@pytest.fixture(scope="module")
def frame() -> Frame:
    look = dict(eyeglasses="none", headwear="none", facewear="none", occluder="none", facial_hair="none")
    view = dict(azimuth_deg=0, elevation_deg=0, camera_roll_deg=0, yaw_deg=0, light="day", view_height=0.35)
    return synthforge.Renderer(resolution=256).render(10, expression="smile", **look, **view)


@pytest.fixture(scope="module")
def folder(frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face in a corner of a wider picture, and a picture without one."""
    root = tmp_path_factory.mktemp("pictures")
    wide = np.full((300, 420, 3), 127, np.uint8)
    wide[30:286, 120:376] = frame.rgb
    cv2.imwrite(str(root / "face.png"), wide[..., ::-1])
    cv2.imwrite(str(root / "none.png"), np.full((64, 80, 3), 90, np.uint8))
    return root


@pytest.fixture(scope="module")
def predictor() -> synthforge.Predictor:
    return synthforge.Predictor(device="cpu")


def test_landmarks_are_near_the_true_ones(predictor, folder, frame):
    answer = predictor(folder / "face.png")
    (face,) = answer.faces
    truth = frame.landmarks_2d + (120, 30)
    between_eyes = np.linalg.norm(truth[36] - truth[45])
    error = np.linalg.norm(face.landmarks - truth, axis=1) / between_eyes
    assert error.mean() < 0.08
    assert np.array_equal(np.concatenate([*face.parts.values()]), face.landmarks)
    centre = face.parts["left_eye"].mean(0)
    assert np.linalg.norm(centre - truth[42:48].mean(0)) < 0.1 * between_eyes
    assert answer.classes[answer.segmentation[tuple(centre[::-1].astype(int))]] == "left_eye"
    covered = frame.segmentation_bare[::4, ::4] > 0
    seen = answer.segmentation[30:286:4, 120:376:4] > 0
    assert (covered & seen).sum() > 0.5 * covered.sum()


def test_a_pickled_one_gives_the_same(predictor, folder):
    first, again = (p(folder / "face.png") for p in (predictor, pickle.loads(pickle.dumps(predictor))))
    assert first.faces[0].box == again.faces[0].box
    assert np.array_equal(first.segmentation, again.segmentation)


def test_it_is_what_the_command_writes(predictor, folder, tmp_path):
    done = CliRunner().invoke(command, [str(folder), "--out", str(tmp_path), "--npy"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "predictions.json").read_text())
    (row,) = record["images"]
    answer, nothing = predictor([folder / "face.png", folder / "none.png"])
    (want,), (face,) = row["faces"], answer.faces
    np.testing.assert_allclose(face.landmarks, want["landmarks"], atol=1e-3)
    np.testing.assert_allclose(face.box, want["box"], atol=1e-3)
    assert round(face.score, 4) == want["score"]
    mask = np.array(Image.open(tmp_path / row["mask"]))
    assert np.array_equal(answer.segmentation, mask) and mask.any()
    assert np.array_equal(answer.depth, np.load(tmp_path / row["depth_npy"]), equal_nan=True)
    assert list(answer.classes) == record["model"]["classes"]
    assert record["depth"]["meaning"] == predictor.depth_meaning
    overlay = cv2.imread(str(tmp_path / row["overlay"]))[..., ::-1]
    assert np.array_equal(answer.picture(), overlay)
    assert nothing.faces == () and not nothing.segmentation.any() and np.isnan(nothing.depth).all()


def test_files_arrays_and_tensors_are_the_same_picture(predictor, folder):
    rgb = cv2.imread(str(folder / "face.png"))[..., ::-1]
    answers = predictor([str(folder / "face.png"), rgb, torch.from_numpy(rgb.copy())])
    for answer in answers[1:]:
        assert np.array_equal(answer.segmentation, answers[0].segmentation)
        assert np.array_equal(answer.faces[0].landmarks, answers[0].faces[0].landmarks)
    assert predictor([]) == []


def test_what_is_no_picture(predictor, tmp_path):
    with pytest.raises(synthforge.SynthforgeError, match="nowhere.png: cannot be read as a picture"):
        predictor("nowhere.png")
    with pytest.raises(synthforge.SynthforgeError, match=r"got float32 of shape \(8, 8, 3\); give a file or"):
        predictor(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(synthforge.SynthforgeError, match="no model there"):
        synthforge.Predictor(tmp_path)


def test_a_picture_without_pixels_is_one_line(predictor):
    with pytest.raises(synthforge.SynthforgeError, match=r"Predictor: got uint8 of shape \(0, 0, 3\)"):
        predictor(np.zeros((0, 0, 3), np.uint8))


@pytest.mark.parametrize(
    ("given", "told"),
    [({"model": 3}, "model: expected a path, got 3"), ({"device": "gpu"}, "device: no device 'gpu'; use cpu"),
     ({"device": 3}, "device: no device 3; use cpu")],
)  # fmt: skip
def test_what_is_no_model_or_device_is_one_line(given, told, untyped):
    with pytest.raises(synthforge.SynthforgeError, match=f"^Predictor: {told}"):
        synthforge.Predictor(**given)
