"""Labels against what they stand for: the camera, the surface, each other, and a mirror."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import trimesh

from synthforge.conventions import CLASS_FLIP, CLASS_ID, LANDMARK_FLIP
from synthforge.errors import ConfigError
from synthforge.generators.worn import WornMesh, append_worn
from synthforge.heads.base import HeadModel
from synthforge.scene.cameras import project, scaled, unproject, world2cam
from synthforge.types import Camera
from tests.annotate.scenes import HEADS, head_or_skip, head_vertices, label, posed, view
from tests.helpers.tiny_head import (
    EYE_ANGLES,
    RADII,
    landmark_angles,
    mirrored,
    skin_point,
    tiny_head_arrays,
)

TURN = {"neck": (0.1, 0.25, -0.1), "left_eye": (0.1, 0.2, 0.0), "right_eye": (0.05, 0.3, 0.0)}


@pytest.fixture(params=HEADS)
def head(request):
    return head_or_skip(request.param)


@pytest.fixture(params=[0.0, 0.5, -0.9], ids="azimuth{:+}".format)
def scene(head, request):
    """Head, parameters, vertices, labels."""
    params, vertices = posed(head, view(256, request.param, 0.15), TURN)
    return head, params, vertices, label(head, params, vertices)


def pixel_grid(camera: Camera) -> np.ndarray:
    y, x = np.mgrid[0 : camera.size[0], 0 : camera.size[1]] + 0.5
    return np.stack([x, y], -1)


# --- landmarks -------------------------------------------------------------------------------


def test_landmarks_project_to_where_opencv_puts_them(scene):
    head, params, vertices, frame = scene
    want, _ = cv2.projectPoints(
        frame.landmarks_3d.astype(np.float64), np.zeros(3), np.zeros(3), params.camera.intrinsics, None
    )
    np.testing.assert_allclose(frame.landmarks_2d, want[:, 0], atol=1e-3)
    inverse = np.linalg.inv(params.camera.cam2world)
    want = head.landmarks(vertices) @ inverse[:3, :3].T + inverse[:3, 3]
    np.testing.assert_allclose(frame.landmarks_3d, want, atol=1e-6)


def test_visible_landmarks_lie_on_the_depth_map(scene):
    _, params, _, frame = scene
    surface = unproject(pixel_grid(params.camera), frame.depth.astype(np.float64), params.camera)
    n_asked = 0
    for point, pixel, visible in zip(
        frame.landmarks_3d.astype(float), frame.landmarks_2d, frame.landmarks_visible, strict=True
    ):
        col, row = np.floor(pixel).astype(int)
        around = np.s_[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
        normal, near, depth = frame.normals[around], surface[around], frame.depth[around]
        facing = -(normal * near).sum(-1) / np.linalg.norm(near, axis=-1) > 0.4
        if visible != 2 or not facing.all() or np.ptp(depth) > 0.006:
            continue
        off = np.abs((normal * (point - near)).sum(-1))  # metres from the tangent planes
        assert off.min() < 0.0005
        n_asked += 1
    assert n_asked > 25


def test_visibility_is_that_of_a_ray_caster(scene):
    pytest.importorskip("embreex")
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    head, params, vertices, frame = scene
    height, width = params.camera.size
    caster = RayMeshIntersector(trimesh.Trimesh(vertices, head.faces, process=False))
    rotation, centre = params.camera.cam2world[:3, :3], params.camera.cam2world[:3, 3]

    def first_hit(pixels: np.ndarray) -> np.ndarray:
        ray = unproject(pixels, np.ones(len(pixels)), params.camera) @ rotation.T
        depth = np.full(len(pixels), np.inf)
        where, ray_id, _ = caster.intersects_location(np.tile(centre, (len(ray), 1)), ray, multiple_hits=False)
        depth[ray_id] = (where - centre) @ rotation[:, 2]
        return depth

    z = frame.landmarks_3d[:, 2]
    offsets = np.stack(np.meshgrid([-2, 0, 2], [-2, 0, 2]), -1).reshape(-1, 2)
    around = np.stack([first_hit(frame.landmarks_2d + o) for o in offsets])
    clear = around[4] > z - 0.001
    buried = (around < z - 0.008).all(0)
    assert clear.sum() > 30
    assert (frame.landmarks_visible[clear] == 2).all()
    assert (frame.landmarks_visible[buried] == 1).all()
    if abs(params.camera.cam2world[0, 2]) > 0.7:
        assert buried.sum() > 3


def test_landmarks_outside_the_image_or_behind_the_camera_are_so_marked():
    head = head_or_skip("tiny")
    camera = view(128)
    camera.intrinsics[0, 2] -= 64  # the image's left edge is now the face's midline
    params, vertices = posed(head, camera)
    frame = label(head, params, vertices)
    outside = frame.landmarks_2d[:, 0] < 0
    assert 20 < outside.sum() < 40
    np.testing.assert_array_equal(frame.landmarks_visible == 0, outside)

    turned_away = replace(camera, cam2world=camera.cam2world @ np.diag([-1, 1, -1, 1]))
    frame = label(head, replace(params, camera=turned_away), vertices)
    assert not frame.landmarks_visible.any() and not frame.alpha.any()


def test_contour_points_lie_on_the_outline_of_a_smooth_head():
    head = head_or_skip("tiny")
    params, vertices = posed(head, view(256, 0.6))
    frame = label(head, params, vertices)
    outline, _ = cv2.findContours((frame.alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    distance = [abs(cv2.pointPolygonTest(outline[0], (float(x) - 0.5, float(y) - 0.5), True)) for x, y in
                frame.landmarks_contour_2d]  # fmt: skip
    assert max(distance[2:6]) < 2  # the far cheek, which the candidates reach around


# --- segmentation ----------------------------------------------------------------------------


def classes_around(segmentation: np.ndarray, point: np.ndarray, radius: int) -> set[int]:
    col, row = np.floor(point).astype(int)
    return set(np.unique(segmentation[row - radius : row + radius + 1, col - radius : col + radius + 1]))


@pytest.mark.parametrize("azimuth", [-0.25, 0.0, 0.25])
def test_landmarks_lie_in_the_parts_they_mark(head, azimuth):
    params, vertices = posed(head, view(384, azimuth))
    frame = label(head, params, vertices)
    at = frame.landmarks_2d
    for points, radius, name in [
        (at[36:42].mean(0), 0, "right_eye"),
        (at[42:48].mean(0), 0, "left_eye"),
        (at[17:22].mean(0), 4, "right_brow"),
        (at[22:27].mean(0), 4, "left_brow"),
        (at[29], 1, "nose"),
        (at[30], 1, "nose"),
        ((at[51] + at[62]) / 2, 1, "upper_lip"),
        ((at[57] + at[66]) / 2, 1, "lower_lip"),
        ((at[31] + at[48]) / 2, 0, "skin"),
        ((at[27] + at[21] + at[22]) / 3 - [0, 20], 0, "skin"),
    ]:
        assert CLASS_ID[name] in classes_around(frame.segmentation, points, radius), name
    np.testing.assert_array_equal(frame.segmentation, frame.segmentation_bare)


def test_pupils_are_seen_in_the_eyes_and_gaze_leads_out_of_them(scene):
    _, params, _, frame = scene
    depth_of_pupil = 3 * np.ones(2)
    for side, eye in enumerate(("left_eye", "right_eye")):
        if eye == "right_eye" and params.camera.cam2world[0, 2] > 0.3:
            continue  # on the far side
        if eye == "left_eye" and params.camera.cam2world[0, 2] < -0.3:
            continue
        assert CLASS_ID[eye] in classes_around(frame.segmentation, frame.pupils_2d[side], 2)
    np.testing.assert_allclose(np.linalg.norm(frame.gaze, axis=1), 1, atol=1e-6)
    assert depth_of_pupil.shape == (2,)


# --- closed forms on the ellipsoid -----------------------------------------------------------


@pytest.fixture(params=[0.0, 0.7], ids="azimuth{}".format)
def ellipsoid(request):
    """Labels of the tiny head and the exact depth, normals and hit mask of its skin, without eyeballs."""
    head, camera = head_or_skip("tiny"), view((200, 180), request.param, 0.2, 0.3)
    params, vertices = posed(head, camera)
    frame = label(head, params, vertices)

    def intersect(pixels: np.ndarray) -> np.ndarray:
        """z-depth of the ellipsoid (inf: missed)."""
        rotation, centre = camera.cam2world[:3, :3], camera.cam2world[:3, 3]
        ray = unproject(pixels, np.ones(pixels.shape[:-1]), camera) @ rotation.T / RADII
        start = centre / RADII
        a, b, c = (ray**2).sum(-1), ray @ start, start @ start - 1
        root = b**2 - a * c
        return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)

    return camera, frame, intersect


def test_depth_is_that_of_the_ellipsoid(ellipsoid):
    camera, frame, intersect = ellipsoid
    want = intersect(pixel_grid(camera))
    eyes = np.isin(frame.segmentation, [CLASS_ID["left_eye"], CLASS_ID["right_eye"]])
    hit = np.isfinite(frame.depth) & np.isfinite(want) & ~eyes
    assert hit.mean() > 0.2
    inner = hit & (np.abs((frame.normals * unproject(pixel_grid(camera), np.ones(want.shape), camera)).sum(-1)) > 0.3)
    error = (frame.depth - want)[inner]
    assert error.min() > -1e-5 and error.max() < 3e-4  # facets lie inside, by at most their sagitta
    assert np.abs(error).mean() < 6e-5


def test_normals_are_those_of_the_ellipsoid(ellipsoid):
    camera, frame, intersect = ellipsoid
    depth = intersect(pixel_grid(camera))
    eyes = cv2.dilate(np.isin(frame.segmentation, [4, 5]).astype(np.uint8), np.ones((3, 3))) > 0
    hit = np.isfinite(frame.depth) & np.isfinite(depth) & ~eyes
    points = unproject(pixel_grid(camera)[hit], depth[hit], camera)
    world = points @ camera.cam2world[:3, :3].T + camera.cam2world[:3, 3]
    normal = world / RADII**2
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True) @ camera.cam2world[:3, :3]
    cosine = (normal * frame.normals[hit]).sum(-1)
    assert np.quantile(cosine, 0.001) > np.cos(np.deg2rad(3)) and cosine.mean() > np.cos(np.deg2rad(0.5))
    np.testing.assert_allclose(np.linalg.norm(frame.normals[hit], axis=-1), 1, atol=1e-6)
    assert (frame.normals[hit][:, 2] < 0.1).all() and not frame.normals[~np.isfinite(frame.depth)].any()


def test_alpha_is_the_covered_area_of_the_ellipse(ellipsoid):
    camera, frame, intersect = ellipsoid
    fine = scaled(camera, 8)
    inside = np.isfinite(intersect(pixel_grid(camera).repeat(8, 0).repeat(8, 1) + _subpixels(camera.size, 8)))
    want = inside.reshape(camera.size[0], 8, camera.size[1], 8).mean((1, 3))
    assert fine.size == inside.shape
    error = frame.alpha / 255 - want
    assert np.abs(error).max() < 0.35 and abs(error.sum()) < 0.01 * want.sum()
    assert (frame.alpha[want == 0] == 0).all()


def _subpixels(size: tuple[int, int], n: int) -> np.ndarray:
    """Offsets of n x n samples from their pixel's centre, for every sample of an image."""
    step = (np.arange(n) + 0.5) / n - 0.5
    x, y = np.tile(step, size[1]), np.tile(step, size[0])
    return np.stack(np.broadcast_arrays(x[None], y[:, None]), -1)


