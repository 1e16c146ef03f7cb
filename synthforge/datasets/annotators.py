"""Where annotators of photographs put the 68 points, compared with the points of the geometry.

The generator's points are fixed places on a head. Annotators mark what a picture shows: the line of the
lashes, not the edge of the lid; the shadow under the chin; the ends of the brow's hair. A network trained on
the geometry alone differs from annotators by an offset that is the same on all photographs.
"""

import numpy as np
from jaxtyping import Float

from synthforge.conventions import LANDMARK_FLIP, N_LANDMARKS

# % of the distance of the outer eye corners: outward from the face's midline, and down. Points of the
# subject's right half and of the midline; the left half mirrors them. Median of annotated minus predicted
# points over 199 photographs of 300-W's training sets (HELEN, AFW), mean of two networks trained on
# different synthetic data, and of frontal and turned faces, which agree (docs/results.md).
_300W = {
    0: (3.1, 1.9), 1: (1.7, 2.0), 2: (1.0, 1.5), 3: (0.3, 1.8), 4: (-0.8, 2.0), 5: (-0.9, 2.2),
    6: (-0.3, 3.5), 7: (0.3, 5.6), 8: (0.0, 3.6),
    17: (3.3, -0.1), 18: (3.1, -0.6), 19: (1.7, -1.3), 20: (0.5, -2.0), 21: (-0.4, -2.5),
    27: (0.0, -1.3), 28: (0.0, -0.9), 29: (0.0, -1.3), 30: (0.0, -0.6), 31: (2.4, -0.3), 32: (1.2, 0.7),
    33: (0.0, 1.0),
    36: (0.2, -0.4), 37: (0.2, -1.5), 38: (0.3, -2.7), 39: (0.4, -0.8), 40: (0.9, -1.1), 41: (0.7, -2.2),
    48: (-1.0, 0.2), 49: (-0.7, 0.7), 50: (-0.6, -0.8), 51: (0.0, 0.4), 57: (0.0, 1.3), 58: (0.0, 0.4),
    59: (-0.1, -1.2), 60: (-0.5, 1.5), 61: (-1.0, 0.9), 62: (0.0, 1.0), 66: (0.0, 1.0), 67: (-0.9, 0.9),
}  # fmt: skip


def _both_sides(half: dict[int, tuple[float, float]]) -> Float[np.ndarray, "68 2"]:
    """To the subject's left, and down; fractions of the eyes' distance."""
    table = np.zeros((N_LANDMARKS, 2))
    for right, (outward, down) in half.items():
        table[LANDMARK_FLIP[right]] = outward, down
        table[right] = -outward, down
    return table / 100


HABITS = {"300w": _both_sides(_300W)}


def as_annotated(
    points: Float[np.ndarray, "68 2"],
    points_3d: Float[np.ndarray, "68 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    style: str,
) -> Float[np.ndarray, "68 2"]:
    """Points of the geometry moved to where annotators of `style` put them.

    The offsets lie in the plane of eyes and mouth, so that they foreshorten as the face does.

    Args:
        points: pixels.
        points_3d: the same points (or near ones, as for a jaw on the contour), metres, camera frame.
        intrinsics: of the image.
        style: a key of `HABITS`.
    """
    p = points_3d.astype(np.float64)
    across = p[45] - p[36]
    width = np.linalg.norm(across)
    left = across / width
    down = (p[48] + p[54] - p[36] - p[45]) / 2
    down = down - (down @ left) * left
    axes = width * np.stack([left, down / np.linalg.norm(down)])
    moved = p + HABITS[style] @ axes

    def pixels(q: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "68 2"]:
        image = q @ intrinsics.T
        return image[:, :2] / image[:, 2:]

    return points + pixels(moved) - pixels(p)
