"""The finished picture: same bytes, right places, sane light."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project, scaled
from synthforge.conventions import CLASS_ID
from synthforge.errors import AssetError
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.generators.raster.develop import develop, shoulder
from synthforge.generators.shading.color import LUMINANCE, srgb_to_linear
from synthforge.heads import load_head
from synthforge.render.interpolate import sample_classes
from synthforge.render.rasterize import rasterize
from synthforge.types import SceneParams

BARE = {"hair_style": "bald", "facial_hair": "none", "eyeglasses": "none", "noise": 0.0, "blur": 0.0}


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


def scene(head, size=96, index=0, gaze=(0.0, 0.0), zoom=0.26, **attributes) -> tuple[SceneParams, np.ndarray]:
    camera = orbit_camera(0.0, 0.0, 0.0, zoom / 0.35, 0.35, np.array([0.0, -0.01, 0.06]), (size, size))
    pose = np.zeros((head.n_joints, 3), np.float32)
    for name in ("left_eye", "right_eye"):
        pose[head.joint_names.index(name)] = [-gaze[1], gaze[0], 0]
    params = SceneParams(
        7, index, np.zeros(head.n_shape, np.float32), np.zeros(head.n_expression, np.float32), pose, camera,
        BARE | attributes,
    )  # fmt: skip
    with torch.no_grad():
        vertices = head(*(torch.as_tensor(x)[None] for x in (params.shape, params.expression, pose)))[
            0
        ].numpy()
    return params, vertices


def classes_of(render, params) -> tuple[np.ndarray, np.ndarray]:
    """Classes and coverage at the renderer's samples."""
    camera = scaled(params.camera, 2)
    fragments = rasterize(project(render.mesh.vertices, camera), render.mesh.faces, *camera.size)
    return sample_classes(render.mesh, fragments), fragments.face_index >= 0


