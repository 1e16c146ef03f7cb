"""The layers of the StyleGAN2 family, written for inference.

Each layer first holds the tensors of a checkpoint under their names.  `prepare(dtype)` then turns the
stored `weight` into the `kernel` that is computed with (gains of the equalised learning rate and of
activations folded in, channels last, compute dtype) and drops the stored one: a layer that was not prepared
cannot run by mistake.

Modulation scales the input channels before, and the output channels after, one convolution that all samples
share; only for a single large image is it cheaper to scale the weight itself.  Styles and demodulation are
float32 in every precision.  Activation gains ride on kernels, scales and biases: leaky ReLU is positively
homogeneous.

Source: Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN" (modulation, noise,
skip generator), and (2018), "Progressive Growing of GANs" (equalised learning rate).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLU
GAIN = math.sqrt(2.0)  # its gain, which keeps the variance of its input
EPSILON = 1e-8  # under the square roots of demodulation and of the second-moment normalisation
BINOMIAL = (1.0, 3.0, 3.0, 1.0)  # the resampling filter of every up- and downsampling

Noise = Literal["none", "const"] | torch.Generator
"""'none', 'const' (the stored pattern) or a generator that fresh noise is drawn from."""


def filter_2d() -> Tensor:
    """The resampling filter (4 4), of sum 1."""
    taps = torch.tensor(BINOMIAL)
    return torch.outer(taps, taps) / 64


def normalise(x: Tensor) -> Tensor:
    """Divides each row of x (n c) by the root of its mean square."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


def upsample(image: Tensor) -> Tensor:
    """Doubles an image (n c h w) with the resampling filter; zeros lie beyond its border.

    Inside, the filter's two phases (1 3)/4 and (3 1)/4 are those of bilinear interpolation.
    """
    padded = F.pad(image, (1, 1, 1, 1))
    return F.interpolate(padded, scale_factor=2.0, mode="bilinear", align_corners=False)[..., 2:-2, 2:-2]


def blur(x: Tensor, kernel: Tensor, padding: int, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    """Filters every channel of x (n c h w) by the same `kernel` (4 4)."""
    channels = x.shape[1]
    return F.conv2d(x, kernel.to(x).expand(channels, 1, 4, 4), bias, stride, padding, groups=channels)


class Layer(nn.Module):
    """Stored tensors that `prepare` turns into those computed with."""

    weight: Tensor  # stored
    bias: Tensor
    kernel: Tensor  # computed with
    offset: Tensor
    filter: Tensor

    def store(self, **shapes: tuple[int, ...]) -> None:
        """Declares the stored tensors."""
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape), requires_grad=False))

    def compute(self, dtype: torch.dtype, *dropped: str, **tensors: Tensor) -> None:
        """Registers the tensors computed with, and drops the stored ones that they replace."""
        for name in dropped:
            del self._parameters[name]
        for name, tensor in tensors.items():
            layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
            tensor = tensor.detach().to(dtype).contiguous(memory_format=layout)
            self.register_buffer(name, tensor, persistent=False)

    def prepare(self, dtype: torch.dtype) -> None:
        """Turns the stored tensors into those computed with."""
        raise NotImplementedError


class Linear(Layer):
    """x (n i) -> n o, in float32; leaky ReLU after it, if asked."""

    def __init__(self, inputs: int, outputs: int, lr_multiplier: float = 1.0, activate: bool = False) -> None:
        super().__init__()
        self.store(weight=(outputs, inputs), bias=(outputs,))
        self.lr_multiplier, self.activate = lr_multiplier, activate

    def prepare(self, dtype: torch.dtype) -> None:  # float32 in every precision
        gain = self.lr_multiplier * (GAIN if self.activate else 1.0)
        kernel = self.weight * (gain / math.sqrt(self.weight.shape[1]))
        self.compute(torch.float32, "weight", "bias", kernel=kernel, offset=self.bias * gain)

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.kernel, self.offset)
        return F.leaky_relu_(x, SLOPE) if self.activate else x


