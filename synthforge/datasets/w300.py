"""300-W layout: images with a `.pts` file of 68 points beside each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.conventions import N_LANDMARKS
from synthforge.datasets.sample import CROP_SCALE, Sample, points_box, read_rgb
from synthforge.errors import DatasetError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def read_pts(path: Path) -> Float[np.ndarray, "68 2"]:
    """Points of a `.pts` file, in continuous pixels.

    The file counts from 1 and puts pixel centres at whole numbers (MATLAB), so 0.5 is subtracted.

    Raises:
        DatasetError: unreadable, or not 68 points.
    """
    try:
        body = path.read_text(encoding="ascii").split("{", 1)[1].split("}", 1)[0]
        points = np.array([[float(v) for v in line.split()] for line in body.split("\n") if line.strip()])
    except (OSError, UnicodeDecodeError, IndexError, ValueError) as error:
        raise DatasetError(f"is no readable .pts file ({error})", where=str(path)) from error
    if points.shape != (N_LANDMARKS, 2):
        raise DatasetError(f"holds points of shape {points.shape}, expected (68, 2)", where=str(path))
    if not np.isfinite(points).all():
        raise DatasetError("holds a point that is not a number", where=str(path))
    return points - 0.5


class W300Source:
    """All annotated images below some folders, in the order of their paths.

    Args:
        folders: searched recursively; mirrored copies (`*_mirror.*`) are left out.
        split: all, or by the benchmark's folders: test is whatever lies in a `testset` or `ibug`
            folder (Sagonas et al. 2013: HELEN and LFPW test sets, IBUG), train the rest.
    Raises:
        DatasetError: no annotated image of that split.
    """

    name = "300w"
    classes = ()
    flip_classes = np.arange(256, dtype=np.uint8)
    has_points, has_depth = True, False
    crop_source = "box of the annotated landmarks"
    crop_scale = CROP_SCALE

    def __init__(self, folders: Sequence[Path], split: str = "all"):
        self.items: list[tuple[Path, Path, str]] = []
        for folder in folders:
            if not Path(folder).is_dir():
                raise DatasetError("no such folder", where=str(folder))
            found = sorted(p for p in Path(folder).rglob("*.pts") if not p.stem.endswith("_mirror"))
            if not found:
                raise DatasetError(
                    "no .pts file below", where=str(folder), fix="expected NAME.pts beside NAME.jpg"
                )
            if split != "all":
                found = [p for p in found if (split == "test") == _is_test(p)]
            if not found:
                raise DatasetError(
                    f"holds no photograph of the {split} split",
                    where=str(folder),
                    fix="see --data and --split",
                )
            self.items += [(_image_of(p), p, str(p.relative_to(folder).with_suffix(""))) for p in found]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        image, pts, name = self.items[index]
        points = read_pts(pts)
        return Sample(name=name, rgb=read_rgb(str(image)), box=points_box(points), points=points, person=name)


def _is_test(pts: Path) -> bool:
    return not {"testset", "ibug"}.isdisjoint(part.lower() for part in pts.resolve().parts[:-1])


def _image_of(pts: Path) -> Path:
    for suffix in IMAGE_SUFFIXES:
        for candidate in (pts.with_suffix(suffix), pts.with_suffix(suffix.upper())):
            if candidate.is_file():
                return candidate
    raise DatasetError("has no image beside it", where=str(pts), fix=f"expected {pts.stem}.jpg or .png")
