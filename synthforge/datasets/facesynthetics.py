"""FaceSynthetics layout: one folder of `000000.png`, `000000_seg.png` and `000000_ldmks.txt` (70 points).

Sides are the subject's. 255 is IGNORE and stays unknown. Points 0-67 are iBUG's, projected through the head
where they are hidden; 68 and 69 are the pupils.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.conventions import N_LANDMARKS
from synthforge.datasets.photos import PhotoSource, Split, missing_tree
from synthforge.datasets.sample import CheckError, Sample, finite_points, points_box, read_ids, read_rgb
from synthforge.datasets.schemas import FACESYNTHETICS_CLASSES
from synthforge.datasets.source import SourceInfo

FACESYNTHETICS = SourceInfo(
    "facesynthetics",
    FACESYNTHETICS_CLASSES,
    N_LANDMARKS,
    tree="000000.png, 000000_seg.png and 000000_ldmks.txt in one folder",
    licence="FaceSynthetics is for non-commercial research only",
)
HELD_OUT = 20  # the owner gives no split; every 20th number is our test split


def read_ldmks(path: Path) -> Float[np.ndarray, "70 2"]:
    """Landmark file, in pixels; projections, so (0, 0) is the outer corner.

    Raises:
        CheckError: E107: unreadable, or not 70 points.
    """
    try:
        points = np.array(
            [line.split() for line in path.read_text().splitlines() if line.strip()], np.float64
        )
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CheckError("E107", f"is no readable landmark file ({error})", where=str(path)) from error
    if points.shape != (N_LANDMARKS + 2, 2):
        raise CheckError("E107", f"holds points of shape {points.shape}, expected (70, 2)", where=str(path))
    return finite_points(points, path)


class FaceSyntheticsSource(PhotoSource):
    """FaceSynthetics by number.

    Args:
        folders: folders with the files.
        split: test is every 20th number (0, 20, ...), train the others.
    Raises:
        CheckError: E101 or E102.
    """

    info = FACESYNTHETICS

    def __init__(self, folders: Sequence[Path], split: Split = "all"):
        candidates: list[tuple[Path, Path, Path]] = []
        for folder in map(Path, folders):
            images = sorted(p for p in folder.glob("*.png") if p.stem.isdigit()) if folder.is_dir() else []
            chosen = [p for p in images if split in ("all", _split(p))]
            if not chosen:
                raise missing_tree(folder, FACESYNTHETICS, f"has no image of the {split} split")
            candidates += [
                (p, p.with_name(f"{p.stem}_seg.png"), p.with_name(f"{p.stem}_ldmks.txt")) for p in chosen
            ]
        super().__init__(candidates, split)

    def __getitem__(self, index: int) -> Sample:
        image, label, landmarks = self.items[index]
        rgb = read_rgb(str(image))
        ids = read_ids(str(label), rgb, len(FACESYNTHETICS_CLASSES))
        points = read_ldmks(landmarks)[:N_LANDMARKS]
        return Sample(image.stem, rgb, points_box(points), points, target=ids, person=image.stem)


def _split(image: Path) -> str:
    return "test" if int(image.stem) % HELD_OUT == 0 else "train"
