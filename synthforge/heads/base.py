"""The one head model: linear shapes, linear blend skinning, labels attached to the surface.

Every head (anthro, ict, flame) is this class over its own arrays; only loading differs.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from synthforge.heads.lbs import axis_angle_to_matrix, joint_transforms, linear_blend_skinning
from synthforge.types import Mesh

_FLOAT = ("vertices", "shape_deltas", "expression_deltas", "joints", "joint_shape_deltas", "weights")


class HeadModel(nn.Module):
    """Parameters -> vertices; batched and differentiable.

    Arrays (`v` vertices, `f` triangles, `s` shape axes, `e` expressions, `j` joints; metres,
    head frame: origin midway between the tragia, +x subject's left, +y up, +z forward):

    - `vertices` v 3, `faces` f 3 (counter-clockwise from outside)
    - `uv` t 2 in [0, 1], v up; `face_uvs` f 3
    - `class_map` m m class ids in uv (row 0 is v = 1); `face_class` f, 255 where the map decides
    - `face_part` f into `part_names`
    - `canonical` v 3, the vertex's place on the canonical head
    - `shape_names` s, `shape_deltas` s v 3 per standard deviation, `shape_cholesky` s s:
      independent normals times its transpose are correlated coefficients
    - `expression_names` e (ARKit names with _L/_R where the shape is one-sided),
      `expression_deltas` e v 3 at weight 1
    - `joint_names` j, `joint_parents` j (-1: root), `joints` j 3, `joint_shape_deltas` s j 3,
      `weights` v j
    - `landmarks_face` 68, `landmarks_barycentric` 68 3: iBUG-68, jaw fixed on the mesh
    - `contour_face` m k, `contour_barycentric` m k 3: for each of m stations along the jaw from
      the subject's right ear to the left, k candidates from the cheek to under the jaw
    - `eye_radius` 2 (left, right): eyeball; `iris_radius` 2 (metres)

    Raises:
        AssetError: from the loaders; arrays are trusted here.
    """

    def __init__(self, name: str, arrays: dict[str, np.ndarray]):
        super().__init__()
        self.name = name
        self.faces = np.asarray(arrays["faces"], np.int32)
        self.uv = np.asarray(arrays["uv"], np.float32)
        self.face_uvs = np.asarray(arrays["face_uvs"], np.int32)
        self.class_map = np.asarray(arrays["class_map"], np.uint8)
        self.face_class = np.asarray(arrays["face_class"], np.uint8)
        self.face_part = np.asarray(arrays["face_part"], np.uint8)
        self.canonical = np.asarray(arrays["canonical"], np.float32)
        self.shape_cholesky = np.asarray(arrays["shape_cholesky"], np.float32)
        self.joint_parents = tuple(int(p) for p in arrays["joint_parents"])
        self.eye_radius = np.asarray(arrays["eye_radius"], np.float32)
        self.iris_radius = np.asarray(arrays["iris_radius"], np.float32)
        for key in ("landmarks", "contour"):
            setattr(self, f"{key}_face", np.asarray(arrays[f"{key}_face"], np.int64))
            setattr(self, f"{key}_barycentric", np.asarray(arrays[f"{key}_barycentric"], np.float32))
        for key in ("part_names", "shape_names", "expression_names", "joint_names"):
            setattr(self, key, tuple(str(n) for n in arrays[key]))
        for key in _FLOAT:
            self.register_buffer(key, torch.as_tensor(np.asarray(arrays[key], np.float32)), persistent=False)

    @classmethod
    def from_npz(cls, name: str, path: Path) -> "HeadModel":
        """Read the arrays above from a .npz without pickles."""
        with np.load(path, allow_pickle=False) as data:
            return cls(name, {key: data[key] for key in data.files})

    @property
    def n_shape(self) -> int:
        return len(self.shape_names)

    @property
    def n_expression(self) -> int:
        return len(self.expression_names)

    @property
    def n_joints(self) -> int:
        return len(self.joint_names)

    def forward(
        self,
        shape: Float[Tensor, "b s"],
        expression: Float[Tensor, "b e"],
        pose: Float[Tensor, "b j 3"],
    ) -> Float[Tensor, "b v 3"]:
        """Vertices in metres, world frame. `pose` is axis-angle in radians per joint."""
        unposed = (
            self.vertices
            + torch.einsum("bs,svc->bvc", shape, self.shape_deltas)
            + torch.einsum("be,evc->bvc", expression, self.expression_deltas)
        )
        joints = self.joints + torch.einsum("bs,sjc->bjc", shape, self.joint_shape_deltas)
        return linear_blend_skinning(
            unposed, joints, axis_angle_to_matrix(pose), self.joint_parents, self.weights
        )

    def joint_frames(
        self, shape: Float[Tensor, "b s"], pose: Float[Tensor, "b j 3"]
    ) -> tuple[Float[Tensor, "b j 3 3"], Float[Tensor, "b j 3"]]:
        """World rotations of the joints, and their places in metres."""
        joints = self.joints + torch.einsum("bs,sjc->bjc", shape, self.joint_shape_deltas)
        turns, shifts = joint_transforms(joints, axis_angle_to_matrix(pose), self.joint_parents)
        return turns, torch.einsum("bjkl,bjl->bjk", turns, joints) + shifts

    def mesh(self, vertices: Float[np.ndarray, "v 3"]) -> Mesh:
        """Mesh of this head with the given vertices."""
        return Mesh(
            vertices=np.ascontiguousarray(vertices, np.float32),
            faces=self.faces,
            uv=self.uv,
            face_uvs=self.face_uvs,
            class_map=self.class_map,
            face_class=self.face_class,
            face_part=self.face_part,
            part_names=self.part_names,
            canonical=self.canonical,
        )

    def landmarks(self, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "68 3"]:
        """iBUG-68 points on the given vertices."""
        return surface_points(vertices, self.faces, self.landmarks_face, self.landmarks_barycentric)


def surface_points(
    vertices: np.ndarray, faces: np.ndarray, face: np.ndarray, barycentric: np.ndarray
) -> np.ndarray:
    """Points given as (face, barycentric): `face` any shape, `barycentric` the same with 3 last."""
    return (vertices[faces[face]] * barycentric[..., None]).sum(-2)
