"""Landmarks of a detector in place of a source's own: what synthetic data is worth without its labels."""

from dataclasses import replace

import numpy as np

from synthforge.datasets.sample import CROP_SCALE, Sample, Source, points_box
from synthforge.detector import LandmarkDetector
from synthforge.errors import DatasetError


class DetectedSource:
    """`source` with the points (and the crop's box) of `detect`; samples without a face are left out.

    Raises:
        DatasetError: the detector finds no face at all, or gives something else than 68 x, y.
    """

    crop_source, crop_scale = "box of the detected landmarks", CROP_SCALE

    def __init__(self, source: Source, detect: LandmarkDetector):
        for name in Source.__annotations__:
            if not hasattr(self, name):
                setattr(self, name, getattr(source, name))
        self.source = source
        found = ((i, detect(source[i].rgb)) for i in range(len(source)))
        self.points = [(i, self._checked(points, i)) for i, points in found if points is not None]
        if not self.points:
            raise DatasetError("the detector finds no face", where=source.name)

    def _checked(self, points: np.ndarray, index: int) -> np.ndarray:
        points = np.asarray(points, np.float64)
        if points.shape != (68, 2) or not np.isfinite(points).all():
            raise DatasetError(
                f"the detector gives {points.shape}",
                where=f"{self.source.name}, sample {index}",
                fix="68 x, y",
            )
        return points

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> Sample:
        at, points = self.points[index]
        return replace(self.source[at], points=points, box=points_box(points))
