"""A hand with wrist and sleeve that closes on what it holds: tapering rods blended into one skin.

Hand frame of a right hand (metres): origin in the wrist, +y to the fingers, +z out of the back of the
hand, the thumb towards -x. Lengths and radii are ours: an adult's hand of 190 mm from the wrist to the middle
finger's tip and 80 mm across the knuckles.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy.spatial.transform import Rotation

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import lattice_faces
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.numeric import unit
from synthforge.generators.shading.visibility import fibonacci_sphere

Distance = Callable[[np.ndarray], np.ndarray]  # points n 3 (hand frame) -> signed distance (m) to an object

# thumb, index, middle, ring, little: root, lengths of three phalanges, radii at their four ends (mm)
_ROOTS = np.array([[-23, 20, -11], [-27, 88, -1], [-5, 92, 1], [15, 88, 0], [32, 79, -4]]) * 1e-3
_LENGTHS = np.array([[46, 33, 25], [43, 25, 19], [47, 28, 20], [43, 26, 20], [34, 20, 18]]) * 1e-3
_RADII = (
    np.array([[14, 11.5, 10.5, 8.2], [10.8, 9.6, 8.4, 7.0], [11, 9.8, 8.6, 7.1], [10.6, 9.2, 8.1, 6.8],
              [9.6, 8.2, 7.1, 6.0]]) * 1e-3
)  # fmt: skip
_SPREAD = np.radians([0, 3, 0, -3, -7])  # of the straight fingers, about the back's normal
# of the thumb beside the palm, and in front of it: angles (degrees) at the root, axis it bends about
_THUMB = np.array([[40, -24], [14, -74]])
_OPPOSING = np.array([[-0.45, -0.74, -0.50], [0.93, -0.25, -0.25]])
_BEND = np.radians([[38, 42, 60], [85, 100, 65], [88, 102, 68], [88, 100, 66], [85, 95, 62]])  # closed
_CARPUS = np.array([[-17, 8, -3], [-8, 6, 0], [2, 5, 1], [12, 6, 0], [19, 8, -3]]) * 1e-3
_WEB, _FINGER, _PALM = 0.006, 0.003, 0.012  # m over which rods blend into each other
_CELL = 0.0025  # m
_BLOCK = 3  # cells to a side
_NAILS = ("e0a893", "c98f7c", "b3202c", "6e1f3c", "3a3030")
_STEPS = np.linspace(0, 1, 15)


def piece(
    points: Float[np.ndarray, "n 3"],
    faces: Int[np.ndarray, "m 3"],
    albedo: Float[np.ndarray, "*n 3"],
    material: str = "solid",
    ambient: Float[np.ndarray, " n"] | None = None,
) -> Accessory:
    """A part of an occluder, in the frame of its maker; `albedo` is one linear RGB or one per point."""
    albedo = np.broadcast_to(albedo, points.shape)
    return Accessory(points, faces, "occluder", albedo, material, ambient=ambient)


def finger_joints(
    bend: Float[np.ndarray, " 6"],
) -> tuple[Float[np.ndarray, "5 4 3"], Float[np.ndarray, "5 3"]]:
    """Knuckles and tips of the five fingers, and the axes they bend about.

    Args:
        bend: of thumb to little finger, 0 straight, 1 in a fist; the last is how far (0 to 1) the thumb has
            moved from beside the palm to the front of it.
    Returns:
        joints 5 4 3 (m, hand frame), unit axes 5 3.
    """
    out, axes = np.empty((5, 4, 3)), np.empty((5, 3))
    swing = np.array([1 - bend[5], bend[5]])
    for finger in range(5):
        if finger:
            turn = _about(np.array([0, 0, 1.0]), (1 - bend[finger]) * _SPREAD[finger])
            axes[finger] = axis = turn @ [-1.0, 0, 0]
        else:
            beside, before = np.radians(swing @ _THUMB)
            turn = _about(np.array([0, 0, 1.0]), beside) @ _about(np.array([1.0, 0, 0]), before)
            axes[finger] = axis = swing @ _OPPOSING / np.linalg.norm(swing @ _OPPOSING)
        out[finger, 0] = place = _ROOTS[finger]
        for k in range(3):
            turn = _about(axis, bend[finger] * _BEND[finger, k]) @ turn
            place = place + _LENGTHS[finger, k] * turn[:, 1]
            out[finger, k + 1] = place
    return out, axes


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix (Rodrigues' formula); faster than scipy's for a single one."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def close(limits: Float[np.ndarray, " 6"], distance: Distance, gap: float = 0.0) -> Float[np.ndarray, " 6"]:
    """Bend of each finger, at most `limits`, at which its skin is `gap` (m) from the object of `distance`.

    A finger that is closer from the start stays, but comes no closer.
    """
    out, moving, share = np.zeros(5), np.ones(5, bool), np.linspace(0, 1, 5)[:, None]
    for step in _STEPS:
        joints, _ = finger_joints(np.append(step * limits[:5], limits[5]))
        start, end = joints[:, :-1, None], joints[:, 1:, None]
        line = (start + share * (end - start)).reshape(-1, 3)
        radius = _RADII[:, :-1, None] + share[:, 0] * np.diff(_RADII)[..., None]
        nearest = (distance(line).reshape(radius.shape) - radius).min((1, 2))
        if step == 0:
            least = np.minimum(gap, nearest - 2e-4)
        moving &= nearest > least
        out[moving] = step
    return np.append(out * limits[:5], limits[5])


def outline(bend: Float[np.ndarray, " 6"], arm: Rotation) -> Float[np.ndarray, "n 3"]:
    """Some points (m, hand frame) near the skin of `hand`, fast."""
    rods, _ = _rods(finger_joints(bend)[0], arm)
    t = np.linspace(0, 1, 4)[:, None, None]
    middle = rods[:, :3] + t * (rods[:, 3:6] - rods[:, :3])
    radius = rods[:, 6] + t[..., 0] * (rods[:, 7] - rods[:, 6])
    return (middle[:, :, None] + radius[..., None, None] * fibonacci_sphere(24)).reshape(-1, 3)


def hand(
    bend: Float[np.ndarray, " 6"],
    arm: Rotation,
    skin: Float[np.ndarray, " 3"],
    sleeve: Float[np.ndarray, " 3"],
    rng: np.random.Generator,
) -> list[Accessory]:
    """Skin, nails and sleeve of a right hand in the hand frame; `arm` turns the forearm from -y."""
    joints, axes = finger_joints(bend)
    rods, groups = _rods(joints, arm)
    points, faces, free = _surface(rods, groups)
    pieces = [piece(points, faces, _skin_color(points, joints, skin, rng), "flesh", free)]
    painted = rng.random() < 0.2
    bare = np.minimum(0.55 * skin + 0.45 * hex_to_linear(_NAILS[0]), 0.9)
    nail = hex_to_linear(_NAILS[rng.integers(2, len(_NAILS))]) if painted else bare
    for finger in range(5):
        pieces.append(_nail(joints[finger, 2:], axes[finger], _RADII[finger, 3], nail))
    cloth = _sleeve(sleeve, rng)
    return [*pieces, replace(cloth, vertices=arm.apply(cloth.vertices))]


def _rods(joints: np.ndarray, arm: Rotation) -> tuple[np.ndarray, np.ndarray]:
    """Rods (both ends and their radii) and the group of each: 0 palm and arm, then the fingers."""
    knuckles = np.vstack([joints[0, :1], joints[1:, 0]])
    rods = [
        [*c, *(k - [0, 0.004, 0.001]), 0.0125, 0.0112] for c, k in zip(_CARPUS[1:], knuckles[1:], strict=True)
    ]
    rods.append([-0.014, 0.016, -0.012, *(joints[0, 1] * 0.9 + knuckles[1] * 0.1), 0.0165, 0.0105])  # thenar
    rods.append(
        [-0.018, 0.030, -0.008, *(knuckles[1] * 0.75 + joints[0, 1] * 0.25), 0.012, 0.0075]
    )  # its web
    rods.append([0.021, 0.018, -0.009, 0.030, 0.064, -0.009, 0.0150, 0.0115])  # ball of the little finger
    for side in (-1, 1):
        end = arm.apply([side * 0.012, -0.075, -0.002])
        rods.append([side * 0.010, 0.010, -0.002, *arm.apply([side * 0.010, 0.0, -0.002]), 0.0185, 0.0185])
        rods.append([*arm.apply([side * 0.010, 0.0, -0.002]), *end, 0.0185, 0.0205])
    groups = [0] * len(rods)
    for finger in range(5):
        for k in range(3):
            start, end = joints[finger, k], joints[finger, k + 1]
            rods.append([*start, *end, *_RADII[finger, k : k + 2]])
            groups.append(finger + 1)
    return np.array(rods), np.array(groups)


def _surface(rods: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points and triangles of the skin around the blended rods, and the ambient visibility of the points."""
    ends, radius = rods[:, :6].reshape(-1, 2, 3), rods[:, 6:, None]
    low, high = (ends - radius).min((0, 1)) - 3 * _CELL, (ends + radius).max((0, 1)) + 3 * _CELL
    shape = np.ceil((high - low) / (_BLOCK * _CELL)).astype(int)
    near = _near(low, shape, rods)
    points, faces = surface_net(_filled(low, near, rods, groups))
    points = low + points * _CELL
    for _ in range(2):  # onto the surface itself
        at, slope = _gradient(points, low, near, rods, groups)
        steep = np.maximum((slope**2).sum(1), 0.25)
        points = points - np.clip(at / steep, -_CELL, _CELL)[:, None] * slope
    normal = slope / np.sqrt(steep)[:, None]
    off = [(far, points + far * normal) for far in (0.005, 0.013)]
    free = [_distances(p, _bits(p, low, near), rods, groups) / far for far, p in off]
    return points, faces, 0.25 + 0.75 * np.clip(free, 0, 1).mean(0) ** 0.8


