"""One affine per checkpoint, fitted in closed form on many samples.

A generator shows a face that differs from the mesh it was conditioned on, because training left that open.
Most of the difference is the same for all samples: p -> A p + t in metres, fitted to the surface of the
density along the meshes' normals, to the depth images, and to 2D landmarks if a detector's are given. Every
step is a weighted linear least squares problem in the twelve numbers and the depth image's bias.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from synthforge.alignment.evidence import Evidence, depth_offset, residuals, surface_offset, tukey
from synthforge.alignment.frame import DEPTH_SHIFT
from synthforge.alignment.rejection import pose_bins
from synthforge.alignment.volume import NeuralView, NeuralVolume
from synthforge.errors import AssetError, GeometryError
from synthforge.heads.base import HeadModel

# How far along the normals each step looks (m): first past any published offset, last before hair.
REACH = (40e-3, 40e-3, 30e-3, 30e-3, 20e-3, 20e-3, 12e-3, 12e-3, 8e-3, 8e-3, 8e-3, 8e-3)
DENSITY_SD, DEPTH_SD = 2e-3, 4e-3  # metres, as in refine
LANDMARK_SD = 8.0  # pixels of 512; a detector's jaw points do not lie on the same skin as the mesh's
LANDMARK_CUT = 6.0  # in these, the distance beyond which a landmark does not count
PRIOR_SD = 0.1  # of the matrix's numbers around the identity, and of the shift in metres
LEVER = 0.1  # metres; the matrix is counted by what it does at this distance
FORMAT = "synthforge-alignment-1"


@dataclass(frozen=True)
class Samples:
    """A batch to fit on: the meshes a volume was made from, and optional detected landmarks.

    `landmarks_px` are pixels of a square image of `landmark_size`; NaN where the detector says nothing.
    """

    vertices: Float[Tensor, "n v 3"]
    volume: NeuralView
    landmarks_px: Float[Tensor, "n 68 2"] | None = None
    landmark_size: int = 512


@dataclass(frozen=True)
class PoseResidual:
    """Median distance (mm) between mesh and surface along the normals, of samples seen from one side."""

    pose: str
    n_samples: int
    before_mm: float
    after_mm: float


@dataclass(frozen=True)
class CheckpointAffine:
    """p -> matrix p + shift (metres), on vertices in the world frame that `VolumeFrame(depth_shift)` gives.

    `checkpoint_sha256` says which network it belongs to.
    """

    matrix: tuple[tuple[float, float, float], ...]
    shift: tuple[float, float, float]
    checkpoint_sha256: str
    n_samples: int = 0
    before_mm: float = 0.0
    after_mm: float = 0.0
    depth_bias_mm: float = 0.0
    poses: tuple[PoseResidual, ...] = ()
    depth_shift: float = DEPTH_SHIFT

    @classmethod
    def identity(cls, checkpoint_sha256: str = "") -> "CheckpointAffine":
        """The analytic frame alone."""
        return cls(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (0.0, 0.0, 0.0), checkpoint_sha256)

    def __call__(self, vertices: Float[Tensor, "n v 3"]) -> Float[Tensor, "n v 3"]:
        """Vertices (m) where the volume has them."""
        return vertices @ vertices.new_tensor(self.matrix).T + vertices.new_tensor(self.shift)

    def save(self, path: Path) -> None:
        """Write as JSON, replacing what is there at once."""
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, checkpoint_sha256: str | None = None) -> "CheckpointAffine":
        """Read what `save` wrote.

        Args:
            checkpoint_sha256: the checkpoint it has to belong to; `None` takes any.
        Raises:
            AssetError: the file is missing, damaged, no near-identity affine, or another checkpoint's.
        """
        try:
            out = _parse(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"is no alignment ({error})"
            raise AssetError(f"the file {what}", where=str(path), fix=_FIX) from error
        if checkpoint_sha256 is not None and out.checkpoint_sha256 != checkpoint_sha256:
            raise AssetError(
                f"fitted for checkpoint {out.checkpoint_sha256[:12]}, not {checkpoint_sha256[:12]}",
                where=str(path), fix=_FIX,
            )  # fmt: skip
        return out


_FIX = "fit it again: synthforge align"


def fit_affine(
    samples: Sequence[Samples], head: HeadModel, checkpoint_sha256: str, depth_shift: float = DEPTH_SHIFT
) -> CheckpointAffine:
    """The affine that brings meshes onto volumes.

    Args:
        samples: batches; each is visited once per step (`REACH`), on its own device.
        head: whose vertices they are.
        checkpoint_sha256: stored with the result.
        depth_shift: of the `VolumeFrame` that took the volumes to metres; stored with the result.
    Raises:
        GeometryError: no samples, or too little of the surface was found.
    """
    evidence = Evidence.of(head)
    matrix, shift, bias = torch.eye(3).double(), torch.zeros(3).double(), 0.0
    prior = torch.full((13,), PRIOR_SD**-2).double()
    prior[:9] *= LEVER**-2
    for reach in REACH:
        normal, right, found = prior.diag(), torch.zeros(13).double(), 0.0
        for batch in samples:
            rows = _rows(batch, head, evidence, matrix, shift, bias, reach)
            derivative, wanted, weight = (part.double().cpu() for part in rows)
            normal = normal + derivative.T @ (weight[:, None] * derivative)
            right = right + derivative.T @ (weight * wanted)
            found += float((weight > 0).sum())
        if found < 100:
            raise GeometryError(
                f"{found:.0f} points of the meshes found a surface within {1e3 * reach:.0f} mm",
                where="alignment.fit_affine",
                fix="is it a generator of faces? To go without alignment: --set next3d.alignment=analytic",
            )
        solution = torch.linalg.solve(normal, right)
        matrix = torch.eye(3).double() + solution[:9].view(3, 3) / LEVER
        shift, bias = solution[9:12], float(solution[12])
    plain = CheckpointAffine(
        tuple(map(tuple, matrix.tolist())), tuple(shift.tolist()), checkpoint_sha256,
        depth_bias_mm=1e3 * bias, depth_shift=depth_shift,
    )  # fmt: skip
    return _with_residuals(plain, samples, evidence)


def _rows(
    batch: Samples,
    head: HeadModel,
    evidence: Evidence,
    matrix: Tensor,
    shift: Tensor,
    bias: float,
    reach: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives (r 13), values they should give (r) and weights (r) of a batch's measurements.

    Unknowns: (A - 1) times `LEVER`, row by row, t, and the depth image's bias.
    """
    evidence = evidence.to(batch.vertices.device)
    moved = batch.vertices @ matrix.to(batch.vertices).T + shift.to(batch.vertices)
    still, points, normals = (
        batch.vertices[:, evidence.index],
        moved[:, evidence.index],
        evidence.normals(moved),
    )
    now = ((points - still) * normals).sum(-1)
    cut, parts = reach / 2, []
    if isinstance(batch.volume, NeuralVolume):
        offset, found = surface_offset(batch.volume, points, normals, reach)
        rows = [_plane_rows(normals, still, None), now + offset, found * tukey(offset, cut) / DENSITY_SD**2]
        parts.append(tuple(part.flatten(0, 1) for part in rows))
    offset, cosine, found = depth_offset(batch.volume, points, normals)
    weight = found * cosine * tukey(offset + bias * cosine, cut) / DEPTH_SD**2
    rows = [_plane_rows(normals, still, -cosine), now + offset, weight]
    parts.append(tuple(part.flatten(0, 1) for part in rows))
    if batch.landmarks_px is not None:
        parts.append(_landmark_rows(batch, head, moved))
    jacobian, residual, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    return jacobian, residual, weight


