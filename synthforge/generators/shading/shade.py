"""Surface samples, their material, and the light they send to the camera."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numba import njit

from synthforge.generators.shading.light import Lighting, blurred, env_radiance, irradiance_sh, sh_basis
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.numeric import unit32
from synthforge.types import Fragments

_ROUGH_BLUR, _COAT_BLUR = 0.40, 0.10  # radians, environment as the two lobes see it
_OCTAHEDRON = 64  # texels along a side


@dataclass(frozen=True)
class Samples:
    """The n covered sample points of an image.

    Attributes:
        where: flat index in the image.
        fragments: the triangles they show (1 n).
        part: index of the mesh's part.
        class_id: semantic class.
        position: metres, world frame.
        normal, view: unit vectors, world frame; `view` points to the camera.
        canonical: place on the canonical head (m), or in the cloth of an accessory.
    """

    where: Int[np.ndarray, " n"]
    fragments: Fragments
    part: UInt8[np.ndarray, " n"]
    class_id: UInt8[np.ndarray, " n"]
    position: Float[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"]
    view: Float[np.ndarray, "n 3"]
    canonical: Float[np.ndarray, "n 3"]


@dataclass(frozen=True)
class Material:
    """How the n samples reflect light.

    Attributes:
        albedo: linear RGB.
        normal: unit shading normal, world frame.
        roughness: GGX alpha of the main specular lobe.
        coat: share of a second lobe, less than half as rough.
        specular: reflectance at normal incidence.
        scatter: how much light spreads under the surface, 0 to 1 (skin).
        ambient: ambient visibility, the share of the environment that reaches the sample.
    """

    albedo: Float[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"]
    roughness: Float[np.ndarray, " n"]
    coat: Float[np.ndarray, " n"]
    specular: Float[np.ndarray, " n"]
    scatter: Float[np.ndarray, " n"]
    ambient: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Probe:
    """A `Lighting` prepared for shading.

    `sh` are the coefficients of its irradiance. `mirror` is the environment as an octahedral map, blurred
    for the main lobe (first three channels) and for the coat. `directions` and `colors` are the lamps'.
    """

    sh: Float[np.ndarray, "9 3"]
    mirror: Float[np.ndarray, "s s 6"]
    directions: Float[np.ndarray, "k 3"]
    colors: Float[np.ndarray, "k 3"]


def probe_of(lighting: Lighting) -> Probe:
    """What all surfaces under one light have in common."""
    rough, sharp = (octahedral(blurred(lighting.environment, width)) for width in (_ROUGH_BLUR, _COAT_BLUR))
    return Probe(
        sh=irradiance_sh(lighting.environment),
        mirror=np.concatenate([rough, sharp], -1),
        directions=np.array([lamp.direction for lamp in lighting.lamps], np.float32).reshape(-1, 3),
        colors=np.array([lamp.color for lamp in lighting.lamps], np.float32).reshape(-1, 3),
    )


def shade(
    material: Material, view: Float[np.ndarray, "n 3"], probe: Probe, shadow: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Linear radiance n 3 towards the camera.

    Diffuse: irradiance by spherical harmonics, and lamps whose light wraps around the edge, red furthest.
    Specular: two GGX lobes (Walter et al. 2007) and the blurred environment.

    Args:
        view: unit vectors to the camera, world frame.
        shadow: share of the first lamp's light that arrives.
    """
    m = material
    return _shade(
        m.albedo, m.normal, m.roughness, m.coat, m.specular, m.scatter, m.ambient, view,
        shadow.astype(np.float32), probe.sh, probe.mirror, probe.directions, probe.colors,
    )  # fmt: skip


def octahedral(environment: Float[np.ndarray, "r c 3"]) -> Float[np.ndarray, "s s 3"]:
    """Environment mapped to an unfolded octahedron: a map that is read without trigonometry.

    Source: Engelhardt and Dachsbacher (2008).
    """
    at = (np.arange(_OCTAHEDRON) + 0.5) / _OCTAHEDRON * 2 - 1
    x, z = np.meshgrid(at, at, indexing="ij")
    y = 1 - np.abs(x) - np.abs(z)
    fold_x, fold_z = (1 - np.abs(z)) * np.sign(x), (1 - np.abs(x)) * np.sign(z)
    directions = np.stack([np.where(y < 0, fold_x, x), y, np.where(y < 0, fold_z, z)], -1).reshape(-1, 3)
    flat = env_radiance(environment, unit32(directions)).astype(np.float32)
    return flat.reshape(_OCTAHEDRON, _OCTAHEDRON, 3)


