"""Spectacles: two rims, a bridge, temples to the ears; dark lenses in sunglasses."""

import numpy as np
from jaxtyping import Float

from synthforge.conventions import CLASS_ID
from synthforge.generators.color import hex_to_linear
from synthforge.generators.worn import WornMesh, tube
from synthforge.heads.base import HeadModel

_FRAMES = ("15130f", "2b1c12", "5a3a20", "8c8c90", "b08d4a", "2a3550", "6a1f28", "d8d4cc")
_GLASS = ("0c0c0e", "1a120c", "0c1410")
_WRAP = 2.0  # 1/m: a lens 5 cm off the middle stands 5 mm back
_RIM_POINTS = 40


def spectacles(
    head: HeadModel, vertices: Float[np.ndarray, "v 3"], kind: str, rng: np.random.Generator
) -> list[WornMesh]:
    """Frame (`kind` "clear") or frame with dark lenses ("sunglasses"), fitted to posed vertices.

    Nothing for any other `kind`. Metres, world frame.
    """
    if kind not in ("clear", "sunglasses"):
        return []
    dark = kind == "sunglasses"
    face = head.landmarks(vertices)
    right, left, root = face[36:42].mean(0), face[42:48].mean(0), face[27]
    x = _unit(left - right)
    z = _unit(np.cross(x, root - face[33]))  # out of the face
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

    frame, glass = (hex_to_linear(str(rng.choice(colors))) for colors in (_FRAMES, _GLASS))
    parts = [(pieces, frame)] + ([([_disc(rim) for rim in rims], glass)] if dark else [])
    return [
        _worn([(points @ to_face.T + root, faces) for points, faces in some], color) for some, color in parts
    ]


def _outline(half: np.ndarray, power: float) -> np.ndarray:
    """Superellipse, narrower below; power 2 is round, more is square."""
    t = np.linspace(0, 2 * np.pi, _RIM_POINTS, endpoint=False)
    circle = np.stack([np.cos(t), np.sin(t)], -1)
    outline = np.sign(circle) * np.abs(circle) ** (2 / power) * half
    outline[:, 0] *= 1 - 0.10 * np.maximum(-outline[:, 1] / half[1], 0)
    return outline


def _clearance(local: np.ndarray, eyes: np.ndarray) -> float:
    """How far forward the lenses stand to clear lids, brows and cheeks."""
    x, y = np.abs(local[:, 0]), local[:, 1] - eyes[:, 1].mean()
    behind = (x > 0.018) & (x < 0.056) & (np.abs(y) < 0.018)
    nearest = float(np.quantile((local[:, 2] + _WRAP * x**2)[behind], 0.99)) if behind.any() else 0.0
    return max(float(eyes[:, 2].max()) + 0.016, nearest + 0.003)


def _bent(xy: np.ndarray, front: float) -> np.ndarray:
    """Points of the flat frame wrapped around the face."""
    return np.column_stack([xy, front - _WRAP * xy[:, 0] ** 2])


def _half_width(local: np.ndarray, hinge: np.ndarray, ear: np.ndarray) -> float:
    """Distance of the temple's side of the head from the middle, before the ear at the hinge's height."""
    side = np.sign(hinge[0]) * local[:, 0]
    near = (np.abs(local[:, 1] - hinge[1]) < 0.010) & (np.abs(local[:, 2] - ear[2] - 0.015) < 0.020)
    return float(max(side[near].max(initial=0.0), abs(ear[0]), abs(hinge[0])))


def _temple(hinge: np.ndarray, ear: np.ndarray, wide: float) -> np.ndarray:
    """Line from the hinge over the ear's root, ending between ear and head."""
    x, y, z = np.sign(hinge[0]) * wide, hinge[1], ear[2]
    turn = [[x, y + 0.002, hinge[2] - 0.02], [x, y, z]]
    return np.array([hinge, *turn, [0.97 * x, y - 0.003, z - 0.015], [0.86 * x, y - 0.02, z - 0.035]])


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def _disc(rim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fan over a closed outline, a little bulged, facing +z."""
    centre = rim.mean(0) + [0, 0, 0.0015]
    n = len(rim)
    i = np.arange(n)
    faces = np.stack([np.full(n, n), i, (i + 1) % n], -1)
    if np.cross(rim[0] - centre, rim[1] - centre)[2] < 0:
        faces = faces[:, ::-1]
    return np.concatenate([rim, centre[None]]), faces


def _worn(pieces: list[tuple[np.ndarray, np.ndarray]], color: np.ndarray) -> WornMesh:
    starts = np.cumsum([0, *(len(points) for points, _ in pieces)])
    points = np.concatenate([p for p, _ in pieces])
    faces = np.concatenate([f + s for (_, f), s in zip(pieces, starts, strict=False)]).astype(np.int32)
    albedo = np.tile(color, (len(points), 1)).astype(np.float32)
    kind = CLASS_ID["eyeglasses"]
    return WornMesh(points.astype(np.float32), faces, kind, albedo, np.zeros_like(albedo), "solid")