def _plane_rows(normals: Tensor, still: Tensor, bias: Tensor | None) -> Tensor:
    """Derivatives of the places along `normals` (n e 3) of `still` points: n e 13."""
    turned = normals[..., :, None] * still[..., None, :] / LEVER
    last = torch.zeros_like(normals[..., :1]) if bias is None else bias[..., None]
    return torch.cat([turned.flatten(-2), normals, last], -1)


def _landmark_rows(batch: Samples, head: HeadModel, moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of detected landmarks: x_cam - (u - cx) / f z_cam = 0, in metres, linear in the unknowns."""
    device = batch.vertices.device
    facing = torch.zeros(len(moved), head.n_joints, 3, device=device)
    still, here = (head.landmarks_by_yaw(vertices, facing) for vertices in (batch.vertices, moved))
    cameras = batch.volume.cameras
    pixels = batch.landmarks_px.to(still) / batch.landmark_size
    known = pixels.isfinite().all(-1, keepdim=True)
    x, y = torch.where(known, pixels, 0.5).unbind(-1)
    fx, skew, cx, fy, cy = cameras.parts()
    y = (y - cy) / fy
    x = (x - cx - skew * y) / fx
    right, down, forward = cameras.cam2world[:, None, :3, :3].unbind(-1)
    sight = here - cameras.cam2world[:, None, :3, 3]
    axes = torch.stack([right - x[..., None] * forward, down - y[..., None] * forward], 2)  # n 68 2 3
    gap = -(sight[:, :, None] * axes).sum(-1)  # metres at the landmark's depth
    sd = LANDMARK_SD / 512 * (sight * forward).sum(-1, keepdim=True) / fx[..., None]
    weight = known * tukey(gap / sd, LANDMARK_CUT) / sd**2
    still, here = (p[:, :, None].expand_as(axes) for p in (still, here))
    wanted = ((here - still) * axes).sum(-1) + gap
    return _plane_rows(axes, still, None).flatten(0, 2), wanted.flatten(), weight.flatten()


def _with_residuals(
    affine: CheckpointAffine, samples: Iterable[Samples], evidence: Evidence
) -> CheckpointAffine:
    """The affine with the residuals between meshes and surfaces, over all samples and per pose."""
    before_each, after_each, names = [], [], []
    for batch in samples:
        local = evidence.to(batch.vertices.device)
        for vertices, out in ((batch.vertices, before_each), (affine(batch.vertices), after_each)):
            points, normals = vertices[:, local.index], local.normals(vertices)
            left = residuals(batch.volume, points, normals, REACH[0])
            left = torch.where(left < REACH[0], left, torch.nan)
            out.extend(1e3 * left.nanmedian(1).values.cpu())
        names.extend(pose_bins(batch.volume.cameras))
    before, after = torch.stack(before_each), torch.stack(after_each)
    poses = []
    for name in sorted(set(names), key=lambda name: float(name.split()[1])):
        rows = torch.tensor([n == name for n in names])
        poses.append(PoseResidual(name, int(rows.sum()), _median(before[rows]), _median(after[rows])))
    return replace(
        affine,
        poses=tuple(poses),
        n_samples=len(names),
        before_mm=_median(before),
        after_mm=_median(after),
    )


def _median(values: Tensor) -> float:
    return round(float(values.nanmedian()), 4)


def _parse(data: dict) -> CheckpointAffine:
    """
    Raises:
        ValueError, TypeError, KeyError: not what `save` writes.
    """
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError(f"format is not {FORMAT}")
    data["poses"] = tuple(PoseResidual(**pose) for pose in data["poses"])
    matrix, shift = np.array(data["matrix"], float), np.array(data["shift"], float)
    if matrix.shape != (3, 3) or shift.shape != (3,) or not np.isfinite([*matrix.ravel(), *shift]).all():
        raise ValueError("matrix and shift are not 3 x 3 and 3 finite numbers")
    if abs(matrix - np.eye(3)).max() > 0.5 or abs(shift).max() > 0.2:
        raise ValueError("the affine is far from the identity")
    if not isinstance(data["checkpoint_sha256"], str):
        raise ValueError("checkpoint_sha256 is not a text")
    return CheckpointAffine(
        **data | {"matrix": tuple(map(tuple, matrix.tolist())), "shift": tuple(shift.tolist())}
    )
