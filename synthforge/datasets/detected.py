"""Landmarks of a detector in place of a source's own: what synthetic data is worth without its labels."""

from dataclasses import replace

import numpy as np

from synthforge.conventions import N_LANDMARKS
from synthforge.datasets.sample import CROP_SCALE, Sample, points_box
from synthforge.datasets.source import Derived, Source
from synthforge.detector import LandmarkDetector
from synthforge.errors import DatasetError

DETECTED_BOX = "box of the detected landmarks"


class DetectedSource(Derived):
    """`source` with the points (and the crop's box) of `detect`; samples without a face are left out.

    Raises:
        DatasetError: the detector finds no face at all, or gives something else than 68 x, y.
    """

    def __init__(self, source: Source, detect: LandmarkDetector):
        found = ((i, detect(source[i].rgb)) for i in range(len(source)))
        kept = {i: _checked(points, source, i) for i, points in found if points is not None}
        if not kept:
            raise DatasetError("the detector finds no face", where=source.info.name)
        self.points = list(kept.values())
        super().__init__(source, list(kept), crop_source=DETECTED_BOX, crop_scale=CROP_SCALE)

    def change(self, sample: Sample, index: int) -> Sample:
        points = self.points[index]
        return replace(sample, points=points, box=points_box(points))


def _checked(points: np.ndarray, source: Source, index: int) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.shape != (N_LANDMARKS, 2) or not np.isfinite(points).all():
        where = f"{source.info.name}, sample {index}"
        raise DatasetError(f"the detector gives {points.shape}", where=where, fix="68 x, y")
    return points
