"""Props: microphone, cup, phone (back towards +z, y up); book, leaves, a lump, which reach from the origin
along +x to outside the image. Metres."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull

from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import lattice_faces, tube
from synthforge.generators.occluders.hand import piece
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.visibility import fibonacci_sphere

_AROUND = 40
WARES = ("e8e4da", "c8b594", "2a3550", "7a2430", "3f5a45", "1c1d22", "b5542e", "4d7ea8", "d8a0a0")
_LEAVES = ("3c5a24", "54702c", "6d8a3a", "8a6a2a", "2f4a2a")


def lathe(profile: list[tuple[float, float]], color: np.ndarray) -> Accessory:
    """Surface of revolution around the y axis through (radius, height) pairs, listed from the top down the
    outside.

    `color` is one linear RGB, or one per pair.
    """
    radius, height = np.array(profile, float).T
    turn = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    y = np.broadcast_to(height[:, None], (len(radius), _AROUND))
    points = np.stack([radius[:, None] * np.cos(turn), y, -radius[:, None] * np.sin(turn)], -1)
    albedo = np.broadcast_to(np.broadcast_to(color, (len(radius), 3))[:, None], points.shape)
    faces = lattice_faces(len(radius), _AROUND, closed=True)
    return piece(points.reshape(-1, 3), faces, albedo.reshape(-1, 3))


def microphone(rng: np.random.Generator) -> list[Accessory]:
    """Wire ball, collar and handle; the origin is the ball's middle."""
    ball = 0.0255
    dark = hex_to_linear(str(rng.choice(["141416", "232327", "3a3b40", "101820"])))
    wire, gap = hex_to_linear(str(rng.choice(["8c8c90", "55565a", "202024"]))), np.full(3, 0.015)
    latitude, longitude = np.meshgrid(
        np.linspace(np.pi / 2, -1.1, 64), np.linspace(0, 2 * np.pi, 128, endpoint=False), indexing="ij"
    )
    weave = 0.5 + 0.5 * np.cos(40 * latitude) * np.cos(32 * longitude)
    r = ball * (1 + 0.012 * weave) * np.where(np.abs(latitude) < 0.1, 1.03, 1.0)
    band = (np.abs(latitude) < 0.1)[..., None]
    albedo = np.where(band, wire * 0.8, gap + weave[..., None] ** 2 * (wire - gap))
    points = r[..., None] * np.stack(
        [np.cos(latitude) * np.cos(longitude), np.sin(latitude), -np.cos(latitude) * np.sin(longitude)], -1
    )
    faces = lattice_faces(*latitude.shape, closed=True)
    grille = piece(points.reshape(-1, 3), faces, albedo.reshape(-1, 3), "metal")
    handle = [(0.013, -0.021), (0.0175, -0.0225), (0.0180, -0.026), (0.0180, -0.034), (0.0165, -0.036)]
    handle += [(0.0162, -0.05), (0.0135, -0.12), (0.0118, -0.185), (0.010, -0.189), (0.0, -0.19)]
    return [grille, lathe(handle, dark)]


