"""Lids that slide along their globe: blink, squint, wide eyes, and following the gaze."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from .assemble import Assembled
from .eyes import globe_radius
from .fields import MM, Anatomy, smoothstep

ARM = 13 * MM  # distance of the lid margins from the globe's centre that turns millimetres into angles
FADE = np.deg2rad(34)  # angle beyond the margin where lid travel ends
GAP = 0.35 * MM  # least clearance of lid skin from the globe when it moves over it
STEP = 0.5 * MM  # how far the upper lid's edge stands before the lower's when shut
CORNERS = 1.4 * MM  # how much more the upper lid shuts towards the corners, where the slit is low
MOST_LIFT = 1.5 * MM  # beyond this a shut lid would bulge


@dataclass(frozen=True)
class Lids:
    """The left eye's lids as visors: turns about the axis through the globe's centre along x.

    Margins are curves over the lateral place, x from the centre over the distance from it, which a
    visor's turn does not change: `upper`, `lower` give angle (radians, 0 forward, + up) and distance.
    """

    centre: Float[np.ndarray, " 3"]
    upper: PchipInterpolator
    lower: PchipInterpolator
    ends: tuple[float, float]

    @classmethod
    def of(cls, head: Assembled) -> "Lids":
        centre = head.eye_centres[0]
        margin = head.vertices[head.loops["lid_margin_left"]] - centre
        radius = np.linalg.norm(margin, axis=1)
        aside = margin[:, 0] / radius
        angle = np.arctan2(margin[:, 1], margin[:, 2])
        corner = aside.argmax()
        rows = np.arange(corner + 1), np.r_[0, np.arange(len(margin) - 1, corner - 1, -1)]
        curves = [_curve(aside[row], np.stack([angle[row], radius[row]], -1)) for row in rows]
        return cls(centre, *curves, (float(aside[0]), float(aside[corner])))

    def at(self, aside: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Upper and lower margin (n 2: angle, distance) and how open the fissure is (0 ... 1)."""
        aside = np.clip(aside, *self.ends)
        grid = np.linspace(*self.ends, 200)
        widest = (self.upper(grid) - self.lower(grid))[:, 0].max()
        upper, lower = self.upper(aside), self.lower(aside)
        return upper, lower, np.clip((upper - lower)[:, 0] / widest, 0, 1)


def _curve(x: np.ndarray, y: np.ndarray) -> PchipInterpolator:
    keep = np.r_[True, x[1:] > np.maximum.accumulate(x)[:-1] + 1e-6]
    return PchipInterpolator(x[keep], y[keep])


def lid_field(anatomy: Anatomy, side: Float[np.ndarray, " n"], shape: dict) -> Float[np.ndarray, "v 3"]:
    """Moves of the left eye's lid skin along the globe; see expressions.yaml for what `shape` may hold.

    Args:
        side: of each skin vertex, 0 over the fissure, 1 under it.
    """
    head, lids, travel = anatomy.head, Lids.of(anatomy.head), shape.get("lids", {})
    delta = np.zeros_like(head.vertices)
    place = head.vertices[: head.n_skin] - lids.centre
    near = np.flatnonzero((np.linalg.norm(place, axis=1) < 26 * MM) & (place[:, 2] > -2 * MM))
    place, below = place[near], side[near]
    radius = np.linalg.norm(place, axis=1)
    angle = np.arctan2(place[:, 1], place[:, 2])
    upper, lower, opening = lids.at(place[:, 0] / radius)
    over, under = np.maximum(angle - upper[:, 0], 0), np.maximum(lower[:, 0] - angle, 0)
    # what stands out farther than the margin is the fold over the lid, or cheek: it follows less
    reach = 1 - smoothstep(radius - np.where(below < 0.5, upper[:, 1], lower[:, 1]), 1 * MM, 7 * MM)
    share_up = (1 - below) * (1 - smoothstep(over, 0, FADE)) * reach
    share_low = below * (1 - smoothstep(under, 0, FADE)) * reach
    lift = np.zeros_like(radius)
    if "close" in shape:
        fissure = (upper - lower)[:, 0]
        turn_up, turn_low = (shape["close"]["upper"] - 1) * fissure, shape["close"]["lower"] * fissure
        turn_up = turn_up - CORNERS / ARM * np.sqrt(opening) * (1 - opening)
        outermost = np.maximum(upper[:, 1], lower[:, 1] + STEP)
        lift = share_up * (outermost - upper[:, 1]) + share_low * (outermost - STEP - lower[:, 1])
    else:
        turn_up, turn_low = (travel.get(k, 0) * MM / ARM * opening for k in ("upper", "lower"))
    turn = share_up * turn_up + share_low * turn_low
    nasal = -(travel.get("nasal", 0) * (share_up + share_low) + travel.get("nasal_lower", 0) * share_low)
    to = turned(place, turn, nasal * MM / ARM * np.sqrt(opening))
    ray = to / radius[:, None]
    to = to + lift[:, None] * ray
    # shut lids bulge over the cornea
    before_cornea = np.exp(-((np.arccos(np.clip(ray[:, 2], -1, 1)) / np.deg2rad(24)) ** 2))
    swell = (share_up + share_low) * opening * (0.4 + 0.6 * before_cornea)
    inner = np.setdiff1d(head.faces[head.part_faces("eye_socket")], head.loops["lid_margin_left"])
    outer = ~np.isin(near, inner)
    gaze = np.deg2rad(shape.get("gaze", [0, 0]))
    higher = _needed_lift(place[outer], to[outer], swell[outer], gaze)
    delta[near] = to + higher * swell[:, None] * ray - place
    return delta


def _needed_lift(start: np.ndarray, end: np.ndarray, swell: np.ndarray, gaze: np.ndarray) -> float:
    """How far (m) the end places of the lids' outer skin must swell for straight paths to clear the globe.

    A chord cuts the arc half way, and the cornea, turned by `gaze` (pitch down, yaw left; radians)
    with the shape, stands out of the sphere. They keep GAP, or what they have at
    rest, as far as MOST_LIFT allows.
    """

    def clearance(p, w):
        r = np.linalg.norm(p, axis=1)
        pitch, yaw = w * gaze
        axis = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        return r - globe_radius(np.arccos(np.clip(p @ axis / r, -1, 1)))

    counts = (clearance(start, 0) < 3 * MM) & (swell > 0.3)
    least = np.minimum(clearance(start, 0), GAP)
    lift = 0.0
    for w in (0.35, 0.5, 0.75, 1.0):
        short = (least - clearance(start + w * (end - start), w)) / (w * np.maximum(swell, 0.3))
        lift = max(lift, float(short[counts].max(initial=0.0)))
    return min(lift, MOST_LIFT)


def turned(
    place: Float[np.ndarray, "n 3"],
    pitch: Float[np.ndarray, " n"],
    yaw: Float[np.ndarray, " n"] | float = 0.0,
) -> Float[np.ndarray, "n 3"]:
    """Places turned about the x axis (pitch, + up), then about y (yaw, + left); radians, one each."""
    x, y, z = place.T
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    return np.stack([x * np.cos(yaw) + z * np.sin(yaw), y, z * np.cos(yaw) - x * np.sin(yaw)], -1)
