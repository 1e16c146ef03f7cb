"""Neural-style volumes whose truth is known: a head's signed distance, warped, made dense, with hair.

A volume is the mesh of a head model after a known affine and a smooth distortion, so the truth for every
vertex is `Planted.truth`. Its density is what a tri-plane decoder has: soft at the surface, finite inside,
bumpy, noisy, with hair around the scalp and locks that hang before forehead and cheeks. Depth and alpha are
rendered from it with the published quadrature (48 stratified and 48 importance samples, expected depth).
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from synthforge.alignment.evidence import HALF, outer_vertices
from synthforge.alignment.frame import SCALE, Cameras
from synthforge.alignment.volume import z_of_ray
from synthforge.cameras.orbit import eg3d_camera
from synthforge.heads.base import HeadModel

LOW, HIGH = np.array([-0.16, -0.2, -0.16]), np.array([0.16, 0.2, 0.16])  # metres; the grid
BAND = 0.012  # metres to which distances are kept
# The affine of the published generator's own alignment, in metres.
PAPER_MATRIX = np.array([[1.0196, 0.0057, -0.0197], [-0.0199, 0.9694, -0.0098], [0.0072, 0.0797, 0.9880]])
PAPER_SHIFT = np.array([0.0011, 0.0487, -0.0142]) / SCALE


@dataclass(frozen=True)
class Recipe:
    """How far from ideal a volume is. Lengths in metres, densities per volume unit.

    `softness`: over which the density rises; `interior`: density inside; `bumps`: roughness of the surface
    (sd, 6 mm across); `grain`: relative noise of the density, sample by sample of the grid; `distortion`:
    root mean square length of the smooth displacement, whose waves are `waves` long; `locks`: strands
    before the face.
    """

    softness: float = 1.5e-3
    interior: float = 150.0
    bumps: float = 0.4e-3
    grain: float = 0.1
    distortion: float = 4e-3
    waves: tuple[float, float] = (0.12, 0.4)
    scalp_hair: bool = True
    locks: int = 8
    voxel: float = 2e-3


CLEAN = Recipe(bumps=0, grain=0, distortion=0, scalp_hair=False, locks=0)


@dataclass(frozen=True)
class Base:
    """One posed head: its mesh, and on a grid the signed distance (m, positive outside)."""

    vertices: np.ndarray  # v 3
    distance: np.ndarray  # x y z
    away: np.ndarray  # x y z; the same outside, not cut at BAND
    voxel: float


def base_head(faces: np.ndarray, outer: np.ndarray, vertices: np.ndarray, voxel: float) -> Base:
    """Signed distance of the faces that are `outer`; all of them keep air out of the head, and the floor of
    the grid closes the neck."""
    samples, normals, owner = _scatter(vertices[faces].astype(np.float64), voxel / 3)
    shape = tuple(np.round((HIGH - LOW) / voxel).astype(int) + 1)
    cell = np.round((samples - LOW) / voxel).astype(int)
    wall = np.zeros(shape, bool)
    wall[tuple(cell[((cell >= 0) & (cell < shape)).all(1)].T)] = True
    label, _ = ndimage.label(~ndimage.binary_dilation(wall))
    outside = label == label[0, -1, 0]
    keep = outer[owner]
    samples, normals = samples[keep], normals[keep]
    near = np.argwhere(ndimage.distance_transform_edt(~wall) * voxel < BAND)
    points = near * voxel + LOW
    reach, row = cKDTree(samples).query(points)
    flat = ((points - samples[row]) * normals[row]).sum(1)
    signed = np.where(reach < 2 * voxel, flat, np.where(outside[tuple(near.T)], reach, -reach))
    distance = np.where(outside, BAND, -BAND)
    distance[tuple(near.T)] = np.clip(signed, -BAND, BAND)
    away = np.where(abs(distance) < BAND, distance, ndimage.distance_transform_edt(outside) * voxel)
    return Base(vertices, distance.astype(np.float32), away.astype(np.float32), voxel)


def _scatter(corners: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random points on triangles (f 3 3), the normals there, and whose triangle's they are."""
    rng = np.random.default_rng(0)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    pick = rng.choice(len(corners), int(area.sum() / 2 / spacing**2), p=area / area.sum())
    weights = rng.dirichlet([1, 1, 1], len(pick))
    return np.einsum("nk,nkc->nc", weights, corners[pick]), cross[pick] / area[pick, None], pick


