"""`Renderer.render` draws what it is asked for, and leaves the rest of the person alone."""

import pickle
import re

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import synthforge
from synthforge.conventions import CLASS_ID
from synthforge.pipeline.source import SceneSource
from synthforge.types import Frame

RIGID = [27, 28, 29, 30, 33, 36, 39, 42, 45]  # nose and corners of the eyes: bone, not muscle
ARRAYS = ("rgb", "segmentation", "depth", "normals", "alpha", "landmarks_2d", "landmarks_3d", "gaze")


@pytest.fixture(scope="module")
def renderer() -> synthforge.Renderer:
    return synthforge.Renderer(resolution=96)


def same(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)


def in_world(frame: Frame) -> np.ndarray:
    cam2world = frame.params.camera.cam2world.astype(float)
    return frame.landmarks_3d @ cam2world[:3, :3].T + cam2world[:3, 3]


def test_without_keywords_it_is_the_sample_that_generate_makes():
    renderer = synthforge.Renderer(resolution=64, min_face_size=0.38, seed=4)
    samples = [SceneSource(renderer.config)(index) for index in range(4)]
    assert any(sample.rejected for sample in samples) and not all(sample.rejected for sample in samples)
    for index, sample in enumerate(samples):
        assert same(renderer.render(index), sample.frame)


def test_the_same_call_gives_the_same_bytes(renderer):
    wanted = dict(age=70, eyeglasses="clear", yaw_deg=20, expression="smile", index=3)
    first = renderer.render(**wanted)
    renderer.render(1)
    assert same(first, renderer.render(**wanted))
    assert same(first, synthforge.Renderer("anthro", "raster", 96, "default", 0).render(**wanted))
    assert not same(first, renderer.render(**wanted | {"index": 4}))


def test_a_pickled_one_draws_the_same(renderer):
    own = synthforge.Renderer(resolution=64, seed=3, device="cpu")
    again = pickle.loads(pickle.dumps(own))
    assert again.config == own.config and same(own.render(2, age=70), again.render(2, age=70))


def test_what_is_asked_for_is_there_and_the_rest_stays(renderer):
    own = renderer.render(7)
    worn, bare = (renderer.render(7, eyeglasses=word) for word in ("clear", "none"))
    assert (worn.segmentation == CLASS_ID["eyeglasses"]).sum() > 20
    assert not (bare.segmentation == CLASS_ID["eyeglasses"]).any()
    assert worn.params.attributes == own.params.attributes | {"eyeglasses": "clear"}
    assert np.array_equal(worn.landmarks_3d, bare.landmarks_3d)
    far = ~cv2.dilate((worn.segmentation_bare > 0).astype(np.uint8), np.ones((9, 9))).astype(bool)
    assert np.abs(worn.rgb[far].astype(int) - bare.rgb[far]).mean() < 1  # exposure moves by a trifle
    masked = renderer.render(7, facewear="surgical_mask", age=np.float32(50), expression="laugh")
    assert (masked.segmentation == CLASS_ID["facewear"]).any()
    assert {"age": 50.0, "expression": "laugh"}.items() <= masked.params.attributes.items()


def test_everything_can_be_asked_for_at_once(renderer):
    drawn = renderer.render(3).params.attributes
    again = renderer.render(9, **drawn)
    assert again.params.attributes == drawn


def test_an_attribute_that_the_configuration_does_not_draw():
    plain = synthforge.Renderer(config="paper", backend="raster", resolution=64)
    assert "headwear" not in plain.render(1).params.attributes
    capped = plain.render(1, headwear="beanie")
    assert capped.params.attributes["headwear"] == "beanie"
    assert (capped.segmentation == CLASS_ID["headwear"]).any()


@pytest.mark.parametrize("name, axis, sign", [("yaw_deg", 1, 1), ("pitch_deg", 0, -1), ("roll_deg", 2, -1)])
def test_the_head_turns_by_the_angle_asked_for(renderer, name, axis, sign):
    still = dict(yaw_deg=0, pitch_deg=0, roll_deg=0, gaze_azimuth_deg=0, gaze_elevation_deg=0)
    before, after = (in_world(renderer.render(2, **still | {name: angle}))[RIGID] for angle in (0, 20))
    turn, _ = Rotation.align_vectors(after - after.mean(0), before - before.mean(0))
    want = np.zeros(3)
    want[axis] = sign * 20
    np.testing.assert_allclose(np.degrees(turn.as_rotvec()), want, atol=0.3)