def test_landmarks_of_the_ellipsoid_are_where_they_were_put():
    head = head_or_skip("tiny")
    params, vertices = posed(head, view(300, 0.2))
    frame = label(head, params, vertices)
    want = project(skin_point(landmark_angles()), params.camera)
    assert np.linalg.norm(frame.landmarks_2d - want[:, :2], axis=1).max() < 0.2  # facets against ellipsoid


def test_pupil_is_the_front_vertex_of_the_posed_eyeball():
    head = head_or_skip("tiny")
    params, _ = posed(head, view(256, 0.3), TURN)
    params = replace(params, shape=np.array([1.5], np.float32))
    vertices = head_vertices(head, params)
    frame = label(head, params, vertices)
    rest = head.vertices.numpy()
    for side, (part, angles) in enumerate(zip((1, 2), EYE_ANGLES, strict=True)):
        ball = np.unique(head.faces[head.face_part == part])
        front = ball[rest[ball, 2].argmax()]
        want = project(vertices[front].astype(float), params.camera)[:2]
        np.testing.assert_allclose(frame.pupils_2d[side], want, atol=0.01)
        back = ball[rest[ball, 2].argmin()]
        axis = (vertices[front] - vertices[back]).astype(float)
        axis = world2cam(params.camera)[:3, :3] @ axis / np.linalg.norm(axis)
        np.testing.assert_allclose(frame.gaze[side], axis, atol=2e-4)
        assert np.sign(angles[0]) == (1, -1)[side]


