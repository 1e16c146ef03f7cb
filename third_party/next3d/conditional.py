"""Conditional generators: an image of features steers a skip generator through an encoder and fusions.

Two of them: the mouth network turns a crop of the front plane into teeth and tongue, the blending network
turns the stitched front plane into the final one.

Source: Sun et al. (2023), "Next3D", section 3.3 and supplement (teeth synthesis and neural blending
modules).
"""

import torch
from torch import Tensor, nn

from next3d.config import Next3DConfig
from next3d.layers import Conv, Layer, Noise, blur, filter_2d
from next3d.synthesis import block, resolutions, rows


class EncoderBlock(Layer):
    """Image at one resolution, and the features of the finer one -> the image, and features at half of it."""

    def __init__(self, image_channels: int, inputs: int, outputs: int, first: bool) -> None:
        super().__init__()
        self.fromrgb = Conv(image_channels, inputs, 1, bias=False)
        self.conv1 = Conv(inputs, inputs, 3, activate=True)
        self.conv2 = Conv(inputs, outputs, 3, activate=True, halve=True)
        self.first = first

    def prepare(self, dtype: torch.dtype) -> None:
        self.compute(dtype, filter=filter_2d())

    def forward(self, image: Tensor, x: Tensor | None) -> tuple[Tensor, Tensor]:
        """image (n c h w) -> image (halved but in the first block), features (n o h' w')."""
        if not self.first:
            image = blur(image, self.filter, padding=1, stride=2)
        features = self.fromrgb(image)
        if x is not None:
            features += x
        return image, self.conv2(self.conv1(features))


class ConditionalSynthesis(nn.Module):
    """Image (n 32 s s) and styles (n 14 512) to an image n 32 256 256.

    The encoder halves from `size` to `final`; from there blocks double, each of the first ones after a fusion
    with the encoder's features at its resolution.
    """

    def __init__(self, config: Next3DConfig, size: int, final: int) -> None:
        super().__init__()
        channels, features = config.channels, config.plane_features
        scales = resolutions(final, size)
        self.encoder = nn.ModuleList(
            EncoderBlock(features, channels(r), channels(r // 2), r == size) for r in scales[:0:-1]
        )
        self.fusion = nn.ModuleList(
            Conv(channels(r) * (1 if r == final else 2), channels(r), 3) for r in scales[:-1]
        )
        self.resolutions = resolutions(2 * final, config.plane_resolution)
        for resolution in self.resolutions:
            self.add_module(f"b{resolution}", block(config, resolution, features))

    def forward(self, image: Tensor, ws: Tensor, noise: Noise = "const") -> Tensor:
        dtype = self.fusion[0].get_buffer("kernel").dtype
        x, features = None, []
        for encode in self.encoder:
            image, x = encode(image.to(dtype, memory_format=torch.channels_last), x)
            features.append(x)
        fusions = iter(self.fusion)
        first, *others = self.resolutions
        x = next(fusions)(features.pop())
        x, image = self.get_submodule(f"b{first}")(x, None, ws[:, rows(first)], noise)
        for resolution in others:
            if fuse := next(fusions, None):
                x = fuse(torch.cat([x, features.pop()], 1))
            x, image = self.get_submodule(f"b{resolution}")(x, image, ws[:, rows(resolution)], noise)
        return image
