"""Lighting of a scene: an environment all around, and up to three distant lamps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from synthforge.errors import AssetError, ConfigError
from synthforge.generators.shading.color import blackbody, srgb_to_linear
from synthforge.generators.shading.visibility import light_view, shadow_lookup
from synthforge.render.rasterize import rasterize
from synthforge.types import Mesh

ENV_SIZE = (32, 64)  # rows, columns of an environment
_SHADOW_SIZE = 320
_SUN = 1e5  # largest radiance taken from a user's panorama


@dataclass(frozen=True)
class Lamp:
    """Distant light: unit `direction` towards it (world frame), `color` (linear RGB irradiance on a
    surface that faces it) and `softness` (m), the width of its shadows' edges."""

    direction: Float[np.ndarray, " 3"]
    color: Float[np.ndarray, " 3"]
    softness: float


@dataclass(frozen=True)
class Lighting:
    """Light of a scene.

    `environment` is linear RGB radiance by direction: rows from +y to -y, columns around y, with +z in the
    middle and +x a quarter of the width to its right. Of the `lamps`, only the first casts shadows.
    """

    environment: Float[np.ndarray, "r c 3"]
    lamps: tuple[Lamp, ...]


def env_directions(rows: int, columns: int) -> Float[np.ndarray, "r c 3"]:
    """Unit vectors (world frame) of the texel centres of an environment."""
    theta = (np.arange(rows) + 0.5)[:, None] / rows * np.pi
    phi = ((np.arange(columns) + 0.5)[None] / columns * 2 - 1) * np.pi
    return np.stack(
        [np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi, np.sin(theta) * np.cos(phi)], -1
    ).astype(np.float32)


def solid_angles(rows: int, columns: int) -> Float[np.ndarray, "r 1"]:
    """Solid angle (sr) of a texel in each row."""
    edge = np.cos(np.arange(rows + 1) / rows * np.pi)
    return ((edge[:-1] - edge[1:]) * 2 * np.pi / columns)[:, None].astype(np.float32)


def sh_basis(n: Float[np.ndarray, "*k 3"]) -> Float[np.ndarray, "*k 9"]:
    """Real spherical harmonics to degree 2. Source: Ramamoorthi and Hanrahan (2001), eq. 3."""
    x, y, z = n[..., 0], n[..., 1], n[..., 2]
    one = np.ones_like(x)
    return np.stack(
        [0.282095 * one, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z]
        + [0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y)],
        -1,
    )


_COSINE = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5, np.float32)


def irradiance_sh(environment: Float[np.ndarray, "r c 3"]) -> Float[np.ndarray, "9 3"]:
    """Coefficients whose sum over `sh_basis(normal)` is the irradiance on a surface with that normal.

    Source: Ramamoorthi and Hanrahan (2001), eq. 7-8.
    """
    rows, columns = environment.shape[:2]
    basis = sh_basis(env_directions(rows, columns)) * solid_angles(rows, columns)[..., None]
    radiance = np.einsum("rck,rcj->kj", basis, environment)
    return (radiance * _COSINE[:, None]).astype(np.float32)


def env_radiance(environment: Float[np.ndarray, "r c 3"], directions: Float[np.ndarray, "n 3"]) -> np.ndarray:
    """Radiance n 3 of the nearest texel in each direction."""
    rows, columns = environment.shape[:2]
    row = np.clip(np.arccos(np.clip(directions[:, 1], -1, 1)) / np.pi * rows, 0, rows - 1).astype(int)
    turn = np.arctan2(directions[:, 0], directions[:, 2]) / (2 * np.pi) + 0.5
    return environment[row, np.minimum((turn * columns).astype(int), columns - 1)]


