"""Z-buffer on tensors: the same code on CPU and GPU, batched, with differentiable barycentrics.

Triangles are spread over the rows they reach, each row over the pixels between its ends, and all
candidates meet in one integer scatter-min of `float32 depth bits << 32 | triangle index`, whose
result does not depend on the order.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from synthforge.render.rasterize import NEAR
from synthforge.types import Fragments

SLACK = 0.01  # pixels by which a row's candidates reach past the triangle; the exact test follows
MAX_PAIRS = 1 << 22  # candidates held at a time
_EMPTY = torch.iinfo(torch.int64).max


class TensorFragments(NamedTuple):
    """`Fragments` of a batch."""

    face_index: Int[Tensor, "b h w"]
    depth: Float[Tensor, "b h w"]
    barycentric: Float[Tensor, "b h w 3"]


def rasterize_torch(
    points: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], height: int, width: int
) -> TensorFragments:
    """Front-most triangle at every pixel centre, by the rules of `rasterize`.

    Visibility is decided in float64 without gradient. Depth and barycentrics are in the dtype of
    `points` and differentiable with respect to it (inside surfaces; silhouettes carry none).
    """
    n_frames, n_faces = len(points), len(faces)
    key = torch.full((n_frames * height * width,), _EMPTY, dtype=torch.int64, device=points.device)
    with torch.no_grad():
        corners = points.detach().double()[:, faces.long()].flatten(0, 1)  # b*f 3 3
        drawn = _drawable(corners, height, width)
        for part in _chunks(_row_range(corners[drawn], height)[1], MAX_PAIRS):
            _draw(key, drawn[part], corners[drawn[part]], n_faces, height, width)
    return _resolve(key.view(n_frames, height, width), points, faces.long())


def rasterize_arrays(
    points: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], height: int, width: int
) -> Fragments:
    """`rasterize_torch` of one frame, on arrays."""
    out = rasterize_torch(
        torch.from_numpy(np.ascontiguousarray(points, np.float64))[None],
        torch.from_numpy(np.ascontiguousarray(faces, np.int64)),
        height,
        width,
    )
    return Fragments(
        out.face_index[0].int().numpy(), out.depth[0].float().numpy(), out.barycentric[0].float().numpy()
    )


def _edges(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Twice the signed areas (n 3) opposite to each corner (n 3 3), relative to the sample (n)."""
    dx, dy = corners[..., 0] - x[:, None], corners[..., 1] - y[:, None]
    following, last = [1, 2, 0], [2, 0, 1]
    return dx[:, following] * dy[:, last] - dy[:, following] * dx[:, last]


def _drawable(corners: Tensor, height: int, width: int) -> Tensor:
    """Indices of triangles (n 3 3) in front of the camera, with area, that reach the image."""
    area = _edges(corners, corners[:, 0, 0], corners[:, 0, 1])[:, 0]
    low, high = corners[..., :2].amin(1), corners[..., :2].amax(1)
    limit = torch.tensor([width - 0.5, height - 0.5], dtype=corners.dtype, device=corners.device)
    reaches = ((high >= 0.5) & (low <= limit)).all(1)
    return ((corners[..., 2] > NEAR).all(1) & area.isfinite() & (area != 0) & reaches).nonzero()[:, 0]


def _row_range(corners: Tensor, height: int) -> tuple[Tensor, Tensor]:
    """First row and number of rows (n) whose centre lines the triangles (n 3 3) reach."""
    first = (corners[..., 1].amin(1) - 0.5).ceil().clamp(min=0)
    last = (corners[..., 1].amax(1) - 0.5).floor().clamp(max=height - 1)
    return first.long(), (last - first + 1).clamp(min=0).long()


def _column_range(corners: Tensor, y: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """First column and number of columns (n) that may lie in the triangles (n 3 3) at `y` (n)."""
    xp, yp = corners[..., 0], corners[..., 1]
    xq, yq = xp.roll(-1, 1), yp.roll(-1, 1)
    y = y[:, None]
    level = yp == yq
    x = xp + (y - yp) * (xq - xp) / torch.where(level, 1.0, yq - yp)
    apart = ((yp < y) & (yq < y)) | ((yp > y) & (yq > y))
    start = torch.where(apart, torch.inf, torch.where(level, torch.minimum(xp, xq), x)).amin(1)
    stop = torch.where(apart, -torch.inf, torch.where(level, torch.maximum(xp, xq), x)).amax(1)
    first = (torch.maximum(start, xp.amin(1)) - 0.5 - SLACK).clamp(0, width).ceil()
    last = (torch.minimum(stop, xp.amax(1)) - 0.5 + SLACK).clamp(-1, width - 1).floor()
    return first.long(), (last - first + 1).clamp(min=0).long()


def _draw(key: Tensor, triangle: Tensor, corners: Tensor, n_faces: int, height: int, width: int) -> None:
    """Lower `key` (b*h*w) to the triangles (n, numbered through the batch; corners n 3 3)."""
    first_row, n_rows = _row_range(corners, height)
    owner, offset = _spread(n_rows)
    row = first_row[owner] + offset
    first_col, n_cols = _column_range(corners[owner], row + 0.5, width)
    for part in _chunks(n_cols, MAX_PAIRS):
        line, offset = _spread(n_cols[part])
        tri, y, x = owner[part][line], row[part][line], first_col[part][line] + offset
        edges = _edges(corners[tri], x + 0.5, y + 0.5)
        inside = ((edges >= 0).all(1) | (edges <= 0).all(1)).nonzero()[:, 0]
        tri, y, x, edges = tri[inside], y[inside], x[inside], edges[inside]
        depth = _sum(edges) / _sum(edges * (1 / corners[tri, :, 2]))
        frame, face = triangle[tri] // n_faces, triangle[tri] % n_faces
        bits = depth.float().view(torch.int32).long() << 32 | face
        key.scatter_reduce_(0, (frame * height + y) * width + x, bits, "amin")


def _resolve(key: Tensor, points: Tensor, faces: Tensor) -> TensorFragments:
    """Winners, and their depth and barycentrics from `points`."""
    frame, row, col = hit = (key != _EMPTY).nonzero(as_tuple=True)
    face = key[hit] & 0xFFFFFFFF
    corners = points[frame[:, None], faces[face]]  # n 3 3
    weights = _edges(corners, col + 0.5, row + 0.5)
    over_z = weights / corners[..., 2]
    total = _sum(over_z)
    shape = (*key.shape, 3)
    return TensorFragments(
        torch.full_like(key, -1).index_put(hit, face),
        points.new_full(shape[:3], torch.inf).index_put(hit, _sum(weights) / total),
        points.new_zeros(shape).index_put(hit, over_z / total[:, None]),
    )


def _sum(terms: Tensor) -> Tensor:
    """Sum of n 3 over the last axis, left to right, as the numba kernel adds."""
    return terms[:, 0] + terms[:, 1] + terms[:, 2]


def _spread(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For `counts` (n): which i each of sum(counts) items belongs to, and its number within i."""
    owner = torch.repeat_interleave(counts)
    start = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - start[owner]


def _chunks(counts: Tensor, limit: int) -> Iterator[slice]:
    """Slices that together cover `counts`, each with a sum of about `limit`."""
    if not len(counts):
        return
    block = (counts.cumsum(0) - counts) // limit
    sizes = torch.unique_consecutive(block, return_counts=True)[1]
    start = 0
    for size in sizes.tolist():
        yield slice(start, start + size)
        start += size
