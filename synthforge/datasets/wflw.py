"""WFLW layout: `WFLW_images/` and `list_98pt_rect_attr_{train,test}.txt` with a face on each line.

A line holds 98 points (x y), a box, six attributes and the name of the image, which may show several faces.
Of the 98 points the 68 are read that mean what ours mean; the brows' lower edges, half the contour, two
points of each eye and the pupils are not.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.conventions import N_LANDMARKS
from synthforge.datasets.photos import PhotoSource, Split, find_root, missing_tree
from synthforge.datasets.sample import CheckError, Sample, finite_points, points_box, read_rgb
from synthforge.datasets.source import SourceInfo

WFLW = SourceInfo(
    "wflw",
    points=N_LANDMARKS,
    tree="WFLW_images/ and, in any folder beside it, list_98pt_rect_attr_{train,test}.txt",
    published={"train": (7500,), "test": (2500,)},  # Wu et al. 2018, section 4
    licence="WFLW is for research only",
)
LIST = "list_98pt_rect_attr_{}.txt"

# Contour 0-32; brows 33-41 and 42-50, closed, upper edge first; nose 51-54 and 55-59; eyes 60-67 and 68-75,
# closed, from the corner on the image's left; lips 76-95 as in iBUG. Image left is the subject's right.
TO_68 = np.array(
    [*range(0, 33, 2)]
    + [*range(33, 38), *range(42, 47)]
    + [*range(51, 60)]
    + [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75]
    + [*range(76, 96)]
)


def parse_wflw(line: str, where: str) -> tuple[Float[np.ndarray, "98 2"], str]:
    """Points in continuous pixels (the file counts pixel centres from 0) and image name of one line.

    Raises:
        CheckError: E107: not 196 coordinates, a box, six attributes and a name.
    """
    words = line.split(maxsplit=206)
    try:
        points = np.array(words[:196], np.float64).reshape(98, 2)
        [float(w) for w in words[196:206]]
        name = words[206].strip()
    except (ValueError, IndexError) as error:
        fix = "a line has 196 coordinates, a box, six attributes and an image"
        raise CheckError("E107", f"has {len(words)} words", where=where, fix=fix) from error
    return finite_points(points + 0.5, Path(where)), name


class WflwSource(PhotoSource):
    """The faces of one or both lists; `name` is the image's, with #2, #3 ... for its further faces.

    Args:
        folders: the folder with WFLW_images/ and the lists (anywhere below it).
        split: train, test or all, by the lists.
    Raises:
        CheckError: E101, E102 or E107.
    """

    info = WFLW

    def __init__(self, folders: Sequence[Path], split: Split = "all"):
        candidates: list[tuple[Path, np.ndarray, str]] = []
        for folder in folders:
            root = find_root(folder, WFLW, lambda p: (p / "WFLW_images").is_dir(), "WFLW")
            wanted = [s for s in ("train", "test") if split in ("all", s)]
            lists = [p for s in wanted for p in sorted(root.rglob(LIST.format(s)))]
            if not lists:
                raise missing_tree(root, WFLW, f"has no list of the {split} split")
            candidates += [face for path in lists for face in _faces(root / "WFLW_images", path)]
        super().__init__(candidates, split)

    def __getitem__(self, index: int) -> Sample:
        image, points, name = self.items[index]
        return Sample(name, read_rgb(str(image)), points_box(points), points=points, person=image.stem)


def _faces(images: Path, path: Path) -> list[tuple[Path, np.ndarray, str]]:
    faces, seen = [], Counter()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        points, name = parse_wflw(line, f"{path}, line {number}")
        seen[name] += 1
        faces.append((images / name, points[TO_68], name + (f"#{seen[name]}" if seen[name] > 1 else "")))
    return faces
