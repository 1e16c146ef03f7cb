"""Labels against what they stand for: the camera, the surface, and each other."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import trimesh

from synthforge.annotate import annotate
from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import from_pixels, project, scaled, world2cam
from synthforge.conventions import CLASS_ID
from synthforge.errors import ConfigError
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.types import Camera, Render
from tests.annotate.scenes import TURN, head_vertices, label, pixel_grid, posed, share_equal, view
from tests.helpers.tiny_head import (
    EYE_ANGLES,
    RADII,
    landmark_angles,
    skin_point,
)


@pytest.fixture(scope="module", params=[0.0, 0.5, -0.9], ids="azimuth{:+}".format)
def scene(head, request):
    """Head, parameters, vertices, labels."""
    params, vertices = posed(head, view(256, request.param, 0.15), TURN)
    return head, params, vertices, label(head, params, vertices)


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


def test_dense_landmarks_begin_with_the_others_and_lie_where_the_camera_sees_them(scene):
    _, params, _, frame = scene
    for key in ("2d", "3d", "visible"):
        dense, ibug = getattr(frame, f"landmarks_dense_{key}"), getattr(frame, f"landmarks_{key}")
        np.testing.assert_array_equal(dense[:68], ibug)
    points = frame.landmarks_dense_3d.astype(np.float64)
    want, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), params.camera.intrinsics, None)
    np.testing.assert_allclose(frame.landmarks_dense_2d, want[:, 0], atol=1e-3)


def test_dense_landmarks_can_be_left_out(tiny):
    params, vertices = posed(tiny, view(64))
    render = Render(np.zeros((64, 64, 3), np.uint8), vertices)
    frame = annotate(render, params, tiny, vertices, dense=False)
    assert frame.landmarks_dense_2d is None and frame.landmarks_dense_visible is None
    full = label(tiny, params, vertices)
    np.testing.assert_array_equal(frame.landmarks_visible, full.landmarks_visible)
    np.testing.assert_array_equal(frame.landmarks_2d, full.landmarks_2d)


def test_visible_landmarks_lie_on_the_depth_map(scene):
    _, params, _, frame = scene
    depth = np.where(np.isfinite(frame.depth), frame.depth, 1e-3).astype(np.float64)
    surface = from_pixels(pixel_grid(params.camera), depth, params.camera)
    n_asked = 0
    for point, pixel, visible in zip(
        frame.landmarks_3d.astype(float), frame.landmarks_2d, frame.landmarks_visible, strict=True
    ):
        col, row = np.floor(pixel).astype(int)
        around = np.s_[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
        normal, near, depth = frame.normals[around], surface[around], frame.depth[around]
        facing = -(normal * near).sum(-1) / np.linalg.norm(near, axis=-1) > 0.4
        if visible != 2 or not facing.all() or np.ptp(depth) > 0.003:
            continue
        off = np.abs((normal * (point - near)).sum(-1))  # metres from the tangent planes
        assert off.min() < 0.0006  # a lid's margin curves away from the planes
        n_asked += 1
    assert n_asked > 10


def test_visibility_is_that_of_a_ray_caster(scene):
    pytest.importorskip("embreex")
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    head, params, vertices, frame = scene
    height, width = params.camera.size
    caster = RayMeshIntersector(trimesh.Trimesh(vertices, head.faces, process=False))
    rotation, centre = params.camera.cam2world[:3, :3], params.camera.cam2world[:3, 3]

    def first_hit(pixels: np.ndarray) -> np.ndarray:
        ray = from_pixels(pixels, np.ones(len(pixels)), params.camera) @ rotation.T
        depth = np.full(len(pixels), np.inf)
        starts = np.tile(centre, (len(ray), 1))
        where, ray_id, _ = caster.intersects_location(starts, ray, multiple_hits=False)
        depth[ray_id] = (where - centre) @ rotation[:, 2]
        return depth

    z, visible = frame.landmarks_dense_3d[:, 2], frame.landmarks_dense_visible
    offsets = np.stack(np.meshgrid([-2, 0, 2], [-2, 0, 2]), -1).reshape(-1, 2)
    around = np.stack([first_hit(frame.landmarks_dense_2d + o) for o in offsets])
    clear = around[4] > z - 0.001
    buried = (around < z - 0.008).all(0)
    assert clear.sum() > 250
    assert (visible[clear] == 2).all()
    assert (visible[buried] == 1).all()
    if abs(params.camera.cam2world[0, 2]) > 0.7:
        assert buried.sum() > 3


def test_landmarks_outside_the_image_or_behind_the_camera_are_so_marked(tiny):
    camera = view(128)
    camera.intrinsics[0, 2] -= 64  # the image's left edge is now the face's midline
    params, vertices = posed(tiny, camera)
    frame = label(tiny, params, vertices)
    outside = frame.landmarks_2d[:, 0] < 0
    assert 20 < outside.sum() < 40
    np.testing.assert_array_equal(frame.landmarks_visible == 0, outside)

    turned_away = replace(camera, cam2world=camera.cam2world @ np.diag([-1, 1, -1, 1]))
    frame = label(tiny, replace(params, camera=turned_away), vertices)
    assert not frame.landmarks_visible.any() and not frame.alpha.any()


def test_contour_points_lie_on_the_head_and_some_on_its_outline(scene):
    frame = scene[3]
    inside = (frame.alpha > 0).astype(np.uint8)
    outline, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = frame.landmarks_contour_2d.astype(float) - 0.5  # OpenCV counts from pixel centres
    depth = np.array([cv2.pointPolygonTest(outline[0], tuple(p), True) for p in points])
    assert depth.min() > -1.5  # pixels
    assert (depth < 3).sum() >= 2


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


def test_open_mouth_shows_its_inside_between_the_inner_lips(any_head):
    if "jawOpen" not in any_head.expression_names:
        pytest.skip(f"{any_head.name} has no jawOpen")
    params, vertices = posed(any_head, view(256, 0.1), jawOpen=0.8)
    frame = label(any_head, params, vertices)
    upper, lower = frame.landmarks_2d[61:64].mean(0), frame.landmarks_2d[65:68].mean(0)
    assert lower[1] - upper[1] > 10
    for place in (0.25, 0.5, 0.75):
        point = upper + place * (lower - upper)
        assert classes_around(frame.segmentation, point, 0) == {CLASS_ID["inner_mouth"]}


def test_pupils_are_seen_in_the_eyes_and_gaze_leads_out_of_them(scene):
    _, params, _, frame = scene
    away = params.camera.cam2world[0, 2]  # the camera looks towards the subject's left if positive
    for side, eye in enumerate(("left_eye", "right_eye")):
        if abs(away) < 0.3 or (away < 0) == (eye == "left_eye"):  # not on the far side
            assert CLASS_ID[eye] in classes_around(frame.segmentation, frame.pupils_2d[side], 2)
    np.testing.assert_allclose(np.linalg.norm(frame.gaze, axis=1), 1, atol=1e-6)


# --- closed forms on the ellipsoid -----------------------------------------------------------


@pytest.fixture(params=[0.0, 0.7], ids="azimuth{}".format)
def ellipsoid(request, tiny):
    """Labels of the tiny head and the exact depth, normals and hit mask of its skin, without eyeballs."""
    camera = view((200, 180), request.param, 0.2, 0.3)
    params, vertices = posed(tiny, camera)
    frame = label(tiny, params, vertices)

    def intersect(pixels: np.ndarray) -> np.ndarray:
        """z-depth of the ellipsoid (inf: missed)."""
        rotation, centre = camera.cam2world[:3, :3], camera.cam2world[:3, 3]
        ray = from_pixels(pixels, np.ones(pixels.shape[:-1]), camera) @ rotation.T / RADII
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
    ray = from_pixels(pixel_grid(camera), np.ones(want.shape), camera)
    inner = hit & ((frame.normals * ray).sum(-1) < -0.3)
    error = frame.depth[inner] - want[inner]
    assert error.min() > -1e-5 and error.max() < 3e-4  # facets lie inside, by at most their sagitta
    assert np.abs(error).mean() < 1.2e-4


def test_normals_are_those_of_the_ellipsoid(ellipsoid):
    camera, frame, intersect = ellipsoid
    depth = intersect(pixel_grid(camera))
    eyes = cv2.dilate(np.isin(frame.segmentation, [4, 5]).astype(np.uint8), np.ones((3, 3))) > 0
    hit = np.isfinite(frame.depth) & np.isfinite(depth) & ~eyes
    points = from_pixels(pixel_grid(camera)[hit], depth[hit], camera)
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
    skin = cv2.dilate(np.isin(frame.segmentation, [4, 5]).astype(np.uint8), np.ones((5, 5))) == 0
    error = (frame.alpha / 255 - want)[skin]  # eyeballs may stand out
    assert np.abs(error).max() < 0.35 and abs(error.sum()) < 0.01 * want.sum()
    assert (frame.alpha[skin & (want == 0)] == 0).all()


def _subpixels(size: tuple[int, int], n: int) -> np.ndarray:
    """Offsets of n x n samples from their pixel's centre, for every sample of an image."""
    step = (np.arange(n) + 0.5) / n - 0.5
    x, y = np.tile(step, size[1]), np.tile(step, size[0])
    return np.stack(np.broadcast_arrays(x[None], y[:, None]), -1)


