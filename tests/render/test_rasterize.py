"""The rasterizer against closed forms, its twin, and an outside ray caster."""

import importlib.util

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import from_pixels, to_camera
from synthforge.errors import AssetError, SynthforgeError
from synthforge.render.rasterize import NEAR, draw_over, rasterize
from synthforge.render.torch_kernel import rasterize_torch
from tests.helpers.tiny_head import tiny_head
from tests.render.soups import blob, projected, soup, view

BACKENDS = [
    "numba",
    "torch",
    pytest.param(
        "pytorch3d",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("pytorch3d") is None, reason="pytorch3d is not installed"
        ),
    ),
]
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


def test_tilted_plane_has_exact_depth_and_perspective_barycentrics(backend):
    camera = view(60, 70)
    corners = np.array([[-0.3, -0.25, -0.3], [0.35, -0.2, 0.4], [-0.05, 0.4, 0.1]])  # world
    out = rasterize(projected(corners, camera), np.array([[0, 1, 2]]), 60, 70, backend)
    hit = out.face_index == 0
    assert 0.2 < hit.mean() < 1

    a, b, c = to_camera(corners, camera)
    normal = np.cross(b - a, c - a)
    y, x = np.mgrid[0:60, 0:70] + 0.5
    ray = from_pixels(np.stack([x, y], -1), np.ones((60, 70)), camera)
    depth = (normal @ a) / (ray @ normal)
    np.testing.assert_allclose(out.depth[hit], depth[hit], rtol=2e-7 if backend != "pytorch3d" else 1e-4)

    point = out.barycentric[hit] @ np.stack([a, b, c])
    np.testing.assert_allclose(point, (ray * depth[..., None])[hit], atol=1e-6)
    assert np.isinf(out.depth[~hit]).all() and not out.barycentric[~hit].any()
    assert (out.face_index[~hit] == -1).all()


def test_shared_edges_through_pixel_centres_leave_no_hole(backend):
    side = np.array([0.5, 4.5, 8.5])
    points = np.array([[x, y, 1.0] for y in side for x in side])  # edges exactly on sample points
    faces = [(q, q + 1, q + 4, q + 3) for q in (0, 1, 3, 4)]
    faces = np.array([t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))])
    out = rasterize(points, faces, 9, 9, backend)
    assert (out.face_index >= 0).all()
    np.testing.assert_allclose(out.depth, 1, rtol=1e-6)


def test_interior_samples_of_a_fan_belong_to_one_triangle_each():
    rng = np.random.default_rng(0)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    rim = 31.3 + 30 * np.stack([np.cos(angle), np.sin(angle)], -1)
    points = np.concatenate([[[31.37, 31.21, 1.0]], np.c_[rim, np.ones(40)]])
    faces = np.array([(0, 1 + i, 1 + (i + 1) % 40) for i in range(40)])
    whole = rasterize(points, faces, 64, 64).face_index
    times = sum((rasterize(points, faces[i : i + 1], 64, 64).face_index == 0).astype(int) for i in range(40))
    np.testing.assert_array_equal(whole >= 0, times > 0)
    assert times.max() == 1  # no centre lies exactly on an edge here


@pytest.mark.parametrize("azimuth", [0.0, 0.7, 2.0])
def test_no_ray_leaves_a_closed_surface(backend, azimuth):
    shell = blob()
    inside = orbit_camera(azimuth, 0.3, 0.1, 0.01, 1.0, np.zeros(3), (150, 170))
    out = rasterize(projected(shell.vertices * 10, inside), np.asarray(shell.faces), 150, 170, backend)
    assert (out.face_index >= 0).all()


def test_what_is_not_drawn(backend):
    behind = np.array([[5, 5, -1.0], [15, 5, -1.0], [5, 15, -1.0]])
    crossing = behind * [1, 1, -1] + [[0, 0, 0], [0, 0, 0], [0, 0, -1 + NEAR / 2]]
    outside = np.array([[-30, -30, 1.0], [-5, -30, 1.0], [-30, -5, 1.0]])
    line = np.array([[1, 1, 1.0], [10, 10, 1.0], [5, 5, 1.0]])
    point = np.full((3, 3), [4.5, 4.5, 1.0])
    nan = np.array([[np.nan, 1, 1.0], [10, 10, 1.0], [5, 1, 1.0]])
    between = np.array([[4.6, 4.6, 1.0], [5.4, 4.6, 1.0], [5.0, 5.4, 1.0]])  # no centre inside
    for corners in (behind, crossing, outside, line, point, between) + ((nan,) * (backend != "pytorch3d")):
        out = rasterize(corners, np.array([[0, 1, 2]]), 20, 20, backend)
        assert (out.face_index == -1).all()
    none = rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), 4, 6, backend)
    assert none.face_index.shape == (4, 6) and np.isinf(none.depth).all()