@njit(cache=True)
def _texel(x, y, z, size):
    """Row and column of a direction (any length) in an octahedral map."""
    scale = np.float32(1) / (abs(x) + abs(y) + abs(z))
    u, w = x * scale, z * scale
    if y < 0:
        u, w = (1 - abs(w)) * (1 if u >= 0 else -1), (1 - abs(u)) * (1 if w >= 0 else -1)
    half = 0.5 * size
    return min(int((u + 1) * half), size - 1), min(int((w + 1) * half), size - 1)


@njit(cache=True)
def _ggx(alpha, nh, nl, nv):
    a2 = alpha * alpha
    t = nh * nh * (a2 - 1) + 1
    k = np.float32(0.5) * alpha
    return a2 / (np.float32(4 * np.pi) * t * t * (nl * (1 - k) + k) * (nv * (1 - k) + k))


@njit(cache=True)
def _bleed(light, amount):
    """Share of light in [0, 1] after scattering: higher for positive amounts, lower for negative ones."""
    return light * (1 + amount * (1 - light))


@njit(cache=True)
def _shade(albedo, normal, roughness, coat, specular, scatter, ambient, view, shadow, sh, env, lamps, colors):
    n, one = albedo.shape[0], np.float32(1)
    out = np.empty((n, 3), np.float32)
    wrap = np.array([0.34, 0.15, 0.09], np.float32)
    bleed = np.array([0.40, 0.05, -0.05], np.float32)
    for i in range(n):
        x, y, z = normal[i, 0], normal[i, 1], normal[i, 2]
        vx, vy, vz = view[i, 0], view[i, 1], view[i, 2]
        nv = max(x * vx + y * vy + z * vz, np.float32(0.02))
        s, wet, rough = scatter[i], coat[i], roughness[i]
        grazing = (one - nv) * (one - nv)
        grazing = grazing * grazing * (one - nv) * (one - rough) * (one - rough) * (one - rough)
        fresnel = specular[i] + np.float32(0.4) * grazing  # 0.4: microscopic shadowing at the horizon
        row, column = _texel(2 * nv * x - vx, 2 * nv * y - vy, 2 * nv * z - vz, env.shape[0])
        for c in range(3):
            e = (
                np.float32(0.282095) * sh[0, c]
                + np.float32(0.488603) * (y * sh[1, c] + z * sh[2, c] + x * sh[3, c])
                + np.float32(1.092548) * (x * y * sh[4, c] + y * z * sh[5, c] + x * z * sh[7, c])
                + np.float32(0.315392) * (3 * z * z - one) * sh[6, c]
                + np.float32(0.546274) * (x * x - y * y) * sh[8, c]
            )
            mirrored = env[row, column, c] * (one - wet) + env[row, column, 3 + c] * wet
            diffuse = max(e, np.float32(0)) * _bleed(ambient[i], s * bleed[c])
            out[i, c] = (
                albedo[i, c] * diffuse * np.float32(1 / np.pi) + fresnel * mirrored * ambient[i] * ambient[i]
            )
        for k in range(lamps.shape[0]):
            lx, ly, lz = lamps[k, 0], lamps[k, 1], lamps[k, 2]
            nl = x * lx + y * ly + z * lz
            arrives = shadow[i] if k == 0 else ambient[i]
            gloss = np.float32(0)
            if nl > 0:
                hx, hy, hz = lx + vx, ly + vy, lz + vz
                nh = min((x * hx + y * hy + z * hz) / np.sqrt(hx * hx + hy * hy + hz * hz), one)
                lobe = (one - wet) * _ggx(rough, nh, nl, nv) + wet * _ggx(
                    np.float32(0.45) * rough, nh, nl, nv
                )
                gloss = fresnel * lobe * nl * arrives
            for c in range(3):
                w = wrap[c] * s
                facing = max((nl + w) / (one + w), np.float32(0)) * _bleed(arrives, s * bleed[c])
                out[i, c] += colors[k, c] * (albedo[i, c] * facing * np.float32(1 / np.pi) + gloss)
    return out


