"""Heads, and labelled views of them, for tests of the labels."""

from functools import cache

import numpy as np
import pytest
import torch

from synthforge.annotate import annotate
from synthforge.errors import AssetError
from synthforge.heads.base import HeadModel
from synthforge.heads.registry import load_head
from synthforge.scene.cameras import orbit_camera
from synthforge.types import Camera, Frame, Mesh, Render, SceneParams
from tests.helpers.tiny_head import tiny_head

HEADS = ("tiny", "anthro", "ict")


@cache
def _head(name: str) -> HeadModel | AssetError:
    try:
        return tiny_head() if name == "tiny" else load_head(name)
    except AssetError as error:
        return error


def head_or_skip(name: str) -> HeadModel:
    """A head by name; skips the calling test, with the reason, where its asset is missing."""
    head = _head(name)
    if isinstance(head, AssetError):
        pytest.skip(str(head))
    return head


def view(size: int | tuple[int, int] = 192, azimuth: float = 0.0, elevation: float = 0.0, roll: float = 0.0) -> Camera:
    size = (size, size) if isinstance(size, int) else size
    return orbit_camera(azimuth, elevation, roll, 1.1, np.deg2rad(15), np.array([0.0, 0, 0.02]), size)


def posed(
    head: HeadModel, camera: Camera, turn: dict[str, tuple[float, float, float]] | None = None, **expression: float
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
    render = Render(image, head.mesh(vertices) if mesh is None else mesh, len(head.faces))
    return annotate(render, params, head, vertices, supersample)
