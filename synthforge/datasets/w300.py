"""300-W layout: images with a `.pts` file of 68 points beside each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.conventions import N_LANDMARKS
from synthforge.datasets.photos import PhotoSource, Split, missing_tree
from synthforge.datasets.sample import CheckError, Sample, finite_points, points_box, read_rgb
from synthforge.datasets.source import SourceInfo

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def read_pts(path: Path) -> Float[np.ndarray, "68 2"]:
    """Points of a `.pts` file, in continuous pixels.

    The file counts from 1 and puts pixel centres at whole numbers (MATLAB), so 0.5 is subtracted.

    Raises:
        CheckError: unreadable, or not 68 points.
    """
    try:
        body = path.read_text(encoding="ascii").split("{", 1)[1].split("}", 1)[0]
        points = np.array([[float(v) for v in line.split()] for line in body.split("\n") if line.strip()])
    except (OSError, UnicodeDecodeError, IndexError, ValueError) as error:
        raise CheckError("E107", f"is no readable .pts file ({error})", where=str(path)) from error
    if points.shape != (N_LANDMARKS, 2):
        raise CheckError("E107", f"holds points of shape {points.shape}, expected (68, 2)", where=str(path))
    return finite_points(points - 0.5, path)


W300 = SourceInfo(
    "300w",
    points=N_LANDMARKS,
    tree="afw/, helen/{trainset,testset}/, lfpw/{trainset,testset}/, ibug/ with NAME.jpg and NAME.pts",
    # test: common, challenge, full; private (Sagonas et al.)
    published={"train": (3148,), "test": (554, 135, 689, 600)},
    licence="the photographs of 300-W are for non-commercial research only",
)
TEST_FOLDERS = {"testset", "ibug", "01_indoor", "02_outdoor"}


class W300Source(PhotoSource):
    """All annotated images below some folders, in the order of their paths.

    Args:
        folders: searched recursively; mirrored copies (`*_mirror.*`) are left out.
        split: all, or by the benchmark's folders: test is whatever lies in a `testset`, `ibug`,
            `01_Indoor` or `02_Outdoor` folder (Sagonas et al. 2013, 2016: HELEN and LFPW test sets, IBUG,
            the private set), train the rest.
    Raises:
        CheckError: no annotated image of that split (E101), points without an image (E102).
    """

    info = W300

    def __init__(self, folders: Sequence[Path], split: Split = "all"):
        candidates: list[tuple[Path, Path, str]] = []
        for folder in folders:
            found = sorted(Path(folder).rglob("*.pts")) if Path(folder).is_dir() else []
            found = [p for p in found if not p.stem.endswith("_mirror")]
            if not found:
                raise missing_tree(Path(folder), W300, "has no .pts file")
            if split != "all":
                found = [p for p in found if split == ("test" if _is_test(p) else "train")]
            if not found:
                raise missing_tree(Path(folder), W300, f"holds no photograph of the {split} split")
            candidates += [(_image_of(p), p, p.relative_to(folder).with_suffix("").as_posix()) for p in found]
        super().__init__(candidates, split)

    def __getitem__(self, index: int) -> Sample:
        image, pts, name = self.items[index]
        points = read_pts(pts)
        return Sample(name=name, rgb=read_rgb(str(image)), box=points_box(points), points=points, person=name)


def _is_test(pts: Path) -> bool:
    return not TEST_FOLDERS.isdisjoint(part.lower() for part in pts.resolve().parts[:-1])


def _image_of(pts: Path) -> Path:
    """The image beside the points; where there is none, the path it should have."""
    for suffix in IMAGE_SUFFIXES:
        for candidate in (pts.with_suffix(suffix), pts.with_suffix(suffix.upper())):
            if candidate.is_file():
                return candidate
    return pts.with_suffix(".jpg")
