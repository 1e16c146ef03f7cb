"""Where a mesh is compared with a volume, and how far apart they are there.

Two measurements, both along the normals of the mesh. The density field, where the generator has one, has no
viewpoint: every vertex of the face looks for the surface in front of and behind itself, seen by the camera or
not. The depth image adds what the camera saw; it stands behind the surface by a little (light enters), the
same for all pixels of a volume.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from synthforge.alignment.volume import NeuralView, NeuralVolume
from synthforge.conventions import CLASS_ID
from synthforge.heads.base import HeadModel
from synthforge.render.rasterize import rasterize

# The face on the canonical head (metres, origin midway between the tragia): up to below the hairline, back to
# the tragus, down to the chin. Beyond, hair, ears and clothes stand before the skin more often than not.
LOW, HIGH, BACK = -0.105, 0.068, -0.005
SKIN = ("skin", "nose", "upper_lip", "lower_lip", "left_brow", "right_brow")
HALF = math.log(2)  # optical depth behind which half of the light is left
STEP = 1e-3  # metres between samples along a normal; a feature plane's texel is 1.6 mm
AIR = 0.1  # of the greatest density along a line, below which there is nothing
SEEN = 0.3  # cosine between normal and line of sight under which the depth image is not asked
SOLID = 0.9  # alpha under which a pixel's depth mixes surface and background


@dataclass(frozen=True)
class Evidence:
    """Vertices of a head that alignment looks at: `index`, and around each its triangles' corners.

    `ring` is padded with degenerate triangles.
    """

    index: Int[Tensor, " e"]
    ring: Int[Tensor, "e k 3"]

    @classmethod
    def of(cls, head: HeadModel, n_points: int = 2000) -> "Evidence":
        """About `n_points` vertices spread evenly over the skin of the face."""
        index = _spread(head.vertices.cpu(), face_vertices(head), n_points)
        return cls(index, _rings(head.faces, index))

    def to(self, device: torch.device | str) -> "Evidence":
        return Evidence(self.index.to(device), self.ring.to(device))

    def normals(self, vertices: Float[Tensor, "n v 3"]) -> Float[Tensor, "n e 3"]:
        """Unit normals at `index`: area-weighted means, summed in a fixed order on every device."""
        a, b, c = vertices[:, self.ring].unbind(-2)
        return F.normalize(torch.linalg.cross(b - a, c - a).sum(2), dim=-1, eps=1e-20)


def face_vertices(head: HeadModel) -> Int[Tensor, " f"]:
    """Vertices on the outer skin of the face."""
    c = head.canonical
    inside = (c[:, 1] > LOW) & (c[:, 1] < HIGH) & (c[:, 2] > BACK)
    classes = _vertex_classes(head)
    skin = np.isin(classes, [CLASS_ID[name] for name in SKIN])
    return torch.from_numpy(np.flatnonzero(inside & skin & outer_vertices(head)))


def surface_offset(
    volume: NeuralVolume, points: Float[Tensor, "n e 3"], normals: Float[Tensor, "n e 3"], reach: float
) -> tuple[Float[Tensor, "n e"], Float[Tensor, "n e"]]:
    """How far along its normal each point finds the surface, and whether it does (1 or 0).

    The surface is where light coming in along the normal, from `reach` metres outside, is down to half: the
    median of what volume rendering sees, whatever the density inside. Positive offsets are outwards. Where
    air lies between two surfaces (a lock of hair before the skin) it is the one nearer to the point. It is
    not found when the density reaches further out than that, or none is met down to `reach` inside.
    """
    n_steps = math.ceil(2 * reach / STEP)
    height = torch.linspace(reach, -reach, n_steps + 1, device=points.device)
    line = points[:, :, None] + normals[:, :, None] * height[:, None]
    density = volume.density(line.flatten(1, 2)).unflatten(1, line.shape[1:3])
    step = 2 * reach / n_steps
    met = F.pad(((density[..., 1:] + density[..., :-1]) * (step / 2)).cumsum(-1), (1, 0))
    air = density < AIR * density.amax(-1, keepdim=True)
    last = (air * torch.arange(1, n_steps + 2, device=air.device)).amax(-1, keepdim=True).clamp(min=1) - 1
    outer, found = _half(met, step, reach)
    inner, found_again = _half((met - met.gather(-1, last)).clamp(min=0), step, reach)
    better = found_again & (~found | (inner.abs() < outer.abs()))
    return torch.where(better, inner, outer), (found | found_again).to(points)


def _half(met: Tensor, step: float, reach: float) -> tuple[Tensor, Tensor]:
    """Where optical depth (n e s; from `reach` inwards by `step`) passes `HALF`, and whether it does."""
    after = (met >= HALF).int().argmax(-1, keepdim=True)
    before = (after - 1).clamp(min=0)
    low, high = met.gather(-1, before), met.gather(-1, after)
    share = ((HALF - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return (reach - step * (before + share)).squeeze(-1), (after > 1).squeeze(-1)


def residuals(
    view: NeuralView, points: Float[Tensor, "n e 3"], normals: Float[Tensor, "n e 3"], reach: float
) -> Float[Tensor, "n e"]:
    """How far each point is from the surface (m): by the density if there is one, else by the depth image.

    `reach` where no surface is found; NaN where nothing can be said, for the camera does not see the point.
    """
    if isinstance(view, NeuralVolume):
        offset, found = surface_offset(view, points, normals, reach)
        return torch.where(found > 0, offset.abs(), reach)
    offset, cosine, found = depth_offset(view, points, normals)
    return torch.where(cosine > SEEN, torch.where(found > 0, offset.abs().clamp(max=reach), reach), torch.nan)


def depth_offset(
    volume: NeuralView, points: Float[Tensor, "n e 3"], normals: Float[Tensor, "n e 3"]
) -> tuple[Float[Tensor, "n e"], Float[Tensor, "n e"], Float[Tensor, "n e"]]:
    """How far along its normal each point lies under the surface that the depth image shows.

    Returns:
        offset: metres, positive outwards. A depth image that stands b metres behind the surface, along the
            lines of sight, lowers it by b times
        cosine: between normal and line of sight;
        found: 1 where the point faces the camera and lies on a solid pixel.
    """
    cameras = volume.cameras
    seen = cameras.project(points)
    grid = 2 * seen[:, :, None, :2] - 1
    image = torch.stack([volume.depth * volume.alpha, volume.alpha], 1)
    image = F.grid_sample(image, grid.to(image), padding_mode="border", align_corners=False)[..., 0]
    alpha = image[:, 1]
    depth = image[:, 0] / alpha.clamp(min=1e-6)
    sight = points - cameras.cam2world[:, None, :3, 3]
    along = (normals * sight).sum(-1)
    cosine = -along / sight.norm(dim=-1)
    inside = (grid[:, :, 0].abs() < 1).all(-1)
    found = (cosine > SEEN) & (alpha > SOLID) & inside
    return along * (depth / seen[..., 2] - 1), cosine, found.to(points)


def tukey(residual: Float[Tensor, "*n"], cut: float) -> Float[Tensor, "*n"]:
    """Weight of a residual: 1 at 0, falling to 0 at `cut` and beyond.

    Source: Beaton & Tukey, The fitting of power series (1974), the biweight.
    """
    return (1 - (residual / cut).square()).clamp(min=0).square()


def _spread(vertices: Tensor, among: Tensor, n_points: int) -> Tensor:
    """About n_points of `among`: of every cell of a grid the vertex nearest its middle."""
    points = vertices[among].double().numpy()
    low, high = 5e-4, 0.05
    for _ in range(30):
        size = (low * high) ** 0.5
        cell = np.floor(points / size).astype(np.int64)
        gap = np.linalg.norm(points / size - cell - 0.5, axis=1)
        order = np.lexsort((gap, *cell.T))
        first = np.unique(cell[order], axis=0, return_index=True)[1]
        low, high = (size, high) if len(first) > n_points else (low, size)
    return among[torch.from_numpy(np.sort(order[first]))]


def _rings(faces: np.ndarray, index: Tensor) -> Tensor:
    """Corners (e k 3) of the triangles around each vertex, padded with the vertex itself three times."""
    corner, place = np.unique(faces, return_inverse=True)
    owner = place.reshape(-1)
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(len(corner) + 1))
    rows = np.searchsorted(corner, index.numpy())
    around = [order[start[r] : start[r + 1]] // 3 for r in rows]
    ring = np.repeat(index.numpy()[:, None], 3 * max(map(len, around)), 1).reshape(len(rows), -1, 3)
    for i, triangles in enumerate(around):
        ring[i, : len(triangles)] = faces[triangles]
    return torch.from_numpy(ring)


def _vertex_classes(head: HeadModel) -> np.ndarray:
    """Class of each vertex: that of its triangles, or the texel under it where the map decides."""
    out = np.zeros(len(head.vertices), np.uint8)
    size_v, size_u = head.class_map.shape
    uv = head.uv[head.face_uvs]
    col = np.clip((uv[..., 0] * size_u).astype(int), 0, size_u - 1)
    row = np.clip(((1 - uv[..., 1]) * size_v).astype(int), 0, size_v - 1)
    mapped = head.face_class == 255
    out[head.faces] = np.where(mapped[:, None], head.class_map[row, col], head.face_class[:, None])
    return out


def outer_vertices(head: HeadModel) -> np.ndarray:
    """Which vertices (v) of the neutral head are seen from in front or from the sides: of triangles shown."""
    size, distance, focal = 320, 3.0, 7.5  # a head of 0.35 m fills the image from afar
    points = head.vertices.double().cpu().numpy()
    out = np.zeros(len(points), bool)
    for yaw in (-70, -35, 0, 35, 70):
        for pitch in (-25, 15):
            a, b = math.radians(yaw), math.radians(pitch)
            back = np.array([math.sin(a) * math.cos(b), math.sin(b), math.cos(a) * math.cos(b)])
            right = np.array([math.cos(a), 0.0, -math.sin(a)])
            x, y, z = np.stack([right, np.cross(right, back), -back]) @ points.T
            z = z + distance
            view = np.stack([(focal * x / z + 0.5) * size, (focal * y / z + 0.5) * size, z], 1)
            shown = rasterize(view, head.faces, size, size).face_index
            out[head.faces[np.unique(shown[shown >= 0])]] = True
    return out
