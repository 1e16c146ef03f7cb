"""What a neural volume adds to the labels of the mesh: coverage, and whatever the mesh does not have."""

import dataclasses

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numba import njit

from synthforge.alignment.layers import derive_layers
from synthforge.annotate.landmarks import OCCLUDED, TOLERANCE, VISIBLE
from synthforge.conventions import IGNORE
from synthforge.types import Camera, Frame, VolumeView

HAIR_OR_OTHER = "hair_or_other"  # the soft mask


def with_volume(frame: Frame, view: VolumeView) -> Frame:
    """Labels of a neural image: those of its mesh where the mesh is what is seen.

    Where something else is (hair, clothes), `segmentation` is `IGNORE`, and depth and normals are the
    volume's own, at its own resolution. `segmentation_bare` stays the mesh's. A landmark behind such a thing
    is occluded.
    """
    height, width = frame.depth.shape
    on_mesh = np.isfinite(frame.depth)
    foreground, other = (
        layer[0].numpy()
        for layer in derive_layers(
            torch.from_numpy(frame.depth)[None], torch.from_numpy(frame.alpha)[None] / 255,
            torch.from_numpy(view.depth)[None], torch.from_numpy(view.alpha)[None],
            torch.tensor([view.depth_bias]),
        )
    )  # fmt: skip
    by_mesh = on_mesh & (other < 0.5)
    alpha = np.rint(255 * foreground).astype(np.uint8)
    depth = np.where(by_mesh, frame.depth, surface_depth(view, (height, width))).astype(np.float32)
    depth[alpha == 0] = np.inf
    there = np.isfinite(depth)
    normals = np.where(by_mesh[..., None], frame.normals, depth_normals(depth, frame.params.camera))
    normals[~there] = 0
    sets = ["landmarks"] if frame.landmarks_dense_2d is None else ["landmarks", "landmarks_dense"]
    return dataclasses.replace(
        frame,
        segmentation=np.where(there & ~by_mesh & (foreground >= 0.5), np.uint8(IGNORE), frame.segmentation),
        depth=depth,
        normals=normals.astype(np.float32),
        alpha=alpha,
        soft_masks=frame.soft_masks | {HAIR_OR_OTHER: np.rint(255 * other).astype(np.uint8)},
        **{f"{name}_visible": _visibility(frame, name, depth) for name in sets},
    )


def surface_depth(view: VolumeView, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """The volume's surface at the image's pixels: depth weighted by alpha; inf where there is none."""
    size = shape[::-1]
    alpha = cv2.resize(view.alpha, size, interpolation=cv2.INTER_LINEAR)
    depth = cv2.resize(view.alpha * view.depth, size, interpolation=cv2.INTER_LINEAR)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(alpha > 1e-3, depth / alpha - view.depth_bias, np.inf)


def depth_normals(depth: Float[np.ndarray, "h w"], camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """Unit normals (camera frame, facing the camera) of a depth map, by differences of neighbours.

    Where a neighbour has no surface the normal is that towards the camera.
    """
    k = camera.intrinsics.astype(np.float64)
    return _depth_normals(np.ascontiguousarray(depth, np.float32), k)


@njit(cache=True)
def _point(depth, k, row, col):
    """What the centre of a pixel shows, in the camera frame."""
    z = np.float64(depth[row, col])
    y = (row + 0.5 - k[1, 2]) / k[1, 1]
    x = (col + 0.5 - k[0, 2] - k[0, 1] * y) / k[0, 0]
    return x * z, y * z, z


@njit(cache=True)
def _depth_normals(depth, k):
    height, width = depth.shape
    out = np.zeros((height, width, 3), np.float32)
    for row in range(height):
        up, down = max(row - 1, 0), min(row + 1, height - 1)
        for col in range(width):
            left, right = max(col - 1, 0), min(col + 1, width - 1)
            ax, ay, az = _point(depth, k, row, left)
            bx, by, bz = _point(depth, k, row, right)
            cx, cy, cz = _point(depth, k, up, col)
            dx, dy, dz = _point(depth, k, down, col)
            ux, uy, uz = bx - ax, by - ay, bz - az
            vx, vy, vz = dx - cx, dy - cy, dz - cz
            nx, ny, nz = vy * uz - vz * uy, vz * ux - vx * uz, vx * uy - vy * ux
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            if length > 0.0 and length < np.inf:
                out[row, col, 0], out[row, col, 1], out[row, col, 2] = nx / length, ny / length, nz / length
            else:
                out[row, col, 2] = -1.0
    return out


def _visibility(frame: Frame, name: str, depth: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, " n"]:
    """The mesh's visibility of a set of landmarks, but occluded where all within a pixel lies in front."""
    points, places, visible = (getattr(frame, f"{name}_{key}") for key in ("2d", "3d", "visible"))
    height, width = depth.shape
    step = np.array([-1, 0, 1])
    column, row = points.astype(int).T[..., None, None]  # n 1 1 each
    around = depth[np.clip(row + step[:, None], 0, height - 1), np.clip(column + step, 0, width - 1)]
    z = places[:, 2]
    pixel = z / frame.params.camera.intrinsics[1, 1]
    hidden = (around < (z - TOLERANCE - pixel)[:, None, None]).all((1, 2))
    return np.where(hidden & (visible == VISIBLE), np.uint8(OCCLUDED), visible)
