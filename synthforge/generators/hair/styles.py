"""Styles of scalp hair by name: its length, how it lies, and where its border runs.

Borders follow published maps of hairlines, collected in docs/heads.md. Lengths are metres. Every style is
one row of `STYLES`.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from synthforge.heads.anatomy import BRAINCASE

LONG = 0.1  # m; hair longer than this hangs
# Azimuth (degrees from the front) against height of the scalp border (m), subject's either side.
_BORDER = np.array(
    [[0, 0.091], [18, 0.091], [36, 0.088], [44, 0.072], [50, 0.056], [62, 0.034], [70, -0.012], [74, -0.012],
     [80, 0.030], [97, 0.030], [103, -0.002], [112, -0.038], [134, -0.068], [160, -0.064], [180, -0.060]]
)  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How hair of one style grows and lies.

    Attributes:
        top, sides: lengths of strands (m).
        lift, comb: shares of the skin's normal and of the combing direction in a strand's first direction.
        weight: how fast strands bend down.
        back: how much the front is combed backwards.
        volume: largest distance of strands from the head (m).
        free: removes that limit.
        guides: number of locks in which strands gather.
        clump: how much they gather at their tips, 0 to 1.
        curl, turns: radius (m) of coils, and their number per metre.
        frizz: how far single strands leave their lock (m).
        mess, ragged: how much directions and lengths differ (shares).
        dense: factor of the number of strands.
        rope: makes every lock a round rope of this radius (m).
        part: largest distance (m) of the parting from the middle; negative for none.
        fringe: length (m) of the front over the forehead.
        gather: ties all hair into a "tail", "bun", "braid" or two "braids".
        recess: how far the front border is moved back (m).
        cut: height (m, head frame) at which hanging hair ends.
    """

    top: float
    sides: float
    lift: float = 0.35
    comb: float = 0.5
    weight: float = 0.15
    back: float = 0.0
    volume: float = 0.018
    free: bool = False
    guides: int = 420
    clump: float = 0.5
    curl: float = 0.0
    turns: float = 0.0
    frizz: float = 0.002
    mess: float = 0.22
    ragged: float = 0.2
    dense: float = 1.0
    rope: float = 0.0
    part: float = -0.012
    fringe: float = 0.0
    gather: str = ""
    recess: float = 0.0
    cut: float = -9.0


_TIED = Style(0.26, 0.26, lift=0.05, comb=1.0, weight=0.0, volume=0.008, clump=0.2, frizz=0.0012)
STYLES = {
    "buzz": Style(
        0.006, 0.0035, lift=0.5, comb=0.8, weight=0.0, clump=0.0, frizz=0.0, mess=0.08, dense=1.5,
    ),
    "short": Style(
        0.034, 0.011, lift=0.3, comb=0.9, weight=0.14, back=-0.05, volume=0.012, guides=700, clump=0.12,
        mess=0.10, ragged=0.08, frizz=0.0012,
    ),
    "side_part": Style(
        0.072, 0.014, lift=0.3, comb=1.1, weight=0.10, back=0.35, volume=0.014, guides=600, clump=0.2,
        part=0.034, mess=0.08, ragged=0.10, frizz=0.0015,
    ),
    "swept": Style(
        0.085, 0.014, lift=0.3, comb=1.2, weight=0.06, back=1.0, volume=0.015, guides=600, clump=0.2,
        mess=0.08, ragged=0.10, frizz=0.0015,
    ),
    "receding": Style(
        0.024, 0.010, lift=0.2, comb=0.8, weight=0.1, back=0.6, recess=0.010, volume=0.007, guides=600,
        clump=0.25, mess=0.12,
    ),
    "curly": Style(
        0.100, 0.050, lift=0.6, comb=0.5, weight=0.18, back=0.1, volume=0.030, guides=620, clump=0.8,
        curl=0.0060, turns=36, frizz=0.003, mess=0.3, dense=1.3,
    ),
    "afro": Style(
        0.060, 0.052, lift=1.0, comb=0.0, weight=0.0, free=True, guides=600, clump=0.2, curl=0.0058, turns=52,
        frizz=0.004, mess=0.25, ragged=0.05, dense=1.4,
    ),
    "locs": Style(
        0.230, 0.200, lift=0.3, comb=0.7, weight=0.3, back=0.4, volume=0.022, guides=125, rope=0.0048,
        frizz=0.0006, cut=-0.15, mess=0.24, ragged=0.35,
    ),
    "pixie": Style(
        0.075, 0.030, lift=0.3, comb=1.0, weight=0.16, back=0.0, volume=0.015, guides=600, clump=0.4,
        part=0.036, fringe=0.062, mess=0.14,
    ),
    "bob": Style(
        0.235, 0.170, lift=0.2, comb=0.8, weight=0.35, back=0.5, volume=0.020, part=0.026, cut=-0.085,
        ragged=0.06, clump=0.3, mess=0.14,
    ),
    "long": Style(
        0.420, 0.360, lift=0.2, comb=0.8, weight=0.35, back=0.6, part=0.026, clump=0.35, mess=0.16,
        ragged=0.14, dense=1.15,
    ),
    "wavy": Style(
        0.390, 0.340, lift=0.25, comb=0.7, weight=0.35, back=0.6, volume=0.024, part=0.03, clump=0.55,
        curl=0.0075, turns=13, frizz=0.0025, dense=1.15,
    ),
    "long_curly": Style(
        0.330, 0.290, lift=0.35, comb=0.6, weight=0.35, back=0.6, volume=0.030, part=0.03, guides=300,
        clump=0.7, curl=0.0095, turns=18, frizz=0.003, dense=1.3,
    ),
    "fringe": Style(
        0.360, 0.310, lift=0.2, comb=0.8, weight=0.35, back=0.2, fringe=0.054, clump=0.3, mess=0.14,
        ragged=0.14, dense=1.5,
    ),
    "ponytail": replace(_TIED, gather="tail"),
    "bun": replace(_TIED, gather="bun"),
    "braid": replace(_TIED, gather="braid"),
    "braids": replace(_TIED, gather="braids", part=0.004),
}  # fmt: skip


