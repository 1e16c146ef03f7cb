"""Spectacle lenses: what they leave alone, what they dim, what they mirror, how they are labelled."""

import numpy as np
import pytest
import torch

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.conventions import CLASS_ID
from synthforge.generators.accessories.glasses import spectacles
from synthforge.generators.accessories.lenses import chalk_facing, see_through
from synthforge.generators.geometry.person import Person
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.generators.shading.light import ENV_SIZE, Lamp, Lighting
from synthforge.heads import load_head
from synthforge.render.rasterize import rasterize
from synthforge.types import SceneParams

SIZE = 160
CAMERA = orbit_camera(0.15, 0.05, 0.0, 0.6, 0.3, np.array([0.0, 0.03, 0.08]), (SIZE, SIZE))
DARK = Lighting(np.zeros((*ENV_SIZE, 3), np.float32), ())
FREE = np.full(SIZE * SIZE * 4, np.inf, np.float32)


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


def worn(head, kind="clear"):
    zero = (np.zeros(n, np.float32) for n in (head.n_shape, head.n_expression))
    pose = np.zeros((head.n_joints, 3), np.float32)
    params = SceneParams(5, 0, *zero, pose, CAMERA, {"eyeglasses": kind})
    return spectacles(Person(head, params, head.vertices.numpy()))[1]


def through(image, lenses, lighting=DARK, depth=FREE):
    return see_through(image, lenses, CAMERA, depth, 2, lighting, np.ones(3, np.float32))


def inside_of(lenses) -> np.ndarray:
    """Pixels wholly within a lens."""
    points = project(lenses.surface.vertices.astype(float), CAMERA)
    points[:, :2] *= 2
    hit = rasterize(points, lenses.surface.faces, 2 * SIZE, 2 * SIZE).face_index >= 0
    return hit.reshape(SIZE, 2, SIZE, 2).all((1, 3))


def test_the_eye_is_dimmed_where_it_is_and_the_rim_is_bent(head):
    """Only the outer fifth of a lens moves what is seen through it."""
    lenses = worn(head)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = np.stack([np.sin(x / 3), np.cos(y / 3), np.sin((x + y) / 5)], -1).astype(np.float32) * 0.4 + 0.5
    got, inside = through(image, lenses), inside_of(lenses)
    outside = ~(np.abs(got - image).max(-1) > 0)
    assert (got[outside] == image[outside]).all() and outside.mean() > 0.4 and inside.sum() > 500
    eyes = head.landmarks(head.vertices.numpy())[36:48].astype(float)
    at = np.floor(project(eyes, CAMERA)[:, :2]).astype(int)
    ratio = got[at[:, 1], at[:, 0]] / image[at[:, 1], at[:, 0]]
    np.testing.assert_allclose(ratio, ratio.mean(), atol=5e-3)  # dimmed alike, not moved
    assert 0.9 < ratio.mean() < 0.98
    moved = np.abs(got / ratio.mean() - image).max(-1)[inside]
    assert moved.max() > 0.02 and np.median(moved) < 0.01


def test_a_uniform_room_is_mirrored_as_fresnel_has_it(head):
    room = Lighting(np.ones((*ENV_SIZE, 3), np.float32), ())
    for kind, least in (("clear", 0.008), ("sunglasses", 0.02)):
        lenses = worn(head, kind)
        got = through(np.zeros((SIZE, SIZE, 3), np.float32), lenses, room)[inside_of(lenses)]
        assert least - 1e-3 <= got.min() and got.max() <= 0.2 + 1e-3
        assert np.ptp(got, axis=-1).max() < 1e-4 and np.quantile(got, 0.2) < 1.6 * least


def test_what_is_in_front_hides_the_lens(head):
    image = np.random.default_rng(0).random((SIZE, SIZE, 3)).astype(np.float32)
    got = through(image, worn(head, "sunglasses"), depth=np.full_like(FREE, 0.1))
    np.testing.assert_array_equal(got, image)


def test_chalk_sends_back_what_falls_on_it():
    toward = np.array([0.0, 0.0, 1.0])
    lamp = Lamp(np.array([0.0, 0.6, 0.8], np.float32), np.array([1.0, 2.0, 3.0], np.float32), 0.01)
    lighting = Lighting(np.full((*ENV_SIZE, 3), 0.5, np.float32), (lamp,))
    want = 0.5 + 0.8 * np.array([1.0, 2.0, 3.0]) / np.pi
    np.testing.assert_allclose(chalk_facing(lighting, toward)[0], want, atol=2e-3)


def test_dark_lenses_are_labelled_and_clear_and_tinted_ones_are_not(head):
    found = {}
    for kind in ("clear", "tinted", "sunglasses"):
        zero = (np.zeros(n, np.float32) for n in (head.n_shape, head.n_expression))
        pose = np.zeros((head.n_joints, 3), np.float32)
        params = SceneParams(1, 2, *zero, pose, CAMERA, {"eyeglasses": kind, "hair_style": "bald"})
        batch = (torch.from_numpy(a)[None] for a in (params.shape, params.expression, pose))
        with torch.no_grad():
            vertices = head(*batch)[0].numpy()
        render = RasterGenerator().render(head, params, vertices)
        faces = render.mesh.face_class == CLASS_ID["eyeglasses"]
        found[kind] = faces.sum(), render.rgb
    lens = len(worn(head).surface.faces)
    assert found["clear"][0] == found["tinted"][0] == found["sunglasses"][0] - lens
    light = [float(rgb[inside_of(worn(head))].mean()) for _, rgb in found.values()]
    assert light[0] > light[1] > light[2]