# --- depth and normals agree -----------------------------------------------------------------


def test_normals_are_the_slope_of_the_depth(scene):
    _, params, _, frame = scene
    points = unproject(pixel_grid(params.camera), frame.depth.astype(float), params.camera)
    with np.errstate(invalid="ignore"):
        right, down = points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1]
        slope = np.cross(down, right)
        slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
        jump = np.maximum(np.linalg.norm(right, axis=-1), np.linalg.norm(down, axis=-1))
    smooth = jump < 0.004
    assert smooth.sum() > 5000
    cosine = (slope * frame.normals[1:-1, 1:-1]).sum(-1)[smooth]
    assert np.median(cosine) > np.cos(np.deg2rad(2)) and np.quantile(cosine, 0.05) > np.cos(np.deg2rad(15))


def test_background_agrees_among_all_maps(scene):
    frame = scene[3]
    hit = np.isfinite(frame.depth)
    np.testing.assert_array_equal(hit, (frame.normals != 0).any(-1))
    assert (frame.alpha[hit] > 0).all() and (frame.alpha[~hit] < 255).all()
    assert (frame.segmentation[frame.alpha == 0] == 0).all()
    assert (frame.segmentation[frame.alpha == 255] != 0).all()


# --- the same head seen otherwise ------------------------------------------------------------


