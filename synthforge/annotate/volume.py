"""What a neural volume adds to the labels of the mesh: coverage, and whatever the mesh does not have."""

import dataclasses

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from synthforge.alignment.layers import derive_layers
from synthforge.annotate.landmarks import OCCLUDED, TOLERANCE, VISIBLE
from synthforge.conventions import IGNORE
from synthforge.scene.cameras import unproject
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
    depth = np.where(by_mesh, frame.depth, _enlarged(view, (height, width))).astype(np.float32)
    depth[alpha == 0] = np.inf
    there = np.isfinite(depth)
    normals = np.where(by_mesh[..., None], frame.normals, depth_normals(depth, frame.params.camera))
    normals[~there] = 0
    return dataclasses.replace(
        frame,
        segmentation=np.where(there & ~by_mesh & (foreground >= 0.5), np.uint8(IGNORE), frame.segmentation),
        depth=depth,
        normals=normals.astype(np.float32),
        alpha=alpha,
        soft_masks=frame.soft_masks | {HAIR_OR_OTHER: np.rint(255 * other).astype(np.uint8)},
        landmarks_visible=_visibility(frame, depth),
    )


def _enlarged(view: VolumeView, shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """The volume's surface at the image's pixels: depth weighted by alpha; inf where there is none."""
    size = shape[::-1]
    alpha = cv2.resize(view.alpha, size, interpolation=cv2.INTER_LINEAR)
    depth = cv2.resize(view.alpha * view.depth, size, interpolation=cv2.INTER_LINEAR)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(alpha > 1e-3, depth / alpha - view.depth_bias, np.inf)


def depth_normals(depth: Float[np.ndarray, "h w"], camera: Camera) -> Float[np.ndarray, "h w 3"]:
    """Unit normals (camera frame, facing the camera) of a depth map, by central differences.

    Where a neighbour has no surface the normal is that towards the camera.
    """
    height, width = depth.shape
    v, u = np.mgrid[:height, :width] + 0.5
    points = unproject(np.stack([u, v], -1), np.where(np.isfinite(depth), depth, np.nan), camera)
    along_v, along_u = np.gradient(points, axis=(0, 1))
    normals = np.cross(along_v, along_u)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    flat = ~(length > 0)
    return np.where(flat, [0.0, 0.0, -1.0], normals / np.where(flat, 1, length))


def _visibility(frame: Frame, depth: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, " n"]:
    """The mesh's visibility, but occluded where everything within a pixel lies in front."""
    height, width = depth.shape
    step = np.array([-1, 0, 1])
    column, row = frame.landmarks_2d.astype(int).T[..., None, None]  # n 1 1 each
    around = depth[np.clip(row + step[:, None], 0, height - 1), np.clip(column + step, 0, width - 1)]
    z = frame.landmarks_3d[:, 2]
    pixel = z / frame.params.camera.intrinsics[1, 1]
    hidden = (around < (z - TOLERANCE - pixel)[:, None, None]).all((1, 2))
    visible = frame.landmarks_visible
    return np.where(hidden & (visible == VISIBLE), np.uint8(OCCLUDED), visible)