def test_both_windings_are_drawn_and_ties_go_to_the_lower_index():
    points = np.array([[0, 0, 1.0], [20, 0, 1.0], [0, 20, 1.0]])
    for kernel in ("numba", "torch"):
        for faces in ([[0, 1, 2], [0, 2, 1]], [[2, 1, 0], [0, 1, 2]]):
            out = rasterize(points, np.array(faces), 20, 20, kernel)
            assert set(np.unique(out.face_index)) == {-1, 0}
    nearer = np.concatenate([points, points * [1, 1, 0.9]])
    out = rasterize(nearer, np.array([[0, 1, 2], [3, 5, 4]]), 20, 20)
    assert set(np.unique(out.face_index)) == {-1, 1}


@settings(deadline=None, max_examples=30)
@given(seed=seeds, height=st.integers(1, 70), width=st.integers(1, 70))
def test_torch_and_numba_agree_to_the_bit(seed, height, width):
    points, faces = soup(np.random.default_rng(seed), 80, height, width)
    a = rasterize(points, faces, height, width, "numba")
    b = rasterize(points, faces, height, width, "torch")
    np.testing.assert_array_equal(a.face_index, b.face_index)
    np.testing.assert_array_equal(a.depth, b.depth)
    np.testing.assert_allclose(a.barycentric, b.barycentric, atol=1e-6)


def test_torch_and_numba_agree_on_a_head():
    head, camera = tiny_head(), view(256, 256)
    points = projected(head.vertices.numpy(), camera)
    a, b = (rasterize(points, head.faces, 256, 256, kernel) for kernel in ("numba", "torch"))
    np.testing.assert_array_equal(a.face_index, b.face_index)
    np.testing.assert_array_equal(a.depth, b.depth)
    np.testing.assert_allclose(a.barycentric, b.barycentric, atol=1e-6)


def test_torch_batch_equals_single_frames_whatever_the_chunks(monkeypatch):
    frames = [soup(np.random.default_rng(s), 60, 40, 50) for s in range(3)]
    points, faces = torch.tensor(np.stack([p for p, _ in frames])), torch.tensor(frames[0][1])
    whole = rasterize_torch(points, faces, 40, 50)
    monkeypatch.setattr("synthforge.render.torch_kernel.MAX_PAIRS", 37)
    small = rasterize_torch(points, faces, 40, 50)
    for i, (p, f) in enumerate(frames):
        single = rasterize(p, f, 40, 50)
        np.testing.assert_array_equal(whole.face_index[i], single.face_index)
        np.testing.assert_array_equal(small.face_index[i], single.face_index)
        np.testing.assert_array_equal(small.depth[i].float(), single.depth)