def share_equal(a: np.ndarray, b: np.ndarray) -> float:
    return float((a == b).mean())


def test_mirrored_head_and_camera_give_mirrored_labels():
    head = head_or_skip("tiny")
    other = HeadModel("mirrored", mirrored(tiny_head_arrays(), CLASS_FLIP))
    size = (160, 200)
    camera = view(size, 0.4, 0.2, 0.15)
    camera.intrinsics[0, 2] += 7.25
    params, vertices = posed(head, camera, TURN)
    reflect = np.diag([-1.0, 1, 1, 1])
    intrinsics = camera.intrinsics.copy()
    intrinsics[0, 2] = size[1] - intrinsics[0, 2]
    seen = Camera(intrinsics, reflect @ camera.cam2world @ reflect, size)
    turn = {"neck": (0.1, -0.25, 0.1), "right_eye": (0.1, -0.2, 0), "left_eye": (0.05, -0.3, 0)}
    other_params, other_vertices = posed(other, seen, turn)

    a, b = label(head, params, vertices), label(other, other_params, other_vertices)
    assert share_equal(CLASS_FLIP[a.segmentation[:, ::-1]], b.segmentation) > 0.9995
    hit = np.isfinite(a.depth[:, ::-1]) & np.isfinite(b.depth)
    np.testing.assert_allclose(a.depth[:, ::-1][hit], b.depth[hit], atol=1e-4)
    assert np.abs((a.normals[:, ::-1] * [-1, 1, 1] - b.normals)[hit]).mean() < 1e-4
    assert share_equal(a.alpha[:, ::-1], b.alpha) > 0.9995

    def flipped(points: np.ndarray) -> np.ndarray:
        return points * [-1, 1] + [size[1], 0]

    np.testing.assert_allclose(flipped(a.landmarks_2d)[LANDMARK_FLIP], b.landmarks_2d, atol=2e-3)
    np.testing.assert_array_equal(a.landmarks_visible[LANDMARK_FLIP], b.landmarks_visible)
    np.testing.assert_allclose(flipped(a.landmarks_contour_2d)[::-1], b.landmarks_contour_2d, atol=2e-3)
    np.testing.assert_allclose(flipped(a.pupils_2d)[::-1], b.pupils_2d, atol=2e-3)
    np.testing.assert_allclose(a.gaze[::-1] * [-1, 1, 1], b.gaze, atol=1e-5)


