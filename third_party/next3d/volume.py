"""The neural volume: three feature planes, the small network that decodes them, and rays through both.

Lengths are in volume units along unit rays; depth is distance from the ray's origin, not z.  Random numbers
are arguments, so that an image depends on nothing else.  Rays are worked through in chunks, so memory does
not grow with samples times rays; no ray's result depends on another ray.

Sources: Chan et al. (2022), "EG3D", for planes, decoder and sampling; Max (1995), "Optical models for direct
volume rendering", for the quadrature.  The algorithms are ours.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from next3d.config import RenderConfig
from next3d.sampling import axis_taps, image_taps, texel_table, weighted_sum

_CHUNK_CPU = 1 << 15  # points decoded at a time: what caches hold
_CHUNK = 1 << 21  # on other devices: about 2 GB
_AXES = ((0, 1), (0, 2), (2, 1))  # coordinates along the columns and rows of the three planes


class Decoder(nn.Module):
    """Features of a point, summed over the planes, to its raw density and colour features."""

    def __init__(
        self, features: int = 32, hidden: int = 64, outputs: int = 32, lr_multiplier: float = 1.0
    ) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.net = nn.Sequential(nn.Linear(features, hidden), nn.Softplus(), nn.Linear(hidden, 1 + outputs))
        for linear in self.net:  # equalised learning rate: the scale is applied when used
            if isinstance(linear, nn.Linear):
                nn.init.normal_(linear.weight, std=1 / lr_multiplier)
                nn.init.zeros_(linear.bias)

    def layer(self, index: int, dtype: torch.dtype, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Weight and bias to compute with, of `net[index]`; `scale` multiplies its input."""
        weight, bias = (self.net[index].get_parameter(name) for name in ("weight", "bias"))
        gain = self.lr_multiplier * scale / math.sqrt(weight.shape[1])
        return (weight * gain).to(dtype), (bias * self.lr_multiplier).to(dtype)


class _Field:
    """Density and colour features at points of a batch of tri-planes (n 3 c r r)."""

    def __init__(self, planes: Tensor, decoder: Decoder, box_warp: float, features: bool) -> None:
        self.size = planes.shape[-1]
        self.table = texel_table(planes.flatten(0, 1))
        self.scale = 2 / box_warp  # to grid units
        self.features = features
        self.first = decoder.layer(0, planes.dtype, 1 / len(_AXES))  # of the mean over planes
        weight, bias = decoder.layer(2, planes.dtype)
        self.density, self.colour = (weight[:1], bias[:1]), (weight[1:], bias[1:])
        self.channels = planes.shape[2]

    def __call__(self, points: Tensor, entry: Tensor) -> tuple[Tensor, Tensor | None]:
        """Points 3 p, of batch entries p (int32), to raw density p (float32) and sigmoids of colour p c."""
        index, weight = axis_taps(points * self.scale, self.size)  # 2 3 p
        taps = [
            image_taps((index[:, column], weight[:, column]), (index[:, row], weight[:, row]), self.size)
            for column, row in _AXES
        ]
        stride = (self.size + 2) ** 2
        first = entry * (len(_AXES) * stride)
        index = torch.cat([rows + (first + i * stride) for i, (rows, _) in enumerate(taps)])
        x = weighted_sum(self.table, index, torch.cat([weights for _, weights in taps]))
        x = F.softplus(F.linear(x, *self.first))
        density = F.linear(x, *self.density)[:, 0].float()
        return density, F.linear(x, *self.colour).sigmoid_() if self.features else None


