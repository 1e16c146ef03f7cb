"""F1 and IoU from one confusion matrix over the set, and the class sets that papers average over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer

from synthforge.conventions import IGNORE, ClassSchema, SemanticClass

Groups = Sequence[Sequence[int]]


def confusion(
    true: Integer[np.ndarray, "h w"], predicted: Integer[np.ndarray, "h w"], n_classes: int
) -> Int[np.ndarray, "c c"]:
    """Pixels of one image, rows true, columns predicted; where the truth is 255 nothing is counted."""
    known = true != IGNORE
    pairs = true[known].astype(np.int64) * n_classes + predicted[known]
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def group_counts(matrices: Integer[np.ndarray, "n c c"], groups: Groups) -> Float[np.ndarray, "n g 3"]:
    """Of each group of classes taken as one: pixels hit, true pixels, predicted pixels."""
    counts = [
        (matrices[:, g][:, :, g].sum((1, 2)), matrices[:, g].sum((1, 2)), matrices[:, :, g].sum((1, 2)))
        for g in map(list, groups)
    ]
    return np.array(counts, float).reshape(len(counts), 3, len(matrices)).transpose(2, 0, 1)


def f1(counts: Float[np.ndarray, "*g 3"]) -> Float[np.ndarray, "*g"]:
    """2 hits / (true + predicted); NaN where a class is in neither."""
    hits, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.divide(2 * hits, total, out=np.full(hits.shape, np.nan), where=total > 0)


def iou(counts: Float[np.ndarray, "*g 3"]) -> Float[np.ndarray, "*g"]:
    """Hits / union; NaN where a class is in neither."""
    score = f1(counts)
    return score / (2 - score)


@dataclass(frozen=True)
class ClassSet:
    """What a line of papers averages: groups of classes, each group scored as one class.

    `layouts` are the data sets it belongs to (the first word of their names); the groups hold names of
    target classes or of our classes, of which a data set may lack some, but never a whole group.
    """

    name: str
    layouts: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    source: str

    def ids(self, classes: ClassSchema) -> Groups | None:
        """The groups as ids, or None where one of them is empty."""
        groups = [[c.id for c in classes if _is_any(c, group)] for group in self.groups]
        return groups if all(groups) else None


def _is_any(target: SemanticClass, names: tuple[str, ...]) -> bool:
    return target.name in names or (len(target.sources) == 1 and target.sources[0] in names)


def class_sets(layout: str, classes: ClassSchema) -> dict[str, Groups]:
    """The sets that apply to a data set, by name."""
    found = {s.name: s.ids(classes) for s in CLASS_SETS if layout.partition("-")[0] in s.layouts}
    return {name: ids for name, ids in found.items() if ids is not None}


def _each(*names: str) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in names)


_EYES, _BROWS = ("left_eye", "right_eye"), ("left_brow", "right_brow")
_MOUTH, _EARS = ("upper_lip", "inner_mouth", "lower_lip"), ("left_ear", "right_ear")
_INNER = (*_EYES, *_BROWS, "nose", *_MOUTH)
_TEN = _each("skin", "hair", *_INNER)
_FOURTEEN = (*_TEN, *_each(*_EARS, "neck", "eyeglasses"))
_REST = ("background", "neck", "eyeglasses", "headwear", "earring", "necklace", "clothing")
_HELEN, _CELEBA = ("helen",), ("celebamask",)

CLASS_SETS = (
    ClassSet("LaPa-10", ("lapa",), _TEN, "LaPa, AGRNet, FaRL, SegFace: all but background"),
    ClassSet(
        "fg18",
        _CELEBA,
        (*_FOURTEEN, *_each("headwear", "earring", "necklace", "clothing")),
        "AGRNet, DML-CSR, FaRL, SegFace: all but background",
    ),
    ClassSet("sf14", _CELEBA, _FOURTEEN, "SynthForge, table 3: without hat, earring, necklace, cloth"),
    ClassSet(
        "dg16",
        _CELEBA,
        (*_FOURTEEN, *_each("headwear", "background")),
        "Datagen: without earring, necklace, cloth; background counts",
    ),
    ClassSet("xf10", _CELEBA, _TEN, "FaceXFormer, Faceptor: the classes of LaPa"),
    ClassSet("HELEN eyes", _HELEN, (_EYES,), "Smith et al. 2013: both eyes as one class"),
    ClassSet("HELEN brows", _HELEN, (_BROWS,), "both brows as one class"),
    ClassSet("HELEN mouth", _HELEN, (_MOUTH,), "lips and inner mouth as one class"),
    ClassSet("HELEN overall", _HELEN, (_INNER,), "eyes, brows, nose and mouth as one class"),
    ClassSet(
        "SynthesisAI-9",
        ("lapa", "celebamask", "helen"),
        (_REST, ("skin", *_BROWS, *_EARS), *_each("nose", *_EYES, *_MOUTH, "hair")),
        "Synthesis AI: brows and ears are skin, what is worn and the neck background, which counts",
    ),
)
