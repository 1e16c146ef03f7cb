"""Score a model on an annotated data set; write tables, the per-image list, the curve and the panels."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from synthforge.conventions import IGNORE
from synthforge.datasets import geometry
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import Source, SourceInfo
from synthforge.errors import DatasetError
from synthforge.evaluation import segmentation_metrics as segmentation
from synthforge.evaluation.curve import cumulative_curve
from synthforge.evaluation.depth_metrics import ALIGNMENTS
from synthforge.evaluation.landmark_metrics import NORMALISERS
from synthforge.evaluation.protocols import under_protocol
from synthforge.evaluation.summary import EvaluateConfig, ImageScore, figures, score_image
from synthforge.evaluation.tables import as_json, write_tables
from synthforge.models.store import StoredModel
from synthforge.prediction.faces import FaceModel
from synthforge.report import draw

PANEL_SIDE = 256


def evaluate(
    model: StoredModel,
    source: Source,
    out: Path,
    flip: bool = False,
    panels: int = 12,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
    config: EvaluateConfig | None = None,
) -> dict:
    """Score `model` on every sample of `source`, one image in memory at a time.

    Writes scores.json, scores.csv, scores.md, summary.md, per_image.csv, ced.svg (where there are points)
    and panels.png.

    Args:
        flip: average with the mirrored crop.
        panels: samples in the picture: half of them the worst, half evenly spread.
        track: wraps the loop (a progress bar).
    Returns:
        the scores, with the protocol they were measured under and their intervals.
    """
    config = config or EvaluateConfig()
    if len(source) == 0:
        raise DatasetError("holds no sample", where=source.info.name)
    source = under_protocol(source, config.protocol)
    info = source.info
    net = FaceModel(model, info, flip)
    alignments = _alignments(model, info.depth == "relative")
    scores: list[ImageScore] = []
    for i in track(range(len(source))):
        sample = source[i]
        scores.append(score_image(sample, net.label(sample), info, config.normaliser, alignments))
    found = figures(scores, info, config)
    result = {
        "protocol": _protocol(info, net.scale, scores, flip, config),
        **as_json(found),
        **_absent(scores, info),
    }
    rows = [s.row() for s in scores]
    write_tables(out, result, found, rows)
    if info.points:
        errors = {n: np.array([r[f"nme_{n}"] for r in rows]) for n in ("51", "68")}
        (out / "ced.svg").write_text(cumulative_curve(errors, result["protocol"]["normaliser"]), "utf-8")
    if panels:
        write_panels(out / "panels.png", source, net, _choose(rows, panels))
    return result


def _alignments(model: StoredModel, relative_truth: bool) -> tuple[str, ...]:
    """A relative prediction has no absolute error; a relative truth has no unit at all."""
    if relative_truth:
        return ()
    relative = model.net.config.depth_target == "relative"
    return tuple(a for a in ALIGNMENTS if not (relative and a in ("absolute", "scale")))


def _protocol(
    info: SourceInfo, scale: float, scores: list[ImageScore], flip: bool, config: EvaluateConfig
) -> dict:
    missed = [s.name for s in scores if s.errors is not None and np.isinf(s.errors).any()]
    return {
        "name": config.protocol,
        "data": info.name,
        "images": len(scores),
        "names_sha256": hashlib.sha256("\n".join(s.name for s in scores).encode()).hexdigest(),
        "crop": f"{info.crop_source}, square, x{scale:g}",
        "normaliser": NORMALISERS[config.normaliser][1] if info.points else None,
        "points_missing_in": missed,
        "flip_averaging": flip,
        "resolution": ("original image" if config.protocol == "standard" else "the crop")
        + (", inside the crop" if info.depth == "metric" else ""),
        "resamples": config.resamples,
        "seed": config.seed,
    }


def _absent(scores: list[ImageScore], info: SourceInfo) -> dict:
    """Classes that occur nowhere (left out of means), and classes predicted but never true (F1 is 0)."""
    if not info.schema:
        return {}
    total = sum(s.matrix.astype(np.int64) for s in scores if s.matrix is not None)
    counts = segmentation.group_counts(total[None], [[i] for i in range(len(total))])[0]
    names = info.schema.names
    return {
        "absent_classes": [n for n, c in zip(names, counts, strict=True) if not c.any()],
        "never_true_classes": [n for n, c in zip(names, counts, strict=True) if c.any() and not c[1]],
    }


def _choose(rows: list[dict], count: int) -> list[int]:
    """Indices for the panel: the worst ones, then some evenly spread."""
    kinds = ("nme_51", "pixel_accuracy", "depth_mm_scale_shift", "depth_ssi")
    key = next(k for k in kinds if any(k in row for row in rows))
    order = np.argsort([(1 if key == "pixel_accuracy" else -1) * r.get(key, 0) for r in rows], kind="stable")
    worst = [int(i) for i in order[: count // 2]]
    rest = [i for i in range(len(rows)) if i not in worst]
    spread = np.linspace(0, len(rest) - 1, min(count - len(worst), len(rest))).round().astype(int)
    return worst + [rest[i] for i in spread]


def write_panels(path: Path, source: Source, net: FaceModel, chosen: list[int]) -> None:
    """Crops with true (green) and predicted (red) points, true and predicted classes, depth."""
    tiles = [tile for i in chosen for tile in _tiles(source[i], net)]
    per_sample = len(tiles) // len(chosen)
    draw.write_png(path, draw.contact_sheet(tiles, per_sample * max(1, 6 // per_sample), gap=0))


def _tiles(sample: Sample, net: FaceModel) -> list[np.ndarray]:
    labels, colors = net.label(sample), net.info.schema.colors
    matrix = geometry.crop_matrix(sample.box, PANEL_SIDE, net.scale * 1.1)
    rgb = geometry.warp_rgb(sample.rgb, matrix, PANEL_SIDE)
    shown = rgb
    if sample.points is not None:
        shown = draw.draw_points(shown, geometry.warp_points(sample.points, matrix), draw.TRUE)
    tiles = [draw.draw_points(shown, geometry.warp_points(labels.points, matrix), draw.PREDICTED)]
    if labels.ids is not None and sample.target is not None:
        for ids in (sample.target, labels.ids):
            tiles.append(draw.tinted(rgb, geometry.warp_ids(ids, matrix, PANEL_SIDE, IGNORE), colors))
    if labels.depth is not None and sample.depth is not None:
        for z in (sample.depth, labels.depth):
            mask = np.isfinite(sample.depth) & np.isfinite(labels.depth)
            moved = geometry.warp_depth(np.where(mask, z, np.inf), matrix, PANEL_SIDE)
            tiles.append(draw.depth_rgb(moved))
    return tiles
