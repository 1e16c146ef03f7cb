"""The nouns of the pipeline: SceneParams -> Mesh -> Render -> Frame.

World frame: right-handed, metres, +x to the subject's left, +y up, +z out of the face.
Camera frame: OpenCV (x right, y down, z forward). Pixels: continuous, (0, 0) is the outer
corner of the top-left pixel.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8


@dataclass(frozen=True)
class Camera:
    """Pinhole camera behind a lens. `intrinsics` are in pixels of an image of `size` (height, width);
    `distortion` is k1, k2, p1, p2, k3 as `synthforge.cameras.lens` has them, 0 for none."""

    intrinsics: Float[np.ndarray, "3 3"]
    cam2world: Float[np.ndarray, "4 4"]
    size: tuple[int, int]
    distortion: Float[np.ndarray, " 5"] = field(default_factory=lambda: np.zeros(5, np.float32))


@dataclass(frozen=True)
class SceneParams:
    """All that decides one sample, besides the configuration: everything here is stored.

    `shape`, `expression` are the head model's coefficients; `pose` is axis-angle per joint in
    the order of `HeadModel.joint_names`; `attributes` maps a name to a float, or to a str for
    categorical ones; `latent` is the code of a neural generator, empty without one; `attempt` counts the
    draws of this index that were rejected before. Randomness too fine to store (strand jitter, noise) comes
    from `rng.sample_rng(seed, index, stream)`.
    """

    seed: int
    index: int
    shape: Float[np.ndarray, " s"]
    expression: Float[np.ndarray, " e"]
    pose: Float[np.ndarray, "j 3"]
    camera: Camera
    attributes: dict[str, float | str] = field(default_factory=dict)
    latent: Float[np.ndarray, " z"] = field(default_factory=lambda: np.zeros(0, np.float32))
    attempt: int = 0


@dataclass(frozen=True)
class Mesh:
    """Triangles in the world frame, counter-clockwise seen from outside.

    `uv` (v up, in [0, 1]) are per face corner through `face_uvs`. `class_map` holds class ids in
    uv space (row 0 is v = 1); `face_class` is the class of a whole triangle, or 255 where
    `class_map` decides. `face_part` indexes `part_names`. `canonical` is each vertex's place on
    the canonical head (metres, world axes), the coordinate that appearance is defined on.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    class_map: UInt8[np.ndarray, "m m"]
    face_class: UInt8[np.ndarray, " f"]
    face_part: UInt8[np.ndarray, " f"]
    part_names: tuple[str, ...]
    canonical: Float[np.ndarray, "v 3"]


@dataclass(frozen=True)
class Fragments:
    """Front-most surface at sample points: triangle (-1: none), z-depth (m, inf: none),
    perspective-correct barycentric coordinates in the triangle."""

    face_index: Int[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]
    barycentric: Float[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class VolumeView:
    """What a neural volume shows at its own resolution: `alpha`, the weight it accumulates, `depth`,
    its expected z-depth (m; nothing where alpha is 0), and how far that lies behind its surface (m)."""

    alpha: Float[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]
    depth_bias: float


@dataclass(frozen=True)
class Render:
    """What a backend made of one sample: the image, and what its labels are to be derived from.

    `vertices` are the head's (world frame, m) where the image shows them. `mesh` is the head's with these
    (same faces, same order), with whatever is worn appended (hair, glasses, ...); None: the head alone.
    `volume` and `alignment_rms` (m) are those of a neural generator. `rejected`: why the sample is to be
    drawn again, if it is.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    vertices: Float[np.ndarray, "v 3"]
    mesh: Mesh | None = None
    volume: VolumeView | None = None
    alignment_rms: float = math.nan
    rejected: str | None = None


@dataclass(frozen=True, repr=False)
class Frame:
    """One labelled image; shapes, dtypes and units as in docs/dataset.md. None: not asked for.

    `extra`: labels besides these, by the name they are declared under in `storage.schema.LABELS`.
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    segmentation: UInt8[np.ndarray, "h w"]
    segmentation_bare: UInt8[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]
    normals: Float[np.ndarray, "h w 3"]
    alpha: UInt8[np.ndarray, "h w"]
    soft_masks: dict[str, UInt8[np.ndarray, "h w"]]
    landmarks_2d: Float[np.ndarray, "68 2"]
    landmarks_3d: Float[np.ndarray, "68 3"]
    landmarks_visible: UInt8[np.ndarray, " 68"]
    landmarks_contour_2d: Float[np.ndarray, "17 2"]
    pupils_2d: Float[np.ndarray, "2 2"]
    gaze: Float[np.ndarray, "2 3"]
    params: SceneParams
    alignment_rms: float = math.nan
    landmarks_dense_2d: Float[np.ndarray, "n 2"] | None = None
    landmarks_dense_3d: Float[np.ndarray, "n 3"] | None = None
    landmarks_dense_visible: UInt8[np.ndarray, " n"] | None = None
    extra: dict[str, Shaped[np.ndarray, "..."]] = field(default_factory=dict)

    def __repr__(self) -> str:
        height, width = self.rgb.shape[:2]
        return f"Frame({width} x {height} px, seed {self.params.seed}, index {self.params.index})"

    def picture(self, labels: bool = False) -> UInt8[np.ndarray, "h w 3"]:
        """The image; with `labels` segmentation, landmarks, depth and normals stand beside it."""
        from synthforge.report.draw import strip  # drawing stands above this module, and loads on demand

        return strip(vars(self), self.rgb.shape[0]) if labels else self.rgb

    def save(self, path: Path | str, labels: bool = False) -> None:
        """Write `picture(labels)` as PNG, JPEG or WebP, by the ending of the name.

        Raises:
            DatasetError: another ending, or the file cannot be written.
        """
        from synthforge.report.show import save

        save(path, self.picture(labels))

    def _repr_html_(self) -> str:
        from synthforge.report.show import html

        return html(self.picture(labels=True), "image, segmentation, landmarks, depth, normals")
