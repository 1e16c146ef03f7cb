"""Losses against closed forms and slow twins."""

import math

import pytest
import torch
from torch.nn import functional as F

from synthforge.models import losses
from synthforge.models.hourglass import soft_argmax


def test_heatmap_loss_is_the_gaussians_entropy_at_the_truth():
    n, sigma = 32, 1.5
    point = torch.tensor([[[0.4712, 0.531]]])
    cells = (torch.arange(n) + 0.5) / n
    x, y = (torch.log_softmax(-(((cells - c) * n / sigma) ** 2) / 2, 0) for c in point[0, 0])
    log_p = (y[:, None] + x[None, :]).view(1, 1, n, n)
    expected = 1 + math.log(2 * math.pi * sigma**2)  # entropy of a round Gaussian, nats
    value = losses.heatmap_loss(log_p, point, torch.ones(1, 1), sigma)
    assert value.item() == pytest.approx(expected, abs=1e-3)
    assert losses.heatmap_loss(log_p.roll(2, 3), point, torch.ones(1, 1), sigma) > value


def test_heatmap_loss_pulls_towards_a_gaussian_whose_soft_argmax_is_the_point():
    logits, point = torch.zeros(1, 1, 16, 24, requires_grad=True), torch.tensor([[[0.3, 0.7]]])
    log_p = torch.log_softmax(logits.flatten(2), 2).view(1, 1, 16, 24)
    (slope,) = torch.autograd.grad(losses.heatmap_loss(log_p, point, torch.ones(1, 1)), logits)
    target = 1 / (16 * 24) - slope  # softmax minus target is the slope of a cross-entropy
    assert target.min() >= -1e-6 and target.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(soft_argmax((target + 1e-12).log()), point, atol=1e-4, rtol=0)


def test_points_without_weight_do_not_count():
    predicted, true = torch.rand(3, 68, 2), torch.rand(3, 68, 2)
    weight = (torch.rand(3, 68) < 0.5).float()
    error = (predicted - true).abs()
    per_point = torch.where(error < 0.01, error**2 / 0.02, error - 0.005).sum(2)
    expected = per_point[weight > 0].mean()
    torch.testing.assert_close(losses.point_loss(predicted, true, weight, 0.01), expected)
    assert losses.point_loss(predicted, true, torch.zeros(3, 68)).item() == 0


def test_segmentation_loss_is_cross_entropy_over_known_pixels_plus_dice():
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 5, 8, 8), torch.randint(0, 4, (2, 8, 8))
    classes[0, :3] = 255
    expected = F.cross_entropy(logits, classes, ignore_index=255)
    torch.testing.assert_close(losses.segmentation_loss(logits, classes), expected)
    p, dice = logits.softmax(1), []
    for c in range(4):
        known, is_c = classes != 255, classes == c
        hit = p[:, c][is_c].sum()
        dice.append(1 - (2 * hit + 1) / (p[:, c][known].sum() + is_c.sum() + 1))
    expected = expected + 0.3 * torch.stack(dice).mean()
    torch.testing.assert_close(losses.segmentation_loss(logits, classes, dice=0.3), expected)
    nothing = losses.segmentation_loss(logits.requires_grad_(), torch.full((2, 8, 8), 255))
    assert nothing.item() == 0 and nothing.requires_grad


