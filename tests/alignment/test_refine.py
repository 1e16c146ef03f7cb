"""Per-sample refinement on planted volumes."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import torch

from synthforge.alignment import (
    AlignmentLimits,
    CheckpointAffine,
    NeuralVolume,
    RefineConfig,
    Refiner,
    Samples,
    fit_affine,
    rejections,
)
from synthforge.alignment.evidence import Evidence, face_vertices, surface_offset
from synthforge.alignment.refine import _solve
from synthforge.alignment.smooth import smooth_basis
from tests.helpers.planted import (
    CLEAN,
    PAPER_MATRIX,
    PAPER_SHIFT,
    Planted,
    Recipe,
    draw_bases,
    draw_cameras,
    draw_warp,
)

PAPER = CheckpointAffine(tuple(map(tuple, PAPER_MATRIX.tolist())), tuple(PAPER_SHIFT.tolist()), "")
HAIRY = Recipe(voxel=4e-3)


@pytest.fixture(scope="module")
def refiner(anthro_head) -> Refiner:
    return Refiner(anthro_head, n_points=1500)


def plant(bases, recipe, seed=0, matrix=PAPER_MATRIX, shift=PAPER_SHIFT) -> Planted:
    """The same warps and cameras for every recipe of one distortion."""
    rng = np.random.default_rng(seed)
    warp, cameras = draw_warp(rng, len(bases), recipe, matrix, shift), draw_cameras(rng, len(bases))
    return Planted(bases, warp, cameras, recipe, rng, resolution=32)


@pytest.fixture(scope="module")
def hairy(bases) -> Planted:
    return plant(bases, HAIRY)


def errors_mm(head, vertices, planted) -> torch.Tensor:
    return 1e3 * (vertices - planted.truth)[:, face_vertices(head)].norm(dim=-1)


def test_planted_surface_is_where_half_the_light_is_gone(bases, anthro_head):
    planted = plant(bases, CLEAN)
    evidence = Evidence.of(anthro_head)
    offset, found = surface_offset(
        planted, planted.truth[:, evidence.index], evidence.normals(planted.truth), 8e-3
    )
    assert float(found.mean()) > 0.98
    assert 1e3 * float(offset[found > 0].abs().median()) < 0.15


def test_identity_stays(bases, anthro_head, refiner):
    planted = plant(bases, CLEAN, matrix=np.eye(3), shift=np.zeros(3))
    out = refiner(planted.vertices, planted)
    assert float(errors_mm(anthro_head, out.vertices, planted).median()) < 0.3
    assert 1e3 * float(out.rms.max()) < 0.4 and float(out.inliers.min()) > 0.9


def test_distortion_is_undone_under_hair(hairy, anthro_head, refiner):
    start = PAPER(hairy.vertices)
    out = refiner(start, hairy)
    before, after = (errors_mm(anthro_head, v, hairy).median(1).values for v in (start, out.vertices))
    assert float(before.min()) > 2 and float(after.max()) < 1.0
    assert 1e3 * float(out.rms.max()) < 1.0 and float(out.inliers.min()) > 0.7


def test_hair_costs_little(hairy, bases, anthro_head, refiner):
    bare = plant(bases, dataclasses.replace(HAIRY, scalp_hair=False, locks=0))
    torch.testing.assert_close(bare.truth, hairy.truth)  # only the hair differs
    with_hair, without = (
        float(errors_mm(anthro_head, refiner(PAPER(p.vertices), p).vertices, p).median())
        for p in (hairy, bare)
    )
    assert with_hair < without + 0.25


class Part:
    """Some samples of a volume."""

    def __init__(self, whole: Planted, rows: list[int]):
        self.cameras = type(whole.cameras)(whole.cameras.cam2world[rows], whole.cameras.intrinsics[rows])
        self.depth, self.alpha = whole.depth[rows], whole.alpha[rows]
        self.whole, self.rows = whole, rows

    def density(self, points):
        everywhere = points.new_zeros(len(self.whole.depth), *points.shape[1:])
        everywhere[self.rows] = points
        return self.whole.density(everywhere)[self.rows]


def test_batch_mates_do_not_matter(hairy, refiner):
    start = PAPER(hairy.vertices)
    together = refiner(start, hairy)
    for row in range(2):
        alone = refiner(start[[row]], Part(hairy, [row]))
        torch.testing.assert_close(alone.vertices[0], together.vertices[row], rtol=0, atol=1e-6)
        torch.testing.assert_close(alone.rms[0], together.rms[row], rtol=0, atol=1e-6)
    swapped = refiner(start[[1, 0]], Part(hairy, [1, 0]))
    torch.testing.assert_close(swapped.vertices[[1, 0]], together.vertices, rtol=0, atol=1e-6)


def test_lost_samples_are_rejected_and_named(hairy, refiner):
    start = PAPER(hairy.vertices)
    start[1] += torch.tensor([0.03, -0.04, 0.0])
    out = refiner(start, hairy)
    kept, lost = rejections(out.rms, out.inliers, hairy.cameras, AlignmentLimits())
    assert kept is None and lost.startswith("alignment ") and ", yaw " in lost


def test_layers_can_be_switched(hairy, anthro_head, refiner):
    start = PAPER(hairy.vertices)
    full = float(errors_mm(anthro_head, refiner(start, hairy).vertices, hairy).median())
    rigid = Refiner(anthro_head, RefineConfig(n_functions=0), n_points=1500)(start, hairy)
    assert full < float(errors_mm(anthro_head, rigid.vertices, hairy).median())
    for config in (RefineConfig(depth_sd=None), RefineConfig(density_sd=None)):
        one_kind = Refiner(anthro_head, config, n_points=1500)(start, hairy)
        assert float(one_kind.depth_bias.abs().max()) == 0


def test_a_step_is_scipys_least_squares():
    rng = np.random.default_rng(0)
    derivative, offset, weight = (
        rng.normal(size=(2, 40, 6)),
        rng.normal(size=(2, 40)),
        rng.uniform(size=(2, 40)),
    )
    at, precision = rng.normal(size=(2, 6)), rng.uniform(0.1, 1, 6)
    got = _solve(*(torch.from_numpy(x) for x in (derivative, offset, weight, at, precision))).numpy()
    for i in range(2):
        left = np.concatenate([derivative[i] * weight[i, :, None] ** 0.5, np.diag(precision**0.5)])
        right = np.concatenate([(offset[i] + derivative[i] @ at[i]) * weight[i] ** 0.5, np.zeros(6)])
        np.testing.assert_allclose(got[i], scipy.linalg.lstsq(left, right)[0], atol=1e-10)


def test_basis_has_the_covariance_it_says():
    points = torch.from_numpy(np.random.default_rng(0).uniform(-0.08, 0.08, (200, 3)))
    basis = smooth_basis(points, 120, sd=4e-3, length=0.08).double()
    gap = torch.cdist(points, points)
    want = 4e-3**2 * torch.exp(-(gap**2) / (2 * 0.08**2))
    assert float((basis @ basis.T - want).abs().max()) < 1e-3 * 4e-3**2


def test_evidence_lies_evenly_on_the_face(any_head):
    face, evidence = face_vertices(any_head), Evidence.of(any_head, 1000)
    assert 700 < len(evidence.index) < 1300 and set(evidence.index.tolist()) <= set(face.tolist())
    normals = evidence.normals(any_head.vertices[None])[0]
    outwards = (
        any_head.vertices[evidence.index] - any_head.vertices[face].mean(0) + torch.tensor([0, 0, 0.08])
    )
    assert float(((normals * outwards).sum(1) > 0).float().mean()) > 0.95
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(normals)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_devices_agree(hairy, refiner):
    class OnGpu(Part):
        def density(self, points):
            return super().density(points.cpu()).cuda()

    volume = OnGpu(hairy, [0, 1])
    volume.depth, volume.alpha = volume.depth.cuda(), volume.alpha.cuda()
    volume.cameras = type(hairy.cameras)(hairy.cameras.cam2world.cuda(), hairy.cameras.intrinsics.cuda())
    start = PAPER(hairy.vertices)
    got = refiner.cuda()(start.cuda(), volume).vertices.cpu()
    torch.testing.assert_close(got, refiner.cpu()(start, hairy).vertices, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_recovered_to_half_a_millimetre_and_a_pixel_over_the_papers_cameras(anthro_head):
    """Vertices of the face to 0.5 mm, landmarks to a pixel of 512 (medians), whatever the yaw."""
    rng, recipe, refiner = np.random.default_rng(5), Recipe(), Refiner(anthro_head)
    bases = draw_bases(anthro_head, rng, 4, recipe.voxel)
    corners = torch.from_numpy(anthro_head.faces[anthro_head.landmarks_face].astype(np.int64))
    weights = torch.from_numpy(anthro_head.landmarks_barycentric)[..., None]
    vertices, landmarks = [], []
    for _ in range(5):
        planted = Planted(bases, draw_warp(rng, 4, recipe), draw_cameras(rng, 4), recipe, rng)
        out = refiner(PAPER(planted.vertices), planted).vertices
        vertices.append(errors_mm(anthro_head, out, planted))
        pixels = [planted.cameras.project((v[:, corners] * weights).sum(-2)) for v in (out, planted.truth)]
        landmarks.append(512 * (pixels[0] - pixels[1])[..., :2].norm(dim=-1))
    assert float(torch.cat(vertices).median()) <= 0.5
    assert float(torch.cat(landmarks).median()) <= 1.0


class Seen:
    """What a generator without a density shows of a planted volume: its depth image, corrected, and alpha."""

    def __init__(self, planted: Planted, behind: float):
        self.cameras, self.alpha, self.depth = planted.cameras, planted.alpha, planted.depth - behind


def test_a_generator_without_a_density_is_aligned_by_what_it_shows(bases, anthro_head, refiner):
    planted = plant(bases, CLEAN)
    behind = float(refiner(PAPER(planted.vertices), planted).depth_bias.mean())
    seen = Seen(planted, behind)
    assert not isinstance(seen, NeuralVolume)
    start = PAPER(planted.vertices) + torch.tensor([3e-3, -2e-3, 4e-3])
    out = refiner(start, seen)
    evidence = Evidence.of(anthro_head, 1500)
    normals = evidence.normals(planted.truth)
    sight = planted.truth[:, evidence.index] - seen.cameras.cam2world[:, None, :3, 3]
    facing = (normals * sight).sum(-1) / sight.norm(dim=-1) < -0.5
    gaps = [
        ((v - planted.truth)[:, evidence.index] * normals).sum(-1)[facing].abs()
        for v in (start, out.vertices)
    ]
    before, after = (1e3 * float(gap.median()) for gap in gaps)
    assert before > 2 and after < 0.7
    assert 1e3 * float(out.rms.max()) < 2 and float(out.inliers.min()) > 0.7
    lost = refiner(start + torch.tensor([0.0, 0.0, 0.05]), seen)
    assert None not in rejections(lost.rms, lost.inliers, seen.cameras, AlignmentLimits())


def test_an_affine_is_fitted_to_what_a_generator_shows(bases, anthro_head):
    planted = plant(bases, CLEAN)
    fitted = fit_affine([Samples(planted.vertices, Seen(planted, 0.0))], anthro_head, "")
    points = planted.vertices[:, face_vertices(anthro_head)]
    before, after = ((v - PAPER(points)).norm(dim=-1).median() for v in (points, fitted(points)))
    assert float(after) < 0.35 * float(before)
