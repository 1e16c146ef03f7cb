"""The person of one sample: a posed head, its appearance and its random streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from synthforge.attributes import Appearance
from synthforge.conventions import CLASS_ID
from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import joined
from synthforge.generators.geometry.radial import UP, RadialDepth
from synthforge.generators.shading.pigment import skin_base
from synthforge.heads.anatomy import BRAINCASE, INNER_WORDS
from synthforge.heads.base import HeadModel
from synthforge.heads.dense import face_classes
from synthforge.rng import sample_rng
from synthforge.types import SceneParams


@dataclass(frozen=True)
class OuterSkin:
    """The outer surface of a head model at rest; get it with `head.derived(OuterSkin.of)`.

    `faces` are indices of triangles, `on_ears` tells which of them belong to an ear, `lowest` is the
    canonical height (m) of their lowest corner. `vertices` are theirs, and `tree` holds the canonical
    places (m) of these. `shift` (m) is how far the head rests from the canonical one.
    """

    faces: Int[np.ndarray, " f"]
    on_ears: Bool[np.ndarray, " f"]
    lowest: Float[np.ndarray, " f"]
    tree: cKDTree
    vertices: Int[np.ndarray, " n"]
    shift: Float[np.ndarray, " 3"]

    @classmethod
    def of(cls, head: HeadModel) -> "OuterSkin":
        outside = np.array(
            [not any(word in part.lower() for word in INNER_WORDS) for part in head.part_names]
        )
        faces = np.flatnonzero(outside[head.face_part])
        vertices = np.unique(head.faces[faces])
        lowest = head.canonical[head.faces[faces], 1].min(1)
        shift = (head.vertices.numpy() - head.canonical)[vertices].mean(0).astype(np.float64)
        on_ears = np.isin(face_classes(head)[faces], (CLASS_ID["left_ear"], CLASS_ID["right_ear"]))
        return cls(faces, on_ears, lowest, cKDTree(head.canonical[vertices]), vertices, shift)


def outer_faces(head: HeadModel, ears: bool) -> Int[np.ndarray, " f"]:
    """Indices of the outer skin's triangles, with or without those of the ears."""
    skin = head.derived(OuterSkin.of)
    return skin.faces if ears else skin.faces[~skin.on_ears]


@dataclass(frozen=True)
class Person:
    """One sample's person; `vertices` are the posed head's (m, world frame).

    Accessories are made in the head frame: world axes before the neck turned, metres.
    """

    head: HeadModel
    params: SceneParams
    vertices: Float[np.ndarray, "v 3"]

    @cached_property
    def appearance(self) -> Appearance:
        return Appearance.of(self.params.attributes)

    @cached_property
    def skin_color(self) -> Float[np.ndarray, " 3"]:
        """Linear RGB of the cheeks on average."""
        return skin_base(self.appearance.skin_tone, self.appearance.skin_hue)

    def rng(self, stream: str) -> np.random.Generator:
        """The sample's random stream of that name, from its start."""
        return sample_rng(self.params.seed, self.params.index, stream)

    @cached_property
    def _neck(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotation of the neck, and the point it turns about (m)."""
        neck = self.head.joint_names.index("neck")
        shifts = self.head.joint_shape_deltas[:, neck].numpy()
        pivot = self.head.joints[neck].numpy() + np.tensordot(self.params.shape, shifts, 1)
        return Rotation.from_rotvec(self.params.pose[neck]).as_matrix(), pivot.astype(np.float64)

    @property
    def turn(self) -> Float[np.ndarray, "3 3"]:
        """Rotation of the neck: takes vectors of the head frame to the world."""
        return self._neck[0]

    def to_head(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Points (m) of the world in the head frame."""
        turn, pivot = self._neck
        return (points - pivot) @ turn + pivot

    def to_world(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Points (m) of the head frame in the world."""
        turn, pivot = self._neck
        return (points - pivot) @ turn.T + pivot

    @cached_property
    def head_vertices(self) -> Float[np.ndarray, "v 3"]:
        """Posed vertices (m) in the head frame, float64."""
        return self.to_head(self.vertices.astype(np.float64))

    @cached_property
    def landmarks(self) -> Float[np.ndarray, "68 3"]:
        """iBUG-68 points (m, world frame)."""
        return self.head.landmarks(self.vertices)

    @property
    def rest_shift(self) -> Float[np.ndarray, " 3"]:
        """How far (m) the head model rests from the canonical head."""
        return self.head.derived(OuterSkin.of).shift

    def skin_at(self, canonical_mm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Points of the posed skin (m, head frame) for points of the canonical skin in millimetres."""
        skin = self.head.derived(OuterSkin.of)
        near, at = skin.tree.query(np.asarray(canonical_mm, float) * 1e-3, k=4)
        weight = 1 / np.maximum(near, 1e-5)
        weight /= weight.sum(1, keepdims=True)
        return (self.head_vertices[skin.vertices[at]] * weight[..., None]).sum(1)

    def radial_depth(
        self,
        ears: bool,
        centre: Float[np.ndarray, " 3"] = BRAINCASE,
        axes: Float[np.ndarray, "3 3"] = UP,
        wide: float = 2.6,
        heights: tuple[float, float] = (-9.0, 9.0),
        under: Sequence[Accessory] = (),
    ) -> RadialDepth:
        """Radial depth of the skin and of what is worn `under` the next layer.

        Args:
            ears: whether the ears count as skin.
            centre, axes, wide: as of `RadialDepth`, head frame.
            heights: skin whose lowest canonical height (m) is outside this range is left out.
            under: accessories, world frame.
        """
        skin = self.head.derived(OuterSkin.of)
        wanted = (skin.lowest >= heights[0]) & (skin.lowest < heights[1])
        faces = self.head.faces[skin.faces[wanted if ears else wanted & ~skin.on_ears]]
        worn = ((self.to_head(a.vertices), a.faces) for a in under)
        return RadialDepth.of(*joined([(self.head_vertices, faces), *worn]), centre, axes, wide).grown()
