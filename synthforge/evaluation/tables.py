"""Figures as JSON, CSV and Markdown; every table says under which protocol it was measured."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthforge.evaluation.depth_metrics import DELTAS
from synthforge.evaluation.normals import ANGLES
from synthforge.evaluation.summary import HEADLINE, Figure

# Title, heading of the first column, and (metric, column heading) of each table below that of the points.
_TABLES = (
    (
        "Classes, one confusion matrix over the set (per-image mean beside it)",
        "class",
        (("f1", "F1 (%)"), ("iou", "IoU (%)"), ("f1_per_image", "F1, image mean (%)")),
    ),
    ("Class sets, mean over their classes", "set", (("f1_of_set", "F1 (%)"), ("miou_of_set", "mIoU (%)"))),
    (
        "Depth, after alignment",
        "alignment",
        (("depth_mm", "mean abs. (mm)"), ("depth_rmse_mm", "RMSE (mm)"), ("depth_absrel", "AbsRel (%)"))
        + tuple((f"depth_delta<{d:g}", f"delta < {d:g} (%)") for d in DELTAS),
    ),
    (
        "Depth, needing no alignment",
        "pixels",
        (("depth_ssi", "SSI error"), ("depth_order", "rank correlation")),
    ),
    (
        "Normals of the aligned depth",
        "alignment",
        (("normals_mean_deg", "mean (deg)"), ("normals_median_deg", "median (deg)"))
        + tuple((f"normals_within_{a:g}", f"within {a:g} deg (%)") for a in ANGLES),
    ),
)
_MEANS = {
    "f1_mean_foreground": ("foreground", "f1"),
    "f1_per_image_mean_foreground": ("foreground", "f1_per_image"),
    "miou_foreground": ("foreground", "iou"),
    "miou": ("all with background", "iou"),
}


def as_json(figures: Sequence[Figure]) -> dict:
    """{metric: value or {part: value}} and the same with [low, high] under `ci95`; not defined: null."""
    out: dict = {}
    intervals: dict = {}
    for f in figures:
        _put(out, f, _number(f.value))
        if np.isfinite(f.low):
            _put(intervals, f, [f.low, f.high])
    return {**out, "ci95": intervals}


def _put(target: dict, f: Figure, value: object) -> None:
    if f.part:
        target.setdefault(f.metric, {})[f.part] = value
    else:
        target[f.metric] = value


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def markdown(figures: Sequence[Figure], protocol: dict) -> str:
    """Protocol, then one table per task."""
    shown = [_placed(f) for f in figures]
    metrics = {f.metric for f in shown}
    lines = [caption(protocol)]
    for title, first, columns in _tables(shown, protocol):
        present = [c for c in columns if c[0] in metrics]
        lines += _pivot(f"{title}; crop: {protocol['crop']}", first, present, shown)
    return "\n".join(lines)


def compact(figures: Sequence[Figure], protocol: dict) -> str:
    """Protocol and one short table: no single classes, and of the points 51 and 68."""
    shown = [_placed(f) for f in figures]
    headings = {metric: h for _, _, columns in _tables(shown, protocol) for metric, h in columns}
    lines = [caption(protocol)]
    if protocol["normaliser"]:
        lines.append(f"NME, AUC, FR, PCK in % of: {protocol['normaliser']}")
    lines += ["", "| metric | of | value [95 % interval] |", "| --- | --- | --- |"]
    for f in shown:
        single_class = f.metric in ("f1", "iou", "f1_per_image") and not f.part.startswith("mean, ")
        if not single_class and not (f.metric == "nme" and f.part not in HEADLINE):
            lines.append(f"| {headings[f.metric]} | {_part(f.part)} | {_cell(f)} |")
    return "\n".join(lines)


def _tables(figures: Sequence[Figure], protocol: dict) -> list[tuple]:
    metrics = dict.fromkeys(f.metric for f in figures)
    rates = [(m, m.upper() + " (%)") for m in metrics if m.startswith(("auc@", "fr@", "pck@"))]
    title = f"Landmarks, in % of: {protocol['normaliser']}"
    return [(title, "points", (("nme", "NME (%)"), ("nme_median", "median NME (%)"), *rates)), *_TABLES]


def _part(part: str) -> str:
    return part.replace("scale_shift", "scale and shift").replace("_", " ") or "all"


def _placed(f: Figure) -> Figure:
    """Means over classes as rows of the table of classes."""
    if f.metric not in _MEANS:
        return f
    part, metric = _MEANS[f.metric]
    return Figure(metric, f"mean, {part}", f.value, f.low, f.high)


def caption(protocol: dict) -> str:
    """One line: data, crop, protocol, interval."""
    parts = [
        f"{protocol['images']} images of {protocol['data']}",
        f"protocol: {protocol['name']}",
        f"crop: {protocol['crop']}",
        f"scored at: {protocol['resolution']}",
    ]
    if protocol["flip_averaging"]:
        parts.append("averaged with the mirrored crop")
    if protocol["resamples"]:
        parts.append(f"95 % intervals: bootstrap over images, {protocol['resamples']} resamples")
    return "; ".join(parts)


def _pivot(
    title: str, first: str, columns: Sequence[tuple[str, str]], figures: Sequence[Figure]
) -> list[str]:
    if not columns:
        return []
    cells = {(f.part, f.metric): _cell(f) for f in figures}
    wanted = {metric for metric, _ in columns}
    rows = [[first, *(heading for _, heading in columns)], ["---"] * (len(columns) + 1)]
    for part in dict.fromkeys(f.part for f in figures if f.metric in wanted):
        rows.append([_part(part), *(cells.get((part, metric), "") for metric, _ in columns)])
    return ["", f"**{title}**", "", *("| " + " | ".join(row) + " |" for row in rows)]


def _cell(f: Figure) -> str:
    if not np.isfinite(f.value):
        return "absent"
    digits = 3 if f.metric in ("depth_ssi", "depth_order") else 2
    bounds = f" [{f.low:.{digits}f}, {f.high:.{digits}f}]" if np.isfinite(f.low) else ""
    return f"{f.value:.{digits}f}{bounds}"


def write_tables(out: Path, scores: dict, figures: Sequence[Figure], rows: list[dict]) -> None:
    """scores.json, scores.csv, scores.md, summary.md and per_image.csv below `out`."""
    out.mkdir(parents=True, exist_ok=True)
    protocol = scores["protocol"]
    (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    for name, text in (("scores.md", markdown), ("summary.md", compact)):
        (out / name).write_text(text(figures, protocol) + "\n", encoding="utf-8")
    said = {key: protocol[key] for key in ("data", "images", "name", "crop", "normaliser")}
    said["protocol"] = said.pop("name")
    numbers = [{**vars(f), "value": f.value, **said} for f in figures]
    _write_csv(
        out / "scores.csv", [{k: "" if v is None or v != v else v for k, v in n.items()} for n in numbers]
    )
    _write_csv(out / "per_image.csv", rows)


def _write_csv(path: Path, rows: list[dict]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)
