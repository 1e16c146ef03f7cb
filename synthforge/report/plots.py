"""Small inline SVG charts; colours come from the page's CSS, so they follow light and dark."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, Num

from synthforge.conventions import LANDMARK_GROUPS

_WIDTH, _HEIGHT, _BASE = 210, 100, 80  # of a histogram, and where its axis lies


def histogram(values: Num[np.ndarray, " n"]) -> str:
    """Counts over equal bins, with the mean marked and its spread in words."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-5 * max(1.0, abs(low), abs(high)):  # rounding, not variety
        return f'<p class="constant">always <b>{round(low, 4) + 0.0:g}</b></p>'
    ticks = nice_ticks(low, high)
    n_bins = int(np.clip(2 * np.sqrt(len(values)), 6, 30))
    counts, edges = np.histogram(values, bins=n_bins, range=(low, high))
    x = 8 + (_WIDTH - 16) * (edges - low) / (high - low)
    top = counts.max()
    bars = []
    for count, left, right, a, b in zip(counts, x, x[1:], edges, edges[1:], strict=False):
        height = (_BASE - 8) * count / top
        bars.append(
            f'<rect class="bar" x="{left + 0.5:.1f}" y="{_BASE - height:.1f}" width="{right - left - 1:.1f}" '
            f'height="{height:.1f}"><title>{a:.3g} to {b:.3g}: {count}</title></rect>'
        )
    mean = 8 + (_WIDTH - 16) * (values.mean() - low) / (high - low)
    marks = "".join(
        f'<text x="{8 + (_WIDTH - 16) * (t - low) / (high - low):.1f}" y="{_BASE + 16}">{t:g}</text>'
        for t in ticks
    )
    return (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(bars)}'
        f'<line class="axis" x1="4" x2="{_WIDTH - 4}" y1="{_BASE}" y2="{_BASE}"/>'
        f'<line class="mean" x1="{mean:.1f}" x2="{mean:.1f}" y1="4" y2="{_BASE}"/>{marks}</svg>'
        f'<p class="caption">mean {values.mean():.3g}, sd {values.std():.3g}, {low:.3g} to {high:.3g}</p>'
    )


def nice_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Round numbers in [low, high], about `n`: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / n
    power = 10 ** np.floor(np.log10(raw))
    step = power * min((s for s in (1, 2, 5, 10) if s * power >= raw), default=10)
    first = np.ceil(low / step - 1e-9)
    return [float(round(i * step, 10)) + 0.0 for i in np.arange(first, np.floor(high / step + 1e-9) + 1)]


def bars(counts: Mapping[str, float], colors: Sequence[str] = (), percent: bool = False) -> str:
    """Horizontal bars with their names and values."""
    top, total = max(counts.values(), default=0) or 1, sum(counts.values()) or 1
    rows = []
    for i, (name, value) in enumerate(counts.items()):
        style = f"width:{100 * value / top:.2f}%" + (f";background:{colors[i]}" if colors else "")
        share = value if percent else value / total
        text = f"{100 * share:.3g}%" + ("" if percent else f" <small>{value:g}</small>")
        rows.append(
            f'<div class="row"><span class="name">{escape(name.replace("_", " "))}</span>'
            f'<span class="track"><i style="{style}"></i></span><span class="value">{text}</span></div>'
        )
    return f'<div class="bars">{"".join(rows)}</div>'


def visibility_chart(share: Float[np.ndarray, "68 3"]) -> str:
    """One stacked column per landmark: visible, occluded, outside."""
    width, height = 11, 200
    parts = []
    for i, (outside, occluded, visible) in enumerate(share):
        title = f"{i}: {visible:.1%} visible, {occluded:.1%} occluded, {outside:.1%} outside"
        y, column = 0.0, ""
        for name, part in (("v0", outside), ("v1", occluded), ("v2", visible)):
            place = f'x="{i * width}" y="{y:.1f}" width="{width - 2}" height="{part * height:.1f}"'
            column += f'<rect class="{name}" {place}/>'
            y += part * height
        parts.append(f"<g>{column}<title>{title}</title></g>")
    marks = "".join(
        f'<text x="{(a + b) / 2 * width:.0f}" y="{height + 16}">{name}</text>'
        f'<line class="axis" x1="{a * width}" x2="{b * width - 2}" y1="{height + 3}" y2="{height + 3}"/>'
        for name, a, b in ((k, v.start, v.stop) for k, v in LANDMARK_GROUPS.items())
    )
    return f'<svg class="visibility" viewBox="0 0 {68 * width} {height + 22}">{"".join(parts)}{marks}</svg>'


def landmarks_svg(
    points: Float[np.ndarray, "68 2"],
    visible: np.ndarray,
    contour: Float[np.ndarray, "17 2"],
    gaze: Float[np.ndarray, "e 2 2"],
    dense: Float[np.ndarray, "n 2"],
) -> str:
    """Landmarks in units of the image side, times 100: dots by visibility, contour jaw, gaze.

    `gaze`: for each eye the pupil and a point ahead of it in the image. `dense`: small dots.
    """
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in 100 * contour)
    dots = "".join(
        f'<circle class="v{v}" cx="{x:.1f}" cy="{y:.1f}" r=".8"><title>{i}</title></circle>'
        for i, ((x, y), v) in enumerate(zip(100 * points, visible, strict=True))
    )
    small = "".join(f"M{x:.1f},{y:.1f}h0" for x, y in 100 * dense)
    rays = "".join(
        f'<line class="gaze" x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'
        for a, b in 100 * gaze
    )
    return (
        '<svg class="over landmarks" viewBox="0 0 100 100">'
        f'<path class="dense" d="{small}"/>'
        f'<polyline class="contour" points="{line}"/>{rays}{dots}</svg>'
    )
