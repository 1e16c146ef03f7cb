"""The path-traced backend: the scene and the materials of the embedded renderer, with light traced by
Mitsuba.

An image is the sum of two renderings. In the first, all surfaces but hair are diffuse and of one tint,
which gives the irradiance. It is blurred as light spreads under skin, and multiplied with the albedo at
the embedded renderer's samples. In the second, surfaces only reflect specularly, and hair is seen as it
is.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from synthforge.generators.mitsuba.config import PathtraceConfig
from synthforge.generators.mitsuba.scene import Layer, TracedScene, layers_of, sensor
from synthforge.generators.mitsuba.tracer import load_mitsuba
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.generators.raster.exposure import exposure_of
from synthforge.generators.raster.radiance import Scene
from synthforge.generators.raster.samples import to_pixels

_FLESH = ("skin", "flesh")  # kinds whose irradiance spreads under the surface
# Deviation (mm) and share in red, green, blue of the Gaussians whose sum is the profile of that spreading.
# Source: d'Eon and Luebke (2007), their table of six, the first two and the next two joined.
_SPREAD = (
    (0.15, (0.333, 0.791, 0.993)), (0.60, (0.231, 0.205, 0.007)), (1.41, (0.358, 0.004, 0.0)),
    (2.72, (0.078, 0.0, 0.0)),
)  # fmt: skip
_SHARP = ((0.0, (1.0, 1.0, 1.0)),)
_LEAST = 0.7  # pixels, blur that removes the noise of tracing
_PER_LIGHT = 4  # the irradiance is smooth: it gets one path for so many of the other rendering
_SEEN = 0.02  # coverage from which on a rendered colour counts


class PathtraceGenerator(RasterGenerator):
    """Mitsuba behind the same attributes; the same parameters give the same bytes.

    Args:
        config: settings of the path tracer and of the embedded renderer.
    Raises:
        AssetError: Mitsuba is missing or does not run; a folder is missing or holds no images.
    """

    def __init__(self, config: PathtraceConfig):
        super().__init__(config.supersample, config.backgrounds, config.environments)
        self.config = config
        self.mitsuba = load_mitsuba(config.variant)

    def exposed(self, scene: Scene) -> Float[np.ndarray, "h w 4"]:
        """Pixels without the background: exposed linear RGB times coverage, and coverage."""
        layers = layers_of(scene, self.supersample)
        kinds = scene.part_kinds[scene.samples.part]
        flesh, hair = np.isin(kinds, _FLESH), kinds == "hair"
        coverage, bare = (self._share(scene, at) for at in (np.ones_like(hair), ~hair))
        dull, glossy = self._traced(scene, layers)
        albedo, tint = _colors(scene, layers, kinds)
        tinted = self._mean(scene, tint, ~hair)
        known = (bare == coverage) & (dull[..., 3] > 0.5)
        light = dull[..., :3] / np.maximum(dull[..., 3:], 0.5) * bare[..., None] / np.maximum(tinted, 1e-3)

        whole = known & (self._share(scene, kinds == "skin") == 1)
        gain = exposure_of(
            light[whole] if whole.any() else np.ones((1, 3), np.float32), scene.person.appearance
        )
        image = _covering(glossy, coverage) * gain
        for mine, profile in ((flesh, _SPREAD), (~flesh & ~hair, _SHARP)):
            arriving = self._spread(light, known * self._share(scene, mine), profile, scene)
            rows, cols = np.divmod(scene.samples.where, scene.shape[1])
            sent = arriving[rows // self.supersample, cols // self.supersample] * albedo * gain
            image += self._mean(scene, sent, mine)
        return np.dstack([np.minimum(image, 4.0 * coverage[..., None]), coverage]).astype(np.float32)

    def _share(self, scene: Scene, mine: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "h w"]:
        """Share of each pixel's samples."""
        return self._mean(scene, np.ones((len(mine), 3), np.float32), mine)[..., 0]

    def _mean(
        self, scene: Scene, values: Float[np.ndarray, "n 3"], mine: Bool[np.ndarray, " n"]
    ) -> Float[np.ndarray, "h w 3"]:
        """Values of samples averaged over pixels; those of others count as 0."""
        return to_pixels(values[mine], scene.samples.where[mine], scene.shape, self.supersample)[..., :3]

    def _traced(self, scene: Scene, layers: list[Layer]) -> list[Float[np.ndarray, "h w 4"]]:
        """Both renderings: radiance times coverage, and coverage, h w 4."""
        mi, config = self.mitsuba, self.config
        camera = mi.load_dict(sensor(mi, scene.person.params.camera))
        integrator = mi.load_dict({"type": "path", "max_depth": config.bounces + 1, "hide_emitters": True})
        seeds = scene.person.rng("paths").integers(1 << 31, size=2)
        counts = (-(-config.spp // _PER_LIGHT), config.spp)
        return [
            np.array(mi.render(world, sensor=camera, integrator=integrator, seed=int(seed), spp=spp))
            for world, seed, spp in zip(
                TracedScene(mi, scene, layers, self.supersample).load(), seeds, counts, strict=True
            )
        ]

    def _spread(
        self,
        light: Float[np.ndarray, "h w 3"],
        weight: Float[np.ndarray, "h w"],
        profile: tuple,
        scene: Scene,
    ) -> Float[np.ndarray, "h w 3"]:
        """Irradiance blurred by a profile over pixels with weight; others get the nearest value."""
        if not weight.any():
            return light
        depth = np.median(scene.samples.fragments.depth)
        per_mm = float(scene.person.params.camera.intrinsics[0, 0] / depth / 1000)
        out = np.zeros_like(light)
        light = np.where(weight[..., None] > 0, light * weight[..., None], 0).astype(np.float32)
        for millimetres, share in profile:
            sigma = max(millimetres * per_mm, _LEAST)
            near = cv2.GaussianBlur(weight, (0, 0), sigma)
            mean = cv2.GaussianBlur(light, (0, 0), sigma) / np.maximum(near, 1e-4)[..., None]
            out += np.array(share, np.float32) * _filled(mean, near > 1e-3)
        return out


def _filled(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Image whose unknown pixels get the value of the nearest known one."""
    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros((label.max() + 1, image.shape[2]), np.float32)
    of_label[label[known]] = image[known]
    return of_label[label]


def _colors(scene: Scene, layers: list[Layer], kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Albedo and tint of all samples of layers, 0 for others."""
    albedo, tint = np.zeros((2, len(kinds), 3), np.float32)
    rows, cols = np.divmod(scene.samples.where, scene.shape[1])
    for layer in layers:
        at = np.flatnonzero(kinds == layer.kind)
        albedo[at] = layer.albedo[rows[at] - layer.corner[0], cols[at] - layer.corner[1]]
        tint[at] = layer.tint
    return albedo, tint


def _covering(rendered: np.ndarray, coverage: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """Rendered colours with another coverage than the rendering's own, times it."""
    own = rendered[..., 3]
    if not (own > _SEEN).any():
        return np.zeros_like(rendered[..., :3])
    color = rendered[..., :3] / np.maximum(own, _SEEN)[..., None]
    return _filled(color, own > _SEEN) * coverage[..., None]
