"""A user's own layout of images and class masks, described by a YAML file.

name: fasseg
sets:                                  # {parent} and {stem} are the image's
  - {images: "V2/Train_RGB/*.jpg", masks: "V2/Train_Index/{stem}.png"}
  - {images: "V3/Train_RGB/*/*.jpg", masks: "V3/Train_Index/{parent}/{stem}.png"}
classes:                               # id in the masks: name, and our classes it is made of
  - {id: 0, name: background, from: [background, clothing]}
  - {id: 3, name: eyes, from: [left_eye, right_eye]}
side: subject                          # whose left: subject, viewer or none
flip_pairs: []                         # pairs of ids exchanged by mirroring
ignore: []                             # ids to leave out
crop: {source: image, scale: 1.0}      # image, or the box of `classes`
person: "(V\\d).*?(\\d+)"                # groups of this pattern in the path name the person
test_persons: ["V2-1", "V2-2"]         # for --split; all others are for training
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from synthforge.conventions import CLASS_ID, CLASSES, ClassSchema, SemanticClass, other_side
from synthforge.datasets.photos import PhotoSource, missing_tree
from synthforge.datasets.sample import CheckError, Sample, mask_box, read_ids, read_rgb, require_known
from synthforge.datasets.source import SourceInfo
from synthforge.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class ImageSet:
    """A glob of images below the data folder, and where the mask of each lies."""

    images: str
    masks: str


@dataclass(frozen=True)
class ClassRule:
    """One class of the masks; written `{id, name, from: [our class names]}`."""

    id: int
    name: str
    sources: tuple[str, ...]

    @classmethod
    def from_plain(cls, data: Any, where: str) -> "ClassRule":
        if not isinstance(data, dict) or set(data) != {"id", "name", "from"}:
            raise ConfigError(f"got {data!r}", where=where, fix="write {id: 1, name: skin, from: [neck]}")
        unknown = [s for s in data["from"] if s not in CLASS_ID]
        if unknown:
            raise ConfigError(f"unknown class {unknown[0]!r}", where=where, fix=f"use: {', '.join(CLASS_ID)}")
        if not isinstance(data["id"], int) or not 0 <= data["id"] < 255:
            raise ConfigError(f"id {data['id']!r}", where=where, fix="use 0 to 254 (255 is ignored)")
        return cls(data["id"], str(data["name"]), tuple(data["from"]))

    def to_plain(self) -> dict:
        return {"id": self.id, "name": self.name, "from": list(self.sources)}


@dataclass(frozen=True)
class CropRule:
    """What the crop is made from: the whole image, or the box of some classes, and its scale."""

    source: Literal["image", "classes"] = "image"
    classes: tuple[str, ...] = ()
    scale: float = 1.0


@dataclass(frozen=True)
class CustomLayout:
    """The YAML file of the module's docstring."""

    KIND: ClassVar = "layouts"

    name: str
    sets: tuple[ImageSet, ...]
    classes: tuple[ClassRule, ...]
    side: Literal["subject", "viewer", "none"] = "none"
    flip_pairs: tuple[tuple[int, ...], ...] = ()
    ignore: tuple[int, ...] = ()
    crop: CropRule = field(default_factory=CropRule)
    person: str = "(.*)"
    test_persons: tuple[str, ...] = ()

    def __post_init__(self):
        ids = [c.id for c in self.classes]
        if sorted(ids) != list(range(len(ids))):
            raise ConfigError(f"ids are {ids}", where="classes", fix="number them 0, 1, 2, ...")
        owners = [s for c in self.classes for s in c.sources]
        if twice := [s for s in owners if owners.count(s) > 1]:
            raise ConfigError(f"{twice[0]!r} belongs to two classes", where="classes")
        try:
            re.compile(self.person)
        except re.error as error:
            raise ConfigError(f"{self.person!r} is no pattern ({error})", where="person") from error
        names = {c.name for c in self.classes}
        if unknown := [c for c in self.crop.classes if c not in names]:
            raise ConfigError(f"unknown class {unknown[0]!r}", where="crop.classes", fix=f"use: {names}")

    @property
    def schema(self) -> ClassSchema:
        """Its classes, sides turned to the subject's."""
        rows = []
        for rule in self.classes:
            sources = tuple(map(other_side, rule.sources)) if self.side == "viewer" else rule.sources
            color = {"color": CLASSES[CLASS_ID[sources[0]]].color} if sources else {}
            rows.append(SemanticClass(rule.id, rule.name, sources, **color))
        return ClassSchema(tuple(sorted(rows, key=lambda c: c.id)), self.flip_pairs)


class CustomSource(PhotoSource):
    """Images and masks of a `CustomLayout` below `folder`.

    Class names that say left or right are the subject's: with `side: viewer` the sides of each
    class's `from` are exchanged.

    Args:
        split: "train" leaves `test_persons` out, "test" takes only them, "all" takes everything.
    """

    def __init__(self, layout: CustomLayout, folder: Path, split: str = "all"):
        self.layout, self.folder = layout, Path(folder)
        whole = layout.crop.source == "image"
        self.info = SourceInfo(
            layout.name,
            layout.schema,
            crop_source="whole image" if whole else f"box of {', '.join(layout.crop.classes)}",
            crop_scale=layout.crop.scale,
            tree="; ".join(s.images for s in layout.sets),
        )
        super().__init__([pair for s in layout.sets for pair in _find(s, self.folder, self.info)], split)
        persons = {self._person(image, folder) for image, _ in self.items}
        if absent := [p for p in layout.test_persons if p not in persons]:
            raise DatasetError(
                f"test person {absent[0]!r} is not in the data",
                where=str(folder),
                fix=f"persons found: {', '.join(sorted(persons)[:12])}",
            )
        if split == "val":
            raise missing_tree(self.folder, self.info, "has no val split")
        if split != "all":
            test = split == "test"
            self.items = [
                it for it in self.items if (self._person(it[0], folder) in layout.test_persons) == test
            ]

    def _person(self, image: Path, folder: Path) -> str:
        match = re.search(self.layout.person, image.relative_to(folder).as_posix())
        return "-".join(match.groups()) if match else image.stem

    def __getitem__(self, index: int) -> Sample:
        image, mask = self.items[index]
        rgb = read_rgb(str(image))
        raw = read_ids(str(mask), rgb)
        ids = raw.copy()
        ids[np.isin(raw, self.layout.ignore)] = 255
        require_known(ids, len(self.info.schema), str(mask))
        name = image.relative_to(self.folder).with_suffix("").as_posix()
        return Sample(name, rgb, self._box(ids, mask), target=ids, person=self._person(image, self.folder))

    def _box(self, ids: np.ndarray, mask: Path) -> tuple[float, float, float, float]:
        crop = self.layout.crop
        inside = np.ones_like(ids, bool)
        if crop.source == "classes":
            inside = np.isin(ids, [c.id for c in self.info.schema if c.name in crop.classes])
            if not inside.any():
                raise CheckError("E105", f"shows none of {', '.join(crop.classes)}", where=str(mask))
        return mask_box(inside)


def _find(images: ImageSet, folder: Path, info: SourceInfo) -> list[tuple[Path, Path]]:
    found = sorted(folder.glob(images.images)) if folder.is_dir() else []
    if not found:
        raise missing_tree(folder, info, f"no image matches {images.images!r}")
    return [(p, folder / images.masks.format(parent=p.parent.name, stem=p.stem)) for p in found]