class Conv(Layer):
    """Convolution k x k without styles: x (n i h w) -> n o h w or half of it; leaky ReLU if asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        bias: bool = True,
        activate: bool = False,
        halve: bool = False,
    ) -> None:
        super().__init__()
        self.store(weight=(outputs, inputs, size, size), **({"bias": (outputs,)} if bias else {}))
        self.with_bias, self.activate, self.halve = bias, activate, halve

    def prepare(self, dtype: torch.dtype) -> None:
        gain = GAIN if self.activate else 1.0
        tensors: dict[str, Tensor] = {"kernel": self.weight * (gain / math.sqrt(self.weight[0].numel()))}
        if self.with_bias:
            tensors["offset"] = self.bias * gain
        if self.halve:
            tensors["filter"] = filter_2d()
        self.compute(dtype, "weight", *(["bias"] if self.with_bias else []), **tensors)

    def forward(self, x: Tensor) -> Tensor:
        offset = self.offset if self.with_bias else None
        if self.halve:
            x = F.conv2d(blur(x, self.filter, padding=2), self.kernel, offset, stride=2)
        else:
            x = F.conv2d(x, self.kernel, offset, padding=self.kernel.shape[-1] // 2)
        return F.leaky_relu_(x, SLOPE) if self.activate else x


class StyledConv(Layer):
    """Modulated convolution 3 x 3 with noise, bias and leaky ReLU: x (n i h w), w (n 512) -> n o r r.

    `double` makes r = 2h, by a transposed convolution and a blur; else r = h.
    """

    noise_strength: Tensor  # stored
    noise_const: Tensor
    energy: Tensor  # computed with
    strength: Tensor
    pattern: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        *,
        double: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.store(
            weight=(outputs, inputs, 3, 3),
            noise_strength=(),
            bias=(outputs,),
            noise_const=(resolution, resolution),
        )
        self.affine = Linear(w_dim, inputs)
        self.doubles, self.clamp, self.resolution = double, clamp, resolution

    def prepare(self, dtype: torch.dtype) -> None:
        weight = self.weight
        if (
            dtype is torch.float16
        ):  # demodulation takes any scale of an output's weights away; keep sums small
            weight = weight / (weight.abs().amax((1, 2, 3), keepdim=True) * math.sqrt(weight[0].numel()))
        energy = weight.square().sum((2, 3)).t()
        pattern = self.noise_const * self.noise_strength * GAIN
        self.compute(torch.float32, energy=energy, strength=self.noise_strength * GAIN)
        tensors = {"kernel": weight, "offset": self.bias * GAIN, "pattern": pattern}
        if (
            self.doubles
        ):  # the transposed convolution takes n i k k; the factor 4 makes up for the zeros between
            tensors |= {"kernel": weight.transpose(0, 1), "filter": filter_2d() * 4}
        self.compute(dtype, "weight", "bias", "noise_const", "noise_strength", **tensors)

    def forward(self, x: Tensor, w: Tensor, noise: Noise) -> Tensor:
        style = self.affine(w)
        if x.dtype is torch.float16:  # any scale of a sample's style is taken away, too
            style = style / style.abs().amax(1, keepdim=True)
        scale = GAIN * torch.rsqrt(style.square() @ self.energy + EPSILON)
        if len(x) == 1 and x.shape[2] * x.shape[3] > 9 * len(scale[0]):  # fewer weights than activations
            x = self._convolve_one(x, style, scale)
        else:
            x = self._convolve_all(x, style.to(x.dtype), scale.to(x.dtype))
        if noise == "const":
            x.add_(self.pattern)
        elif noise != "none":
            fresh = torch.randn(len(x), 1, *x.shape[2:], generator=noise, device=noise.device)
            x.add_((fresh.to(x.device) * self.strength).to(x.dtype))
        x = F.leaky_relu_(x, SLOPE)
        return x if self.clamp is None else x.clamp_(-self.clamp, self.clamp)

    def _convolve_all(self, x: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        """Any batch: styles on the input, one kernel for all, demodulation on the output."""
        x = x * style[:, :, None, None]
        if self.doubles:
            x = blur(F.conv_transpose2d(x, self.kernel, stride=2), self.filter, padding=1)
        else:
            x = F.conv2d(x, self.kernel, padding=1)
        return torch.addcmul(self.offset[:, None, None], x, scale[:, :, None, None], out=x)

    def _convolve_one(self, x: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        """One sample: both scales on the kernel, the bias within the last filter."""
        style, scale = style[0, :, None, None], scale[0, :, None, None]
        if self.doubles:
            kernel = (self.kernel * style[:, None] * scale).to(x.dtype)
            return blur(F.conv_transpose2d(x, kernel, stride=2), self.filter, 1, bias=self.offset)
        kernel = (self.kernel * style * scale[:, None]).to(x.dtype)
        return F.conv2d(x, kernel, self.offset, padding=1)


class ToRGB(Layer):
    """Modulated convolution 1 x 1 without demodulation: x (n i h w), w (n 512) -> float32 image n c h w."""

    def __init__(self, inputs: int, outputs: int, w_dim: int, clamp: float | None = None) -> None:
        super().__init__()
        self.store(weight=(outputs, inputs, 1, 1), bias=(outputs,))
        self.affine = Linear(w_dim, inputs)
        self.clamp = clamp

    def prepare(self, dtype: torch.dtype) -> None:  # the product with the style is float32
        kernel = self.weight[:, :, 0, 0].t() / math.sqrt(self.weight.shape[1])
        self.compute(torch.float32, "weight", "bias", kernel=kernel, offset=self.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        n, _, height, width = x.shape
        kernel = (self.affine(w)[:, :, None] * self.kernel).to(
            x.dtype
        )  # n i c: so small that each sample has its own
        pixels = x.permute(0, 2, 3, 1).reshape(n, height * width, -1)  # a view, as x is channels last
        image = torch.bmm(pixels, kernel).float().add_(self.offset)
        image = image.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return image if self.clamp is None else image.clamp_(-self.clamp, self.clamp)
