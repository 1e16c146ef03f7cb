"""Planes against a slow rasterizer in numpy, scipy's labelling, torch's own resizing, a numeric reference."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from next3d.planes import (
    ALL_VIEWS,
    FRONT_VIEW,
    Raster,
    crop_mouth,
    fill_mouth,
    mask_lookup,
    mouth_box,
    paste_mouth,
    plane_alphas,
    plane_contents,
    project_views,
    rasterize_views,
)
from next3d.topology import Topology
from scipy import ndimage
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.helpers.shared import shared_path


def topology(faces, uv, uv_faces=None, mask=None) -> Topology:
    faces = np.asarray(faces)
    mask = np.ones((8, 8), np.float32) if mask is None else mask
    n = int(faces.max()) + 1
    return Topology(n, faces, np.float32(uv), faces if uv_faces is None else uv_faces, mask)


def sphere(rows: int = 24, columns: int = 32, radius: float = 0.1) -> tuple[torch.Tensor, Topology]:
    """Vertices (v 3) of a sphere wound outwards, whose uv are azimuth and height; poles are doubled."""
    height, turn = np.linspace(0, np.pi, rows), np.linspace(-np.pi, np.pi, columns)
    height, turn = np.meshgrid(height, turn, indexing="ij")
    xyz = [np.sin(height) * np.sin(turn), -np.cos(height), np.sin(height) * np.cos(turn)]
    vertices = radius * np.stack(xyz, -1).reshape(-1, 3)
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate(
        [np.stack([a, a + 1, a + columns], 1), np.stack([a + 1, a + columns + 1, a + columns], 1)]
    )
    uv = np.stack([turn / (2 * np.pi) + 0.5, height / np.pi], -1).reshape(-1, 2)
    return torch.tensor(vertices, dtype=torch.float32), topology(faces, uv)


def slow_raster(plane: np.ndarray, top: Topology, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """uv (r r 3) and visibility (r r) of projected vertices (v 3), one triangle after the other."""
    one = np.float32(1)
    index = np.arange(resolution, dtype=np.float32)
    centre = (2 * index + 1) / np.float32(resolution) - one
    px, py = np.meshgrid(-centre, -centre)
    best = np.full((resolution, resolution), np.inf, np.float32)
    uv = np.zeros((resolution, resolution, 3), np.float32)

    def edge(x, y, a, b):
        return (x - a[0]) * (b[1] - a[1]) - (y - a[1]) * (b[0] - a[0])

    for (a, b, c), corner_uv in zip(top.faces.numpy(), top.face_uvcoords.numpy(), strict=True):
        v0, v1, v2 = (plane[i] * np.float32([-1, -1, 1]) for i in (a, c, b))
        area = edge(v2[0], v2[1], v0, v1)
        if not area > 1e-8:
            continue
        area += np.float32(1e-8)
        w = [edge(px, py, *pair) / area for pair in ((v1, v2), (v2, v0), (v0, v1))]
        z = w[0] * v0[2] + w[1] * v1[2] + w[2] * v2[2]
        nearer = (w[0] > 0) & (w[1] > 0) & (w[2] > 0) & (z >= 0) & (z < best)
        best[nearer] = z[nearer]
        uv[nearer] = sum(w[i][nearer][:, None] * corner_uv[j] for i, j in enumerate((0, 2, 1)))
    return uv, np.isfinite(best)


def test_views_turn_the_head():
    x, y, z = torch.rand(3, 2, 5, dtype=torch.float64) * 0.2 - 0.1
    front, left, right, top = project_views(torch.stack([x, y, z], -1), ALL_VIEWS).unbind(1)
    for got, expected in (
        (front, (5 * x, 5 * (y + 0.01), 10.05 - 5 * z)),
        (left, (-5 * z, 5 * (y + 0.01), 10.05 - 5 * x)),
        (right, (5 * z, 5 * (y + 0.01), 10.05 + 5 * x)),
        (top, (5 * x, -5 * (z - 0.01), 10.05 - 5 * y)),
    ):
        torch.testing.assert_close(got.double(), torch.stack(expected, -1), atol=2e-6, rtol=0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from([0.01, 0.1, 1.0]), st.booleans())
def test_equals_a_slow_rasterizer(seed, n_faces, size, snapped):
    """Triangles of every size, over the border, in one another, sharing edges, and on pixel centres."""
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-0.25, 0.25, (1, 3)) + rng.uniform(-size, size, (8, 3)) * 0.3
    vertices[:, 1] -= 0.01
    if snapped:  # to pixel centres and borders of the front view
        vertices = np.round(vertices * 5 * 16) / 16 / 5 - [0, 0.01, 0]
    faces = rng.integers(0, 8, (n_faces, 3))
    top = topology(np.concatenate([faces, [[7, 7, 7]]]), rng.random((8, 2)))
    vertices = torch.tensor(vertices, dtype=torch.float32)[None]
    raster = rasterize_views(vertices, top, ALL_VIEWS, 16)
    projected = project_views(vertices, ALL_VIEWS)[0].numpy()
    for view in ALL_VIEWS:
        uv, visible = slow_raster(projected[view], top, 16)
        assert np.array_equal(raster.visible[0, view].numpy(), visible)
        np.testing.assert_array_equal(raster.uv[0, view].numpy(), uv)


def test_equal_depths_go_to_the_lower_triangle():
    corners = [[-0.1, -0.1, 0], [0.1, -0.1, 0], [0, 0.1, 0]]
    vertices = torch.tensor([corners + corners])
    for order, expected in (([[0, 1, 2], [3, 4, 5]], 0.0), ([[3, 4, 5], [0, 1, 2]], 1.0)):
        top = topology(order, [[0, 0.5]] * 3 + [[1, 0.5]] * 3)
        raster = rasterize_views(vertices, top, FRONT_VIEW, 32)
        assert raster.visible.any()
        # coordinates -1 or 1 scaled by the sum of weights, which is just below 1
        assert (raster.grid[raster.visible][:, 0].sign() == 2 * expected - 1).all()


def test_a_sphere_is_seen_from_four_sides():
    vertices, top = sphere()
    raster = rasterize_views(vertices[None], top, ALL_VIEWS, 128)
    area = raster.visible.sum((2, 3)) * (2 / 128) ** 2
    torch.testing.assert_close(area, torch.full_like(area, np.pi * 0.25), rtol=0.02, atol=0)
    # azimuth at the middle of the sphere, whose y = 0 lies at 0.05 of the plane, row 67
    azimuth = raster.grid[0, :3, 67, 64, 0] * 180
    torch.testing.assert_close(azimuth, torch.tensor([0.0, 90.0, -90.0]), atol=8, rtol=0)
    assert raster.grid[0, 3, 67, 64, 1] < -0.85  # v up, the grid's y down
    inside_out = Topology(top.n_vertices, top.faces.flip(1), top.uv, top.uv_faces, top.uv_mask)
    hollow = rasterize_views(vertices[None], inside_out, FRONT_VIEW, 128)
    assert abs(int(hollow.visible.sum()) - int(raster.visible[:, 0].sum())) < 60  # now its far side
    assert hollow.grid[0, 0, 67, 64, 0].abs() > 0.9


def test_a_sample_does_not_depend_on_its_batch_nor_on_the_budget():
    vertices, top = sphere()
    batch = torch.stack([vertices, vertices * 0.5, vertices + 0.03])
    together = rasterize_views(batch, top, ALL_VIEWS, 64)
    for i in range(3):
        alone = rasterize_views(batch[i : i + 1], top, (3,), 64, budget=64 * 64)
        assert torch.equal(alone.uv[0, 0], together.uv[i, 3])
        assert torch.equal(alone.visible[0, 0], together.visible[i, 3])


def test_a_short_budget_shows():
    vertices, top = sphere()
    batch = torch.stack([vertices * 0.2, vertices])
    full = rasterize_views(batch, top, FRONT_VIEW, 64)
    short = rasterize_views(batch, top, FRONT_VIEW, 64, budget=500)
    assert torch.equal(short.uv[0], full.uv[0]) and short.uv[1].isnan().all()
    contents = plane_contents(torch.ones(2, 3, 16, 16), short)
    assert contents[0].isfinite().all() and contents[1].isnan().all()


def test_vertices_that_are_not_finite_are_not_drawn():
    vertices, top = sphere()
    bad = vertices.clone()
    bad[::7] = torch.nan
    bad[1::7] = torch.inf
    assert rasterize_views(bad[None], top, ALL_VIEWS, 64).uv.isfinite().all()


def test_nothing_waits_for_the_device():
    """Under fake tensors every look at a value fails; so would shapes that depend on values."""
    _, top = sphere()
    with FakeTensorMode(allow_non_fake_inputs=True):
        vertices, textures = torch.zeros(2, top.n_vertices, 3), torch.zeros(2, 5, 64, 64)
        raster = rasterize_views(vertices, top, ALL_VIEWS, 64, budget=4096)
        contents, alphas = plane_contents(textures, raster), plane_alphas(raster, top.uv_mask, sweeps=4)
        box = mouth_box(torch.zeros(2, 68, 2), 64)
        crop = crop_mouth(contents[:, 0], box, 16)
        assert paste_mouth(contents[:, 0], textures, box).shape == (2, 5, 64, 64)
        assert (contents.shape, alphas.shape) == ((2, 3, 5, 64, 64), (2, 3, 64, 64))
        assert crop.shape == (2, 5, 16, 16)


def random_raster(n: int, views: int, resolution: int) -> Raster:
    generator = torch.Generator().manual_seed(n + views)
    uv = torch.rand(n, views, resolution, resolution, 3, generator=generator) * 2.4 - 1.2
    visible = torch.rand(n, views, resolution, resolution, generator=generator) > 0.3
    return Raster(uv * visible[..., None], visible)


@pytest.mark.parametrize("views", [1, 4])
def test_contents_are_texture_lookups(views):
    textures = torch.randn(2, 6, 20, 32, generator=torch.Generator().manual_seed(0))
    raster = random_raster(2, views, 24)
    looked_up = [F.grid_sample(textures, grid, align_corners=False) for grid in raster.grid.unbind(1)]
    if views == 4:
        looked_up = [looked_up[0], looked_up[1] + looked_up[2], looked_up[3]]
    contents = plane_contents(textures, raster)
    torch.testing.assert_close(contents, torch.stack(looked_up, 1), atol=2e-5, rtol=0)
    centre = textures[:, :, 9:11, 15:17].mean((2, 3))  # what pixels show that see nothing
    background = ~raster.visible[:, 0]
    shown = contents[:, 0].permute(0, 2, 3, 1)[background]
    assert torch.allclose(shown, centre.repeat_interleave(background.sum((1, 2)), 0), atol=1e-6)


def test_two_views_make_no_planes():
    with pytest.raises(ValueError, match="2 views"):
        plane_contents(torch.zeros(1, 3, 8, 8), random_raster(1, 2, 8))


def test_side_alpha_is_binary_and_of_the_left_view_alone():
    raster = random_raster(2, 4, 32)
    mask = torch.rand(16, 16, generator=torch.Generator().manual_seed(3))
    alphas = plane_alphas(raster, mask)
    filled = fill_mouth(mask_lookup(raster, mask))
    assert torch.equal(alphas[:, 0], filled[:, 0]) and torch.equal(alphas[:, 2], filled[:, 3])
    assert torch.equal(alphas[:, 1], (filled[:, 1] != 0).float())
    front = Raster(raster.uv[:, :1], raster.visible[:, :1])
    assert torch.equal(plane_alphas(front, mask), alphas[:, :1])


def filled_by_labels(alpha: np.ndarray) -> np.ndarray:
    level = np.float32(255) * alpha
    labels, _ = ndimage.label((level >= level[0, 0]) & (level <= level[0, 0] + 254))
    return np.where(labels == labels[0, 0], alpha, np.float32(1))


masks = st.integers(2, 24).flatmap(
    lambda n: arrays(np.float32, (n, n), elements=st.sampled_from([0.0, 0.0, 0.25, 253 / 255, 1.0, 1.0]))
)


@settings(deadline=None, max_examples=150)
@given(masks)
def test_fill_equals_labelling(alpha):
    alpha = np.float32(alpha)
    assert np.array_equal(fill_mouth(torch.from_numpy(alpha)).numpy(), filled_by_labels(alpha))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.7), st.integers(1, 3))
def test_fill_of_mazes(seed, density, n):
    """Near the density where regions just percolate, their paths wind most."""
    alpha = (np.random.default_rng(seed).random((n, 2, 64, 64)) < density).astype(np.float32)
    filled = fill_mouth(torch.from_numpy(alpha)).numpy()
    for got, one in zip(filled.reshape(-1, 64, 64), alpha.reshape(-1, 64, 64), strict=True):
        assert np.array_equal(got, filled_by_labels(one))


def spiral(n: int) -> np.ndarray:
    """Walls 1 pixel thick around a corridor 1 pixel wide that winds from [0, 0] to the middle."""
    image = np.ones((n, n), np.float32)
    row, column, step, turned = 0, 0, (0, 1), 0
    image[0, 0] = 0
    while turned < 2:
        r, c = row + step[0], column + step[1]
        ahead = (r + step[0], c + step[1])
        free = 0 <= r < n and 0 <= c < n and image[r, c] == 1
        if free and 0 <= ahead[0] < n and 0 <= ahead[1] < n:
            free = image[ahead] == 1
        if free:
            row, column, turned = r, c, 0
            image[row, column] = 0
        else:
            step, turned = (step[1], -step[0]), turned + 1
    return image


def test_fill_follows_a_spiral_and_stops_at_its_wall():
    open_ = spiral(65)
    assert ndimage.label(open_ == 0)[1] == 1 and (open_ == 0).sum() > 65 * 65 * 0.45
    closed = open_.copy()
    closed[0, 40] = 1
    alphas = torch.from_numpy(np.stack([open_, closed, open_ * 0]))
    filled = fill_mouth(alphas)
    assert torch.equal(filled[0], alphas[0]) and torch.equal(filled[2], alphas[2])
    assert (filled[1] == 0).sum() == 40
    bounded = fill_mouth(alphas, sweeps=8)
    assert bounded[0].isnan().all() and torch.equal(bounded[1:], filled[1:])
    assert torch.equal(fill_mouth(alphas, sweeps=33), filled)


def scalar_box(landmarks: np.ndarray, resolution: int) -> list[int]:
    """Rows, then columns, in numpy's scalar float32 arithmetic."""
    pixel = landmarks * np.float32(resolution / 2) + np.float32(resolution / 2)
    centre = np.float32(0.5) * (pixel[48] + pixel[54])
    extent = max(np.ptp(pixel[48:60, 0]), np.ptp(pixel[48:60, 1]))
    half = int(extent * np.float32(1.2)) // 2
    first = [int(float(centre[axis]) - half) for axis in (1, 0)]
    last = [int(float(centre[axis]) + half) for axis in (1, 0)]
    return [first[0], last[0], first[1], last[1]]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([32, 256]))
