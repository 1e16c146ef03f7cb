"""The real sample source: scene -> head -> generator -> annotation, for one index at a time."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from synthforge import __version__
from synthforge.annotate import SOFT_MASKS, annotate
from synthforge.config import load_config
from synthforge.errors import ConfigError, DatasetError, SynthforgeError
from synthforge.generators.attributes import check_attributes
from synthforge.generators.base import Generator
from synthforge.heads.base import HeadModel
from synthforge.heads.registry import check_head, load_head
from synthforge.scene.sampling import SceneConfig, SceneSampler, with_resolution
from synthforge.storage.index import CONFIG
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import Sample
from synthforge.storage.schema import Layout
from synthforge.storage.writer import encode_frame
from synthforge.types import Frame, SceneParams

MAX_ATTEMPTS = 100  # draws of one index before the configuration is called impossible


@dataclass(frozen=True)
class GenerateConfig:
    """Everything that decides a sample, besides its index, and how samples are stored.

    The number of samples is no part of it, so that a finished data set can be extended.
    `supersample`: image samples per pixel along each axis (labels have their own, fixed density).
    `backgrounds`, `environments`: folders of the user's images, or null for procedural ones.
    A draw is rejected, and drawn again, where fewer than `min_landmarks` of the 68 landmarks lie
    in the image or the landmarks' bounding box is smaller than `min_face_size` of the image side.
    """

    name: str = "default"
    head: str = "anthro"
    backend: Literal["raster"] = "raster"
    seed: int = 0
    resolution: int = 512
    supersample: int = 2
    shard_size: int = 1024
    codec: Literal["jpeg", "png", "raw"] = "jpeg"
    normals: bool = True
    segmentation_bare: bool = True
    soft_masks: bool = True
    backgrounds: str | None = None
    environments: str | None = None
    min_landmarks: int = 40
    min_face_size: float = 0.1
    scene: SceneConfig = field(default_factory=SceneConfig)

    def __post_init__(self) -> None:
        limits = {"resolution": (32, 4096), "supersample": (1, 8), "shard_size": (1, 1 << 20)}
        limits |= {"min_landmarks": (0, 68), "min_face_size": (0, 1), "seed": (0, (1 << 63) - 1)}
        for key, (low, high) in limits.items():
            if not low <= getattr(self, key) <= high:
                raise ConfigError(f"{getattr(self, key)} is not in [{low}, {high}]", where=key)
        check_head(self.head)
        check_attributes(self.scene.attributes)


@dataclass(frozen=True)
class SceneSource:
    """`SampleSource` of a configuration: sample i depends on (config, i) alone.

    Holds the configuration only and loads the rest on first use, so that it pickles small.
    """

    config: GenerateConfig

    @cached_property
    def head(self) -> HeadModel:
        return load_head(self.config.head).eval()

    @cached_property
    def sampler(self) -> SceneSampler:
        return SceneSampler(self.config.scene, self.head, self.config.resolution)

    @cached_property
    def backend(self) -> Generator:
        from synthforge.generators.raster import RasterGenerator

        c = self.config
        folders = {
            name: Path(folder) if (folder := getattr(c, name)) else None
            for name in ("backgrounds", "environments")
        }
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
            attributes=self.sampler.attribute_schema,
            normals=c.normals,
            segmentation_bare=c.segmentation_bare,
            soft_masks=SOFT_MASKS if c.soft_masks else (),
        )

    @cached_property
    def generator(self) -> dict[str, Any]:
        """What made the samples, as `dataset.json` states it."""
        c = self.config
        assets = {f"heads/{c.head}": head_sha256(self.head)} | self.backend.assets
        return {"backend": c.backend, "head": c.head, "assets": assets}

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config}

    def __call__(self, index: int) -> Sample:
        """Sample `index`: the first draw that is not rejected.

        Raises:
            SynthforgeError: `MAX_ATTEMPTS` draws were rejected.
        """
        rejected: list[str] = []
        for attempt in range(MAX_ATTEMPTS):
            frame = self.render(self.sampler.sample(self.config.seed, index, attempt))
            reason = self._reject(frame)
            if reason is None:
                return Sample(frame, tuple(rejected))
            rejected.append(reason)
        raise SynthforgeError(
            f"{MAX_ATTEMPTS} draws were rejected (last: {reason})",
            where=f"sample {index}",
            fix="let the camera see the face, or lower min_landmarks and min_face_size",
        )

    def render(self, params: SceneParams) -> Frame:
        """Image and labels of given parameters."""
        arrays = (params.shape, params.expression, params.pose)
        with torch.inference_mode():
            vertices = self.head(*(torch.from_numpy(a)[None] for a in arrays))[0].numpy()
        render = self.backend.render(self.head, params, vertices)
        return annotate(render, params, self.head, vertices)

    def _reject(self, frame: Frame) -> str | None:
        if int((frame.landmarks_visible > 0).sum()) < self.config.min_landmarks:
            return "landmarks outside the image"
        size = np.ptp(frame.landmarks_2d, axis=0).max() / self.config.resolution
        return "face too small" if size < self.config.min_face_size else None


def head_sha256(head: HeadModel) -> str:
    """Hash of all arrays and names of a head model, whatever file it came from."""
    digest = hashlib.sha256()
    arrays = {k: v for k, v in vars(head).items() if isinstance(v, np.ndarray | tuple)}
    arrays |= {k: v.numpy() for k, v in head.named_buffers()}
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


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
    made = encode_frame(frame, source.layout, int(stored["attempt"]))
    different = [name for name in stored if np.any(np.asarray(made[name] != stored[name]))]
    different = [name for name in different if name != "alignment_rms"]  # NaN
    if not different:
        return frame, "equals the stored sample in every byte"
    made_by = {"generator": source.generator, "synthforge_version": __version__}
    changed = [key for key, value in made_by.items() if reader.index[key] != value]
    reason = f" (it was made with another {' and '.join(changed)})" if changed else ""
    return frame, f"differs from the stored sample in {', '.join(different)}{reason}"