def blurred(environment: Float[np.ndarray, "r c 3"], sigma: float) -> Float[np.ndarray, "r c 3"]:
    """Environment as a rough mirror shows it: blurred by `sigma` (radians)."""
    rows, columns = environment.shape[:2]
    texel = np.pi / rows
    pad = columns // 2
    wide = np.concatenate([environment[:, -pad:], environment, environment[:, :pad]], 1)
    out = cv2.GaussianBlur(
        np.ascontiguousarray(wide, np.float32), (0, 0), sigma / texel, borderType=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(out[:, pad:-pad])


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector; degrees, azimuth from +z towards +x."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return np.array([math.cos(e) * math.sin(a), math.sin(e), math.cos(e) * math.cos(a)])


_Range = tuple[float, float]


class _Rig:
    """Light being set up around the head: angles in degrees, strengths relative to a bright wall."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.directions = env_directions(*ENV_SIZE).astype(np.float64)
        self.up = self.directions[..., 1:2]
        self.environment = np.zeros((*ENV_SIZE, 3))
        self.lamps: list[Lamp] = []

    def lamp(self, azimuth: float, elevation: float, kelvin: float, strength: float, softness: float) -> None:
        tint = blackbody(kelvin) * np.exp(self.rng.normal(0, 0.04, 3))
        direction = _direction(azimuth, elevation).astype(np.float32)
        self.lamps.append(Lamp(direction, (strength * tint).astype(np.float32), float(softness)))

    def glow(self, azimuth: float, elevation: float, width: float, kelvin: float, strength: float) -> None:
        """Soft patch of light, `width` in radians."""
        away = self.directions @ _direction(azimuth, elevation) - 1
        self.environment += np.exp(away / width**2)[..., None] * strength * blackbody(kelvin)

    def patches(self, n: int, kelvin: _Range, strength: float, width: _Range) -> None:
        for _ in range(n):
            azimuth, elevation = self.rng.uniform(-180, 180), self.rng.uniform(-30, 70)
            glow = strength * self.rng.uniform(0.3, 1.7)
            self.glow(azimuth, elevation, self.rng.uniform(*width), self.rng.uniform(*kelvin), glow)

    def sky(self, above: np.ndarray, horizon: np.ndarray, ground: np.ndarray) -> None:
        blend = np.clip(self.up, 0, 1) ** 0.6
        below = ground * (1 - 0.4 * np.clip(-self.up, 0, 1))
        self.environment += np.where(self.up > 0, horizon + blend * (above - horizon), below)


def _day(rig: _Rig, u: Callable[..., float], side: float) -> None:
    sun = float(rig.rng.choice([0.0, 1.0, 2.2, 3.5], p=[0.3, 0.25, 0.25, 0.2])) * u(0.8, 1.2)
    ground = np.array([0.20, 0.19, 0.15]) * np.exp(rig.rng.normal(0, 0.25, 3)) * (1 + sun * 0.5)
    rig.sky(blackbody(u(7500, 14000)) * u(0.5, 1.0), blackbody(u(5800, 8000)), ground)
    if sun > 0:
        rig.lamp(side * abs(rig.rng.normal(0, 60)), u(20, 65), u(4800, 6000), sun * math.pi, 0.004)
    rig.patches(3, (5000, 9000), 0.5, (0.25, 0.6))


def _evening(rig: _Rig, u: Callable[..., float], side: float) -> None:
    rig.sky(blackbody(u(8000, 15000)) * 0.25, blackbody(u(2600, 5000)) * 0.5, np.array([0.10, 0.08, 0.07]))
    rig.lamp(side * abs(rig.rng.normal(20, 50)), u(3, 22), u(2300, 4000), u(0.8, 3.0), 0.006)
    rig.patches(3, (2200, 9000), 0.4, (0.2, 0.5))


def _night(rig: _Rig, u: Callable[..., float], side: float) -> None:
    rig.environment += 0.10 * np.exp(rig.rng.normal(0, 0.35, 3)) * (1 + 0.5 * rig.up)
    rig.patches(5, (1900, 12000), 0.8, (0.08, 0.25))
    if u(0, 1) < 0.45:  # flash next to the lens
        rig.lamp(rig.rng.normal(0, 6), u(-2, 12), 5800.0, 2.2, 0.002)
    else:
        street = float(rig.rng.choice([2000.0, 2700.0, 4200.0, 6500.0]))
        rig.lamp(side * abs(rig.rng.normal(25, 35)), u(5, 60), street, 1.6, 0.006)
        rig.lamp(-side * u(40, 130), u(0, 40), u(1800, 15000), u(0.2, 1.0), 0.01)


def _studio(rig: _Rig, u: Callable[..., float], side: float) -> None:
    kelvin = u(4600, 6600)
    rig.environment += u(0.04, 0.5) * blackbody(kelvin) * (1 + 0.3 * rig.up)
    azimuth, elevation = side * u(5, 75), u(5, 55)
    rig.lamp(azimuth, elevation, kelvin, u(1.5, 3.0), u(0.004, 0.014))
    rig.lamp(-side * u(30, 80), u(-10, 35), kelvin * u(0.9, 1.1), u(0.1, 0.9), 0.02)
    rig.lamp(-side * u(110, 165), u(10, 50), kelvin, u(0.0, 2.0), 0.01)
    rig.glow(azimuth, elevation, u(0.15, 0.4), kelvin, u(0.5, 3.0))


def _indoor(rig: _Rig, u: Callable[..., float], side: float) -> None:
    wall = np.clip(np.array([0.36, 0.32, 0.26]) * np.exp(rig.rng.normal(0, 0.2, 3)), 0.05, 0.8)
    rig.environment += wall * u(0.5, 1.0) * (1 + 0.25 * rig.up)
    rig.patches(4, (2700, 6500), 1.0, (0.15, 0.45))
    if u(0, 1) < 0.6:  # a window at the side
        azimuth, elevation = side * u(15, 100), u(0, 35)
        rig.glow(azimuth, elevation, 0.35, u(5500, 8000), u(1, 4))
        rig.lamp(azimuth, elevation, u(5500, 7500), u(0.3, 1.8), 0.015)
    rig.lamp(rig.rng.normal(0, 50), u(35, 75), u(2700, 4500), u(0.3, 1.5), 0.012)


SETTINGS = {"day": _day, "evening": _evening, "night": _night, "studio": _studio, "indoor": _indoor}


def procedural_lighting(kind: str, rng: np.random.Generator) -> Lighting:
    """Random light of one kind.

    Raises:
        ConfigError: `kind` is not one of day, evening, night, studio, indoor.
    """
    if kind not in SETTINGS:
        raise ConfigError(f"unknown light {kind!r}", where="light", fix=f"use one of: {', '.join(SETTINGS)}")
    rig = _Rig(rng)
    SETTINGS[kind](rig, rng.uniform, float(rng.choice([-1.0, 1.0])))
    return Lighting(rig.environment.astype(np.float32), tuple(rig.lamps))


def image_lighting(path: Path, rng: np.random.Generator) -> Lighting:
    """Light of a user's lat-long image, turned about the vertical at random. Its brightest spot becomes
    the lamp that casts shadows.

    Raises:
        AssetError: the file is not an image.
    """
    image = _read_environment(path)
    env = np.roll(image, int(rng.integers(image.shape[1])), 1)
    weight = env.sum(-1) * solid_angles(*ENV_SIZE)
    bright = weight >= np.quantile(weight, 0.99)
    color = (env * solid_angles(*ENV_SIZE)[..., None])[bright].sum(0)
    direction = (env_directions(*ENV_SIZE) * weight[..., None])[bright].sum(0)
    direction /= np.linalg.norm(direction) + 1e-9
    dim = np.where(bright[..., None], np.median(env, (0, 1)), env)
    return Lighting(
        dim.astype(np.float32), (Lamp(direction.astype(np.float32), color.astype(np.float32), 0.006),)
    )


@lru_cache(maxsize=16)
def _read_environment(path: Path) -> np.ndarray:
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:  # OpenEXR is off
        image = None
    if image is None:
        raise AssetError("cannot be read as an image", where=str(path), fix="use .hdr, .exr, .png or .jpg")
    rgb = image[..., ::-1]
    whole = {"u1": 255.0, "u2": 65535.0}.get(image.dtype.str[1:])
    linear = rgb if whole is None else srgb_to_linear(rgb / whole)
    linear = np.clip(np.nan_to_num(linear), 0, _SUN).astype(np.float32)  # some files hold infinite suns
    return cv2.resize(np.ascontiguousarray(linear), ENV_SIZE[::-1], interpolation=cv2.INTER_AREA)


def lamp_shadow(
    mesh: Mesh, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], lamp: Lamp
) -> Float[np.ndarray, " n"]:
    """Share of the lamp's light that reaches each point (m, world), by one shadow map."""
    turn, shift, texel = light_view(mesh.vertices, lamp.direction, _SHADOW_SIZE)
    depth = rasterize(mesh.vertices @ turn + shift, mesh.faces, _SHADOW_SIZE, _SHADOW_SIZE).depth
    radius = np.float32(max(lamp.softness / texel, 0.7))
    offset = np.float32(0.0015) * normals
    bias = np.float32(0.003 + 0.5 * lamp.softness)
    return shadow_lookup(depth, points, offset, turn, shift, bias, radius)
