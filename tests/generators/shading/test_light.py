"""Light against closed forms: irradiance, Lambert, shadows, look-ups."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from synthforge.errors import AssetError
from synthforge.generators.shading.color import srgb_to_linear
from synthforge.generators.shading.light import (
    ENV_SIZE,
    Lamp,
    Lighting,
    env_directions,
    env_radiance,
    image_lighting,
    irradiance_sh,
    lamp_shadow,
    procedural_lighting,
    sh_basis,
    solid_angles,
)
from synthforge.generators.shading.shade import Material, octahedral, probe_of, shade
from synthforge.generators.shading.visibility import fibonacci_sphere
from synthforge.types import Mesh


def material(normal: np.ndarray, albedo: float) -> Material:
    n = len(normal)
    ones = np.ones(n, np.float32)
    return Material(
        albedo=np.full((n, 3), albedo, np.float32), normal=normal.astype(np.float32), roughness=0.5 * ones,
        coat=0 * ones, specular=0 * ones, scatter=0 * ones, ambient=ones,
    )  # fmt: skip


def mesh_of(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    n = len(faces)
    return Mesh(
        vertices=vertices.astype(np.float32), faces=faces.astype(np.int32), uv=np.zeros((1, 2), np.float32),
        face_uvs=np.zeros((n, 3), np.int32), class_map=np.zeros((1, 1), np.uint8),
        face_class=np.ones(n, np.uint8), face_part=np.zeros(n, np.uint8), part_names=("thing",),
        canonical=vertices.astype(np.float32),
    )  # fmt: skip


def test_solid_angles_add_up_to_the_sphere():
    assert np.isclose(solid_angles(*ENV_SIZE).sum() * ENV_SIZE[1], 4 * np.pi, rtol=1e-5)


def test_irradiance_of_a_linear_sky_is_exact():
    """Radiance a + b.w gives irradiance pi a + 2/3 pi b.n (Ramamoorthi and Hanrahan 2001)."""
    tilt = np.array([0.3, 0.5, -0.2])
    environment = (1.0 + env_directions(64, 128) @ tilt)[..., None] * np.array([1.0, 0.5, 0.25])
    normals = fibonacci_sphere(50)
    got = sh_basis(normals) @ irradiance_sh(environment)
    want = (np.pi + 2 * np.pi / 3 * normals @ tilt)[:, None] * [1.0, 0.5, 0.25]
    assert np.allclose(got, want, atol=5e-3)


def test_irradiance_matches_the_integral_for_every_kind_of_light():
    normals = fibonacci_sphere(40)
    directions, weight = env_directions(*ENV_SIZE), solid_angles(*ENV_SIZE)
    for kind in ("day", "evening", "night", "studio", "indoor"):
        env = procedural_lighting(kind, np.random.default_rng(3)).environment
        cosine = np.maximum(np.einsum("rck,nk->nrc", directions, normals), 0)
        want = np.einsum("nrc,rcj->nj", cosine * weight, env)
        got = sh_basis(normals) @ irradiance_sh(env)
        assert np.abs(got - want).max() < 0.06 * want.max(), kind  # what degree 2 leaves out


def test_a_matte_surface_under_one_lamp_is_lambertian():
    normals = fibonacci_sphere(200)
    direction = np.array([0.6, 0.48, 0.64], np.float32)
    dark = np.zeros((*ENV_SIZE, 3), np.float32)
    light = Lighting(dark, (Lamp(direction, np.array([3.0, 2.0, 1.0], np.float32), 0.01),))
    m = material(normals, 0.4)
    got = shade(m, np.roll(normals, 1, 0).astype(np.float32), probe_of(light), np.ones(200, np.float32))
    facing = np.maximum(normals @ direction, 0)[:, None]
    fresnel_free = 0.4 / np.pi * facing * [3.0, 2.0, 1.0]
    front = (np.roll(normals, 1, 0) * normals).sum(1) > 0.5  # away from grazing, where all surfaces gloss
    assert np.allclose(got[front], fresnel_free[front], atol=0.02)


def test_white_room_shows_the_albedo():
    normals = fibonacci_sphere(64)
    light = Lighting(np.ones((*ENV_SIZE, 3), np.float32), ())
    got = shade(material(normals, 0.3), normals.astype(np.float32), probe_of(light), np.ones(64, np.float32))
    assert np.allclose(got, 0.3, atol=2e-3)


def test_octahedral_map_is_the_environment():
    env = (0.5 + 0.5 * env_directions(*ENV_SIZE)).astype(np.float32)  # colour = direction
    table = octahedral(env)
    d = fibonacci_sphere(300)
    u, w = d[:, 0] / np.abs(d).sum(1), d[:, 2] / np.abs(d).sum(1)
    below = d[:, 1] < 0
    u, w = (
        np.where(below, (1 - np.abs(w)) * np.where(u >= 0, 1, -1), u),
        np.where(below, (1 - np.abs(u)) * np.where(w >= 0, 1, -1), w),
    )
    size = len(table)
    row, column = (np.minimum(((t + 1) / 2 * size).astype(int), size - 1) for t in (u, w))
    assert np.abs(table[row, column] - (0.5 + 0.5 * d)).max() < 0.12
    assert np.abs(env_radiance(env, d) - (0.5 + 0.5 * d)).max() < 0.12


def test_a_ball_shadows_the_floor_where_the_light_says():
    """Floor at y = 0, ball of 4 cm at 20 cm height, slanted light: the shadow is an ellipse."""
    ball = fibonacci_sphere(400)
    from scipy.spatial import ConvexHull

    hull = ConvexHull(ball).simplices
    centre, radius = np.array([0.0, 0.2, 0.0]), 0.04
    floor = np.array([[-0.3, 0, -0.3], [0.3, 0, -0.3], [0.3, 0, 0.3], [-0.3, 0, 0.3]])
    mesh = mesh_of(
        np.concatenate([ball * radius + centre, floor]),
        np.concatenate([hull, [[400, 402, 401], [400, 403, 402]]]),
    )
    light = np.array([0.5, 1.0, 0.25]) / np.linalg.norm([0.5, 1.0, 0.25])
    grid = np.stack(np.meshgrid(np.linspace(-0.25, 0.25, 60), np.linspace(-0.25, 0.25, 60)), -1).reshape(
        -1, 2
    )
    points = np.column_stack([grid[:, 0], np.zeros(3600), grid[:, 1]]).astype(np.float32)
    up = np.tile(np.array([0, 1, 0], np.float32), (3600, 1))
    got = lamp_shadow(mesh, points, up, Lamp(light.astype(np.float32), np.ones(3, np.float32), 0.001))
    from_ray = np.linalg.norm(np.cross(points - centre, light), axis=1)  # ray's distance to the ball's centre
    assert (got[from_ray < radius - 0.008] < 0.05).all()
    assert (got[from_ray > radius + 0.008] > 0.95).all()


def test_openexr_is_read_without_asking_and_its_absence_told(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENCV_IO_ENABLE_OPENEXR", "1")  # for writing; the reader is asked in fresh processes
    sky = np.full((64, 128, 3), 0.2, np.float32)
    sky[10, 20], sky[50, 3] = 300.0, np.inf
    cv2.imwrite(str(tmp_path / "sky.exr"), sky)
    light, turned = (image_lighting(tmp_path / "sky.exr", np.random.default_rng(i)) for i in (0, 1))
    assert np.isfinite(light.environment).all() and light.lamps[0].color.min() > 1
    assert abs(light.lamps[0].direction @ turned.lamps[0].direction) < 0.99  # turned at random
    ask = (
        "import sys; from pathlib import Path\n"
        "from synthforge.generators.backdrop.background import image_files\n"
        "try: print(len(image_files(Path(sys.argv[1]), ('.exr',))))\n"
        "except Exception as error: print(error)"
    )
    for value, told in ((None, "1"), ("0", "set OPENCV_IO_ENABLE_OPENEXR=1")):
        environment = {k: v for k, v in os.environ.items() if k != "OPENCV_IO_ENABLE_OPENEXR"}
        environment |= {"OPENCV_IO_ENABLE_OPENEXR": value} if value else {}
        command = [sys.executable, "-c", ask, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert told in done.stdout and len(done.stdout.splitlines()) == 1


def test_users_image_becomes_light_from_its_bright_side(tmp_path):
    image = np.full((64, 128, 3), 20, np.uint8)
    image[20:24, 60:64] = 255
    cv2.imwrite(str(tmp_path / "sky.png"), image)
    light = image_lighting(tmp_path / "sky.png", np.random.default_rng(0))
    assert np.isclose(np.linalg.norm(light.lamps[0].direction), 1, atol=1e-5)
    assert light.lamps[0].direction[1] > 0.3  # rows 20-24 of 64 are 28-34 degrees above the horizon
    assert light.lamps[0].color.min() > 0
    exact = srgb_to_linear(image / 255.0).astype(np.float32)
    cv2.imwrite(str(tmp_path / "sky.hdr"), exact)
    same = image_lighting(tmp_path / "sky.hdr", np.random.default_rng(0))
    assert np.allclose(same.environment, light.environment, atol=0.02)
    (tmp_path / "not.png").write_text("hello")
    with pytest.raises(AssetError, match="not.png"):
        image_lighting(tmp_path / "not.png", np.random.default_rng(0))
