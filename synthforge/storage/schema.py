"""What a shard holds: every label, declared once.

A label that annotation leaves in `Frame.extra` under its name needs its line in `LABELS` and nothing else:
writing, reading, `verify` and the table of docs/dataset.md follow from that.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, Literal

import numpy as np

from synthforge.cameras.lens import NAMES as LENS
from synthforge.conventions import N_LANDMARKS
from synthforge.errors import DatasetError
from synthforge.rng import sample_seed
from synthforge.storage import checks
from synthforge.storage.codecs import (
    DEPTH_SCALE,
    JPEG_QUALITY,
    NORMAL_SCALE,
    quantise_depth,
    quantise_normals,
    restore_depth,
    restore_normals,
)
from synthforge.types import Frame

SCHEMA_VERSION = 2
READABLE = (1, 2)  # version 1 calls words of attributes `values`, in an order of the data set's own


@dataclass(frozen=True)
class Label:
    """All that writing, reading, checking and documenting one label needs.

    Args:
        name: of its data set in a shard, without the leading axis of samples; `GROUP/<name>` stands for one
            data set per member of the group.
        dtype: as readers give it.
        shape: of one sample; a letter is a size that the layout knows (`Layout.sizes`).
        text: what it is.
        unit, frame: of what readers give, where they apply; `scale` takes what is stored there.
        kind: the image (encoded as the layout's codec says), a plane (one compressed chunk per sample), or a
            row of small numbers (contiguous).
        stored: dtype on the disk, where it is another one.
        encode: frame -> value to be stored; by default the frame's array of that name.
        decode: stored array, and an array to write into or None -> what readers give.
        words: what the numbers stand for; values of a frame are such words.
        check: sample as readers give it -> what is wrong with this label (`synthforge verify`).
        attrs: what else is stored with it.
        each: label, layout -> the labels that it stands for there: none, where the layout leaves it out.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    text: str
    unit: str = ""
    frame: str = ""
    kind: Literal["image", "plane", "row"] = "row"
    stored: str = ""
    encode: Callable[[Frame], Any] | None = None
    decode: Callable[[np.ndarray, np.ndarray | None], np.ndarray] | None = None
    words: tuple[str, ...] = ()
    check: checks.Check | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    each: Callable[["Label", "Layout"], Iterable["Label"]] = lambda label, layout: [label]

    @property
    def on_disk(self) -> np.dtype:
        """Type of what is stored."""
        return np.dtype(self.stored or self.dtype)

    @property
    def about(self) -> dict[str, Any]:
        """What is stored beside the numbers; lists are of words."""
        said = {"description": self.text, "unit": self.unit, "frame": self.frame, "words": list(self.words)}
        return {key: value for key, value in (said | self.attrs).items() if value not in ("", [])}

    def value(self, frame: Frame) -> np.ndarray:
        """What is stored of a frame.

        Raises:
            DatasetError: the frame lacks it, or it is none of the label's words.
        """
        if self.encode is not None:
            value = self.encode(frame)
        else:
            value = frame.extra[self.name] if self.name in frame.extra else getattr(frame, self.name, None)
        if value is None:
            raise DatasetError("is not in the frame")
        if self.words:
            if value not in self.words:
                raise DatasetError(f"{value!r} is not among {', '.join(self.words)}")
            value = self.words.index(value)
        return np.asarray(value)


@dataclass(frozen=True)
class Layout:
    """What one data set's shards hold: decided by the configuration and the head, once.

    `attributes` maps a name to {"kind": "continuous", "range": [low, high]} or {"kind": "categorical",
    "words": [...]}, either with what it means as "text". `dense`: number of dense landmarks; `latent`:
    length of the code of a neural generator.
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

    def __getstate__(self) -> dict[str, Any]:
        """Without the labels, whose functions do not pickle."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def sizes(self) -> dict[str, int]:
        """Axes of labels by their letters."""
        named = {"S": self.shape_names, "E": self.expression_names, "J": self.joint_names}
        sizes = {"H": self.resolution, "W": self.resolution, "Z": self.latent, "D": self.dense}
        return sizes | {letter: len(names) for letter, names in named.items()}

    @cached_property
    def labels(self) -> dict[str, Label]:
        """Labels by name, in the order they are stored, their shapes in numbers."""
        sizes = self.sizes
        found = (one for label in LABELS for one in label.each(label, self))
        return {one.name: replace(one, shape=tuple(sizes.get(n, n) for n in one.shape)) for one in found}


def _if(flag: str) -> Callable:
    """Only where the layout has this."""
    return lambda label, layout: [label] if getattr(layout, flag) else []


def _named(names: str) -> Callable:
    """With the layout's names along its first axis."""
    return lambda label, layout: [replace(label, attrs={"names": list(getattr(layout, names))})]


def _image(label: Label, layout: Layout) -> list[Label]:
    quality = {"quality": JPEG_QUALITY} if layout.codec == "jpeg" else {}
    return [replace(label, attrs={"codec": layout.codec} | quality)]


def _masks(label: Label, layout: Layout) -> list[Label]:
    return [
        replace(label, name=f"soft_masks/{n}", text=f"share covered by {n}", encode=partial(_mask, n))
        for n in layout.soft_masks
    ]


def _mask(name: str, frame: Frame) -> np.ndarray:
    return frame.soft_masks.get(name, np.zeros_like(frame.alpha))


def _attributes(kind: str) -> Callable:
    """Those of one kind."""

    def each(label: Label, layout: Layout) -> list[Label]:
        chosen = {n: about for n, about in layout.attributes.items() if about["kind"] == kind}
        return [
            replace(
                label,
                name=f"attributes/{n}",
                text=about.get("text", label.text),
                encode=partial(_attribute, n),
                words=tuple(about.get("words", ())),
            )
            for n, about in chosen.items()
        ]

    return each


def _attribute(name: str, frame: Frame) -> float | str:
    if name not in frame.params.attributes:
        raise DatasetError("was not sampled")
    return frame.params.attributes[name]


_MARKS: dict[str, Any] = {"text": "iBUG-68, jaw fixed on the mesh"}
_DENSE: dict[str, Any] = {"text": "dense set; 0-67 are iBUG-68", "each": _if("dense")}
_SEEN = "0 outside the image, 1 occluded, 2 visible"
_PX: dict[str, Any] = {"unit": "px", "frame": "image"}
_CAMERA: dict[str, Any] = {"unit": "m", "frame": "camera"}
_PLANE: dict[str, Any] = {"kind": "plane", "frame": "image"}
_N = N_LANDMARKS
_OF = attrgetter

LABELS: tuple[Label, ...] = (
    Label("rgb", "uint8", ("H", "W", 3), "image, sRGB", frame="image", kind="image", each=_image),
    Label("segmentation", "uint8", ("H", "W"), "class of the largest part of the pixel's area; 255 = ignore",
          "class id", **_PLANE, check=checks.known_classes("segmentation")),
    Label("depth", "float32", ("H", "W"), "z-depth of the front surface at the pixel's centre; inf = none, "
          "stored as 0", **_CAMERA, kind="plane", stored="uint16", attrs={"scale": DEPTH_SCALE},
          encode=lambda f: quantise_depth(f.depth), decode=restore_depth, check=checks.depth),
    Label("alpha", "uint8", ("H", "W"), "share of the pixel that is foreground", "1/255", **_PLANE,
          check=checks.alpha),
    Label("normals", "float32", ("H", "W", 3), "unit normals of the front surface; 0 = none", "1",
          "camera", kind="plane", stored="int8", attrs={"scale": 1 / NORMAL_SCALE}, each=_if("normals"),
          encode=lambda f: quantise_normals(f.normals), decode=restore_normals, check=checks.normals),
    Label("segmentation_bare", "uint8", ("H", "W"), "`segmentation` with hair and all that is worn taken off",
          "class id", **_PLANE, each=_if("segmentation_bare"),
          check=checks.known_classes("segmentation_bare")),
    Label("soft_masks/<name>", "uint8", ("H", "W"), "share of the pixel that one layer covers", "1/255",
          **_PLANE, each=_masks),
    Label("landmarks_2d", "float32", (_N, 2), **_MARKS, **_PX, check=checks.reprojects("landmarks")),
    Label("landmarks_3d", "float32", (_N, 3), **_MARKS, **_CAMERA, check=checks.ahead("landmarks")),
    Label("landmarks_visible", "uint8", (_N,), _SEEN, check=checks.visibility("landmarks")),
    Label("landmarks_contour_2d", "float32", (17, 2), "jaw on the visible contour, as annotators of "
          "photographs place it", **_PX),
    Label("pupils_2d", "float32", (2, 2), "pupil centres, subject's left eye first", **_PX),
    Label("gaze", "float32", (2, 3), "unit vectors, subject's left eye first", "1", "camera",
          check=checks.unit_vectors),
    Label("cam2world", "float32", (4, 4), "takes points of the camera frame to the world frame", "m", "world",
          encode=_OF("params.camera.cam2world"), check=checks.rigid),
    Label("intrinsics", "float32", (3, 3), "pinhole, of the stored image", **_PX,
          encode=_OF("params.camera.intrinsics"), check=checks.focal),
    Label("distortion", "float32", (len(LENS),), f"lens: {', '.join(LENS)} as OpenCV has them",
          encode=_OF("params.camera.distortion"), attrs={"names": list(LENS)}, each=_if("distortion")),
    Label("shape", "float32", ("S",), "identity coefficients of the head", "1", encode=_OF("params.shape"),
          each=_named("shape_names")),
    Label("expression", "float32", ("E",), "expression coefficients of the head", "1",
          encode=_OF("params.expression"), each=_named("expression_names")),
    Label("pose", "float32", ("J", 3), "axis-angle per joint of the head", "rad", "parent joint",
          encode=_OF("params.pose"), each=_named("joint_names")),
    Label("latent", "float32", ("Z",), "code of a neural generator; of no numbers where there is none",
          "1", encode=_OF("params.latent")),
    Label("landmarks_dense_2d", "float32", ("D", 2), **_DENSE, **_PX,
          check=checks.reprojects("landmarks_dense")),
    Label("landmarks_dense_3d", "float32", ("D", 3), **_DENSE, **_CAMERA,
          check=checks.ahead("landmarks_dense")),
    Label("landmarks_dense_visible", "uint8", ("D",), _SEEN, each=_if("dense"),
          check=checks.visibility("landmarks_dense")),
    Label("attributes/<name>", "str", (), "sampled word", stored="int16", each=_attributes("categorical")),
    Label("attributes/<name>", "float32", (), "sampled number", each=_attributes("continuous")),
    Label("index", "int64", (), "place of the sample in the data set", encode=_OF("params.index")),
    Label("sample_seed", "uint64", (), "provenance number of (seed, index)",
          encode=lambda f: np.uint64(sample_seed(f.params.seed, f.params.index))),
    Label("attempt", "uint16", (), "draws of this index that were rejected before this one",
          encode=lambda f: np.uint16(f.params.attempt)),
    Label("alignment_rms", "float32", (), "distance of mesh and neural volume; NaN where none was asked for",
          "m"),
)  # fmt: skip