def test_twice_the_resolution_shows_the_same(head):
    params, vertices = posed(head, view(160, 0.3, 0.1), TURN)
    once = label(head, params, vertices)
    twice = label(head, replace(params, camera=scaled(params.camera, 2)), vertices)
    np.testing.assert_allclose(twice.landmarks_2d, 2 * once.landmarks_2d, atol=1e-3)
    np.testing.assert_allclose(twice.landmarks_3d, once.landmarks_3d)
    np.testing.assert_allclose(twice.landmarks_contour_2d, 2 * once.landmarks_contour_2d, atol=1e-3)
    np.testing.assert_allclose(twice.pupils_2d, 2 * once.pupils_2d, atol=1e-3)
    assert (twice.landmarks_visible != once.landmarks_visible).sum() <= 3
    block = twice.segmentation.reshape(160, 2, 160, 2)
    unanimous = (block == block[:, :1, :, :1]).all((1, 3))
    assert unanimous.mean() > 0.9
    assert share_equal(block[:, 0, :, 0][unanimous], once.segmentation[unanimous]) > 0.999
    alpha = twice.alpha.reshape(160, 2, 160, 2).mean((1, 3)) / 255
    assert np.abs(alpha - once.alpha / 255).max() < 0.4 and abs(alpha.mean() - once.alpha.mean() / 255) < 5e-4


def test_rolled_camera_gives_rotated_labels(head):
    straight, rolled = view(176, 0.3, 0.1, 0.2), view(176, 0.3, 0.1, 0.2 + np.pi / 2)
    a = label(head, *posed(head, straight, TURN))
    b = label(head, *posed(head, rolled, TURN))

    def turned(image: np.ndarray) -> np.ndarray:
        return np.rot90(image, -1)  # clockwise

    assert share_equal(turned(a.segmentation), b.segmentation) > 0.999
    assert share_equal(turned(a.alpha), b.alpha) > 0.998
    hit = np.isfinite(turned(a.depth)) & np.isfinite(b.depth)
    assert np.quantile(np.abs(turned(a.depth)[hit] - b.depth[hit]), 0.999) < 1e-4
    normals = turned(a.normals)[..., [1, 0, 2]] * [-1, 1, 1]
    assert np.abs(normals - b.normals)[hit].mean() < 1e-3
    for key in ("landmarks_2d", "pupils_2d"):
        points = getattr(a, key)[:, ::-1] * [-1, 1] + [176, 0]
        np.testing.assert_allclose(points, getattr(b, key), atol=2e-3)
    np.testing.assert_allclose(a.gaze[:, [1, 0, 2]] * [-1, 1, 1], b.gaze, atol=1e-5)
    assert (a.landmarks_visible != b.landmarks_visible).sum() <= 1


# --- what is worn ----------------------------------------------------------------------------


