"""Bilinear lookups as weighted sums of table rows: one gather reads all features of a texel at once.

Equal to `grid_sample(mode="bilinear", padding_mode="zeros", align_corners=False)` up to rounding; several
lookups (three planes, two views) that are only added up afterwards share one sum.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def texel_table(images: Tensor) -> Tensor:
    """Images (b c h w) as rows of features (b*(h+2)*(w+2) c), framed by one texel of zeros."""
    return F.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2)


def axis_taps(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The two texels around each position, counted in the framed table, and their weights (2 ... each).

    `position` is in grid units: -1 and 1 are the outer edges of `size` texels.  Everything beyond the frame
    weighs nothing; NaN weighs NaN.
    """
    texel = (((position + 1) * size - 1) / 2).clamp(-1, size)
    first = texel.floor().clamp(max=size - 1)
    later = texel - first
    first = first.nan_to_num(0).int() + 1
    return torch.stack([first, first + 1]), torch.stack([1 - later, later])


def image_taps(
    column: tuple[Tensor, Tensor], row: tuple[Tensor, Tensor], width: int
) -> tuple[Tensor, Tensor]:
    """Rows of a table of images `width` texels wide, and weights (4 ... each), from the taps of two axes."""
    index = row[0][:, None] * (width + 2) + column[0][None]
    return index.flatten(0, 1), (row[1][:, None] * column[1][None]).flatten(0, 1)


def weighted_sum(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sums of table rows (p c): row `index[:, p]` times `weight[:, p]` (t p each), in the table's dtype."""
    index, weight = index.t().contiguous(), weight.t().to(table.dtype).contiguous()
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)
