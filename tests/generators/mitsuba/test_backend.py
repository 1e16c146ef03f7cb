"""The path-traced backend against the rasterizer's labels and closed forms of light."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import to_camera
from synthforge.config import config_path, load_config
from synthforge.errors import AssetError, ConfigError, GeometryError
from synthforge.generators.mitsuba.config import PathtraceConfig
from synthforge.generators.mitsuba.tracer import _runs, load_mitsuba
from synthforge.generators.shading.light import Lamp, Lighting, env_directions, irradiance_sh, sh_basis
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from synthforge.scene.sampling import posed_heads
from synthforge.types import Mesh
from tests.golden.bytes import digests

mi = pytest.importorskip("mitsuba")

from synthforge.generators.mitsuba import scene as traced  # noqa: E402
from synthforge.generators.mitsuba.backend import PathtraceGenerator  # noqa: E402

SIZE = 64
DRESSED = (
    "scene.attributes.eyeglasses=sunglasses", "scene.attributes.headwear=cap", "scene.attributes.sex=male",
    "scene.attributes.hair_style=short", "scene.attributes.facial_hair=full", "scene.attributes.blur=0",
    "scene.attributes.aperture=0", "scene.attributes.compression=0",
)  # fmt: skip
BARE = ("scene.attributes.hair_style=bald", "scene.attributes.facial_hair=none",
        "scene.attributes.sex=female", "scene.attributes.headwear=none")  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def variant():
    return load_mitsuba("scalar_rgb")


def source(backend: str, *overrides: str) -> SceneSource:
    settings = [f"resolution={SIZE}", f"backend={backend}"]
    settings += ["pathtrace.spp=4", "pathtrace.bounces=2"] if backend == "pathtrace" else []
    config = load_config(GenerateConfig, config_path("generate", "default"), [*settings, *overrides])
    return SceneSource(config)


class Kept(PathtraceGenerator):
    """Remembers the scene and its two renderings."""

    def exposed(self, scene):
        self.scene = scene
        self.seen = super().exposed(scene)
        return self.seen

    def _traced(self, scene, layers):
        self.rendered = super()._traced(scene, layers)
        return self.rendered


def kept(index: int, *overrides: str) -> Kept:
    made = source("pathtrace", *overrides)
    generator = Kept(made.config.settings)
    params = made.sampler.sample(0, index, 0)
    generator.image = generator.render(made.head, params, posed_heads(made.head, [params])[0]).rgb
    return generator


@pytest.fixture(scope="module")
def bare() -> Kept:
    return kept(3, *BARE)


def test_labels_are_those_of_the_rasterizer_and_bytes_repeat():
    frames = [source(backend, *DRESSED)(1).frame for backend in ("pathtrace", "pathtrace", "raster")]
    traced, again, drawn = (digests(frame) for frame in frames)
    assert traced == again and traced.pop("rgb") != drawn.pop("rgb") and traced == drawn
    difference = np.abs(frames[0].rgb.astype(int) - frames[2].rgb)
    behind = cv2.erode((frames[0].alpha == 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert behind.any() and difference[behind].max() == 0  # the same background, with the same noise
    assert 2 < difference[frames[0].alpha == 255].mean() < 50


def test_silhouette_is_the_rasterizers(bare):
    away = np.abs(bare.rendered[1][..., 3] - bare.seen[..., 3])
    assert away.max() <= 0.5 and away.mean() < 0.006  # four samples each, at other places in the pixel


def test_silhouette_of_hair_is_that_of_its_ribbons():
    made = kept(1, "scene.attributes.hair_style=long", "scene.attributes.occluder=none")
    own, labels = made.rendered[1][..., 3], made.seen[..., 3]
    assert np.abs(own - labels).mean() < 0.02
    inside = labels == 1
    assert own[inside].mean() > 0.995


def test_rays_meet_the_surface_at_the_rasterizers_depth(bare):
    scene, camera = bare.scene, bare.scene.person.params.camera
    world = traced.TracedScene(mi, scene, traced.layers_of(scene, 1), 1).load()[0]
    sensor = mi.load_dict(traced.sensor(mi, camera))
    samples, shape = traced.samples_of(scene.mesh, scene.person.params, 1, scene.person.head)
    rows, cols = np.divmod(samples.where, shape[1])
    depth = []
    for row, col in zip(rows, cols, strict=True):
        ray, _ = sensor.sample_ray(0.0, 0.5, [(col + 0.5) / shape[1], (row + 0.5) / shape[0]], [0.5, 0.5])
        met = world.ray_intersect(ray)
        depth.append(to_camera(np.array(met.p), camera)[2] if met.is_valid() else np.inf)
    close = np.abs(np.array(depth) - samples.fragments.depth[0]) < 1e-4
    assert close.mean() > 0.99  # all but centres on an edge, or beside a brow hair


def plate(lighting: Lighting, spp: int = 256) -> np.ndarray:
    """Radiance of a white plate that faces +z, seen from the front."""
    shape = {"type": "rectangle", "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": 1.0}}}
    world = {"type": "scene", "plate": shape, "sensor": traced.sensor(mi, _in_front()),
             "integrator": {"type": "direct"},
             "sky": {"type": "envmap", "bitmap": mi.Bitmap(traced.environment_map(lighting))}}  # fmt: skip
    world |= {f"lamp {i}": traced._lamp(lamp) for i, lamp in enumerate(lighting.lamps)}
    return np.array(mi.render(mi.load_dict(world), spp=spp))[..., :3].mean((0, 1))


def _in_front():
    return orbit_camera(0.0, 0.0, 0.0, 0.5, 0.2, np.zeros(3), (8, 8))


def test_lamp_sends_its_irradiance():
    """E = color * cos, whatever the lamp's softness. Radiance of a white surface is E / pi."""
    direction = np.array([0.6, 0.0, 0.8], np.float32)
    dark = np.zeros((32, 64, 3), np.float32)
    for softness in (0.002, 0.02):
        lamp = Lamp(direction, np.array([3.0, 2.0, 1.0], np.float32), softness)
        np.testing.assert_allclose(
            plate(Lighting(dark, (lamp,))), lamp.color * 0.8 / np.pi, rtol=0.02, err_msg=str(softness)
        )