def test_landmarks_of_the_ellipsoid_are_where_they_were_put(tiny):
    params, vertices = posed(tiny, view(300, 0.2))
    frame = label(tiny, params, vertices)
    want = project(skin_point(landmark_angles()), params.camera)
    assert np.linalg.norm(frame.landmarks_2d - want[:, :2], axis=1).max() < 0.2  # facets against ellipsoid


def test_pupil_is_the_front_vertex_of_the_posed_eyeball(tiny):
    params, _ = posed(tiny, view(256, 0.3), TURN)
    params = replace(params, shape=np.array([1.5], np.float32))
    vertices = head_vertices(tiny, params)
    frame = label(tiny, params, vertices)
    rest = tiny.vertices.numpy()
    for side, (part, angles) in enumerate(zip((1, 2), EYE_ANGLES, strict=True)):
        ball = np.unique(tiny.faces[tiny.face_part == part])
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
    points = from_pixels(pixel_grid(params.camera), frame.depth.astype(float), params.camera)
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


# --- through a lens --------------------------------------------------------------------------

LENS = np.array([-0.9, 1.5, 0.01, -0.008, 0.4], np.float32)  # about 6 % at the corner of a wide view


@pytest.fixture(scope="module")
def bent(tiny):
    """Camera, and a frame of the tiny head seen wide through `LENS`, off the image's middle."""
    camera = orbit_camera(0.4, 0.1, 0.2, 0.42, np.deg2rad(45), np.array([0.03, 0.02, 0.05]), (180, 160))
    camera = replace(camera, distortion=LENS)
    params, vertices = posed(tiny, camera, TURN)
    return camera, vertices, label(tiny, params, vertices)


