"""Placing of occluders: a hand, a microphone, a cup, a phone, an object at the edge of the image.

They are built in the face frame of the posed head (x to the subject's left, y up, z out of the face,
origin at the root of the nose, metres) on the subject's right, and mirrored for the left. Those that touch
the head slide along one direction until their deepest point is `_PRESSED` inside the skin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.transform import Rotation

from synthforge.cameras.project import project
from synthforge.conventions import LANDMARK_FLIP
from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.meshes import joined
from synthforge.generators.geometry.person import Person
from synthforge.generators.occluders.hand import close, hand, outline
from synthforge.generators.occluders.props import WARES, ball_of_noise, book, cup, leaf, microphone, phone
from synthforge.generators.shading.color import hex_to_linear
from synthforge.generators.shading.contact import contact_visibility
from synthforge.generators.shading.numeric import unit
from synthforge.generators.shading.visibility import light_view
from synthforge.render.interpolate import vertex_normals
from synthforge.render.rasterize import rasterize

KINDS = ("none", "hand", "microphone", "cup", "phone", "object")
SHARE = (0.06, 0.35)  # least and largest share of the face's skin that an object covers
_TOUCHED = ("headwear", "facewear", "eyeglasses")
_PRESSED = 0.0015  # m
_MAP = 256  # texels of the head's depth map
_WRIST = np.radians(50)  # largest bend of the wrist
_FRONT_STEP = 4  # every fourth triangle of the face stands for all
_FIST = np.array([0.85, 1, 1, 1, 1, 0])


def occlude(person: Person, worn: Sequence[Accessory] = ()) -> list[Accessory]:
    """What comes between camera and face, world frame; nothing for the occluders "none" and "hair".

    Args:
        worn: what the person wears already. Masks, hats and glasses are touched as the skin is; sleeves look
            like the first piece of clothing.
    """
    look, rng = person.appearance, person.rng("occluder")
    if look.occluder in ("none", "hair"):  # a loose lock grows with the rest of the hair
        return []
    if look.occluder == "object":
        return _by_material(_at_the_edge(person, rng))
    face = _Face.of(person, 1 if rng.random() < 0.5 else -1, worn)
    shirt = next((a for a in worn if a.class_name == "clothing"), None)
    sleeve = hex_to_linear(str(rng.choice(WARES))) if shirt is None else shirt.albedo[0].astype(float)
    arm = _Arm(person.skin_color, sleeve, rng)
    if look.occluder == "hand":
        made = _gesture(face, arm, look.eyeglasses != "none")
    else:
        made = {"microphone": _speaking, "cup": _drinking, "phone": _calling}[look.occluder](face, arm)
    made = _by_material(face.world(made))
    near = np.concatenate([person.vertices, *(a.vertices for a in worn if a.class_name in _TOUCHED)])
    left = contact_visibility(np.concatenate([a.vertices for a in made]), near)
    left = np.split(left, np.cumsum([len(a.vertices) for a in made])[:-1])
    made = [replace(a, ambient=a.ambient * share) for a, share in zip(made, left, strict=True)]
    return [replace(a, pattern=shirt.pattern) if shirt and a.material == "cloth" else a for a in made]


@dataclass(frozen=True)
class _Face:
    """Posed head and what is worn on it, in the face frame, which is mirrored where `side` is -1."""

    vertices: np.ndarray
    faces: np.ndarray
    landmarks: np.ndarray
    axes: np.ndarray
    root: np.ndarray
    side: int

    @classmethod
    def of(cls, person: Person, side: int, worn: Sequence[Accessory]) -> "_Face":
        points = person.landmarks
        x = unit(points[42:48].mean(0) - points[36:42].mean(0))
        z = unit(np.cross(x, points[27] - points[8]))
        axes, mirror = np.stack([x, np.cross(z, x), z], 1), np.array([side, 1, 1])
        on = ((a.vertices, a.faces) for a in worn if a.class_name in _TOUCHED)
        outside, faces = joined([(person.vertices, person.head.faces), *on])
        local, marks = ((p - points[27]) @ axes * mirror for p in (outside, points))
        order = np.arange(68) if side > 0 else LANDMARK_FLIP
        return cls(local.astype(np.float32), faces.astype(np.int32), marks[order], axes, points[27], side)

    def world(self, pieces: list[Accessory]) -> list[Accessory]:
        """Pieces of the face frame in the world frame, with outward faces still outward."""
        return [
            replace(p, vertices=(p.vertices * [self.side, 1, 1]) @ self.axes.T + self.root,
                    faces=p.faces[:, :: self.side])
            for p in pieces
        ]  # fmt: skip

    def slide(self, points: np.ndarray, direction: np.ndarray, gap: float = -_PRESSED) -> np.ndarray:
        """Shift along `direction` after which the closest of `points` is `gap` (m) off the skin; 0 if none
        meets it.

        Downwards, only skin above the chin counts: the shoulders do not stop things.
        """
        faces = self.faces
        if direction[1] < -0.5:
            faces = faces[(self.vertices[faces, 1] > self.landmarks[8, 1] - 0.012).all(1)]
        turn, shift, _ = light_view(self.vertices, unit(direction).astype(np.float32), _MAP)
        depth = rasterize(self.vertices @ turn + shift, faces, _MAP, _MAP).depth
        at = points @ turn + shift
        inside = (at[:, :2] >= 0).all(1) & (at[:, :2] < _MAP).all(1)
        column, row = at[inside, :2].astype(int).T
        deep = at[inside, 2] - depth[row, column]
        deep = deep[np.isfinite(deep)]
        return unit(direction) * (deep.max() + gap if len(deep) else 0.0)

    def distance(self) -> Callable[[np.ndarray], np.ndarray]:
        """Signed distance of points to the skin near them, positive outside."""
        near = self.vertices[:, 2] > -0.12
        tree = cKDTree(self.vertices[near])
        normals = unit(vertex_normals(self.vertices, self.faces)[near])

        def signed(points: np.ndarray) -> np.ndarray:
            far, index = tree.query(points)
            above = ((points - tree.data[index]) * normals[index]).sum(1)
            return np.where(np.abs(above) > 0.3 * far, np.sign(above) * far, above)

        return signed


@dataclass(frozen=True)
class _Arm:
    """Colours (linear RGB) of a hand and its sleeve, and the random stream."""

    skin: np.ndarray
    sleeve: np.ndarray
    rng: np.random.Generator


@dataclass(frozen=True)
class _Grip:
    """A placed hand: the columns of `turn` are its axes in the face frame, `place` is its wrist, `wrist` its
    bend."""

    turn: np.ndarray
    place: np.ndarray
    wrist: Rotation

    @classmethod
    def of(
        cls, fingers: ArrayLike, back: ArrayLike, hold: ArrayLike, at: np.ndarray, elbow: ArrayLike
    ) -> "_Grip":
        """Hand whose point `hold` (hand frame) is at `at`; `fingers`, `back` and `elbow` are directions."""
        y = unit(np.asarray(fingers, float))
        x = unit(np.cross(y, back))
        turn = np.stack([x, y, np.cross(x, y)], 1)
        down = turn.T @ unit(np.asarray(elbow, float))
        axis, angle = np.cross([0, -1, 0], down), np.arccos(np.clip(-down[1], -1, 1))
        wrist = Rotation.from_rotvec(unit(axis) * min(angle, _WRIST))
        return cls(turn, at - turn @ np.asarray(hold), wrist)

    def moved(self, shift: np.ndarray) -> "_Grip":
        return _Grip(self.turn, self.place + shift, self.wrist)

    def out(self, points: np.ndarray) -> np.ndarray:
        """Points of the hand frame in the face frame."""
        return points @ self.turn.T + self.place

    def pieces(self, bend: np.ndarray, arm: _Arm) -> list[Accessory]:
        made = hand(bend, self.wrist, arm.skin, arm.sleeve, arm.rng)
        return [replace(p, vertices=self.out(p.vertices)) for p in made]


def _gesture(face: _Face, arm: _Arm, glasses: bool) -> list[Accessory]:
    """A hand at the mouth, cheek or chin, or at the bridge of the glasses."""
    rng, marks = arm.rng, face.landmarks
    choice = str(rng.choice(["mouth", "cheek", "chin", "finger"]))
    turn = Rotation.from_rotvec(rng.normal(0, 0.10, 3))
    slack = rng.normal(0, 0.004, 3)
    relaxed = np.array([-0.4, 0.1, 0.12, 0.15, 0.2, 0]) + rng.uniform(0, 0.1)
    limits = None
    if choice == "mouth":
        push, limits = [0, 0, 1], np.array([-0.3, 0.5, 0.5, 0.5, 0.5, 0])
        fingers, at = [0.8, rng.uniform(0.3, 0.9), 0], marks[[51, 57]].mean(0)
        grip = _Grip.of(fingers, [-0.25, 0.1, 1], [-0.004, 0.112, -0.01], at, [-0.4, -1, 0.25])
    elif choice == "cheek":
        push, limits = [-0.6, 0, 0.8], np.array([-0.4, 0.6, 0.6, 0.6, 0.6, 0])
        at = 0.6 * marks[4] + 0.4 * marks[48]
        grip = _Grip.of([0.28, 1, 0.0], [-0.68, 0.1, 0.75], [0.006, 0.055, -0.014], at, [-0.45, -1, 0.25])
    elif choice == "chin":
        push, at = [0, -1, 0.15], marks[8] + [0, 0, 0.008]
        grip = _Grip.of([0.3, 1, -0.15], [-0.3, 0.25, 1], [-0.006, 0.100, -0.012], at, [-0.5, -1, 0.1])
        relaxed = _FIST * rng.uniform(0.85, 0.95)
    else:
        push, at = [0, 0, 1], marks[27] + [0, 0, 0.018] if glasses else marks[3] * 0.5 + marks[31] * 0.5
        grip = _Grip.of([0.45, 0.8, -0.35], [-0.45, 0.25, 1], [-0.032, 0.170, -0.014], at, [-0.5, -1, 0.3])
        relaxed = np.array([0.75, 0.12, 0.75, 0.85, 0.9, 0])
    grip = _Grip(turn.as_matrix() @ grip.turn, grip.place + slack, grip.wrist)
    grip = grip.moved(face.slide(grip.out(outline(relaxed, grip.wrist)), np.array(push, float)))
    if limits is None:
        off = face.slide(grip.out(outline(relaxed, grip.wrist)), np.array([0.0, 0, 1]))
        grip = grip.moved(np.maximum(off, 0))
    else:
        near = face.distance()
        relaxed = close(limits, lambda p: near(grip.out(p)), gap=-0.0005)
    pieces = grip.pieces(relaxed, arm)
    if limits is None:  # the hand is a little thicker than its outline
        return _moved(pieces, np.maximum(face.slide(pieces[0].vertices, np.array([0.0, 0, 1])), 0))
    return _moved(pieces, face.slide(pieces[0].vertices, np.array(push, float)))


def _speaking(face: _Face, arm: _Arm) -> list[Accessory]:
    """A microphone in front of the mouth."""
    rng = arm.rng
    thing = microphone(rng)
    axis = unit(np.array([rng.normal(-0.15, 0.15), -0.8, rng.uniform(0.25, 0.7)]))  # grille to tail
    mouth = face.landmarks[[51, 57]].mean(0)
    return _held(face, arm, thing, -axis, mouth + [0, -0.012, 0.03], 0.105, rng.uniform(0.004, 0.03))


def _drinking(face: _Face, arm: _Arm) -> list[Accessory]:
    """A cup at the lower lip, tilted."""
    rng = arm.rng
    thing, radius = cup(rng)
    tilt = rng.uniform(0.1, 0.7)
    up, inward = np.array([0, np.cos(tilt), -np.sin(tilt)]), np.array([0, -np.sin(tilt), -np.cos(tilt)])
    return _held(face, arm, thing, up, face.landmarks[57] - radius * inward, 0.055, -_PRESSED)


def _held(
    face: _Face, arm: _Arm, thing: list[Accessory], up: np.ndarray, top: np.ndarray, low: float, gap: float
) -> list[Accessory]:
    """A round thing (axis y, its top at the origin) with its top at `top` and its axis along `up`, in a
    hand that holds it `low` (m) below the top."""
    back = np.array([-0.75, 0.1, 0.65]) + arm.rng.normal(0, 0.08, 3)
    z = unit(back - (back @ up) * up)
    axes = np.stack([np.cross(up, z), up, z], 1)  # things face z
    placed = [replace(p, vertices=p.vertices @ axes.T + top) for p in thing]
    level = np.concatenate([p.vertices for p in thing])
    near = np.abs(level[:, 1] + low) < 0.025
    radius = float(np.quantile(np.linalg.norm(level[near][:, [0, 2]], axis=1), 0.5))
    hold = [0.004, 0.074, -0.0135 - radius]
    grip = _Grip.of(np.cross(z, -up), z, hold, top - low * up, [-0.55, -1, 0.1])

    def distance(points: np.ndarray) -> np.ndarray:
        away = grip.out(points) - top
        return np.linalg.norm(away - (away @ up)[:, None] * up, axis=1) - radius

    swing = np.clip((radius - 0.015) / 0.02, 0, 1)  # the thumb goes around wide things
    bend = close(np.array([1, 0.95, 0.95, 0.95, 0.95, swing]), distance)
    pieces = [*placed, *grip.pieces(bend, arm)]
    solid = np.concatenate([p.vertices for p in pieces if p.material != "cloth"])
    return _moved(pieces, face.slide(solid, np.array([0.0, 0, 1]), gap))


def _calling(face: _Face, arm: _Arm) -> list[Accessory]:
    """A phone at the ear."""
    rng = arm.rng
    down = unit(np.array([0.12, -0.85, rng.uniform(0.35, 0.6)]))
    back = np.array([-0.95, 0, 0.28])
    z = unit(back - (back @ down) * down)
    axes = np.stack([np.cross(-down, z), -down, z], 1)
    ear = face.landmarks[0] + [0, -0.01, -0.012]
    thing, size = phone(rng)
    middle = ear + 0.055 * down
    placed = [replace(p, vertices=p.vertices @ axes.T + middle) for p in thing]
    fingers = -down + rng.uniform(0.1, 0.35) * axes[:, 0]  # along its back
    hold = [0.004, 0.068, -0.0115 - 0.5 * size[2]]
    grip = _Grip.of(fingers, z, hold, middle + 0.030 * down, [-0.25, -1, 0.15])

    def distance(points: np.ndarray) -> np.ndarray:
        local = np.abs((grip.out(points) - middle) @ axes) - 0.5 * size
        return np.linalg.norm(np.maximum(local, 0), axis=1) + np.minimum(local.max(1), 0)

    bend = close(np.array([-0.1, 0.8, 0.8, 0.8, 0.8, 0]), distance, gap=-0.0005)
    pieces = [*placed, *grip.pieces(bend, arm)]
    solid = np.concatenate([p.vertices for p in pieces if p.material != "cloth"])
    return _moved(pieces, face.slide(solid, np.array([-1.0, 0, 0.15])))


def _at_the_edge(person: Person, rng: np.random.Generator) -> list[Accessory]:
    """Something before the face that comes in from one side until it covers a random share of the skin."""
    camera = person.params.camera
    thing = [ball_of_noise, book, leaf][rng.integers(3)](rng)
    to_world = camera.cam2world[:3, :3].astype(float)
    centre, eye = person.landmarks[[28, 30, 51]].mean(0), camera.cam2world[:3, 3].astype(float)
    deep = np.linalg.norm(centre - eye)
    angle = rng.uniform(0, 2 * np.pi)
    inward = to_world @ [-np.cos(angle), np.sin(angle), 0]
    at = centre + (eye - centre) / deep * min(rng.uniform(0.13, 0.2), 0.5 * deep)
    turn = to_world @ Rotation.from_euler("zyx", [-angle, *rng.normal(0, 0.25, 2)]).as_matrix()
    start = [replace(p, vertices=p.vertices @ turn.T + at) for p in thing]
    skin, area = _front(person)
    share = rng.uniform(*SHARE)
    points = np.concatenate([p.vertices for p in start])
    low, high = -0.2, 0.3  # m from the middle of the face: at the first all is covered, at the second nothing
    for _ in range(12):
        back = 0.5 * (low + high)
        hull = ConvexHull(project(points - back * inward, camera)[:, :2])
        covered = area @ (skin @ hull.equations[:, :2].T + hull.equations[:, 2] <= 0).all(1)
        low, high = (back, high) if covered > share else (low, back)
    return _moved(start, -high * inward)


def _front(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Middles (pixels) of the face's triangles that face the camera, and their shares of the face's image."""
    head, vertices, marks = person.head, person.vertices, person.landmarks
    middle = marks[[28, 30, 33]].mean(0)
    near = np.linalg.norm(vertices - middle, axis=1) < 1.15 * np.linalg.norm(marks[8] - middle)
    corners = project(vertices, person.params.camera)[head.faces[near[head.faces].all(1)], :2]
    (ax, ay), (bx, by) = (corners[:, k].T - corners[:, 0].T for k in (1, 2))
    area = np.maximum(ay * bx - ax * by, 0)  # positive for triangles that face the camera, since y goes down
    seen = np.flatnonzero(area)[::_FRONT_STEP]
    return corners[seen].mean(1), area[seen] / area[seen].sum()


def _moved(pieces: list[Accessory], shift: np.ndarray) -> list[Accessory]:
    return [replace(p, vertices=p.vertices + shift) for p in pieces]


def _by_material(pieces: list[Accessory]) -> list[Accessory]:
    """The pieces of each material as one accessory."""
    out = []
    for material in dict.fromkeys(p.material for p in pieces):
        some = [p for p in pieces if p.material == material]
        points, faces = joined((p.vertices, p.faces) for p in some)
        ambient = [np.ones(len(p.vertices)) if p.ambient is None else p.ambient for p in some]
        made = Accessory.surface(
            points, faces, np.concatenate([p.albedo for p in some]), "occluder", material
        )
        out.append(replace(made, ambient=np.concatenate(ambient).astype(np.float32)))
    return out