@dataclass(frozen=True)
class Warp:
    """x -> A (x + u(x)) + t in metres, u a sum of waves; one per sample."""

    matrix: Tensor  # n 3 3
    shift: Tensor  # n 3
    wave: Tensor  # n k 3, per metre
    phase: Tensor  # n k
    amplitude: Tensor  # n k 3, metres

    def offset(self, points: Tensor) -> Tensor:
        return torch.sin(torch.baddbmm(self.phase[:, None], points, self.wave.mT)) @ self.amplitude

    def __call__(self, points: Tensor) -> Tensor:
        return (points + self.offset(points)) @ self.matrix.mT + self.shift[:, None]

    def inverse(self, points: Tensor, steps: int = 4) -> Tensor:
        straight = (points - self.shift[:, None]) @ torch.linalg.inv(self.matrix).mT
        out = straight
        for _ in range(steps):
            out = straight - self.offset(out)
        return out


def draw_warp(
    rng: np.random.Generator,
    n: int,
    recipe: Recipe,
    matrix=PAPER_MATRIX,
    shift=PAPER_SHIFT,
    dtype=torch.float32,
) -> Warp:
    """The affine, and per sample a distortion of ten waves; root mean square length as the recipe says."""
    k = 10
    direction = rng.normal(size=(n, k, 3))
    length = rng.uniform(*recipe.waves, (n, k))
    wave = 2 * np.pi * direction / np.linalg.norm(direction, axis=-1, keepdims=True) / length[..., None]
    amplitude = rng.normal(size=(n, k, 3))
    amplitude *= recipe.distortion * np.sqrt(2 / (amplitude**2).sum((1, 2), keepdims=True))
    cast = lambda x: torch.as_tensor(np.asarray(x), dtype=dtype)  # noqa: E731
    phase = rng.uniform(0, 2 * np.pi, (n, k))
    return Warp(
        cast(matrix).expand(n, 3, 3), cast(shift).expand(n, 3), cast(wave), cast(phase), cast(amplitude)
    )  # fmt: skip


class Planted:
    """A `NeuralVolume` over planted heads; `truth` are the vertices that alignment should find."""

    def __init__(self, bases, warp: Warp, cameras: Cameras, recipe: Recipe, rng, resolution=64):
        self.warp, self.cameras, self.recipe = warp, cameras, recipe
        self.vertices = torch.as_tensor(np.stack([b.vertices for b in bases]), dtype=torch.float32)
        self.truth = warp(self.vertices)
        self.grid = torch.from_numpy(np.stack([_bake(b, recipe, rng) for b in bases]))
        self.level = _level(recipe)
        self.depth, self.alpha = _render(self, resolution, rng)

    def fields(self, points: Tensor) -> Tensor:
        """Distance of head, of hair and locks, and noise (n 4 m) at world points."""
        rest = self.warp.inverse(points)
        low, high = (rest.new_tensor(x) for x in (LOW, HIGH))
        at = 2 * (rest - low) / (high - low) - 1
        at = at.flip(-1)[:, :, None, None]  # the grid is x y z; sampling counts the last axis first
        return F.grid_sample(self.grid, at, padding_mode="border", align_corners=True)[..., 0, 0]

    def sigma(self, points: Tensor) -> Tensor:
        head, cover, bump, grain = self.fields(points).unbind(1)
        solid = torch.sigmoid((self.level - head - bump) / self.recipe.softness)
        hair = 0.7 * torch.sigmoid(-cover / 2e-3)  # hair is softer and less dense
        return -15 + (self.recipe.interior + 16) * torch.maximum(solid, hair) * (1 + grain) + 5 * grain

    def density(self, points: Tensor) -> Tensor:
        return SCALE * F.softplus(self.sigma(points) - 1)


