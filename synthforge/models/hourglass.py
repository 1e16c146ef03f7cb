"""Stacked-hourglass head for keypoints, and the soft-argmax that reads its heat maps.

Source: Newell et al. (2016), ECCV; attention by point and edge maps as in Huang et al. (2021), ADNet,
ICCV, which SynthForge uses. Heat maps are kept as log-probabilities over the cells of a map.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

NEAR = 0.075  # fractions of a crop: the radius in which `certainty` gathers a map's mass
# Facial lines of iBUG-68 (first point, last point, closed): each one is an edge map.
EDGES_68 = (
    (0, 16, False),
    (17, 21, False),
    (22, 26, False),
    (27, 30, False),
    (31, 35, False),
    (36, 41, True),
    (42, 47, True),
    (48, 59, True),
    (60, 67, True),
)


class ResBlock(nn.Module):
    """Pre-activation bottleneck: 1x1, 3x3, 1x1, with a 1x1 skip where the channels differ."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        middle = out_channels // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, middle, 1),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, middle, 3, padding=1),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out_channels, 1),
        )
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h w"]:
        return self.body(x) + self.skip(x)


class Hourglass(nn.Module):
    """One hourglass of `depth` halvings, nearest up-sampling, constant channels."""

    def __init__(self, depth: int, channels: int):
        super().__init__()
        self.skip = ResBlock(channels, channels)
        self.enter = ResBlock(channels, channels)
        self.inner = Hourglass(depth - 1, channels) if depth > 1 else ResBlock(channels, channels)
        self.leave = ResBlock(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        low = self.leave(self.inner(self.enter(F.max_pool2d(x, 2))))
        return self.skip(x) + F.interpolate(low, size=x.shape[-2:], mode="nearest")


def point_edges(n_points: int) -> Float[Tensor, "p e"]:
    """0/1 table of which point lies on which facial line (iBUG-68)."""
    table = torch.zeros(n_points, len(EDGES_68))
    for edge, (first, last, _) in enumerate(EDGES_68):
        table[first : last + 1, edge] = 1
    return table


class StackedHourglass(nn.Module):
    """Features -> one heat map per point and stack.

    Args:
        in_channels: channels of the features.
        n_points: heat maps; 68 where `attention` is on.
        channels, n_stacks, depth: size of the hourglasses.
        stride: 4 reduces the features by a strided convolution and a pooling (the paper),
            2 by the strided convolution alone, 1 not at all.
        attention: multiply heat maps by point and edge maps (the paper); otherwise they are
            plain logits.
    """

    def __init__(
        self,
        in_channels: int,
        n_points: int,
        channels: int,
        n_stacks: int,
        depth: int,
        stride: int,
        attention: bool,
    ):
        super().__init__()
        self.attention = attention
        self.pre = _entrance(in_channels, channels, stride)
        self.hourglasses = nn.ModuleList(Hourglass(depth, channels) for _ in range(n_stacks))
        self.features = nn.ModuleList(
            nn.Sequential(
                ResBlock(channels, channels),
                nn.Conv2d(channels, channels, 1),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
            for _ in range(n_stacks)
        )
        maps = {"heat": n_points}
        if attention:
            maps |= {"point": n_points, "edge": len(EDGES_68)}
            table = point_edges(n_points)
            self.register_buffer("edge_of_point", table, persistent=False)
            self.register_buffer("edge_free", (table.sum(1) == 0).float(), persistent=False)
        self.outputs = nn.ModuleList(
            nn.ModuleDict({name: nn.Conv2d(channels, n, 1) for name, n in maps.items()})
            for _ in range(n_stacks)
        )
        self.merges = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(n, channels, 1) for n in (channels, *maps.values()))
            for _ in range(n_stacks - 1)
        )

    def forward(
        self, features: Float[Tensor, "b c h w"], prior: Float[Tensor, "b p y x"] | None = None
    ) -> list[Float[Tensor, "b p y x"]]:
        """Log-probability maps of each stack, the last one being the answer.

        Args:
            features: input map.
            prior: log-probabilities that the plain logits are added to (label networks).
        """
        x, answers = self.pre(features), []
        for stack, (hourglass, feature, output) in enumerate(
            zip(self.hourglasses, self.features, self.outputs, strict=True)
        ):
            f = feature(hourglass(x))
            maps = {name: layer(f) for name, layer in output.items()}
            if self.attention:
                maps = {
                    "heat": F.relu(F.instance_norm(maps["heat"])),
                    "point": torch.sigmoid(maps["point"]),
                    "edge": torch.sigmoid(maps["edge"]),
                }
            answers.append(self._log_probability(maps, prior))
            if stack < len(self.merges):
                x = x + sum(
                    merge(m) for merge, m in zip(self.merges[stack], (f, *maps.values()), strict=True)
                )
        return answers

    def _log_probability(self, maps: dict[str, Tensor], prior: Tensor | None) -> Tensor:
        heat = maps["heat"].float()
        if self.attention:
            edges = torch.einsum("pe,behw->bphw", self.edge_of_point, maps["edge"].float())
            weight = (edges + self.edge_free[:, None, None]) * maps["point"].float() * heat
            # A map that is zero everywhere reads as uniform, not as 0 / 0.
            heat = torch.log(weight + 1e-6)
        if prior is not None:
            heat = heat + prior
        return F.log_softmax(heat.flatten(2), dim=2).view_as(heat)


def _entrance(in_channels: int, channels: int, stride: int) -> nn.Module:
    if stride == 1:
        return ResBlock(in_channels, channels)
    wide = 2 * channels if stride == 4 else channels
    first = 64 if stride == 4 else channels
    return nn.Sequential(
        nn.Conv2d(in_channels, first, 7 if stride == 4 else 3, 2, 3 if stride == 4 else 1),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        ResBlock(first, wide),
        nn.MaxPool2d(2) if stride == 4 else nn.Identity(),
        ResBlock(wide, wide),
        ResBlock(wide, channels),
    )


def cell_centres(h: int, w: int, like: Tensor) -> tuple[Float[Tensor, " h"], Float[Tensor, " w"]]:
    """Centres of a map's cells (y, x) in fractions of the crop: (k + 0.5) / n."""
    y = (torch.arange(h, device=like.device, dtype=torch.float32) + 0.5) / h
    x = (torch.arange(w, device=like.device, dtype=torch.float32) + 0.5) / w
    return y, x


def soft_argmax(log_probability: Float[Tensor, "b p h w"]) -> Float[Tensor, "b p 2"]:
    """Expected place (x, y) under each map, in fractions of the crop (0 to 1, continuous)."""
    p = log_probability.exp()
    y, x = cell_centres(*p.shape[-2:], like=p)
    return torch.stack([(p.sum(2) * x).sum(2), (p.sum(3) * y).sum(2)], dim=2)


def certainty(log_probability: Float[Tensor, "b p h w"]) -> Float[Tensor, " b"]:
    """Share of the maps' mass within `NEAR` (a cell, where cells are larger) of each map's mean, over all
    points: near 1 where the network knows its points, little where it sees no face."""
    p = log_probability.float().exp()
    near = max(NEAR, 1 / min(p.shape[-2:]))
    y, x = cell_centres(*p.shape[-2:], like=p)
    mean = soft_argmax(log_probability.float())[..., None, None]
    squared = (x - mean[:, :, 0]) ** 2 + (y[:, None] - mean[:, :, 1]) ** 2
    return (p * (squared <= near**2)).sum((2, 3)).mean(1)
