"""CelebAMask-HQ layout: `CelebA-HQ-img/N.jpg` and, for each part that a face shows, a mask
`CelebAMask-HQ-mask-anno/{N // 2000}/{N:05d}_{part}.png` of 512 pixels.

Part masks overlap, so the order in which they are painted decides; later ones win. `official` is the order
of the owner's g_mask.py; `farl` that of FaRL and SegFace, which paint neck, skin and cloth first. `datagen16`
is the official order without earring, necklace and cloth. Class ids are the owner's in any order.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from synthforge.datasets.photos import SPLITS, PhotoSource, Split, find_root, missing_tree
from synthforge.datasets.sample import CheckError, Sample, read_rgb
from synthforge.datasets.schemas import (
    CELEBAMASK_CLASSES,
    CELEBAMASK_PARTS,
    DATAGEN16_CLASSES,
    DATAGEN16_PARTS,
)
from synthforge.datasets.source import SourceInfo
from synthforge.errors import DatasetError

IMAGES, MASKS, MAPPING = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"
PARTITION = "list_eval_partition.txt"
VAL_FROM, TEST_FROM = 162771, 182638  # orig_idx in the owner's g_partition.py
CELEBAMASK = SourceInfo(
    "celebamask",
    CELEBAMASK_CLASSES,
    crop_scale=1.0,
    tree=f"{IMAGES}/, {MASKS}/0..14/, {MAPPING}",
    published={"train": (24183,), "val": (2993,), "test": (2824,)},  # Lee et al. 2020, by CelebA's own split
    licence="CelebAMask-HQ is for non-commercial research only",
)
MergeOrder = Literal["official", "farl", "datagen16"]
MERGE_ORDERS: dict[str, tuple[str, ...]] = {
    "official": tuple(CELEBAMASK_PARTS),
    "farl": tuple(
        "neck skin cloth l_ear r_ear l_brow r_brow l_eye r_eye nose mouth l_lip u_lip hair eye_g hat ear_r "
        "neck_l".split()
    ),
    "datagen16": DATAGEN16_PARTS,
}


def paint(parts: dict[str, UInt8[np.ndarray, "h w"]], order: MergeOrder) -> UInt8[np.ndarray, "h w"]:
    """Class ids from part masks (set where not 0), painted one over the other; parts may be absent."""
    numbering = DATAGEN16_PARTS if order == "datagen16" else tuple(CELEBAMASK_PARTS)
    ids = np.zeros(next(iter(parts.values())).shape, np.uint8)
    for part in MERGE_ORDERS[order]:
        if part in parts:
            ids[parts[part] != 0] = numbering.index(part) + 1
    return ids


class CelebAMaskSource(PhotoSource):
    """CelebAMask-HQ at the resolution of its masks: photographs of twice the side are averaged.

    Args:
        folders: the folder with the images and the part masks (or CelebAMask-HQ/ with them).
        split: by CelebA's partition: from its file `list_eval_partition.txt` if it lies there, else by
            the original numbers in the mapping file.
        order: how overlapping parts are merged; `datagen16` has 16 classes.
    Raises:
        CheckError: E101 or E102.
    """

    def __init__(self, folders: Sequence[Path], split: Split = "all", order: MergeOrder = "official"):
        self.order: MergeOrder = order
        self.info = replace(
            CELEBAMASK,
            name=CELEBAMASK.name + ("" if order == "official" else f"-{order}"),
            schema=DATAGEN16_CLASSES if order == "datagen16" else CELEBAMASK_CLASSES,
            crop_source=f"whole image (merge order {order})",
        )
        candidates: list[tuple] = []
        for folder in folders:
            root = find_root(folder, CELEBAMASK, lambda p: (p / IMAGES).is_dir(), "CelebAMask-HQ")
            candidates += _numbered(root, split)
        super().__init__(candidates, split)

    def __getitem__(self, index: int) -> Sample:
        image, *masks = self.items[index]
        rgb = read_rgb(str(image))
        parts = {p.stem.split("_", 1)[1]: read_part(p) for p in masks}
        sizes = {mask.shape for mask in parts.values()}
        h, w = min(sizes)
        if len(sizes) > 1 or rgb.shape[:2] not in ((h, w), (2 * h, 2 * w)):
            found = ", ".join(f"{b}x{a}" for a, b in sorted(sizes))
            what = f"masks are {found}, image is {rgb.shape[1]}x{rgb.shape[0]}"
            raise CheckError("E104", what, where=str(image), fix="the image has the masks' side, or twice it")
        if rgb.shape[:2] != (h, w):
            rgb = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
        box = (0.0, 0.0, float(w), float(h))
        return Sample(image.stem, rgb, box, target=paint(parts, self.order), person=image.stem)


def read_part(path: Path) -> UInt8[np.ndarray, "h w"]:
    """A part mask; the owner's files are colour images of black and white."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise CheckError("E112", "cannot be read as an image", where=str(path))
    return mask


def _numbered(root: Path, split: Split) -> list[tuple[Path, ...]]:
    """For each image of the split its path and those of its part masks; of a skin that is no file
    where it has none."""
    numbers = sorted(int(p.stem) for p in (root / IMAGES).glob("*.jpg") if p.stem.isdigit())
    if split != "all":
        splits = read_splits(root)
        numbers = [n for n in numbers if splits.get(n) == split]
    if not numbers:
        raise missing_tree(root, CELEBAMASK, f"has no photograph of the {split} split")
    masks: dict[int, list[Path]] = {}
    for path in sorted((root / MASKS).glob("*/*.png")):
        number, _, part = path.stem.partition("_")
        if number.isdigit() and part in CELEBAMASK_PARTS:
            masks.setdefault(int(number), []).append(path)
    skins = {n: root / MASKS / str(n // 2000) / f"{n:05d}_skin.png" for n in numbers}
    return [(root / IMAGES / f"{n}.jpg", *masks.get(n, [skins[n]])) for n in numbers]


def read_splits(root: Path) -> dict[int, str]:
    """CelebA-HQ number -> train, val or test.

    Raises:
        CheckError: E101: no mapping file.
        DatasetError: a line of a list is not as expected.
    """
    if not (root / MAPPING).is_file():
        raise missing_tree(root, CELEBAMASK, f"has no {MAPPING}, which tells the splits,")
    rows = _rows(root / MAPPING, 3)[1:]
    try:
        if (root / PARTITION).is_file():
            kind = {name: SPLITS[int(s)] for name, s in _rows(root / PARTITION, 2)}
            return {int(number): kind[name] for number, _, name in rows}
        starts = (VAL_FROM, TEST_FROM)
        return {int(n): SPLITS[bisect(starts, int(original))] for n, original, _ in rows}
    except (ValueError, IndexError, KeyError) as error:
        raise DatasetError(f"lists do not fit ({error!r})", where=str(root / MAPPING)) from error


def _rows(path: Path, columns: int) -> list[list[str]]:
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    if bad := [i for i, row in enumerate(rows, 1) if len(row) != columns]:
        raise DatasetError(f"line {bad[0]} has not {columns} words", where=str(path))
    return rows