@njit(cache=True)
def _blend(a, b, width):
    """Smooth minimum of two distances (quadratic)."""
    h = max(width - abs(a - b), 0.0) / width
    return min(a, b) - 0.25 * h * h * width


@njit(cache=True)
def _off_rod(x, y, z, rod):
    """Distance to one rod."""
    ux, uy, uz = rod[3] - rod[0], rod[4] - rod[1], rod[5] - rod[2]
    px, py, pz = x - rod[0], y - rod[1], z - rod[2]
    t = min(max((px * ux + py * uy + pz * uz) / (ux * ux + uy * uy + uz * uz), 0.0), 1.0)
    px, py, pz = px - t * ux, py - t * uy, pz - t * uz
    return np.sqrt(px * px + py * py + pz * pz) - (rod[6] + t * (rod[7] - rod[6]))


@njit(cache=True)
def _off(x, y, z, bits, rods, groups):
    """Distance to the rods in `bits`: blended within a group and into the palm, sharp between fingers."""
    a = b = c = d = e = f = 1.0
    for r in range(rods.shape[0]):
        if bits >> r & 1:
            away, g = _off_rod(x, y, z, rods[r]), groups[r]
            if g == 0:
                a = _blend(a, away, _PALM)
            elif g == 1:
                b = _blend(b, away, _FINGER)
            elif g == 2:
                c = _blend(c, away, _FINGER)
            elif g == 3:
                d = _blend(d, away, _FINGER)
            elif g == 4:
                e = _blend(e, away, _FINGER)
            else:
                f = _blend(f, away, _FINGER)
    near = min(_blend(a, b, _WEB), _blend(a, c, _WEB), _blend(a, d, _WEB))
    return min(near, _blend(a, e, _WEB), _blend(a, f, _WEB))


