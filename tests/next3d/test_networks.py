"""Networks against a slow reference in float64: one sample at a time, straight from the formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from next3d.conditional import ConditionalSynthesis
from next3d.layers import Conv, Layer, StyledConv, blur, filter_2d, upsample
from next3d.mapping import Mapping
from next3d.superres import SuperResolution
from next3d.synthesis import Synthesis
from next3d.weights import random_tensor
from torch import nn

from tests.next3d.tiny import CONFIG

# The slow reference: x is c h w, everything float64 ----------------------------------------------------


def upfirdn(x, up, down, pads, gain):
    """Zeros between samples, zeros around, correlation with the 4 x 4 filter, every down-th sample."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64 * gain
    c, h, w = x.shape
    wide = x.new_zeros(c, h * up, w * up)
    wide[:, ::up, ::up] = x
    wide = F.pad(wide, (*pads, *pads))
    rows, columns = wide.shape[1] - 3, wide.shape[2] - 3
    out = sum(taps[i, j] * wide[:, i : i + rows, j : j + columns] for i in range(4) for j in range(4))
    return out[:, ::down, ::down]


def correlate(x, weight, stride=1, padding=0):
    """Sum over the taps of a k x k kernel (o i k k)."""
    k = weight.shape[-1]
    x = F.pad(x, (padding,) * 4)
    h, w = (x.shape[1] - k) // stride + 1, (x.shape[2] - k) // stride + 1
    return sum(
        torch.einsum("oi,ihw->ohw", weight[:, :, a, b], x[:, a::stride, b::stride][:, :h, :w])
        for a in range(k)
        for b in range(k)
    )


def scatter(x, weight):
    """Transposed convolution, stride 2: each sample adds its kernel's taps around twice its place."""
    c, h, w = x.shape
    out = x.new_zeros(len(weight), 2 * h + 1, 2 * w + 1)
    for a in range(3):
        for b in range(3):
            out[:, a : a + 2 * h : 2, b : b + 2 * w : 2] += torch.einsum("oi,ihw->ohw", weight[:, :, a, b], x)
    return out


def lrelu(x):
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


