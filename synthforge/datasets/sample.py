"""One annotated image, whatever it was read from, and the crop that shows its face."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from synthforge.errors import DatasetError


@dataclass(frozen=True)
class Sample:
    """An image with the labels it has; pixels are continuous, (0, 0) the outer corner.

    `box` (x0, y0, x1, y1) is what the crop is made from: the landmarks' bounding box, or what the
    layout declares. `target` holds class ids of the source's own schema (255: unknown); `depth` z in
    metres (inf: none); `person` groups images that must not be split.
    """

    name: str
    rgb: UInt8[np.ndarray, "h w 3"]
    box: tuple[float, float, float, float]
    points: Float[np.ndarray, "p 2"] | None = None
    target: UInt8[np.ndarray, "h w"] | None = None
    depth: Float[np.ndarray, "h w"] | None = None
    person: str = ""

    def reduced(self, max_side: float) -> "Sample":
        """The same sample with the image and its labels scaled so that the box's longer side is at
        most `max_side` pixels (area average for the image, nearest for the rest)."""
        side = max(self.box[2] - self.box[0], self.box[3] - self.box[1])
        if side <= max_side:
            return self
        h, w = self.rgb.shape[:2]
        size = max(1, round(w * max_side / side)), max(1, round(h * max_side / side))
        scale = np.array([size[0] / w, size[1] / h])

        def shrink(labels: np.ndarray | None) -> np.ndarray | None:
            return None if labels is None else cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)

        return replace(
            self,
            rgb=cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA),
            box=tuple(float(v) for v in np.array(self.box) * np.tile(scale, 2)),
            points=None if self.points is None else self.points * scale,
            target=shrink(self.target),
            depth=shrink(self.depth),
        )


@dataclass(frozen=True)
class TargetClass:
    """A class of a benchmark: its id there, its name, and our classes that it is made of."""

    id: int
    name: str
    sources: tuple[str, ...]
    color: tuple[int, int, int] = (128, 128, 128)


@runtime_checkable
class Source(Protocol):
    """A data set: `source[i]` reads sample i. `classes` is empty where nothing is segmented.

    `flip_classes` maps a class id to the id in the mirrored image (256 entries); the plain crop is
    `crop_scale` times the sample's box, `crop_source` says what that box is.
    """

    name: str
    classes: tuple[TargetClass, ...]
    flip_classes: UInt8[np.ndarray, " 256"]
    has_points: bool
    has_depth: bool
    crop_source: str
    crop_scale: float

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class CachedSource:
    """A source whose samples were read once and are kept in memory, reduced to what a crop needs."""

    def __init__(self, source: Source, max_side: float, indices: Sequence[int] | None = None):
        self.name, self.classes, self.flip_classes = source.name, source.classes, source.flip_classes
        self.has_points, self.has_depth = source.has_points, source.has_depth
        self.crop_source, self.crop_scale = source.crop_source, source.crop_scale
        wanted = range(len(source)) if indices is None else indices
        self.samples = [source[i].reduced(max_side) for i in wanted]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


CROP_SCALE = 1.3  # side of the crop over the landmarks' box: forehead and chin have room


def points_box(points: Float[np.ndarray, "p 2"]) -> tuple[float, float, float, float]:
    """Bounding box of landmarks."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def read_rgb(path: str) -> UInt8[np.ndarray, "h w 3"]:
    """Image file as RGB; the orientation tag is ignored, as annotators' tools did.

    Raises:
        DatasetError: the file is missing or no image.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DatasetError("cannot be read as an image", where=path)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_ids(path: str, like: Shaped[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """Class-index image (grey or palette PNG) of the size of `like`.

    Raises:
        DatasetError: unreadable, not 8-bit single-channel, or of another size.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            mode, ids = image.mode, np.array(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError("cannot be read as an image", where=path) from error
    if ids.ndim != 2 or ids.dtype != np.uint8:
        raise DatasetError(f"is a {mode} image", where=path, fix="masks hold one 8-bit class id per pixel")
    if ids.shape != like.shape[:2]:
        raise DatasetError(f"mask is {ids.shape[::-1]}, image is {like.shape[1::-1]}", where=path)
    return ids
