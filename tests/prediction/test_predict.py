"""A whole run on planted pictures and videos: what is written is what was planted, twice the same."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from synthforge.cli.predict import predict as command
from synthforge.conventions import CLASS_COLORS, OURS
from synthforge.datasets.sample import CROP_SCALE
from synthforge.errors import DatasetError
from synthforge.models.multitask import MultiTaskNet
from synthforge.models.store import save_model
from synthforge.prediction.boxes import GivenBoxes
from synthforge.prediction.faces import Face
from synthforge.prediction.predict import predict
from synthforge.prediction.write import join, write_depth
from tests.helpers.spot_net import CLASS, PATTERN, RADIUS, plane, spot_image, spot_model
from tests.models.test_networks import SMALL

SIDE = 50.0  # of all boxes
CROP = CROP_SCALE * SIDE
STILLS = {"one.png": (70.0, 60.0), "deep/two.png": (100.0, 75.0)}


def box_row(file, spot, frame=None):
    (x, y), half = spot, SIDE / 2
    row = {"file": file, "x0": x - half, "y0": y - half, "x1": x + half, "y1": y + half}
    return row | ({} if frame is None else {"frame": frame})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two stills with a spot, two without a box, a broken one, and a video of five frames."""
    root = tmp_path_factory.mktemp("in") / "photos"
    (root / "deep").mkdir(parents=True)
    rows = []
    for name, spot in STILLS.items():
        Image.fromarray(spot_image((140, 180), spot, CROP)).save(root / name)
        rows.append(box_row(name, spot))
    Image.new("RGB", (30, 30)).save(root / "empty.png")
    Image.new("RGB", (30, 30)).save(root / "far.png")
    rows.append(box_row("far.png", (500.0, 500.0)))
    (root / "broken.jpg").write_text("nothing")
    writer = cv2.VideoWriter(str(root / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 8.0, (160, 120))
    for i in range(5):
        spot = 60.0 + 5 * i, 50.0 + 3 * i
        writer.write(spot_image((120, 160), spot, CROP)[..., ::-1])
        rows += [box_row("clip.avi", spot, i)] * (i != 3)  # nobody in frame 3
    writer.release()
    (root.parent / "boxes.json").write_text(json.dumps(rows))
    return root


def run(folder, out, **options):
    return predict(spot_model(), [folder], out, GivenBoxes(folder.parent / "boxes.json"), **options)


@pytest.fixture(scope="module")
def result(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, run(folder, out, npy=True), json.loads((out / "predictions.json").read_text())


def test_landmarks_are_pixels_of_the_original(result):
    _, _, record = result
    assert [Path(row["file"]).name for row in record["images"]] == ["two.png", "one.png"]
    for row, spot in zip(record["images"], ((100.0, 75.0), (70.0, 60.0)), strict=True):
        assert (row["width"], row["height"]) == (180, 140)
        [face] = row["faces"]
        np.testing.assert_allclose(face["landmarks"], spot + CROP * PATTERN, atol=0.07)
        np.testing.assert_allclose(face["box"][:2], np.array(spot) - SIDE / 2)


def test_masks_are_indexed_and_carry_the_class_colours(result):
    out, _, record = result
    for row in record["images"]:
        mask = Image.open(out / row["mask"])
        ids, spot = np.array(mask), STILLS[row["file"].split("photos/")[1]]
        assert mask.mode == "P" and ids.shape == (140, 180) and set(np.unique(ids)) == {0, CLASS}
        assert (ids == CLASS).sum() == pytest.approx(np.pi * (RADIUS * CROP) ** 2, rel=0.1)
        centre = np.argwhere(ids == CLASS).mean(0)[::-1] + 0.5
        np.testing.assert_allclose(centre, spot, atol=0.3)
        np.testing.assert_array_equal(np.array(mask.convert("RGB"))[ids == CLASS][0], CLASS_COLORS[CLASS])


def test_depth_reads_back_in_metres(result):
    out, _, record = result
    assert record["depth"]["formula"] == "(value - 0) * 0.0001; value 0: none"
    row = record["images"][1]
    png = cv2.imread(str(out / row["depth"]), cv2.IMREAD_UNCHANGED)
    z, ids = np.load(out / row["depth_npy"]), np.array(Image.open(out / row["mask"]))
    assert png.dtype == np.uint16 and z.dtype == np.float32
    np.testing.assert_array_equal(png > 0, ids > 0)
    np.testing.assert_array_equal(np.isfinite(z), ids > 0)
    y, x = np.nonzero(png)
    true = plane((x + 0.5 - 70) / CROP + 0.5, (y + 0.5 - 60) / CROP + 0.5)
    np.testing.assert_allclose(png[y, x] * 1e-4, true, rtol=0, atol=2.5e-4)
    np.testing.assert_allclose(z[y, x], true, rtol=0, atol=2e-4)


def test_relative_depth_may_be_negative_and_far_values_stay_in_range(tmp_path):
    depth = np.array([[-0.05, 0.0, 0.1234, np.nan, 99.0, -99.0]], np.float32)
    write_depth(tmp_path / "d.png", depth, zero=32768)
    png = cv2.imread(str(tmp_path / "d.png"), cv2.IMREAD_UNCHANGED)
    assert png.tolist() == [[32268, 32768, 34002, 0, 65535, 1]]


def test_overlays_change_the_face_and_leave_the_background(result, folder):
    out, _, record = result
    row = record["images"][1]
    before, after = (cv2.imread(str(p)) for p in (row["file"], out / row["overlay"]))
    assert after.shape == before.shape
    np.testing.assert_array_equal(after[:20], before[:20])
    blend = (before[60, 70, ::-1].astype(int) + CLASS_COLORS[CLASS]) // 2
    np.testing.assert_array_equal(after[60, 70, ::-1], blend)


def test_a_video_gives_a_line_per_frame_and_an_overlay_of_the_same_length(result):
    out, _, record = result
    [video] = record["videos"]
    lines = [json.loads(line) for line in (out / video["lines"]).read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4] and lines[4]["time"] == 0.5
    assert [len(line["faces"]) for line in lines] == [1, 1, 1, 0, 1] and video["frames"] == 5
    for line in lines:
        spot = 60.0 + 5 * line["frame"], 50.0 + 3 * line["frame"]
        for face in line["faces"]:  # the video is compressed, so not exact
            np.testing.assert_allclose(face["landmarks"], spot + CROP * PATTERN, atol=0.5)
    capture = cv2.VideoCapture(str(out / video["overlay"]))
    frames = [capture.read() for _ in range(6)]
    assert [more for more, _ in frames] == [True] * 5 + [False] and frames[0][1].shape == (120, 160, 3)


def test_what_was_skipped_or_unreadable_is_counted_and_named(result, folder):
    _, summary, record = result
    assert (summary.pictures, summary.faces) == (9, 6)
    reasons = {Path(row["file"]).name: (row["reason"], row["pictures"]) for row in record["skipped"]}
    assert reasons == {
        "empty.png": ("no box given", 1),
        "clip.avi": ("no box given", 1),
        "far.png": ("box outside the picture", 1),
    }
    assert record["unreadable"] == [str(folder / "broken.jpg")]
    text = summary.text().splitlines()
    assert text[0] == "6 faces in 9 pictures" and text[-1] == f"unreadable: {folder / 'broken.jpg'}"


def test_the_same_run_gives_the_same_bytes_whatever_the_batch(result, folder, tmp_path):
    out, _, _ = result
    run(folder, tmp_path, npy=True, batch=1)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert len(files) == 1 + 2 * 4 + 2
    assert files == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    for file in files:
        assert (out / file).read_bytes() == (tmp_path / file).read_bytes(), file


def test_larger_faces_cover_smaller_ones_and_background_covers_nothing():
    def face(side, ids):
        ids = np.array(ids, np.uint8)
        depth = np.where(ids, np.float32(side), np.float32(np.nan))
        return Face((0.0, 0.0, side, side), np.zeros((68, 2)), 1.0, (1, 0), ids, depth)

    ids, depth = join([face(9.0, [[0, 3, 3]]), face(2.0, [[7, 7, 0]])], (2, 5))
    assert ids.tolist() == [[0, 7, 3, 3, 0], [0] * 5]
    np.testing.assert_array_equal(depth[0], [np.nan, 2, 9, 9, np.nan])


def test_the_command_runs_a_stored_model_and_fails_where_nothing_can_be_read(folder, tmp_path):
    save_model(tmp_path / "run", MultiTaskNet(SMALL), OURS, {})
    boxes = ["--boxes", str(folder.parent / "boxes.json"), "--out", str(tmp_path / "o")]
    args = ["--model", str(tmp_path / "run/model.safetensors"), *boxes, "--no-overlay"]
    done = CliRunner().invoke(command, [str(folder), *args], catch_exceptions=False)
    assert done.exit_code == 0 and "6 faces in 9 pictures" in done.output
    assert not (tmp_path / "o/overlays").exists() and not list((tmp_path / "o/videos").glob("*.mp4"))
    with pytest.raises(DatasetError, match=r"broken\.jpg.*cannot be read"):
        CliRunner().invoke(command, [str(folder / "broken.jpg"), *args], catch_exceptions=False)
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="no image or video"):
        CliRunner().invoke(command, [str(tmp_path / "none"), *args], catch_exceptions=False)