def test_torch_gradients_match_finite_differences():
    points = torch.tensor(
        [[1.2, 1.7, 1.0], [9.3, 2.1, 1.5], [4.4, 8.8, 0.8], [9.9, 9.1, 2.0]], dtype=torch.float64
    )[None].requires_grad_()
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    inside = rasterize_torch(points, faces, 10, 10).face_index >= 0
    weight = torch.linspace(0, 1, 300, dtype=torch.float64).view(1, 10, 10, 3)

    def value(p):
        out = rasterize_torch(p, faces, 10, 10)
        return out.depth[inside].sum() + (out.barycentric * weight)[inside].sum()

    assert torch.autograd.gradcheck(value, (points,), eps=1e-7, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_equals_cpu():
    points, faces = soup(np.random.default_rng(1), 3000, 200, 150)
    points, faces = torch.tensor(points)[None], torch.tensor(faces)
    cpu = rasterize_torch(points, faces, 200, 150)
    gpu = rasterize_torch(points.cuda(), faces.cuda(), 200, 150)
    assert torch.equal(cpu.face_index, gpu.face_index.cpu())
    torch.testing.assert_close(cpu.barycentric, gpu.barycentric.cpu(), atol=1e-9, rtol=0)


def ray_cast(mesh: trimesh.Trimesh, camera):
    """Per pixel centre: triangle, z-depth and point in the camera frame, by Embree."""
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    height, width = camera.size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    ray = from_pixels(np.stack([x, y], -1), np.ones((height, width)), camera).reshape(-1, 3)
    rotation, centre = camera.cam2world[:3, :3], camera.cam2world[:3, 3]
    direction = ray @ rotation.T
    where, ray_id, face = RayMeshIntersector(mesh).intersects_location(
        np.broadcast_to(centre, direction.shape), direction, multiple_hits=False
    )
    index, point = np.full(height * width, -1), np.full((height * width, 3), np.inf)
    index[ray_id], point[ray_id] = face, to_camera(where, camera)
    return index.reshape(height, width), point[:, 2].reshape(height, width), where, ray_id


def assert_like_ray_caster(vertices, faces, camera, backend):
    pytest.importorskip("embreex")
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    index, depth, where, ray_id = ray_cast(mesh, camera)
    out = rasterize(projected(vertices, camera), np.asarray(faces), *camera.size, backend)
    same = out.face_index == index
    both = (out.face_index >= 0) & (index >= 0)
    assert both.sum() > 1000
    assert (~same).mean() < 1e-3
    np.testing.assert_allclose(out.depth[both & ~same], depth[both & ~same], atol=2e-4)  # ties at edges
    np.testing.assert_allclose(out.depth[both & same], depth[both & same], atol=3e-6)
    want = np.full((*camera.size, 3), np.nan)
    face = index.ravel()[ray_id]
    want.reshape(-1, 3)[ray_id] = trimesh.triangles.points_to_barycentric(mesh.triangles[face], where)
    edge = np.linalg.norm(np.diff(mesh.triangles, axis=1), axis=-1).min(-1)
    tilt = np.abs((out.barycentric - want)[both & same]).max(-1) * edge[index[both & same]]
    assert tilt.max() < 3e-5  # barycentrics as metres on the triangle


def test_like_a_ray_caster_on_a_blob(backend):
    mesh = blob()
    assert_like_ray_caster(mesh.vertices, mesh.faces, view(160, 128), backend)


def test_like_a_ray_caster_on_a_head(any_head):
    vertices = any_head.vertices.numpy().astype(np.float64)
    assert_like_ray_caster(vertices, any_head.faces, view(160, 128, azimuth=0.7), "numba")


@settings(deadline=None, max_examples=20)
@given(seed=seeds, dx=st.integers(-9, 9), dy=st.integers(-9, 9))
def test_whole_pixel_translation_shifts_the_result(seed, dx, dy):
    points, faces = soup(np.random.default_rng(seed), 60, 40, 40)
    points[:, :2] = np.round(points[:, :2] * 1024) / 1024  # so that adding whole pixels is exact
    a = rasterize(points, faces, 40, 40)
    b = rasterize(points + [dx, dy, 0], faces, 40, 40)
    ya, xa = slice(max(0, -dy), 40 - max(0, dy)), slice(max(0, -dx), 40 - max(0, dx))
    yb, xb = slice(max(0, dy), 40 - max(0, -dy)), slice(max(0, dx), 40 - max(0, -dx))
    for name in ("face_index", "depth", "barycentric"):
        np.testing.assert_array_equal(getattr(a, name)[ya, xa], getattr(b, name)[yb, xb])


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_mirrored_points_give_the_mirrored_result(seed):
    points, faces = soup(np.random.default_rng(seed), 60, 40, 50)
    points[:, :2] = np.round(points[:, :2] * 1024) / 1024
    a = rasterize(points, faces, 40, 50)
    b = rasterize(points * [-1, 1, 1] + [50, 0, 0], faces, 40, 50)
    np.testing.assert_array_equal(a.face_index, b.face_index[:, ::-1])
    np.testing.assert_array_equal(a.depth, b.depth[:, ::-1])


@settings(deadline=None, max_examples=20)
@given(seed=seeds, first=st.integers(0, 60))
def test_drawing_over_in_two_steps_is_drawing_at_once(seed, first):
    points, faces = soup(np.random.default_rng(seed), 60, 40, 50)
    whole = rasterize(points, faces, 40, 50)
    steps = rasterize(points, faces[:first], 40, 50)
    draw_over(steps, points, faces, first)
    for name in ("face_index", "depth", "barycentric"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(steps, name))


@settings(deadline=None, max_examples=20)
@given(seed=seeds, first=st.integers(0, 60))
def test_samples_anywhere_are_the_samples_of_pixel_centres_where_they_lie_there(seed, first):
    """On the regular grid, shuffled: every sample gets what the plain kernel gives its pixel."""
    rng = np.random.default_rng(seed)
    points, faces = soup(rng, 60, 40, 50)
    y, x = np.mgrid[0:40, 0:50] + 0.5
    order = rng.permutation(2000)
    places = np.stack([x, y], -1).reshape(-1, 2)[order].reshape(40, 50, 2)
    want = rasterize(points, faces, 40, 50)
    got = rasterize(points, faces[:first], 40, 50, places=places)
    draw_over(got, points, faces, first, places)
    for name in ("face_index", "depth", "barycentric"):
        shuffled = getattr(want, name).reshape(2000, -1)[order]
        np.testing.assert_array_equal(shuffled, getattr(got, name).reshape(2000, -1))
    with pytest.raises(SynthforgeError, match="only numba takes places"):
        rasterize(points, faces, 40, 50, "torch", places)


def test_unknown_backend_and_missing_pytorch3d_say_what_to_do():
    triangle = np.eye(3), np.array([[0, 1, 2]])
    with pytest.raises(SynthforgeError, match="no rasterizer 'opengl'.*numba, torch, pytorch3d"):
        rasterize(*triangle, 4, 4, "opengl")
    if importlib.util.find_spec("pytorch3d") is None:
        with pytest.raises(AssetError, match="pytorch3d is not installed.*conda install"):
            rasterize(*triangle, 4, 4, "pytorch3d")
