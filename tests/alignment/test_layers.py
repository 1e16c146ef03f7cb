"""Masks from depth and alpha, on a head-sized disc with planted hair."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthforge.alignment import derive_layers

SIZE, SMALL = 256, 64
BIAS = 2e-3


def scene(hair_ahead: float | None, ring: bool):
    """Truth at SIZE (head, cover) and what a volume at SMALL shows of it."""
    y, x = torch.meshgrid(*[(torch.arange(SIZE) + 0.5) / SIZE - 0.5] * 2, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    head = radius < 0.3
    mesh_depth = torch.where(head, 1.0 + radius**2 / 4, torch.inf)
    cover = (radius < 0.4) & ~head if ring else torch.zeros_like(head)
    solid = head | cover
    depth = torch.where(head, mesh_depth, 1.03)
    if hair_ahead is not None:
        lock = head & (x.abs() < 0.08)
        cover, depth = cover | lock, torch.where(lock, mesh_depth - hair_ahead, depth)
    alpha = F.adaptive_avg_pool2d(solid[None].float(), SMALL)
    small = F.adaptive_avg_pool2d((solid * depth)[None], SMALL) / alpha.clamp(min=1e-6) + BIAS
    return mesh_depth[None], head[None].float(), small, alpha, solid, cover


def border(mask: torch.Tensor) -> torch.Tensor:
    """Within two of the volume's pixels of the mask's border."""
    wide = [F.max_pool2d(m[None].float(), 17, 1, 8)[0] > 0 for m in (mask, ~mask)]
    return wide[0] & wide[1]


@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("hair_ahead", [None, 0.02])
def test_planted_hair_is_found(hair_ahead, ring):
    mesh_depth, coverage, depth, alpha, solid, cover = scene(hair_ahead, ring)
    got = derive_layers(mesh_depth, coverage, depth, alpha, torch.tensor([BIAS]))
    wrong = (got.foreground[0] - solid.float()).abs()
    assert float(wrong.mean()) < 0.025  # a volume's pixel is 4 wide
    wrong = (got.hair_or_other[0] - cover.float()).abs()
    assert float(wrong.mean()) < 0.025
    edge = border(cover) | border(coverage[0] > 0)
    assert float(wrong[~edge].max()) < 0.1  # off only within two pixels of the volume around borders


@pytest.mark.parametrize("ahead, share", [(0.001, 0.0), (0.004, 0.5), (0.008, 1.0)])
def test_the_threshold_is_soft_and_in_metres(ahead, share):
    mesh_depth, coverage, depth, alpha, _, _ = scene(ahead, False)
    got = derive_layers(mesh_depth, coverage, depth, alpha, torch.tensor([BIAS])).hair_or_other
    assert float(got[0, SIZE // 2, SIZE // 2]) == pytest.approx(share, abs=0.02)


def test_samples_do_not_mix():
    parts = [scene(0.02, True)[:4], scene(None, False)[:4]]
    both = derive_layers(*(torch.cat(p) for p in zip(*parts, strict=True)), torch.full((2,), BIAS))
    for i, part in enumerate(parts):
        alone = derive_layers(*part, torch.tensor([BIAS]))
        np.testing.assert_array_equal(alone.hair_or_other[0], both.hair_or_other[i])
        np.testing.assert_array_equal(alone.foreground[0], both.foreground[i])
