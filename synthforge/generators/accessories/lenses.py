"""Light through spectacle lenses, which dim, tint and bend it; and what they mirror."""

import cv2
import numpy as np
from jaxtyping import Float, Int

from synthforge.cameras.project import pinhole_pixels, sample_places, scaled, to_camera
from synthforge.generators.accessories.glasses import Lenses
from synthforge.generators.shading.light import Lighting, blurred, irradiance_sh, sh_basis
from synthforge.generators.shading.noise import bilinear
from synthforge.generators.shading.numeric import unit32
from synthforge.render.interpolate import interpolate, vertex_normals
from synthforge.render.rasterize import rasterize
from synthforge.types import Camera, Fragments

_MIRROR = {False: 0.008, True: 0.02}  # reflectance at normal incidence: coated clear lenses, dark ones
_MIRROR_MOST = 0.2
_SPOT = 0.05  # radians, width of a lamp's image
_BLUR = 0.06  # radians, environment in the mirror
_SPOT_MOST = 1.5  # times white


def see_through(
    image: Float[np.ndarray, "h w 3"],
    lenses: Lenses,
    camera: Camera,
    depth: Float[np.ndarray, " n"],
    factor: int,
    lighting: Lighting,
    gain: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "h w 3"]:
    """Image with the lenses in front of what they cover.

    Args:
        image: linear RGB without lenses.
        depth: z (m, inf: nothing) of the image's samples, flat, `factor` per pixel along each axis.
        lighting: what the lenses mirror.
        gain: factor of the exposure, per channel.
    """
    height, width = camera.size
    dense = scaled(camera, factor)
    points = pinhole_pixels(to_camera(lenses.surface.vertices, dense), dense)
    found = rasterize(points, lenses.surface.faces, *dense.size, places=sample_places(dense))
    at = np.flatnonzero((found.face_index.ravel() >= 0) & (found.depth.ravel() < depth))
    if not len(at):
        return image
    few = Fragments(
        found.face_index.reshape(1, -1)[:, at], found.depth.reshape(1, -1)[:, at],
        np.ascontiguousarray(found.barycentric.reshape(1, -1, 3)[:, at]),
    )  # fmt: skip
    normals = vertex_normals(lenses.surface.vertices, lenses.surface.faces)
    packed = np.concatenate([lenses.surface.vertices, normals, lenses.transmittance, lenses.bend], 1)
    place, normal, passes, bend = np.split(interpolate(packed, lenses.surface.faces, few)[0], 4, 1)
    view = unit32(camera.cam2world[:3, 3].astype(np.float32) - place)
    mirrored = _mirrored(unit32(normal), view, lighting, _MIRROR[lenses.dark]) * gain
    turn = camera.cam2world[:3, :3].astype(np.float32)
    shift = (bend @ turn)[:, :2] * np.float32(camera.intrinsics[0, 0]) / few.depth[0, :, None]
    ones = np.ones((len(at), 1), np.float32)
    row, column = at // (width * factor) // factor, at % (width * factor) // factor
    values = np.concatenate([ones, passes, mirrored, shift], 1)
    mean = _per_pixel(row * width + column, values, height * width)
    mean = mean.reshape(height, width, 9) / np.float32(factor**2)
    cover = mean[..., :1]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = mean[..., 7:] / np.maximum(cover, 1e-6)
    behind = cv2.remap(
        np.ascontiguousarray(image, np.float32), x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return image * (1 - cover) + behind * mean[..., 1:4] + mean[..., 4:7]


def _per_pixel(
    pixel: Int[np.ndarray, " n"], values: Float[np.ndarray, "n c"], n_pixels: int
) -> Float[np.ndarray, "p c"]:
    """Sums over the samples of each pixel."""
    sums = [np.bincount(pixel, values[:, c], n_pixels) for c in range(values.shape[1])]
    return np.stack(sums, -1).astype(np.float32)


def _mirrored(
    normal: np.ndarray, view: np.ndarray, lighting: Lighting, facing: float
) -> Float[np.ndarray, "n 3"]:
    """Radiance n 3 that a polished lens mirrors; Schlick's approximation of Fresnel."""
    normal = np.where((normal * view).sum(1, keepdims=True) < 0, -normal, normal)
    cosine = np.clip((normal * view).sum(1, keepdims=True), 0, 1)
    fresnel = np.minimum(facing + (1 - facing) * (1 - cosine) ** 5, _MIRROR_MOST)
    out = 2 * cosine * normal - view
    rows, columns = lighting.environment.shape[:2]
    row = np.arccos(np.clip(out[:, 1], -1, 1)) / np.pi * rows
    column = (np.arctan2(out[:, 0], out[:, 2]) / (2 * np.pi) + 0.5) * columns
    env = blurred(lighting.environment, _BLUR)
    around = np.concatenate([env[:, -1:], env, env[:, :1]], 1)
    radiance = bilinear(around, column + 1, row)
    for lamp in lighting.lamps:
        away = 1 - out @ lamp.direction
        spot = np.exp(-2 * away / _SPOT**2) * 2 / (np.pi * _SPOT**2)  # integrates to 1 over the sphere
        radiance = radiance + spot[:, None] * lamp.color
    return np.minimum(fresnel * radiance, _SPOT_MOST * max(float(radiance.mean()), 1.0)).astype(np.float32)


def chalk_facing(lighting: Lighting, toward: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "1 3"]:
    """Radiance of white chalk that faces `toward` (unit vector)."""
    light = np.maximum(sh_basis(toward[None].astype(np.float32)) @ irradiance_sh(lighting.environment), 0)
    for lamp in lighting.lamps:
        light = light + max(float(toward @ lamp.direction), 0.0) * lamp.color
    return (light / np.pi).astype(np.float32)
