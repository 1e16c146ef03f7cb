"""Plain shaded pictures of head models, for looking at geometry: one lamp, one colour per class."""

import numpy as np
import torch

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.conventions import CLASS_ID
from synthforge.heads.base import HeadModel
from synthforge.render import rasterize

SKIN = (0.82, 0.64, 0.54)
COLORS = {
    "left_brow": (0.35, 0.25, 0.18),
    "right_brow": (0.35, 0.25, 0.18),
    "left_eye": (0.92, 0.91, 0.90),
    "right_eye": (0.92, 0.91, 0.90),
    "upper_lip": (0.72, 0.42, 0.40),
    "lower_lip": (0.74, 0.44, 0.42),
    "inner_mouth": (0.45, 0.18, 0.18),
}
PART_COLORS = {
    "upper_teeth": (0.93, 0.91, 0.82),
    "lower_teeth": (0.90, 0.88, 0.79),
    "upper_gum": (0.74, 0.42, 0.42),
    "lower_gum": (0.74, 0.42, 0.42),
    "tongue": (0.72, 0.36, 0.36),
    "left_caruncle": (0.80, 0.50, 0.46),
    "right_caruncle": (0.80, 0.50, 0.46),
}
LAMP = np.array([-0.4, -0.6, -0.7]) / np.linalg.norm([-0.4, -0.6, -0.7])  # camera frame, towards the lamp


def posed(head: HeadModel, expression: dict[str, float] | None = None, pose=None, shape=None) -> np.ndarray:
    """Vertices (v 3) with named expression weights (names that the head lacks are left out)."""
    weights = torch.zeros(1, head.n_expression)
    for name, weight in (expression or {}).items():
        if name in head.expression_names:
            weights[0, head.expression_names.index(name)] = weight
    angles = torch.zeros(1, head.n_joints, 3)
    for name, angle in (pose or {}).items():
        angles[0, head.joint_names.index(name)] = torch.tensor(angle)
    coefficients = torch.zeros(1, head.n_shape)
    for name, value in (shape or {}).items():
        coefficients[0, head.shape_names.index(name)] = value
    with torch.no_grad():
        return head(coefficients, weights, angles)[0].numpy()


def shaded(
    head: HeadModel,
    vertices: np.ndarray,
    yaw: float = 0.0,
    pitch: float = 0.0,
    size: int = 384,
    fov: float = 10.0,
    at: tuple[float, float, float] = (0.0, -0.01, 0.0),
    colored: bool = True,
) -> np.ndarray:
    """RGB image (size size 3, uint8); angles in degrees. Back faces show in plain blue."""
    yaw, pitch, fov = np.deg2rad([yaw, pitch, fov])
    camera = orbit_camera(yaw, pitch, 0, 2.4, fov, np.array(at), (2 * size, 2 * size))
    hit = rasterize(project(vertices, camera), head.faces, 2 * size, 2 * size)
    on = hit.face_index >= 0
    face, weights = hit.face_index[on], hit.barycentric[on][..., None]
    corners = vertices[head.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(smooth, head.faces[:, k], normal)
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-12
    n = (smooth[head.faces[face]] * weights).sum(1) @ camera.cam2world[:3, :3]
    color = surface_colors(head, face, weights) if colored else np.full((len(face), 3), 0.8)
    color = color * (0.25 + 0.75 * np.clip(n @ LAMP, 0, 1))[:, None]
    color[(normal[face] @ camera.cam2world[:3, 2]) > 0] = (0, 0, 0.8)
    image = np.full((2 * size, 2 * size, 3), 0.22)
    image[on] = color
    image = image.reshape(size, 2, size, 2, 3).mean((1, 3))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def surface_colors(head: HeadModel, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Colour (n 3) by class, part and, on the eyeballs, distance from the optical axis at rest."""
    table = np.array([SKIN] * 256)
    for name, color in COLORS.items():
        table[CLASS_ID[name]] = color
    uv = (head.uv[head.face_uvs[face]] * weights).sum(1)
    m = len(head.class_map)
    texel = np.clip((np.stack([1 - uv[:, 1], uv[:, 0]]) * m).astype(int), 0, m - 1)
    classes = np.where(head.face_class[face] == 255, head.class_map[tuple(texel)], head.face_class[face])
    color = table[classes]
    rest = (head.vertices.numpy()[head.faces[face]] * weights).sum(1)
    for part, name in enumerate(head.part_names):
        on = head.face_part[face] == part
        if name in PART_COLORS:
            color[on] = PART_COLORS[name]
        elif name in ("left_eyeball", "right_eyeball"):
            joint = head.joints[head.joint_names.index(name.replace("ball", ""))].numpy()
            radius = np.linalg.norm((rest - joint)[:, :2], axis=1) + 1e3 * (rest[:, 2] < joint[2])
            iris = head.iris_radius[0 if name.startswith("left") else 1]
            color[on & (radius < iris)] = (0.32, 0.22, 0.14)
            color[on & (radius < 0.33 * iris)] = (0.04, 0.04, 0.04)
    return color
