"""Super-resolution: the volume's features and colours to the final image.

Source: Chan et al. (2022), "Efficient Geometry-aware 3D Generative Adversarial Networks" (EG3D), supplement.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from next3d.config import Next3DConfig
from next3d.synthesis import SynthesisBlock


class SuperResolution(nn.Module):
    """Two blocks, 128 -> 256 -> 512, without noise, every activation clamped."""

    def __init__(self, config: Next3DConfig) -> None:
        super().__init__()
        first, second = config.sr_channels
        size = config.sr_resolution
        common = (config.img_channels, config.sr_clamp)
        self.block0 = SynthesisBlock(config.plane_features, first, config.w_dim, 2 * size, *common)
        self.block1 = SynthesisBlock(first, second, config.w_dim, 4 * size, *common)
        self.size = size

    def forward(self, features: Tensor, ws: Tensor) -> Tensor:
        """features (n 32 h h), whose first 3 are the colours; ws (n 14 512), of which the last row counts."""
        image = features[:, : self.block0.torgb.kernel.shape[1]]
        x = resize(features, self.size).to(self.block0.conv0.kernel.dtype, memory_format=torch.channels_last)
        image = resize(image, self.size)
        ws = ws[:, -1:].expand(-1, 3, -1)
        x, image = self.block0(x, image, ws, "none")
        return self.block1(x, image, ws, "none")[1]


def resize(image: Tensor, size: int) -> Tensor:
    """Bilinear, pixel centres; low-pass filtered when it shrinks."""
    if image.shape[-1] == size:
        return image
    return F.interpolate(image, (size, size), mode="bilinear", antialias=image.shape[-1] > size)
