"""Surfaces swept inwards from the holes of the half head: eye socket, mouth bag, nostril (millimetres)."""

import numpy as np
from jaxtyping import Float

from .skin_layout import MEAN

GLOBE = 11.7  # radius of the eyeball the lids close on, mm
EYE = MEAN["eyeball_centre"]


def _ease(x):
    return x * x * (3 - 2 * x)


def socket_rings(margin: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "r n 3"]:
    """Lid shelf from the margin to the globe, then a cup behind it (first ring: inner shelf edge)."""
    out = margin - EYE
    r = np.linalg.norm(out, axis=1)
    beta, alpha = np.arccos(out[:, 2] / r), np.arctan2(out[:, 1], out[:, 0])
    edge = np.full_like(r, GLOBE - 0.2)
    rings = [EYE + out / r[:, None] * (edge + r)[:, None] / 2, EYE + out / r[:, None] * edge[:, None]]
    for w in (0.12, 0.3, 0.55, 0.8, 1.0):
        b = beta + (np.radians(112) - beta) * w
        radius = edge + (GLOBE + 1.2 - edge) * _ease(min(1.0, 2 * w))
        d = np.stack([np.sin(b) * np.cos(alpha), np.sin(b) * np.sin(alpha), np.cos(b)], 1)
        rings.append(EYE + d * radius[:, None])
    return np.array(rings)


def nostril_rings(rim: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "r n 3"]:
    """A blind passage up and a little forward from the nostril rim: the vestibule."""
    centre = rim.mean(0)
    rings = []
    for depth, scale in ((1.0, 0.98), (2.5, 0.92), (4.5, 0.8), (6.5, 0.65), (8.0, 0.45)):
        ring = (rim - centre) * scale
        ring[:, 1] *= 1 - depth / 9  # turns the ring level
        rings.append(centre + depth * np.array([-0.1, 1.0, 0.55]) + ring)
    return np.array(rings)


# mouth bag: half width, height above and below the mouth line, depth behind stomion, arch (mm of z at half
# width); weight of the lip line itself fades over the first rings
BAG = (
    (22.5, 1.2, 0.9, 2.2, 9.0, 0.75),
    (23.0, 3.0, 2.6, 4.2, 11.0, 0.45),
    (25.0, 7.5, 7.0, 5.6, 16.0, 0.15),
    (27.5, 13.0, 13.0, 6.5, 22.0, 0.0),
    (29.5, 17.5, 18.5, 10.0, 26.0, 0.0),
    (31.0, 19.5, 22.0, 18.0, 26.0, 0.0),
    (31.5, 20.0, 22.5, 30.0, 20.0, 0.0),
    (31.0, 18.5, 22.0, 43.0, 12.0, 0.0),
    (26.0, 13.0, 18.0, 54.0, 5.0, 0.0),
    (14.0, 6.0, 10.0, 60.0, 1.0, 0.0),
)


def bag_rings(line: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "r n 3"]:
    """Inside of the mouth: lip roll, vestibule, roof and floor back to the throat.

    line: the mouth line from the upper midline to the corner and back along the lower lip.
    """
    n = len(line)
    phi = np.linspace(np.pi / 2, -np.pi / 2, n)
    centre = MEAN["stomion"]
    rings = []
    for width, up, down, depth, arch, keep in BAG:
        c, s = np.cos(phi), np.sin(phi)
        x = width * c**0.7
        y = np.where(s > 0, up, down) * np.sign(s) * np.abs(s) ** 0.8
        ring = np.stack([x, centre[1] + y, centre[2] - depth - arch * (x / width) ** 2], 1)
        rolled = line + np.stack([0 * x, y, np.full(n, -depth)], 1)
        ring = keep * rolled + (1 - keep) * ring
        ring[[0, -1], 0] = 0.0
        rings.append(ring)
    return np.array(rings)
