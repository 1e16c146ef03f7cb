"""Class table, colours, flip pairs and landmark order: each said once.

Left and right are the subject's, always.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, UInt8

IGNORE = 255
N_LANDMARKS = 68
_UNKNOWN = (60, 60, 60)  # colour of what is none of our classes


@dataclass(frozen=True)
class SemanticClass:
    """One row of a class table: its id there, its name, our classes that it is made of, its sRGB colour."""

    id: int
    name: str
    sources: tuple[str, ...] = ()
    color: tuple[int, int, int] = _UNKNOWN


@dataclass(frozen=True)
class ClassSchema:
    """A table of classes, ours or a benchmark's; row i has id i. Each class of ours has one owner at most.

    Args:
        rows: the classes; none where nothing is segmented.
        pairs: ids that mirroring exchanges, besides those made of each other's sides.
    """

    rows: tuple[SemanticClass, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, *rows: Sequence[str]) -> "ClassSchema":
        """From rows (name, our classes ...); a name that is one of ours is made of that class too."""
        table = []
        for i, (name, *sources) in enumerate(rows):
            owned = (*([name] if name in CLASS_ID else []), *sources)
            table.append(
                SemanticClass(i, name, owned, CLASSES[CLASS_ID[owned[0]]].color if owned else _UNKNOWN)
            )
        return cls(tuple(table))

    @classmethod
    def from_plain(cls, rows: Sequence[dict[str, Any]]) -> "ClassSchema":
        """From what `to_plain` gives; names that are ours are made of these classes."""
        found = [SemanticClass(c["id"], c["name"], (), tuple(c["color"])) for c in rows]
        return cls(
            tuple(SemanticClass(c.id, c.name, (c.name,) * (c.name in CLASS_ID), c.color) for c in found)
        )

    def to_plain(self) -> list[dict[str, Any]]:
        """[{id, name, color}], as data sets and models store it."""
        return [{"id": c.id, "name": c.name, "color": list(c.color)} for c in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[SemanticClass]:
        return iter(self.rows)

    def __getitem__(self, index: SupportsIndex) -> SemanticClass:
        return self.rows[index]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.rows)

    @cached_property
    def colors(self) -> UInt8[np.ndarray, "c 3"]:
        """sRGB of each class."""
        return np.array([c.color for c in self.rows], np.uint8).reshape(-1, 3)

    @cached_property
    def owner(self) -> dict[str, int]:
        """Name of one of our classes -> id of the class here that it belongs to."""
        return {source: c.id for c in self.rows for source in c.sources}

    @cached_property
    def flip(self) -> UInt8[np.ndarray, " 256"]:
        """Class id -> class id in the mirrored image: classes made of each other's sides change places."""
        table = np.arange(256, dtype=np.uint8)
        made_of = {frozenset(c.sources): c.id for c in self.rows if c.sources}
        for c in self.rows:
            table[c.id] = made_of.get(frozenset(map(other_side, c.sources)), c.id)
        for a, b in self.pairs:
            table[[a, b]] = b, a
        return table

    @cached_property
    def from_ours(self) -> UInt8[np.ndarray, " 256"]:
        """Our class id -> id here; `IGNORE` where our class belongs to none."""
        table = np.full(256, IGNORE, np.uint8)
        for ours in CLASSES:
            table[ours.id] = self.owner.get(ours.name, IGNORE)
        return table

    def merge(self, names: Sequence[str]) -> Float[np.ndarray, "n c"] | None:
        """0/1 table from classes called `names` to these; None where they have nothing in common.

        The identity where the names are these already, else by `owner`; the others count as class 0.
        """
        if tuple(names) == self.names:
            return np.eye(len(self), dtype=np.float32)
        if self.rows and not set(self.owner) & set(names):
            return None
        table = np.zeros((len(names), len(self)), np.float32)
        if self.rows:
            table[np.arange(len(names)), [self.owner.get(name, 0) for name in names]] = 1.0
        return table


def other_side(name: str) -> str:
    """The class of the other side: `left_eye` for `right_eye`; itself where there are no sides."""
    side, _, part = name.partition("_")
    return {"left": "right_", "right": "left_"}.get(side, f"{side}_" if part else side) + part


CLASSES = tuple(
    SemanticClass(i, name, (name,), color)
    for i, (name, color) in enumerate(
        [
            ("background", (0, 0, 0)),
            ("skin", (240, 180, 150)),
            ("left_brow", (120, 60, 20)),
            ("right_brow", (170, 100, 40)),
            ("left_eye", (40, 160, 250)),
            ("right_eye", (30, 80, 220)),
            ("nose", (250, 130, 90)),
            ("upper_lip", (230, 40, 90)),
            ("inner_mouth", (120, 10, 40)),
            ("lower_lip", (180, 20, 120)),
            ("left_ear", (250, 220, 60)),
            ("right_ear", (200, 170, 20)),
            ("neck", (150, 200, 120)),
            ("hair", (90, 40, 140)),
            ("facial_hair", (140, 90, 190)),
            ("eyeglasses", (60, 230, 220)),
            ("headwear", (230, 90, 230)),
            ("facewear", (100, 180, 180)),
            ("earring", (255, 255, 140)),
            ("clothing", (70, 120, 70)),
            ("occluder", (128, 128, 128)),
        ]
    )
)
N_CLASSES = len(CLASSES)
CLASS_ID = {c.name: c.id for c in CLASSES}
CLASS_NAMES = tuple(c.name for c in CLASSES)
OURS = ClassSchema(CLASSES)
CLASS_COLORS = OURS.colors
CLASS_FLIP = OURS.flip  # class id -> class id in the mirrored image (256 entries, 255 stays)

# iBUG-68 order; LANDMARK_FLIP[i] is the point that takes place i in a mirrored image.
LANDMARK_FLIP = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
)
LANDMARK_GROUPS = {
    "jaw": range(0, 17),
    "brow": range(17, 27),
    "nose": range(27, 36),
    "eye": range(36, 48),
    "mouth": range(48, 68),
}
