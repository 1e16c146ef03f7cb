"""From a mesh and its neural texture to planes: rasterization, alphas, the mouth's crop and paste.

    raster = rasterize_views(vertices, topology, ALL_VIEWS)        # or FRONT_VIEW: plane 0 alone
    contents = plane_contents(textures, raster)                    # n p c r r, p = 3 (or 1)
    alphas = plane_alphas(raster, topology.uv_mask)                # n p r r
    box = mouth_box(project_views(landmarks, FRONT_VIEW)[:, 0, :, :2])
    small = crop_mouth(contents[:, 0], box)
    front = paste_mouth(contents[:, 0], mouth_features(small), box)

Planes are square images of r x r pixels over -1..1; x runs along columns and y along rows, so that a row
further down has the larger y.  Everything is batched and the same on every device; no sample's result depends
on another sample.  Visibility carries no gradient.

Sources: Sun et al. (2023), "Next3D", for what is computed; the rules of coverage and depth are those of
PyTorch3D's `rasterize_meshes` without blur.  The algorithms are ours.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from next3d.sampling import axis_taps, image_taps, texel_table, weighted_sum
from next3d.topology import Topology

ALL_VIEWS = (0, 1, 2, 3)  # from the front, the subject's left, the subject's right, above
FRONT_VIEW = (0,)
_TURNS = ((0, 0), (0, 90), (0, -90), (90, 0))  # pitch and yaw of the views, degrees
_SHIFT = (0.0, -0.01, -0.01)  # metres, after turning
_SCALE = 5.0  # plane units per metre
_DISTANCE = 10.0  # added to the depth, plane units

_MIN_AREA = 1e-8  # triangles with less (twice the area, plane units squared) are not drawn
_EMPTY = torch.iinfo(torch.int64).max
_CHUNK = 1 << 21  # candidates held at a time
_SWEEPS_PER_LOOK = 4  # of the flood fill, between two looks at whether it is done


class Raster(NamedTuple):
    """What each pixel of each view sees: n samples, k views, r x r pixels."""

    uv: Tensor  # n k r r 3, texture coordinates in grid units (`Topology.uvcoords`); 0 where nothing is hit
    visible: Tensor  # n k r r bool

    @property
    def grid(self) -> Tensor:
        """The two texture coordinates (n k r r 2)."""
        return self.uv[..., :2]


def project_views(points: Tensor, views: tuple[int, ...]) -> Tensor:
    """Points (n p 3; metres, model frame) in each view (n k p 3): plane x, plane y, depth (small is near).

    float32, in the order of operations of training, so that the last bits agree.
    """
    x, y, z = points.float().unbind(-1)  # n p
    projected = []
    for view in views:
        turned = [x * r - y * u + z * f for r, u, f in zip(*_rotation(*_TURNS[view]), strict=True)]
        x_plane, y_plane, nearness = ((t + s) * _SCALE for t, s in zip(turned, _SHIFT, strict=True))
        projected.append(torch.stack([x_plane, -y_plane, _DISTANCE - nearness], -1))
    return torch.stack(projected, 1)


def rasterize_views(
    vertices: Tensor,
    topology: Topology,
    views: tuple[int, ...] = ALL_VIEWS,
    resolution: int = 256,
    budget: int | None = None,
) -> Raster:
    """Front-most triangle at every pixel centre of every view, as texture coordinates.

    A centre is covered when it lies strictly inside; triangles that face away are not drawn; the smaller
    float32 depth wins, then the lower triangle index.

    Args:
        vertices: n v 3, metres, model frame; rows after the topology's vertices are ignored.
        topology: on the same device.
        views: numbers from `ALL_VIEWS`.
        resolution: pixels per edge.
        budget: how many (triangle, pixel of its bounding box) pairs to look at per sample and view, on
            average over the batch.  None counts them first, which waits for the device once.  With a number
            nothing waits, and the images it did not suffice for hold NaN in `uv`; resolution squared is ample
            for a head.
    """
    points = project_views(vertices, views).flatten(0, 1)  # n*k v 3
    points = torch.cat([-points[..., :2], points[..., 2:]], -1)  # axes of PyTorch3D, whose rules these are
    corners = points[:, _reversed(topology.faces)].flatten(0, 1)  # m*f 3 3
    key, short = _nearest(corners, len(points), resolution, budget)
    hit = key != _EMPTY
    face = torch.where(hit, key & 0xFFFFFFFF, 0)  # m r*r
    image = torch.arange(len(points), device=key.device)[:, None]
    pixel = torch.arange(resolution * resolution, device=key.device)
    centres = _centres(pixel % resolution, pixel // resolution, resolution)
    weights = _barycentric(corners[image * len(topology.faces) + face], *centres)
    uv = _dot(weights[..., None], _reversed(topology.face_uvcoords)[face], -2)
    uv = torch.where(short[:, None, None], torch.nan, torch.where(hit[..., None], uv, 0.0))
    shape = (len(vertices), len(views), resolution, resolution)
    return Raster(uv.view(*shape, 3), hit.view(shape))


def plane_contents(textures: Tensor, raster: Raster) -> Tensor:
    """Neural textures (n c h w) as the planes show them (n p c r r): front; left plus right; top.

    `raster` is of `ALL_VIEWS`, or of `FRONT_VIEW` for the front alone.  Pixels that see nothing hold the
    texture's centre, as in training.
    """
    height, width = textures.shape[2:]
    columns, rows = (axis_taps(raster.grid[..., i], size) for i, size in ((0, width), (1, height)))
    index, weight = image_taps(columns, rows, width)  # 4 n k r r
    first = torch.arange(len(textures), device=index.device, dtype=index.dtype) * ((height + 2) * (width + 2))
    index = index + first[:, None, None, None]
    table = texel_table(textures)
    planes = []
    for views in _of_planes(raster, [slice(0, 1), slice(1, 3), slice(3, 4)]):  # several views are summed
        taps = (tap[:, :, views].transpose(1, 2).flatten(0, 1).flatten(1) for tap in (index, weight))
        plane = weighted_sum(table, *taps)
        planes.append(plane.view(len(textures), *raster.uv.shape[2:4], -1).permute(0, 3, 1, 2))
    return torch.stack(planes, 1)


def plane_alphas(raster: Raster, uv_mask: Tensor, sweeps: int | None = None) -> Tensor:
    """How far the planes' contents replace what they cover (n p r r, 0..1).

    The uv mask where a view sees the mesh, holes filled.  The second plane takes the left view alone and
    makes it binary, as in training.  `sweeps` as in `fill_mouth`.
    """
    mask = mask_lookup(raster, uv_mask)
    used = _of_planes(raster, [slice(0, 2), slice(3, 4)])
    alphas = fill_mouth(torch.cat([mask[:, views] for views in used], 1), sweeps)
    if alphas.shape[1] == 1:
        return alphas
    front, side, top = alphas.unbind(1)
    return torch.stack([front, torch.where(side > 0, 1.0, side), top], 1)


def mask_lookup(raster: Raster, uv_mask: Tensor) -> Tensor:
    """The uv mask (h w) at each pixel that sees the mesh, 0 elsewhere (n k r r)."""
    grid = raster.grid.flatten(0, 1)
    mask = F.grid_sample(uv_mask.expand(len(grid), 1, -1, -1), grid, align_corners=False)
    return mask.view(raster.visible.shape) * raster.visible


def fill_mouth(alpha: Tensor, sweeps: int | None = None) -> Tensor:
    """Sets to 1 what cannot be reached from the corner pixel [0, 0] (... r r): holes, such as the open mouth.

    The fill walks to the four neighbours, through values between the corner's and 254/255 above it.

    Args:
        alpha: 0..1.
        sweeps: None goes on until nothing changes, looking at the device every few sweeps.  A number: exactly
            so many, without waiting, and images that need more become NaN.  A sweep spreads along whole rows,
            then along whole columns: heads need 3, a spiral one per turn.
    """
    level = (alpha * 255).reshape(-1, *alpha.shape[-2:])  # m r r
    seed = level[:, :1, :1]
    free = (level >= seed) & (level <= seed + 254)
    reached = torch.zeros_like(free)
    reached[:, 0, 0] = True
    rows, columns = _Runs(free), _Runs(free.mT)

    def sweep(reached: Tensor) -> Tensor:
        return columns.spread(rows.spread(reached).mT).mT

    settled = None
    if sweeps is None:
        before = torch.zeros_like(reached)
        while not torch.equal(before, reached):
            for _ in range(_SWEEPS_PER_LOOK - 1):
                reached = sweep(reached)
            before, reached = reached, sweep(reached)
    else:
        for _ in range(sweeps):
            reached = sweep(reached)
        settled = (sweep(reached) == reached).all(-1, True).all(-2, True)
    filled = torch.where(reached.view(alpha.shape), alpha, 1.0)
    if settled is None:
        return filled
    return torch.where(settled.view(*alpha.shape[:-2], 1, 1), filled, torch.nan)


def mouth_box(landmarks: Tensor, resolution: int = 256) -> Tensor:
    """Square around the mouth (n 4 int64: first row, end row, first column, end column).

    Landmarks (n 68 2, iBUG order) are in plane units.  The side is even, 1.2 times the lips' extent, within
    2..resolution; a square that leaves the plane is moved back inside.
    """
    pixel = landmarks.float() * (resolution / 2) + resolution / 2
    lips = pixel[:, 48:60]  # outer lip; its corners are 48 and 54
    centre = (0.5 * (pixel[:, 48] + pixel[:, 54])).double().nan_to_num()
    extent = (lips.amax(1) - lips.amin(1)).amax(1).nan_to_num(0, resolution)
    half = ((1.2 * extent).long() // 2).clamp(1, resolution // 2)[:, None]
    first = (centre - half).long().clamp(min=0).minimum(resolution - 2 * half).flip(1)
    return torch.stack([first, first + 2 * half], 2).flatten(1)


def crop_mouth(image: Tensor, box: Tensor, size: int = 64) -> Tensor:
    """The `mouth_box` (n 4) of each image (n c r r), resized to n c size size (antialiased bilinear)."""
    output, pixel = _middles(size, image), _middles(image.shape[2], image)
    weights = []
    for first, end in _ranges(box):
        scale = (end - first).double() / size
        inside = (pixel > first) & (pixel < end)
        weights.append(_resize_weights(first + output * scale, scale, len(pixel), inside))
    return _resized(image, *weights)


def paste_mouth(image: Tensor, patch: Tensor, box: Tensor) -> Tensor:
    """Images (n c r r), in each `mouth_box` (n 4) a patch (n c s s) resized to it (antialiased bilinear)."""
    pixel, size = _middles(image.shape[2], image), patch.shape[2]
    weights, inside = [], []
    for first, end in _ranges(box):
        scale = size / (end - first).double()
        weights.append(_resize_weights((pixel - first) * scale, scale, size))
        inside.append((pixel > first) & (pixel < end))
    inside = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(inside, _resized(patch, *weights).to(image.dtype), image)


@cache
def _rotation(pitch: float, yaw: float) -> list[list[float]]:
    """Rotation about y by `yaw`, then about x by `pitch` (degrees): 3 x 3, for row vectors times matrix.

    float32 throughout: the cosine of 90 degrees is -4e-8, as in training.
    """
    angles = np.array([pitch, yaw], np.float32) / 180 * math.pi
    (cp, cy), (sp, sy) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]], np.float32)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], np.float32)
    return (about_y @ about_x).tolist()


def _reversed(corners: Tensor) -> Tensor:
    """Triangles (f 3 ...) the other way round: those to be drawn get the sign of area that is kept."""
    return torch.stack([corners[:, 0], corners[:, 2], corners[:, 1]], 1)


def _edge(point: tuple[Tensor, Tensor], a: Tensor, b: Tensor) -> Tensor:
    """Twice the signed area of (a, b, point); `a` and `b` are ... 2 or more."""
    return (point[0] - a[..., 0]) * (b[..., 1] - a[..., 1]) - (point[1] - a[..., 1]) * (b[..., 0] - a[..., 0])


def _area(corners: Tensor) -> Tensor:
    """Twice the signed area of triangles (... 3 3)."""
    v0, v1, v2 = corners.unbind(-2)
    return _edge((v2[..., 0], v2[..., 1]), v0, v1)


def _barycentric(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Barycentric coordinates (... 3) of points in triangles (... 3 3), operations in PyTorch3D's order."""
    v0, v1, v2 = corners.unbind(-2)
    edges = [_edge((x, y), a, b) for a, b in ((v1, v2), (v2, v0), (v0, v1))]
    return torch.stack(edges, -1) / (_area(corners) + _MIN_AREA)[..., None]


