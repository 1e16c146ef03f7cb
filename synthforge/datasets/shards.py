"""Synthetic shards as a source of samples."""

from pathlib import Path
from typing import Literal

import numpy as np

from synthforge.conventions import CLASS_FLIP, CLASSES
from synthforge.datasets.sample import CROP_SCALE, Sample, TargetClass, points_box

OUR_CLASSES = tuple(TargetClass(c.id, c.name, (c.name,), c.color) for c in CLASSES)


class ShardSource:
    """A generated data set.

    Args:
        folder: directory with `dataset.json`.
        jaw: take the 17 jaw points from the visible contour, as annotators of 300-W do, or fixed
            on the mesh.
    """

    classes = OUR_CLASSES
    flip_classes = CLASS_FLIP
    has_points = has_depth = True
    relative_depth = False
    crop_source = "box of the true landmarks"
    crop_scale = CROP_SCALE

    def __init__(self, folder: Path, jaw: Literal["contour", "fixed"] = "contour"):
        from synthforge.storage.reader import DatasetReader

        self.reader = DatasetReader(folder)
        self.name, self.jaw = Path(folder).name, jaw
        self.keys = ["rgb", "segmentation", "depth", "landmarks_2d", "intrinsics"]
        self.keys += ["landmarks_contour_2d"] if jaw == "contour" else []

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> Sample:
        data = self.reader.read(index, self.keys)
        points = data["landmarks_2d"].astype(np.float64)
        if self.jaw == "contour":
            points = np.concatenate([data["landmarks_contour_2d"].astype(np.float64), points[17:]])
        return Sample(
            name=f"{index:06d}",
            rgb=data["rgb"],
            box=points_box(points),
            points=points,
            target=data["segmentation"],
            depth=data["depth"],
            intrinsics=data["intrinsics"].astype(np.float64),
        )
