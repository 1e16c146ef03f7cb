"""The one head model: linear shapes, linear blend skinning, labels attached to the surface.

Every head is this class with its own arrays; only loading differs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from synthforge.errors import AssetError
from synthforge.heads.lbs import axis_angle_to_matrix, joint_transforms, linear_blend_skinning
from synthforge.provenance import arrays_sha256
from synthforge.types import Mesh

T = TypeVar("T")
_FLOAT = ("vertices", "shape_deltas", "expression_deltas", "joints", "joint_shape_deltas", "weights")
_INT = ("faces", "face_uvs", "class_map", "face_class", "face_part", "landmarks_face", "contour_face")
_NAMES = ("part_names", "shape_names", "expression_names", "joint_names")
_OTHERS = (
    "uv", "canonical", "shape_cholesky", "joint_parents", "eye_radius", "iris_radius",
    "landmarks_barycentric", "contour_barycentric",
)  # fmt: skip
_OPTIONAL = ("joint_expression_deltas", "pose_deltas", "corrective_deltas")


class HeadModel(nn.Module):
    """Parameters -> vertices; batched and differentiable.

    Arrays (`v` vertices, `f` triangles, `s` shape axes, `e` expressions, `j` joints; metres,
    head frame: origin midway between the tragia, +x subject's left, +y up, +z forward):

    - `vertices` v 3, `faces` f 3 (counter-clockwise from outside)
    - `uv` t 2 in [0, 1], v up; `face_uvs` f 3
    - `class_map` m m class ids in uv (row 0 is v = 1); `face_class` f, 255 where the map decides
    - `face_part` f into `part_names`: "skin" is what is seen from outside ("ear" may be a part of its own);
      "left_eyeball", "upper_teeth" and the others of `heads/anatomy.py` are drawn as such
    - `canonical` v 3, the vertex's place on the canonical head
    - `shape_names` s, `shape_deltas` s v 3 per standard deviation, `shape_cholesky` s s:
      independent normals times its transpose are correlated coefficients
    - `expression_names` e (ARKit names with _L/_R where the shape is one-sided),
      `expression_deltas` e v 3 at weight 1
    - `joint_names` j (neck, left_eye and right_eye at least), `joint_parents` j (-1: root), `joints` j 3,
      `joint_shape_deltas` s j 3, `weights` v j
    - optional: `joint_expression_deltas` e j 3, and `pose_deltas` 9k v 3, correctives per entry of
      (rotation - identity) of the last k joints (all, or all but the first), row-major
    - optional: `corrective_pairs` k 2, `corrective_deltas` k v 3: added in proportion to the product of
      two coefficients, given as indices into the expressions followed by the shape axes
    - `landmarks_face` 68, `landmarks_barycentric` 68 3: iBUG-68, jaw fixed on the mesh
    - optional: `jaw_face` 79 17, `jaw_barycentric` 79 17 3: points 0 ... 16 by yaw (see `yaw_row`)
    - `contour_face` m k, `contour_barycentric` m k 3: for each of m stations along the jaw from
      the subject's right ear to the left, k candidates from the cheek to under the jaw
    - `eye_radius` 2 (left, right): eyeball; `iris_radius` 2 (metres)

    Raises:
        AssetError: an array, a joint or the part "skin" is missing; shapes and values are trusted here
            (`python -m synthforge.conformance` looks at them).
    """

    vertices: Tensor
    shape_deltas: Tensor
    expression_deltas: Tensor
    joints: Tensor
    joint_shape_deltas: Tensor
    weights: Tensor
    joint_expression_deltas: Tensor | None
    pose_deltas: Tensor | None
    corrective_deltas: Tensor | None
    landmarks_face: np.ndarray
    landmarks_barycentric: np.ndarray
    contour_face: np.ndarray
    contour_barycentric: np.ndarray
    part_names: tuple[str, ...]
    shape_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    joint_names: tuple[str, ...]

    def __init__(self, name: str, arrays: dict[str, np.ndarray]):
        super().__init__()
        self.name = name
        _check(name, arrays)
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
        for key in _NAMES:
            setattr(self, key, tuple(str(n) for n in arrays[key]))
        for key in _FLOAT:
            self.register_buffer(key, torch.as_tensor(np.asarray(arrays[key], np.float32)), persistent=False)
        for key in _OPTIONAL:
            values = torch.as_tensor(np.asarray(arrays[key], np.float32)) if key in arrays else None
            self.register_buffer(key, values, persistent=False)
        self.corrective_pairs = np.asarray(arrays.get("corrective_pairs", np.zeros((0, 2))), np.int64)
        self.jaw_face = self.jaw_barycentric = None
        if "jaw_face" in arrays:
            self.jaw_face = np.asarray(arrays["jaw_face"], np.int64)
            self.jaw_barycentric = np.asarray(arrays["jaw_barycentric"], np.float32)
        self._derived: dict[Callable, object] = {}  # see `derived`
        self._points_on: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}  # see `_landmark_tensors`

    @classmethod
    def from_npz(cls, name: str, path: Path) -> "HeadModel":
        """Read the arrays above from a .npz without pickles."""
        with np.load(path, allow_pickle=False) as data:
            return cls(name, {key: data[key] for key in data.files})

    def derived(self, build: Callable[["HeadModel"], T]) -> T:
        """What `build` computes from this head: computed at the first call, then kept with the head."""
        if build not in self._derived:
            self._derived[build] = build(self)
        return self._derived[build]

    @property
    def sha256(self) -> str:
        """Hash of all arrays and names, whatever file they came from; what is kept under a name with a
        leading underscore does not count."""
        arrays = {k: v for k, v in vars(self).items() if k[0] != "_" and isinstance(v, np.ndarray | tuple)}
        arrays |= {k: v.numpy(force=True) for k, v in self.named_buffers()}
        return arrays_sha256({name: np.asarray(values) for name, values in arrays.items()})

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
        self, shape: Float[Tensor, "b s"], expression: Float[Tensor, "b e"], pose: Float[Tensor, "b j 3"]
    ) -> Float[Tensor, "b v 3"]:
        """Vertices in metres, world frame. `pose` is axis-angle in radians per joint."""
        unposed = (
            self.vertices
            + torch.einsum("bs,svc->bvc", shape, self.shape_deltas)
            + torch.einsum("be,evc->bvc", expression, self.expression_deltas)
        )
        if self.corrective_deltas is not None:
            first, second = torch.cat([expression, shape], 1)[:, self.corrective_pairs].unbind(-1)
            unposed = unposed + torch.einsum("bk,kvc->bvc", first * second, self.corrective_deltas)
        rotations = axis_angle_to_matrix(pose)
        if self.pose_deltas is not None:
            moving = rotations[:, self.n_joints - len(self.pose_deltas) // 9 :]
            feature = (moving - torch.eye(3, device=pose.device)).flatten(1)
            unposed = unposed + torch.einsum("bp,pvc->bvc", feature, self.pose_deltas)
        joints = self._rest_joints(shape, expression)
        return linear_blend_skinning(unposed, joints, rotations, self.joint_parents, self.weights)

    def _rest_joints(self, shape: Tensor, expression: Tensor | None) -> Tensor:
        joints = self.joints + torch.einsum("bs,sjc->bjc", shape, self.joint_shape_deltas)
        if self.joint_expression_deltas is None or expression is None:
            return joints
        return joints + torch.einsum("be,ejc->bjc", expression, self.joint_expression_deltas)

    def joint_frames(
        self,
        shape: Float[Tensor, "b s"],
        pose: Float[Tensor, "b j 3"],
        expression: Float[Tensor, "b e"] | None = None,
    ) -> tuple[Float[Tensor, "b j 3 3"], Float[Tensor, "b j 3"]]:
        """World rotations of the joints, and their places in metres."""
        joints = self._rest_joints(shape, expression)
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

    def landmarks_by_yaw(
        self, vertices: Float[Tensor, "b v 3"], pose: Float[Tensor, "b j 3"]
    ) -> Float[Tensor, "b 68 3"]:
        """iBUG-68 points on posed vertices; differentiable in them.

        Where the head has a table of jaw points by yaw, 0 ... 16 are taken from it for the yaw of the neck
        in the world (root and neck together); else the jaw is fixed on the mesh.
        """
        corners, weights, jaw_corners, jaw_weights = self._landmark_tensors(vertices.device, vertices.dtype)
        if self.jaw_face is None:
            return torch.einsum("bnkc,nk->bnc", vertices[:, corners], weights)
        static = torch.einsum("bnkc,nk->bnc", vertices[:, corners[17:]], weights[17:])
        joint = self.joint_names.index("neck")
        rotation = axis_angle_to_matrix(pose[:, joint])
        while (joint := self.joint_parents[joint]) >= 0:
            rotation = axis_angle_to_matrix(pose[:, joint]) @ rotation
        row = yaw_row(rotation)
        sample = torch.arange(len(vertices), device=vertices.device)[:, None, None]
        jaw = torch.einsum("bnkc,bnk->bnc", vertices[sample, jaw_corners[row]], jaw_weights[row])
        return torch.cat([jaw, static], 1)

    def _landmark_tensors(self, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
        """Vertices and weights of the landmarks (68 3) and, where there is one, of the jaw's table (79 17 3).

        Kept per device and dtype, not as buffers, because they repeat other arrays of this head.
        """
        if (device, dtype) not in self._points_on:
            tables = [(self.landmarks_face, self.landmarks_barycentric)]
            if self.jaw_face is not None and self.jaw_barycentric is not None:
                tables.append((self.jaw_face, self.jaw_barycentric))
            else:
                tables += tables
            out = []
            with torch.inference_mode(False):  # also fit for later gradients
                for face, weights in tables:
                    out.append(torch.from_numpy(self.faces[face].astype(np.int64)).to(device))
                    out.append(torch.from_numpy(weights).to(device, dtype))
            self._points_on[device, dtype] = out
        return self._points_on[device, dtype]


def _check(name: str, arrays: dict[str, np.ndarray]) -> None:
    missing = [f"array {key!r}" for key in (*_FLOAT, *_INT, *_NAMES, *_OTHERS) if key not in arrays]
    if not missing:
        joints, parts = (tuple(map(str, arrays[key])) for key in ("joint_names", "part_names"))
        missing = [f"joint {n!r}" for n in ("neck", "left_eye", "right_eye") if n not in joints]
        missing += [] if "skin" in parts else ["part 'skin' in part_names (the outer triangles)"]
    if missing:
        fix = "docs/extending.md lists what a head must have"
        raise AssetError(f"has no {missing[0]}", where=f"head {name}", fix=fix)


def yaw_row(rotation: Float[Tensor, "b 3 3"]) -> Int[Tensor, " b"]:
    """Row of FLAME's table of jaw points for a rotation of the head.

    Rows 0 ... 39 hold yaws of 0 ... 39 degrees to the subject's right, 40 ... 78 those of 1 ... 39 to the
    left; larger ones are clamped.
    Source: the embedding's layout as the `smplx` package reads it (compared in tests/heads/test_flame.py).
    """
    with torch.no_grad():
        yaw = -torch.atan2(-rotation[:, 2, 0], torch.hypot(rotation[:, 0, 0], rotation[:, 1, 0]))
        degrees = torch.rad2deg(yaw).clamp(-39, 39).round().long()
        return torch.where(degrees < 0, 39 - degrees, degrees)


def surface_points(
    vertices: np.ndarray, faces: np.ndarray, face: np.ndarray, barycentric: np.ndarray
) -> np.ndarray:
    """Points given as (face, barycentric): `face` any shape, `barycentric` the same with 3 last."""
    return (vertices[faces[face]] * barycentric[..., None]).sum(-2)
