"""The table, the plot and the gaps of a finished study; figures of others beside them, with their source."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from synthforge.errors import DatasetError
from synthforge.report.svg import Line, line_chart
from synthforge.study.config import Cell, Published, StudyConfig

Scores = Mapping[Cell, dict]


def write_results(config: StudyConfig, scores: Scores, published: Sequence[Published], out: Path) -> str:
    """Write results.csv (each run), results.json (means, spreads), results.md, plot.svg; returns the text."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "results.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["arm", "photographs", "seed", *config.metrics])
        for cell, found in scores.items():
            rows.writerow([*vars(cell).values(), *(value(found, m) for m in config.metrics)])
    parts, plain = [f"# {config.title}\n"], {}
    for metric in config.metrics:
        means = summary(config, scores, metric)
        plain[metric] = {arm: dict(row) for arm, row in means.items()}
        parts.append(_heading(metric, scores, config) + table(config.columns, means))
    if config.gaps:
        parts.append(gap_lines(config, summary(config, scores, config.metrics[0])))
    parts += [
        f"Published: {p.title} ({p.metric}; {p.source})\n\n" + table(_columns(p), _as_means(p))
        for p in published
    ]
    text = "\n".join(parts)
    (out / "results.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    (out / "results.md").write_text(text, encoding="utf-8")
    first = config.metrics[0]
    (out / "plot.svg").write_text(plot(config.columns, summary(config, scores, first), first), "utf-8")
    return text


def value(scores: dict, path: str) -> float:
    """The figure at `path` ("nme.51") of scores.json.

    Raises:
        DatasetError: there is none.
    """
    found = scores
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            raise DatasetError(f"holds no figure {path!r}", where="scores.json", fix="mend `metrics`")
        found = found[part]
    return float(found)


def summary(config: StudyConfig, scores: Scores, metric: str) -> dict[str, dict[str, tuple]]:
    """arm -> column -> (mean, sample standard deviation or None, runs); a backbone alone in every column."""
    out: dict[str, dict[str, tuple]] = {}
    for arm in config.arms:
        by_column: dict[str, list[float]] = {}
        for cell, found in scores.items():
            if cell.arm == arm:
                for column in [cell.column] if cell.column else config.columns:
                    by_column.setdefault(column, []).append(value(found, metric))
        out[arm] = {
            c: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else None, len(v))
            for c, v in by_column.items()
        }
    return out


def table(columns: Sequence[str], means: Mapping[str, Mapping[str, tuple]]) -> str:
    """Markdown: a row for each arm; mean, and +- the spread over seeds where there are several."""
    lines = ["| photographs | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    lines += [
        f"| {arm} | " + " | ".join(_text(row.get(c)) for c in columns) + " |" for arm, row in means.items()
    ]
    return "\n".join(lines) + "\n"


def _text(cell: tuple | None) -> str:
    if cell is None:
        return ""
    mean, spread, _ = cell
    return f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"


def _heading(metric: str, scores: Scores, config: StudyConfig) -> str:
    p = next(iter(scores.values()))["protocol"]
    seeds = f"{len(config.seeds)} seeds" if len(config.seeds) > 1 else f"seed {config.seeds[0]}"
    by = f", by {p['normaliser']}" if p.get("normaliser") else ""
    where = f"{p['data']}, {p['images']} images, {p['name']} protocol{by}, crop: {p['crop']}"
    return f"{metric}, {where}; {seeds}\n\n"


def gap_lines(config: StudyConfig, means: Mapping[str, Mapping[str, tuple]]) -> str:
    """Where the gap to real data comes from, at the last column of the study."""
    at = config.columns[-1]
    values = {}
    for part, arm in vars(config.gaps).items():
        if at not in means[arm]:
            raise DatasetError(f"arm {arm!r} has no column {at!r}", where="gaps")
        values[part] = means[arm][at][0]
    total = values["real"] - values["initial"]
    lines = [f"| gap, {config.metrics[0]} | points | share |", "| --- | ---: | ---: |"]
    for name, points in gaps(**values).items():
        lines.append(f"| {name} | {points:.2f} | {100 * points / total if total else float('nan'):.0f} % |")
    return "\n".join(lines) + "\n"


def gaps(initial: float, varied: float, adapted: float, real: float) -> dict[str, float]:
    """Points by which variety, adapted labels and the rest close the gap ("Knowing the Distance")."""
    return {"distribution": varied - initial, "label": adapted - varied, "rest": real - adapted}


def _columns(published: Published) -> list[str]:
    """All columns of a published table, numbers in order."""
    columns = {c: None for row in published.rows.values() for c in row}
    return list(columns)


def _as_means(published: Published) -> dict[str, dict[str, tuple]]:
    return {name: {c: (v, None, 1) for c, v in row.items()} for name, row in published.rows.items()}


def plot(columns: Sequence[str], means: Mapping[str, Mapping[str, tuple]], metric: str) -> str:
    """SVG: a line for each arm over the columns (evenly spaced), bars of one standard deviation."""
    ends = [m + sign * (s or 0) for row in means.values() for m, s, _ in row.values() for sign in (-1, 1)]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    ticks = np.linspace(min(ends) - margin, max(ends) + margin, 6).tolist()
    lines = []
    for arm, row in means.items():
        there = [(float(i), *row[c][:2]) for i, c in enumerate(columns) if c in row]
        lines.append(Line(arm, [(x, mean) for x, mean, _ in there], [s or 0.0 for _, _, s in there]))
    named = {float(i): column for i, column in enumerate(columns)}
    return line_chart(lines, named, {t: f"{t:.2f}" for t in ticks}, "annotated photographs", metric)
