"""What a shard holds: every data set's type, shape, unit and meaning, each said once.

Written out for users in docs/dataset.md.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from synthforge.cameras.lens import NAMES as LENS
from synthforge.conventions import N_LANDMARKS

SCHEMA_VERSION = 1
DEPTH_SCALE = 1e-4  # metres per count; 0 is background, so depth reaches 6.5535 m
NORMAL_SCALE = 127
JPEG_QUALITY = 95
Kind = Literal["image", "plane", "row"]


@dataclass(frozen=True)
class Field:
    """One data set of a shard, without its leading axis of samples.

    `kind`: the image (encoded as the layout's codec says), a plane (one compressed chunk per
    sample), or a row of small numbers (contiguous).
    """

    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    description: str
    unit: str = ""
    frame: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """What one data set's shards hold: decided by the configuration and the head, once.

    `attributes` maps a name to {"kind": "continuous", "range": [low, high]} or
    {"kind": "categorical", "values": [...]}. `dense`: number of dense landmarks.
    """

    resolution: int
    codec: str
    shape_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    joint_names: tuple[str, ...]
    attributes: dict[str, dict]
    normals: bool = True
    segmentation_bare: bool = True
    soft_masks: tuple[str, ...] = ()
    latent: int = 0
    distortion: bool = False
    dense: int = 0

    def fields(self) -> dict[str, Field]:
        """Data sets by name, in the order they are stored."""
        size = (self.resolution, self.resolution)
        px = {"unit": "px", "frame": "image"}
        camera = {"unit": "m", "frame": "camera"}
        out = {
            "rgb": Field(
                "image", "uint8", (*size, 3), "image, sRGB", "", "image",
                {"codec": self.codec} | ({"quality": JPEG_QUALITY} if self.codec == "jpeg" else {}),
            ),
            "segmentation": Field(
                "plane", "uint8", size, "class ids, majority coverage of the pixel", "class id", "image"
            ),
            "depth": Field(
                "plane", "uint16", size, "z-depth of the front surface; 0 = none", "m", "camera",
                {"scale": DEPTH_SCALE},
            ),
            "alpha": Field(
                "plane", "uint8", size, "foreground coverage", "1/255", "image"
            ),
        }  # fmt: skip
        if self.normals:
            out["normals"] = Field(
                "plane", "int8", (*size, 3), "unit normals of the front surface; 0 = none", "1/127", "camera",
                {"scale": 1 / NORMAL_SCALE},
            )  # fmt: skip
        if self.segmentation_bare:
            out["segmentation_bare"] = Field(
                "plane", "uint8", size, "class ids with hair and accessories taken off", "class id", "image"
            )
        for name in self.soft_masks:
            out[f"soft_masks/{name}"] = Field(
                "plane", "uint8", size, f"coverage of {name} as a layer", "1/255", "image"
            )
        n = N_LANDMARKS
        out |= {
            "landmarks_2d": Field("row", "float32", (n, 2), "iBUG-68, jaw fixed on the mesh", **px),
            "landmarks_3d": Field("row", "float32", (n, 3), "iBUG-68, jaw fixed on the mesh", **camera),
            "landmarks_visible": Field("row", "uint8", (n,), "0 outside the image, 1 occluded, 2 visible"),
            "landmarks_contour_2d": Field("row", "float32", (17, 2), "jaw on the visible contour", **px),
            "pupils_2d": Field("row", "float32", (2, 2), "pupil centres, subject's left eye first", **px),
            "gaze": Field("row", "float32", (2, 3), "unit vectors, subject's left eye first", "1", "camera"),
            "cam2world": Field("row", "float32", (4, 4), "camera points to world", "m", "world"),
            "intrinsics": Field("row", "float32", (3, 3), "pinhole, of the stored image", **px),
            **({"distortion": _DISTORTION} if self.distortion else {}),
            "shape": _named(self.shape_names, (), "identity coefficients", "1", ""),
            "expression": _named(self.expression_names, (), "expression coefficients", "1", ""),
            "pose": _named(self.joint_names, (3,), "axis-angle per joint", "rad", "parent joint"),
            "latent": Field("row", "float32", (self.latent,), "code of a neural generator, or empty", "1"),
        }  # fmt: skip
        if n := self.dense:
            text = "dense set; 0-67 are iBUG-68"
            out |= {
                "landmarks_dense_2d": Field("row", "float32", (n, 2), text, **px),
                "landmarks_dense_3d": Field("row", "float32", (n, 3), text, **camera),
                "landmarks_dense_visible": Field(
                    "row", "uint8", (n,), "0 outside the image, 1 occluded, 2 visible"
                ),
            }
        for name, about in self.attributes.items():
            if about["kind"] == "categorical":
                extra = {"values": list(about["values"])}
                out[f"attributes/{name}"] = Field("row", "int16", (), "index into `values`", extra=extra)
            else:
                out[f"attributes/{name}"] = Field("row", "float32", (), "sampled attribute")
        out |= {
            "index": Field("row", "int64", (), "place of the sample in the data set"),
            "sample_seed": Field("row", "uint64", (), "provenance number of (seed, index)"),
            "attempt": Field("row", "uint16", (), "draws of this index that were rejected before this one"),
            "alignment_rms": Field(
                "row", "float32", (), "mesh against image; NaN where no alignment is needed", "m"
            ),
        }
        return out


_DISTORTION = Field(
    "row", "float32", (len(LENS),), "lens, Brown-Conrady in OpenCV's order", extra={"names": list(LENS)}
)


def _named(names: tuple[str, ...], each: tuple[int, ...], text: str, unit: str, frame: str) -> Field:
    return Field("row", "float32", (len(names), *each), text, unit, frame, {"names": list(names)})


def quantise_depth(depth: np.ndarray) -> np.ndarray:
    """Metres (inf: background) -> uint16 counts of `DEPTH_SCALE` (0: background)."""
    counts = np.where(np.isfinite(depth), np.rint(depth.astype(np.float64) / DEPTH_SCALE), 0)
    return counts.astype(np.uint16)


def restore_depth(counts: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """uint16 counts -> float32 metres (inf: background)."""
    depth = np.multiply(counts, np.float32(DEPTH_SCALE), out=out)
    np.copyto(depth, np.inf, where=counts == 0)
    return depth


def quantise_normals(normals: np.ndarray) -> np.ndarray:
    """Unit vectors -> int8 in 1/127."""
    return np.rint(normals * NORMAL_SCALE).astype(np.int8)


def restore_normals(counts: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """int8 in 1/127 -> float32."""
    return np.multiply(counts, np.float32(1 / NORMAL_SCALE), out=out)
