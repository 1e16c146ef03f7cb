"""The source of labelled samples: scene -> head -> backend -> annotation, by index."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from synthforge.annotate import annotate
from synthforge.attributes import ATTRIBUTES
from synthforge.cameras.project import to_camera, to_pixels
from synthforge.errors import SynthforgeError, unforeseen
from synthforge.generators.base import Backend, Capabilities, Setup
from synthforge.generators.registry import BACKENDS
from synthforge.heads.base import HeadModel
from synthforge.heads.registry import HEADS, load_head
from synthforge.landmark_sets import dense_set
from synthforge.pipeline.config import GenerateConfig
from synthforge.scene.attributes import attribute_table
from synthforge.scene.sampling import SceneSampler, posed_heads
from synthforge.storage.schema import Layout
from synthforge.storage.source import Sample
from synthforge.types import Frame, Render, SceneParams

MAX_ATTEMPTS = 100  # draws of one index before the configuration is called impossible


@dataclass(frozen=True)
class Drawn:
    """An accepted draw, before its labels are made."""

    params: SceneParams
    vertices: np.ndarray  # v 3, as the head model poses them
    render: Render
    rejected: tuple[str, ...]


@dataclass(frozen=True)
class SceneSource:
    """`SampleSource` of a configuration: sample i depends on (config, i) alone.

    Holds the configuration only and loads the rest on first use, so that it pickles small. `device` and
    `batch_size` are for backends that draw in batches; 0 means what suits the device.
    """

    config: GenerateConfig
    device: str = "auto"
    batch_size: int = 0

    @cached_property
    def head(self) -> HeadModel:
        return load_head(self.config.head).eval()

    @property
    def can(self) -> Capabilities:
        return self.config.backend_class.capabilities

    @cached_property
    def sampler(self) -> SceneSampler:
        return SceneSampler(self.config.drawn, self.head, self.config.resolution, self.can.latent)

    @cached_property
    def backend(self) -> Backend:
        one_view = self.config.scene.views_per_identity == 1
        setup = Setup(self.head, one_view, self.device, self.batch_size)
        with unforeseen(f"backend {self.config.backend}"):
            return self.config.backend_class(self.config.settings, setup)

    @cached_property
    def layout(self) -> Layout:
        c, head = self.config, self.head
        return Layout(
            resolution=c.resolution,
            codec=c.codec,
            shape_names=head.shape_names,
            expression_names=head.expression_names,
            joint_names=head.joint_names,
            attributes=attribute_table(c.drawn, {**ATTRIBUTES, **self.can.attributes}),
            normals=c.normals,
            segmentation_bare=c.segmentation_bare,
            soft_masks=self.can.soft_masks if c.soft_masks else (),
            latent=self.sampler.latent,
            distortion=bool(c.scene.camera.lens),
            dense=len(dense_set().points) if c.landmarks_dense else 0,
        )

    @cached_property
    def generator(self) -> dict[str, Any]:
        """What made the samples, as `dataset.json` states it."""
        c = self.config
        assets = {f"heads/{c.head}": self.head.sha256} | self.backend.assets
        added = {"backend": BACKENDS.package(c.backend), "head": HEADS.package(c.head)}
        packages = {kind: package for kind, package in added.items() if package}
        about = {"backend": c.backend, "head": c.head, "assets": assets} | self.backend.about
        return about | ({"packages": packages} if packages else {})

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "device": self.device, "batch_size": self.batch_size}

    @property
    def batch(self) -> int:
        """Samples to be drawn together in one process; 0: each by itself, in any."""
        return self.backend.batch if self.can.batched else 0

    def __call__(self, index: int) -> Sample:
        """Sample `index`: the first draw that is not rejected.

        Raises:
            SynthforgeError: `MAX_ATTEMPTS` draws were rejected.
        """
        return self.finish(self.draw([index])[0])

    def draw(self, indices: Sequence[int]) -> list[Drawn]:
        """Accepted draws of several indices, drawn together.

        Raises:
            SynthforgeError: `MAX_ATTEMPTS` draws of an index were rejected.
        """
        done: dict[int, Drawn] = {}
        rejected: dict[int, list[str]] = {index: [] for index in indices}
        while todo := [index for index in indices if index not in done]:
            params = [self._sample(index, rejected[index]) for index in todo]
            posed = []
            for p, vertices in zip(params, posed_heads(self.head, params), strict=True):
                if reason := None if self.can.moves_head else self._reject(p, vertices):
                    rejected[p.index].append(reason)
                else:
                    posed.append((p, vertices))
            for (p, vertices), render in zip(posed, self._drawn(*zip(*posed, strict=True)), strict=True):
                moved = self._reject(p, render.vertices) if self.can.moves_head else None
                if reason := render.rejected or moved:
                    rejected[p.index].append(reason)
                else:
                    done[p.index] = Drawn(p, vertices, render, tuple(rejected[p.index]))
        return [done[index] for index in indices]

    def _drawn(self, params: Sequence[SceneParams] = (), vertices: Sequence[np.ndarray] = ()) -> list[Render]:
        """Images of posed heads.

        Raises:
            SynthforgeError: the backend gives back something else.
        """
        if not params:
            return []
        renders = self.backend.draw(params, np.stack(vertices))
        for p, posed, render in zip(params, vertices, renders, strict=True):
            self._check(p, posed, render)
        return renders

    def _check(self, params: SceneParams, posed: np.ndarray, render: Render) -> None:
        """Labels are made from arrays of the right shape and type only."""
        expected = {"rgb": ((*params.camera.size, 3), np.uint8), "vertices": (posed.shape, np.floating)}
        for name, (shape, kind) in expected.items():
            array = getattr(render, name)
            fits = array.shape == shape and np.issubdtype(array.dtype, kind)
            if not fits or (name == "vertices" and not np.isfinite(array).all()):
                raise SynthforgeError(
                    f"{name} is {array.dtype} {array.shape} where finite {kind.__name__} {shape} is expected",
                    where=f"backend {self.config.backend}, sample {params.index}",
                    fix="repair the backend's draw()",
                )

    def attempt(self, index: int) -> int:
        """Which draw of an index is the first that is not rejected, told without its image if that can be."""
        if self.can.moves_head:
            return len(self.draw([index])[0].rejected)
        rejected: list[str] = []
        while True:
            params = self._sample(index, rejected)
            if (reason := self._reject(params, posed_heads(self.head, [params])[0])) is None:
                return len(rejected)
            rejected.append(reason)

    def finish(self, drawn: Drawn) -> Sample:
        """The labels of a draw."""
        return Sample(self.frame(drawn.params, drawn.vertices, drawn.render), drawn.rejected)

    def frame(self, params: SceneParams, vertices: Float[np.ndarray, "v 3"], render: Render) -> Frame:
        """An image with its labels; `vertices` as the head model poses them."""
        return annotate(render, params, self.head, vertices, dense=self.config.landmarks_dense)

    def render(self, params: SceneParams) -> Frame:
        """Image and labels of given parameters."""
        vertices = posed_heads(self.head, [params])
        (render,) = self._drawn([params], list(vertices))
        return self.frame(params, vertices[0], render)

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
