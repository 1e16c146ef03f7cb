"""One annotated image, whatever it was read from, and the crop that shows its face."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from synthforge.errors import DatasetError


class CheckError(DatasetError):
    """A data set fails check `code` (E101 to E114, `synthforge.datasets.validate`)."""

    def __init__(self, code: str, what: str, *, where: str = "", fix: str = ""):
        self.code = code
        super().__init__(f"{code}: {what}", where=where, fix=fix)

    def __reduce__(self):  # workers hand it to the process that waits for them
        what = self.what.removeprefix(f"{self.code}: ")
        return partial(type(self), where=self.where, fix=self.fix), (self.code, what)


@dataclass(frozen=True)
class Sample:
    """An image with the labels it has; pixels are continuous, (0, 0) the outer corner.

    `box` (x0, y0, x1, y1) is what the crop is made from: the landmarks' bounding box, or what the
    layout declares. `target` holds class ids of the source's own schema (255: unknown); `depth` z in
    metres (inf: none), or of unknown scale and offset where the source says that it is relative;
    `intrinsics` are in pixels of the image, where the camera is known; `person` groups images that must
    not be split. Synthetic samples may have `visible` (0 outside, 1 occluded, 2 visible; None: not known),
    `alpha` (coverage by the head) and `normals` (camera frame; 0: none) too, and, for soft targets, `layers`:
    coverage (255: all) of some classes by id, with `under`, the class ids of what they leave of each pixel.
    """

    name: str
    rgb: UInt8[np.ndarray, "h w 3"]
    box: tuple[float, float, float, float]
    points: Float[np.ndarray, "p 2"] | None = None
    target: UInt8[np.ndarray, "h w"] | None = None
    depth: Float[np.ndarray, "h w"] | None = None
    person: str = ""
    intrinsics: Float[np.ndarray, "3 3"] | None = None
    visible: UInt8[np.ndarray, " p"] | None = None
    alpha: UInt8[np.ndarray, "h w"] | None = None
    normals: Float[np.ndarray, "h w 3"] | None = None
    under: UInt8[np.ndarray, "h w"] | None = None
    layers: dict[int, UInt8[np.ndarray, "h w"]] = field(default_factory=dict)

    def reduced(self, max_side: float) -> "Sample":
        """The same sample with the image and its labels scaled so that the box's longer side is at
        most `max_side` pixels (area average for the image, the pixel at the centre for the rest)."""
        side = max(self.box[2] - self.box[0], self.box[3] - self.box[1])
        if side <= max_side:
            return self
        h, w = self.rgb.shape[:2]
        size = max(1, round(w * max_side / side)), max(1, round(h * max_side / side))
        scale = np.array([size[0] / w, size[1] / h])

        def shrink(labels: np.ndarray | None) -> np.ndarray | None:
            return None if labels is None else cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)

        return replace(
            self,
            rgb=cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA),
            box=tuple(float(v) for v in np.array(self.box) * np.tile(scale, 2)),
            points=None if self.points is None else self.points * scale,
            target=shrink(self.target),
            depth=shrink(self.depth),
            alpha=shrink(self.alpha),
            normals=shrink(self.normals),
            under=shrink(self.under),
            layers={k: cv2.resize(v, size, interpolation=cv2.INTER_AREA) for k, v in self.layers.items()},
            intrinsics=None if self.intrinsics is None else np.diag([*scale, 1]) @ self.intrinsics,
        )

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Feed the image and its labels to a hash."""
        digest.update(self.name.encode())
        for labels in (self.rgb, self.points, self.target, self.depth):
            digest.update(b"" if labels is None else np.ascontiguousarray(labels).tobytes())


LANDMARK_BOX = "box of the annotated landmarks"  # `crop_source` of crops made from the 68 points
CROP_SCALE = 1.3  # side of the crop over the landmarks' box: forehead and chin have room


def points_box(points: Float[np.ndarray, "p 2"]) -> tuple[float, float, float, float]:
    """Bounding box of landmarks."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def finite_points(points: Float[np.ndarray, "p 2"], path: Path) -> Float[np.ndarray, "p 2"]:
    """The same points.

    Raises:
        CheckError: E107: a coordinate is not a number.
    """
    if not np.isfinite(points).all():
        raise CheckError("E107", "holds a point that is not a number", where=str(path))
    return points


def mask_box(inside: Bool[np.ndarray, "h w"]) -> tuple[float, float, float, float]:
    """Bounding box of the pixels that are set; of the whole mask where none is."""
    if not inside.any():
        inside = np.ones_like(inside)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def read_rgb(path: str) -> UInt8[np.ndarray, "h w 3"]:
    """Image file as RGB; the orientation tag is ignored, as annotators' tools did.

    Raises:
        CheckError: the file is missing or no image.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise CheckError("E112", "cannot be read as an image", where=path)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_grey(path: str) -> UInt8[np.ndarray, "h w"]:
    """One 8-bit number per pixel: a grey PNG's, or the indices of a palette PNG.

    Raises:
        CheckError: unreadable, or not 8-bit single-channel.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            mode, ids = image.mode, np.array(image)
    except (OSError, UnidentifiedImageError) as error:
        raise CheckError("E112", "cannot be read as an image", where=path) from error
    if ids.ndim != 2 or ids.dtype != np.uint8:
        fix = "masks hold one 8-bit class id per pixel"
        raise CheckError("E105", f"is a {mode} image", where=path, fix=fix)
    return ids


def read_ids(path: str, like: Shaped[np.ndarray, "h w 3"], n_classes: int = 255) -> UInt8[np.ndarray, "h w"]:
    """Class-index image (grey or palette PNG) of the size of `like`.

    Args:
        n_classes: ids are 0 to n_classes - 1, or 255.
    Raises:
        CheckError: unreadable, not 8-bit single-channel, of another size, or with unknown ids.
    """
    ids = read_grey(path)
    if ids.shape != like.shape[:2]:
        raise CheckError("E104", f"mask is {ids.shape[::-1]}, image is {like.shape[1::-1]}", where=path)
    require_known(ids, n_classes, path)
    return ids


def require_known(ids: UInt8[np.ndarray, "h w"], n_classes: int, path: str) -> None:
    """Raise E105, with the counts of unknown ids, unless all are below `n_classes` or 255."""
    counts = np.bincount(ids.ravel(), minlength=256)
    unknown = [i for i in range(n_classes, 255) if counts[i]]
    if not unknown:
        return
    listed = ", ".join(f"{i} ({counts[i]} px)" for i in unknown[:6])
    grey = len(unknown) > 8 or unknown[-1] > 4 * n_classes
    hint = "these look like grey levels, not ids" if grey else "is it another id order?"
    raise CheckError(
        "E105", f"holds unknown ids {listed}", where=path, fix=f"known are 0 to {n_classes - 1}, 255; {hint}"
    )
