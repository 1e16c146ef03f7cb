"""Patterns of cloth: colours by place in the cloth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from synthforge.generators.shading.noise import noise

PATTERNS = {"plain": 0.58, "stripes": 0.16, "check": 0.11, "melange": 0.10, "dots": 0.03, "floral": 0.02}
_STILL = np.zeros(3, np.float32)


@dataclass(frozen=True)
class Pattern:
    """A second colour in cloth.

    `kind` is a key of `PATTERNS`, `color` is linear RGB. The pattern repeats every `period` (m), of which the
    second colour takes the `share`.
    """

    kind: str
    color: Float[np.ndarray, " 3"]
    period: float
    share: float

    def paint(
        self, albedo: Float[np.ndarray, "n 3"], place: Float[np.ndarray, "n 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """Linear RGB at places in the cloth (m; across, along, 0), whose own colour is `albedo`."""
        if self.kind == "plain":
            return albedo
        if self.kind == "melange":  # fibres of two colours spun together
            fibres = noise(place, (0.0022, 0.0008, 0.0022), _STILL)[:, 0]
            cover = np.clip(0.5 + 0.35 * fibres, 0, 1) * self.share
        elif self.kind in ("dots", "floral"):
            cover = self._motifs(place)
        else:
            along = self._bands(place[:, 1])
            cover = along if self.kind == "stripes" else 0.5 * (along + self._bands(place[:, 0]))
        return (albedo + cover[:, None] * (self.color - albedo)).astype(np.float32)

    def _motifs(self, place: np.ndarray) -> np.ndarray:
        """1 within dots or flowers of five petals, 0 between; every other row is shifted by half a period."""
        cells = place[:, None, :2] / self.period - [[0.0, 0.0], [0.5, 0.5]]
        off = cells - np.round(cells)
        far = np.linalg.norm(off, axis=2)
        wide = np.sqrt(0.7 * self.share / (2 * np.pi)) * np.ones_like(far)
        if self.kind == "floral":
            turn = np.sin(12.9 * np.round(cells) @ [1.0, 1.7])  # neighbours are turned differently
            wide = wide * (1.1 + 0.35 * np.cos(5 * np.arctan2(off[..., 1], off[..., 0]) + 6 * turn))
        return np.clip(0.5 + (wide - far) * self.period / 0.0006, 0, 1).max(1)

    def _bands(self, at: np.ndarray) -> np.ndarray:
        """1 within bands, 0 between, with edges 0.6 mm wide."""
        off = np.abs(at / self.period - np.round(at / self.period)) - 0.5 * self.share
        return np.clip(0.5 - off * self.period / 0.0006, 0, 1)


def draw_pattern(color: Float[np.ndarray, " 3"], rng: np.random.Generator) -> Pattern:
    """A random pattern with this second colour (linear RGB)."""
    kind = str(rng.choice(list(PATTERNS), p=list(PATTERNS.values())))
    period = {"stripes": rng.uniform(0.010, 0.045), "check": rng.uniform(0.014, 0.050)}.get(
        kind, rng.uniform(0.012, 0.04)
    )
    return Pattern(kind, np.asarray(color, np.float32), period, float(rng.uniform(0.2, 0.5)))
