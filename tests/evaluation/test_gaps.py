"""Measures of faces do not depend on how a face lies in the picture, and the table says what was put in."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.conventions import LANDMARK_FLIP
from synthforge.datasets.sample import Sample, points_box
from synthforge.datasets.source import SourceInfo
from synthforge.errors import DatasetError
from synthforge.evaluation.gaps import (
    SHAPE,
    find_gaps,
    gap_table,
    measures,
    offset_table,
    point_offsets,
)


def plain_face(opening: float = 12.0, smile: float = 1.0) -> np.ndarray:
    """68 points of a frontal face, eyes 100 px apart about (200, 150)."""
    p = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    p[:17] = np.c_[200 + 90 * np.cos(angle), 160 + 130 * np.sin(angle)]
    p[17:22] = np.c_[np.linspace(145, 185, 5), np.full(5, 125.0)]
    p[27:31] = np.c_[np.full(4, 200.0), np.linspace(150, 195, 4)]
    p[31:36] = np.c_[np.linspace(185, 215, 5), np.full(5, 205.0)]
    p[36:42] = [(150, 150), (160, 145), (170, 145), (180, 150), (170, 155), (160, 155)]
    mouth = np.array([(-30, 0), (-20, -8), (-8, -10), (0, -9), (8, -10), (20, -8), (30, 0), (20, 10), (8, 12),
                      (0, 12), (-8, 12), (-20, 10), (-26, 0), (-9, -3), (0, -3), (9, -3), (26, 0), (9, 3),
                      (0, 3), (-9, 3)], float)  # fmt: skip
    mouth[[13, 14, 15], 1], mouth[[17, 18, 19], 1] = -opening / 2, opening / 2
    mouth[:, 0] *= smile
    p[48:] = mouth + (200, 240)
    for a, b in enumerate(LANDMARK_FLIP):  # the other half is the mirror image
        if not p[a].any():
            p[a] = 400 - p[b][0], p[b][1]
    return p


def sample(points: np.ndarray, rgb: np.ndarray | None = None, name: str = "face") -> Sample:
    rgb = np.full((400, 400, 3), 128, np.uint8) if rgb is None else rgb
    return Sample(name, rgb, points_box(points), points=points)


def test_lengths_are_those_of_a_drawn_face():
    unit = np.hypot(100, 55)  # eye corners 100 apart, the nose's base 55 below their middle
    m = measures(sample(plain_face(opening=12)))
    assert m["mouth_opening"] == pytest.approx(12 / unit) and m["mouth_width"] == pytest.approx(60 / unit)
    assert m["eye_opening"] == pytest.approx(10 / 30) and m["turn"] == pytest.approx(0, abs=1e-9)
    assert m["nose_length"] == pytest.approx(55 / unit) and m["roll"] == pytest.approx(0, abs=1e-9)


@settings(deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(0.6, 1.3), st.floats(-15, 15), st.floats(0, 30))
def test_shape_does_not_depend_on_place_size_turn_or_side(angle, scale, shift, opening):
    points, c, s = plain_face(opening), np.cos(angle), np.sin(angle)
    moved = scale * (points - 200) @ np.array([[c, -s], [s, c]]).T + 200 + shift
    mirrored = ((moved - 200) * (-1, 1) + 200)[LANDMARK_FLIP]
    for name, (_, f) in SHAPE.items():
        if name != "roll":
            assert f(moved) == pytest.approx(f(points), abs=1e-9), name
        assert f(mirrored) == pytest.approx(f(moved), abs=1e-9), name
    assert SHAPE["roll"][1](moved) == pytest.approx(abs(np.degrees(angle)), abs=1e-6)


def test_colours_are_those_of_the_face_alone():
    points = plain_face()
    rgb = np.zeros((400, 400, 3), np.uint8)
    cv2.fillConvexPoly(rgb, cv2.convexHull(np.rint(points).astype(np.int32)), (200, 100, 50))
    m = measures(sample(points, rgb))
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert m["brightness"] == pytest.approx(grey, abs=1) and m["contrast"] <= 1
    assert m["warmth"] == pytest.approx(np.log2(201 / 51), abs=0.05)
    assert m["colourfulness"] == pytest.approx(255 * 0.75, abs=1)
    with pytest.raises(DatasetError, match="68 points"):
        measures(replace(sample(points), points=None))


@dataclass
class Row:
    """Faces whose mouths are open by the numbers given."""

    openings: tuple[float, ...]
    info = SourceInfo("row", points=68, crop_source="box")

    def __len__(self):
        return len(self.openings)

    def __getitem__(self, index):
        return sample(plain_face(self.openings[index]), name=str(self.openings[index]))


def test_a_model_that_sees_half_of_it_has_gain_one_half():
    photographs = Row(tuple(np.linspace(0, 40, 30)))

    predicted = [plain_face(5 + 0.5 * opening) for opening in photographs.openings]
    synthetic = Row(tuple(np.linspace(10, 20, 200)))
    gap = {g.name: g for g in find_gaps(photographs, synthetic, predicted)}["mouth_opening"]
    unit = np.hypot(100, 55)
    assert gap.gain == pytest.approx(0.5) and gap.predicted == pytest.approx(15 / unit)
    assert gap.real[1] == pytest.approx(20 / unit) and gap.synthetic[1] == pytest.approx(15 / unit)
    outside = np.mean([not 10.1 <= o <= 19.9 for o in photographs.openings])
    assert gap.beyond == pytest.approx(outside)
    # Off by |5 - opening / 2| at six of the inner lip's points, half of it at each lip.
    off = np.array([6 * abs(5 - o / 2) / 2 / 51 for o in photographs.openings])
    thirds = [100 * part.mean() / 100 for part in np.array_split(off, 3)]
    assert gap.nme == pytest.approx(thirds)
    row = next(line for line in gap_table([gap]).splitlines() if "mouth_opening" in line)
    assert "| 0.50 |" in row and f"| {100 * outside:.0f} % |" in row


def test_a_constant_offset_is_found_in_turned_and_mirrored_pictures():
    rng = np.random.default_rng(0)
    habit = rng.uniform(-3, 3, (68, 2))  # outward, down
    habit[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66], 0] = 0
    habit = (habit + habit[LANDMARK_FLIP]) / 2
    side = np.sign(plain_face()[:, 0] - 200)
    true, predicted = [], []
    for angle in rng.uniform(-0.5, 0.5, 31):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).T
        true.append(plain_face() @ turn)
        seen = plain_face() - habit * np.c_[side, np.ones(68)]  # eyes are 100 px apart: % are px
        predicted.append((seen + rng.normal(0, 0.3, (68, 2))) @ turn)
    offsets = point_offsets(true, predicted)
    np.testing.assert_allclose(offsets, habit, atol=0.3)
    text = offset_table(offsets)
    assert f"48 ({offsets[48, 0]:.1f}, {offsets[48, 1]:.1f})" in text and "54 (" not in text and "8 (" in text


def test_the_command_names_what_is_missing(tmp_path):
    from synthforge.cli.gaps import gaps

    result = CliRunner().invoke(gaps, ["--data", str(tmp_path)])
    assert result.exit_code and "300-W" in str(result.exception) or ".pts" in str(result.exception)
