"""Places behind people, painted small and sharp: rooms, streets, parks, walls.

Linear RGB; a lit white wall is about 0.8. Lamps, windows and skies are brighter than 1, so that the blur
of the background turns them into discs. Rooms and streets are boxes in metres, see `perspective`. Their
colours are estimates of common paints, stones and plants.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float

from synthforge.generators.backdrop.perspective import EYE, Canvas, View, Wall
from synthforge.generators.shading.color import blackbody

_WALLS = ((0.74, 0.70, 0.63), (0.62, 0.63, 0.62), (0.60, 0.52, 0.41), (0.46, 0.46, 0.45), (0.40, 0.44, 0.37),
          (0.27, 0.33, 0.38), (0.50, 0.30, 0.22), (0.13, 0.18, 0.16), (0.20, 0.19, 0.18))  # fmt: skip
_WALL_SHARE = np.array([0.3, 0.18, 0.15, 0.1, 0.09, 0.07, 0.04, 0.04, 0.03])
_WOODS = ((0.30, 0.17, 0.09), (0.42, 0.27, 0.15), (0.15, 0.09, 0.05), (0.52, 0.40, 0.27))
_CLOTHS = ((0.10, 0.11, 0.13), (0.26, 0.25, 0.24), (0.30, 0.22, 0.15), (0.08, 0.13, 0.19),
           (0.34, 0.31, 0.26), (0.20, 0.07, 0.05), (0.11, 0.16, 0.11))  # fmt: skip
_FACADES = ((0.30, 0.16, 0.11), (0.42, 0.37, 0.30), (0.48, 0.46, 0.42), (0.26, 0.25, 0.25),
            (0.50, 0.42, 0.28), (0.36, 0.22, 0.16))  # fmt: skip
_GREENS = ((0.11, 0.14, 0.065), (0.07, 0.095, 0.045), (0.16, 0.18, 0.085), (0.06, 0.08, 0.05),
           (0.19, 0.17, 0.09))  # fmt: skip


def _one(colors: tuple, rng: np.random.Generator, spread: float = 0.12) -> np.ndarray:
    """One of the colours, slightly changed at random."""
    base = np.array(colors[int(rng.integers(len(colors)))])
    return base * np.exp(rng.normal(0, spread)) * np.exp(rng.normal(0, 0.3 * spread, 3))


def _window(wall: Wall, u: float, light: str, rng: np.random.Generator) -> None:
    """Window with bars, a sill and perhaps curtains; the view through it suits the time of day."""
    wide, low, high = rng.uniform(0.8, 2.2), rng.uniform(0.3, 0.95), rng.uniform(1.9, 2.3)
    outside = {"night": 0.03, "evening": 0.7}.get(light, rng.uniform(2.0, 6.0))
    tint = blackbody(4200 if light == "evening" else rng.uniform(6200, 8500))
    wall.rect(u - 0.07, u + wide + 0.07, low - 0.1, high + 0.07, np.full(3, 0.7))
    split = low + (high - low) * rng.uniform(0.2, 0.5)
    green = np.array([0.35, 0.5, 0.25]) * rng.uniform(0.3, 0.9)
    wall.rect(u, u + wide, split, high, outside * tint)
    wall.rect(u, u + wide, low, split, outside * tint * green)
    if light == "night":
        for _ in range(int(rng.integers(2, 10))):
            a, b = u + wide * rng.random(), low + (high - low) * 0.7 * rng.random()
            wall.rect(a, a + 0.03, b, b + 0.03, rng.uniform(2, 9) * blackbody(rng.uniform(1900, 5000)))
    for bar in np.linspace(0, wide, int(rng.integers(2, 4)) + 1):
        wall.rect(u + bar - 0.025, u + bar + 0.025, low, high, np.full(3, 0.62))
    if rng.random() < 0.5:
        wall.rect(u, u + wide, 0.5 * (low + high), 0.5 * (low + high) + 0.05, np.full(3, 0.62))
    if rng.random() < 0.55:
        cloth = _one(_CLOTHS, rng) + rng.choice([0.0, 0.45])
        for edge in (u - 0.35, u + wide - 0.05):
            for fold in np.arange(0, 0.4, 0.08):
                wall.rect(edge + fold, edge + fold + 0.08, 0.05, 2.45, cloth * rng.uniform(0.7, 1.15))


def _shelf(wall: Wall, u: float, light: str, rng: np.random.Generator) -> None:
    """Bookcase with books in muted colours."""
    wide, boards = rng.uniform(0.8, 2.4), int(rng.integers(4, 7))
    wood, pitch = _one(_WOODS + _WALLS[:2], rng), 2.1 / boards
    wall.rect(u, u + wide, 0, 2.15, 0.35 * wood)
    for row in range(boards):
        v, at = row * pitch + 0.04, u + 0.04
        while at < u + wide - 0.1:
            if rng.random() < 0.15:
                at += rng.uniform(0.05, 0.3)
                continue
            thick = rng.uniform(0.03, 0.09)
            color = np.clip(_one(_CLOTHS + _WOODS + _WALLS[:3], rng, 0.35) * 0.9, 0.02, 0.8)
            wall.rect(at, at + thick, v, v + pitch * rng.uniform(0.55, 0.85), color)
            at += thick
        wall.rect(u, u + wide, v - 0.04, v, wood)
    for side in (u, u + wide - 0.04):
        wall.rect(side, side + 0.04, 0, 2.15, wood)


def _picture(wall: Wall, u: float, light: str, rng: np.random.Generator) -> None:
    wide, tall, v = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.8), rng.uniform(1.2, 1.6)
    wall.rect(u, u + wide, v, v + tall, _one(_WOODS, rng) * rng.choice([0.3, 1.0]))
    wall.rect(u + 0.03, u + wide - 0.03, v + 0.03, v + tall - 0.03, np.full(3, 0.7))
    m = rng.uniform(0.06, 0.12)
    wall.rect(u + m, u + wide - m, v + m, v + tall - m, _one(_CLOTHS + _WALLS, rng, 0.3))


def _door(wall: Wall, u: float, light: str, rng: np.random.Generator) -> None:
    color = _one(_WOODS + _WALLS[:2], rng)
    wall.rect(u - 0.08, u + 0.93, 0, 2.12, 0.85 * color + 0.1)
    wall.rect(u, u + 0.85, 0, 2.04, color if rng.random() < 0.7 else np.full(3, 0.03))


def _floor_lamp(view: View, x: float, z: float, light: str, rng: np.random.Generator) -> None:
    glow = rng.uniform(2.5, 6) * blackbody(rng.uniform(2400, 3100)) if light != "day" else np.full(3, 0.8)
    high, w = rng.uniform(0.9, 1.7) - EYE, rng.uniform(0.12, 0.2)
    view.post(x, z, 0.01, high, np.full(3, 0.05))
    top = high + 0.3
    view.quad([(x - w, high, z), (x + w, high, z), (x + 0.7 * w, top, z), (x - 0.7 * w, top, z)], glow)


def _leaves(
    view: View, at: tuple, radius: float, green: np.ndarray, rng: np.random.Generator, n: int = 40
) -> None:
    """Leaves around a point, lighter at the top."""
    offset = rng.normal(0, 0.4, (n, 3)) * [1, 0.8, 0.5]
    shade = np.exp(0.75 * offset[:, 1] + rng.normal(0, 0.35, n))[:, None]
    view.dots(np.array(at) + radius * offset, radius * rng.uniform(0.06, 0.2, n), green * shade)


def room(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """Corner or wall of a furnished room with windows and lamps."""
    view = View(size, np.radians(rng.uniform(24, 46)), rng.normal(0, 0.45), rng.normal(0.03, 0.05))
    half, back, top = rng.uniform(1.6, 3.6), rng.uniform(2.6, 6.5), rng.uniform(0.95, 1.5)
    wall = np.array(_WALLS[rng.choice(len(_WALLS), p=_WALL_SHARE)]) * np.exp(rng.normal(0, 0.05, 3))
    accent = wall if rng.random() < 0.75 else _one(_WALLS, rng)
    floor = _one(_WOODS + _CLOTHS[1:3], rng)
    behind = -3.0
    view.quad([(-half, top, behind), (half, top, behind), (half, top, back), (-half, top, back)],
              np.full(3, 0.7))  # fmt: skip
    view.ground(-half, half, behind, back, floor)
    walls = [Wall(view, (-half, behind), (-half, back)), Wall(view, (half, back), (half, behind)),
             Wall(view, (-half, back), (half, back))]  # fmt: skip
    bright = rng.permutation([1.0, 0.78, 0.6])
    for plane, shade, color in zip(walls, bright, (wall, wall, accent), strict=True):
        plane.rect(0, plane.length, 0, top + EYE, shade * color)
        plane.rect(0, plane.length, 0, 0.09, 0.6 * np.ones(3))
        at = rng.uniform(0, 1.0)
        while at < plane.length - 0.9:
            hang = (_window, _shelf, _picture, _door)[rng.choice(4, p=[0.32, 0.25, 0.33, 0.10])]
            if rng.random() < 0.75:
                hang(plane, at, light, rng)
            at += rng.uniform(1.2, 2.8)
    for _ in range(int(rng.integers(1, 5))):
        x, z = rng.uniform(-half, half - 0.8), rng.uniform(0.55, 0.9) * back
        wide, tall, deep = rng.uniform(0.5, 2.0), rng.uniform(0.4, 1.0), rng.uniform(0.4, 0.8)
        color = _one(_CLOTHS + _WOODS, rng, 0.2)
        view.box((x, -EYE, z), (min(x + wide, half), tall - EYE, z + deep), color)
        if rng.random() < 0.4:
            at = (x + 0.3, tall - EYE + 0.3, z + 0.1)
            _leaves(view, at, rng.uniform(0.4, 0.8), _one(_GREENS, rng, 0.25), rng)
    if rng.random() < 0.5:
        _floor_lamp(view, rng.uniform(-half, half) * 0.9, 0.9 * back, light, rng)
    if rng.random() < (0.2 if light == "day" else 0.5):
        z = np.arange(1.5, back, rng.uniform(0.9, 1.8))
        spots = np.stack([np.full(len(z), rng.uniform(-0.5, 0.5) * half), np.full(len(z), top - 0.02), z], -1)
        view.dots(spots, 0.07, rng.uniform(3, 9) * blackbody(rng.uniform(2700, 4500)))
    return view.painted(np.zeros((size, size, 3), np.float32)) * _falloff(size, rng)


def _falloff(size: int, rng: np.random.Generator) -> Float[np.ndarray, "s s 1"]:
    """Factor of the light: stronger on one side and uneven in between."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    ramp = rng.uniform(-0.9, 0.9) * x - rng.uniform(-0.1, 0.6) * y
    return np.exp(ramp + 0.10 * clouds(size, rng, 2.0))[..., None].astype(np.float32)


