"""What is measured on each image, and the figures over a set with their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from synthforge.datasets.sample import Sample
from synthforge.datasets.source import SourceInfo
from synthforge.errors import ConfigError
from synthforge.evaluation import segmentation_metrics as segmentation
from synthforge.evaluation.bootstrap import interval
from synthforge.evaluation.depth_metrics import align_depth, depth_errors
from synthforge.evaluation.landmark_metrics import NORMALISERS, POINT_SETS, auc_shares, point_errors
from synthforge.evaluation.normals import normal_errors, normals_of_depth
from synthforge.evaluation.protocols import ProtocolName
from synthforge.prediction.faces import Face

HEADLINE = ("51", "68")
PCK = (0.05, 0.08, 0.10)
Statistic = Callable[[Float[np.ndarray, "r k"]], Float[np.ndarray, "r m"]]


@dataclass(frozen=True)
class EvaluateConfig:
    """How to score: `thresholds` of AUC and failure rate in % of the normaliser; `resamples` and `seed`
    of the bootstrap."""

    protocol: ProtocolName = "standard"
    normaliser: str = "inter-ocular"
    thresholds: tuple[float, ...] = (8.0, 10.0)
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self):
        if self.normaliser not in NORMALISERS:
            raise ConfigError(
                f"unknown normaliser {self.normaliser!r}",
                where="--normaliser",
                fix=f"use: {', '.join(NORMALISERS)}",
            )
        if bad := [t for t in self.thresholds if not 0 < t <= 100]:
            raise ConfigError(f"got {bad[0]:g}", where="--threshold", fix="give percents, 0 to 100")
        if self.resamples < 0:
            raise ConfigError(f"got {self.resamples}", where="--resamples", fix="give 0 or more")


@dataclass(frozen=True)
class ImageScore:
    """What one image adds: normalised point errors, a confusion matrix, errors of depth and normals."""

    name: str
    errors: Float[np.ndarray, " p"] | None = None
    normaliser_px: float | None = None
    matrix: Int[np.ndarray, "c c"] | None = None
    surface: dict[tuple[str, str], float] = field(default_factory=dict)

    def row(self) -> dict[str, str | float]:
        """The line of the per-image table."""
        row: dict[str, str | float] = {"name": self.name}
        if self.errors is not None:
            row["normaliser_px"] = round(self.normaliser_px, 3)
            row |= {f"nme_{n}": round(100 * _mean(self.errors[list(s)]), 4) for n, s in POINT_SETS.items()}
        if self.matrix is not None:
            total = self.matrix.sum()
            row["pixel_accuracy"] = round(100 * float(np.trace(self.matrix) / total), 4) if total else np.nan
            counts = segmentation.group_counts(self.matrix[None], [[c] for c in range(len(self.matrix))])
            row["f1_mean_foreground"] = round(100 * _mean(segmentation.f1(counts)[0, 1:]), 4)
        surface = {"_".join(filter(None, key)): round(v, 4) for key, v in self.surface.items()}
        return row | surface


@dataclass(frozen=True)
class Figure:
    """One number over the set; `low` and `high` bound its 95 % interval (NaN: none)."""

    metric: str
    part: str
    value: float
    low: float = np.nan
    high: float = np.nan


def score_image(
    sample: Sample, labels: Face, info: SourceInfo, normaliser: str, alignments: Sequence[str]
) -> ImageScore:
    """Compare the labels of one image with its annotation, in the image's own pixels.

    Beyond the crop a portrait is background; a rendered scene (one with metric depth) goes on there, and
    is not counted.
    """
    errors = length = matrix = None
    surface: dict[tuple[str, str], float] = {}
    if sample.points is not None:
        errors, length = point_errors(labels.points, sample.points, normaliser)
    if sample.target is not None and labels.ids is not None:
        target = sample.target
        if info.depth == "metric" and labels.depth is not None:
            target = np.where(np.isfinite(labels.depth), target, np.uint8(255))
        matrix = segmentation.confusion(target, labels.ids, len(info.schema))
    if sample.depth is not None and labels.depth is not None:
        surface = _surface(sample, labels.depth, alignments)
    return ImageScore(sample.name, errors, length, matrix, surface)


def _surface(
    sample: Sample, predicted: Float[np.ndarray, "h w"], alignments: Sequence[str]
) -> dict[tuple[str, str], float]:
    """Errors of depth, and of the normals of the aligned depth where the camera is known."""
    mask = np.isfinite(sample.depth) & np.isfinite(predicted)
    if mask.sum() < 2:
        return {}
    p, t = predicted[mask], sample.depth[mask]
    out = {(f"depth_{m}", a): v for (m, a), v in depth_errors(p, t, alignments).items()}
    if (intrinsics := sample.intrinsics) is not None:
        aligned = np.full(mask.shape, np.nan)
        aligned[mask] = align_depth(p, t, "scale_shift")
        true = normals_of_depth(np.where(mask, sample.depth, np.nan), intrinsics)
        errors = normal_errors(normals_of_depth(aligned, intrinsics), true, mask)
        out |= {(f"normals_{name}", "scale_shift"): v for name, v in errors.items()}
    return out


def figures(scores: Sequence[ImageScore], info: SourceInfo, config: EvaluateConfig) -> list[Figure]:
    """All figures over the set, in the order of the tables."""
    found: list[Figure] = []
    if info.points:
        found += _point_figures(np.stack([s.errors for s in scores if s.errors is not None]), config)
    if info.schema:
        found += _class_figures(np.stack([s.matrix for s in scores if s.matrix is not None]), info, config)
    if keys := list(dict.fromkeys(key for s in scores for key in s.surface)):
        table = np.array([[s.surface.get(key, np.nan) for key in keys] for s in scores])
        found += _means(keys, table, config)
    return found


def _point_figures(errors: Float[np.ndarray, "n p"], config: EvaluateConfig) -> list[Figure]:
    groups = {name: errors[:, list(s)] for name, s in POINT_SETS.items()}
    nme = np.stack([_row_means(e) for e in groups.values()], axis=1)
    found = _means([("nme", n) for n in POINT_SETS], 100 * np.where(np.isinf(nme), np.nan, nme), config)
    for name, column in zip(POINT_SETS, nme.T, strict=True):
        if name in HEADLINE:
            found.append(Figure("nme_median", name, 100 * float(np.nanmedian(column))))
    headline = {name: nme[:, i] for i, name in enumerate(POINT_SETS) if name in HEADLINE}
    for percent in config.thresholds:
        keys = [(f"{m}@{percent:g}", n) for m in ("auc", "fr") for n in headline]
        shares = [100 * auc_shares(e, percent / 100) for e in headline.values()]
        failed = [100.0 * (e > percent / 100) for e in headline.values()]
        found += _means(keys, np.stack(shares + failed, axis=1), config)
    for limit in PCK:
        hits = np.stack([(groups[n] <= limit).sum(1) for n in headline], axis=1)
        known = np.stack([(~np.isnan(groups[n])).sum(1) for n in headline], axis=1)
        keys = [(f"pck@{100 * limit:g}", n) for n in headline]
        found += _ratios(keys, 100.0 * hits, known, config)
    return found


def _class_figures(
    matrices: Int[np.ndarray, "n c c"], info: SourceInfo, config: EvaluateConfig
) -> list[Figure]:
    names = info.schema.names
    counts = segmentation.group_counts(matrices, [[i] for i in range(len(names))])  # n c 3
    per_image = segmentation.f1(counts)
    both = np.concatenate([counts.reshape(len(counts), -1), *_defined(per_image)], axis=1)
    c = len(names)

    def statistic(sums: Float[np.ndarray, "r k"]) -> Float[np.ndarray, "r m"]:
        set_counts = sums[:, : 3 * c].reshape(-1, c, 3)
        f1, iou = segmentation.f1(set_counts), segmentation.iou(set_counts)
        image = _divide(sums[:, 3 * c : 4 * c], sums[:, 4 * c :])
        means = [f1[:, 1:], iou, iou[:, 1:], image[:, 1:]]
        return 100 * np.concatenate([f1, iou, image, np.stack([_row_means(m) for m in means], 1)], axis=1)

    keys = [(m, n) for m in ("f1", "iou", "f1_per_image") for n in names]
    keys += [
        (m, "") for m in ("f1_mean_foreground", "miou", "miou_foreground", "f1_per_image_mean_foreground")
    ]
    found = _figures(keys, both, statistic, config)
    for name, groups in segmentation.class_sets(info.name, info.schema).items():
        of_set = segmentation.group_counts(matrices, groups)

        def averages(sums: Float[np.ndarray, "r k"]) -> Float[np.ndarray, "r m"]:
            total = sums.reshape(len(sums), -1, 3)
            scores = segmentation.f1(total), segmentation.iou(total)
            return 100 * np.stack([_row_means(s) for s in scores], axis=1)

        keys = [("f1_of_set", name), ("miou_of_set", name)]
        found += _figures(keys, of_set.reshape(len(of_set), -1), averages, config)
    return found


def _figures(
    keys: Sequence[tuple[str, str]],
    rows: Float[np.ndarray, "n k"],
    statistic: Statistic,
    config: EvaluateConfig,
) -> list[Figure]:
    values = statistic(rows.sum(0, keepdims=True))[0]
    low = high = np.full(len(keys), np.nan)
    if config.resamples:
        low, high = interval(rows, statistic, config.resamples, config.seed)
    columns = zip(keys, values, low, high, strict=True)
    return [Figure(*key, float(v), float(a), float(b)) for key, v, a, b in columns]


def _ratios(
    keys: Sequence[tuple[str, str]], above: np.ndarray, below: np.ndarray, config: EvaluateConfig
) -> list[Figure]:
    """Sums over images, divided."""
    k = len(keys)
    rows = np.concatenate([above, below], axis=1).astype(float)
    return _figures(keys, rows, lambda sums: _divide(sums[:, :k], sums[:, k:]), config)


def _means(
    keys: Sequence[tuple[str, str]], values: Float[np.ndarray, "n k"], config: EvaluateConfig
) -> list[Figure]:
    """Means over the images in which a value is defined."""
    return _ratios(keys, *_defined(values), config)


def _defined(values: Float[np.ndarray, "n k"]) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(values)
    return np.where(known, values, 0.0), known


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _row_means(values: Float[np.ndarray, "r c"]) -> Float[np.ndarray, " r"]:
    """Mean of what is defined in each row; NaN where nothing is."""
    above, known = _defined(values)
    return _divide(above.sum(1), known.sum(1))


def _mean(values: Float[np.ndarray, " c"]) -> float:
    return float(_row_means(values[None])[0])