_RIB, _STITCH = 0.0052, 0.0036  # m, knitwear
# roughness, coat, specular
_FINISH = {
    "cloth": (0.8, 0.0, 0.02), "solid": (0.25, 0.7, 0.05), "metal": (0.22, 0.6, 0.35),
    "flesh": (0.42, 0.1, 0.028),
}  # fmt: skip


def solid_material(
    samples: Samples,
    albedo: Float[np.ndarray, "n 3"],
    across: Float[np.ndarray, "n 3"],
    ambient: Float[np.ndarray, " n"],
    material: str,
) -> Material:
    """Material of accessories other than hair.

    Args:
        albedo: linear RGB before weave and ribs.
        across: unit direction across the ribs of knitwear; any value for others.
        ambient: ambient visibility.
        material: a word as of `Accessory.material`.
    """
    n, normal = len(albedo), samples.normal
    if material in ("cloth", "knit"):
        still = np.zeros(3, np.float32)
        weave = noise(samples.canonical, 0.0004, still)
        folds = noise(samples.canonical, (0.006, 0.014, 0.006), still)
        ripple = 0.025 * weave[:, :3] + 0.05 * folds[:, :3]
        normal = normal + ripple
        # white cloth reflects two thirds, so that the tone curve does not flatten its folds
        albedo = albedo * np.exp(0.04 * weave[:, 3:]) / (1 + 0.45 * albedo)
    if material == "knit":
        shade, tilt = _knit(samples.canonical)
        albedo, normal = albedo * shade[:, None], normal + tilt[:, None] * across
    finish = np.array(_FINISH.get(material, _FINISH["cloth"]), np.float32)
    roughness, coat, specular = np.broadcast_to(finish[:, None], (3, n))
    return Material(
        albedo=albedo.astype(np.float32),
        normal=unit32(normal),
        roughness=roughness,
        coat=coat,
        specular=specular,
        scatter=np.full(n, 0.8 if material == "flesh" else 0.0, np.float32),
        ambient=np.float32(0.85) * ambient,
    )


def _knit(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ribs with slanted stitches: factor of the albedo, tilt of the normal across the ribs."""
    rib = 2 * np.pi * place[:, 0] / _RIB
    stitch = np.cos(2 * np.pi * (place[:, 1] / _STITCH + 0.5 * np.abs(np.cos(rib / 2))))
    return 0.80 + 0.22 * np.cos(rib) + 0.08 * stitch, -0.45 * np.sin(rib)


def shade_hair(
    albedo: Float[np.ndarray, "n 3"],
    tangent: Float[np.ndarray, "n 3"],
    outward: Float[np.ndarray, "n 3"],
    view: Float[np.ndarray, "n 3"],
    lighting: Lighting,
    shadow: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    """Linear radiance n 3 of hair: Kajiya and Kay (1989) with the two shifted highlights of Marschner et al.
    (2003), the second of which takes the fibre's colour.

    Args:
        albedo: linear RGB.
        tangent: direction of the fibre.
        outward: unit vectors out of the mass of hair, from where light passes between the fibres.
        view: unit vectors to the camera.
        shadow: share of the first lamp's light that arrives.
    """
    tangent = unit32(tangent)
    normal = unit32(outward - 0.7 * (outward * tangent).sum(-1, keepdims=True) * tangent)
    sky = np.maximum(sh_basis(normal) @ irradiance_sh(lighting.environment), 0)
    rim = env_radiance(blurred(lighting.environment, _ROUGH_BLUR), unit32(normal + 0.5 * view))
    out = albedo * sky / np.pi + 0.012 * rim
    for k, lamp in enumerate(lighting.lamps):
        arrives = (shadow if k == 0 else 0.7 * np.ones_like(shadow))[:, None]
        tl = tangent @ lamp.direction
        facing = np.clip(0.25 + 0.75 * (normal @ lamp.direction), 0, 1)[
            :, None
        ]  # the hair around casts shade
        diffuse = np.sqrt(np.maximum(1 - tl * tl, 0))[:, None]
        half = unit32(view + lamp.direction)
        th = (tangent * half).sum(-1)
        first = np.exp(-(((th + 0.06) / 0.14) ** 2))[:, None] * 0.055
        second = np.exp(-(((th - 0.10) / 0.24) ** 2))[:, None] * 0.40 * albedo
        out = out + arrives * facing * lamp.color / np.pi * (albedo * diffuse + first + second)
    return out.astype(np.float32)