def test_mouth_box_is_integer_arithmetic(seed, resolution):
    rng = np.random.default_rng(seed)
    landmarks = np.float32(rng.uniform(-0.3, 0.3, (4, 1, 2)) + rng.uniform(-0.2, 0.2, (4, 68, 2)))
    boxes = mouth_box(torch.from_numpy(landmarks), resolution).tolist()
    assert boxes == [scalar_box(one, resolution) for one in landmarks]


def test_impossible_mouths_get_a_box_inside_the_plane():
    landmarks = torch.zeros(6, 68, 2)  # a point
    landmarks[1] = 3.0  # outside
    landmarks[2, 48:60] = torch.linspace(-9, 9, 12)[:, None]  # larger than the plane
    landmarks[3] = torch.nan
    landmarks[4, 50] = torch.inf
    landmarks[5, 48:60] = torch.tensor([-0.99, 0.2]) + torch.rand(12, 2) * 0.3  # over the border
    box = mouth_box(landmarks)
    assert box.dtype == torch.int64 and (box >= 0).all() and (box <= 256).all()
    rows, columns = box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]
    assert torch.equal(rows, columns) and (rows >= 2).all() and (rows % 2 == 0).all()
    image = torch.rand(6, 2, 256, 256)
    assert crop_mouth(image, box).isfinite().all()
    assert paste_mouth(image, torch.rand(6, 2, 256, 256), box).isfinite().all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(64, 16), (96, 48), (128, 64)]))