def rays(cam2world: Tensor, intrinsics: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Origins and unit directions (b n*n 3 each) of rays through the centres of n x n pixels, row by row.

    `cam2world` b 4 4 takes OpenCV camera axes to volume units; `intrinsics` b 3 3 are in image widths.
    """
    centre = (torch.arange(n, device=cam2world.device, dtype=torch.float32) + 0.5) * (1 / n)
    v, u = torch.meshgrid(centre, centre, indexing="ij")
    fx, fy, cx, cy, skew = (intrinsics[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2), (0, 1)))
    u, v = u.reshape(1, -1), v.reshape(1, -1)
    x = (u - cx + cy * skew / fy - skew * v / fy) / fx
    y = (v - cy) / fy
    rotation, origin = cam2world[:, None, :3, :3], cam2world[:, None, :3, 3]
    # a point on the ray, then back: the rounding of training, and no matrix product that could run in TF32
    point = x[..., None] * rotation[..., 0] + y[..., None] * rotation[..., 1] + rotation[..., 2] + origin
    return origin.expand_as(point), F.normalize(point - origin, dim=-1)


def render(
    planes: Tensor,
    decoder: Decoder,
    origins: Tensor,
    directions: Tensor,
    config: RenderConfig,
    coarse_uniforms: Tensor,
    fine_uniforms: Tensor,
    features: bool = True,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Features, depth and opacity seen along rays.

    Args:
        planes: b 3 c r r.
        decoder: its last layer gives density and c_out colour features.
        origins, directions: b m 3 each, unit directions.
        config: the rays' interval, the volume's size, the background.
        coarse_uniforms: b m k 1 in [0, 1): where each coarse sample lies in its cell.
        fine_uniforms: b*m l in [0, 1): quantiles of the fine samples in the coarse samples' weights.
        features: False renders depth and opacity alone, without decoding colour.
    Returns:
        features b m c_out in about -1..1 (None without `features`), depth b m 1 (of rays that meet nothing:
        where the last sample can lie at most), sum of weights b m 1 in 0..1.
    """
    n, m, k = coarse_uniforms.shape[:3]
    field = _Field(planes, decoder, config.box_warp, features)
    start, end = config.ray_start, config.ray_end
    cell = (end - start) / (k - 1)
    coarse = torch.linspace(start, end, k, device=planes.device) + coarse_uniforms.flatten(2) * cell  # n m k
    per_chunk = max(_points_at_a_time(planes.device) // (k + fine_uniforms.shape[-1]), 1)
    inputs = (*(x.flatten(0, 1) for x in (origins, directions, coarse)), fine_uniforms, _entries(planes, m))
    parts = [_render_rays(field, *chunk) for chunk in zip(*(x.split(per_chunk) for x in inputs), strict=True)]
    depth = torch.cat([depth for _, depth, _ in parts]).view(n, m, 1)
    depth, total = depth.nan_to_num(end + cell).clamp(start, end + cell), torch.cat([t for *_, t in parts])
    total, colour = total.view(n, m, 1), _joined([colour for colour, *_ in parts])
    if colour is not None:
        colour = colour.view(n, m, -1)
        colour = (colour + (1 - total) if config.white_back else colour) * 2 - 1
    return colour, depth, total


def query(
    planes: Tensor, decoder: Decoder, points: Tensor, config: RenderConfig, features: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Density before the softplus (b m 1) and colour features (b m c, or None) at points (b m 3)."""
    n, m = points.shape[:2]
    field = _Field(planes, decoder, config.box_warp, features)
    size = _points_at_a_time(planes.device)
    places, entries = points.float().flatten(0, 1).t().split(size, 1), _entries(planes, m).split(size)
    parts = [field(*chunk) for chunk in zip(places, entries, strict=True)]
    density, colour = torch.cat([d for d, _ in parts]), _joined([colour for _, colour in parts])
    return density.view(n, m, 1), None if colour is None else _stretched(colour).view(n, m, -1)


def _joined(chunks: list[Tensor | None]) -> Tensor | None:
    """Colours of all chunks; None where none were asked for."""
    known = [chunk for chunk in chunks if chunk is not None]
    return torch.cat(known) if known else None


def _points_at_a_time(device: torch.device) -> int:
    return _CHUNK_CPU if device.type == "cpu" else _CHUNK


def _entries(planes: Tensor, m: int) -> Tensor:
    """Batch entry (b*m int32) of each of m things of every entry of `planes`."""
    return torch.arange(len(planes), device=planes.device, dtype=torch.int32)[:, None].expand(-1, m).flatten()


def _render_rays(
    field: _Field, origin: Tensor, direction: Tensor, coarse: Tensor, quantile: Tensor, entry: Tensor
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Colour (r c, no background), depth (r; NaN where nothing is met) and sum of weights (r) of r rays."""

    def decode(depth: Tensor) -> tuple[Tensor, Tensor | None]:  # r k -> r k, r k c
        points = origin.t()[..., None] + direction.t()[..., None] * depth
        density, colour = field(points.flatten(1), entry[:, None].expand_as(depth).flatten())
        return density.view_as(depth), None if colour is None else colour.view(*depth.shape, -1)

    coarse_density, coarse_colour = decode(coarse)
    fine = _importance(coarse, _march(coarse, coarse_density), quantile)
    fine_density, fine_colour = decode(fine)
    depth, order = torch.cat([coarse, fine], 1).sort(1)
    weight = _march(depth, torch.cat([coarse_density, fine_density], 1).gather(1, order))
    total = weight.sum(1)
    distance = (weight * (depth[:, :-1] + depth[:, 1:]) * 0.5).sum(1) / total
    if coarse_colour is None or fine_colour is None:
        return None, distance, total
    # an interval's colour is the mean of its two ends: each sample gets half the weight of both its intervals
    half = F.pad(weight, (1, 1)) * 0.5
    share = torch.empty_like(depth).scatter_(1, order, half[:, :-1] + half[:, 1:])[:, None]  # r 1 k
    k = coarse.shape[1]
    colour = (share[..., :k].to(coarse_colour.dtype) @ coarse_colour)[:, 0].float()
    colour = colour + (share[..., k:].to(coarse_colour.dtype) @ fine_colour)[:, 0].float()
    return _stretched(colour, total[:, None]), distance, total


def _stretched(colour: Tensor, total: Tensor | float = 1.0) -> Tensor:
    """Sums of sigmoids to sums of colour features, which pass 0 and 1 by 0.001 so that both are attained.

    `total` is the sum of the weights.  Source: Barron et al. (2021), "Mip-NeRF", supplement.
    """
    return colour * 1.002 - 0.001 * total


def _march(depth: Tensor, density: Tensor) -> Tensor:
    """Weights (r k-1) of the intervals between samples at ascending depths (r k) with raw densities (r k)."""
    density = F.softplus((density[:, :-1] + density[:, 1:]) * 0.5 - 1)
    alpha = 1 - torch.exp(-density * (depth[:, 1:] - depth[:, :-1]))
    through = (1 - alpha[:, :-1] + 1e-10).cumprod(1)
    return torch.cat([alpha[:, :1], alpha[:, 1:] * through], 1)


def _importance(depth: Tensor, weight: Tensor, quantile: Tensor) -> Tensor:
    """Depths (r l) at quantiles (r l) of the weights (r k-1) of intervals between samples at depths (r k).

    The weights are widened (maximum of neighbours, then mean of neighbours) and raised a little, so that
    edges between coarse samples are found; first and last interval are left out.
    """
    peak = torch.cat([weight[:, :1], torch.maximum(weight[:, :-1], weight[:, 1:]), weight[:, -1:]], 1)
    smooth = (peak[:, :-1] + peak[:, 1:]) * 0.5 + 0.01
    share = smooth[:, 1:-1] + 1e-5
    cdf = F.pad((share / share.sum(1, keepdim=True)).cumsum(1), (1, 0))  # r k-2
    middle = (depth[:, :-1] + depth[:, 1:]) * 0.5  # r k-1
    upper = torch.searchsorted(cdf, quantile.contiguous(), right=True)
    lower = (upper - 1).clamp(min=0)
    upper = upper.clamp(max=cdf.shape[1] - 1)
    low, high = cdf.gather(1, lower), cdf.gather(1, upper)
    span = high - low
    part = (quantile - low) / torch.where(span < 1e-5, 1.0, span)
    low, high = middle.gather(1, lower), middle.gather(1, upper)
    return low + part * (high - low)