def plate(class_name: str, y: tuple[float, float], z: float) -> WornMesh:
    """A frontal rectangle 12 cm wide."""
    corners = np.array([[-0.06, y[0], z], [0.06, y[0], z], [0.06, y[1], z], [-0.06, y[1], z]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return WornMesh(corners, faces, CLASS_ID[class_name], np.ones((4, 3)), np.zeros((4, 3)), "solid")


@pytest.mark.parametrize("name", ["hair", "eyeglasses", "headwear", "facewear"])
def test_worn_things_hide_landmarks_and_leave_the_bare_face_alone(name):
    head = head_or_skip("tiny")
    params, vertices = posed(head, view(256))
    bare = label(head, params, vertices)
    band = (0.005, 0.025)  # over the eyes
    mesh = append_worn(head.mesh(vertices), [plate(name, band, 0.12)])
    worn = label(head, params, vertices, mesh)

    corners = project(np.array([[-0.06, band[0], 0.12], [0.06, band[1], 0.12]]), params.camera)
    (x0, y1), (x1, y0) = corners[:, :2]
    x, y = np.moveaxis(pixel_grid(params.camera), -1, 0)
    inside = (x > x0 + 1) & (x < x1 - 1) & (y > y0 + 1) & (y < y1 - 1)
    around = (x > x0 - 1) & (x < x1 + 1) & (y > y0 - 1) & (y < y1 + 1)
    assert (worn.segmentation[inside] == CLASS_ID[name]).all()
    np.testing.assert_allclose(worn.depth[inside], 1.1 + 0.02 - 0.12, rtol=1e-6)
    np.testing.assert_allclose(worn.normals[inside], np.broadcast_to([0, 0, -1.0], (inside.sum(), 3)), atol=1e-6)
    np.testing.assert_array_equal(worn.segmentation[~around], bare.segmentation[~around])
    np.testing.assert_array_equal(worn.segmentation_bare, bare.segmentation)
    if name in worn.soft_masks:
        assert (worn.soft_masks[name][inside] == 255).all()
        area = (x1 - x0) * (y1 - y0)
        np.testing.assert_allclose(worn.soft_masks[name].sum() / 255, area, rtol=0.03)
    assert not any(mask.any() for key, mask in worn.soft_masks.items() if key != name)

    px, py = worn.landmarks_2d.T
    behind = (px > x0 + 2) & (px < x1 - 2) & (py > y0 + 2) & (py < y1 - 2)
    clear = (px < x0 - 2) | (px > x1 + 2) | (py < y0 - 2) | (py > y1 + 2)
    assert behind.sum() >= 8 and (worn.landmarks_visible[behind] == 1).all()
    np.testing.assert_array_equal(worn.landmarks_visible[clear], bare.landmarks_visible[clear])


def test_back_of_a_sheet_has_the_normal_of_the_side_that_is_seen():
    head = head_or_skip("tiny")
    params, vertices = posed(head, view(128))
    sheet = plate("hair", (0.0, 0.02), 0.12)
    sheet = replace(sheet, faces=sheet.faces[:, ::-1])
    frame = label(head, params, vertices, append_worn(head.mesh(vertices), [sheet]))
    np.testing.assert_allclose(frame.normals[frame.segmentation == CLASS_ID["hair"]][:, 2], -1, atol=1e-6)


# --- the function itself ---------------------------------------------------------------------


def test_same_input_same_bytes(head):
    params, vertices = posed(head, view(128, 0.4), TURN)
    a, b = label(head, params, vertices), label(head, params, vertices)
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.tobytes() == y.tobytes()


def test_depth_is_at_pixel_centres_whatever_the_number_of_samples():
    head = head_or_skip("tiny")
    params, vertices = posed(head, view(100, 0.4))
    frames = [label(head, params, vertices, supersample=n) for n in (1, 3, 5)]
    for frame in frames[1:]:
        same = np.isfinite(frame.depth) == np.isfinite(frames[0].depth)
        assert same.mean() > 0.9999
        hit = np.isfinite(frame.depth) & np.isfinite(frames[0].depth)
        np.testing.assert_allclose(frame.depth[hit], frames[0].depth[hit], atol=1e-5)
        assert share_equal(frame.segmentation, frames[0].segmentation) > 0.98


def test_even_supersampling_is_refused():
    head = head_or_skip("tiny")
    with pytest.raises(ConfigError, match="supersample: 2 is not odd; use 1, 3 or 5"):
        label(head, *posed(head, view(16)), supersample=2)
