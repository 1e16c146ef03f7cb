"""BatchNorm for two domains, synthetic images and photographs: all other weights are shared.

Source: Chang et al. (2019), CVPR, domain-specific batch normalisation (`dsbn`); Seo et al. (2020), ECCV,
learned mixtures of batch and instance statistics for each domain (`dson`); Li et al. (2016), adaptive
batch normalisation (`adapt_statistics`).
"""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Kind = Literal["dsbn", "dson"]
MIX_START = 4.0  # logit of the batch's share in dson: it starts at 0.98, next to plain BatchNorm


class Domain:
    """Which images of a batch are photographs; None: all of them. One is shared by all norms of a net."""

    real: Bool[Tensor, " b"] | None = None


class BatchInstanceNorm2d(nn.BatchNorm2d):
    """Mean and variance are w of the batch's and 1 - w of the image's own, w in [0, 1] learned."""

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int):
        super().__init__(channels)
        self.mix = nn.Parameter(torch.tensor(MIX_START))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        own_var, own_mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
        if self.training:
            var, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
            with torch.no_grad():
                n = x.numel() / x.shape[1]
                self.num_batches_tracked += 1
                rate = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(var * n / max(n - 1, 1), rate)
        else:
            mean, var = self.running_mean, self.running_var
        w = torch.sigmoid(self.mix)
        mean = w * mean[:, None, None] + (1 - w) * own_mean
        var = w * var[:, None, None] + (1 - w) * own_var
        y = (x - mean) * torch.rsqrt(var + self.eps)
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class DomainNorm2d(nn.Module):
    """One norm for synthetic images and one for photographs; both start as `norm`."""

    def __init__(self, norm: nn.BatchNorm2d, kind: Kind, domain: Domain):
        super().__init__()
        make = nn.BatchNorm2d if kind == "dsbn" else BatchInstanceNorm2d
        self.synthetic, self.real = make(norm.num_features), make(norm.num_features)
        for one in (self.synthetic, self.real):
            one.load_state_dict(norm.state_dict(), strict=kind == "dsbn")
        self.domain = domain

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        real = self.domain.real
        if real is None or bool(real.all()):
            return self.real(x)
        if not bool(real.any()):
            return self.synthetic(x)
        y = torch.empty_like(x)
        y[real], y[~real] = self.real(x[real]).to(y.dtype), self.synthetic(x[~real]).to(y.dtype)
        return y


def split_norms(net: nn.Module, kind: Kind) -> Domain:
    """Replace every BatchNorm2d of `net` by a `DomainNorm2d`; returns the switch they share."""
    domain = Domain()
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and not isinstance(module, DomainNorm2d):
                setattr(module, name, DomainNorm2d(child, kind, domain))
    return domain


@contextmanager
def cumulative(net: nn.Module):
    """BatchNorm statistics of `net` are begun anew and averaged over all batches inside the block."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [(m.momentum, m.training) for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: cumulative average
        norm.train()
    try:
        yield
    finally:
        for norm, (momentum, training) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.train(training)


@torch.no_grad()
def adapt_statistics(
    net: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the BatchNorm statistics of `net` by those of `batches`; parameters stay.

    Args:
        batches: inputs b 3 h w of the network, of equal size.
        forward: runs the network (default: calls it).
    """
    net.eval()
    with cumulative(net):
        for batch in batches:
            (forward or net)(batch)
