"""Per-sample refinement: a similarity and a smooth offset, by the sample's own density and depth.

Vertices move by a field that is linear in its coefficients: the seven motions of a similarity, and the
leading functions of a Gaussian prior on smooth displacements (`smooth.py`). Each step measures how far the
surface is along every vertex's normal, weighs the measurements by a redescending function, and solves for
the most likely coefficients. The prior is the checkpoint's affine alone, so whatever hair hides stays where
that puts it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from synthforge.alignment.evidence import Evidence, depth_offset, residuals, surface_offset, tukey
from synthforge.alignment.smooth import smooth_basis
from synthforge.alignment.volume import NeuralView, NeuralVolume
from synthforge.heads.base import HeadModel

MEDIAN = 0.6745  # of the absolute value of a standard normal
LEVER = 0.1  # metres; turns and scale are counted by what they do at this distance


@dataclass(frozen=True)
class RefineConfig:
    """How samples are refined; lengths in metres. The defaults were tuned with benchmarks/alignment.py.

    Args:
        steps: for each step how far along the normals it looks for the surface, and the residual beyond
            which a measurement does not count. The reach starts at the largest distortion expected and must
            not end within the softness of the surface; the cut ends below a lock's distance from the skin.
        density_sd, depth_sd: error of one measurement; `None` leaves that kind out. Those of neighbouring
            points are alike, so these are larger than what a single one shows.
        similarity_sd: how far a similarity is expected to move the face.
        bias_sd: how far the depth image is expected to stand behind the surface.
        smooth_sd, smooth_length: standard deviation of the smooth offset, and over what it changes.
        n_functions: of it, per axis; 0 leaves a similarity.
    """

    steps: tuple[tuple[float, float], ...] = (
        (16e-3, 8e-3), (12e-3, 6e-3), (10e-3, 4e-3), (8e-3, 3e-3),
        (6e-3, 2e-3), (6e-3, 1.5e-3), (6e-3, 1.5e-3),
    )  # fmt: skip
    density_sd: float | None = 1e-3
    depth_sd: float | None = 4e-3
    similarity_sd: float = 5e-3
    bias_sd: float = 5e-3
    smooth_sd: float = 4e-3
    smooth_length: float = 0.08
    n_functions: int = 96


@dataclass(frozen=True)
class Refined:
    """`rms` (m) of what is left between mesh and surface along the normals, estimated from the median so that
    hair before a smaller half of the face does not count; `inliers`: share of the face's points within the
    last step's cut; `depth_bias` (m): how far the depth image stands behind the surface."""

    vertices: Float[Tensor, "n v 3"]
    rms: Float[Tensor, " n"]
    inliers: Float[Tensor, " n"]
    depth_bias: Float[Tensor, " n"]