def cup(rng: np.random.Generator) -> tuple[list[Accessory], float]:
    """A mug with a handle, or a paper cup with lid and sleeve; the origin is the middle of its rim. And
    the radius (m) of the rim."""
    color, inside = hex_to_linear(str(rng.choice(WARES))), hex_to_linear("efece4")
    if rng.random() < 0.55:
        r, h = rng.uniform(0.037, 0.043), rng.uniform(0.085, 0.105)
        wall = [(0.0, 0.006 - h), (r - 0.006, 0.008 - h), (r - 0.0035, -0.003), (r - 0.0018, 0.0)]
        wall += [(r, -0.0025), (r, 0.012 - h), (r - 0.003, 0.003 - h), (r - 0.006, -h), (0.0, -h)]
        shades = np.array([inside * 0.3, inside, inside] + [color] * 6)
        t = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 14)
        line = np.stack([-r - 0.026 * np.cos(t) + 0.002, -0.5 * h + 0.3 * h * np.sin(t), np.zeros(14)], 1)
        points, faces = tube(line, 0.0048, closed=False)
        return [lathe(wall, shades), piece(points, faces, color)], r
    r, h = 0.041, rng.uniform(0.10, 0.125)
    lid = hex_to_linear(str(rng.choice(["e8e6e1", "1c1a19"])))
    paper, belt = hex_to_linear("e6e1d6"), hex_to_linear(str(rng.choice(["8a6a45", "5a4630", *WARES])))

    def wide(y: float) -> float:
        return r - 0.0105 * -y / h

    top = [(0.0, -0.006), (r - 0.007, -0.006), (r - 0.005, 0.0), (r - 0.002, 0.0), (r + 0.001, -0.008)]
    top += [(r + 0.002, -0.011), (r - 0.001, -0.012)]
    body = [(wide(y) + 0.0002, y) for y in (-0.011, -0.03)]
    belted = [(wide(y) + 0.0014, y) for y in (-0.0301, -0.80 * h)]
    foot = [(wide(y), y) for y in (-0.8001 * h, -h)] + [(0.0, -h)]
    shades = np.array([lid] * len(top) + [paper] * 2 + [belt] * 2 + [paper] * 3)
    return [lathe(top + body + belted + foot, shades)], r