def test_crop_and_paste_equal_antialiased_resizing(seed, sizes):
    resolution, size = sizes
    rng = np.random.default_rng(seed)
    half = rng.integers(1, resolution // 2 + 1, 3)
    first = rng.integers(0, resolution - 2 * half + 1, (2, 3))
    box = torch.tensor(np.stack([first[0], first[0] + 2 * half, first[1], first[1] + 2 * half], 1))
    generator = torch.Generator().manual_seed(int(seed))
    image = torch.randn(3, 4, resolution, resolution, generator=generator)
    patch = torch.randn(3, 4, resolution, resolution, generator=generator)
    crops, pasted = crop_mouth(image, box, size), paste_mouth(image, patch, box)

    def resized(one, side):
        return F.interpolate(one[None].double(), (side, side), mode="bilinear", antialias=True)[0].float()

    for i, (r0, r1, c0, c1) in enumerate(box.tolist()):
        torch.testing.assert_close(crops[i], resized(image[i, :, r0:r1, c0:c1], size), atol=2e-6, rtol=0)
        expected = image[i].clone()
        expected[:, r0:r1, c0:c1] = resized(patch[i], r1 - r0)
        torch.testing.assert_close(pasted[i], expected, atol=2e-6, rtol=0)


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(shared_path("parity_A.npz")))


