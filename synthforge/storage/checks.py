"""What has to hold for the values of a sample: each check takes the sample as readers give it, with members
of groups under their full names, and yields what is wrong with one label."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from synthforge.cameras.lens import distort
from synthforge.conventions import IGNORE, N_CLASSES

Values = Mapping[str, Any]
Check = Callable[[Values], Iterator[str]]

_POSITIVE_Z = 1e-6
# A visible landmark lies on the front surface: its depth is within what the 5x5 pixels around it span,
# plus this much (m) and a pixel's width. Background among them spans to infinity: on an outline the
# surface turns away. In gaps thinner than a pixel (lips, lids, strands) the image can miss what is
# seen, so a few points may be off, but not far.
DEPTH_TOLERANCE = 3e-3
FEW, FAR = 4 / 68, 25e-3  # as deep as the corner of a mouth lies behind the lips, seen from the side
REPROJECTION_PX = 0.5


def known_classes(name: str) -> Check:
    """Every pixel of `name` is a class of the table, or ignored."""

    def check(s: Values) -> Iterator[str]:
        if (bad := s[name][(s[name] >= N_CLASSES) & (s[name] != IGNORE)]).size:
            yield f"{bad[0]} is no class"

    return check


def unit_vectors(s: Values) -> Iterator[str]:
    """Of `gaze`."""
    length = np.linalg.norm(s["gaze"], axis=-1)
    if abs(length - 1).max() > 1e-3:
        yield f"length {length.min():.4f} to {length.max():.4f}, not 1"


def normals(s: Values) -> Iterator[str]:
    """Unit vectors on the surface."""
    length = np.linalg.norm(s["normals"], axis=-1)[np.isfinite(s["depth"])]
    if length.size and abs(length - 1).max() > 0.02:
        yield f"length {length.min():.3f} to {length.max():.3f} on the surface, not 1"


def rigid(s: Values) -> Iterator[str]:
    """`cam2world` is a rotation and a shift."""
    turn = s["cam2world"][:3, :3]
    if abs(turn @ turn.T - np.eye(3)).max() > 1e-4 or np.linalg.det(turn) < 0:
        yield "is no rotation"
    if (s["cam2world"][3] != [0, 0, 0, 1]).any():
        yield "last row is not 0 0 0 1"


def focal(s: Values) -> Iterator[str]:
    """Of `intrinsics`."""
    if min(s["intrinsics"][0, 0], s["intrinsics"][1, 1]) <= 0:
        yield "focal length is not positive"


def alpha(s: Values) -> Iterator[str]:
    """Depth is taken at pixel centres, alpha over the area: only an empty or a full pixel decides."""
    if (wrong := (s["alpha"] == 0) & np.isfinite(s["depth"])).any():
        yield f"0 at {wrong.sum()} pixels with depth"


def depth(s: Values) -> Iterator[str]:
    """Fully covered pixels have one, and visible landmarks lie on it."""
    if (wrong := (s["alpha"] == 255) & np.isinf(s["depth"])).any():
        yield f"none at {wrong.sum()} fully covered pixels"
    for marks in ("landmarks", "landmarks_dense"):
        if f"{marks}_3d" in s:
            yield from _depth_at(s, marks)


def _depth_at(s: Values, marks: str) -> Iterator[str]:
    """Visible landmarks whose depth is not met around their pixel."""
    points, px, inside = _placed(s, marks)
    padded = np.pad(s["depth"], 2, constant_values=np.inf)
    off = np.zeros(len(points))
    for i in np.flatnonzero(inside & (s[f"{marks}_visible"] == 2) & (points[:, 2] > 0)):
        column, row = px[i].astype(int)
        around = padded[row : row + 5, column : column + 5]
        if not np.isfinite(around).any():
            yield f"none around visible landmark {i}"
        else:
            off[i] = points[i, 2] - np.clip(points[i, 2], around.min(), around.max())
    wrong = abs(off) > DEPTH_TOLERANCE + points[:, 2] / s["intrinsics"][1, 1]
    for i in np.flatnonzero(wrong):
        if abs(off[i]) > FAR or wrong.mean() > FEW:
            yield f"{1e3 * off[i]:+.1f} mm from visible landmark {i}"


def _placed(s: Values, marks: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (camera frame, m), pixels, and whether these are in the image."""
    points, px = s[f"{marks}_3d"].astype(float), s[f"{marks}_2d"].astype(float)
    height, width = s["depth"].shape
    return points, px, ((px >= 0) & (px < [width, height])).all(-1)


def ahead(marks: str) -> Check:
    """Points of `marks`_3d lie before the camera."""

    def check(s: Values) -> Iterator[str]:
        z = s[f"{marks}_3d"][:, 2]
        if z.min() < _POSITIVE_Z:
            yield f"point {z.argmin()} is behind the camera"

    return check


def reprojects(marks: str) -> Check:
    """`marks`_2d are the pixels of `marks`_3d."""

    def check(s: Values) -> Iterator[str]:
        points, px, _ = _placed(s, marks)
        if points[:, 2].min() < _POSITIVE_Z:
            return
        rays = points / points[:, 2:]
        if "distortion" in s:
            rays[:, :2] = distort(rays[:, :2], s["distortion"])
        error = np.linalg.norm(rays @ s["intrinsics"][:2].T - px, axis=-1)
        if error.max() > REPROJECTION_PX:
            yield f"point {error.argmax()} is {error.max():.2f} px from its place in 3D"

    return check


def visibility(marks: str) -> Check:
    """`marks`_visible is 0 outside the image, and 1 or 2 inside."""

    def check(s: Values) -> Iterator[str]:
        visible = s[f"{marks}_visible"]
        if visible.max() > 2:
            yield f"{visible.max()} is none of 0, 1, 2"
        _, px, inside = _placed(s, marks)
        height, width = s["depth"].shape
        # Points within float rounding of the border may count either way.
        clear = (np.minimum(px, [width, height] - px) ** 2).min(-1) > 1e-4
        if (wrong := np.flatnonzero(clear & (inside != (visible > 0)))).size:
            i = wrong[0]
            yield f"point {i} is {visible[i]} at {px[i].round(1).tolist()}"

    return check