def slab(size: Float[np.ndarray, " 3"], corner: float, color: np.ndarray, edge: float) -> Accessory:
    """Plate of a `size` (m) with corners of radius `corner` (m) and a rim of radius `edge` (m)."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    round_ = np.stack([np.cos(t), np.sin(t)], -1)
    flat = 0.5 * size[:2] - corner
    rings, heights = [], []
    for angle in np.linspace(-np.pi / 2, np.pi / 2, 9):
        inset = edge * (1 - np.cos(angle))
        rings.append(np.sign(round_) * flat + (corner - inset) * round_)
        heights.append(np.sign(angle) * (0.5 * size[2] - edge) + edge * np.sin(angle))
    rings = [rings[0] * 0, rings[0] * 0.97, *rings, rings[-1] * 0.97, rings[-1] * 0]
    heights = [heights[0], heights[0], *heights, heights[-1], heights[-1]]
    z = np.broadcast_to(np.array(heights)[:, None, None], (len(rings), 48, 1))
    points = np.concatenate([np.stack(rings), z], -1)
    faces = lattice_faces(len(rings), 48, closed=True)[:, ::-1]
    return piece(points.reshape(-1, 3), faces, color)


def phone(rng: np.random.Generator) -> tuple[list[Accessory], Float[np.ndarray, " 3"]]:
    """A phone with the lenses of its camera, and its size (m)."""
    size = np.array([rng.uniform(0.068, 0.078), rng.uniform(0.140, 0.160), 0.0085])
    back = hex_to_linear(str(rng.choice(["1a1a1c", "d8d4cc", "2a3550", "7d8794", "b9a7c0", "35483c"])))
    body = slab(size, 0.011, back, 0.003)
    screen = slab(np.array([size[0] - 0.004, size[1] - 0.004, 0.001]), 0.009, np.full(3, 0.008), 0.0004)
    island = slab(np.array([0.031, 0.034, 0.003]), 0.008, back * 0.7, 0.0012)
    pieces = [body, _shifted(screen, [0, 0, -0.5 * size[2]])]
    corner = np.array([-0.5 * size[0] + 0.020, 0.5 * size[1] - 0.022, 0.5 * size[2] + 0.0005])
    pieces.append(_shifted(island, corner))
    lens = [(0.0, 0.0022), (0.0048, 0.0022), (0.0055, 0.0016), (0.0060, 0.0), (0.0060, -0.001)]
    for x, y in ((-0.0075, 0.008), (-0.0075, -0.008), (0.0075, 0.008)):
        ring = lathe(lens, np.array([[0.004] * 3] * 2 + [[0.05] * 3] * 3))
        upright = ring.vertices @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
        pieces.append(piece(upright + corner + [x, y, 0.001], ring.faces, ring.albedo))
    return pieces, size


def _shifted(part: Accessory, by: np.ndarray | list[float]) -> Accessory:
    return replace(part, vertices=part.vertices + by)


def book(rng: np.random.Generator) -> list[Accessory]:
    """A large book: covers in one colour, pale pages."""
    size = np.array([0.42, rng.uniform(0.08, 0.3), rng.uniform(0.012, 0.04)])
    cover = hex_to_linear(str(rng.choice(WARES)))
    pages = slab(size - [0.006, 0.008, 0.005], 0.001, hex_to_linear("e6dfcc"), 0.0005)
    plate = np.array([size[0], size[1], 0.0025])
    plates = [_shifted(slab(plate, 0.003, cover, 0.001), [0, 0, s * 0.5 * size[2]]) for s in (1, -1)]
    return [_shifted(part, [0.5 * size[0], 0, 0]) for part in (pages, *plates)]


def ball_of_noise(rng: np.random.Generator) -> list[Accessory]:
    """A smooth lump of one colour, long along x."""
    direction = fibonacci_sphere(2400).astype(np.float64)
    bumps = noise(direction.astype(np.float32), 0.8, rng.uniform(0, 48, 3))
    half = rng.uniform([0.24, 0.03, 0.03], [0.3, 0.10, 0.06])
    points = direction * half * (1 + 0.10 * bumps[:, :1]) + [half[0], 0, 0]
    faces = ConvexHull(direction).simplices
    a, b, c = (direction[faces[:, i]] for i in range(3))
    inward = (np.cross(b - a, c - a) * a).sum(1) < 0
    faces = np.where(inward[:, None], faces[:, ::-1], faces)
    color = hex_to_linear(str(rng.choice(WARES)))
    albedo = np.clip(color * np.exp(0.15 * bumps[:, 1:2]), 0.005, 0.85)
    return [piece(points, faces, albedo, str(rng.choice(["solid", "cloth"])))]


def leaf(rng: np.random.Generator) -> list[Accessory]:
    """A twig with pointed leaves, each folded along its rib."""
    pieces = []
    color = hex_to_linear(str(rng.choice(_LEAVES)))
    for k in range(int(rng.integers(4, 9))):
        length, wide = rng.uniform(0.07, 0.14), rng.uniform(0.018, 0.035)
        u, v = np.meshgrid(np.linspace(0, 1, 24), np.linspace(-1, 1, 13), indexing="ij")
        shape = np.sin(np.pi * u**0.8) ** 0.9 * wide
        droop, fold = rng.uniform(-0.03, 0.03), rng.uniform(0.1, 0.5)
        height = fold * np.abs(v) * shape + droop * u**2
        points = np.stack([-u * length, v * shape, height], -1).reshape(-1, 3)
        a, tip = rng.normal(0, 0.7), rng.normal(0, 0.4)
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        lean = np.array([[np.cos(tip), 0, np.sin(tip)], [0, 1, 0], [-np.sin(tip), 0, np.cos(tip)]])
        rib = 1 + 0.6 * np.exp(-((v / 0.07) ** 2)) - 0.15 * np.abs(np.sin(14 * u + 5 * np.abs(v)))
        albedo = np.clip(color * rng.uniform(0.7, 1.3) * rib[..., None], 0.005, 0.6).reshape(-1, 3)
        start = [0.035 * k + 0.1, rng.normal(0, 0.012), rng.normal(0, 0.01)]
        faces = lattice_faces(24, 13)[:, ::-1]
        pieces.append(piece(points @ (turn @ lean).T + start, faces, albedo))
    line = np.stack([np.linspace(0.09, 0.7, 8), 0.02 * np.sin(np.linspace(0, 2, 8)), np.zeros(8)], 1)
    points, faces = tube(line, 0.0022, closed=False)
    return [*pieces, piece(points, faces, color * 0.6)]
