"""Where the faces are: boxes a user gives, or those of OpenCV's stock detector.

A box is x0, y0, x1, y1 in pixels of the upright picture: the bounding box of a face's 68 landmarks,
brows to chin, ear to ear. That is what the networks' crops were made from in training.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path

import cv2
import numpy as np

from synthforge.errors import AssetError, DatasetError
from synthforge.prediction.sources import Picture

Box = tuple[float, float, float, float]
COORDINATES = ("x0", "y0", "x1", "y1")


class GivenBoxes:
    """Boxes from a file of rows `file, x0, y0, x1, y1` and, for videos, `frame`.

    CSV with these names in its first line, or a JSON list of objects with these keys. `file` is the
    file's path or its last parts ("b.jpg" or "a/b.jpg"); without `frame` a box holds for all frames.

    Raises:
        DatasetError: the file cannot be read, or a row is not a box.
    """

    reason = "no box given"

    def __init__(self, path: Path):
        self.rows: list[tuple[tuple[str, ...], int | None, Box]] = []
        try:
            text = path.read_text(encoding="utf-8-sig")
            json_file = path.suffix.lower() == ".json"
            rows = json.loads(text) if json_file else list(csv.DictReader(text.splitlines()))
        except (OSError, ValueError, csv.Error) as error:
            raise DatasetError(f"cannot be read ({error})", where=str(path)) from error
        if not isinstance(rows, list):
            raise DatasetError("holds no list of boxes", where=str(path), fix="see docs/predict.md")
        for number, row in enumerate(rows, 1):
            self.rows.append(_row(row, f"{path}, box {number}"))

    def __call__(self, picture: Picture) -> list[Box]:
        """Boxes of one picture, in the file's order."""
        parts = picture.source.path.parts
        return [
            box
            for file, frame, box in self.rows
            if parts[-len(file) :] == file and frame in (None, picture.frame)
        ]


def _row(row: object, where: str) -> tuple[tuple[str, ...], int | None, Box]:
    try:
        file = Path(row["file"]).parts  # type: ignore[index]
        frame = None if row.get("frame") in (None, "") else int(row["frame"])
        box = tuple(float(row[key]) for key in COORDINATES)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "give file, x0, y0, x1, y1, and frame for one frame of a video"
        raise DatasetError(f"got {row}", where=where, fix=fix) from error
    x0, y0, x1, y1 = box
    if not (file and np.isfinite(box).all() and x0 < x1 and y0 < y1):
        raise DatasetError(f"got {row}", where=where, fix="a box has x0 < x1 and y0 < y1, in pixels")
    return file, frame, box


class Detector:
    """Where faces may be: OpenCV's Haar cascades (Viola & Jones 2001), frontal and profile.

    Their squares are turned into boxes as defined above. They are candidates only: the network looks at
    each and says whether it is a face (`faces.find_faces`), so they may be many and wrong.

    Args:
        all_faces: every face, the largest first; otherwise the largest alone.
    Raises:
        AssetError: this OpenCV has no cascades.
    """

    reason = "no face found"
    CASCADES = ("frontalface_default", "frontalface_alt2", "profileface")
    SIDE = 800  # longer side that a picture is searched at: faces from 4 % of it on
    # The landmarks' box against the detector's square: longer side, and how far its centre lies below.
    # Medians over 223 faces that the embedded generator made with configs/generate/default.yaml.
    SCALE, DROP = 0.82, 0.167
    WHOLE = (0.9, 0.65, 0.45, 0.3)  # of a picture's shorter side: boxes about its centre

    def __init__(self, all_faces: bool = False):
        self.all_faces = all_faces
        folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", ""))  # some builds have no `data`
        files = [folder / f"haarcascade_{name}.xml" for name in self.CASCADES]
        if not (hasattr(cv2, "CascadeClassifier") and all(file.is_file() for file in files)):
            raise _no_cascades()
        self.cascades = [cv2.CascadeClassifier(str(file)) for file in files]

    def attempts(self) -> Iterator[Callable[[Picture], list[Box]]]:
        """Searches, the next one for pictures in which the last one found no face: from the quick and
        strict to the slow and loose, and at last the middle of the picture."""
        if not self.all_faces:
            yield partial(self.search, self.cascades[:1], 5)
            yield partial(self.search, self.cascades[1:], 5)
        yield partial(self.search, self.cascades, 1)
        yield self.middle

    def search(self, cascades: Sequence, neighbours: int, picture: Picture) -> list[Box]:
        """Boxes that `neighbours` overlapping hits of a cascade speak for, the largest first."""
        grey = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY)
        shrink = max(1.0, max(grey.shape) / self.SIDE)
        size = [max(1, round(side / shrink)) for side in grey.shape[::-1]]
        small = cv2.equalizeHist(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
        scale = np.array(grey.shape[::-1]) / size
        squares = []
        for cascade in cascades:
            squares += _squares(cascade, small, neighbours)
            if cascade is self.cascades[-1]:  # profiles that look the other way
                mirrored = _squares(cascade, np.ascontiguousarray(small[:, ::-1]), neighbours)
                squares += [(size[0] - x - side, y, side) for x, y, side in mirrored]
        squares.sort(key=lambda square: (-square[2], square))
        return [self._box(np.array([x, y]), side, scale) for x, y, side in squares]

    def middle(self, picture: Picture) -> list[Box]:
        """Boxes about the centre, for close-ups: cascades want the whole head in the picture."""
        h, w = picture.rgb.shape[:2]
        halves = [share * min(h, w) / 2 for share in self.WHOLE]
        return [(w / 2 - half, h / 2 - half, w / 2 + half, h / 2 + half) for half in halves]

    def _box(self, corner: np.ndarray, side: float, scale: np.ndarray) -> Box:
        centre = (corner + side * np.array([0.5, 0.5 + self.DROP])) * scale
        half = side * self.SCALE / 2 * scale
        return tuple(float(v) for v in (*(centre - half), *(centre + half)))


def _no_cascades() -> AssetError:
    """Names every package that brings OpenCV: they share one folder, and the last one installed has won."""
    packages = sorted(set(packages_distributions().get("cv2", [])))
    installed = ", ".join(f"{name} {version(name)}" for name in packages) or "by no Python package"
    remove = f"pip uninstall {' '.join(packages)}; " if packages else ""
    return AssetError(
        f"OpenCV {cv2.__version__} comes without its face cascades (installed: {installed})",
        where="face detection",
        fix=f'{remove}pip install "opencv-python-headless>=4.9,<5"; or give --boxes',
    )


def _squares(cascade, grey: np.ndarray, neighbours: int) -> list[tuple[int, int, int]]:
    """Hits of a cascade: x, y, side."""
    found = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=neighbours, minSize=(30, 30))
    return [(x, y, side) for x, y, side, _ in np.asarray(found).reshape(-1, 4).tolist()]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a, b
    both = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    return both / ((ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both)