def pure(mask: np.ndarray) -> np.ndarray:
    """Pixels all of whose samples are in the mask."""
    h, w = mask.shape
    return mask.reshape(h // 2, 2, w // 2, 2).all((1, 3))


def test_same_parameters_same_bytes(head):
    params, vertices = scene(head, hair_style="short", noise=0.5, blur=0.3, eyeglasses="clear")
    a = RasterGenerator().render(head, params, vertices)
    b = RasterGenerator().render(load_head("anthro"), params, vertices)
    assert a.rgb.tobytes() == b.rgb.tobytes() and np.array_equal(a.mesh.vertices, b.mesh.vertices)
    other, _ = scene(head, index=1, hair_style="short", noise=0.5, blur=0.3, eyeglasses="clear")
    assert RasterGenerator().render(head, other, vertices).rgb.tobytes() != a.rgb.tobytes()


def test_background_shows_only_where_nothing_covers(head):
    pictures = {}
    for background in ("plain", "outdoor"):
        params, vertices = scene(head, background=background)
        render = RasterGenerator().render(head, params, vertices)
        pictures[background] = render.rgb.astype(int)
    _, covered = classes_of(render, params)
    differ = np.abs(pictures["plain"] - pictures["outdoor"]).max(-1)
    assert (differ[pure(covered)] == 0).all()
    assert np.median(differ[pure(~covered)]) > 5


def test_head_comes_first_in_the_mesh(head):
    params, vertices = scene(head, hair_style="short")
    render = RasterGenerator().render(head, params, vertices)
    assert np.array_equal(render.mesh.vertices[: len(vertices)], render.vertices)
    assert np.array_equal(render.mesh.faces[: len(head.faces)], head.faces)
    worn = set(render.mesh.face_class[len(head.faces) :].tolist())
    assert {CLASS_ID["hair"], CLASS_ID["clothing"]} <= worn


@pytest.mark.parametrize("gaze", [(0.0, 0.0), (0.35, 0.0), (-0.3, 0.1)])
def test_pupil_is_painted_along_the_gaze(head, gaze):
    """Darkest blob in each eye lies where the eye's axis leaves it."""
    params, vertices = scene(
        head, size=512, gaze=gaze, zoom=0.15, iris_color="blue", pupil=0.6, light="indoor"
    )
    render = RasterGenerator().render(head, params, vertices)
    luminance = cv2.GaussianBlur(srgb_to_linear(render.rgb / 255.0) @ LUMINANCE, (0, 0), 3)
    seen, _ = classes_of(render, params)
    for side, sign in (("left", 1), ("right", -1)):
        eye = pure(seen == CLASS_ID[f"{side}_eye"])
        eye = cv2.erode(eye.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        joint = head.joints[head.joint_names.index(f"{side}_eye")].numpy()
        axis = np.array(
            [np.sin(gaze[0]) * np.cos(gaze[1]), np.sin(gaze[1]), np.cos(gaze[0]) * np.cos(gaze[1])]
        )
        wanted = project((joint + 0.0105 * axis)[None], params.camera)[0, :2]
        rows, cols = np.nonzero(eye & (luminance <= np.quantile(luminance[eye], 0.06)))
        at = np.array([np.median(cols) + 0.5, np.median(rows) + 0.5])
        per_mm = params.camera.intrinsics[0, 0] / (0.15 / 0.35 - 0.02) * 1e-3
        assert np.linalg.norm(at - wanted) < 2.5 * per_mm, (side, at, wanted)
        assert sign * (wanted[0] - 256) > 0


def test_painted_features_fall_on_their_classes(head):
    params, vertices = scene(
        head, size=192, hair_color="black", brow_density=0.9, skin_tone=3.0, light="indoor"
    )
    render = RasterGenerator().render(head, params, vertices)
    color = srgb_to_linear(render.rgb / 255.0)
    seen, _ = classes_of(render, params)

    def mean(*names: str) -> np.ndarray:
        return color[pure(np.isin(seen, [CLASS_ID[n] for n in names]))].mean(0)

    skin, brow, lips = mean("skin"), mean("left_brow", "right_brow"), mean("upper_lip", "lower_lip")
    assert brow @ LUMINANCE < 0.6 * (skin @ LUMINANCE)
    assert lips[0] / lips[1] > 1.15 * skin[0] / skin[1]  # redder than skin


def test_skin_darkens_with_tone_under_every_light(head):
    for light in ("day", "evening", "night", "studio", "indoor"):
        means = []
        for tone in (1.0, 5.0, 10.0):
            params, vertices = scene(head, skin_tone=tone, light=light)
            render = RasterGenerator().render(head, params, vertices)
            seen, _ = classes_of(render, params)
            means.append(
                srgb_to_linear(render.rgb[pure(seen == CLASS_ID["skin"])] / 255.0).mean(0) @ LUMINANCE
            )
        assert means[0] > 1.15 * means[1] > 1.15 * 1.15 * means[2], (light, means)
        assert means[0] > 0.03 and means[2] < 0.4


def test_exposure_brightens(head):
    pictures = [
        RasterGenerator().render(head, *scene(head, exposure=ev)).rgb.mean() for ev in (-1.0, 0.0, 1.0)
    ]
    assert pictures[0] < pictures[1] < pictures[2]


def test_film_curve_is_monotone_and_bounded():
    y = shoulder(np.linspace(0, 50, 2000))
    assert (np.diff(y) > 0).all() and y[0] == 0 and y[-1] < 1


def test_development_keeps_grey_grey_and_warms_as_told():
    grey = np.full((16, 16, 3), 0.2, np.float32)
    rng = np.random.default_rng(0)
    neutral, warm, cold = (develop(grey, b, 0.0, 0.0, rng)[0, 0].astype(int) for b in (0.0, 1.0, -1.0))
    assert np.ptp(neutral) == 0
    assert warm[0] > warm[2] + 10 and cold[2] > cold[0] + 10
    noisy = develop(np.full((64, 64, 3), 0.2, np.float32), 0.0, 0.0, 1.0, rng)
    assert 1 < noisy.std() < 25


def test_users_backgrounds_are_used(head, tmp_path):
    cv2.imwrite(str(tmp_path / "green.png"), np.full((80, 120, 3), (0, 200, 0), np.uint8))
    params, vertices = scene(head)
    render = RasterGenerator(backgrounds=tmp_path).render(head, params, vertices)
    _, covered = classes_of(render, params)
    behind = render.rgb[pure(~covered)].mean(0)
    assert behind[1] > 100 and behind[0] < 20 and behind[2] < 20


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(AssetError, match="no images found"):
        RasterGenerator(backgrounds=tmp_path)
    with pytest.raises(AssetError, match="missing_folder"):
        RasterGenerator(environments=tmp_path / "missing_folder")


def test_all_settings_give_finite_light(head):
    """A NaN or infinity would fail the conversion to bytes."""
    generator = RasterGenerator()
    with np.errstate(invalid="raise", divide="raise", over="raise"):
        for index, light in enumerate(("day", "evening", "night", "studio", "indoor")):
            attributes = {
                "makeup": 1.0,
                "lip_color": 1.0,
                "freckles": 1.0,
                "age": 80.0,
                "noise": 1.0,
                "blur": 1.0,
            }
            beard = ("none", "stubble", "moustache", "goatee", "full")[index]
            params, vertices = scene(head, index=index, light=light, facial_hair=beard, **attributes)
            rgb = generator.render(head, params, vertices).rgb
            assert 5 < rgb.mean() < 245 and rgb.std() > 8, light


def test_any_size_and_an_empty_view(head):
    params, vertices = scene(head)
    away = orbit_camera(0.0, 0.0, 0.0, 1.0, 0.3, np.array([5.0, 0.0, 0.0]), (40, 56))
    face = orbit_camera(0.4, 0.1, 0.2, 1.0, 0.3, np.array([0.0, 0.0, 0.05]), (40, 56))
    for factor in (1, 3):
        generator = RasterGenerator(supersample=factor)
        seen = [
            generator.render(head, dataclasses.replace(params, camera=c), vertices).rgb for c in (away, face)
        ]
        assert all(rgb.shape == (40, 56, 3) for rgb in seen)
        assert not np.array_equal(seen[0], seen[1])
