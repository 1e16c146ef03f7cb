"""U-Net with a ResNet-18 encoder, as the label adaptation of "Knowing the Distance" uses.

Source: He et al. (2016), CVPR, table 1; the decoder is that of segmentation_models_pytorch (widths 256,
128, 64, 32, 16, nearest up-sampling). Weights start at random: no pre-trained file is needed.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = (64, 128, 256, 512)
DECODER = (256, 128, 64, 32, 16)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip, which is a strided 1x1 convolution where the size changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.skip = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o v u"]:
        return F.relu(self.body(x) + self.skip(x))


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (in_channels, out_channels):
        layers += [nn.Conv2d(width, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class ResNetUNet(nn.Module):
    """Map of `in_channels` -> map of `out_channels` at the same resolution (any size)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        )
        widths = (64, *STAGES)
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(a, b, 1 if i == 0 else 2), BasicBlock(b, b, 1))
            for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )
        skips = (256, 128, 64, 64, 0)
        below = (512, *DECODER[:-1])
        self.up = nn.ModuleList(_double(b + s, o) for b, s, o in zip(below, skips, DECODER, strict=True))
        self.exit = nn.Conv2d(DECODER[-1], out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h w"]:
        sizes, skips = [x.shape[-2:]], []
        y = self.stem(x)
        skips.append(y)
        y = F.max_pool2d(y, 3, 2, 1)
        for stage in self.stages:
            y = stage(y)
            skips.append(y)
        skips.pop()
        sizes += [s.shape[-2:] for s in skips]
        for up in self.up:
            y = F.interpolate(y, size=sizes.pop(), mode="nearest")
            y = up(torch.cat([y, skips.pop()], 1) if skips else y)
        return self.exit(y)
