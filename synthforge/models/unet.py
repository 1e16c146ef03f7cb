"""U-Net: the encoder E that all tasks share, and the heads for segmentation and depth.

Source: Ronneberger et al. (2015), MICCAI, in the widths and with the bilinear up-sampling of the
SynthForge training code (SynthForge, section 4).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class DoubleConv(nn.Sequential):
    """(3x3 convolution, BatchNorm, ReLU) twice, `in_channels -> middle -> out_channels`.

    With `stride` the first convolution reduces the resolution, its kernel growing to 2 stride - 1.
    """

    def __init__(self, in_channels: int, out_channels: int, middle: int = 0, stride: int = 1):
        middle, kernel = middle or out_channels, max(3, 2 * stride - 1)
        super().__init__(
            nn.Conv2d(in_channels, middle, kernel, stride, kernel // 2),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """U-Net with one level per entry of `widths`, ending in a linear 1x1 convolution.

    Args:
        in_channels, out_channels: of input and output.
        widths: channels of each level, finest first; each level halves the resolution.
        stem_stride: the first convolution reduces the image this much, and the maps inside stay
            reduced: a network for a small machine has 4, the paper's has 1.
        upsample: the output is this much finer than the maps inside (sub-pixel convolution).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: tuple[int, ...],
        stem_stride: int = 1,
        upsample: int = 1,
    ):
        super().__init__()
        self.enter = DoubleConv(in_channels, widths[0], stride=stem_stride)
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        ups, below = [], widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            joined = below + widths[level]
            below = widths[max(level - 1, 0)]
            ups.append(DoubleConv(joined, below, middle=joined // 2))
        self.up = nn.ModuleList(ups)
        self.exit = nn.Conv2d(below, out_channels * upsample**2, 1)
        self.upsample = upsample
        with torch.no_grad():  # all sub-pixels of a cell start alike (ICNR, Aitken et al. 2017)
            for tensor in self.exit.parameters():
                tensor.copy_(tensor[:: upsample**2].repeat_interleave(upsample**2, dim=0))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o y x"]:
        """Map of `out_channels` at `upsample / stem_stride` of the input's resolution."""
        levels = [self.enter(x)]
        for down in self.down:
            levels.append(down(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        for up in self.up:
            skip = levels.pop()
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            x = up(torch.cat([skip, x], dim=1))
        x = self.exit(x)
        return F.pixel_shuffle(x, self.upsample) if self.upsample > 1 else x
