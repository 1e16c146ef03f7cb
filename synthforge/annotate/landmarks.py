"""Landmarks in the image and in the camera frame, and whether they are seen."""

import numpy as np
from jaxtyping import Float, UInt8

from synthforge.cameras.project import to_pixels
from synthforge.conventions import CLASS_ID
from synthforge.types import Camera, Fragments

OUTSIDE, OCCLUDED, VISIBLE = 0, 1, 2
TOLERANCE = 0.002  # metres of the face's own surface that may lie before a landmark (folds, lids, lips)
# Things that hide a landmark however little they are in front of it.
COVERING = np.array(
    [CLASS_ID[n] for n in ("hair", "eyeglasses", "headwear", "facewear", "earring", "clothing", "occluder")]
)


def visibility(
    landmarks_cam: Float[np.ndarray, "n 3"],
    camera: Camera,
    fragments: Fragments,
    classes: UInt8[np.ndarray, "hs ws"],
) -> UInt8[np.ndarray, " n"]:
    """0 outside the image, 1 occluded, 2 visible.

    All samples within one pixel of a landmark are asked. It is occluded if at each of them the
    surface lies before it by more than `TOLERANCE` and a pixel's width, or if something worn
    covers most of them. So points on lids, lips and outlines, where half of the surroundings are
    nearer, do not flicker.

    Args:
        landmarks_cam: metres, camera frame.
        fragments, classes: everything in the image, at samples as dense as the pixels of `camera` or denser.
    """
    height, width = camera.size
    z = landmarks_cam[:, 2]
    ahead = z > 0
    pixels = to_pixels(np.where(ahead[:, None], landmarks_cam, 1.0), camera)[:, :2]
    inside = ahead & (pixels >= 0).all(1) & (pixels < (width, height)).all(1)

    rows, cols = classes.shape
    density = rows // height
    nearest = np.floor(np.where(inside[:, None], pixels, 0) * density).astype(int)
    step = np.arange(-density, density + 1)
    col = np.clip(nearest[:, 0, None, None] + step, 0, cols - 1)  # n 1 k
    row = np.clip(nearest[:, 1, None, None] + step[:, None], 0, rows - 1)  # n k 1
    depth, z = fragments.depth[row, col], z[:, None, None]  # n k k
    covered = np.isin(classes[row, col], COVERING) & (depth < z)
    seen = ~covered & (depth >= z - TOLERANCE - z / camera.intrinsics[1, 1])
    visible = seen.any((1, 2)) & (covered.mean((1, 2)) <= 0.5)
    return np.where(inside, np.where(visible, VISIBLE, OCCLUDED), OUTSIDE).astype(np.uint8)
