"""The released code's way of scoring, against what it is said to do."""

import numpy as np
import pytest

from synthforge.conventions import OURS, ClassSchema
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import SourceInfo
from synthforge.errors import ConfigError
from synthforge.evaluation.protocols import SIDE, under_protocol

NONE = ClassSchema()


class Faces:
    """One tilted face; with or without classes."""

    def __init__(self, schema=NONE, angle: float = 0.4):
        self.info, self.angle = SourceInfo("faces", schema, 68, crop_source="box", crop_scale=1.25), angle

    def __len__(self):
        return 1

    def __getitem__(self, index):
        rng = np.random.default_rng(0)
        upright = rng.uniform(-30, 30, (68, 2))
        upright[36:42], upright[42:48] = upright[36:42] * 0.1 - [20, 5], upright[42:48] * 0.1 + [20, -5]
        upright[42:48, 1] += upright[36:42, 1].mean() - upright[42:48, 1].mean()
        c, s = np.cos(self.angle), np.sin(self.angle)
        points = upright @ np.array([[c, s], [-s, c]]) + [100, 80]
        target = np.zeros((160, 200), np.uint8)
        target[50:90, 70:130] = 1
        rgb = rng.integers(0, 256, (160, 200, 3), np.uint8)
        box = (70.0, 50.0, 130.0, 110.0)
        return Sample("a", rgb, box, points, target if self.info.schema else None)


def test_standard_leaves_the_data_set_as_it_is_and_an_unknown_protocol_is_refused():
    source = Faces()
    assert under_protocol(source, "standard") is source
    with pytest.raises(ConfigError, match="standard, synthforge"):
        under_protocol(source, "mine")


@pytest.mark.parametrize("angle", [-0.9, 0.0, 0.4])
def test_landmarks_are_turned_level_and_centred_by_their_own_annotation(angle):
    source = Faces(angle=angle)
    shown = under_protocol(source, "synthforge")
    sample, true = shown[0], source[0].points
    assert sample.rgb.shape == (SIDE, SIDE, 3) and sample.box == (0, 0, SIDE, SIDE)
    eyes = sample.points[42:48].mean(0) - sample.points[36:42].mean(0)
    assert eyes[1] == pytest.approx(0, abs=1e-6) and eyes[0] > 0
    low, high = sample.points.min(0), sample.points.max(0)
    np.testing.assert_allclose((low + high) / 2, SIDE / 2, atol=1e-6)
    assert (high - low).max() == pytest.approx(SIDE / source.info.crop_scale)
    # A similarity: NME is that of the photograph.
    d, e = (
        np.linalg.norm(true[:, None] - true, axis=-1),
        np.linalg.norm(sample.points[:, None] - sample.points, axis=-1),
    )
    np.testing.assert_allclose(e / e[36, 45], d / d[36, 45], rtol=1e-6, atol=1e-9)
    info = shown.info
    assert info.crop_scale == 1 and "256x256" in info.crop_source and "level" in info.crop_source
    assert len(shown) == 1 and info.name == "faces" and info.tasks == ("points",)


def test_classes_are_scored_on_the_box_of_the_true_mask_and_points_beyond_it_are_clamped():
    source = Faces(OURS)
    sample = under_protocol(source, "synthforge")[0]
    assert sample.target.shape == (SIDE, SIDE)
    inside = sample.target == 1  # 60 x 40 pixels: the full width, two thirds of the height
    assert inside.mean() == pytest.approx(40 / 60, abs=0.01) and inside[:, [0, -1]].any(0).all()
    zoom = SIDE / 60
    want = np.clip((source[0].points - [100, 70]) * zoom + SIDE / 2, 0, SIDE)
    np.testing.assert_allclose(sample.points, want, atol=1e-6)
    assert ((sample.points == 0) | (sample.points == SIDE)).any()  # as the released labels do
