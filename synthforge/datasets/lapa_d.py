"""LaPa-D layout: `{train,val,test}_list.txt` (names), `depth/NAME.png` (8 bit), beside or apart from LaPa.

The depth is relative: its scale and offset differ from image to image, and whether bright is near is
nowhere written, so it is measured: a nose's tip is nearer than the ends of its jaw.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from synthforge.datasets.lapa import LAPA, TO_68, LapaSource, lapa_files, read_lapa_points
from synthforge.datasets.photos import SPLITS, PhotoSource, Split, missing_tree
from synthforge.datasets.sample import CheckError, Sample, read_grey

LAPA_D = replace(
    LAPA,
    name="lapa-d",
    depth="relative",
    tree=f"{LAPA.tree}; {{train,val,test}}_list.txt and depth/NAME.png there or in another --data folder",
    published={},
)
MEASURED = 50  # photographs that tell whether bright is near


class LapaDSource(LapaSource):
    """LaPa with relative depth: `Sample.depth` grows with the distance from 0 (nearest) to 1.

    It is infinite on the background (class 0), of which the owner says nothing.

    Args:
        folders: LaPa's folder, and the folder with depth/ and the lists if it is another one.
        split: train, val, test or all, by the lists.
    Raises:
        CheckError: E101 or E102; E109 where the depth tells no near from far.
    """

    info = LAPA_D

    def __init__(self, folders: Sequence[Path], split: Split = "all"):
        root, images = _depth_root(folders), _lapa_root(folders)
        wanted = [s for s in SPLITS if split in ("all", s) and (root / f"{s}_list.txt").is_file()]
        if not wanted:
            raise missing_tree(root, LAPA_D, f"has no list of the {split} split")
        files = {
            row[0].stem: row for s in SPLITS if (images / s).is_dir() for row in lapa_files(images / s)[0]
        }
        names = [Path(n).stem for s in wanted for n in (root / f"{s}_list.txt").read_text().split()]
        absent = [str(images / "*" / "images" / f"{n}.jpg") for n in names if n not in files]
        candidates = [(*files[n], root / "depth" / f"{n}.png") for n in names if n in files]
        PhotoSource.__init__(self, candidates, split, absent)
        self.bright_is_near = _bright_is_near(self.items[:MEASURED], root)

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        z = read_depth(self.items[index][3], sample.rgb.shape[:2])
        z = np.where(sample.target == 0, np.inf, 1 - z if self.bright_is_near else z)
        return replace(sample, depth=z.astype(np.float32))


def read_depth(path: Path, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Stored depth over 255, as it is.

    Raises:
        CheckError: E109: not 8-bit grey, of another size, or the same everywhere.
    """
    try:
        stored: UInt8[np.ndarray, "h w"] = read_grey(str(path))
    except CheckError as error:
        raise CheckError("E109", "is no 8-bit grey image", where=str(path)) from error
    if stored.shape != size:
        raise CheckError("E109", f"depth is {stored.shape[::-1]}, image is {size[::-1]}", where=str(path))
    if stored.min() == stored.max():
        raise CheckError("E109", f"depth is {stored[0, 0]} everywhere", where=str(path))
    return stored.astype(np.float32) / 255


def _bright_is_near(items: list[tuple], root: Path) -> bool:
    votes = []
    for _, _, landmarks, depth in items:
        stored = cv2.imread(str(depth), cv2.IMREAD_GRAYSCALE)
        if stored is None:
            continue
        points = read_lapa_points(landmarks)[TO_68]
        at = np.clip(points.astype(int), 0, np.array(stored.shape[::-1]) - 1)
        value = stored[at[:, 1], at[:, 0]].astype(float)
        votes.append(np.sign(value[30] - value[[1, 15]].mean()))  # nose tip; jaw, just below the ears
    if not votes or abs(np.mean(votes)) < 0.5:
        what = (
            f"bright is near in {sum(v > 0 for v in votes)} of {len(votes)} photographs: neither near nor far"
        )
        raise CheckError(
            "E109", what, where=str(root / "depth"), fix="do depth and landmarks belong together?"
        )
    return bool(np.mean(votes) > 0)


def _depth_root(folders: Sequence[Path]) -> Path:
    for folder in map(Path, folders):
        if (folder / "depth").is_dir():
            return folder
    raise missing_tree(Path(folders[0]), LAPA_D, "has no depth/")


def _lapa_root(folders: Sequence[Path]) -> Path:
    for folder in map(Path, folders):
        for root in (folder, folder / "LaPa"):
            if any((root / s / "images").is_dir() for s in SPLITS):
                return root
    raise missing_tree(Path(folders[0]), LAPA_D, "has no {train,val,test}/images/")
