"""Hair on a head of closed form: rooted on the scalp, outside the skin, beside the face."""

import numpy as np
import pytest
import torch

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.generators.geometry.person import Person
from synthforge.generators.hair.scalp import grow_hair
from synthforge.generators.hair.styles import LONG, STYLES, scalp_height
from synthforge.render.rasterize import rasterize
from synthforge.types import SceneParams
from tests.helpers.heads import posed
from tests.helpers.tiny_head import RADII, tiny_head

CAMERA = orbit_camera(0.3, 0.1, 0.0, 1.2, 0.3, np.zeros(3), (64, 64))


def grown(index=0, camera=CAMERA, **attributes):
    head = tiny_head()
    zeros = [np.zeros(n, np.float32) for n in (head.n_shape, head.n_expression)]
    pose = np.zeros((head.n_joints, 3), np.float32)
    params = SceneParams(3, index, *zeros, pose, camera, attributes)
    tensors = (torch.from_numpy(a)[None] for a in (*zeros, pose))
    return grow_hair(Person(head, params, head(*tensors)[0].numpy()))


@pytest.mark.parametrize("style", STYLES)
def test_hair_is_outside_the_skin(style):
    for worn in grown(hair_style=style):
        level = np.linalg.norm(worn.vertices / RADII, axis=1)  # 1 on the ellipsoid
        assert worn.class_name == "hair"
        assert np.isfinite(worn.vertices).all()
        assert np.quantile(level, 0.02) > 0.97
        assert np.allclose(np.linalg.norm(worn.tangent, axis=1), 1, atol=1e-3)
        assert worn.albedo.min() >= 0 and worn.albedo.max() <= 1


@pytest.mark.parametrize("style", [s for s, row in STYLES.items() if row.top > LONG])
def test_long_hair_leaves_the_face_free(style):
    everything = np.concatenate([w.vertices for w in grown(hair_style=style)])
    x, y, z = everything.T
    assert np.mean((np.abs(x) < 0.03) & (y < 0.03) & (z > 0.05)) < 1e-3
    if not STYLES[style].gather and style != "bob":
        assert y.min() < -0.12


def test_long_hair_hangs_instead_of_standing_off_beyond_the_shoulders(any_head):
    """Nothing pushes hair aside where the bust ends."""
    zeros = [np.zeros(n, np.float32) for n in (any_head.n_shape, any_head.n_expression)]
    pose = np.zeros((any_head.n_joints, 3), np.float32)
    params = SceneParams(3, 0, *zeros, pose, CAMERA, {"hair_style": "long"})
    vertices = posed(any_head).astype(np.float32)
    hair = np.concatenate([w.vertices for w in grow_hair(Person(any_head, params, vertices))])
    beside = np.abs(hair[:, 0] - vertices[:, 0].mean())
    ear = np.abs(vertices[any_head.canonical[:, 1] > -0.05, 0] - vertices[:, 0].mean()).max()
    assert np.quantile(beside, 0.99) < ear + 0.075, (np.quantile(beside, 0.99), ear)


def test_a_loose_lock_hangs_before_the_face_and_outside_it():
    lock = grown(hair_style="long", occluder="hair")[-1]
    x, y, z = lock.vertices.T
    assert lock.class_name == "hair"
    assert ((np.abs(x) < 0.05) & (y < 0.05) & (z > 0.05)).sum() > 100
    assert np.quantile(np.linalg.norm(lock.vertices / RADII, axis=1), 0.02) > 0.99


@pytest.mark.parametrize("style", ["short", "long", "afro", "braids"])
def test_coarse_pictures_get_fewer_and_wider_strands_of_the_same_extent(style):
    def drawn(size):
        camera = orbit_camera(0.3, 0.1, 0.0, 1.2, 0.3, np.zeros(3), (size, size))
        look = orbit_camera(0.3, 0.1, 0.0, 1.2, 0.3, np.zeros(3), (256, 256))
        worn = grown(camera=camera, hair_style=style)
        area = sum((np.isfinite(_depth(w, look)) for w in worn), np.zeros((256, 256))) > 0
        return sum(len(w.vertices) for w in worn), area.sum()

    (few, wide), (many, fine) = drawn(128), drawn(512)
    assert few < 0.6 * many
    assert 0.85 < wide / fine < 1.2


def _depth(worn, camera):
    return rasterize(project(worn.vertices, camera), worn.faces, *camera.size).depth


def test_a_lock_that_covers_the_face_is_there_on_every_head():
    for style in ("bald", "buzz", "locs"):
        for headwear in ("none", "headscarf"):
            x, y, z = grown(hair_style=style, headwear=headwear, occluder="hair")[-1].vertices.T
            assert ((np.abs(x) < 0.05) & (y < 0.05) & (z > 0.05)).sum() > 100


def test_a_parting_is_a_thin_line_and_hair_beside_it_does_not_stand_up():
    """Heights over the ellipsoid, across the top of the head; the parting lies within 26 mm of the middle."""
    for index in range(4):
        strands = grown(index, hair_style="long")[1].vertices
        x, y, z = strands.T
        top = (np.abs(z) < 0.012) & (y > 0.06)
        level = (np.linalg.norm(strands / RADII, axis=1) - 1) * RADII[1]
        across = np.arange(-0.042, 0.043, 0.006)
        ridge = np.array([level[top & (np.abs(x - at) < 0.006)].max(initial=0) for at in across])
        assert ridge.min() > 0.001  # no bare stripe
        assert np.abs(np.diff(ridge)).max() < 0.0065  # no step


def test_bald_and_shaven_grow_nothing():
    assert grown(hair_style="bald", facial_hair="none") == []


def test_growth_depends_on_seed_and_index_alone():
    first, again, other = (
        grown(5, hair_style="curly"),
        grown(5, hair_style="curly"),
        grown(6, hair_style="curly"),
    )
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1].vertices, other[1].vertices)


def test_scalp_border_passes_through_the_measured_points():
    """Means of men and women: trichion, temporal peak, low sideburn, lateral nape (m)."""
    points = [
        [0, 0.0915, 0.0748],
        [0.0623, 0.057, 0.0448],
        [0.0675, -0.0128, 0.0135],
        [0.041, -0.070, -0.051],
    ]
    assert np.abs(scalp_height(np.array(points))).max() < 0.012
    assert scalp_height(np.array([[0, 0.129, -0.012]]))[0] > 0.03  # vertex
    assert scalp_height(np.array([[0, 0.041, 0.095]]))[0] < -0.04  # glabella
    mirrored = np.array(points) * [-1, 1, 1]
    assert np.array_equal(scalp_height(np.array(points)), scalp_height(mirrored))
