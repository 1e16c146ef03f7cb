"""What the readers of annotated photographs share: their owner's folders, splits and pairs of files."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from synthforge.datasets.sample import CheckError, Sample
from synthforge.datasets.source import SourceInfo
from synthforge.provenance import folder_sha256, value_sha256

Split = Literal["train", "val", "test", "all"]
SPLITS = ("train", "val", "test")
UNPAIRED_SHARE = 0.001  # files without a partner up to which they are only left out


class PhotoSource:
    """Annotated photographs: a reader has `info`, lists `items` (paths, first the image) and reads one.

    `unpaired` lists files that were left out because their partner is missing.

    Args:
        items: tuples of paths and other things; those of which a file is missing are left out.
        lonely: labels without an image.
    Raises:
        CheckError: E102: more than 0.1 % lack a partner.
    """

    info: SourceInfo

    def __init__(self, items: Sequence[tuple], split: Split = "all", lonely: Sequence[str] = ()):
        self.items, self.unpaired = complete(items, self.info, lonely)
        self.split = split

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    @property
    def sha256(self) -> str:
        """Hash of what the data set says of itself, and of the bytes and names of all its files."""
        files = {part for item in self.items for part in item if isinstance(part, Path)}
        rest = [
            np.asarray(part).tolist() for item in self.items for part in item if not isinstance(part, Path)
        ]
        root = Path(os.path.commonpath([file.parent for file in files])) if files else Path()
        return value_sha256([asdict(self.info), self.split, folder_sha256(root, list(files)), rest])

    def drop(self, indices: Sequence[int]) -> None:
        """Leave samples out: later ones move up."""
        gone = set(indices)
        self.items = [item for i, item in enumerate(self.items) if i not in gone]


def find_root(folder: Path, info: SourceInfo, holds: Callable[[Path], bool], below: str = "") -> Path:
    """`folder`, or `below` in it, whichever `holds` the data.

    Raises:
        CheckError: E101, with the expected tree and what was found instead.
    """
    for root in (Path(folder), Path(folder) / below):
        if root.is_dir() and holds(root):
            return root
    raise missing_tree(Path(folder), info)


def missing_tree(folder: Path, info: SourceInfo, what: str = "does not hold the expected folders"):
    """Error E101 for a folder: what was expected and what is there."""
    near = folder
    while not near.is_dir():
        near = near.parent
    found = ", ".join(sorted(p.name for p in near.iterdir())[:6]) or "nothing"
    fix = f"expected {info.tree}; {near} holds {found}"
    return CheckError("E101", f"{what} of {info.name}", where=str(folder), fix=fix)


def split_folders(
    folder: Path, split: Split, info: SourceInfo, holds: Callable[[Path], bool], below: str = ""
) -> list[Path]:
    """Folders of a split below a root with folders train, val, test; or `folder` itself, as one of them.

    Raises:
        CheckError: E101: no such folder, or `folder` is another split.
    """
    folder = Path(folder)
    if folder.is_dir() and holds(folder):
        own = folder.resolve().name
        if split != "all" and own in SPLITS and own != split:
            raise missing_tree(folder, info, f"is the {own} split, not the {split} split")
        return [folder]
    root = find_root(folder, info, lambda p: any(holds(p / s) for s in SPLITS), below)
    wanted = [root / s for s in (SPLITS if split == "all" else (split,)) if holds(root / s)]
    if not wanted:
        raise missing_tree(root, info, f"has no {split} split")
    return wanted


def complete(
    candidates: Sequence[tuple], info: SourceInfo, lonely: Sequence[str] = ()
) -> tuple[list[tuple], list[str]]:
    """Candidates whose files all exist, and what was left out.

    Args:
        candidates: tuples of paths and other things; each path must be a file.
        lonely: labels without an image.
    Raises:
        CheckError: E102: more than 0.1 % lack a partner.
    """
    kept, unpaired = [], list(lonely)
    for item in candidates:
        absent = [str(p) for p in item if isinstance(p, Path) and not p.is_file()]
        if absent:
            unpaired.append(absent[0])
        else:
            kept.append(item)
    if len(unpaired) > UNPAIRED_SHARE * (len(candidates) + len(lonely)):
        share = f"{len(unpaired)} of {len(candidates) + len(lonely)} files of {info.name}"
        raise CheckError(
            "E102", "is missing or has no partner", where=unpaired[0], fix=f"{share} are like that"
        )
    return kept, unpaired


def orphans(labels: Sequence[Path], named: set[str]) -> list[str]:
    """Label files whose stem no image has."""
    return [f"{p} (no image)" for p in labels if p.stem not in named]