def test_coverage_loss_is_cross_entropy_with_shares_and_agrees_with_hard_classes():
    torch.manual_seed(0)
    logits, classes = torch.randn(2, 5, 8, 8), torch.randint(0, 4, (2, 8, 8))
    classes[0, :3] = 255
    hard = (classes[:, None] == torch.arange(5)[:, None, None]).to(torch.uint8) * 255
    for dice in (0.0, 0.3):
        expected = losses.segmentation_loss(logits, classes, dice)
        torch.testing.assert_close(losses.coverage_loss(logits, hard, dice), expected)
    shares = torch.zeros(2, 5, 8, 8, dtype=torch.uint8)
    shares[:, 0], shares[:, 3] = 51, 204
    expected = F.cross_entropy(logits, shares.float() / 255)
    torch.testing.assert_close(losses.coverage_loss(logits, shares), expected)
    best = (shares.float() / 255 + 1e-9).log().requires_grad_()  # where softmax is the coverage
    (slope,) = torch.autograd.grad(losses.coverage_loss(best, shares), best)
    assert slope.abs().max() < 1e-8
    nothing = losses.coverage_loss(logits.requires_grad_(), torch.zeros_like(shares), dice=0.5)
    assert nothing.item() == 0 and nothing.requires_grad


def test_relative_depth_ignores_a_shift_and_the_background():
    depth = torch.full((2, 6, 6), torch.inf)
    depth[:, 1:5, 1:5] = torch.rand(2, 4, 4)
    relative = losses.relative_depth(depth)
    torch.testing.assert_close(losses.relative_depth(depth + 3.0), relative)
    assert torch.equal(torch.isfinite(relative), torch.isfinite(depth))
    for image in relative:
        assert (image[torch.isfinite(image)] <= 0).float().mean() >= 0.5
    prediction = torch.where(torch.isfinite(relative), relative, 17.0) + 0.05
    expected = 0.05 - 0.01 / 2  # smooth L1 beyond beta
    assert losses.depth_loss(prediction, relative).item() == pytest.approx(expected, abs=1e-6)
    assert losses.depth_loss(prediction, torch.full_like(depth, torch.inf)).item() == 0


def test_scale_free_depth_forgets_unit_and_zero_and_learns_from_the_rest():
    torch.manual_seed(0)
    depth = torch.rand(3, 8, 8)
    depth[:, :2] = torch.inf
    guess = (0.3 * depth + 7).where(torch.isfinite(depth), torch.rand(3, 8, 8)).requires_grad_()
    assert losses.scale_free_loss(guess, depth).item() == pytest.approx(0, abs=1e-4)
    a, b = depth[0, 2:].flatten(), torch.rand(48)
    scaled = [(x - x.median()) / (x - x.median()).abs().mean() for x in (a, b)]
    wrong = torch.cat([torch.rand(1, 2, 8), b.view(1, 6, 8)], 1).requires_grad_()
    loss = losses.scale_free_loss(wrong, depth[:1])
    torch.testing.assert_close(loss, (scaled[0] - scaled[1]).abs().mean())
    loss.backward()
    assert torch.isfinite(wrong.grad).all() and (wrong.grad[:, :2] == 0).all()
    nothing = losses.scale_free_loss(wrong, torch.full((1, 8, 8), torch.inf))
    assert nothing.item() == 0


def test_consistency_is_zero_for_a_net_that_commutes_and_not_for_one_that_does_not():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    images = F.interpolate(torch.rand(4, 3, 8, 8), 64, mode="bicubic")
    affine = losses.random_affines(4, generator)
    commuting = lambda x: x * 2 - 1  # noqa: E731 (acts on each pixel alone)
    warped = losses.warp(images, affine, padding="reflection")
    assert losses.consistency_loss(commuting(warped), commuting(images), affine) < 1e-5
    ramp = torch.linspace(0, 3, 64)
    assert losses.consistency_loss(warped * ramp, images * ramp, affine) > 0.3
    scaled = losses.consistency_loss(1e-1 * warped * ramp, 1e-1 * images * ramp, affine)
    torch.testing.assert_close(scaled, losses.consistency_loss(warped * ramp, images * ramp, affine))


def test_the_mask_of_a_shift_is_what_stays_in_frame():
    shift = torch.tensor([[[1.0, 0, 0.5], [0, 1, 0]]])  # a quarter of the width
    valid = losses.warp_valid(shift, (32, 32))[0, 0]
    assert valid[:, :23].all() and not valid[:, 25:].any()
