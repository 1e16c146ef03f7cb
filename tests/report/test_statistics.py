"""The page's numbers against cameras, heads and pixels of known values."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from synthforge.cameras.orbit import orbit_camera
from synthforge.report.plots import bars, histogram, nice_ticks
from synthforge.report.statistics import Statistics, statistics
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from synthforge.storage.source import Sample
from tests.helpers.fake_source import FakeConfig, FakeSource, fake_frame

N = 7
ANGLES = np.stack([np.linspace(-60, 50, N), np.linspace(-20, 30, N), np.linspace(25, -35, N)], -1)
FIELDS = np.linspace(12, 40, N)


class Orbit(FakeSource):
    """Known cameras; the head turned so that it always faces the camera, upright in the image."""

    def __call__(self, index: int) -> Sample:
        frame = fake_frame(0, index)
        angles = np.radians(ANGLES[index])
        camera = orbit_camera(*angles, 1.0, np.radians(FIELDS[index]), np.zeros(3), (32, 32))
        pose = frame.params.pose.copy()
        facing = Rotation.from_matrix(camera.cam2world[:3, :3] @ np.diag([1, -1, -1]))
        pose[0] = facing.as_rotvec()
        stored = replace(
            camera,
            intrinsics=camera.intrinsics.astype(np.float32),
            cam2world=camera.cam2world.astype(np.float32),
        )
        params = replace(frame.params, camera=stored, pose=pose)
        rows = np.zeros((32, 32), np.uint8)
        rows[: index + 1] = 13
        seen = frame.landmarks_visible.copy()
        seen[0], seen[1:3] = index % 2, 0
        return Sample(replace(frame, params=params, segmentation=rows, landmarks_visible=seen))


@pytest.fixture(scope="module")
def stats(tmp_path_factory: pytest.TempPathFactory) -> Statistics:
    out = tmp_path_factory.mktemp("set") / "x"
    run(Orbit(), FakeConfig(shard_size=4), out, N, workers=0)
    return statistics(DatasetReader(out))


def test_camera_angles_are_those_the_cameras_were_made_with(stats: Statistics) -> None:
    azimuth, elevation, roll, _, field = stats.camera.values()
    np.testing.assert_allclose(np.stack([azimuth, elevation, roll], -1), ANGLES, atol=1e-3)
    np.testing.assert_allclose(field, FIELDS, atol=1e-3)


def test_a_head_facing_the_camera_has_no_angles(stats: Statistics) -> None:
    for angle in list(stats.head.values())[:3]:
        np.testing.assert_allclose(angle, 0, atol=1e-3)
    gaze_yaw, gaze_pitch = list(stats.head.values())[3:5]
    np.testing.assert_allclose([gaze_yaw, gaze_pitch], 0, atol=1e-5)  # the fake looks along -z


def test_class_shares_are_pixel_counts(stats: Statistics) -> None:
    assert stats.class_pixels[13] == pytest.approx(sum(range(1, N + 1)) / (32 * N))
    assert stats.class_pixels.sum() == pytest.approx(1)
    assert (stats.class_images[13], stats.class_images[1], stats.n_images) == (1, 0, N)


def test_visibility_shares(stats: Statistics) -> None:
    np.testing.assert_allclose(stats.visibility[0], [4 / 7, 3 / 7, 0])
    np.testing.assert_allclose(stats.visibility[1], [1, 0, 0])
    np.testing.assert_allclose(stats.visibility[5], [0, 0, 1])


def test_bytes_add_up_to_the_files(stats: Statistics, tmp_path: Path) -> None:
    run(FakeSource(), FakeConfig(), tmp_path / "x", 5, workers=0)
    parts = statistics(DatasetReader(tmp_path / "x")).bytes_by_part
    total = sum(p.stat().st_size for p in (tmp_path / "x/shards").iterdir())
    assert sum(parts.values()) == total and min(parts.values()) > 0


def test_words_are_counted(stats: Statistics) -> None:
    style = [fake_frame(0, i).params.attributes["hair_style"] for i in range(N)]
    assert stats.words["hair_style"] == {k: style.count(k) for k in ("bald", "short", "long")}


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    ticks = nice_ticks(low, low + width)
    assert 2 <= len(ticks) <= 7
    assert low - 1e-6 <= ticks[0] and ticks[-1] <= low + width + 1e-6
    steps = np.diff(ticks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4, atol=1e-8)
    assert float(f"{steps[0]:.1e}".partition("e")[0]) in (1, 2, 5)


@given(arrays(np.float32, st.integers(1, 300), elements=st.floats(-100, 100, width=32)))
def test_histogram_bars_count_every_sample(values: np.ndarray) -> None:
    counts = [int(c) for c in re.findall(r": (\d+)</title>", histogram(values))]
    assert sum(counts) == len(values) if counts else np.ptp(values) <= 1.1e-3


def test_bars_escape_names() -> None:
    assert "<script>" not in bars({"<script>": 1.0})
