"""The checkpoint's affine: against least squares, on exact measurements, on planted volumes, on disk."""

import json

import numpy as np
import pytest
import scipy.linalg
import torch

from synthforge.alignment import CheckpointAffine, Samples, affine, fit_affine
from synthforge.alignment.evidence import Evidence
from synthforge.errors import AssetError, GeometryError
from tests.helpers.planted import CLEAN, PAPER_MATRIX, PAPER_SHIFT, Planted, draw_cameras, draw_warp

SHA = "ab" * 32


@pytest.fixture(scope="module")
def clean(bases) -> Planted:
    rng = np.random.default_rng(3)
    return Planted(bases, draw_warp(rng, 2, CLEAN), draw_cameras(rng, 2), CLEAN, rng, resolution=24)


def detected(planted, head, sd=0.0) -> torch.Tensor:
    """Pixels of the true landmarks, with a detector's noise."""
    corners = torch.from_numpy(head.faces[head.landmarks_face].astype(np.int64))
    weights = torch.from_numpy(head.landmarks_barycentric)[..., None]
    pixels = 512 * planted.cameras.project((planted.truth[:, corners] * weights).sum(-2))[..., :2]
    return pixels + sd * torch.from_numpy(np.random.default_rng(0).normal(size=pixels.shape)).float()


def exact_offsets(planted, monkeypatch, head):
    """Measurements that know the truth; the depth image stands 2 mm behind."""
    truth = planted.truth[:, Evidence.of(head).index]

    def depth(volume, points, normals):
        cosine = torch.full(points.shape[:2], 0.6)
        return ((truth - points) * normals).sum(-1) - 2e-3 * cosine, cosine, torch.ones_like(cosine)

    def surface(volume, points, normals, reach):
        return ((truth - points) * normals).sum(-1), torch.ones(points.shape[:2])

    monkeypatch.setattr(affine, "surface_offset", surface)
    monkeypatch.setattr(affine, "depth_offset", depth)


def test_exact_measurements_give_the_exact_affine(clean, anthro_head, monkeypatch):
    exact_offsets(clean, monkeypatch, anthro_head)
    got = fit_affine([Samples(clean.vertices, clean)], anthro_head, SHA)
    np.testing.assert_allclose(got.matrix, PAPER_MATRIX, atol=2e-4)
    np.testing.assert_allclose(got.shift, PAPER_SHIFT, atol=2e-5)
    assert got.depth_bias_mm == pytest.approx(2, abs=0.02)
    assert float((got(clean.vertices) - clean.truth).norm(dim=-1).median()) < 2e-5


def test_one_step_is_scipys_least_squares(clean, anthro_head, monkeypatch):
    monkeypatch.setattr(affine, "REACH", (0.03,))
    samples = Samples(clean.vertices, clean, detected(clean, anthro_head, 2.0))
    got = fit_affine([samples], anthro_head, SHA)
    evidence = Evidence.of(anthro_head)
    rows = affine._rows(samples, anthro_head, evidence, torch.eye(3), torch.zeros(3), 0.0, 0.03)
    derivative, wanted, weight = (part.double().numpy() for part in rows)
    prior = np.concatenate([np.full(9, 1 / affine.LEVER), np.ones(4)]) / affine.PRIOR_SD
    left = np.concatenate([derivative * weight[:, None] ** 0.5, np.diag(prior)])
    right = np.concatenate([wanted * weight**0.5, np.zeros(13)])
    want = scipy.linalg.lstsq(left, right)[0]
    np.testing.assert_allclose(got.matrix, np.eye(3) + want[:9].reshape(3, 3) / affine.LEVER, atol=1e-7)
    np.testing.assert_allclose(got.shift, want[9:12], atol=1e-8)
    assert got.depth_bias_mm == pytest.approx(1e3 * want[12], abs=1e-5)


def test_landmark_rows_hold_at_the_truth(clean, anthro_head):
    """What the rows should give at the true affine is what they give; unknown landmarks count nothing."""
    pixels = detected(clean, anthro_head)
    pixels[0, 5] = torch.nan
    matrix = torch.from_numpy(PAPER_MATRIX).float()
    samples = Samples(clean.vertices, clean, pixels)
    derivative, wanted, weight = affine._landmark_rows(samples, anthro_head, clean.vertices)
    unknown = torch.cat([(matrix - torch.eye(3)).flatten() * affine.LEVER, torch.tensor([*PAPER_SHIFT, 0])])
    lost = weight.view(2, 68, 2)[0, 5]
    assert float(lost.abs().max()) == 0
    left = (derivative @ unknown.float() - wanted).view(2, 68, 2)
    left[0, 5] = 0
    assert float(left.abs().max()) < 2e-6


def test_planted_affine_is_found(clean, anthro_head):
    got = fit_affine([Samples(clean.vertices, clean)], anthro_head, SHA, depth_shift=0.12)
    error = (got(clean.vertices) - clean.truth)[:, Evidence.of(anthro_head).index].norm(dim=-1)
    assert 1e3 * float(error.median()) < 0.6
    assert got.before_mm > 4 and got.after_mm < 0.3
    assert got.n_samples == sum(p.n_samples for p in got.poses) == 2 and got.depth_shift == 0.12


def test_nothing_found_is_an_error(clean, anthro_head):
    with pytest.raises(GeometryError, match="0 points .* 40 mm"):
        fit_affine([Samples(clean.vertices + 1, clean)], anthro_head, SHA)


@pytest.fixture
def fitted() -> CheckpointAffine:
    poses = (affine.PoseResidual("yaw 0 to 15", 3, 5.0, 1.0),)
    matrix = tuple(map(tuple, PAPER_MATRIX.tolist()))
    return CheckpointAffine(matrix, tuple(PAPER_SHIFT.tolist()), SHA, 3, 5.0, 1.0, 0.7, poses, 0.11)


def test_file_round_trip(fitted, tmp_path):
    fitted.save(tmp_path / "a.json")
    assert CheckpointAffine.load(tmp_path / "a.json", SHA) == fitted
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda d: d.pop("matrix"), "matrix"),
        (lambda d: d.update(format="other"), "format"),
        (lambda d: d.update(shift=[0, 0]), "3 finite"),
        (lambda d: d.update(matrix=[[1, 0, 0], [0, float("nan"), 0], [0, 0, 1]]), "finite"),
        (lambda d: d.update(shift=[0, 0, 2.5]), "far from the identity"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d.update(poses=[{"pose": "x"}]), "missing"),
        (lambda d: d.update(checkpoint_sha256=None), "checkpoint_sha256"),
    ],
)
def test_damaged_files_are_named(fitted, tmp_path, damage, message):
    path = tmp_path / "a.json"
    fitted.save(path)
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(AssetError, match=rf"a\.json.*{message}.*synthforge align"):
        CheckpointAffine.load(path)


def test_missing_cut_and_foreign_files_are_named(fitted, tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(AssetError, match="missing"):
        CheckpointAffine.load(path)
    fitted.save(path)
    with pytest.raises(AssetError, match="abababababab, not cdcd"):
        CheckpointAffine.load(path, "cd" * 32)
    path.write_text(path.read_text()[:100])
    with pytest.raises(AssetError, match="no alignment"):
        CheckpointAffine.load(path)
