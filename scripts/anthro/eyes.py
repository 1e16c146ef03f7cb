"""The two eyeballs: a scleral sphere with a corneal cap, looking along +z.

Sources: corneal radius 7.8 mm and apex 12.54 mm before the centre: Gullstrand-type schematic eyes;
limbus 11.7 mm across: Ruefer et al. 2005 (Cornea 24); axial length 24 mm; position of the globe:
half way between the lids and 18-19 mm above the orbital rim. ICT-like globes of 15 mm stare.
"""

import numpy as np
from jaxtyping import Float

from synthforge.conventions import CLASS_ID

from .common import Part
from .grids import named_point, tube

SCLERA_RADIUS = 11.7e-3  # m
CORNEA_RADIUS = 7.8e-3
APEX = 12.54e-3  # from the centre of the globe
CARUNCLE_OFFSET = np.array([3.0, 0.8, -4.1])  # mm, its middle from the inner corner of the left eye
CARUNCLE_RADII = np.array([3.1, 2.3, 3.1])
IRIS_RADIUS = 5.85e-3  # visible disc, half the limbus diameter
LIMBUS_BLEND = 0.35e-3  # m, smooth union of the sclera and the cornea: about 1.2 mm of arc


def eye_centres(sex: float) -> Float[np.ndarray, "2 3"]:
    """Centres of the left and the right globe; `sex` +1 mean man, -1 mean woman."""
    centre = named_point("eyeball_centre", sex) * 1e-3
    return np.stack([centre, centre * [-1, 1, 1]])


def globe_radius(angle: np.ndarray) -> np.ndarray:
    """Distance of the surface from the centre (m) at an angle (radians) from the optical axis."""
    behind = APEX - CORNEA_RADIUS
    reach = CORNEA_RADIUS**2 - (behind * np.sin(angle)) ** 2
    cornea = behind * np.cos(angle) + np.sqrt(reach)
    excess = (cornea - SCLERA_RADIUS) / LIMBUS_BLEND
    return SCLERA_RADIUS + LIMBUS_BLEND * np.logaddexp(0.0, excess)


def build_eyes(sex: float) -> list[Part]:
    """Left and right eyeball."""
    angles = np.deg2rad(np.concatenate([np.arange(3, 46, 3), np.arange(51, 100, 7), np.arange(112, 180, 14)]))
    around = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ring = np.stack([np.cos(around), np.sin(around), np.zeros_like(around)], -1)
    rings = np.sin(angles)[:, None, None] * ring + np.cos(angles)[:, None, None] * [0, 0, 1]
    rings = rings * globe_radius(angles)[:, None, None]
    front, back = np.array([0, 0, globe_radius(np.zeros(1))[0]]), np.array([0, 0, -SCLERA_RADIUS])
    parts = []
    for side, centre in zip(("left", "right"), eye_centres(sex), strict=True):
        mirror = np.array([1 if side == "left" else -1, 1, 1])
        parts.append(
            tube(
                rings * mirror + centre,
                f"{side}_eyeball",
                CLASS_ID[f"{side}_eye"],
                start=front + centre,
                end=back + centre,
            )
        )
    return parts


def build_caruncles(sex: float) -> list[Part]:
    """The pink bodies that fill the inner corners between lids and globe, left and right."""
    polar, around = np.linspace(0, np.pi, 9)[1:-1], np.linspace(0, 2 * np.pi, 14, endpoint=False)
    ring = np.stack([np.cos(around), np.sin(around), np.zeros_like(around)], -1)
    rings = np.sin(polar)[:, None, None] * ring + np.cos(polar)[:, None, None] * [0, 0, 1]
    middle, pole = named_point("endocanthion", sex) + CARUNCLE_OFFSET, np.array([0, 0, CARUNCLE_RADII[2]])
    parts = []
    for side, mirror in (("left", np.ones(3)), ("right", np.array([-1.0, 1, 1]))):
        points, start, end = (mirror * (q + middle) * 1e-3 for q in (rings * CARUNCLE_RADII, pole, -pole))
        parts.append(tube(points, f"{side}_caruncle", CLASS_ID[f"{side}_eye"], start, end))
    return parts