class Refiner(nn.Module):
    """Refinement of samples of one head: everything that depends on the topology alone is made once."""

    index: Tensor
    ring: Tensor
    basis: Tensor

    def __init__(self, head: HeadModel, config: RefineConfig | None = None, n_points: int = 3000):
        super().__init__()
        self.config = config or RefineConfig()
        evidence = Evidence.of(head, n_points)
        basis = smooth_basis(
            head.vertices.cpu(), self.config.n_functions, self.config.smooth_sd, self.config.smooth_length
        )
        self.register_buffer("index", evidence.index, persistent=False)
        self.register_buffer("ring", evidence.ring, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    @torch.no_grad()
    def forward(self, vertices: Float[Tensor, "n v 3"], volume: NeuralView) -> Refined:
        """Vertices (m, world frame, the affine applied) moved onto the volumes.

        Samples do not affect each other. Views without a density are refined by their depth images. Nothing
        is read back from the device.
        """
        evidence = Evidence(self.index, self.ring)
        start = vertices.float()
        lever = start - start[:, self.index].mean(1, keepdim=True)
        motions, basis = _similarity(lever[:, self.index]), self.basis[self.index, None]
        solution = start.new_zeros(len(start), 7 + 3 * self.basis.shape[1])
        precision = torch.ones_like(solution[0])  # the functions of the smooth field carry their own scale
        precision[:7] = self.config.similarity_sd**-2
        moved, bias = start, start.new_zeros(len(start), 1)
        for reach, cut in self.config.steps:
            normals = evidence.normals(moved)
            offset, weight, bias = self._measure(moved[:, self.index], normals, bias, volume, reach, cut)
            along = [torch.einsum("nec,necp->nep", normals, motions), (normals[..., None] * basis).flatten(2)]
            solution = _solve(torch.cat(along, -1), offset, weight, solution, precision)
            moved = start + self._displacement(lever, solution)
        left = residuals(volume, moved[:, self.index], evidence.normals(moved), reach)
        inliers = (left < cut).sum(1) / left.isfinite().sum(1).clamp(min=1)
        return Refined(moved, left.nanmedian(1).values / MEDIAN, inliers, bias[:, 0])

    def _displacement(self, lever: Tensor, solution: Tensor) -> Tensor:
        """The field at all vertices, given from the centre (n v 3)."""
        motions, smooth = solution[:, :7], solution[:, 7:].unflatten(1, (3, -1))
        return torch.einsum("nvcp,np->nvc", _similarity(lever), motions) + self.basis @ smooth.mT

    def _measure(
        self, points: Tensor, normals: Tensor, bias: Tensor, volume: NeuralView, reach: float, cut: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean offset (n e) of the points by density and depth, its weight (n e), and the depth's bias (n 1).

        The bias is what the depth image stands behind the surface of the density; 0 where only one is asked.
        """
        config, zero = self.config, points.new_zeros(points.shape[:2])
        by_density = config.density_sd is not None and isinstance(volume, NeuralVolume)
        surface = surface_weight = depth = depth_weight = zero
        if by_density:
            surface, found = surface_offset(volume, points, normals, reach)
            surface_weight = found * tukey(surface, cut) / config.density_sd**2
        if config.depth_sd is not None:
            raw, cosine, found = depth_offset(volume, points, normals)
            depth = raw + bias * cosine
            depth_weight = found * tukey(depth, cut) * cosine / config.depth_sd**2
            if by_density:
                both = depth_weight * (surface_weight > 0) * cosine
                total = (both * cosine).sum(1, keepdim=True) + config.bias_sd**-2
                bias = (both * (surface - raw)).sum(1, keepdim=True) / total
        weight = surface_weight + depth_weight
        offset = (surface_weight * surface + depth_weight * depth) / weight.clamp(min=1e-9)
        return offset, weight, bias


def _similarity(points: Tensor) -> Tensor:
    """What the seven motions do to points (n m 3): three shifts, three turns, a scale; n m 3 7.

    Each moves a point at `LEVER` by one metre; turns are linearized, and later steps correct the rest.
    """
    eye = torch.eye(3, device=points.device)
    shift = eye.expand(*points.shape, 3)
    turn = torch.linalg.cross(
        eye.expand(*points.shape, 3), points[..., None].expand(*points.shape, 3), dim=-2
    )
    return torch.cat([shift, turn / LEVER, points[..., None] / LEVER], -1)


def _solve(derivative: Tensor, offset: Tensor, weight: Tensor, solution: Tensor, precision: Tensor) -> Tensor:
    """Most likely coefficients (n p) given offsets (n e) left at `solution`, and their derivatives (n e p).

    In float64: where the normals say little the prior decides, a ten-thousandth of what they say elsewhere.
    """
    derivative, offset, weight, solution = (x.double() for x in (derivative, offset, weight, solution))
    wanted = offset + (derivative @ solution[..., None])[..., 0]
    weighted = derivative * weight[..., None]
    normal = weighted.mT @ derivative + precision.double().diag()
    factor = torch.linalg.cholesky_ex(normal).L
    return torch.cholesky_solve(weighted.mT @ wanted[..., None], factor)[..., 0].to(precision)
