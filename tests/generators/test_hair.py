"""Hair on a head of closed form: rooted on the scalp, outside the skin, beside the face."""

import numpy as np
import pytest
import torch

from synthforge.conventions import CLASS_ID
from synthforge.generators.hair import STYLES, beard_density, grow_hair, hair_color, scalp_height
from synthforge.scene.cameras import orbit_camera
from synthforge.types import SceneParams
from tests.helpers.tiny_head import RADII, tiny_head

CAMERA = orbit_camera(0.3, 0.1, 0.0, 1.2, 0.3, np.zeros(3), (64, 64))


def grown(index=0, **attributes):
    head = tiny_head()
    zeros = [np.zeros(n, np.float32) for n in (head.n_shape, head.n_expression)]
    pose = np.zeros((head.n_joints, 3), np.float32)
    params = SceneParams(3, index, *zeros, pose, CAMERA, attributes)
    tensors = (torch.from_numpy(a)[None] for a in (*zeros, pose))
    return grow_hair(head, params, head(*tensors)[0].numpy())


@pytest.mark.parametrize("style", STYLES)
def test_hair_is_outside_the_skin(style):
    for worn in grown(hair_style=style):
        level = np.linalg.norm(worn.vertices / RADII, axis=1)  # 1 on the ellipsoid
        assert worn.class_id == CLASS_ID["hair"]
        assert np.isfinite(worn.vertices).all()
        assert np.quantile(level, 0.02) > 0.97
        assert np.allclose(np.linalg.norm(worn.tangent, axis=1), 1, atol=1e-3)
        assert worn.albedo.min() >= 0 and worn.albedo.max() <= 1


@pytest.mark.parametrize("style", [s for s, row in STYLES.items() if row.top > 0.1])
def test_long_hair_hangs_beside_the_face(style):
    strands = grown(hair_style=style)[-1].vertices
    x, y, z = strands.T
    assert np.mean((np.abs(x) < 0.03) & (y < 0.03) & (z > 0.05)) < 1e-3
    if style not in ("ponytail", "bob"):
        assert y.min() < -0.12


def test_bald_and_shaven_grow_nothing():
    assert grown(hair_style="bald", facial_hair="none") == []


@pytest.mark.parametrize("kind", ["moustache", "goatee", "full"])
def test_beard_has_its_own_class(kind):
    (beard,) = grown(hair_style="bald", facial_hair=kind)
    assert beard.class_id == CLASS_ID["facial_hair"]
    assert beard.vertices[:, 2].min() > -0.02


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


def test_beards_leave_lips_nose_and_cheekbones_bare():
    lips = np.array([[0, -0.037, 0.105], [0, -0.054, 0.101], [0.015, -0.044, 0.100]])
    bare = np.array([[0, -0.012, 0.118], [0.052, 0.002, 0.072], [0.032, 0.004, 0.082]])
    chin, lip_skin, cheek = [0.0, -0.086, 0.09], [0.012, -0.030, 0.1], [0.055, -0.055, 0.045]
    for kind in ("moustache", "goatee", "full"):
        assert beard_density(lips, kind).max() < 0.35
        assert beard_density(bare, kind).max() == 0
        assert beard_density(np.array([lip_skin]), kind)[0] > 0.5
    assert beard_density(np.array([chin]), "moustache")[0] == 0
    assert beard_density(np.array([chin]), "goatee")[0] > 0.5
    assert (
        beard_density(np.array([cheek]), "full")[0] > 0.5
        and beard_density(np.array([cheek]), "goatee")[0] == 0
    )


def test_colours_run_from_black_to_white():
    def luminance(name):
        one, pose = np.zeros(1, np.float32), np.zeros((1, 3), np.float32)
        head = SceneParams(0, 0, one, one, pose, CAMERA, {"hair_color": name})
        return hair_color(head) @ [0.2126, 0.7152, 0.0722]

    order = [luminance(n) for n in ("black", "dark_brown", "brown", "blond", "white")]
    assert order == sorted(order)
