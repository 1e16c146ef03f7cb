"""LaPa layout: `images/*.jpg`, `labels/*.png` (11 classes) and `landmarks/*.txt` (106 points).

LaPa's "left" is the viewer's left; class names here are the subject's, so ids 2 and 4 are RIGHT brow
and eye. Source: the data set's label map, and the sides measured on its sample images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.datasets.sample import CROP_SCALE, Sample, TargetClass, points_box, read_ids, read_rgb
from synthforge.errors import DatasetError

LAPA_CLASSES = (
    TargetClass(
        0,
        "background",
        ("background", "neck", "headwear", "facewear", "earring", "clothing", "occluder", "eyeglasses"),
        (0, 0, 0),
    ),
    TargetClass(1, "skin", ("skin", "left_ear", "right_ear", "facial_hair"), (240, 180, 150)),
    TargetClass(2, "right_brow", ("right_brow",), (170, 100, 40)),
    TargetClass(3, "left_brow", ("left_brow",), (120, 60, 20)),
    TargetClass(4, "right_eye", ("right_eye",), (30, 80, 220)),
    TargetClass(5, "left_eye", ("left_eye",), (40, 160, 250)),
    TargetClass(6, "nose", ("nose",), (250, 130, 90)),
    TargetClass(7, "upper_lip", ("upper_lip",), (230, 40, 90)),
    TargetClass(8, "inner_mouth", ("inner_mouth",), (120, 10, 40)),
    TargetClass(9, "lower_lip", ("lower_lip",), (180, 20, 120)),
    TargetClass(10, "hair", ("hair",), (90, 40, 140)),
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
        DatasetError: unreadable, or not 106 points.
    """
    try:
        numbers = np.array(path.read_text(encoding="ascii").split(), np.float64)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DatasetError(f"is no readable landmark file ({error})", where=str(path)) from error
    if len(numbers) != 213 or numbers[0] != 106:
        raise DatasetError("expected '106' and 106 lines 'x y'", where=str(path))
    return numbers[1:].reshape(106, 2) + 0.5


class LapaSource:
    """One or more splits of LaPa, each a folder with images/, labels/ and landmarks/.

    Args:
        folders: `LaPa/train`, `LaPa/test`, ...
    """

    name = "lapa"
    classes = LAPA_CLASSES
    has_points, has_depth = True, False
    crop_source = "box of the annotated landmarks"
    crop_scale = CROP_SCALE

    def __init__(self, folders: Sequence[Path]):
        self.flip_classes = np.arange(256, dtype=np.uint8)
        self.flip_classes[[2, 3, 4, 5]] = [3, 2, 5, 4]
        self.items: list[tuple[Path, Path, Path]] = []
        for folder in map(Path, folders):
            images = sorted((folder / "images").glob("*.jpg"))
            if not images:
                raise DatasetError("no images/*.jpg", where=str(folder), fix="give LaPa/train or LaPa/test")
            for image in images:
                label = folder / "labels" / f"{image.stem}.png"
                points = folder / "landmarks" / f"{image.stem}.txt"
                if missing := [p for p in (label, points) if not p.is_file()]:
                    raise DatasetError("is missing", where=str(missing[0]), fix=f"needed by {image.name}")
                self.items.append((image, label, points))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        image, label, landmarks = self.items[index]
        rgb = read_rgb(str(image))
        ids = read_ids(str(label), rgb)
        if (top := int(ids[ids != 255].max(initial=0))) >= len(LAPA_CLASSES):
            raise DatasetError(f"holds class {top}; LaPa has 0 to 10", where=str(label))
        points = read_lapa_points(landmarks)[TO_68]
        return Sample(image.stem, rgb, points_box(points), points=points, target=ids, person=image.stem)
