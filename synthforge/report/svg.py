"""SVG: elements as text, and a chart of lines over axes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")  # Okabe-Ito
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BASE = 640, 340, 56, 210, 16, 290


def tag(name: str, *inside: str, **attributes: Any) -> str:
    """An element; `class_` and `text_anchor` become `class` and `text-anchor`, numbers are rounded to 0.1."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_short(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(inside)}</{name}>" if inside else f"<{name}{written}/>"


def _short(value: Any) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Line:
    """A line through (x, y); with `spread` its points are marked, with bars of that length both ways."""

    name: str
    points: Sequence[tuple[float, float]]
    spread: Sequence[float] | None = None


def line_chart(
    lines: Sequence[Line], x: Mapping[float, str], y: Mapping[float, str], x_title: str, y_title: str
) -> str:
    """A document of its own: lines over axes that end at their first and last tick (value -> text)."""
    x_low, y_low = min(x), min(y)
    x_of = lambda v: _LEFT + (_WIDTH - _LEFT - _RIGHT) * (v - x_low) / (max(x) - x_low or 1)  # noqa: E731
    y_of = lambda v: _BASE - (_BASE - _TOP) * (v - y_low) / (max(y) - y_low or 1)  # noqa: E731
    end, across, along = _WIDTH - _RIGHT, (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + _BASE) / 2
    parts = [tag("rect", width=_WIDTH, height=_HEIGHT, fill="white")]
    for value, text in y.items():
        parts.append(tag("line", x1=_LEFT, x2=end, y1=y_of(value), y2=y_of(value), stroke="#ddd"))
        parts.append(tag("text", escape(text), x=_LEFT - 6, y=y_of(value) + 4, text_anchor="end"))
    for value, text in x.items():
        parts.append(tag("text", escape(text), x=x_of(value), y=_BASE + 18, text_anchor="middle"))
    parts.append(tag("text", escape(x_title), x=across, y=_BASE + 40, text_anchor="middle"))
    turned = f"rotate(-90 14 {along:g})"
    parts.append(tag("text", escape(y_title), x=14, y=along, transform=turned, text_anchor="middle"))
    for i, line in enumerate(lines):
        color = COLORS[i % len(COLORS)]
        dash = {"stroke_dasharray": "6 4"} if i >= len(COLORS) else {}
        path = " ".join(f"{x_of(a):.1f},{y_of(b):.1f}" for a, b in line.points)
        parts.append(tag("polyline", points=path, fill="none", stroke=color, stroke_width=2, **dash))
        for (a, b), s in zip(line.points, line.spread or (), strict=line.spread is not None):
            parts.append(tag("circle", cx=x_of(a), cy=y_of(b), r=3, fill=color))
            parts.append(tag("line", x1=x_of(a), x2=x_of(a), y1=y_of(b - s), y2=y_of(b + s), stroke=color))
        parts.append(tag("text", escape(line.name), x=end + 14, y=_TOP + 14 + 18 * i, fill=color))
    size, font = f"0 0 {_WIDTH} {_HEIGHT}", {"font_family": "sans-serif", "font_size": 12}
    return tag("svg", "\n", "\n".join(parts), xmlns="http://www.w3.org/2000/svg", viewBox=size, **font) + "\n"
