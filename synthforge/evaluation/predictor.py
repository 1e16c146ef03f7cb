"""A stored model applied to photographs: crops in, labels in the photograph's own pixels out."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped

from synthforge.conventions import LANDMARK_FLIP
from synthforge.datasets import geometry
from synthforge.datasets.sample import Sample, TargetClass
from synthforge.errors import DatasetError
from synthforge.models.multitask import normalise
from synthforge.models.store import StoredModel


@dataclass(frozen=True)
class Labels:
    """Predicted labels of one photograph, in its pixels.

    `probability` t h w over the wanted classes (None: not asked for; background beyond the crop),
    `depth` h w in metres (NaN beyond the crop).
    """

    points: Float[np.ndarray, "p 2"]
    probability: Float[np.ndarray, "t h w"] | None
    depth: Float[np.ndarray, "h w"] | None


def class_table(model: StoredModel, classes: tuple[TargetClass, ...]) -> Float[np.ndarray, "c t"]:
    """0/1 table from the model's classes to the wanted ones.

    A model whose classes already are the wanted ones gets the identity; any other one is merged by the
    `sources` of each wanted class, and classes that belong to none count as background (class 0).

    Raises:
        DatasetError: the model knows a class of neither kind.
    """
    names = model.class_names
    if names == tuple(c.name for c in classes):
        return np.eye(len(names), dtype=np.float32)
    table = np.zeros((len(names), len(classes)), np.float32)
    owner = {source: c.id for c in classes for source in c.sources}
    if not set(owner) & set(names):
        raise DatasetError(
            f"model predicts {', '.join(names[:6])}, ...", where="--model", fix="give one with our classes"
        )
    for i, name in enumerate(names):
        table[i, owner.get(name, 0)] = 1.0
    return table


class Predictor:
    """Runs a stored model on samples.

    Args:
        model: from `load_model`.
        crop_scale: crop side over the sample's box.
        classes: wanted classes (empty: no segmentation).
        depth: whether depth is wanted.
        flip: average with the prediction on the mirrored crop.
    """

    def __init__(
        self,
        model: StoredModel,
        crop_scale: float,
        classes: tuple[TargetClass, ...] = (),
        depth: bool = False,
        flip: bool = False,
    ):
        self.model, self.crop_scale, self.depth, self.flip = model, crop_scale, depth, flip
        self.table = class_table(model, classes) if classes else None
        self.tasks = ["points"] + ["segmentation"] * bool(classes) + ["depth"] * depth
        self.flip_columns = _flip_columns(classes)
        self.size = model.net.config.input_size

    def __call__(self, sample: Sample) -> Labels:
        """Labels of one photograph."""
        views = [self._view(sample, mirror) for mirror in ([False, True] if self.flip else [False])]
        mean = [None if parts[0] is None else np.mean(parts, axis=0) for parts in zip(*views, strict=True)]
        return Labels(*mean)

    @torch.no_grad()
    def _view(self, sample: Sample, mirror: bool) -> tuple:
        matrix = geometry.crop_matrix(sample.box, self.size, self.crop_scale, mirror=mirror)
        rgb = geometry.warp_rgb(sample.rgb, matrix, self.size)
        device = next(self.model.net.parameters()).device
        batch = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].to(device)
        prediction = self.model.net(normalise(batch), self.tasks)
        points = prediction.points[0].float().cpu().numpy().astype(float) * self.size
        points = points[LANDMARK_FLIP] if mirror else points
        back, size = geometry.invert(matrix), sample.rgb.shape[:2]
        stride = self.model.net.label_stride
        small_back = back @ np.diag([stride, stride, 1.0])
        probability = depth = None
        if self.table is not None:
            p = prediction.segmentation[0].float().softmax(0).cpu().numpy()
            p = np.einsum("chw,ct->thw", p, self.table)
            p = p[self.flip_columns] if mirror else p
            probability = warp_planes(p, small_back, size, fill=[1.0] + [0.0] * (len(p) - 1))
        if self.depth:
            z = prediction.depth[0].float().cpu().numpy()
            depth = geometry.warp_image(z, small_back, size, fill=np.nan)
        return geometry.warp_points(points, back), probability, depth


def warp_planes(
    planes: Shaped[np.ndarray, "t y x"], matrix: geometry.Affine, size: tuple[int, int], fill: list[float]
) -> Shaped[np.ndarray, "t h w"]:
    """Each plane through the map, with its own value beyond the border."""
    return np.stack([geometry.warp_image(p, matrix, size, fill=f) for p, f in zip(planes, fill, strict=True)])


def _flip_columns(classes: tuple[TargetClass, ...]) -> list[int]:
    """For each class, the one that takes its place in a mirrored image (by name)."""
    names = [c.name for c in classes]

    def other(name: str) -> str:
        for a, b in (("left", "right"), ("right", "left")):
            if a in name and name.replace(a, b) in names:
                return name.replace(a, b)
        return name

    return [names.index(other(name)) for name in names]