def _level(recipe: Recipe) -> float:
    """How far the rise of the density stands before the surface, so that half the light is gone at 0."""
    d = np.linspace(BAND, -3 * BAND, 20001)
    sigma = -15 + (recipe.interior + 16) / (1 + np.exp(np.clip(d / recipe.softness, -60, 60)))
    met = np.cumsum(SCALE * np.logaddexp(0, sigma - 1)) * (d[0] - d[1])
    return float(-d[np.searchsorted(met, HALF)])


def _bake(base: Base, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Grids (4 x y z): head, hair and locks (signed distances), bumps (m), grain (relative)."""
    shape, voxel = base.distance.shape, base.voxel
    axes = [np.linspace(lo, hi, n) for lo, hi, n in zip(LOW, HIGH, shape, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    cover = np.full(shape, 0.05, np.float32)
    if recipe.scalp_hair:
        thickness = rng.uniform(0.008, 0.03) * (1 + 0.5 * _smooth_noise(rng, shape, 0.03 / voxel))
        border = 0.017 + rng.uniform(-0.008, 0.01) - (0.8 * y - 0.6 * z)  # positive before the hairline
        cover = np.maximum(base.away - thickness, border).astype(np.float32)
    if recipe.locks:
        tree = cKDTree(_locks(base, recipe.locks, rng))
        near = np.argwhere((base.away > -BAND) & (base.away < 0.03) & (z > -0.02))
        gap, _ = tree.query(near * voxel + LOW, distance_upper_bound=0.03)
        at = tuple(near.T)
        cover[at] = np.minimum(cover[at], np.minimum(gap, 0.03) - rng.uniform(0.002, 0.006))
    bump = recipe.bumps * _smooth_noise(rng, shape, 0.006 / voxel) if recipe.bumps else np.zeros(shape)
    grain = recipe.grain * rng.normal(size=shape) if recipe.grain else np.zeros(shape)
    return np.stack([base.distance, cover, bump, grain]).astype(np.float32)


def _locks(base: Base, n: int, rng: np.random.Generator) -> np.ndarray:
    """Points along locks of hair that fall from the hairline over forehead and cheeks, 3 to 15 mm off."""
    out = []
    z_of = _front(base)
    for _ in range(n):
        start = np.array([rng.uniform(-0.07, 0.07), 0.075])
        steps = np.linspace(0, rng.uniform(0.02, 0.1), 150)
        xy = start + np.stack([rng.uniform(-0.5, 0.5) * steps + 0.01 * np.sin(steps * 60), -steps], 1)
        z = z_of(xy) + rng.uniform(0.003, 0.015) + 0.003 * np.sin(steps * rng.uniform(50, 150))
        out.append(np.column_stack([xy, z]))
    return np.concatenate(out)


def _front(base: Base):
    solid = base.distance < 0
    last = solid.shape[2] - 1 - solid[:, :, ::-1].argmax(2)
    height = np.where(solid.any(2), LOW[2] + last * base.voxel, 0.0)

    def z_of(xy: np.ndarray) -> np.ndarray:
        return ndimage.map_coordinates(height, ((xy - LOW[:2]) / base.voxel).T, order=1, mode="nearest")

    return z_of


def _smooth_noise(rng: np.random.Generator, shape, across: float) -> np.ndarray:
    """Noise of unit variance that changes over `across` voxels."""
    coarse = [max(int(np.ceil(n / across * 2)) + 3, 4) for n in shape]
    noise = ndimage.zoom(
        rng.normal(size=coarse), [n / c for n, c in zip(shape, coarse, strict=True)], order=1
    )
    return noise / noise.std()


@torch.no_grad()
def _render(volume: Planted, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Expected z-depth (m) and alpha, by the published quadrature (EG3D)."""
    cam, k = volume.cameras.cam2world, volume.cameras.intrinsics
    centres = (torch.arange(n) + 0.5) / n
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    y = (v - k[:, 1, 2, None, None]) / k[:, 1, 1, None, None]
    x = (u - k[:, 0, 2, None, None]) / k[:, 0, 0, None, None]
    rays = F.normalize(torch.stack([x, y, torch.ones_like(x)], -1), dim=-1).flatten(1, 2) @ cam[:, :3, :3].mT
    origin = cam[:, None, :3, 3]
    uniform = lambda *s: torch.as_tensor(rng.uniform(size=s), dtype=torch.float32)  # noqa: E731
    near, far, count = 2.25 / SCALE, 3.3 / SCALE, 48
    step = (far - near) / (count - 1)
    batch, m = rays.shape[:2]
    coarse = torch.linspace(near, far, count) + step * uniform(batch, m, count)

    def sigma(t: Tensor) -> Tensor:
        return volume.sigma((origin[:, :, None] + rays[:, :, None] * t[..., None]).flatten(1, 2)).view(
            t.shape
        )

    def weights(t: Tensor, s: Tensor) -> Tensor:
        density = SCALE * F.softplus((s[..., 1:] + s[..., :-1]) / 2 - 1)
        a = 1 - torch.exp(-density * t.diff(dim=-1))
        through = torch.cumprod(F.pad(1 - a + 1e-10, (1, 0), value=1.0), -1)[..., :-1]
        return a * through

    first = sigma(coarse)
    w = weights(coarse, first)
    w = F.avg_pool1d(F.max_pool1d(w, 2, 1, 1), 2, 1) + 0.01
    bins = (coarse[..., 1:] + coarse[..., :-1]) / 2
    pdf = w[..., 1:-1] + 1e-5
    cdf = F.pad((pdf / pdf.sum(-1, keepdim=True)).cumsum(-1), (1, 0))
    draw = uniform(batch, m, count)
    above = torch.searchsorted(cdf, draw, right=True)
    lo, hi = (above - 1).clamp(min=0), above.clamp(max=cdf.shape[-1] - 1)
    c0, c1, b0, b1 = cdf.gather(-1, lo), cdf.gather(-1, hi), bins.gather(-1, lo), bins.gather(-1, hi)
    fine = b0 + (draw - c0) / torch.where(c1 - c0 < 1e-5, 1.0, c1 - c0) * (b1 - b0)
    t, order = torch.cat([coarse, fine], -1).sort(-1)
    w = weights(t, torch.cat([first, sigma(fine)], -1).gather(-1, order))
    total = w.sum(-1)
    distance = (w * (t[..., 1:] + t[..., :-1]) / 2).sum(-1) / total.clamp(min=1e-9)
    distance = distance.clamp(near, far + step).view(batch, n, n)
    return z_of_ray(distance, k), total.view(batch, n, n)


def draw_cameras(
    rng: np.random.Generator, n: int, yaw=np.pi / 4, pitch=np.pi / 4, fov=(12.0, 27.0)
) -> Cameras:
    """Cameras as the published labels state them, at 2.7 volume units; angles in radians, fields of view in
    degrees."""
    out = []
    for _ in range(n):
        angles = rng.uniform(-yaw, yaw), rng.uniform(-pitch, pitch)
        out.append(eg3d_camera(*angles, 0.0, 2.7, np.deg2rad(rng.uniform(*fov)), (512, 512)))
    return Cameras.stack(out)


def draw_bases(head: HeadModel, rng: np.random.Generator, n: int, voxel: float) -> list[Base]:
    """Heads of random shape and expression."""
    shape = torch.as_tensor(0.8 * rng.normal(size=(n, head.n_shape)), dtype=torch.float32)
    weights = rng.uniform(0, 0.5, (n, head.n_expression)) * (rng.uniform(size=(n, head.n_expression)) < 0.12)
    expression = torch.as_tensor(weights, dtype=torch.float32)
    with torch.no_grad():
        vertices = head(shape, expression, torch.zeros(n, head.n_joints, 3)).numpy()
    outer = outer_vertices(head)[head.faces].all(1)
    return [base_head(head.faces, outer, v, voxel) for v in vertices]