def _dot(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """Sum of three products over an axis, left to right."""
    first, second, third = (a * b).unbind(axis)
    return first + second + third


def _centres(column: Tensor, row: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Pixel centres, PyTorch3D axes (+x left, +y up)."""
    return 1 - (2 * column + 1) / resolution, 1 - (2 * row + 1) / resolution


def _bounds(corners: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """First and number of the columns and rows (m 2 each) in the bounding boxes of triangles (m 3 3)."""
    place = ((1 - corners[..., :2].double()) * resolution - 1) / 2  # pixel index of each corner
    limit = float(resolution)
    first = place.amin(1).ceil().clamp(0, limit)
    last = place.amax(1).floor().clamp(-1, limit - 1)
    return first.long(), (last - first + 1).clamp(min=0).long()


def _nearest(corners: Tensor, n_images: int, resolution: int, budget: int | None) -> tuple[Tensor, Tensor]:
    """Least `float32 depth bits << 32 | triangle` at each pixel (m r*r), and whose budget was short (m).

    `corners` is m*f 3 3.  Each triangle is spread over the pixels of its bounding box; all candidates meet in
    one integer minimum, whose result does not depend on the order.
    """
    n_faces, n_pixels = len(corners) // n_images, resolution * resolution
    area = _area(corners)
    drawn = (area > _MIN_AREA) & area.isfinite()
    first, count = _bounds(corners, resolution)
    pairs = torch.where(drawn, count.prod(1), 0)
    ends = pairs.cumsum(0)
    total = int(ends[-1]) if budget is None else budget * n_images
    key = torch.full((n_images * n_pixels,), _EMPTY, device=corners.device)
    for start in range(0, total, _CHUNK):
        pair = torch.arange(start, min(start + _CHUNK, total), device=key.device)
        owner = torch.searchsorted(ends, pair, right=True).clamp(max=len(corners) - 1)
        offset, width = pair - (ends - pairs)[owner], count[owner, 0].clamp(min=1)
        column, row = first[owner, 0] + offset % width, first[owner, 1] + offset // width
        corner = corners[owner]
        weights = _barycentric(corner, *_centres(column, row, resolution))
        depth = _dot(weights, corner[..., 2], -1)
        inside = (weights > 0).all(-1) & (depth >= 0) & (pair < ends[-1])
        value = torch.where(inside, depth.view(torch.int32).long() << 32 | owner % n_faces, _EMPTY)
        pixel = (owner // n_faces * resolution + row) * resolution + column
        key.scatter_reduce_(0, torch.where(inside, pixel, pair % len(key)), value, "amin")
    return key.view(n_images, n_pixels), ends.view(n_images, n_faces)[:, -1] > total


class _Runs:
    """Stretches of free pixels along the rows of images (m r r), each ended by blocked ones."""

    def __init__(self, free: Tensor) -> None:
        self.free = free
        size = free.shape[-1]
        place = torch.arange(size, device=free.device)
        # running sums at `start` and `end` (exclusive) bracket a pixel's run
        self.start = torch.where(free, -1, place).cummax(-1).values + 1
        blocked_from_right = torch.where(free, -1, size - 1 - place).flip(-1).cummax(-1).values.flip(-1)
        self.end = size - 1 - blocked_from_right

    def spread(self, reached: Tensor) -> Tensor:
        """All pixels of the runs that hold a reached one."""
        total = F.pad(reached.cumsum(-1, dtype=torch.int32), (1, 0))
        return (total.gather(-1, self.end) > total.gather(-1, self.start)) & self.free


def _of_planes(raster: Raster, views: list[slice]) -> list[slice]:
    """`views`, or the first view alone when the raster holds nothing else."""
    if (n_views := raster.uv.shape[1]) not in (1, len(ALL_VIEWS)):
        raise ValueError(f"a raster of {n_views} views makes no planes: give it all {len(ALL_VIEWS)}, or 1")
    return views if n_views > 1 else [slice(0, 1)]


def _ranges(box: Tensor) -> list[tuple[Tensor, Tensor]]:
    """First and end (n 1 each) of the rows, then of the columns, of boxes (n 4)."""
    return [(box[:, i : i + 1], box[:, i + 1 : i + 2]) for i in (0, 2)]


def _middles(size: int, like: Tensor) -> Tensor:
    """Middles of `size` pixels, float64: differences of large coordinates become weights."""
    return torch.arange(size, device=like.device, dtype=torch.float64) + 0.5


def _resize_weights(centre: Tensor, scale: Tensor, size: int, inside: Tensor | None = None) -> Tensor:
    """Weights (n o i) of `size` input pixels in outputs centred at `centre` (n o, in input pixels).

    A triangle reaching `scale` pixels (n 1; input pixels per output, at least 1) to either side, cut off
    where the input ends or is not `inside` (n i), normalised: `interpolate(mode="bilinear", antialias=True)`.
    """
    pixel = _middles(size, centre)
    weight = (1 - (pixel - centre[..., None]).abs() / scale.clamp(min=1)[..., None]).clamp(min=0)
    if inside is not None:
        weight = weight * inside[:, None]
    return weight / weight.sum(-1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)


def _resized(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (n c h w) through row weights (n o h) and column weights (n p w): n c o p."""
    rows, columns = rows.to(image.dtype)[:, None], columns.to(image.dtype)[:, None]
    return rows @ image @ columns.mT
