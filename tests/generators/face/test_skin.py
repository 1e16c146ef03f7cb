"""Skin tone against measured ranges; painted regions where they belong."""

import numpy as np
import torch

from synthforge.cameras.orbit import orbit_camera
from synthforge.config import config_path, load_config
from synthforge.generators.face.regions import FaceRegions, brow_place, region_fields
from synthforge.generators.face.skin import brow_weight
from synthforge.generators.geometry.meshes import nearest_on_polyline
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.generators.shading.color import LUMINANCE, lab_to_linear, linear_to_srgb, srgb_to_linear
from synthforge.generators.shading.pigment import skin_base
from synthforge.heads import load_head
from synthforge.pipeline.config import GenerateConfig
from synthforge.types import SceneParams


def lab(linear: np.ndarray) -> np.ndarray:
    """CIELAB by OpenCV, as an outside reference."""
    import cv2

    srgb = linear_to_srgb(np.asarray(linear, np.float64)).astype(np.float32)
    return cv2.cvtColor(srgb.reshape(1, -1, 3), cv2.COLOR_RGB2LAB)[0]


def test_srgb_and_lab_agree_with_opencv():
    want = np.array([[62.0, 12.0, 16.0], [35.0, 11.0, 14.0], [90.0, 2.0, 5.0]])
    assert np.allclose(lab(lab_to_linear(want)), want, atol=0.3)
    x = np.linspace(0, 1, 50)
    assert np.allclose(srgb_to_linear(linear_to_srgb(x)), x, atol=1e-6)


def test_tone_darkens_along_the_monk_scale_within_measured_ranges():
    tones = np.linspace(1, 10, 37)
    readings = lab(np.array([skin_base(t, 0.0) for t in tones]))
    assert (np.diff(readings[:, 0]) < 0).all()
    # spectrophotometer ranges over populations: L* 25-72, a* 8-14, b* 9-21
    assert readings[:, 0].max() < 73 and readings[:, 0].min() > 24
    assert 8 <= readings[:, 1].min() and readings[:, 1].max() <= 14
    assert 9 <= readings[:, 2].min() and readings[:, 2].max() <= 21.5
    luminance = np.array([skin_base(t, 0.0) @ LUMINANCE for t in (2, 5.5, 9)])
    assert 0.33 < luminance[0] < 0.45 and 0.18 < luminance[1] < 0.3 and 0.05 < luminance[2] < 0.12


def test_hue_turns_from_yellow_to_red():
    yellow, red = lab(np.array([skin_base(4, -1.0), skin_base(4, 1.0)]))
    assert red[1] > yellow[1] and red[2] < yellow[2] and abs(red[0] - yellow[0]) < 0.5


def test_regions_lie_at_their_named_points():
    """Points of published anthropometry (mm) and the region that must be strong there."""
    places = {
        "nose_tip": (0, -11.5, 118.5),
        "chin": (0, -73.5, 98),
        "ear": (87, 4.5, -29),
        "lid": (32.5, 28, 84.5),
        "forehead": (0, 71, 89),
        "moustache": (12, -33, 102),
        "goatee": (0, -73.5, 98),
        "beard": (50, -60, 45),
        "cheek": (41.5, -12, 83.5),
        "trough": (22, 11.5, 84),
        "nostril": (8.5, -20, 103),
    }
    fields = region_fields(np.array(list(places.values()), float))
    for row, name in enumerate(places):
        assert fields[name][row] > 0.5, name
    bare = region_fields(np.array([[0, 71, 89], [31, 23.5, 84], [0, 131, -13], [0, -50, 103.0]]))
    for name in ("moustache", "goatee", "beard"):
        assert bare[name].max() < 0.25, name  # forehead, eye, vertex, lips


def test_regions_are_alike_on_both_sides():
    p = np.random.default_rng(0).uniform(-90, 90, (200, 3))
    a, b = region_fields(p), region_fields(p * [-1, 1, 1])
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_distance_to_a_polyline():
    line = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0]], np.float32)
    points = np.array([[1, 1, 0], [2, 1, 3], [-3, 4, 0]], np.float32)
    distance, share = nearest_on_polyline(points, line)
    assert np.allclose(distance, [1, 3, 5]) and np.allclose(share, [0.25, 0.75, 0])


def test_the_default_mix_covers_the_monk_scale_evenly_and_pairs_eyes_with_it():
    attributes = load_config(GenerateConfig, config_path("generate", "default")).scene.attributes
    rng, tones, blue = np.random.default_rng(0), [], []
    for _ in range(4000):
        drawn = {}
        for name in ("complexion", "skin_tone", "iris_color"):
            drawn[name] = attributes[name].sample(rng, drawn)
        tones.append(drawn["skin_tone"])
        blue.append(drawn["iris_color"] == "blue")
    share = np.histogram(tones, 9, (1, 10))[0] / len(tones)
    assert np.abs(share - 1 / 9).max() < 4 * np.sqrt(1 / 9 * 8 / 9 / len(tones))  # four deviations
    tones, blue = np.array(tones), np.array(blue)
    assert blue[tones < 5.5].mean() > 0.15 and blue[tones > 7.5].mean() == 0


def test_brow_borders_are_those_of_the_landmarks_and_thin_brows_keep_the_upper_one():
    head = load_head("anthro")
    points = head.landmarks(head.canonical)[17:27]
    _, across = brow_place(
        head.derived(FaceRegions.of), points[[1, 2, 3, 6, 7, 8]]
    )  # ends have hardly any height
    assert (across > 0.5).all() and (across < 1.4).all()
    height = np.linspace(-0.2, 1.2, 141)
    middle = np.full_like(height, 0.5)
    for thickness in (0.4, 1.0, 2.0):
        weight = brow_weight(middle, height, thickness)
        assert 0.85 < height[weight > 0.5].max() < 1 and weight[height >= 1].max() < 1e-6
    spread = [(brow_weight(middle, height, t) > 0.5).sum() for t in (0.3, 0.6, 1.0)]
    assert spread == sorted(spread) and spread[0] < spread[2]


def test_sweat_shines_and_make_up_shows():
    head = load_head("anthro")
    camera = orbit_camera(0.0, 0.0, 0.0, 0.7, 0.35, np.array([0.0, -0.01, 0.06]), (96, 96))
    zeros = [np.zeros(n, np.float32) for n in (head.n_shape, head.n_expression)]
    pose = np.zeros((head.n_joints, 3), np.float32)
    with torch.no_grad():
        vertices = head(*(torch.as_tensor(a)[None] for a in (*zeros, pose)))[0].numpy()

    def picture(**attributes) -> np.ndarray:
        look = {"hair_style": "bald", "light": "studio", "skin_tone": 6.0} | attributes
        params = SceneParams(1, 4, *zeros, pose, camera, look)
        return RasterGenerator().render(head, params, vertices).rgb.astype(float)

    plain = picture()
    brighter = picture(sweat=1.0) - plain
    assert brighter.max() > 15 and abs(np.median(brighter)) < 2  # highlights, not a lighter skin
    for kind in ({"makeup": 1.0}, {"lip_color": 1.0}):
        assert np.abs(picture(**kind) - plain).max() > 25, kind
