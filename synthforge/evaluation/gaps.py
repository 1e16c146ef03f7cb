"""Where photographs and synthetic faces differ, and which photographs a model fails on.

Both are asked in the same measures, taken from the 68 points and the pixels, so that the answer names what to
change in the generator's distribution: how far heads turn, how wide mouths open, how bright faces are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from synthforge.conventions import LANDMARK_FLIP, LANDMARK_GROUPS
from synthforge.datasets import geometry
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import Source
from synthforge.errors import DatasetError
from synthforge.evaluation.landmark_metrics import POINT_SETS, point_errors

Points = Float[np.ndarray, "68 2"]
CROP = 128  # pixels across the crop that the colours are measured on


def _length(points: Points, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a] - points[b]))


def _face(points: Points) -> tuple[float, Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """A length that hardly changes as the head turns, the direction of the eyes, and their middle.

    The length is the root of the squared distances between the outer eye corners, and from their middle to
    the nose's base.
    """
    middle, across = (points[36] + points[45]) / 2, points[45] - points[36]
    down = points[33] - middle
    return float(np.sqrt(across @ across + down @ down)), across / max(np.linalg.norm(across), 1e-9), middle


def _turn(points: Points) -> float:
    size, across, middle = _face(points)
    return float(abs((points[30] - middle) @ across) / size)


def _brow_height(points: Points) -> float:
    brows, eyes = points[[17, 18, 19, 20, 21, 22, 23, 24, 25, 26]], points[36:48]
    return float(np.linalg.norm(brows.mean(0) - eyes.mean(0)) / _face(points)[0])


def _eye_opening(points: Points) -> float:
    gaps = [_length(points, a, b) for a, b in ((37, 41), (38, 40), (43, 47), (44, 46))]
    widths = [_length(points, 36, 39), _length(points, 42, 45)]
    return float(np.mean(gaps) / max(np.mean(widths), 1e-9))


SHAPE: dict[str, tuple[str, Callable[[Points], float]]] = {
    "turn": ("tip of the nose from the middle of the eyes, sideways", _turn),
    "roll": ("of the line of the eyes, degrees", lambda p: float(np.degrees(np.arcsin(abs(_face(p)[1][1]))))),
    "nose_length": ("eyes to the nose's base (less as the head nods either way)",
                    lambda p: float(np.linalg.norm(p[33] - _face(p)[2]) / _face(p)[0])),
    "eye_opening": ("lids apart, over the eye's width", _eye_opening),
    "brow_height": ("brows above the eyes", _brow_height),
    "mouth_opening": ("inner lips apart", lambda p: _length(p, 62, 66) / _face(p)[0]),
    "mouth_width": ("corner to corner", lambda p: _length(p, 48, 54) / _face(p)[0]),
    "upper_lip": ("thickness", lambda p: _length(p, 51, 62) / _face(p)[0]),
    "lower_lip": ("thickness", lambda p: _length(p, 57, 66) / _face(p)[0]),
    "chin": ("lower lip to chin", lambda p: _length(p, 57, 8) / _face(p)[0]),
    "jaw_width": ("points 4 and 12 apart", lambda p: _length(p, 4, 12) / _face(p)[0]),
}  # fmt: skip
COLOUR = {
    "brightness": "median of the face, 0 to 255",
    "contrast": "10th to 90th percentile of the face's brightness",
    "warmth": "log2 of red over blue",
    "colourfulness": "saturation of the face, median, 0 to 255",
    "sharpness": f"Laplacian over contrast, face of {CROP} pixels",
}


def measures(sample: Sample) -> dict[str, float]:
    """Every measure of one face; lengths are in units of `_face`.

    Raises:
        DatasetError: the sample has no points.
    """
    if sample.points is None:
        raise DatasetError("has no landmarks", where=sample.name, fix="give a data set with 68 points")
    matrix = geometry.crop_matrix(sample.box, CROP, 1.0)
    crop = geometry.warp_rgb(sample.rgb, matrix, CROP, replicate=True)
    hull = cv2.convexHull(geometry.warp_points(sample.points, matrix).astype(np.float32))
    inside = np.zeros((CROP, CROP), np.uint8)
    cv2.fillConvexPoly(inside, np.rint(hull).astype(np.int32), 1)
    face = inside > 0 if inside.any() else ~inside.astype(bool)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    low, middle, high = np.percentile(grey[face], [10, 50, 90])
    red, blue = crop[..., 0][face].mean(), crop[..., 2][face].mean()
    edges = cv2.Laplacian(grey, cv2.CV_32F)[face]
    colour = {
        "brightness": middle,
        "contrast": high - low,
        "warmth": np.log2((red + 1) / (blue + 1)),
        "colourfulness": np.median(cv2.cvtColor(crop, cv2.COLOR_RGB2HSV)[..., 1][face]),
        "sharpness": np.abs(edges).mean() / max(high - low, 1.0),
    }
    return {n: f(sample.points) for n, (_, f) in SHAPE.items()} | {n: float(v) for n, v in colour.items()}


@dataclass(frozen=True)
class Gap:
    """One measure in photographs, in synthetic faces, and in a model's predictions.

    `real` and `synthetic` are 5th, 50th and 95th percentiles; `beyond` is the share of photographs outside
    the synthetic 1st to 99th; `nme` the mean error (51 points) of the third of photographs that have least,
    middling and most of it; `predicted` the model's median and `gain` the slope of predicted on annotated
    values (1: as much as there is). What was not asked for is None.
    """

    name: str
    about: str
    real: tuple[float, float, float]
    synthetic: tuple[float, float, float] | None = None
    beyond: float | None = None
    nme: tuple[float, float, float] | None = None
    predicted: float | None = None
    gain: float | None = None


def find_gaps(
    photographs: Source,
    synthetic: Source | None = None,
    predicted: Sequence[Points] | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Gap]:
    """Compare photographs with synthetic faces, or with points that a model `predicted`."""
    real, seen, errors = [], [], []
    for i in track(range(len(photographs))):
        sample = photographs[i]
        real.append(measures(sample))
        if predicted is not None:
            seen.append({n: f(predicted[i]) for n, (_, f) in SHAPE.items()})
            off, _ = point_errors(predicted[i], sample.points)
            errors.append(100 * np.nanmean(off[list(POINT_SETS["51"])]))
    made = [] if synthetic is None else [measures(synthetic[i]) for i in track(range(len(synthetic)))]
    texts = {name: text for name, (text, _) in SHAPE.items()} | COLOUR
    return [_gap(name, text, real, made, seen, np.array(errors)) for name, text in texts.items()]


def _gap(name: str, about: str, real: list, made: list, seen: list, errors: np.ndarray) -> Gap:
    x, found = np.array([m[name] for m in real]), {}
    if made:
        y = np.array([m[name] for m in made])
        low, high = np.percentile(y, [1, 99])
        found = {"synthetic": _spread(y), "beyond": float(((x < low) | (x > high)).mean())}
    if len(errors):
        thirds = np.array_split(errors[np.argsort(x, kind="stable")], 3)
        found["nme"] = tuple(float(t.mean()) for t in thirds)
    if seen and name in SHAPE:
        z = np.array([m[name] for m in seen])
        gain = float(np.cov(x, z)[0, 1] / max(x.var(ddof=1), 1e-12))
        found |= {"predicted": float(np.median(z)), "gain": gain}
    return Gap(name, about, _spread(x), **found)


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return tuple(float(v) for v in np.percentile(values, [5, 50, 95]))


def point_offsets(true: Sequence[Points], predicted: Sequence[Points]) -> Points:
    """Where annotators put each point against where a model does: median over the photographs, % of the
    distance of the outer eye corners, (outward from the midline, down), both halves of the face taken
    together.

    What is the same on all photographs is a difference of definition (`datasets.annotators`).
    """
    offsets = []
    for p, q in zip(true, predicted, strict=True):
        _, across, _ = _face(p)
        off = (p - q) @ np.stack([across, [-across[1], across[0]]], 1) / np.linalg.norm(p[45] - p[36])
        offsets += [off, off[LANDMARK_FLIP] * (-1, 1)]
    outward = np.sign(np.median([p[:, 0] - p[LANDMARK_FLIP][:, 0] for p in true], axis=0))
    return 100 * np.median(offsets, axis=0) * np.c_[outward, np.ones(len(outward))]


def offset_table(offsets: Points) -> str:
    """Offsets of one point of each pair and of the midline's, a line of text for each group."""
    lines = ["annotated minus predicted, % of the eyes' distance (outward, down):"]
    for name, members in LANDMARK_GROUPS.items():
        half = [i for i in members if i <= LANDMARK_FLIP[i]]
        lines.append(f"{name}: " + ", ".join(f"{i} ({offsets[i, 0]:.1f}, {offsets[i, 1]:.1f})" for i in half))
    return "\n".join(lines) + "\n"


def gap_table(gaps: Sequence[Gap]) -> str:
    """The gaps as Markdown."""
    heads = ["measure", "photographs 5 / 50 / 95 %", "synthetic 5 / 50 / 95 %", "photographs beyond",
             "NME51 with least / middling / most", "predicted 50 %", "gain", "what it is"]  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for g in gaps:
        share = "" if g.beyond is None else f"{100 * g.beyond:.0f} %"
        cells = [g.name, _three(g.real), _three(g.synthetic), share, _three(g.nme, 2)]
        cells += ["" if v is None else f"{v:.2f}" for v in (g.predicted, g.gain)] + [g.about]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _three(values: tuple[float, float, float] | None, digits: int = 0) -> str:
    return "" if values is None else " / ".join(f"{v:.{digits}f}" if digits else f"{v:.3g}" for v in values)
