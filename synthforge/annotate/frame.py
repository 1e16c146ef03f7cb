"""All labels of one image, from the mesh it shows and its camera."""

import numpy as np
from jaxtyping import Float

from synthforge.annotate.coverage import coverages, majority
from synthforge.annotate.eyes import pupils_and_gaze
from synthforge.annotate.landmarks import visibility
from synthforge.annotate.normals import visible_normals
from synthforge.annotate.volume import with_volume
from synthforge.cameras.project import (
    pinhole_pixels,
    project,
    sample_places,
    scaled,
    to_camera,
    to_pixels,
    world2cam,
)
from synthforge.conventions import CLASS_ID, N_LANDMARKS
from synthforge.errors import ConfigError
from synthforge.heads.base import HeadModel, surface_points
from synthforge.heads.dense import dense_landmarks
from synthforge.heads.ibug import visible_contour
from synthforge.render.interpolate import sample_classes
from synthforge.render.rasterize import draw_over, rasterize
from synthforge.types import Camera, Fragments, Frame, Render, SceneParams

SOFT_MASKS = ("hair", "facial_hair", "eyeglasses", "headwear")  # classes that are layers of the image


def annotate(
    render: Render,
    params: SceneParams,
    head: HeadModel,
    vertices: Float[np.ndarray, "v 3"],
    supersample: int = 3,
    dense: bool = True,
) -> Frame:
    """Labels of `render`.

    One rasterization of `supersample`² samples per pixel serves all labels; the middle one is the
    pixel's centre, where depth and normals are taken.

    Args:
        render: image, and the head and whatever is worn as it shows them.
        params: what the image was made from; `params.camera` has the size of the image.
        head: the model of the head, for landmarks and eyes.
        vertices: the head's posed vertices as the model gives them, metres, world frame; those of
            `render` may be moved from there (alignment), and the labels follow.
        supersample: samples per pixel along each axis, odd.
        dense: also the dense landmarks (their first 68 are the others).
    Raises:
        ConfigError: `supersample` is even or not positive.
    """
    if supersample < 1 or supersample % 2 == 0:
        raise ConfigError(f"{supersample} is not odd", where="supersample", fix="use 1, 3 or 5")
    mesh = render.mesh or head.mesh(render.vertices)
    camera, n = params.camera, supersample
    height, width = camera.size
    points_cam = to_camera(mesh.vertices, camera)
    with np.errstate(divide="ignore", invalid="ignore"):  # what lies behind the camera is not drawn
        samples = pinhole_pixels(points_cam, camera)
    samples[:, :2] *= n
    places = sample_places(scaled(camera, n))
    n_head = len(head.faces)
    fragments = rasterize(samples, mesh.faces[:n_head], height * n, width * n, places=places)
    bare = classes = sample_classes(mesh, fragments)
    if n_head < len(mesh.faces):
        draw_over(fragments, samples, mesh.faces, n_head, places)
        classes = sample_classes(mesh, fragments)
    centres = _centres(fragments, n)

    background, *layers = coverages(classes, n, [CLASS_ID[name] for name in ("background", *SOFT_MASKS)])
    segmentation = majority(classes, n)
    drawn = mesh.vertices[: len(vertices)]
    marks = surface_points(drawn, head.faces, *_marks(head, dense))
    landmarks = to_camera(marks.astype(np.float64), camera)
    points = {
        "2d": _pixels(landmarks, camera),
        "3d": landmarks.astype(np.float32),
        "visible": visibility(landmarks, camera, fragments, classes),
    }
    contour = surface_points(drawn, head.faces, head.contour_face, head.contour_barycentric)
    pupils, gaze = pupils_and_gaze(head, params)
    pupils = pupils + _moved(pupils, vertices, drawn)
    frame = Frame(
        rgb=render.rgb,
        segmentation=segmentation,
        segmentation_bare=segmentation if bare is classes else majority(bare, n),
        depth=centres.depth,
        normals=visible_normals(points_cam, mesh.faces, centres),
        alpha=255 - background,
        soft_masks=dict(zip(SOFT_MASKS, layers, strict=True)),
        **{f"landmarks_{key}": value[:N_LANDMARKS] for key, value in points.items()},
        landmarks_contour_2d=visible_contour(project(contour, camera)[..., :2]).astype(np.float32),
        pupils_2d=_pixels(to_camera(pupils, camera), camera),
        gaze=(gaze @ world2cam(camera)[:3, :3].T).astype(np.float32),
        params=params,
        alignment_rms=render.alignment_rms,
        **{f"landmarks_dense_{key}": value for key, value in points.items() if dense},
    )
    return frame if render.volume is None else with_volume(frame, render.volume)


def _marks(head: HeadModel, dense: bool) -> tuple[np.ndarray, np.ndarray]:
    """Faces and barycentric coordinates of the landmarks."""
    if not dense:
        return head.landmarks_face, head.landmarks_barycentric
    points = dense_landmarks(head)
    return points.face, points.barycentric


def _moved(points: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far alignment moved the vertices nearest to `points`."""
    nearest = np.linalg.norm(before[None] - points[:, None], axis=-1).argmin(1)
    return after[nearest] - before[nearest]


def _pixels(points_cam: np.ndarray, camera: Camera) -> np.ndarray:
    return to_pixels(points_cam, camera)[..., :2].astype(np.float32)


def _centres(fragments: Fragments, factor: int) -> Fragments:
    """The samples at pixel centres."""
    middle = slice(factor // 2, None, factor)
    return Fragments(
        np.ascontiguousarray(fragments.face_index[middle, middle]),
        np.ascontiguousarray(fragments.depth[middle, middle]),
        np.ascontiguousarray(fragments.barycentric[middle, middle]),
    )
