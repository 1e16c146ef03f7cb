"""Cameras, rays and volume rendering against closed forms, a float64 reference and a numeric fixture."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from next3d import volume
from next3d.cameras import fov_intrinsics, look_at, pack, unpack
from next3d.config import RenderConfig
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.helpers.shared import shared_path


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear_decoder(offset: float, slope: float, logit: float) -> volume.Decoder:
    """Density offset + slope f of the first mean feature f, as softplus(t) - softplus(-t) = t; one colour."""
    decoder = volume.Decoder(4, 2, 3)
    first, last = decoder.net[0], decoder.net[2]
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        first.weight[:, 0] = torch.tensor([2.0, -2.0])  # times 1 / sqrt(4)
        last.weight[0] = torch.tensor([slope, -slope]) * 2**0.5
        last.bias[0], last.bias[1:] = offset, logit
    return decoder


def scene(n: int = 1, edge: int = 6, seed: int = 0, config: RenderConfig | None = None):
    """Random planes, decoder, rays and uniforms."""
    config = config or RenderConfig(depth_resolution=12, depth_resolution_importance=10)
    g = seeded(seed)
    planes = torch.randn(n, 3, 8, 32, 32, generator=g) * 2
    torch.manual_seed(seed)
    decoder = volume.Decoder(8, 16, 5)
    with torch.no_grad():  # dense and thin places
        decoder.net[2].weight[0] *= 8
        decoder.net[2].bias[0] = -8 * (decoder.net[2].weight[0] / 32).sum()
    yaw, pitch = torch.rand(2, n, generator=g) - 0.5
    origins, directions = volume.rays(look_at(yaw, pitch), fov_intrinsics(torch.full((n,), 18.0)), edge)
    coarse = torch.rand(n, edge * edge, config.depth_resolution, 1, generator=g)
    fine = torch.rand(n * edge * edge, config.depth_resolution_importance, generator=g)
    return planes, decoder, origins, directions, config, coarse, fine


def reference_field(planes, decoder, box_warp, points):
    """Density (p) and colour features (p c) in float64: three lookups, their mean, two layers."""
    grid = points * 2 / box_warp
    looked_up = [
        F.grid_sample(plane[None].double(), grid[None, None][..., axes], align_corners=False)[0, :, 0]
        for plane, axes in zip(planes, ([0, 1], [0, 2], [2, 1]), strict=True)
    ]
    x = sum(looked_up).T / 3
    first, last = decoder.net[0], decoder.net[2]
    x = F.softplus(x @ first.weight.double().T / first.in_features**0.5 + first.bias.double())
    x = x @ last.weight.double().T / last.in_features**0.5 + last.bias.double()
    return x[:, 0], x[:, 1:].sigmoid() * 1.002 - 0.001


def reference_march(depth, density, colour):
    """Sum of colours, mean depth, weights: interval after interval of one ray."""
    through, total, mean, weights = 1.0, 0.0, 0.0, []
    for i in range(len(depth) - 1):
        thickness = np.logaddexp(0, (density[i] + density[i + 1]) / 2 - 1)
        alpha = 1 - np.exp(-thickness * (depth[i + 1] - depth[i]))
        weights.append(through * alpha)
        total = total + weights[-1] * (colour[i] + colour[i + 1]) / 2
        mean += weights[-1] * (depth[i] + depth[i + 1]) / 2
        through *= 1 - alpha + 1e-10
    return total, mean / sum(weights), np.array(weights)


def reference_ray(planes, decoder, origin, direction, config, coarse_u, fine_u):
    """Features, depth and sum of weights of one ray, in plain loops of float64."""

    def decode(depth):
        points = origin.double() + direction.double() * torch.tensor(depth)[:, None]
        return (x.detach().numpy() for x in reference_field(planes, decoder, config.box_warp, points))

    k = len(coarse_u)
    step = (config.ray_end - config.ray_start) / (k - 1)
    coarse = np.array([config.ray_start + (i + float(u)) * step for i, u in enumerate(coarse_u)])
    density, colour = decode(coarse)
    weights = reference_march(coarse, density, colour)[2]
    peak = [max(weights[max(i - 1, 0)], weights[min(i, k - 2)]) for i in range(k)]
    smooth = [(peak[i] + peak[i + 1]) / 2 + 0.01 for i in range(k - 1)]
    inner = np.array(smooth[1:-1]) + 1e-5
    cdf = np.concatenate([[0], np.cumsum(inner / inner.sum())])
    middle = (coarse[1:] + coarse[:-1]) / 2
    fine = np.interp(fine_u.double().numpy(), cdf, middle[: len(cdf)])
    depth = np.concatenate([coarse, fine])
    density, colour = (np.concatenate(x) for x in zip((density, colour), decode(fine), strict=True))
    order = np.argsort(depth)
    total, mean, weights = reference_march(depth[order], density[order], colour[order])
    background = 1 - weights.sum() if config.white_back else 0
    return 2 * (total + background) - 1, mean, weights.sum()


@pytest.mark.parametrize("white_back", [False, True])
def test_render_equals_a_slow_reference(white_back):
    config = RenderConfig(2.2, 3.2, 1.3, 12, 10, white_back)
    planes, decoder, origins, directions, config, coarse, fine = scene(2, 5, 1, config)
    features, depth, total = volume.render(planes, decoder, origins, directions, config, coarse, fine)
    assert features.shape == (2, 25, 5) and depth.shape == total.shape == (2, 25, 1)
    assert total.min() < 0.5 and total.max() > 0.9
    for n in range(2):
        for m in range(25):
            uniforms = coarse[n, m, :, 0], fine[n * 25 + m]
            expected = reference_ray(planes[n], decoder, origins[n, m], directions[n, m], config, *uniforms)
            np.testing.assert_allclose(features[n, m].detach(), expected[0], atol=2e-5)
            np.testing.assert_allclose([depth[n, m].item(), total[n, m].item()], expected[1:], atol=2e-5)


def test_query_equals_lookups_inside_and_zeros_outside():
    planes, decoder, *_ = scene(2)
    config = RenderConfig(box_warp=0.8)
    points = torch.rand(2, 500, 3, generator=seeded(3)) * 1.2 - 0.6
    density, colour = volume.query(planes, decoder, points, config)
    for n in range(2):
        expected = reference_field(planes[n], decoder, 0.8, points[n].double())
        torch.testing.assert_close(density[n, :, 0].double(), expected[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(colour[n].double(), expected[1], atol=2e-5, rtol=0)
    alone, nothing = volume.query(planes, decoder, points, config, features=False)
    assert torch.equal(alone, density) and nothing is None
    points[0, 0, 1] = torch.nan
    unknown = volume.query(planes, decoder, points, config)[0]
    assert unknown[0, 0].isnan() and torch.equal(unknown[1], density[1])
    far = volume.query(planes, decoder, torch.full((2, 1, 3), 50.0), config)[0]
    torch.testing.assert_close(far, volume.query(planes * 0, decoder, points[:, 1:2], config)[0])


@settings(deadline=None, max_examples=20)
@given(st.floats(-3, 6), st.floats(-4, 4), st.integers(0, 1000))
def test_a_constant_medium_follows_beer_and_lambert(density, logit, seed):
    """Opacity 1 - exp(-thickness * length), whatever the samples; colour is constant."""
    decoder = linear_decoder(density, 0.0, logit)
    _, _, origins, directions, config, coarse, fine = scene(1, 3, seed)
    planes = torch.randn(1, 3, 4, 8, 8, generator=seeded(seed))
    features, _, total = volume.render(planes, decoder, origins, directions, config, coarse, fine)
    step = (config.ray_end - config.ray_start) / (config.depth_resolution - 1)
    length = config.ray_end - config.ray_start + (coarse[..., -1, :] - coarse[..., 0, :]) * step
    expected = 1 - torch.exp(-F.softplus(torch.tensor(density - 1)) * length)
    torch.testing.assert_close(total, expected, atol=1e-5, rtol=0)
    colour = torch.sigmoid(torch.tensor(logit)) * 1.002 - 0.001
    torch.testing.assert_close(features, (2 * colour * expected - 1).expand(-1, -1, 3), atol=2e-5, rtol=0)


def test_depth_is_where_rays_meet_a_ball():
    """A hard ball: |p|^2 is a sum over planes, which hold it up to its curvature within a texel."""
    size, radius = 256, 0.3
    centre = (torch.arange(size) + 0.5) / size * 2 - 1
    square = centre**2
    planes = torch.zeros(1, 3, 4, size, size)
    planes[0, 0, 0] = square[None] + square[:, None]  # x^2 + y^2
    planes[0, 1, 0] = square[:, None].expand(size, size)  # rows of the second plane are z
    steep = 1e6
    decoder = linear_decoder(steep * radius**2, -3 * steep, 0.0)  # the mean over planes is a third of the sum
    config = RenderConfig(box_warp=2.0)  # so that all rays stay inside
    camera = look_at(torch.tensor([0.5]), torch.tensor([-0.3]))
    origins, directions = volume.rays(camera, fov_intrinsics(torch.tensor([18.8])), 32)
    coarse = torch.rand(1, 1024, 48, 1, generator=seeded(0))
    fine = torch.rand(1024, 48, generator=seeded(1))
    rays = origins, directions
    _, depth, total = volume.render(planes, decoder, *rays, config, coarse, fine, features=False)
    along = -(origins * directions).sum(-1)
    gap = origins.square().sum(-1) - along**2  # squared distance of the ray from the ball's middle
    inside = gap < (radius - 0.03) ** 2
    expected = along - (radius**2 - gap).clamp(min=0).sqrt()
    error = (depth[..., 0] - expected)[inside]
    assert inside.sum() > 100 and total[..., 0][inside].min() > 0.999
    assert error.abs().median() < 0.003 and error.abs().max() < 0.02  # a coarse step is 0.022
    outside = gap > (radius + 0.03) ** 2
    assert outside.sum() > 100 and (total[..., 0][outside] == 0).all()
    cell = (config.ray_end - config.ray_start) / 47
    torch.testing.assert_close(depth[..., 0][outside], torch.full_like(depth[..., 0][outside], 3.3 + cell))


def test_results_depend_on_no_other_ray(monkeypatch):
    planes, decoder, *rays, config, coarse, fine = scene(3)
    m = rays[0].shape[1]
    features, depth, total = volume.render(planes, decoder, *rays, config, coarse, fine)
    plain = volume.render(planes, decoder, *rays, config, coarse, fine, features=False)
    assert plain[0] is None and torch.equal(plain[1], depth) and torch.equal(plain[2], total)
    monkeypatch.setattr(volume, "_CHUNK_CPU", 150)
    chunked = volume.render(planes, decoder, *rays, config, coarse, fine)
    alone = volume.render(planes[1:2], decoder, *(x[1:2] for x in rays), config, coarse[1:2], fine[m : 2 * m])
    for whole, parts, one in zip((features, depth, total), chunked, alone, strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)  # kernels round by the size of a chunk
        torch.testing.assert_close(one[0], whole[1], atol=1e-5, rtol=0)


def test_half_precision_planes_stay_near():
    planes, decoder, *rest = scene(1, 8)
    planes *= 0.3
    exact = volume.render(planes, decoder, *rest)
    near = volume.render(planes.bfloat16(), decoder, *rest)
    assert all(x.dtype == torch.float32 for x in near)
    bounds = zip(exact, near, (0.1, 0.03, 0.03), strict=True)
    assert all((a - b).abs().max() < bound for a, b, bound in bounds)


def test_nothing_waits_for_the_device():
    """Under fake tensors every look at a value fails; so would shapes that depend on values."""
    decoder = volume.Decoder(8, 16, 5)
    with FakeTensorMode(allow_non_fake_inputs=True):
        origins, directions = volume.rays(torch.zeros(2, 4, 4), torch.zeros(2, 3, 3), 4)
        uniforms = torch.zeros(2, 16, 12, 1), torch.zeros(32, 10)
        planes = torch.zeros(2, 3, 8, 32, 32)
        features, *_ = volume.render(planes, decoder, origins, directions, RenderConfig(), *uniforms)
        assert features.shape == (2, 16, 5)


def test_decoder_has_the_checkpoint_names():
    state = volume.Decoder().state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "net.0.weight": (64, 32),
        "net.0.bias": (64,),
        "net.2.weight": (33, 64),
        "net.2.bias": (33,),
    }


@settings(deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(1, 4))
def test_cameras_look_at_the_pivot(yaw, pitch, radius):
    pivot = torch.tensor([0.0, 0.0, 0.2])
    cam2world = look_at(torch.tensor([yaw]), torch.tensor([pitch]), radius)[0]
    rotation, origin = cam2world[:3, :3], cam2world[:3, 3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(rotation) > 0.99
    assert rotation[1, 0].abs() < 1e-6 and rotation[1, 1] <= 0  # no roll; y of the camera points down
    in_camera = rotation.T @ (pivot - origin)
    torch.testing.assert_close(in_camera, torch.tensor([0, 0, (pivot - origin).norm()]), atol=1e-5, rtol=0)
    tilt = np.arcsin(2 * pitch / np.pi)  # equal steps of pitch are equal steps of height
    expected = [np.sin(yaw) * np.cos(tilt), -np.sin(tilt), np.cos(yaw) * np.cos(tilt)]
    expected = radius * torch.tensor(expected, dtype=torch.float32)
    torch.testing.assert_close(origin, expected, atol=1e-5, rtol=0)


def test_rays_go_through_pixel_centres():
    cam2world = look_at(torch.tensor([0.3, -0.7]), torch.tensor([0.1, 0.4]))
    intrinsics = torch.tensor([[[4.0, 0.3, 0.45], [0, 3.0, 0.55], [0, 0, 1]]] * 2)
    origins, directions = volume.rays(cam2world, intrinsics, 5)
    points = origins + 2.5 * directions
    homogeneous = torch.cat([points, torch.ones(2, 25, 1)], 2)
    in_camera = (homogeneous @ torch.linalg.inv(cam2world).mT)[..., :3]
    pixel = in_camera @ intrinsics.mT
    pixel = pixel[..., :2] / pixel[..., 2:]
    centre = (np.arange(5) + 0.5) / 5
    v, u = np.meshgrid(centre, centre, indexing="ij")
    expected = torch.tensor(np.stack([u.ravel(), v.ravel()], 1), dtype=torch.float32)
    torch.testing.assert_close(pixel, expected.expand(2, -1, -1), atol=2e-6, rtol=0)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(2, 25))
    assert (in_camera[..., 2] > 0).all()


def test_reference_cameras_and_rays():
    reference = np.load(shared_path("parity_A.npz"))
    label = torch.from_numpy(reference["c"])
    fov = torch.full((2,), 18.837)  # degrees; the cameras are stated in the reference's description
    cameras = look_at(torch.tensor([0.0, 0.45]), torch.tensor([0.0, -0.2]))
    torch.testing.assert_close(pack(cameras, fov_intrinsics(fov)), label, atol=5e-7, rtol=0)
    origins, directions = volume.rays(*unpack(label), 64)
    np.testing.assert_allclose(origins[:, ::37], reference["ray_origins_sub"], atol=5e-7)
    np.testing.assert_allclose(directions[:, ::37], reference["ray_dirs_sub"], atol=5e-7)
    _, directions = volume.rays(*unpack(label), 128)
    np.testing.assert_allclose(directions[:, ::97], reference["sf/ray_dirs_depth_sub"], atol=5e-7)
