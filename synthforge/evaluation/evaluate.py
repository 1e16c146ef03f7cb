"""Score a model on an annotated data set, and write the table, the per-image list and the panels."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from synthforge.datasets import geometry
from synthforge.datasets.sample import Sample, Source
from synthforge.errors import DatasetError
from synthforge.evaluation.metrics import (
    POINT_SETS,
    Confusion,
    auc,
    depth_errors,
    failure_rate,
    point_errors,
)
from synthforge.evaluation.panels import (
    PREDICTED,
    TRUE,
    draw_classes,
    draw_depth,
    draw_points,
    grid,
    write_png,
)
from synthforge.evaluation.predictor import Labels, Predictor
from synthforge.models.store import StoredModel

AUC_THRESHOLDS = (0.08, 0.10)
PANEL_SIDE = 256


def evaluate(
    model: StoredModel,
    source: Source,
    out: Path,
    flip: bool = False,
    panels: int = 12,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict:
    """Score `model` on every sample of `source`; writes scores.json, scores.md, per_image.csv, panels.png.

    Args:
        flip: average with the mirrored crop.
        panels: samples in the picture: half of them the worst, half evenly spread.
        track: wraps the loop (a progress bar).
    Returns:
        the scores, with the protocol they were measured under.
    """
    if len(source) == 0:
        raise DatasetError("holds no sample", where=source.name)
    predict = Predictor(model, source.crop_scale, source.classes, source.has_depth, flip)
    confusion = Confusion(len(source.classes)) if source.classes else None
    rows = []
    for i in track(range(len(source))):
        sample = source[i]
        rows.append(_score(sample, predict(sample), confusion))
    scores = {
        "protocol": {
            "data": source.name,
            "images": len(rows),
            "crop": f"{source.crop_source}, square, x{source.crop_scale:g}",
            "normaliser": "outer eye corners" if source.has_points else None,
            "flip_averaging": flip,
            "resolution": "original image" + (", inside the crop" if source.has_depth else ""),
        },
        **_summary(rows, source, confusion, model.net.config.depth_target),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    (out / "scores.md").write_text(table(scores) + "\n", encoding="utf-8")
    with open(out / "per_image.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if panels:
        write_panels(out / "panels.png", source, predict, _choose(rows, panels))
    return scores


def _score(sample: Sample, labels: Labels, confusion: Confusion | None) -> dict:
    row: dict[str, str | float] = {"name": sample.name}
    if sample.points is not None:
        errors, normaliser = point_errors(labels.points, sample.points)
        row["normaliser_px"] = round(normaliser, 3)
        for name, group in POINT_SETS.items():
            row[f"nme_{name}"] = round(100 * float(errors[list(group)].mean()), 4)
    if sample.target is not None and confusion is not None and labels.probability is not None:
        ids, target = labels.probability.argmax(0), sample.target
        if labels.depth is not None:  # a rendered scene goes on beyond the crop, a portrait does not
            target = np.where(np.isfinite(labels.depth), target, np.uint8(255))
        confusion.add(target, ids)
        row["pixel_accuracy"] = round(100 * float((ids == target)[target != 255].mean()), 4)
    if sample.depth is not None and labels.depth is not None:
        mask = np.isfinite(sample.depth) & np.isfinite(labels.depth)
        errors_mm = asdict(depth_errors(labels.depth, sample.depth, mask))
        row |= {f"depth_{k}_mm": round(v, 3) for k, v in errors_mm.items()}
    return row


def _summary(rows: list[dict], source: Source, confusion: Confusion | None, depth_target: str) -> dict:
    result = {}
    if source.has_points:
        result["nme"] = {name: float(np.mean([r[f"nme_{name}"] for r in rows])) for name in POINT_SETS}
        result["nme_median"] = {n: float(np.median([r[f"nme_{n}"] for r in rows])) for n in ("51", "68")}
        for tau in AUC_THRESHOLDS:
            for name in ("51", "68"):
                errors = np.array([r[f"nme_{name}"] for r in rows]) / 100
                result.setdefault(f"auc@{100 * tau:.0f}", {})[name] = 100 * auc(errors, tau)
                result.setdefault(f"fr@{100 * tau:.0f}", {})[name] = 100 * failure_rate(errors, tau)
    if confusion is not None:
        names = [c.name for c in source.classes]
        f1, iou = confusion.f1(), confusion.iou()
        result["f1"] = {n: None if np.isnan(v) else 100 * float(v) for n, v in zip(names, f1, strict=True)}
        result["f1_mean_foreground"] = 100 * float(np.nanmean(f1[1:]))
        result["miou"] = 100 * float(np.nanmean(iou))
        result["miou_foreground"] = 100 * float(np.nanmean(iou[1:]))
        result["absent_classes"] = [n for n, v in zip(names, f1, strict=True) if np.isnan(v)]
    if source.has_depth:
        # A network that predicts relative depth has no absolute error to speak of.
        for key in ("absolute", "shift", "scale_shift")[depth_target == "relative" :]:
            result.setdefault("depth_mm", {})[key] = float(np.mean([r[f"depth_{key}_mm"] for r in rows]))
    return result


def table(scores: dict) -> str:
    """The scores as Markdown, protocol first."""
    protocol = scores["protocol"]
    lines = [
        f"{protocol['images']} images of {protocol['data']}; crop: {protocol['crop']}"
        + (f"; NME in % of the distance of the {protocol['normaliser']}" if protocol["normaliser"] else "")
        + ("; averaged with the mirrored crop" if protocol["flip_averaging"] else ""),
        "",
        "| metric | value |",
        "|---|---|",
    ]
    for name, value in scores.get("nme", {}).items():
        lines.append(f"| NME {name} | {value:.2f} |")
    for key in scores:
        if key.startswith(("auc@", "fr@")):
            lines += [f"| {key.upper()} % ({n} points) | {v:.2f} |" for n, v in scores[key].items()]
    for name, value in scores.get("f1", {}).items():
        lines.append(f"| F1 {name} | {'absent' if value is None else f'{value:.2f}'} |")
    for key, text in (
        ("f1_mean_foreground", "F1 mean without background"),
        ("miou", "mIoU with background"),
        ("miou_foreground", "mIoU without background"),
    ):
        if key in scores:
            lines.append(f"| {text} | {scores[key]:.2f} |")
    for name, value in scores.get("depth_mm", {}).items():
        lines.append(f"| depth error, {name.replace('_', ' and ')} (mm) | {value:.2f} |")
    return "\n".join(lines)


def _choose(rows: list[dict], count: int) -> list[int]:
    """Indices for the panel: the worst ones, then some evenly spread."""
    key = "nme_51" if "nme_51" in rows[0] else "pixel_accuracy"
    order = np.argsort([(-r[key] if key == "nme_51" else r[key]) for r in rows], kind="stable")
    worst = [int(i) for i in order[: count // 2]]
    rest = [i for i in range(len(rows)) if i not in worst]
    spread = np.linspace(0, len(rest) - 1, min(count - len(worst), len(rest))).round().astype(int)
    return worst + [rest[i] for i in spread]


def write_panels(path: Path, source: Source, predict: Predictor, chosen: list[int]) -> None:
    """Crops with true (green) and predicted (red) points, true and predicted classes, depth."""
    colors = np.array([c.color for c in source.classes] or [(0, 0, 0)], np.uint8)
    tiles = [tile for i in chosen for tile in _tiles(source[i], predict, colors)]
    per_sample = len(tiles) // len(chosen)
    write_png(path, grid(tiles, per_sample * max(1, 6 // per_sample)))


def _tiles(sample: Sample, predict: Predictor, colors: np.ndarray) -> list[np.ndarray]:
    labels = predict(sample)
    matrix = geometry.crop_matrix(sample.box, PANEL_SIDE, predict.crop_scale * 1.1)
    rgb = geometry.warp_rgb(sample.rgb, matrix, PANEL_SIDE)
    shown = rgb
    if sample.points is not None:
        shown = draw_points(shown, geometry.warp_points(sample.points, matrix), TRUE)
    tiles = [draw_points(shown, geometry.warp_points(labels.points, matrix), PREDICTED)]
    if labels.probability is not None and sample.target is not None:
        for ids in (sample.target, labels.probability.argmax(0).astype(np.uint8)):
            tiles.append(draw_classes(rgb, geometry.warp_ids(ids, matrix, PANEL_SIDE, 255), colors))
    if labels.depth is not None and sample.depth is not None:
        for z in (sample.depth, labels.depth):
            mask = np.isfinite(sample.depth) & np.isfinite(labels.depth)
            moved = geometry.warp_depth(np.where(mask, z, np.inf), matrix, PANEL_SIDE)
            tiles.append(draw_depth(moved, np.isfinite(moved), (PANEL_SIDE, PANEL_SIDE)))
    return tiles
