"""Skip generator of StyleGAN2: styles to an image of features, doubling its resolution block by block.

Source: Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", fig. 7 (output skips).
"""

import torch
from torch import Tensor, nn

from next3d.config import Next3DConfig
from next3d.layers import Layer, Noise, StyledConv, ToRGB, upsample


class SynthesisBlock(Layer):
    """One resolution: doubles x and the image that exists so far, and adds to the image.

    The first block (`inputs` = 0) starts from a learned constant instead.
    """

    const: Tensor  # stored
    start: Tensor  # computed with

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        image_channels: int,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        if inputs:
            self.conv0 = StyledConv(inputs, outputs, w_dim, resolution, double=True, clamp=clamp)
        else:
            self.store(const=(outputs, resolution, resolution))
        self.conv1 = StyledConv(outputs, outputs, w_dim, resolution, clamp=clamp)
        self.torgb = ToRGB(outputs, image_channels, w_dim, clamp)
        self.from_constant = not inputs

    def prepare(self, dtype: torch.dtype) -> None:
        if self.from_constant:
            self.compute(dtype, "const", start=self.const[None])

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """x (n i h w), image (n c h w) or None, ws (n 3 512; 2 for the first block) -> both at twice h, w."""
        if self.from_constant:
            features = self.start.expand(len(ws), -1, -1, -1)
        else:
            features = self.conv0(x, ws[:, 0], noise)
        features = self.conv1(features, ws[:, -2], noise)
        rgb = self.torgb(features, ws[:, -1])
        return features, rgb if image is None else upsample(image).add_(rgb)


def rows(resolution: int) -> slice:
    """Rows of ws that a block reads; its torgb shares its row with the next block's conv0."""
    last = 2 * (resolution.bit_length() - 1) - 2  # one past the row of the torgb, 2 for resolution 4
    return slice(max(last - 3, 0), last)


def block(config: Next3DConfig, resolution: int, image_channels: int) -> SynthesisBlock:
    """The block at a resolution of the planes' networks."""
    inputs = config.channels(resolution // 2) if resolution > 4 else 0
    return SynthesisBlock(inputs, config.channels(resolution), config.w_dim, resolution, image_channels)


def resolutions(first: int, last: int) -> list[int]:
    """Powers of two from first to last."""
    return [1 << i for i in range(first.bit_length() - 1, last.bit_length())]


class Synthesis(nn.Module):
    """Styles alone (n 14 512) to an image n c 256 256: the texture, the static planes."""

    def __init__(self, config: Next3DConfig, image_channels: int) -> None:
        super().__init__()
        self.resolutions = resolutions(4, config.plane_resolution)
        for resolution in self.resolutions:
            self.add_module(f"b{resolution}", block(config, resolution, image_channels))

    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        first, *others = self.resolutions
        x, image = self.get_submodule(f"b{first}")(None, None, ws[:, rows(first)], noise)
        for resolution in others:
            x, image = self.get_submodule(f"b{resolution}")(x, image, ws[:, rows(resolution)], noise)
        return image
