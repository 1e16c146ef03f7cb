"""Colour of hair from its melanins, grey or dyed."""

import numpy as np
from jaxtyping import Float

from synthforge.generators.geometry.person import Person

# RGB absorption of eumelanin and pheomelanin: d'Eon, Francois, Hill, Letteri and Aubry (2011), relative
# to their red.
_EU = np.array([0.419, 0.697, 1.37]) / 0.419
_PHEO = np.array([0.187, 0.400, 1.05]) / 0.187
# Light passes through one fibre or many: the power lies between that of Beer and Lambert's law (1) and that
# of a deep pile of fibres (1/2, Chiang et al. 2016). Scale, power and floor are ours, fitted to photographs.
_SCALE, _POWER, _FLOOR = 0.60, 0.6, 0.004
# Ranges of (eumelanin, pheomelanin), in units of the absorption of red light.
MELANIN = {
    "black": ((10.0, 15.0), (0.1, 0.4)),
    "dark_brown": ((5.0, 8.0), (0.1, 0.8)),
    "brown": ((2.3, 4.0), (0.1, 0.8)),
    "blond": ((0.35, 0.95), (0.02, 0.22)),
    "red": ((0.1, 0.8), (0.8, 1.8)),
    "white": ((0.005, 0.05), (0.0, 0.01)),
}
_ROOTS = 0.10  # share of a strand that has grown since it was dyed


def melanin_color(eumelanin: float, pheomelanin: float) -> Float[np.ndarray, " 3"]:
    """Linear RGB of a mass of hair with these melanins (as optical depths of red light)."""
    depth = eumelanin * _EU + pheomelanin * _PHEO
    return (_SCALE * np.exp(-(depth**_POWER)) + _FLOOR).astype(np.float32)


def hair_color(person: Person) -> Float[np.ndarray, " 3"]:
    """Linear RGB of the scalp's hair as a whole."""
    own, other, share, dye = _colors(person)
    return ((1 - share) * own + share * other if dye is None else dye).astype(np.float32)


def face_hair_color(person: Person) -> Float[np.ndarray, " 3"]:
    """Linear RGB of brows, lashes and beard: that of the scalp's hair, but dark brown where that is dyed."""
    dyed = person.appearance.hair_color == "dyed"
    return np.array([0.03, 0.018, 0.011], np.float32) if dyed else hair_color(person)


def strand_colors(
    person: Person,
    places: Float[np.ndarray, "n 3"],
    points: int,
    rng: np.random.Generator,
    contrast: float = 1.0,
) -> Float[np.ndarray, "n p 3"]:
    """Linear RGB of strands at `points` points from root to tip; they grow at canonical `places` (m).

    Grey hair mixes white strands with dark ones, most at the temples. Dyed hair has its own colour at the
    roots. Light hair is bleached towards the tips.

    Args:
        contrast: scales how much strands of grey hair differ.
    """
    own, other, share, dye = _colors(person)
    temple = np.clip((0.06 - places[:, 2]) / 0.06, -1, 1) * np.clip((0.09 - places[:, 1]) / 0.04, -1, 1)
    # a ribbon stands for several hairs, which are seldom all white or all dark
    mixed = float(0 < share < 1)
    white = np.clip(share + mixed * rng.normal(0.2 * temple, 0.16 * contrast), 0, 1)
    color = (own + white[:, None] * (other - own))[:, None]
    along = np.linspace(0, 1, points)[None, :, None]
    if dye is not None:
        grown_out = rng.uniform(0.5, 1.5, (len(places), 1, 1)) * _ROOTS
        return np.where(along < grown_out, color, dye)
    return color * (1 + 0.25 * along * min(1.0, 4 * float(own.mean())))


def _colors(person: Person) -> tuple[np.ndarray, np.ndarray, float, np.ndarray | None]:
    """Colour of pigmented strands, colour of white strands, share of white strands, and the dye or None."""
    rng, name = person.rng("hair color"), person.appearance.hair_color
    older = np.clip((person.appearance.age - 50.0) / 30.0, -1, 1)
    grey = np.clip(rng.uniform(0.35, 0.8) + 0.2 * older, 0.25, 0.9)  # share of white hairs
    share = {"grey": grey, "white": 1.0}.get(name, 0.0)
    natural = name if name in MELANIN else ("brown", "dark_brown")[int(rng.random() < 0.5)]
    own, white = (melanin_color(*(rng.uniform(*span) for span in MELANIN[n])) for n in (natural, "white"))
    if name != "dyed":
        return own, white, share, None
    hue, depth = rng.random(), rng.uniform(0.15, 0.5)
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (hue - np.array([0, 1, 2]) / 3))
    return own, white, share, (depth * (0.15 + 0.85 * wave)).astype(np.float32)