def scalp_height(canonical: Float[np.ndarray, "n 3"], recess: float = 0.0) -> Float[np.ndarray, " n"]:
    """Height (m) of canonical places (m) above the border of the scalp; negative on bare skin."""
    x, y, z = (canonical - BRAINCASE).T
    azimuth = np.degrees(np.arctan2(np.abs(x), z))
    border = np.interp(azimuth, *_BORDER.T)
    # A receding border moves up and back, most at the corners of the forehead.
    front = np.interp(azimuth, [0, 25, 40, 60], [0.6, 1.5, 1.6, 0.0])
    return canonical[:, 1] - border - recess * front - 2.0 * recess * front * np.clip(z / 0.08, 0, 1)


def style_height(canonical: Float[np.ndarray, "n 3"], style: Style) -> Float[np.ndarray, " n"]:
    """Height (m) of canonical places (m) above the border of a style. Short hair is shaved at the nape and
    behind the ears."""
    height = scalp_height(canonical, style.recess)
    nape = np.clip((-0.025 - canonical[:, 2]) / 0.03, 0, 1) * (0.0 if style.top > LONG else 0.024)
    if style.gather:  # sideburns stay too short to reach the tie
        x, y, z = (canonical - BRAINCASE).T
        height = np.where((np.abs(x) > 0.04) & (z > -0.005), np.minimum(height, y + 0.010), height)
    return height - nape


def fringe_share(canonical: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """How much the hair at canonical places (m) belongs to the fringe, where a style has one; 0 to 1."""
    x, y, z = canonical.T
    return np.clip((0.060 - np.abs(x)) / 0.020, 0, 1) * ((z > 0.03) & (y > 0.075))


def parted(
    style: Style, canonical: Float[np.ndarray, "n 3"], part: float, wide: float
) -> Float[np.ndarray, " n"]:
    """1 along the parting, 0 further away than about `wide` (m); 0 everywhere where a style has none."""
    x, y, z = canonical.T
    line = part + 0.0015 * np.sin(z / 0.011)  # no parting is straight
    bare = np.exp(-(((x - line) / wide) ** 2)) * np.clip((y - 0.085) / 0.01, 0, 1)
    return bare * np.clip((z + 0.04) / 0.03, 0, 1) * (style.part > 0)


def swell(style: Style, q: Float[np.ndarray, "n 3"], part: float) -> Float[np.ndarray, " n"]:
    """Share of its volume that hair may have at places `q` (m, relative to the middle of the braincase):
    less beside a parting, so that the head looks round."""
    if style.part < 0:
        return np.ones(len(q))
    top = np.clip((q[:, 1] - 0.04) / 0.04, 0, 1) * np.clip((q[:, 2] + 0.05) / 0.05, 0, 1)
    return 1 - top * np.clip(0.75 - np.abs(q[:, 0] - part) / 0.12, 0, 1)


def neighbourhood(style: Style, canonical: Float[np.ndarray, "n 3"], part: float) -> Float[np.ndarray, "n 3"]:
    """Canonical places (m) moved apart across a parting and at a fringe, so that strands there follow
    guides of their own side only."""
    across = 0.015 * np.sign(canonical[:, 0] - part) * (canonical[:, 1] > 0.05) * (style.part >= 0)
    before = 0.03 * (fringe_share(canonical) >= 0.5) * (style.fringe > 0)
    return canonical + np.stack([across, 0 * across, before], -1)
