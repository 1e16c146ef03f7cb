"""Spectacles: two rims, a bridge, pads on the nose, temples to the ears, and lenses to be seen through."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import joined, tube
from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.numeric import unit

_FRAMES = ("15130f", "2b1c12", "5a3a20", "8c8c90", "b08d4a", "2a3550", "6a1f28", "d8d4cc")
# Light that comes through a tint, relative to grey: grey, brown, green, blue, rose
_TINTS = ((1.0, 1.0, 1.0), (1.0, 0.75, 0.5), (0.75, 1.0, 0.8), (0.65, 0.8, 1.0), (1.0, 0.7, 0.72))
# Share of the light that comes through at the top and at the bottom of a lens: lowest, highest
_TRANSMITTANCE = {
    "clear": ((0.93, 0.97), (0.93, 0.97)),
    "tinted": ((0.25, 0.55), (0.6, 0.9)),
    "sunglasses": ((0.02, 0.08), (0.03, 0.22)),
}
_WRAP = 2.0  # 1/m: a lens 5 cm off the middle stands 5 mm back
_RIM_POINTS = 40
_RINGS = (0.8, 1.0)  # of a lens, shares of the distance to its rim; within the first one nothing is bent
_BULGE = 0.0015  # m from the rim of a lens forwards to its middle


@dataclass(frozen=True)
class Lenses:
    """Both lenses as one surface.

    Attributes:
        transmittance: share of the light that comes through, per vertex and colour.
        bend: how far (m, world) beside a vertex what is seen through it really lies. It is 0 over the eye, so
            that labels there stay true.
        dark: such lenses are labelled as eyeglasses, others are not labelled.
    """

    surface: Accessory
    transmittance: Float[np.ndarray, "n 3"]
    bend: Float[np.ndarray, "n 3"]
    dark: bool


def spectacles(person: Person) -> tuple[list[Accessory], Lenses | None]:
    """Frame and lenses on a posed face; metres, world frame. Nothing for people without eyeglasses."""
    kind, rng, vertices, face = (
        person.appearance.eyeglasses, person.rng("eyeglasses"), person.vertices, person.landmarks
    )  # fmt: skip
    if kind == "none":
        return [], None
    dark = kind == "sunglasses"
    right, left, root = face[36:42].mean(0), face[42:48].mean(0), face[27]
    x = unit(left - right)
    z = unit(np.cross(x, root - face[33]))  # out of the face
    to_face = np.stack([x, np.cross(z, x), z], 1)
    eyes, ears = (np.stack(pair) @ to_face - root @ to_face for pair in ((right, left), (face[0], face[16])))

    half = np.array([rng.uniform(0.024, 0.029), rng.uniform(0.018, 0.024)]) * (1.08 if dark else 1.0)
    outline = _outline(half, power=rng.uniform(2.0, 3.6))
    radius = rng.uniform(0.0009, 0.0024) * (1.3 if dark else 1.0)
    local = (vertices - root) @ to_face
    front = _clearance(local, eyes)
    middles = np.stack(
        [np.sign(eyes[:, 0]) * np.maximum(np.abs(eyes[:, 0]), half[0] + 0.008), eyes[:, 1] - 0.002], -1
    )
    rims = [_bent(outline + middle, front) for middle in middles]
    hinges = _bent(middles + np.stack([np.sign(middles[:, 0]) * half[0], [0.45 * half[1]] * 2], -1), front)

    pieces = [tube(rim, radius, closed=True) for rim in rims]
    for hinge, ear in zip(hinges, ears, strict=True):
        wide = _half_width(local, hinge, ear) + 1.1 * radius
        pieces.append(tube(_temple(hinge, ear, wide), 1.1 * radius, closed=False))
    span = np.linspace(-1, 1, 7)
    rise = middles[:, 1].mean() + 0.3 * half[1] + 0.003 * (1 - span**2)
    bridge = _bent(np.stack([span * (abs(middles[0, 0]) - half[0]), rise], -1), front)
    pieces.append(tube(bridge, 1.1 * radius, closed=False))
    for middle in middles:
        pieces += _pad(local, middle, half, front)

    points, faces = joined((p @ to_face.T + root, f) for p, f in pieces)
    color = hex_to_linear(str(rng.choice(_FRAMES)))
    frame = Accessory.surface(points, faces, color, "eyeglasses", "solid")
    return [frame], _lenses(rims, half, kind, to_face, root, rng)


def _lenses(
    rims: list[np.ndarray],
    half: np.ndarray,
    kind: str,
    to_face: np.ndarray,
    root: np.ndarray,
    rng: np.random.Generator,
) -> Lenses:
    """Slightly bulged discs in the rims. What lies behind the edge of a lens is seen a little nearer to the
    middle of the lens or farther from it, as through lenses for short or long sight."""
    ring = np.concatenate([[0.0], np.repeat(_RINGS, _RIM_POINTS)])[:, None]
    power = rng.uniform(-0.06, 0.04)
    points, bends, heights = [], [], []
    for rim in rims:
        middle = rim.mean(0)
        off = ring * np.concatenate([[rim[0]], *[rim] * len(_RINGS)]) - ring * middle
        points.append(middle + off + (1 - ring**2) * [0, 0, _BULGE])
        bends.append(-power * (ring > _RINGS[0]) * off)
        heights.append(off[:, 1] / half[1])
    i = np.arange(_RIM_POINTS)
    j = (i + 1) % _RIM_POINTS
    fan = np.stack([0 * i, 1 + i, 1 + j], -1)
    a, b = 1 + i, 1 + j
    faces = np.concatenate(
        [fan, np.stack([a, a + _RIM_POINTS, b + _RIM_POINTS], -1), np.stack([a, b + _RIM_POINTS, b], -1)]
    )
    points, faces = joined((p @ to_face.T + root, faces) for p in points)
    surface = Accessory.surface(points, faces, np.full(3, 0.02), "eyeglasses", "solid")
    top, bottom = (rng.uniform(*ends) for ends in _TRANSMITTANCE[kind])
    share = np.exp(np.interp(np.concatenate(heights), [-0.8, 0.8], np.log([bottom, top])))
    tint = np.array(_TINTS[0 if kind == "clear" else int(rng.integers(len(_TINTS)))])
    return Lenses(
        surface, (share[:, None] * tint).astype(np.float32),
        (np.concatenate(bends) @ to_face.T).astype(np.float32), kind == "sunglasses",
    )  # fmt: skip


def _pad(
    local: np.ndarray, middle: np.ndarray, half: np.ndarray, front: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nose pad on the nose's side and the wire that holds it."""
    side, y = np.sign(middle[0]), middle[1] - 0.3 * half[1]
    near = (np.abs(local[:, 1] - y) < 0.004) & (np.abs(side * local[:, 0] - 0.0085) < 0.003)
    if not near.any():
        return []
    on = np.array([side * 0.0085, y, min(float(local[near, 2].max()) + 0.0012, front)])
    start = _bent(np.array([[side * (abs(middle[0]) - 0.97 * half[0]), y]]), front)[0]
    bow = 0.5 * (start + on) - [0, 0, 0.001]
    lean = np.array([side * 0.0012, -0.0035, 0])
    wire, pad = np.stack([start, bow, on]), np.stack([on - lean, on, on + lean])
    return [tube(wire, 0.0005, closed=False), tube(pad, 0.0014, closed=False)]


