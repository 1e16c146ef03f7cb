"""Mapping network: latent and conditioning camera to the styles w of all networks."""

import torch
from torch import Tensor, nn

from next3d.config import Next3DConfig
from next3d.layers import Linear, normalise

LR_MULTIPLIER = 0.01  # of the fully connected layers; Karras et al. (2019), appendix C


class Mapping(nn.Module):
    """z (n 512), conditioning label (n 25) -> w (n 28 512): rows 0-13 general, rows 14-27 for the texture."""

    w_avg: Tensor

    def __init__(self, config: Next3DConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("w_avg", torch.empty(config.w_dim))
        self.embed = Linear(config.c_dim, config.w_dim)
        widths = [config.z_dim + config.w_dim] + [config.w_dim] * config.mapping_layers
        for i, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
            self.add_module(f"fc{i}", Linear(inputs, outputs, LR_MULTIPLIER, activate=True))

    def forward(self, z: Tensor, c: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """Truncates the first `cutoff` rows (all without it) towards the mean by `psi`; 1 leaves them."""
        c = c[:, : self.config.c_dim] * (0.0 if self.config.c_gen_conditioning_zero else self.config.c_scale)
        x = torch.cat([normalise(z), normalise(self.embed(c))], 1)
        for i in range(self.config.mapping_layers):
            x = self.get_submodule(f"fc{i}")(x)
        rows = 2 * self.config.num_ws
        if psi == 1:
            return x[:, None].repeat(1, rows, 1)
        truncated = torch.lerp(self.w_avg, x, psi)
        cutoff = rows if cutoff is None else cutoff
        return torch.stack([truncated] * cutoff + [x] * (rows - cutoff), 1)