@pytest.fixture(scope="module")
def reference_raster(reference):
    names = ("mesh_faces", "mesh_uv", "mesh_uv_faces")
    top = Topology(5023, *(reference[name] for name in names), reference["uv_mask"] / np.float32(255))
    return rasterize_views(torch.from_numpy(reference["v"]), top), top


def test_reference_visibility_and_uv(reference, reference_raster):
    raster, top = reference_raster
    image = (raster.uv * mask_lookup(raster, top.uv_mask)[..., None]).permute(0, 1, 4, 2, 3).numpy()
    uv = raster.grid.permute(0, 1, 4, 2, 3).numpy()
    for view in ALL_VIEWS:
        assert np.array_equal(raster.visible[:, view].numpy(), reference[f"raster{view}_vis"])
        step = 4 if view else 1
        expected = reference[f"raster{view}_uv_sub4" if view else "raster0_uv"]
        np.testing.assert_allclose(uv[:, view, :, ::step, ::step], expected, atol=1e-7)
        masked, stats = reference[f"uvimg_masked{view}_sub8"], reference[f"uvimg_masked{view}_stats"]
        np.testing.assert_allclose(image[:, view, :, ::8, ::8], masked, atol=1e-6)
        mean, size = image[:, view].mean(), np.abs(image[:, view]).mean()
        np.testing.assert_allclose([mean, size], stats[[0, 4]], atol=1e-6)