def _outline(half: np.ndarray, power: float) -> np.ndarray:
    """Superellipse, narrower below; power 2 is round, more is square."""
    t = np.linspace(0, 2 * np.pi, _RIM_POINTS, endpoint=False)
    circle = np.stack([np.cos(t), np.sin(t)], -1)
    outline = np.sign(circle) * np.abs(circle) ** (2 / power) * half
    outline[:, 0] *= 1 - 0.10 * np.maximum(-outline[:, 1] / half[1], 0)
    return outline


def _clearance(local: np.ndarray, eyes: np.ndarray) -> float:
    """How far forward (m) the lenses stand, so that they touch neither lids nor brows nor cheeks."""
    x, y = np.abs(local[:, 0]), local[:, 1] - eyes[:, 1].mean()
    behind = (x > 0.018) & (x < 0.056) & (np.abs(y) < 0.018)
    nearest = float(np.quantile((local[:, 2] + _WRAP * x**2)[behind], 0.99)) if behind.any() else 0.0
    return max(float(eyes[:, 2].max()) + 0.016, nearest + 0.003)


def _bent(xy: np.ndarray, front: float) -> np.ndarray:
    """Points (x, y) of the flat frame, bent around the face."""
    return np.column_stack([xy, front - _WRAP * xy[:, 0] ** 2])


def _half_width(local: np.ndarray, hinge: np.ndarray, ear: np.ndarray) -> float:
    """Distance (m) of the side of the head from the middle, before the ear at the height of the hinge."""
    side = np.sign(hinge[0]) * local[:, 0]
    near = (np.abs(local[:, 1] - hinge[1]) < 0.010) & (np.abs(local[:, 2] - ear[2] - 0.015) < 0.020)
    return float(max(side[near].max(initial=0.0), abs(ear[0]), abs(hinge[0])))


def _temple(hinge: np.ndarray, ear: np.ndarray, wide: float) -> np.ndarray:
    """Line from the hinge over the ear's root, ending between ear and head."""
    x, y, z = np.sign(hinge[0]) * wide, hinge[1], ear[2]
    turn = [[x, y + 0.002, hinge[2] - 0.02], [x, y, z]]
    behind = [[0.95 * x, y, z - 0.02], [0.86 * x, y - 0.004, z - 0.032], [0.76 * x, y - 0.02, z - 0.045]]
    return np.array([hinge, *turn, *behind])
