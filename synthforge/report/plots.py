"""Small inline SVG charts; colours come from the page's CSS, so they follow light and dark."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float, Num

from synthforge.conventions import LANDMARK_GROUPS
from synthforge.report.svg import tag

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
        title = tag("title", f"{a:.3g} to {b:.3g}: {count}")
        place = {"x": left + 0.5, "y": _BASE - height, "width": right - left - 1, "height": height}
        bars.append(tag("rect", title, class_="bar", **place))
    mean = 8 + (_WIDTH - 16) * (values.mean() - low) / (high - low)
    marks = [
        tag("text", f"{t:g}", x=8 + (_WIDTH - 16) * (t - low) / (high - low), y=_BASE + 16) for t in ticks
    ]
    marks.append(tag("line", class_="axis", x1=4, x2=_WIDTH - 4, y1=_BASE, y2=_BASE))
    marks.append(tag("line", class_="mean", x1=mean, x2=mean, y1=4, y2=_BASE))
    words = f"mean {values.mean():.3g}, sd {values.std():.3g}, {low:.3g} to {high:.3g}"
    chart = tag("svg", *bars, *marks, class_="histogram", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img")
    return chart + tag("p", words, class_="caption")


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
        y, column = 0.0, []
        for name, part in (("v0", outside), ("v1", occluded), ("v2", visible)):
            place = {"x": i * width, "y": y, "width": width - 2, "height": part * height}
            column.append(tag("rect", class_=name, **place))
            y += part * height
        parts.append(tag("g", *column, tag("title", title)))
    for name, group in LANDMARK_GROUPS.items():
        a, b, low = group.start * width, group.stop * width, height + 3
        parts.append(tag("text", name, x=(a + b) / 2, y=height + 16))
        parts.append(tag("line", class_="axis", x1=a, x2=b - 2, y1=low, y2=low))
    return tag("svg", *parts, class_="visibility", viewBox=f"0 0 {68 * width} {height + 22}")


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
    dots = [
        tag("circle", tag("title", str(i)), class_=f"v{v}", cx=x, cy=y, r=0.8)
        for i, ((x, y), v) in enumerate(zip(100 * points, visible, strict=True))
    ]
    small = "".join(f"M{x:.1f},{y:.1f}h0" for x, y in 100 * dense)
    rays = [tag("line", class_="gaze", x1=a[0], y1=a[1], x2=b[0], y2=b[1]) for a, b in 100 * gaze]
    below = tag("path", class_="dense", d=small), tag("polyline", class_="contour", points=line)
    return tag("svg", *below, *rays, *dots, class_="over landmarks", viewBox="0 0 100 100")
