"""The real sample source: scene -> head -> generator -> annotation, for one index at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from synthforge import __version__
from synthforge.annotate import HAIR_OR_OTHER, SOFT_MASKS, annotate
from synthforge.cameras.project import to_camera, to_pixels
from synthforge.config import load_config
from synthforge.errors import DatasetError, SynthforgeError
from synthforge.generate_config import GenerateConfig
from synthforge.generators.base import Generator, NeuralGenerator
from synthforge.generators.next3d.config import LATENT
from synthforge.heads.base import HeadModel
from synthforge.heads.registry import load_head
from synthforge.landmark_sets import dense_set
from synthforge.scene.attributes import attribute_table
from synthforge.scene.sampling import SceneSampler, with_resolution
from synthforge.storage.index import CONFIG
from synthforge.storage.reader import DatasetReader
from synthforge.storage.schema import Layout
from synthforge.storage.source import Sample
from synthforge.storage.writer import encode_frame
from synthforge.types import Frame, NeuralImage, Render, SceneParams

MAX_ATTEMPTS = 100  # draws of one index before the configuration is called impossible


@dataclass(frozen=True)
class Drawn:
    """An accepted draw of a neural generator, before its labels are made."""

    params: SceneParams
    vertices: np.ndarray  # v 3, as the head model poses them
    image: NeuralImage
    rejected: tuple[str, ...]


@dataclass(frozen=True)
class SceneSource:
    """`SampleSource` of a configuration: sample i depends on (config, i) alone.

    Holds the configuration only and loads the rest on first use, so that it pickles small. `device` and
    `batch_size` are for neural backends; 0 means what suits the device.
    """

    config: GenerateConfig
    device: str = "auto"
    batch_size: int = 0

    @cached_property
    def head(self) -> HeadModel:
        return load_head(self.config.head).eval()

    @cached_property
    def sampler(self) -> SceneSampler:
        latent = LATENT if self.config.backend == "next3d" else 0
        return SceneSampler(self.config.scene, self.head, self.config.resolution, latent)

    @cached_property
    def backend(self) -> Generator | NeuralGenerator:
        c = self.config
        if c.backend == "next3d":
            from synthforge.generators.next3d.backend import Next3dGenerator

            conditioned = c.scene.views_per_identity == 1
            return Next3dGenerator(c.neural, self.head, conditioned, self.device, self.batch_size)
        folders = {
            name: Path(folder) if (folder := getattr(c, name)) else None
            for name in ("backgrounds", "environments")
        }
        if c.backend == "pathtrace":
            from synthforge.generators.mitsuba.backend import PathtraceGenerator

            return PathtraceGenerator(c.pathtrace, supersample=c.supersample, **folders)
        from synthforge.generators.raster.backend import RasterGenerator

        return RasterGenerator(supersample=c.supersample, **folders)

    @cached_property
    def layout(self) -> Layout:
        c, head = self.config, self.head
        return Layout(
            resolution=c.resolution,
            codec=c.codec,
            shape_names=head.shape_names,
            expression_names=head.expression_names,
            joint_names=head.joint_names,
            attributes=attribute_table(c.scene),
            normals=c.normals,
            segmentation_bare=c.segmentation_bare,
            soft_masks=self._soft_masks if c.soft_masks else (),
            latent=self.sampler.latent,
            distortion=bool(c.scene.camera.lens),
            dense=len(dense_set().points) if c.landmarks_dense else 0,
        )

    @property
    def _soft_masks(self) -> tuple[str, ...]:
        return (HAIR_OR_OTHER,) if self.config.backend == "next3d" else SOFT_MASKS

    @cached_property
    def generator(self) -> dict[str, Any]:
        """What made the samples, as `dataset.json` states it."""
        c = self.config
        assets = {f"heads/{c.head}": self.head.sha256} | self.backend.assets
        about = {"backend": c.backend, "head": c.head, "assets": assets}
        if c.backend == "next3d" and c.neural.weights == "random":
            about["weights"] = "random: the images are meaningless"
        return about

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "device": self.device, "batch_size": self.batch_size}

    @property
    def batch(self) -> int:
        """Samples to be drawn together in one process; 0: each by itself, in any."""
        if self.config.backend != "next3d":
            return 0
        from synthforge.generators.next3d.backend import default_batch

        return self.batch_size or default_batch(self.device)

    def __call__(self, index: int) -> Sample:
        """Sample `index`: the first draw that is not rejected.

        Raises:
            SynthforgeError: `MAX_ATTEMPTS` draws were rejected.
        """
        if self.batch:
            return self.finish(self.draw([index])[0])
        rejected: list[str] = []
        while True:
            params = self._sample(index, rejected)
            vertices = self.vertices([params])[0]
            reason = self._reject(params, vertices)
            if reason is None:
                return Sample(self._annotated(params, vertices), tuple(rejected))
            rejected.append(reason)

    def draw(self, indices: Sequence[int]) -> list[Drawn]:
        """Accepted draws of several indices, images made in batches (neural backends).

        Raises:
            SynthforgeError: `MAX_ATTEMPTS` draws of an index were rejected.
        """
        done: dict[int, Drawn] = {}
        rejected: dict[int, list[str]] = {index: [] for index in indices}
        while todo := [index for index in indices if index not in done]:
            params = [self._sample(index, rejected[index]) for index in todo]
            vertices = self.vertices(params)
            images = self.backend.images(self.head, params, vertices)
            for index, p, posed, image in zip(todo, params, vertices, images, strict=True):
                reason = image.rejected or self._reject(p, image.vertices)
                if reason is None:
                    done[index] = Drawn(p, posed, image, tuple(rejected[index]))
                else:
                    rejected[index].append(reason)
        return [done[index] for index in indices]

    def finish(self, drawn: Drawn) -> Sample:
        """The labels of a draw."""
        return Sample(self.frame(drawn.params, drawn.vertices, drawn.image), drawn.rejected)

    def frame(self, params: SceneParams, vertices: np.ndarray, image: NeuralImage) -> Frame:
        """A neural image with its labels; `vertices` as the head model poses them."""
        mesh, n_faces = self.head.mesh(image.vertices), len(self.head.faces)
        render = Render(image.rgb, mesh, n_faces, image.volume, image.alignment_rms)
        return annotate(render, params, self.head, vertices, dense=self.config.landmarks_dense)

    def render(self, params: SceneParams) -> Frame:
        """Image and labels of given parameters."""
        vertices = self.vertices([params])
        if self.batch:
            (image,) = self.backend.images(self.head, [params], vertices)
            return self.frame(params, vertices[0], image)
        return self._annotated(params, vertices[0])

    def _annotated(self, params: SceneParams, vertices: np.ndarray) -> Frame:
        render = self.backend.render(self.head, params, vertices)
        return annotate(render, params, self.head, vertices, dense=self.config.landmarks_dense)

    def vertices(self, params: Sequence[SceneParams]) -> Float[np.ndarray, "b v 3"]:
        """Posed heads (m, world frame)."""
        with torch.inference_mode():
            names = ("shape", "expression", "pose")
            stacked = [torch.from_numpy(np.stack([getattr(p, name) for p in params])) for name in names]
            return self.head(*stacked).numpy()

    def _sample(self, index: int, rejected: Sequence[str]) -> SceneParams:
        """The next draw of an index, after the rejected ones."""
        if len(rejected) == MAX_ATTEMPTS:
            raise SynthforgeError(
                f"{MAX_ATTEMPTS} draws were rejected (last: {rejected[-1]})",
                where=f"sample {index}",
                fix="let the camera see the face, or lower min_landmarks and min_face_size",
            )
        return self.sampler.sample(self.config.seed, index, len(rejected))

    def _reject(self, params: SceneParams, vertices: np.ndarray) -> str | None:
        """Why a draw cannot be used, judged by where its landmarks lie in the image."""
        points = to_camera(self.head.landmarks(vertices).astype(np.float64), params.camera)
        if (points[:, 2] <= 0).any():
            return "landmarks outside the image"
        pixels = to_pixels(points, params.camera)[:, :2].astype(np.float32)
        inside = ((pixels >= 0) & (pixels < self.config.resolution)).all(1)
        if int(inside.sum()) < self.config.min_landmarks:
            return "landmarks outside the image"
        size = np.ptp(pixels, axis=0).max() / self.config.resolution
        return "face too small" if size < self.config.min_face_size else None


def _same(a: Any, b: Any) -> bool:
    """Encoded bytes equal, or arrays equal with NaN equal to NaN."""
    return a == b if isinstance(a, bytes) else np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


def source_of(folder: Path) -> SceneSource:
    """The source that made the data set in `folder`, from the configuration kept there.

    Raises:
        ConfigError: it is missing or not of this version.
    """
    return SceneSource(load_config(GenerateConfig, folder / CONFIG))


def rerender(folder: Path, index: int, resolution: int | None = None) -> tuple[Frame, str]:
    """Sample `index` of a data set again, from its stored parameters.

    Args:
        resolution: image side in pixels; default: as stored.
    Returns:
        the frame, and how it compares with what is stored.
    Raises:
        DatasetError: there is no such sample.
    """
    reader = DatasetReader(folder)
    if not 0 <= index < len(reader):
        raise DatasetError(f"no sample {index}", where=str(folder), fix=f"it holds 0 to {len(reader) - 1}")
    source, params = source_of(folder), reader.params(index)
    if resolution not in (None, reader.index["resolution"]):
        frame = source.render(with_resolution(params, resolution))
        return frame, f"made at {resolution} px; stored at {reader.index['resolution']} px"
    frame = source.render(params)
    stored = reader.stored(index)
    made = encode_frame(frame, source.layout)
    different = [name for name in stored if not _same(made[name], stored[name])]
    if not different:
        return frame, "equals the stored sample in every byte"
    made_by = {"generator": source.generator, "synthforge_version": __version__}
    changed = [key for key, value in made_by.items() if reader.index[key] != value]
    reason = f" (it was made with another {' and '.join(changed)})" if changed else ""
    return frame, f"differs from the stored sample in {', '.join(different)}{reason}"