def test_reference_alphas_and_mouth(reference, reference_raster):
    raster, top = reference_raster
    alphas = plane_alphas(raster, top.uv_mask).numpy()
    assert all(np.array_equal(alphas[:, i], reference[f"alpha{i}"]) for i in range(3))
    landmarks = project_views(torch.from_numpy(reference["v"][:, 5023:]), ALL_VIEWS)[..., :2]
    np.testing.assert_allclose(landmarks.transpose(0, 1).numpy(), reference["lm2d_views"], atol=1e-7)
    np.testing.assert_allclose(landmarks[:, 0].numpy(), reference["lm2d_front"], atol=1e-7)
    assert np.array_equal(mouth_box(landmarks[:, 0]).numpy(), reference["mouth_box_yyxx"])


def test_topology_survives_its_file_and_refuses_nonsense(tmp_path):
    _, top = sphere()
    top.save(tmp_path / "topology.safetensors")
    read = Topology.load(tmp_path / "topology.safetensors")
    assert read.n_vertices == top.n_vertices
    for name in ("faces", "uv", "uv_faces", "uv_mask"):
        assert torch.equal(getattr(read, name), getattr(top, name))
    assert top.buffers()["face_uvcoords"].shape == (1, len(top.faces), 3, 3)
    torch.testing.assert_close(top.uvcoords[:, :2] * torch.tensor([1, -1]), top.uv * 2 - 1)
    one = [[0, 1, 2]]
    good = dict(n_vertices=3, faces=one, uv=np.zeros((3, 2)), uv_faces=one, uv_mask=np.ones((4, 4)))
    Topology(**good)
    for change, message in (
        (dict(faces=[[0, 1, 3]]), r"faces holds indices 0\.\.3, but there are 3"),
        (dict(uv_faces=[[0, -1, 2]]), "uv_faces holds indices"),
        (dict(uv_faces=[[0, 1, 2]] * 2), "1 faces, but 2 uv_faces"),
        (dict(faces=[[0, 1]]), "faces has shape"),
        (dict(uv=np.full((3, 2), np.nan)), "uv holds NaN"),
        (dict(uv_mask=np.ones((3, 4, 4))), "uv_mask has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            Topology(**{**good, **change})
