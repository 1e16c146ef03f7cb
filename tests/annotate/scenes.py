"""Labelled views of heads, for tests of the labels."""

import numpy as np
import torch

from synthforge.annotate import annotate
from synthforge.cameras.orbit import orbit_camera
from synthforge.heads.base import HeadModel
from synthforge.types import Camera, Frame, Mesh, Render, SceneParams

Vector = tuple[float, float, float]
TURN = {"neck": (0.1, 0.25, -0.1), "left_eye": (0.1, 0.2, 0.0), "right_eye": (0.05, 0.3, 0.0)}


def view(
    size: int | tuple[int, int], azimuth: float = 0.0, elevation: float = 0.0, roll: float = 0.0
) -> Camera:
    size = (size, size) if isinstance(size, int) else size
    return orbit_camera(azimuth, elevation, roll, 1.1, np.deg2rad(15), np.array([0.0, 0, 0.02]), size)


def posed(
    head: HeadModel, camera: Camera, turn: dict[str, Vector] | None = None, **expression: float
) -> tuple[SceneParams, np.ndarray]:
    """Parameters of the mean head with joints turned (axis-angle) and expressions set, and its vertices."""
    pose = np.zeros((head.n_joints, 3), np.float32)
    for joint, axis_angle in (turn or {}).items():
        pose[head.joint_names.index(joint)] = axis_angle
    weights = np.zeros(head.n_expression, np.float32)
    for name, weight in expression.items():
        weights[head.expression_names.index(name)] = weight
    params = SceneParams(0, 0, np.zeros(head.n_shape, np.float32), weights, pose, camera)
    return params, head_vertices(head, params)


def head_vertices(head: HeadModel, params: SceneParams) -> np.ndarray:
    with torch.no_grad():
        batch = (torch.from_numpy(x)[None] for x in (params.shape, params.expression, params.pose))
        return head(*batch)[0].numpy()


def label(
    head: HeadModel, params: SceneParams, vertices: np.ndarray, mesh: Mesh | None = None, supersample: int = 3
) -> Frame:
    """Labels of the head alone, or of `mesh` that begins with it."""
    image = np.zeros((*params.camera.size, 3), np.uint8)
    render = Render(image, vertices, mesh)
    return annotate(render, params, head, vertices, supersample)


def pixel_grid(camera: Camera) -> np.ndarray:
    y, x = np.mgrid[0 : camera.size[0], 0 : camera.size[1]] + 0.5
    return np.stack([x, y], -1)


def share_equal(a: np.ndarray, b: np.ndarray) -> float:
    return float((a == b).mean())
