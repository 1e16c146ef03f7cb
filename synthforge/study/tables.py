"""The table, the plot and the gaps of a finished study; figures of others beside them, with their source."""

import csv
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from synthforge.errors import DatasetError
from synthforge.study.config import Cell, Published, StudyConfig

Scores = Mapping[Cell, dict]
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")  # Okabe-Ito
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BASE = 640, 340, 56, 210, 16, 290


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
    flat = [(m - (s or 0), m + (s or 0)) for row in means.values() for m, s, _ in row.values()]
    low, high = min(a for a, _ in flat), max(b for _, b in flat)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(columns) - 1, 1)
    x = {c: _LEFT + step * i for i, c in enumerate(columns)}
    y = lambda v: _TOP + (_BASE - _TOP) * (high - v) / (high - low)  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for tick in np.linspace(low, high, 6):
        parts.append(f'<path d="M{_LEFT} {y(tick):.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    parts += [
        f'<text x="{x[c]:.1f}" y="{_BASE + 18}" text-anchor="middle">{escape(c)}</text>' for c in columns
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_BASE + 40}" text-anchor="middle">annotated photographs</text>')
    parts.append(f'<text x="14" y="{(_TOP + _BASE) / 2}" transform="rotate(-90 14 {(_TOP + _BASE) / 2})" '
                 f'text-anchor="middle">{escape(metric)}</text>')  # fmt: skip
    for i, (arm, row) in enumerate(means.items()):
        color = _COLORS[i % len(_COLORS)]
        dash = ' stroke-dasharray="6 4"' if i >= len(_COLORS) else ""
        points = [(x[c], row[c]) for c in columns if c in row]
        line = " ".join(f"{px:.1f},{y(m):.1f}" for px, (m, _, _) in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dash}/>')
        for px, (m, s, _) in points:
            parts.append(f'<circle cx="{px:.1f}" cy="{y(m):.1f}" r="3" fill="{color}"/>')
            if s:
                parts.append(f'<path d="M{px:.1f} {y(m - s):.1f}V{y(m + s):.1f}" stroke="{color}"/>')
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 14}" y="{_TOP + 14 + 18 * i}" fill="{color}">{escape(arm)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])
