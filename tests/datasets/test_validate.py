"""Each error E101 to E114 provoked once in a folder that is otherwise right: its line says what and where."""

import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from synthforge.cli.dataset import dataset
from synthforge.conventions import CLASS_NAMES
from synthforge.datasets.check import check_data, open_checked
from synthforge.datasets.open import open_source
from synthforge.datasets.photos import PhotoSource, complete
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import SourceInfo
from synthforge.datasets.validate import CHECKS, findings, model_findings, require, survey
from synthforge.datasets.w300 import W300
from synthforge.errors import DatasetError, SynthforgeError
from tests.datasets import made_up


def lines(layout, folder, **how) -> dict[str, str]:
    """Findings as they are shown, by code; E103 and E114 are there for every made-up set."""
    report = check_data(layout, [folder], **how)
    return {f.code: f.line for f in report.found}


def test_codes_are_complete():
    assert [code for code, _, _ in CHECKS] == [f"E{n}" for n in range(101, 115)]


def test_a_good_folder_has_no_error(tmp_path):
    assert set(lines("lapa", made_up.make_lapa(tmp_path))) == {"E103", "E114"}
    assert set(lines("facesynthetics", made_up.make_facesynthetics(tmp_path / "f", range(1, 5)))) == {"E114"}


def test_e101_shows_the_expected_tree(tmp_path):
    (tmp_path / "photos").mkdir()
    line = lines("celebamask", tmp_path)["E101"]
    assert line.startswith("E101 error:") and "expected CelebA-HQ-img/" in line and "holds photos" in line
    assert str(tmp_path) in lines("wflw", tmp_path / "absent/deep")["E101"]
    table = check_data("wflw", [tmp_path]).table()
    assert table.count("not run") == 13 and " ok " not in table


def test_e102_label_without_image_and_image_without_label(tmp_path):
    made_up.make_lapa(tmp_path)
    (tmp_path / "train/labels/b.png").unlink()
    assert "train/labels/b.png: is missing" in lines("lapa", tmp_path)["E102"]
    shutil.rmtree(tmp_path / "train")
    made_up.make_lapa(tmp_path)
    (tmp_path / "train/images/b.jpg").unlink()
    assert "b.png (no image): is missing" in lines("lapa", tmp_path)["E102"]


def test_e102_a_few_in_a_thousand_are_left_out(tmp_path):
    there = tmp_path / "there"
    there.write_text("")
    rows = [(there, i) for i in range(1999)]
    kept, unpaired = complete([*rows, (tmp_path / "gone", 0)], W300)
    assert kept == rows and unpaired == [str(tmp_path / "gone")]
    with pytest.raises(DatasetError, match="gone: E102: .*3 of 2002"):
        complete([*rows, *[(tmp_path / "gone", i) for i in range(3)]], W300)


def test_e103_gives_both_numbers(tmp_path):
    line = lines("lapa", made_up.make_lapa(tmp_path))["E103"]
    assert line == "E103 warning: 3 in the train split, published are 18176"


def test_e104_sizes_differ(tmp_path):
    made_up.make_lapa(tmp_path)
    made_up.write(tmp_path / "train/labels/a.png", np.zeros((10, 12), np.uint8))
    assert "mask is (12, 10), image is (128, 128)" in lines("lapa", tmp_path)["E104"]
    made_up.make_celebamask(tmp_path / "c", size=3 * made_up.SIZE)
    assert "image is 384x384" in str(survey(open_source("celebamask", [tmp_path / "c"])).broken[0][1])


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (np.full((128, 128), 11, np.uint8), "holds unknown ids 11 (16384 px); known are 0 to 10, 255; is it"),
        (np.tile(np.arange(128, dtype=np.uint8) * 2, (128, 1)), "look like grey levels"),
        (np.zeros((128, 128, 3), np.uint8), "is a RGB image"),
    ],
)
def test_e105_unknown_ids(tmp_path, mask, text):
    made_up.make_lapa(tmp_path)
    made_up.write(tmp_path / "train/labels/a.png", mask)
    line = lines("lapa", tmp_path)["E105"]
    assert "train/labels/a.png" in line and text in line