def opencv_rays(pixels: np.ndarray, camera: Camera) -> np.ndarray:
    """Rays x/z, y/z, 1 by OpenCV's own inverse."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
    flat, lens = pixels.reshape(-1, 1, 2).astype(np.float64), camera.distortion.astype(float)
    flat = cv2.undistortPointsIter(flat, camera.intrinsics, lens, None, None, criteria)
    return np.concatenate([flat.reshape(pixels.shape), np.ones((*pixels.shape[:-1], 1))], -1)


def test_points_through_a_lens_are_where_opencv_puts_them(bent):
    camera, _, frame = bent
    lens, none = camera.distortion.astype(float), np.zeros(3)
    straight, want = (
        cv2.projectPoints(frame.landmarks_3d.astype(float), none, none, camera.intrinsics, d)[0][:, 0]
        for d in (None, lens)
    )
    np.testing.assert_allclose(frame.landmarks_2d, want, atol=1e-3)
    assert np.linalg.norm(straight - want, axis=1).max() > 2  # the lens matters


def test_maps_through_a_lens_are_those_of_rays_cast_one_by_one(bent, tiny):
    camera, vertices, frame = bent
    caster = trimesh.Trimesh(vertices, tiny.faces, process=False).ray
    rays = opencv_rays(pixel_grid(camera), camera).reshape(-1, 3)
    rotation, centre = camera.cam2world[:3, :3], camera.cam2world[:3, 3]
    starts = np.tile(centre, (len(rays), 1))
    where, ray, face = caster.intersects_location(starts, rays @ rotation.T, multiple_hits=True)
    z = (where - centre) @ rotation[:, 2]
    want, hit_face = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for i in np.argsort(-z):  # the nearest is written last
        want[ray[i]], hit_face[ray[i]] = z[i], face[i]
    want = want.reshape(camera.size)
    both = np.isfinite(want) & np.isfinite(frame.depth)
    assert (np.isfinite(want) == np.isfinite(frame.depth)).mean() > 0.999 and both.mean() > 0.15
    assert (np.abs(want[both] - frame.depth[both]) < 1e-5).mean() > 0.999
    assert ((frame.alpha[both] > 0).all()) and (frame.alpha[~np.isfinite(want)] < 255).all()
    classes = tiny.face_class[hit_face].reshape(camera.size)
    told = both & (classes != 255) & (frame.alpha == 255)  # classes of whole triangles: the eyeballs
    assert told.sum() > 50
    assert (classes == frame.segmentation)[told].mean() > 0.95  # the rest are majorities at borders
    a, b, c = vertices[tiny.faces[hit_face]].transpose(1, 0, 2)
    world = np.cross(b - a, c - a)
    flat = world @ rotation / np.maximum(np.linalg.norm(world, axis=1, keepdims=True), 1e-12)
    cosine = (flat.reshape(*camera.size, 3) * frame.normals).sum(-1)[both]
    assert np.quantile(cosine, 0.01) > np.cos(np.deg2rad(12))


def test_the_picture_goes_through_the_same_lens(bent, tiny):
    """It is the picture without a lens, bent by OpenCV."""
    camera, vertices, frame = bent
    painted = {"hair_style": "bald", "freckles": 1.0, "lip_color": 1.0, "brow_density": 1.0, "skin_tone": 3.0}
    bald = replace(frame.params, attributes=painted)
    pictures = [
        RasterGenerator().render(tiny, replace(bald, camera=c), vertices).rgb.astype(np.float32)
        for c in (replace(camera, distortion=np.zeros(5, np.float32)), camera)
    ]
    straight = cv2.projectPoints(
        opencv_rays(pixel_grid(camera), camera).reshape(-1, 3), *np.zeros((2, 3)), camera.intrinsics, None
    )[0].reshape(*camera.size, 2)
    across, down = np.moveaxis(straight.astype(np.float32) - 0.5, -1, 0)  # from a centre
    want = cv2.remap(pictures[0], across, down, cv2.INTER_LINEAR)
    inside = cv2.erode((frame.alpha == 255).astype(np.uint8), np.ones((5, 5))) > 0  # no edges
    assert inside.mean() > 0.15
    unbent, off = (np.abs(want - picture).max(-1) for picture in pictures)
    moved = inside & (unbent > 12)  # where the lens matters
    assert moved.sum() > 150 and off[moved].mean() < 0.4 * unbent[moved].mean()


# --- the function itself ---------------------------------------------------------------------


def test_same_input_same_bytes(head):
    params, vertices = posed(head, view(128, 0.4), TURN)
    a, b = label(head, params, vertices), label(head, params, vertices)
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        for name in x if isinstance(x, dict) else ():
            assert x[name].tobytes() == y[name].tobytes(), name
        if isinstance(x, np.ndarray):
            assert x.tobytes() == y.tobytes(), field.name


def test_depth_is_at_pixel_centres_whatever_the_number_of_samples(tiny):
    params, vertices = posed(tiny, view(100, 0.4))
    frames = [label(tiny, params, vertices, supersample=n) for n in (1, 3, 5)]
    for frame in frames[1:]:
        same = np.isfinite(frame.depth) == np.isfinite(frames[0].depth)
        assert same.mean() > 0.9999
        hit = np.isfinite(frame.depth) & np.isfinite(frames[0].depth)
        np.testing.assert_allclose(frame.depth[hit], frames[0].depth[hit], atol=1e-5)
        assert share_equal(frame.segmentation, frames[0].segmentation) > 0.98


def test_even_supersampling_is_refused(tiny):
    with pytest.raises(ConfigError, match="supersample: 2 is not odd; use 1, 3 or 5"):
        label(tiny, *posed(tiny, view(16)), supersample=2)