def test_environment_is_turned_and_scaled_right():
    d = env_directions(32, 64)
    sky = np.stack([1 + 0.9 * d[..., axis] for axis in range(3)], -1).astype(np.float32)  # R x, G y, B z
    lighting = Lighting(sky, ())
    expected = sh_basis(np.array([0.0, 0, 1])) @ irradiance_sh(sky) / np.pi
    np.testing.assert_allclose(plate(lighting, 1024), expected, rtol=0.02)
    light = mi.load_dict({"type": "envmap", "bitmap": mi.Bitmap(traced.environment_map(lighting))})
    for row, col in ((3, 5), (16, 40), (20, 0), (28, 63)):
        met = mi.SurfaceInteraction3f()
        met.wi = -mi.Vector3f(d[row, col].astype(float))
        np.testing.assert_allclose(np.array(light.eval(met)), sky[row, col], atol=0.02)


@pytest.mark.parametrize("wanted", [(0.3, 0.0, 0.954), (0.0, -0.4, 0.9165), (-0.2, 0.3, 0.9327)])
def test_painted_normals_turn_the_surface(bare, wanted):
    """A flat quad whose normal is painted as n is as bright as one that faces n, wherever the lamp is."""
    camera = _in_front()
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * 0.1
    faces, zeros = np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.zeros(2, np.uint8)
    mesh = Mesh(
        corners, faces, corners[:, :2], faces, np.zeros((1, 1), np.uint8), zeros, zeros, ("skin",), corners
    )
    tangent = traced._tangents(corners, faces, traced.project(corners, camera)[:, :2])
    normal = traced._local(np.array([wanted], np.float32), np.array([[0, 0, 1]], np.float32), tangent[:1])
    one, white = np.ones((1, 1), np.float32), np.ones((1, 1, 3), np.float32)
    layer = traced.Layer("solid", faces, (0, 0), white, normal[None], one, one, 0.04, white[0, 0])
    integrator = mi.load_dict({"type": "direct"})
    for x, y in ((0, 0), (0.6, 0), (-0.6, 0), (0, 0.6), (0, -0.6)):
        direction = np.array([x, y, np.sqrt(1 - x * x - y * y)], np.float32)
        lamp = Lamp(direction, np.ones(3, np.float32), 0.002)
        params = dataclasses.replace(bare.scene.person.params, camera=camera)
        scene = dataclasses.replace(
            bare.scene, mesh=mesh, lighting=Lighting(np.zeros((32, 64, 3), np.float32), (lamp,)),
            accessories=[], person=dataclasses.replace(bare.scene.person, params=params),
        )  # fmt: skip
        world = traced.TracedScene(mi, scene, [layer], 1).load()[0]
        sensor = mi.load_dict(traced.sensor(mi, camera))
        picture = np.array(mi.render(world, sensor=sensor, integrator=integrator, spp=16))[..., :3]
        assert picture.mean() == pytest.approx(max(direction @ wanted, 0) / np.pi, rel=0.03), (x, y)


def test_missing_mitsuba_is_named(monkeypatch):
    load_mitsuba.cache_clear()
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(AssetError, match=r'mitsuba is not installed; pip install "synthforge\[pbr\]"'):
        load_mitsuba("scalar_rgb")
    load_mitsuba.cache_clear()


def test_variants_are_tried_in_a_process_of_their_own(monkeypatch):
    assert _runs("scalar_rgb") and not _runs("no_such_variant")
    monkeypatch.setattr("synthforge.generators.mitsuba.tracer._runs", lambda variant: False)
    with pytest.raises(AssetError, match="llvm_ad_rgb: does not run on this machine"):
        load_mitsuba("llvm_ad_rgb")


@pytest.mark.parametrize("wrong", [{"spp": 3}, {"bounces": 0}, {"bounces": 65}])
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError, match="is not in"):
        PathtraceConfig(**wrong)


def test_pixels_that_are_not_square_are_refused():
    camera = _in_front()
    camera.intrinsics[0, 0] *= 1.1
    with pytest.raises(GeometryError, match="square pixels"):
        traced.sensor(mi, camera)