def test_e106_sides_of_classes_and_of_landmarks(tmp_path):
    swap = np.array([0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10], np.uint8)
    made_up.make_lapa(tmp_path, ids=swap[made_up.ids_of(made_up.VIEWER_11)])
    line = lines("lapa", tmp_path)["E106"]
    assert "left and right eye classes are exchanged in 3 of 3 frontal photographs (a, b, c)" in line
    mirrored = made_up.points68() * (-1, 1) + (made_up.SIZE, 0)
    made_up.make_300w(tmp_path / "w", mirrored)
    assert (
        "left and right landmarks are exchanged in 2 of 2"
        in lines("300w", tmp_path / "w", split="train")["E106"]
    )


def test_e106_holds_for_both_conventions(tmp_path):
    """The drawn face is right in LaPa (viewer's sides) and in CelebAMask and FaceSynthetics (subject's)."""
    made_up.make_lapa(tmp_path / "l"), made_up.make_celebamask(tmp_path / "c")
    made_up.make_facesynthetics(tmp_path / "f")
    for layout, folder in (("lapa", "l"), ("celebamask", "c"), ("facesynthetics", "f")):
        records = survey(open_source(layout, [tmp_path / folder])).records
        assert all(r.sides["eye classes"] and r.sides["brow classes"] for r in records)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: p[:67], "holds points of shape (67, 2), expected (68, 2)"),
        (lambda p: np.where(np.arange(68)[:, None] == 3, np.nan, p), "holds a point that is not a number"),
        (lambda p: p + (60, 0), "E107 error: landmarks lie far outside the image: afw/1"),
        (lambda p: np.where(np.arange(68)[:, None] == 3, -0.5, p), "files that should count from 1: afw/1"),
        (lambda p: np.where(np.arange(68)[:, None] > 40, 50.0, p), "fewer than 60 distinct landmarks: afw/1"),
    ],
)
def test_e107_landmarks(tmp_path, change, text):
    made_up.make_300w(tmp_path)
    (tmp_path / "afw/1.pts").write_text(made_up.pts_text(change(made_up.points68())))
    found = [f.line for f in check_data("300w", [tmp_path]).found if f.code == "E107"]
    assert len(found) == 1 and text in found[0]


def test_e108_landmarks_off_the_mask(tmp_path):
    made_up.make_lapa(tmp_path)
    (tmp_path / "train/landmarks/b.txt").write_text(made_up.lapa_text(made_up.points68() + (0, 30)))
    assert lines("lapa", tmp_path)["E108"] == "E108 warning: landmarks of an eye lie off its mask: b"


def test_e109_depth(tmp_path):
    made_up.make_lapa_d(tmp_path)
    made_up.write(tmp_path / "depth/b.png", np.full((128, 128), 7, np.uint8))
    assert "depth/b.png: depth is 7 everywhere" in lines("lapa-d", tmp_path)["E109"]
    made_up.write(tmp_path / "depth/b.png", np.full((128, 128), 700, np.uint16))
    assert "depth/b.png: is no 8-bit grey image" in lines("lapa-d", tmp_path)["E109"]
    made_up.make_lapa_d(tmp_path / "x", bright_is_near=True, names="ab")
    shutil.move(made_up.make_lapa_d(tmp_path / "y", False, "a") / "depth/a.png", tmp_path / "x/depth/a.png")
    assert "bright is near in 1 of 2 photographs" in lines("lapa-d", tmp_path / "x")["E109"]


class Metric(PhotoSource):
    """One photograph whose depth is known at one pixel in two."""

    info = SourceInfo("metric", depth="metric")

    def __getitem__(self, index: int) -> Sample:
        depth = np.array([[self.items[index][0], self.items[index][1], np.inf, np.inf]], np.float32)
        return Sample("x", np.zeros((1, 4, 3), np.uint8), (0.0, 0.0, 4.0, 1.0), depth=depth)


@pytest.mark.parametrize(
    ("depth", "text"),
    [
        ((0.7, 0.9), None),
        ((700.0, 900.0), "depth cannot be in metres: x, median 800"),
        ((0.7, 0.7), "depth is the same everywhere: x, median 0.7"),
        ((np.inf, np.inf), "no pixel has a depth: x"),
    ],
)
def test_e109_metric_depth(depth, text):
    found = [f for f in findings(survey(Metric([depth]))) if f.code == "E109"]
    assert [f.line for f in found] == ([f"E109 error: {text}"] if text else [])


