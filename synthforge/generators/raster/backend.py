"""The embedded graphics renderer: rasterised surfaces, shaded per sample, averaged to pixels."""

from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.cameras.project import to_camera
from synthforge.generators.accessories.glasses import Lenses
from synthforge.generators.accessories.lenses import chalk_facing, see_through
from synthforge.generators.backdrop.background import (
    PANORAMAS,
    image_files,
    photo_background,
    procedural_background,
)
from synthforge.generators.geometry.accessory import labelled_mesh, with_accessories
from synthforge.generators.geometry.person import Person
from synthforge.generators.raster.develop import DEVELOPED, depth_of_field, develop
from synthforge.generators.raster.dressing import dressed
from synthforge.generators.raster.exposure import exposure_of
from synthforge.generators.raster.radiance import Scene
from synthforge.generators.raster.samples import flat_depth, nearest_depth, samples_of, to_pixels
from synthforge.generators.shading.light import image_lighting, lamp_shadow, procedural_lighting
from synthforge.generators.shading.shade import probe_of
from synthforge.heads.base import HeadModel
from synthforge.provenance import folder_sha256
from synthforge.types import Render, SceneParams


class RasterGenerator:
    """Embedded renderer; the same parameters give the same bytes.

    Args:
        supersample: samples per pixel along each axis.
        backgrounds: folder of images to stand behind the head; procedural scenes without it.
        environments: folder of lat-long images (.hdr .exr .png .jpg) to light by; procedural without it.
    Raises:
        AssetError: a folder is missing, holds no images, or a file that is none.
    """

    def __init__(
        self, supersample: int = 2, backgrounds: Path | None = None, environments: Path | None = None
    ):
        self.supersample = supersample
        self._folders = {"backgrounds": backgrounds, "environments": environments}
        self._backgrounds = image_files(backgrounds) if backgrounds else []
        self._environments = image_files(environments, PANORAMAS) if environments else []

    @cached_property
    def assets(self) -> dict[str, str]:
        """Hashes of the user's folders; read on first use, so that workers need not."""
        files = {"backgrounds": self._backgrounds, "environments": self._environments}
        return {name: folder_sha256(folder, files[name]) for name, folder in self._folders.items() if folder}

    def render(self, head: HeadModel, params: SceneParams, vertices: Float[np.ndarray, "v 3"]) -> Render:
        """Image of `head` with posed `vertices` (metres, world frame) seen by `params.camera`."""
        person = Person(head, params, vertices)
        look, rng = person.appearance, person.rng
        accessories, lenses = dressed(person)
        mesh = with_accessories(head.mesh(vertices), accessories)
        if self._environments:
            choose = rng("light")
            lighting = image_lighting(self._environments[choose.integers(len(self._environments))], choose)
        else:
            lighting = procedural_lighting(look.light, rng("light"))

        samples, shape = samples_of(mesh, params, self.supersample, head)
        scene = Scene(person, mesh, accessories, samples, shape, lighting)
        seen = self.exposed(scene)

        size = params.camera.size
        choose = rng("background")
        if self._backgrounds:
            path = self._backgrounds[choose.integers(len(self._backgrounds))]
            behind = photo_background(path, size, choose)
        else:
            behind = procedural_background(look.background, look.light, size, choose)
        image = seen[..., :3] + (1 - seen[..., 3:]) * behind
        labelled = labelled_mesh(mesh, accessories)
        if lenses is not None:
            image = self._seen_through(image, lenses, scene)
            labelled = with_accessories(labelled, [lenses.surface]) if lenses.dark else labelled
        if aperture := 1e-3 * look.aperture:
            eyes = to_camera(person.landmarks[36:48].reshape(2, 6, 3).mean(1), params.camera)
            depth, focal = nearest_depth(samples, shape, self.supersample), params.camera.intrinsics[1, 1]
            image = depth_of_field(image, depth, float(eyes[:, 2].min()), float(focal), aperture)
        rgb = develop(image, **{name: getattr(look, name) for name in DEVELOPED}, rng=rng("sensor"))
        return Render(rgb, vertices, labelled)

    def _seen_through(self, image: np.ndarray, lenses: Lenses, scene: Scene) -> Float[np.ndarray, "h w 3"]:
        camera, depth = scene.person.params.camera, flat_depth(scene.samples, scene.shape)
        gain = exposure_of(chalk_facing(scene.lighting, -camera.cam2world[:3, 2]), scene.person.appearance)
        return see_through(image, lenses, camera, depth, self.supersample, scene.lighting, gain)

    def exposed(self, scene: Scene) -> Float[np.ndarray, "h w 4"]:
        """Pixels without the background: exposed linear RGB times coverage, and coverage."""
        samples = scene.samples
        shadow = np.ones(len(samples.where), np.float32)
        if scene.lighting.lamps and len(shadow):
            shadow = lamp_shadow(scene.mesh, samples.position, samples.normal, scene.lighting.lamps[0])
        linear, chalk = scene.radiance(probe_of(scene.lighting), shadow)
        linear *= exposure_of(chalk, scene.person.appearance)
        return to_pixels(linear, samples.where, scene.shape, self.supersample)
