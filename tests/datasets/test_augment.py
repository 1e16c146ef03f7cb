"""Every preset moves points, classes, depth, normals and visibility exactly as it moves the pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.config import from_dict, load_config, to_dict
from synthforge.conventions import LANDMARK_FLIP
from synthforge.datasets import geometry
from synthforge.datasets.augment import AUGMENTATIONS, AugmentConfig, random_matrix
from synthforge.datasets.backgrounds import background, made_up, swap_background
from synthforge.datasets.photometric import _ORDER, PhotometricConfig, photometric
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import SourceInfo
from synthforge.datasets.views import Views
from synthforge.errors import ConfigError
from synthforge.training.multitask import TrainConfig
from tests.datasets.test_geometry import gaussian

SIDE = 128
CORNERS = st.lists(st.floats(-0.12, 0.12), min_size=8, max_size=8).map(lambda v: np.array(v).reshape(4, 2))
MAPS = st.builds(
    lambda corners, scale, rotation, mirror: geometry.compose(
        geometry.tilt_matrix(corners, SIDE),
        geometry.crop_matrix((30.0, 25.0, 70.0, 75.0), SIDE, scale, rotation, mirror=mirror),
    ),
    CORNERS,
    st.floats(1.2, 2.0),
    st.floats(-0.6, 0.6),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(MAPS, st.tuples(st.floats(40, 60), st.floats(40, 60)))
def test_points_follow_the_pixels_through_perspective(matrix, dot):
    image = gaussian(np.array([dot]), 100, 1.5)[0]
    warped = geometry.warp_image(image, matrix, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    found = np.array([(warped * columns).sum(), (warped * rows).sum()]) / warped.sum()
    moved = geometry.warp_points(np.array([dot]), matrix)
    np.testing.assert_allclose(found, moved[0], atol=0.15)  # a blob in perspective is not quite a blob
    np.testing.assert_allclose(geometry.warp_points(moved, geometry.invert(matrix))[0], dot, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(MAPS)
def test_the_derivative_is_the_limit_of_differences(matrix):
    at, step = np.array([[45.0, 52.0], [60.0, 40.0]]), 1e-5
    for axis in range(2):
        delta = step * np.eye(2)[axis]
        slope = (geometry.warp_points(at + delta, matrix) - geometry.warp_points(at - delta, matrix)) / (
            2 * step
        )
        np.testing.assert_allclose(geometry.jacobian(matrix, at)[..., axis], slope, rtol=1e-5, atol=1e-7)


def bowl(points: np.ndarray, matrix: np.ndarray | None = None) -> np.ndarray:
    """Depth (in pixels) of a bowl of radius 60 about (50, 50), at points of the image or of a crop of it."""
    if matrix is not None:
        points = geometry.warp_points(points.reshape(-1, 2), geometry.invert(matrix)).reshape(points.shape)
    return 90 - np.sqrt(np.maximum(60**2 - np.square(points - 50).sum(-1), 1.0))


@settings(max_examples=25, deadline=None)
@given(st.floats(-3.0, 3.0), st.floats(1.2, 1.8), st.booleans(), st.floats(-0.1, 0.1), CORNERS, st.booleans())
def test_normals_are_those_of_the_warped_surface(rotation, scale, mirror, shear, corners, tilted):
    matrix = geometry.crop_matrix((20.0, 20.0, 80.0, 80.0), 64, scale, rotation, shear=shear, mirror=mirror)
    if tilted:
        matrix = geometry.compose(geometry.tilt_matrix(0.5 * corners, 64), matrix)
    grid = np.stack(np.meshgrid(np.arange(100) + 0.5, np.arange(100) + 0.5), -1)
    out = np.square(grid - 50).sum(-1) > 45**2
    surface = np.where(out[..., None], 0, np.dstack([grid - 50, bowl(grid) - 90]) / 60)
    normals = geometry.warp_normals(surface.astype(np.float32), matrix, 64)
    seen = (normals != 0).any(2)
    crop = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), -1)
    # Independent truth: finite differences of depth in the crop, depth scaled as lengths in the picture are.
    zoom = np.sqrt(np.abs(np.linalg.det(geometry.jacobian(geometry.invert(matrix), crop))))
    h = 1e-3
    dx, dy = (
        (bowl(crop + h * np.eye(2)[k], matrix) - bowl(crop - h * np.eye(2)[k], matrix)) / (2 * h * zoom)
        for k in range(2)
    )
    expected = np.dstack([dx, dy, -np.ones_like(dx)])
    expected /= np.linalg.norm(expected, axis=2, keepdims=True)
    angle = np.rad2deg(np.arccos(np.clip((normals * expected).sum(2)[seen], -1, 1)))
    assert seen.mean() > 0.2 and np.percentile(angle, 95) < 3.0


def test_celeba_crops_are_upright_and_hold_the_face():
    rng = np.random.default_rng(0)
    face = np.zeros((68, 2))
    face[36:42], face[42:48], face[48], face[54] = (-30, 0), (30, 0), (-20, 60), (20, 60)
    for _ in range(10):
        angle, zoom, shift = rng.uniform(-1, 1), rng.uniform(0.5, 2), rng.uniform(100, 200, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = zoom * face @ turn.T + shift
        moved = geometry.warp_points(points, geometry.celeba_matrix(points, 100))
        # Side 4 x the eyes' distance (240) against 3.6 x 60: 240. Centre: 6 below the eyes.
        np.testing.assert_allclose(moved[36], [50 - 30 / 2.4, 50 - 6 / 2.4], atol=1e-6)
        np.testing.assert_allclose(moved[54], [50 + 20 / 2.4, 50 + 54 / 2.4], atol=1e-6)


class Painted:
    """Point i lies on a pixel block of colour, class and depth i; odd points are occluded."""

    info = SourceInfo("painted", points=68, depth="metric", crop_source="box", crop_scale=1.0)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        points = 10 + np.array([[(i % 9) * 20, (i // 9) * 20] for i in range(68)], float) + 10
        ids = np.full((200, 200), 200, np.uint8)
        for i, (x, y) in enumerate(points.astype(int)):
            ids[y - 8 : y + 8, x - 8 : x + 8] = i
        visible = np.where(np.arange(68) % 2, 1, 2).astype(np.uint8)
        normals = np.zeros((200, 200, 3), np.float32)
        normals[..., 0] = 0.6
        normals[..., 2] = -0.8
        return Sample(
            "0", cv2.merge([ids] * 3), (0.0, 0.0, 200.0, 200.0), points, ids, (ids + 1).astype(np.float32),
            visible=visible, alpha=np.full((200, 200), 255, np.uint8), normals=normals,
        )  # fmt: skip


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_all_labels_of_a_view_agree(name):
    config = from_dict(AugmentConfig, to_dict(AUGMENTATIONS[name]) | {"photometric": {"amount": 0.0}}, "t")
    mirrored = 0
    for number in range(12):
        view = Views(Painted(), 160, 1, config, seed=5)[number, 0]
        points, visible = view["points"].numpy() * 160, view["visible"].numpy()
        inside = view["point_weight"].numpy() > 0
        target, depth = view["target"].numpy(), view["depth"].numpy()
        x, y = points[inside].astype(int).T
        # The class there tells which point it was before a mirror changed the order.
        here = target[y, x]
        was = np.where(here == 255, 255, here)
        straight = (was == np.flatnonzero(inside)).mean()
        swapped = (was == LANDMARK_FLIP[inside]).mean()
        assert max(straight, swapped) > 0.9
        mirrored += swapped > straight
        original = LANDMARK_FLIP if swapped > straight else np.arange(68)
        np.testing.assert_array_equal(visible[inside], np.where(original % 2, 1, 2)[inside])
        assert (visible[~inside] == 0).all()
        same = np.isfinite(depth[y, x]) & (was < 68)
        np.testing.assert_allclose(depth[y, x][same], was[same] + 1.0, atol=0.5)
        normal = view["normals"].numpy()[:, 80, 80]
        assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-4) and normal[2] < -0.3
    assert (mirrored > 0) == (config.mirror >= 0.5) or config.mirror == 0.1


def test_jitter_off_is_the_plain_crop_and_normal_spread_has_the_stated_width():
    sample = Sample("s", np.zeros((100, 100, 3), np.uint8), (20.0, 20.0, 80.0, 80.0))
    plain = geometry.crop_matrix(sample.box, 64, 1.3)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(random_matrix(sample, 64, AUGMENTATIONS["none"], rng, 1.3), plain, atol=1e-9)
    spread = AugmentConfig(rotation=18.0, spread="normal", wide=0.0, mirror=0.0, shear=0.0, scale=(0.9, 1.1))
    drawn = [random_matrix(sample, 64, spread, rng, 1.3)[:, :2] for _ in range(3000)]
    angles = np.rad2deg([np.arctan2(m[1, 0], m[0, 0]) for m in drawn])
    scales = [np.sqrt(np.linalg.det(plain[:, :2]) / np.linalg.det(m)) for m in drawn]
    assert abs(angles.std() - 18) < 1 and abs(angles.mean()) < 1.5
    assert abs(np.std(scales) - 0.1) < 0.01 and abs(np.mean(scales) - 1) < 0.01


@pytest.mark.parametrize("name", sorted(_ORDER))
def test_each_operation_changes_the_picture_and_not_its_form(name):
    rgb = made_up(64, np.random.default_rng(1))
    off = {n: 0.0 for n in _ORDER}
    config = PhotometricConfig(**off | {"amount": 1.0, name: 1.0})
    changed = photometric(rgb, config, np.random.default_rng(2))
    assert changed.shape == rgb.shape and changed.dtype == np.uint8 and not np.array_equal(changed, rgb)
    np.testing.assert_array_equal(changed, photometric(rgb, config, np.random.default_rng(2)))
    np.testing.assert_array_equal(photometric(rgb, PhotometricConfig(**off), np.random.default_rng(2)), rgb)


def test_another_background_stands_where_the_old_one_did_and_shines_through_alike():
    rng = np.random.default_rng(0)
    new = made_up(64, rng)
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:, 20:44], alpha[:, 44:48] = 255, 128
    head, old = np.array([200.0, 150, 120]), np.array([10.0, 200, 30])
    mixed = lambda b: (alpha[..., None] / 255 * head + (1 - alpha[..., None] / 255) * b).round()  # noqa: E731
    swapped = swap_background(mixed(old).astype(np.uint8), alpha, new)
    np.testing.assert_allclose(swapped.astype(float), mixed(new.astype(float)), atol=2)


def test_backgrounds_come_from_a_folder(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 60, 3), (0, 0, 250), np.uint8))
    cut = background(32, np.random.default_rng(0), str(tmp_path))
    assert cut.shape == (32, 32, 3) and (cut == (250, 0, 0)).all()
    with pytest.raises(ConfigError, match="no picture"):
        background(32, np.random.default_rng(0), str(tmp_path / "none"))


def test_presets_by_name_and_with_changes():
    config = from_dict(TrainConfig, {"augment": "datagen"}, "t")
    assert config.augment == AUGMENTATIONS["datagen"]
    changed = from_dict(
        TrainConfig, {"augment": {"preset": "datagen", "photometric": {"fog": 0.5}}}, "t"
    ).augment
    assert changed.photometric.fog == 0.5 and changed.photometric.rain == 0.1 and changed.celeba == 0.3
    assert from_dict(TrainConfig, to_dict(config), "t") == config


@pytest.mark.parametrize(
    "wrong",
    [
        {"mirror": 1.5},
        {"scale": [1.2, 0.9]},
        {"tilt": 0.9},
        {"photometric": {"fog": -1.0}},
        {"photometric": {"jpeg_quality": [90, 20]}},
        {"photometric": {"gamma_span": 1.0}},
        {"preset": "nonesuch"},
        "nonesuch",
        {"sepia": 1.0},
        7,
    ],
)
def test_what_no_crop_can_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        from_dict(TrainConfig, {"augment": wrong}, "t")


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ("augment: datagen", "{mirror: 0.3, photometric: {grey: 0.6}}",
         "{preset: datagen, mirror: 0.3, photometric: {grey: 0.6}}"),
        ("augment: {preset: weak, shift: 0.2}", "{mirror: 0.3}", "{preset: weak, shift: 0.2, mirror: 0.3}"),
        ("augment: {shift: 0.2}", "{preset: strong, mirror: 0.3}", "{preset: strong, mirror: 0.3}"),
        ("augment: {shift: 0.2}", "strong", "strong"),
        ("half: true", "{mirror: 0.3}", "{mirror: 0.3}"),
    ],
)  # fmt: skip
def test_augmentation_over_a_base(tmp_path, below, above, expected):
    (tmp_path / "below.yaml").write_text(below)
    (tmp_path / "above.yaml").write_text(f"base: below.yaml\naugment: {above}")
    (tmp_path / "expected.yaml").write_text(f"augment: {expected}")
    found = load_config(TrainConfig, tmp_path / "above.yaml").augment
    assert found == load_config(TrainConfig, tmp_path / "expected.yaml").augment
