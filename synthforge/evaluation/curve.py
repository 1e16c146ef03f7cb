"""The cumulative error curve as a small SVG picture."""

from collections.abc import Mapping
from html import escape

import numpy as np
from jaxtyping import Float

_WIDTH, _HEIGHT, _LEFT, _BASE, _TOP = 420, 280, 48, 236, 14
_COLORS = ("#1f6fb4", "#d1632a", "#3a8f4d", "#8a56a8")
LIMIT = 10.0  # per cent of the normaliser


def cumulative_curve(errors: Mapping[str, Float[np.ndarray, " n"]], normaliser: str) -> str:
    """Share of images (%) whose NME is at most x (%), one curve per set of points.

    Args:
        errors: name of the point set -> NME of each image, %.
        normaliser: what the errors are divided by, in words.
    """
    x_of = lambda v: _LEFT + (_WIDTH - _LEFT - 12) * v / LIMIT  # noqa: E731
    y_of = lambda v: _BASE - (_BASE - _TOP) * v / 100  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for share in range(0, 101, 20):
        y = y_of(share)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - 12}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share}</text>')
    for tick in range(0, int(LIMIT) + 1, 2):
        parts.append(f'<text x="{x_of(tick):.1f}" y="{_BASE + 16}" text-anchor="middle">{tick}</text>')
    middle = (_LEFT + _WIDTH) / 2
    parts.append(
        f'<text x="{middle}" y="{_BASE + 36}" text-anchor="middle">NME, % of {escape(normaliser)}</text>'
    )
    parts.append(f'<text x="12" y="{_BASE / 2}" transform="rotate(-90 12 {_BASE / 2})" '
                 'text-anchor="middle">images (%)</text>')  # fmt: skip
    for i, (name, values) in enumerate(errors.items()):
        color = _COLORS[i % len(_COLORS)]
        steps = "".join(f"H{x_of(x):.1f}V{y_of(y):.1f}" for x, y in zip(*curve_steps(values), strict=True))
        parts.append(f'<path d="M{_LEFT} {_BASE}{steps}H{x_of(LIMIT):.1f}" fill="none" stroke="{color}"/>')
        parts.append(
            f'<text x="{_WIDTH - 90}" y="{_BASE - 12 - 16 * i}" fill="{color}">{escape(name)} points</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def curve_steps(
    errors: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Where the curve rises up to `LIMIT`, and its value (%) from there on."""
    x, counts = np.unique(errors, return_counts=True)
    inside = x <= LIMIT
    return x[inside], (100 * counts.cumsum() / len(errors))[inside]
