"""What an image is scored on: as the benchmarks do it, or as SynthForge's released code does it."""

from dataclasses import replace
from typing import Literal

import numpy as np

from synthforge.datasets import geometry
from synthforge.datasets.sample import Sample, mask_box, points_box
from synthforge.datasets.source import Derived, Source
from synthforge.errors import ConfigError

ProtocolName = Literal["standard", "synthforge"]
SIDE = 256  # of the released code's crops, pixels


def under_protocol(source: Source, protocol: str) -> Source:
    """The data set as the protocol shows it to the model and to the metrics.

    Raises:
        ConfigError: unknown protocol.
    """
    if protocol == "standard":
        return source
    if protocol == "synthforge":
        return SynthforgeCrops(source)
    raise ConfigError(f"unknown protocol {protocol!r}", where="--protocol", fix="use: standard, synthforge")


class SynthforgeCrops(Derived):
    """A data set cut to 256x256 by its own annotation before anything is predicted or scored.

    So do the released loaders (synth-forge/synthforge-train, data/lapa_d.py and data/d300w.py): face
    parsing is scored on the box of the true mask, labels shrunk to the nearest pixel; landmarks on a
    crop that the annotation has turned upright, points that lie outside it moved to its edge. Rotation,
    place and size of the face are thus given away. The template of the released 300-W warp is not
    documented: here the annotated eyes are made level and the source's crop scale is kept.
    """

    def __init__(self, source: Source):
        scale = source.info.crop_scale
        by_mask = f"box of the true mask at {SIDE}x{SIDE}"
        by_points = f"annotated landmarks, eyes level, {SIDE}x{SIDE}, x{scale:g}"
        super().__init__(source, crop_source=by_mask if source.info.schema else by_points, crop_scale=1.0)

    def change(self, sample: Sample, index: int) -> Sample:
        by_mask = bool(self.info.schema) and sample.target is not None
        matrix = _mask_crop(sample) if by_mask else _level_crop(sample, self.source.info.crop_scale)
        points, target, depth = sample.points, sample.target, sample.depth
        if points is not None:
            points = np.clip(geometry.warp_points(points, matrix), 0, SIDE)
        k = sample.intrinsics
        return replace(
            sample,
            rgb=geometry.warp_rgb(sample.rgb, matrix, SIDE),
            box=(0.0, 0.0, float(SIDE), float(SIDE)),
            points=points,
            target=None if target is None else geometry.warp_ids(target, matrix, SIDE, 0),
            depth=None if depth is None else geometry.warp_depth(depth, matrix, SIDE),
            intrinsics=None if k is None else np.vstack([matrix, [0, 0, 1]]) @ k,
        )


def _mask_crop(sample: Sample) -> geometry.Affine:
    """The square around all that the true mask labels as not background."""
    inside = (sample.target != 0) & (sample.target != 255)
    if not inside.any():
        return geometry.crop_matrix(sample.box, SIDE, 1.0)
    return geometry.crop_matrix(mask_box(inside), SIDE, 1.0)


def _level_crop(sample: Sample, scale: float) -> geometry.Affine:
    """The square around the landmarks after a turn that makes the eyes level."""
    if sample.points is None:
        return geometry.crop_matrix(sample.box, SIDE, scale)
    x, y = sample.points[42:48].mean(0) - sample.points[36:42].mean(0)
    angle = -float(np.arctan2(y, x))
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    x0, y0, x1, y1 = points_box(sample.points @ turn.T)
    centre, half = turn.T @ [(x0 + x1) / 2, (y0 + y1) / 2], max(x1 - x0, y1 - y0) / 2
    box = centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half
    return geometry.crop_matrix(box, SIDE, scale, rotation=angle)
