"""Class table, colours, flip pairs and landmark order: each said once.

Left and right are the subject's, always.
"""

from dataclasses import dataclass

import numpy as np

IGNORE = 255
N_LANDMARKS = 68


@dataclass(frozen=True)
class SemanticClass:
    """One row of the class table; colour is sRGB."""

    id: int
    name: str
    color: tuple[int, int, int]


CLASSES = tuple(
    SemanticClass(i, name, color)
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
CLASS_COLORS = np.array([c.color for c in CLASSES], np.uint8)
CLASS_FLIP_PAIRS = tuple(
    (CLASS_ID[f"left_{part}"], CLASS_ID[f"right_{part}"]) for part in ("brow", "eye", "ear")
)


def other_side(name: str) -> str:
    """The class of the other side: `left_eye` for `right_eye`; itself where there are no sides."""
    side, _, part = name.partition("_")
    return {"left": "right_", "right": "left_"}.get(side, f"{side}_" if part else side) + part


def _flip_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint8)
    for a, b in CLASS_FLIP_PAIRS:
        table[a], table[b] = b, a
    return table


CLASS_FLIP = _flip_table()  # class id -> class id in the mirrored image (256 entries, 255 stays)

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