@njit(cache=True)
def _near(low, shape, rods):
    """The rods (as bits) that shape the surface in each block of the grid; 0 where there is no surface."""
    out = np.zeros((shape[0], shape[1], shape[2]), np.int64)
    half = 0.5 * _BLOCK * _CELL
    wide = 1.1 * np.sqrt(3.0) * half  # rods taper: a step may change the distance by a little more
    off = np.empty(rods.shape[0])
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                x, y = low[0] + (2 * i + 1) * half, low[1] + (2 * j + 1) * half
                z = low[2] + (2 * k + 1) * half
                for r in range(rods.shape[0]):
                    off[r] = _off_rod(x, y, z, rods[r])
                least = off.min()
                if least < wide + 0.5 * _PALM:
                    for r in range(rods.shape[0]):
                        if off[r] < least + 2 * wide + _PALM:
                            out[i, j, k] |= 1 << r
    return out


@njit(cache=True)
def _filled(low, near, rods, groups):
    """Distances on the grid, `_BLOCK` cells to a block."""
    n, m, o = near.shape
    out = np.ones((n * _BLOCK, m * _BLOCK, o * _BLOCK))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                bits = near[i // _BLOCK, j // _BLOCK, k // _BLOCK]
                if bits:
                    x, y, z = low[0] + i * _CELL, low[1] + j * _CELL, low[2] + k * _CELL
                    out[i, j, k] = _off(x, y, z, bits, rods, groups)
    return out


def _bits(points: np.ndarray, low: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The rods (as bits) that shape the surface at points."""
    block = np.clip(((points - low) / (_BLOCK * _CELL)).astype(int), 0, np.array(near.shape) - 1)
    return near[tuple(block.T)]


def _gradient(
    points: np.ndarray, low: np.ndarray, near: np.ndarray, rods: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance and its gradient at points, from the corners of a small tetrahedron."""
    bits = _bits(points, low, near)
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    around = np.stack([_distances(points + 2e-4 * c, bits, rods, groups) for c in corners], 1)
    return around.mean(1), around @ corners / (4 * 2e-4)


@njit(cache=True)
def _distances(points, bits, rods, groups):
    """`_off` of many points."""
    out = np.empty(points.shape[0])
    for n in range(points.shape[0]):
        out[n] = _off(points[n, 0], points[n, 1], points[n, 2], bits[n], rods, groups)
    return out


def surface_net(
    values: Float[np.ndarray, "i j k"],
) -> tuple[Float[np.ndarray, "n 3"], Int[np.ndarray, "m 3"]]:
    """Vertices (in cells) and triangles of the zero surface of a grid, counter-clockwise from the positive
    side.

    Each cell that the surface passes has one vertex, at the mean of its crossings; each crossed edge has two
    triangles. Source: Gibson (1998), surface nets.
    """
    inside = values < 0
    corner = np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    n = np.array(values.shape) - 1
    count = sum(inside[i : i + n[0], j : j + n[1], k : k + n[2]].astype(int) for i, j, k in corner)
    cells = np.argwhere((count > 0) & (count < 8))
    number = np.full(n, -1)
    number[tuple(cells.T)] = np.arange(len(cells))
    total, hits = np.zeros((len(cells), 3)), np.zeros(len(cells))
    faces = []
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        for start in corner[corner[:, axis] == 0]:
            a, b = cells + start, cells + start + step
            va, vb = values[tuple(a.T)], values[tuple(b.T)]
            crossed = (va < 0) != (vb < 0)
            share = va[crossed] / (va - vb)[crossed]
            total[crossed] += start + share[:, None] * step
            hits += crossed
        faces.append(_quads(inside, number, axis))
    return cells + total / hits[:, None], np.concatenate(faces)


def _quads(inside: np.ndarray, number: np.ndarray, axis: int) -> np.ndarray:
    """Two triangles around each grid edge along `axis` that goes into or out of the solid."""
    first, second = np.moveaxis(inside, axis, 0)[:-1], np.moveaxis(inside, axis, 0)[1:]
    at = np.argwhere(first != second)
    leaves = first[tuple(at.T)]
    others = np.roll(np.arange(3), -axis)[1:]
    edge = np.empty_like(at)
    edge[:, axis] = at[:, 0]
    edge[:, [a for a in range(3) if a != axis]] = at[:, 1:]
    around = []
    for u, v in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
        cell = edge.copy()
        cell[:, others[0]] += u
        cell[:, others[1]] += v
        around.append(number[tuple(cell.T)])
    a, b, c, d = around
    quads = np.where(leaves[:, None], np.stack([a, b, c, d], 1), np.stack([a, d, c, b], 1))
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _skin_color(
    points: np.ndarray, joints: np.ndarray, skin: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Linear RGB of the skin: redder at knuckles and tips, paler in the palm, a little uneven."""
    blood, shade = np.zeros(len(points)), np.zeros(len(points))
    for k, width, much in ((0, 0.010, 0.30), (1, 0.007, 0.45), (2, 0.006, 0.35), (3, 0.009, 0.45)):
        for joint in joints[1 if k == 0 else 0 :, k]:
            near = np.exp(-((points - joint) ** 2).sum(1) / (2 * width**2))
            blood += much * near
            shade += (0.22 if k in (1, 2) else 0.0) * near
    palm = 1 / (1 + np.exp((points[:, 2] + 0.010) / 0.003)) * (points[:, 1] > -0.005)
    dark = float(np.clip((0.35 - skin @ [0.21, 0.72, 0.07]) / 0.35, 0, 1))
    uneven = sum(np.sin(points @ rng.normal(0, 160, 3) + rng.uniform(0, 6.3)) for _ in range(4)) * 0.02
    depth = (blood * (1 - 0.9 * dark) + uneven)[:, None] * [0.03, 0.36, 0.26]
    depth = depth + (shade + uneven)[:, None] * [0.25, 0.4, 0.5] - palm[:, None] * (0.10 + 0.3 * dark**2)
    return np.minimum(skin * np.exp(-depth), 0.85)


def _nail(phalanx: np.ndarray, across: np.ndarray, radius: float, color: np.ndarray) -> Accessory:
    """Nail: a plate on the back of the last phalanx, which bends about `across`."""
    along = unit(phalanx[1] - phalanx[0])
    across = unit(across - (across @ along) * along)
    back = np.cross(along, across)
    a, b = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
    u, v = a * np.sqrt(1 - b**2 / 2), b * np.sqrt(1 - a**2 / 2)  # a disc
    angle = np.radians(46) * np.sign(u) * np.abs(u) ** 0.9
    reach = radius * (0.02 + 0.80 * np.sign(v) * np.abs(v) ** 0.8)
    out = radius * 1.05 + 0.0006 - 0.0014 * np.maximum(v, 0) ** 2 - 0.0012 * np.maximum(-v, 0) ** 3
    out = out * np.where(reach > 0, np.sqrt(np.maximum(1 - (0.5 * reach / radius) ** 2, 0.1)), 1.0)
    radial = np.sin(angle)[..., None] * across + np.cos(angle)[..., None] * back
    points = phalanx[1] + (reach[..., None] - 0.35 * radius) * along + out[..., None] * radial
    tip = np.clip((v - 0.72) / 0.15, 0, 1)[..., None]
    albedo = np.clip(color * (1 + 0.35 * tip), 0, 0.9)
    return piece(points.reshape(-1, 3), lattice_faces(9, 9)[:, ::-1], albedo.reshape(-1, 3))


def _sleeve(color: np.ndarray, rng: np.random.Generator) -> Accessory:
    """A loose tube from the wrist to outside the image, with a cuff turned in at its end."""
    along = np.array([-0.046, -0.042, -0.040, -0.044, -0.062, -0.064, -0.10, -0.14, -0.19, -0.25, -0.34])
    start = rng.uniform(-0.035, 0.01)
    wide = np.array([0.026, 0.030, 0.0345, 0.0365, 0.0365, 0.0345, 0.038, 0.043, 0.047, 0.051, 0.054])
    turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    phase = along[:, None] * 140 + 2 * np.sin(turn) + rng.uniform(0, 6)
    ripple = 1 + 0.05 * np.sin(phase) * (along < -0.065)[:, None]
    ring = wide[:, None] * ripple
    y = np.broadcast_to(along[:, None] + start, ring.shape)
    points = np.stack([1.08 * ring * np.cos(turn), y, 0.90 * ring * np.sin(turn) - 0.002], -1)
    faces = lattice_faces(*ring.shape, closed=True)[:, ::-1]
    return piece(points.reshape(-1, 3), faces, color, "cloth")
