"""HELEN* layout: `train/NAME_image.jpg` with `train/NAME_label.png` (the 11 classes of LaPa), and `test/`.

"Left" is the viewer's, as in LaPa. The owner gives no landmarks. `test_resize/`, where it is wanted in place
of `test/`, is given as the folder itself.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthforge.datasets.photos import PhotoSource, Split, find_root, missing_tree
from synthforge.datasets.sample import Sample, mask_box, read_ids, read_rgb
from synthforge.datasets.schemas import LAPA_CLASSES
from synthforge.datasets.source import SourceInfo
from synthforge.errors import DatasetError

HELEN = SourceInfo(
    "helen",
    LAPA_CLASSES,
    crop_source="box of the facial classes",
    crop_scale=1.5,  # hair lies around that box
    tree="{train,test}/NAME_image.jpg and NAME_label.png",
    published={"train": (2000,), "val": (230,), "test": (100,)},  # Smith et al. 2013, section 4
    licence="the photographs of HELEN are for non-commercial research only",
)
FACIAL = tuple(range(1, 10))


class HelenSource(PhotoSource):
    """HELEN*: the whole set, or single folders.

    Args:
        folders: the folder with train/ and test/, or such folders themselves.
        split: train, test, all; val are the photographs of train/ that the original data set's list
            `tuning.txt` names, if it lies beside train/ (they are then left out of train).
    Raises:
        CheckError: E101 or E102.
    """

    info = HELEN

    def __init__(self, folders: Sequence[Path], split: Split = "all"):
        candidates: list[tuple[Path, Path]] = []
        for folder in map(Path, folders):
            images = _images(folder, split)
            candidates += [(p, p.with_name(f"{_name(p)}_label.png")) for p in images]
        super().__init__(candidates, split)

    def __getitem__(self, index: int) -> Sample:
        image, label = self.items[index]
        rgb = read_rgb(str(image))
        ids = read_ids(str(label), rgb, len(LAPA_CLASSES))
        name = _name(image)
        return Sample(name, rgb, mask_box(np.isin(ids, FACIAL)), target=ids, person=name)


def _images(folder: Path, split: Split) -> list[Path]:
    if images := sorted(folder.glob("*_image.jpg")):
        own = folder.resolve().name.removesuffix("_resize")
        if split != "all" and own in ("train", "test") and own != split:
            raise missing_tree(folder, HELEN, f"is the {own} split, not the {split} split")
        return images
    root = find_root(folder, HELEN, lambda p: any(p.glob("t*/*_image.jpg")))
    tuning = read_list(root / "tuning.txt") if (root / "tuning.txt").is_file() else set()
    images = [p for s in ("train", "test") for p in sorted((root / s).glob("*_image.jpg"))]
    chosen = [p for p in images if split in ("all", _split(p, tuning))]
    if not chosen:
        fix = "val needs the list tuning.txt beside train/" if split == "val" else ""
        raise missing_tree(
            root, HELEN, f"has no photograph of the {split} split" + (f" ({fix})" if fix else "")
        )
    return chosen


def _split(image: Path, tuning: set[str]) -> str:
    return "val" if image.parent.name == "train" and _name(image) in tuning else image.parent.name


def _name(image: Path) -> str:
    return image.name.removesuffix("_image.jpg")


def read_list(path: Path) -> set[str]:
    """Names in a list of lines `number , name` (or `name` alone).

    Raises:
        DatasetError: unreadable.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot be read as a list ({error})", where=str(path)) from error
    return {line.replace(",", " ").split()[-1] for line in lines if line.strip(" ,\t")}