class Reference:
    """One sample through stored tensors (float64), found by name."""

    def __init__(self, state, clamp=math.inf, noise="const"):
        self.state = {key: tensor.double() for key, tensor in state.items()}
        self.clamp, self.noise = clamp, noise

    def linear(self, at, x, multiplier=1.0):
        weight, bias = self.state[at + "weight"], self.state[at + "bias"]
        return (weight * multiplier / math.sqrt(weight.shape[1])) @ x + bias * multiplier

    def styled(self, at, x, w, double):
        weight = self.state[at + "weight"] * self.linear(at + "affine.", w)[:, None, None]
        weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3)) + 1e-8)[:, None, None, None]
        x = upfirdn(scatter(x, weight), 1, 1, (1, 1), 4) if double else correlate(x, weight, padding=1)
        if self.noise == "const":
            x = x + self.state[at + "noise_const"] * self.state[at + "noise_strength"]
        return lrelu(x + self.state[at + "bias"][:, None, None]).clamp(-self.clamp, self.clamp)

    def torgb(self, at, x, w):
        weight = self.state[at + "weight"]
        style = self.linear(at + "affine.", w) / math.sqrt(weight.shape[1])
        image = correlate(x, weight * style[:, None, None]) + self.state[at + "bias"][:, None, None]
        return image.clamp(-self.clamp, self.clamp)

    def block(self, at, x, image, ws):
        if at + "const" in self.state:
            x = self.state[at + "const"]
        else:
            x = self.styled(at + "conv0.", x, ws[0], True)
        x = self.styled(at + "conv1.", x, ws[-2], False)
        rgb = self.torgb(at + "torgb.", x, ws[-1])
        return x, rgb if image is None else upfirdn(image, 2, 1, (2, 1), 4) + rgb

    def plain(self, at, x, activate, halve=False):
        weight = self.state[at + "weight"]
        weight = weight / math.sqrt(weight[0].numel())
        if halve:
            x = correlate(upfirdn(x, 1, 1, (2, 2), 1), weight, stride=2)
        else:
            x = correlate(x, weight, padding=weight.shape[-1] // 2)
        if at + "bias" in self.state:
            x = x + self.state[at + "bias"][:, None, None]
        return lrelu(x) if activate else x

    def synthesis(self, ws):
        x = image = None
        for i, r in enumerate((4, 8, 16, 32)):
            x, image = self.block(f"b{r}.", x, image, ws[max(2 * i - 1, 0) : 2 * i + 2])
        return image

    def conditional(self, image, ws, size, final):
        features, x = {}, None
        for i in range(int(math.log2(size // final))):
            at = f"encoder.{i}."
            image = upfirdn(image, 1, 2, (1, 1), 1) if i else image
            x = self.plain(at + "fromrgb.", image, False) + (0 if x is None else x)
            x = self.plain(at + "conv2.", self.plain(at + "conv1.", x, True), True, halve=True)
            features[size >> (i + 1)] = x
        image, r, j = None, final, 0
        x = features[final]
        while r < 32:
            if r < size:
                x = x if r == final else torch.cat([x, features[r]])
                x = self.plain(f"fusion.{j}.", x, False)
            r, j = 2 * r, j + 1
            last = 2 * int(math.log2(r)) - 2
            x, image = self.block(f"b{r}.", x, image, ws[last - 3 : last])
        return image

    def superresolution(self, features, ws):
        x, image = features, features[:3]
        for i in range(2):
            x, image = self.block(f"block{i}.", x, image, ws[-1:].repeat(3, 1))
        return image


# Fast against slow ---------------------------------------------------------------------------------------


def filled(module: nn.Module, dtype: torch.dtype = torch.float32, prefix: str = "") -> tuple[nn.Module, dict]:
    """The module with pseudo-random weights, prepared; and those weights."""
    state = {
        key: random_tensor(key, tuple(tensor.shape), prefix) for key, tensor in module.state_dict().items()
    }
    module.load_state_dict(state)
    for part in module.modules():
        if isinstance(part, Layer):
            part.prepare(dtype)
    return module.requires_grad_(False).eval(), state


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def same(found: torch.Tensor, expected: list[torch.Tensor], tolerance: float = 1e-5) -> None:
    """Largest error below `tolerance` of the largest magnitude."""
    expected = torch.stack(expected)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("n", [1, 3])  # one sample has a way of its own
@pytest.mark.parametrize("noise", ["const", "none"])
def test_skip_generator(n, noise):
    network, state = filled(Synthesis(CONFIG, 7))
    ws = normal(n, CONFIG.num_ws, CONFIG.w_dim)
    reference = Reference(state, noise=noise)
    same(network(ws, noise), [reference.synthesis(row) for row in ws.double()])


@pytest.mark.parametrize(("size", "final"), [(16, 4), (32, 8), (8, 4)])
def test_conditional_generator(size, final):
    network, state = filled(ConditionalSynthesis(CONFIG, size, final))
    ws, image = normal(2, CONFIG.num_ws, CONFIG.w_dim), normal(2, CONFIG.plane_features, size, size, seed=1)
    reference = Reference(state)
    expected = [
        reference.conditional(x, w, size, final) for x, w in zip(image.double(), ws.double(), strict=True)
    ]
    same(network(image, ws), expected)


@pytest.mark.parametrize("n", [1, 2])
def test_super_resolution_clamps_and_draws_no_noise(n):
    network, state = filled(SuperResolution(replace(CONFIG, sr_clamp=1.0)))
    ws, features = normal(n, CONFIG.num_ws, CONFIG.w_dim), normal(n, CONFIG.plane_features, 16, 16, seed=1)
    seen = []
    network.block0.conv1.register_forward_hook(lambda module, inputs, output: seen.append(output.abs().max()))
    reference = Reference(state, clamp=1.0, noise="none")
    expected = [reference.superresolution(*pair) for pair in zip(features.double(), ws.double(), strict=True)]
    same(network(features, ws), expected)
    assert seen[0] == 1.0  # the clamp was at work


def test_super_resolution_resizes_its_input():
    network, _ = filled(SuperResolution(CONFIG))
    ws, features = normal(1, CONFIG.num_ws, CONFIG.w_dim), normal(1, CONFIG.plane_features, 8, 8)
    large = F.interpolate(features, (16, 16), mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(network(features, ws), network(large, ws), atol=1e-5, rtol=0)


def test_mapping_normalises_conditions_and_truncates():
    network, state = filled(Mapping(CONFIG))
    reference = Reference({f".mapping.{key}": tensor for key, tensor in state.items()})
    z, c = normal(3, CONFIG.z_dim), normal(3, 25, seed=1)
    w = []
    for zi, ci in zip(z.double(), c.double(), strict=True):
        parts = [zi, reference.linear(".mapping.embed.", ci)]
        x = torch.cat([part / (part.square().mean() + 1e-8).sqrt() for part in parts])
        for i in range(2):
            x = lrelu(reference.linear(f".mapping.fc{i}.", x, 0.01))
        w.append(x)
    rows, mean = 2 * CONFIG.num_ws, state["w_avg"].double()
    same(network(z, c), [x.repeat(rows, 1) for x in w])
    halfway = [torch.stack([mean + 0.7 * (x - mean)] * 8 + [x] * (rows - 8)) for x in w]
    same(network(z, c, 0.7, 8), halfway)
    same(network(z, c, 0.7), [(mean + 0.7 * (x - mean)).repeat(rows, 1) for x in w])
    network.config = replace(CONFIG, c_gen_conditioning_zero=True)
    torch.testing.assert_close(network(z, c), network(z, c.flip(0)))


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 3),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    edge=st.integers(1, 12),
    double=st.booleans(),
)
def test_styled_convolution_of_any_size(n, inputs, outputs, edge, double):
    resolution = edge * (2 if double else 1)
    layer, state = filled(StyledConv(inputs, outputs, 6, resolution, double=double))
    x, w = normal(n, inputs, edge, edge), normal(n, 6, seed=1)
    expected = [
        Reference(state).styled("", *pair, double) for pair in zip(x.double(), w.double(), strict=True)
    ]
    same(layer(x.clone(), w, "const"), expected)


@settings(deadline=None, max_examples=20)
@given(height=st.integers(1, 9), width=st.integers(1, 9), halve=st.booleans())
def test_resampling_of_any_size(height, width, halve):
    x = normal(2, 3, height * 2, width * 2)
    if halve:
        found, settings_ = blur(x, filter_2d(), 1, 2), (1, 2, (1, 1), 1)
    else:
        found, settings_ = upsample(x), (2, 1, (2, 1), 4)
    same(found, [upfirdn(image, *settings_) for image in x.double()], 1e-6)


def test_fresh_noise_is_the_generators():
    layer, _ = filled(StyledConv(3, 4, 6, 32))
    x, w = normal(2, 3, 32, 32), normal(2, 6, seed=1)

    def run(seed):
        return layer(x.clone(), w, torch.Generator().manual_seed(seed))

    still = layer(x.clone(), w, "none")
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    # before the activation the noise is one pattern per sample, of the stored strength, on all channels alike
    pattern = (
        torch.where(run(1) > 0, run(1), run(1) / 0.2) - torch.where(still > 0, still, still / 0.2)
    ) / 2**0.5
    torch.testing.assert_close(pattern, pattern[:, :1].expand_as(pattern), atol=1e-5, rtol=0)
    strength = layer.strength / 2**0.5
    assert abs(pattern[:, 0].std() / strength.abs() - 1) < 0.1
    assert not torch.allclose(pattern[0, 0], pattern[1, 0])


@pytest.mark.parametrize("double", [False, True])
def test_half_precision_neither_overflows_nor_vanishes(double):
    """Styles and weights of any scale cancel in the demodulation; sums of products must not leave float16."""
    results = {}
    for dtype in (torch.float32, torch.float16):
        layer, state = filled(StyledConv(64, 8, 6, 16 if double else 8, double=double))
        layer = StyledConv(64, 8, 6, 16 if double else 8, double=double)
        state = state | {"weight": state["weight"] * 3e3, "affine.bias": state["affine.bias"] * 3e3}
        layer.load_state_dict(state)
        layer.affine.prepare(dtype)
        layer.prepare(dtype)
        x = normal(2, 64, 8, 8) * 200
        results[dtype] = layer(x.to(dtype), normal(2, 6, seed=1), "none").float()
    error = (results[torch.float16] - results[torch.float32]).abs().max()
    assert error <= 4e-3 * results[torch.float32].abs().max()


def test_layer_that_was_not_prepared_does_not_run():
    with pytest.raises(AttributeError, match="no attribute"):
        Conv(2, 2, 3)(normal(1, 2, 4, 4))
