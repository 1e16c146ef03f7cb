"""LaPa layout: `images/*.jpg`, `labels/*.png` (11 classes) and `landmarks/*.txt` (106 points).

LaPa's "left" is the viewer's left; class names here are the subject's, so ids 2 and 4 are RIGHT brow
and eye. Source: the data set's label map, and the sides measured on its sample images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.conventions import N_LANDMARKS
from synthforge.datasets.photos import PhotoSource, Split, missing_tree, orphans, split_folders
from synthforge.datasets.sample import CheckError, Sample, finite_points, points_box, read_ids, read_rgb
from synthforge.datasets.schemas import LAPA_CLASSES
from synthforge.datasets.source import SourceInfo

LAPA = SourceInfo(
    "lapa",
    LAPA_CLASSES,
    N_LANDMARKS,
    tree="LaPa/{train,val,test}/{images,labels,landmarks}",
    published={"train": (18176,), "val": (2000,), "test": (2000,)},  # Liu et al. 2020, section 3
    licence="LaPa is for non-commercial research only",
)

# 106 points to iBUG-68. Contour: 33 points, every second one. Brows: 9 points closed (33-41 right,
# 42-50 left), of which the upper edge is what iBUG marks. Eyes: 8 points closed from the outer (right
# eye) or inner (left eye) corner; iBUG has 6. Nose base 55-65, lips 84-103 as in iBUG.
TO_68 = np.array(
    [*range(0, 33, 2)]
    + [33, 34, 35, 36, 37, 42, 43, 44, 45, 46]
    + [51, 52, 53, 54, 58, 59, 60, 61, 62]
    + [66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82]
    + [*range(84, 104)]
)


def read_lapa_points(path: Path) -> Float[np.ndarray, "106 2"]:
    """Landmark file of LaPa, in continuous pixels (the file counts pixel centres from 0).

    Raises:
        CheckError: unreadable, or not 106 points.
    """
    try:
        numbers = np.array(path.read_text(encoding="ascii").split(), np.float64)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CheckError("E107", f"is no readable landmark file ({error})", where=str(path)) from error
    if len(numbers) != 213 or numbers[0] != 106:
        raise CheckError("E107", "expected '106' and 106 lines 'x y'", where=str(path))
    return finite_points(numbers[1:].reshape(106, 2) + 0.5, path)


class LapaSource(PhotoSource):
    """LaPa: the whole set, or single splits.

    Args:
        folders: the folder with train/, val/ and test/ (or LaPa/ with them), or such folders themselves.
        split: one of them, or all.
    Raises:
        CheckError: E101 or E102.
    """

    info = LAPA

    def __init__(self, folders: Sequence[Path], split: Split = "all"):
        candidates, lonely = [], []
        for root in folders:
            for folder in split_folders(root, split, LAPA, lambda p: (p / "images").is_dir(), "LaPa"):
                found, without = lapa_files(folder)
                candidates, lonely = candidates + found, lonely + without
        super().__init__(candidates, split, lonely)

    def __getitem__(self, index: int) -> Sample:
        image, label, landmarks = self.items[index][:3]
        rgb = read_rgb(str(image))
        ids = read_ids(str(label), rgb, len(LAPA_CLASSES))
        points = read_lapa_points(landmarks)[TO_68]
        return Sample(image.stem, rgb, points_box(points), points=points, target=ids, person=image.stem)


def lapa_files(folder: Path) -> tuple[list[tuple[Path, Path, Path]], list[str]]:
    """Image, label and landmarks of one split's folder by name, and labels without an image."""
    images = sorted((folder / "images").glob("*.jpg"))
    if not images:
        raise missing_tree(folder / "images", LAPA, "has no photograph")
    rows = [(p, folder / "labels" / f"{p.stem}.png", folder / "landmarks" / f"{p.stem}.txt") for p in images]
    return rows, orphans(sorted((folder / "labels").glob("*.png")), {p.stem for p in images})