def test_landmarks_lie_where_opencv_projects_them(renderer):
    frame = renderer.render(5, azimuth_deg=30, elevation_deg=10, camera_roll_deg=15, field_of_view_deg=25)
    k = frame.params.camera.intrinsics.astype(float)
    zero = np.zeros(3)
    want, _ = cv2.projectPoints(frame.landmarks_3d.astype(float), zero, zero, k, None)
    np.testing.assert_allclose(frame.landmarks_2d, want[:, 0], atol=2e-3)
    pixels = synthforge.project(in_world(frame), frame.params.camera)
    np.testing.assert_allclose(pixels[:, :2], want[:, 0], atol=2e-3)
    assert 2 * np.degrees(np.arctan(48 / k[1, 1])) == pytest.approx(25, abs=1e-4)
    back = synthforge.unproject(pixels[:, :2], pixels[:, 2], frame.params.camera)
    np.testing.assert_allclose(back, in_world(frame), atol=1e-6)


def test_a_camera_of_ones_own(renderer):
    face = in_world(renderer.render(6)).mean(0)
    camera = synthforge.orbit_camera(0.5, 0.1, 0.0, 1.2, 0.3, face, (80, 80))
    frame = renderer.render(6, camera=camera)
    assert frame.rgb.shape == (80, 80, 3) and frame.params.camera is camera
    wide = renderer.render(6, camera=synthforge.orbit_camera(0.5, 0.1, 0.0, 1.2, 0.3, face, (80, 120)))
    assert wide.rgb.shape == (80, 120, 3) and wide.picture(labels=True).shape == (80, 5 * 120, 3)
    np.testing.assert_allclose(wide.landmarks_2d, frame.landmarks_2d + (20, 0), atol=1e-3)
    np.testing.assert_allclose(frame.landmarks_2d.mean(0), [40, 40], atol=3)
    aim = face - camera.cam2world[:3, 3]
    np.testing.assert_allclose(np.arctan2(-aim[0], -aim[2]), 0.5, atol=1e-6)


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({"eyeglases": "clear"}, "render: unknown keyword 'eyeglases' (did you mean 'eyeglasses'?)"),
        ({"yaw": 20}, "render: unknown keyword 'yaw' (did you mean 'yaw_deg'?)"),
        (
            {"sex": "woman"},
            "render: sex: unknown value 'woman'; use one of: female, male (did you mean 'female'?)",
        ),
        ({"age": 200}, "render: age: [200, 200] leaves the possible [4, 100]"),
        ({"age": "old"}, "render: age: expected numbers from 4 to 100, got the word 'old'"),
        ({"age": True}, "render: age: expected a number, a word or a distribution, got True"),
        (
            {"age": {"uniform": [20, 30]}},
            "render: age: expected a number or a word, got {'uniform': [20, 30]}",
        ),
        ({"complexion": "pale"}, "render: complexion: unknown value 'pale'; use one of: light, medium, dark"),
        ({"yaw_deg": 120}, "render: yaw_deg: [120, 120] leaves the possible [-90, 90]"),
        (
            {"expression": "smiling"},
            "render: expression: unknown expression 'smiling'; use one of: neutral, smile,",
        ),
        ({"expression": 3}, "render: expression: expected a word, got 3"),
        ({"look_at_jitter": -1}, "render: look_at_jitter: [-1, -1] leaves the possible [-0.2, 0.2]"),
        ({"expression_intensity": 2}, "render: expression_intensity: [2, 2] leaves the possible [0, 1]"),
        ({"gaze_at_camera": "yes"}, "render: gaze_at_camera: expected 0 or 1, got 'yes'"),
        (
            {"distance": 1, "view_height": 0.3},
            "render: view_height: is given beside a distance; leave one out",
        ),
        ({"index": -1}, "render: index: no sample -1; count from 0"),
    ],
)
def test_a_mistake_is_one_line(renderer, wanted, message):
    with pytest.raises(synthforge.SynthforgeError, match=f"^{re.escape(message)}") as error:
        renderer.render(**wanted)
    assert "\n" not in str(error.value)


def test_mistakes_when_it_is_built():
    with pytest.raises(synthforge.SynthforgeError, match="no such file or name: 'defalt'"):
        synthforge.Renderer(config="defalt")
    with pytest.raises(synthforge.SynthforgeError, match="resolution: 5 is not in"):
        synthforge.Renderer(resolution=5)
    with pytest.raises(synthforge.SynthforgeError, match="eyeglasses: .*None"):
        synthforge.Renderer(eyeglasses=None)
    assert synthforge.Renderer(view_height=None, distance=2).config.scene.camera.view_height is None
    with pytest.raises(synthforge.SynthforgeError, match="unknown head 'nobody'"):
        synthforge.Renderer(head="nobody")
