"""Norms of two domains: each its own statistics, equal at the start, mixed as the paper's formula says."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from synthforge.models.domain_norm import BatchInstanceNorm2d, DomainNorm2d, adapt_statistics, split_norms
from synthforge.models.resnet_unet import ResNetUNet


def small_net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4)
    )
    for norm in (net[1], net[4]):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return net


def test_split_norms_start_as_the_one_they_replace():
    x, plain = torch.randn(5, 3, 9, 9), small_net().eval()
    before = plain(x)
    domain = split_norms(plain, "dsbn")
    assert sum(isinstance(m, DomainNorm2d) for m in plain.modules()) == 2
    for real in (None, torch.zeros(5, dtype=torch.bool), torch.arange(5) % 2 == 0):
        domain.real = real
        torch.testing.assert_close(plain.eval()(x), before)


def test_each_domain_trains_its_own_statistics_on_its_own_images():
    net = nn.Sequential(nn.BatchNorm2d(3))
    domain = split_norms(net, "dsbn")
    x, real = torch.randn(6, 3, 8, 8), torch.tensor([True, False, True, True, False, False])
    x[real] += 5
    domain.real = real
    y = net.train()(x)
    torch.testing.assert_close(y[real], F.batch_norm(x[real], None, None, training=True))
    torch.testing.assert_close(y[~real], F.batch_norm(x[~real], None, None, training=True))
    torch.testing.assert_close(net[0].real.running_mean, 0.1 * x[real].mean((0, 2, 3)))
    torch.testing.assert_close(net[0].synthetic.running_mean, 0.1 * x[~real].mean((0, 2, 3)))


@pytest.mark.parametrize("training", [True, False])
def test_the_mixture_is_the_formula_and_its_ends_are_batch_and_instance_norm(training):
    torch.manual_seed(1)
    x, norm = torch.randn(4, 3, 7, 7) * 2 + 1, BatchInstanceNorm2d(3).train(training)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    batch = F.batch_norm(x, mean.clone(), var.clone(), training=training)
    with torch.no_grad():
        norm.mix.fill_(50.0)
        torch.testing.assert_close(norm(x), batch, atol=1e-5, rtol=1e-5)
        norm.mix.fill_(-50.0)
        torch.testing.assert_close(norm(x), F.instance_norm(x), atol=1e-5, rtol=1e-5)
        norm.mix.fill_(0.0)
        own, own_var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        if training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        else:
            mean, var = norm.running_mean, norm.running_var
        mid, mid_var = (mean[:, None, None] + own) / 2, (var[:, None, None] + own_var) / 2
        torch.testing.assert_close(
            norm.eval()(x) if not training else norm(x), (x - mid) / (mid_var + 1e-5).sqrt()
        )
    norm.mix.requires_grad_(True)
    norm(x).square().mean().backward()
    assert norm.mix.grad is not None


def test_adapted_statistics_are_those_of_all_images_and_nothing_else_changes():
    net = small_net()
    weights = {n: p.detach().clone() for n, p in net.named_parameters()}
    x = torch.randn(12, 3, 9, 9) * 3 + 1
    adapt_statistics(net, x.split(4))
    with torch.no_grad():
        y = net[0](x)
    torch.testing.assert_close(net[1].running_mean, y.mean((0, 2, 3)), atol=1e-5, rtol=1e-5)
    # Mean of the batches' variances: the spread between batches is not in it.
    var = torch.stack([part.var((0, 2, 3)) for part in y.split(4)]).mean(0)
    torch.testing.assert_close(net[1].running_var, var, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(weights[n], p) for n, p in net.named_parameters())
    assert not net.training and net[1].momentum == 0.1


def test_resnet_unet_has_the_size_of_the_published_one_and_keeps_any_resolution():
    # segmentation_models_pytorch.Unet("resnet18", classes=1): 14,328,209 parameters.
    assert sum(p.numel() for p in ResNetUNet(3, 1).parameters()) == 14_328_209
    net = ResNetUNet(5, 2)
    for h, w in ((64, 64), (40, 56)):
        assert net(torch.randn(2, 5, h, w)).shape == (2, 2, h, w)