def test_e110_the_same_picture_in_two_splits_and_300w_in_lapa(tmp_path):
    made_up.make_lapa(tmp_path, "train", ("a", "IBUG_image_003_1_0"))
    made_up.make_lapa(tmp_path, "test", ("c",))
    assert "photographs of 300-W sets: IBUG_image_003_1_0" in lines("lapa", tmp_path)["E110"]
    shutil.copy(tmp_path / "train/images/a.jpg", tmp_path / "test/images/c.jpg")
    assert lines("lapa", tmp_path)["E110"] == "E110 warning: the same picture in two splits: train a = test c"
    assert lines("lapa", tmp_path, leaks_fail=True)["E110"].startswith("E110 error")


def test_e111_too_few(tmp_path):
    made_up.make_lapa(tmp_path, names=("a",))
    assert lines("lapa", tmp_path)["E111"] == "E111 error: 1 photographs are too few to train on"


def test_e112_corrupt_images_are_left_out_or_an_error(tmp_path):
    made_up.make_lapa(tmp_path, names=("a", "b"))
    (tmp_path / "train/images/b.jpg").write_bytes(b"\xff\xd8\xff")
    assert "train/images/b.jpg: cannot be read as an image (1 of 2 read)" in lines("lapa", tmp_path)["E112"]
    many = made_up.make_facesynthetics(tmp_path / "f", range(1, 4))
    source = open_source("facesynthetics", [many], "train")
    source.items = source.items * 50
    (many / "000009.png").write_bytes(b"no image")
    source.items[7] = (many / "000009.png", *source.items[7][1:])
    require(source, samples=0)
    assert len(source) == 149 and all("000009" not in str(i[0]) for i in source.items)


def test_e113_the_model_fits(tmp_path):
    source = open_source("lapa", [made_up.make_lapa(tmp_path)])
    ours = {"classes": [{"name": n} for n in CLASS_NAMES], "model": {"n_landmarks": 68}}
    theirs = {"classes": [{"name": c.name} for c in source.info.schema], "model": {"n_landmarks": 68}}
    assert model_findings(ours, source) == model_findings(theirs, source) == []
    (finding,) = model_findings(ours | {"model": {"n_landmarks": 98}}, source)
    assert finding.line == "E113 error: model has 98 landmarks, lapa 68"
    (finding,) = model_findings({"classes": [{"name": "nostril"}]}, source)
    assert finding.line == "E113 error: model's classes (nostril) are neither ours nor those of lapa"
    with pytest.raises(DatasetError, match="E113 error: model has 98 landmarks"):
        open_checked("lapa", [tmp_path], "train", ours | {"model": {"n_landmarks": 98}})


def test_e114_is_one_line(tmp_path):
    assert lines("lapa", made_up.make_lapa(tmp_path))["E114"] == (
        "E114 notice: LaPa is for non-commercial research only"
    )


def test_training_stops_at_the_first_error(tmp_path):
    made_up.make_lapa(tmp_path)
    made_up.write(tmp_path / "train/labels/a.png", np.full((128, 128), 11, np.uint8))
    made_up.write(tmp_path / "train/labels/b.png", np.zeros((3, 3), np.uint8))
    with pytest.raises(DatasetError, match="lapa: E104 error: .*1 more: run synthforge dataset check"):
        open_checked("lapa", [tmp_path], "train")


def test_the_command_shows_a_table_and_fails_on_errors(tmp_path):
    made_up.make_lapa(tmp_path)
    args = ["check", "--layout", "lapa", "--data", str(tmp_path)]
    good = CliRunner().invoke(dataset, args)
    assert good.exit_code == 0 and "lapa, train: 3 photographs, 3 read" in good.output
    assert "E106  ok      left and right are as declared" in good.output
    assert "E113  not run the model fits the data" in good.output
    cv2.imwrite(str(tmp_path / "train/labels/a.png"), np.full((128, 128), 11, np.uint8))
    bad = CliRunner().invoke(dataset, args)
    assert isinstance(bad.exception, SynthforgeError)
    assert str(bad.exception) == "lapa: 1 checks fail (E105)"
    assert "E105  error   class ids are known" in bad.output