def _sky(size: int, light: str, horizon: float, rng: np.random.Generator) -> np.ndarray:
    """Gradient from the zenith to the horizon (a row's share of the height), with soft clouds."""
    y = np.clip(np.arange(size) / size / max(horizon, 0.05), 0, 1)[:, None, None]
    above, low = rng.uniform(0.5, 0.9) * blackbody(rng.uniform(9000, 15000)), 1.15 * blackbody(7000)
    if light == "night":
        above, low = 0.012 * blackbody(9000), rng.uniform(0.01, 0.05) * blackbody(2600)
    if light == "evening":
        above, low = 0.5 * above, rng.uniform(0.8, 1.6) * blackbody(rng.uniform(2600, 4500))
    if light not in ("night", "evening") and rng.random() < 0.35:
        above = low = rng.uniform(0.9, 1.3) * blackbody(6900)  # overcast
    sky = np.broadcast_to(above + (low - above) * y**1.5, (size, size, 3)).astype(np.float32)
    cloud = np.clip(clouds(size, rng, 1.7) - rng.uniform(0, 1.2), 0, 1.5)[..., None] * 0.35
    return sky * (1 - cloud) + cloud * low.astype(np.float32) * 1.1


def street(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """Houses along a street that runs away from the camera, with trees, cars and lamps."""
    pitch = rng.normal(0.03, 0.04)
    view = View(size, np.radians(rng.uniform(18, 40)), rng.normal(0, 0.3), pitch)
    dark, lit = {"night": (0.10, 0.4), "evening": (0.45, 0.25)}.get(light, (1.0, 0.0))
    far, road = 90.0, rng.uniform(0.10, 0.22) * dark * np.array([1.0, 0.98, 0.96])
    view.ground(-80, 80, 0.4, far, road)
    side_of = {side: rng.uniform(4, 11) for side in (-1, 1)}
    if rng.random() < 0.4:
        _facade(view, (-30, far * 0.5), (30, far * 0.5), dark, lit, rng)
    for side in (-1, 1):
        z = far * 0.5
        while z > 2:
            long, x = rng.uniform(6, 15), side * side_of[side]
            ends = [(x, z - long), (x, z)][::-side]
            if rng.random() < 0.85:
                _facade(view, *ends, dark * (0.7 if side > 0 else 1.0), lit, rng)
            z -= long
        x0, x1 = sorted((side * (side_of[side] - 2), side * side_of[side]))
        view.ground(x0, x1, 0.4, far, 1.9 * road)
    for z in np.sort(rng.uniform(5, 35, int(rng.integers(2, 8))))[::-1]:
        side = int(rng.choice([-1, 1]))
        _on_the_street(view, side, side * (side_of[side] - rng.uniform(1.5, 2.5)), z, dark, rng)
    if lit:
        _lights(view, int(rng.integers(5, 30)), (12, 5, 60), rng)
    return view.painted(_sky(size, light, 0.5 + np.tan(pitch) * view.focal / size, rng)) * _falloff(size, rng)


def _on_the_street(view: View, side: int, x: float, z: float, dark: float, rng: np.random.Generator) -> None:
    """A tree, a car or a lamp. `dark` is a factor of their colours; where it is less than 1, lamps are on."""
    kind = rng.random()
    if kind < 0.4:
        view.post(x, z, 0.1, 1.5, np.full(3, 0.04) * dark)
        _crown(view, (x, 2.5, z), rng.uniform(2, 3.5), dark, rng)
    elif kind < 0.75:
        paint = _one((*_CLOTHS, *_WALLS[:2], (0.02, 0.02, 0.02), (0.35, 0.03, 0.02)), rng) * dark
        low = -EYE
        view.box((x - 0.9, low + 0.3, z), (x + 0.9, low + 0.9, z + 4), paint)
        view.box((x - 0.75, low + 0.9, z + 1), (x + 0.75, low + 1.4, z + 3), 0.3 * paint + 0.05 * dark)
        if dark < 1:
            glow = rng.uniform(3, 12) * (np.array([1.0, 0.06, 0.03]) if side > 0 else blackbody(4500))
            view.dots(np.array([(x - 0.7, low + 0.65, z), (x + 0.7, low + 0.65, z)]), 0.10, glow)
    else:
        view.post(x, z, 0.05, 3, np.full(3, 0.03))
        glow = rng.uniform(5, 15) * blackbody(rng.uniform(2000, 4000)) if dark < 1 else np.full(3, 0.5)
        view.dots(np.array([(x, 3.1, z)]), 0.22, glow)


def _facade(view: View, start: tuple, end: tuple, dark: float, lit: float, rng: np.random.Generator) -> None:
    """House front with rows of windows, of which a share `lit` is bright, and perhaps a shop below."""
    wall, color, storeys = Wall(view, start, end), _one(_FACADES, rng, 0.2) * dark, int(rng.integers(2, 6))
    tall = 3.2 * storeys + 0.8
    wall.rect(0, wall.length, 0, tall, color)
    wall.rect(0, wall.length, tall - 0.3, tall, 1.25 * color)
    wide, step = rng.uniform(0.9, 1.7), rng.uniform(2.0, 3.2)
    shop = _one(_CLOTHS, rng) * dark
    for storey in range(storeys):
        v = 3.2 * storey
        if storey == 0 and rng.random() < 0.6:
            wall.rect(0.3, wall.length - 0.3, 0.3, 2.6, shop)
            wall.rect(0.3, wall.length - 0.3, 2.6, 3.1, 2.0 * shop)
            continue
        for u in np.arange(0.7, wall.length - wide, step):
            pane = 0.6 * dark * np.array([0.28, 0.33, 0.38]) * rng.uniform(0.2, 1.3)
            if rng.random() < lit:
                pane = rng.uniform(0.4, 2.5) * blackbody(rng.uniform(2300, 4500))
            wall.rect(u, u + wide, v + 0.9, v + 2.5, pane)


def _crown(view: View, at: tuple, radius: float, dark: float, rng: np.random.Generator) -> None:
    """Crown of a tree, with some sky between its leaves."""
    _leaves(view, at, radius, _one(_GREENS, rng, 0.25) * dark, rng, 60)
    gaps = np.array(at) + rng.normal(0, 0.5, (6, 3)) * radius * [1, 1, 0]
    view.dots(gaps, 0.05, rng.uniform(0.6, 2.0, (6, 1)) * dark * np.ones(3))


def _lights(view: View, n: int, extent: tuple, rng: np.random.Generator) -> None:
    """Scattered lamps, up to `extent` (m) to the sides, up and away."""
    x, y, z = extent
    at = rng.uniform((-x, -1, 0.35 * z), (x, y, z), (n, 3))
    tint = np.array([blackbody(kelvin) for kelvin in rng.uniform(1900, 6000, n)]).reshape(-1, 3)
    view.dots(at, 0.13, rng.uniform(1, 8, (n, 1)) * tint)


def park(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """Grass or sand, woods far away, trees, perhaps a path, and the sky."""
    pitch = rng.normal(0.02, 0.05)
    view = View(size, np.radians(rng.uniform(18, 40)), 0.0, pitch)
    dark = {"night": 0.08, "evening": 0.5}.get(light, 1.0)
    lawns = ((0.14, 0.18, 0.06), (0.22, 0.20, 0.09), (0.33, 0.27, 0.17), (0.11, 0.15, 0.06))
    lawn = _one(lawns, rng, 0.2) * dark
    for near, far, shade in ((0.4, 5, 0.8), (5, 12, 1.0), (12, 25, 1.2), (25, 200, 1.35)):
        view.ground(-200, 200, near, far, lawn * shade * np.exp(rng.normal(0, 0.15)))
    if rng.random() < 0.4:
        x = rng.uniform(-6, 4)
        view.ground(x, x + rng.uniform(1.5, 5), 1, 60, np.array([0.42, 0.38, 0.32]) * dark, rng.normal(0, 5))
    for ridge in range(int(rng.integers(1, 3))):  # far woods, bluer with distance
        tone = (0.5 * _one(_GREENS, rng) + np.array([0.10, 0.13, 0.16]) * (2 - ridge)) * dark
        z, top = 120 - 40 * ridge, rng.uniform(4, 14)
        line = top * (1 + 0.25 * np.cumsum(rng.normal(0, 0.35, 40)).clip(-2, 2))
        xs = np.linspace(-90, 90, 40)
        for a, b, p, q in zip(xs[:-1], xs[1:], line[:-1], line[1:], strict=True):
            view.quad([(a, -EYE, z), (b, -EYE, z), (b, q, z), (a, p, z)], tone)
    for z in np.sort(rng.uniform(7, 50, int(rng.integers(1, 7))))[::-1]:
        x, tall = rng.uniform(-0.45, 0.45) * z, rng.uniform(2, 5)
        view.post(x, z, 0.2, tall, np.array([0.09, 0.06, 0.04]) * dark)
        _crown(view, (x, tall, z), rng.uniform(1.5, 4), dark, rng)
    if dark < 1:
        _lights(view, int(rng.integers(2, 14)), (15, 3, 60), rng)
    return view.painted(_sky(size, light, 0.5 + np.tan(pitch) * view.focal / size, rng)) * _falloff(size, rng)


def foliage(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """Leaves everywhere, with gaps that let light through."""
    green, dark = _one(_GREENS, rng, 0.3), {"night": 0.2, "evening": 0.6}.get(light, 1.0)
    image = np.empty((size, size, 3), np.float32)
    image[:] = 0.35 * green
    n = 260
    at, r = rng.uniform(-0.05, 1.05, (n, 2)) * size, np.exp(rng.normal(-3.4, 0.55, n)) * size
    depth = np.sort(rng.normal(0, 0.45, n))
    high = np.exp(0.5 - at[:, 1] / size)
    for (x, y), radius, tone, up in zip(at, r, np.exp(depth), high, strict=True):
        tint = green * tone * up * np.exp(rng.normal(0, 0.12, 3)) * dark
        leaf = (int(radius) + 1, int(0.6 * radius) + 1)
        cv2.ellipse(image, (int(x), int(y)), leaf, rng.uniform(0, 180), 0, 360, tint.tolist(), -1)
    gaps = 8 if light == "night" else int(rng.integers(5, 60))
    places = rng.uniform(0, [1, 0.75], (gaps, 2)) * size
    for (x, y), strength in zip(places, rng.exponential(1.8, gaps), strict=True):
        tint = strength * blackbody(rng.uniform(4500, 8000) if light != "evening" else 3200)
        cv2.circle(image, (int(x), int(y)), 1, tint.tolist(), -1)
    return image


def outdoor(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """Street, park or leaves."""
    return (street, park, foliage)[rng.choice(3, p=[0.45, 0.35, 0.2])](size, light, rng)


def surface(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """A wall close behind: plaster, concrete, bricks, boards or a curtain, unevenly lit."""
    kind = ("plaster", "bricks", "boards", "curtain")[rng.choice(4, p=[0.4, 0.25, 0.15, 0.2])]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    x = x + rng.normal(0, 0.08) * y
    if kind == "curtain":
        folds = np.sin(2 * np.pi * (x * rng.uniform(5, 14) + 0.25 * np.sin(2 * np.pi * (x * 2.3 + 0.2 * y))))
        image = (1 + 0.35 * folds)[..., None] * _one(_CLOTHS + _WALLS[:4], rng)
    elif kind == "plaster":
        image = np.exp(0.07 * clouds(size, rng, 1.3))[..., None] * _one(_WALLS, rng)
    else:
        rows = rng.uniform(9, 22) if kind == "bricks" else rng.uniform(3, 9)
        down, across = (y, x) if kind == "bricks" or rng.random() < 0.5 else (x, y)
        row = np.floor(down * rows)
        aspect = 0.34 if kind == "bricks" else 0.04
        column = np.floor(across * rows * aspect + 0.5 * (row % 2) + (0.37 * row * (kind == "boards")))
        tone = rng.normal(0, 0.16, 4096)[((row * 71 + column * 13) % 4096).astype(int)]
        edge = down * rows % 1 < 0.1
        if kind == "bricks":
            edge |= (across * rows * aspect + 0.5 * (row % 2)) % 1 < 0.035
        base = _one(_FACADES if kind == "bricks" else _WOODS, rng)
        image = (base * np.exp(tone + 0.06 * clouds(size, rng, 0.9))[..., None]).astype(np.float32)
        image[edge] = base * (0.35 if kind == "boards" else rng.choice([0.55, 1.5]))
    fall = rng.uniform(-0.9, 0.9) * (x - 0.5) + rng.uniform(-0.2, 0.7) * (0.5 - y)
    shade = np.exp(fall)
    if rng.random() < 0.35:  # edge of a shadow
        cut = (x - 0.5) * rng.normal() + (y - 0.5) * rng.normal() + rng.normal(0, 0.2)
        shade = shade * (0.55 + 0.45 / (1 + np.exp(-np.clip(cut / rng.uniform(0.01, 0.1), -30, 30))))
    return image * shade[..., None]


def plain(size: int, light: str, rng: np.random.Generator) -> Canvas:
    """Paper background of a studio: one tone, brighter around one spot."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    spot = (x - rng.normal(0, 0.3)) ** 2 + (y - rng.normal(0, 0.25)) ** 2
    fall = 0.45 + np.exp(-spot / rng.uniform(0.08, 0.7)) * rng.uniform(0.1, 1.0)
    return fall[..., None] * _one(_WALLS[:6] + _CLOTHS[:2], rng)


def clouds(size: int, rng: np.random.Generator, power: float) -> Float[np.ndarray, "s s"]:
    """Random field of deviation 1 whose amplitude is proportional to 1 / frequency^power."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    f[0, 0] = 1.0
    spectrum = (rng.standard_normal(f.shape) + 1j * rng.standard_normal(f.shape)) / f**power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return (field / field.std()).astype(np.float32)


PLACES: dict[str, Callable[[int, str, np.random.Generator], Canvas]] = {
    "plain": plain, "room": room, "outdoor": outdoor, "texture": surface,
}  # fmt: skip
