"""The left half of the skin: face and head, and the sheets that fill its holes, with texture and classes."""

import numpy as np
from jaxtyping import Float, Int

from synthforge.conventions import CLASS_ID

from .common import inside
from .skin_ear import ear
from .skin_layout import RADIUS, TOP
from .skin_mesh import HalfSkin
from .skin_sweeps import EYE, GLOBE, bag_rings, nostril_rings, socket_rings

LIP_ROWS = 3  # rows of the mouth bag that still count as lip
STRETCH = 0.45  # how much more texture width the face gets than the back of the head
HEIGHT = 252.0  # layout height of the shoulder cut below the origin, mm
# texture boxes (u0, v0, u1, v1) of the left half; the right half mirrors at u = 0.5
BOXES = {
    "skin": (0.5, 0.2, 1.0, 1.0), "ear_front": (0.51, 0.01, 0.68, 0.18), "ear_back": (0.70, 0.01, 0.74, 0.18),
    "mouth_bag": (0.75, 0.01, 0.86, 0.14), "throat": (0.75, 0.15, 0.86, 0.18),
    "eye_socket": (0.87, 0.01, 0.93, 0.18), "nostril": (0.94, 0.01, 0.99, 0.18),
}  # fmt: skip


class Half:
    """A growing surface: vertices in mm, triangles with texture corners, class and part name."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._corner_uv: list[np.ndarray] = []
        self._classes: list[np.ndarray] = []
        self.parts: list[str] = []

    @property
    def vertices(self) -> Float[np.ndarray, "v 3"]:
        return np.concatenate(self._vertices)

    @property
    def faces(self) -> Int[np.ndarray, "f 3"]:
        return np.concatenate(self._faces)

    @property
    def corner_uv(self) -> Float[np.ndarray, "f 3 2"]:
        return np.concatenate(self._corner_uv)

    @property
    def classes(self) -> np.ndarray:
        return np.concatenate(self._classes)

    def add_vertices(self, p: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Ids of the new vertices."""
        start = sum(map(len, self._vertices))
        self._vertices.append(p)
        return np.arange(start, start + len(p))

    def add_faces(
        self, faces: Int[np.ndarray, "f 3"], corner_uv: Float[np.ndarray, "f 3 2"], classes, part: str
    ):
        """Triangles; a chart that came out mirrored is turned over in its own box."""
        a, b, c = corner_uv[:, 0], corner_uv[:, 1], corner_uv[:, 2]
        if ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() < 0:
            u = corner_uv[..., 0]
            corner_uv = np.stack([u.min() + u.max() - u, corner_uv[..., 1]], -1)
        self._faces.append(faces)
        self._corner_uv.append(corner_uv)
        self._classes.append(np.broadcast_to(classes, len(faces)).astype(np.uint8))
        self.parts += [part] * len(faces)

    def add_grid(self, rows: Int[np.ndarray, "r n"], chart: str, part: str, classes, closed: bool = False):
        """A sheet over rows of vertex ids, wound to agree with the triangles it borders.

        Repeated ids make fans. classes: class id or function of (row, column) of a cell, 0-based from the
        first row, and the number of columns.
        """
        if closed:
            rows = np.concatenate([rows, rows[:, :1]], axis=1)
        k, n = rows.shape
        u, v = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, k))
        u[(rows == rows[:, :1]).all(1)] += 0.5 / (n - 1)  # the tip of a fan sits over the middle of each cell
        u0, v0, u1, v1 = BOXES[chart]
        place = np.stack([u0 + u * (u1 - u0), v0 + v * (v1 - v0)], -1).reshape(-1, 2)
        at = np.arange(rows.size).reshape(rows.shape)
        a, b, c, d = at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]
        cells = np.stack([b, a, d, b, d, c], -1).reshape(-1, 3)
        faces = rows.ravel()[cells]
        whole = (faces != np.roll(faces, 1, axis=1)).all(1)
        cells, faces = cells[whole], faces[whole]
        if _disagree(self.faces, faces):
            cells, faces = cells[:, ::-1], faces[:, ::-1]
        if callable(classes):
            classes = classes((cells // n).min(1), (cells % n).min(1), n)
        self.add_faces(faces, place[cells], classes, part)


def _disagree(old: Int[np.ndarray, "f 3"], new: Int[np.ndarray, "g 3"]) -> bool:
    """Whether some edge runs the same way in both lists of triangles."""

    def runs(faces):
        return {tuple(e) for e in faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).tolist()}

    return not runs(old).isdisjoint(runs(new))


def _skin_uv(skin: HalfSkin) -> Float[np.ndarray, "f 3 2"]:
    """Cylinder map with more width for the face; every triangle at the pole has its own tip."""
    u0, v0, u1, v1 = BOXES["skin"]
    x = skin.places[:, 0] / (np.pi * RADIUS)
    u = u0 + (u1 - u0) * x * (1 + STRETCH - STRETCH * x)
    v = v0 + (v1 - v0) * (skin.places[:, 1] + HEIGHT) / (HEIGHT + TOP)
    uv = np.clip(np.stack([u, v], 1), 0, 1)[skin.faces]
    pole = skin.places[skin.faces][..., 1] > TOP - 1e-6
    for k in range(3):
        at = pole[:, k]
        uv[at, k, 0] = (uv[at, (k + 1) % 3, 0] + uv[at, (k + 2) % 3, 0]) / 2
    return uv


def _skin_classes(skin: HalfSkin) -> np.ndarray:
    """Class of each triangle by the outlines drawn with the authored rows on the layout."""
    row = {name: skin.places[ids] for name, ids in skin.rows.items()}
    left = np.array([[-1.0, 0]])

    def lip(name):
        outer, inner = row[f"lip_{name}"], row[f"stomion_{name}"][::-1]
        return np.concatenate([outer[:1] + left, outer, inner, inner[-1:] + left])

    side, groove, base = row["nose_side"], row["alar_groove"], row["nose_base"][::-1]
    start = int(np.abs(groove - side[-1]).sum(1).argmin())
    nose = np.concatenate([side[:1] + left, side, groove[start:], base, base[-1:] + left])
    below = np.array([[240, -58.5], [240, -HEIGHT - 10], [-1, -HEIGHT - 10]])
    neck = np.concatenate([row["jaw"][:1] + left, row["jaw"], row["nape"], below])
    centre = skin.places[skin.faces].mean(1)
    out = np.full(len(centre), CLASS_ID["skin"], np.uint8)
    for name, outline in (
        ("neck", neck),
        ("nose", nose),
        ("upper_lip", lip("upper")),
        ("lower_lip", lip("lower")),
    ):
        out[inside(centre, outline)] = CLASS_ID[name]
    return out


def build_half(skin: HalfSkin) -> tuple[Half, dict[str, np.ndarray]]:
    """Half head with its holes filled, and the vertex ids of the sheets: socket and bag by rows, ear flat."""
    half = Half()
    half.add_vertices(skin.vertices)
    half.add_faces(skin.faces, _skin_uv(skin), _skin_classes(skin), "skin")
    sheets = {"socket": _socket(half, skin), "bag": _bag(half, skin), "ear": _ear(half, skin)}
    rim = skin.rows["nostril"][:-1]
    rings = nostril_rings(skin.vertices[rim])
    _fan(half, rim, rings, rings[-1].mean(0), "nostril", CLASS_ID["nose"])
    return half, sheets


def _fan(half, loop, rings, tip, part, class_id):
    """Rings inward from a closed loop, closed at the far end by a tip; returns the rows of ids."""
    rows = np.stack([loop, *(half.add_vertices(r) for r in rings)])
    end = half.add_vertices(tip[None])
    half.add_grid(np.concatenate([rows, np.full((1, len(loop)), end)]), part, part, class_id, closed=True)
    return rows


def _socket(half, skin):
    margin = np.concatenate([skin.rows["lid_upper"], skin.rows["lid_lower"][::-1][1:-1]])
    rings = socket_rings(skin.vertices[margin])
    return _fan(half, margin, rings, EYE - [0, 0, GLOBE + 1.3], "eye_socket", CLASS_ID["skin"])


def _bag(half, skin):
    line = np.concatenate([skin.rows["stomion_upper"], skin.rows["stomion_lower"][::-1][1:]])
    rows = np.stack([line, *(half.add_vertices(r) for r in bag_rings(skin.vertices[line]))])

    def classes(row, column, n):
        lip = np.where(column < n // 2, CLASS_ID["upper_lip"], CLASS_ID["lower_lip"])
        return np.where(row < LIP_ROWS, lip, CLASS_ID["inner_mouth"])

    half.add_grid(rows, "mouth_bag", "mouth_bag", classes)
    middle = len(line) // 2
    throat = np.stack([rows[-1, : middle + 1], rows[-1, ::-1][: middle + 1]])
    half.add_grid(throat, "throat", "mouth_bag", CLASS_ID["inner_mouth"])
    return rows


def _ear(half, skin):
    top, bottom = skin.rows["ear_front"], skin.rows["ear_back"]
    p = skin.vertices
    vertices, side, faces, back = ear(p[top], p[bottom], np.random.default_rng(11))
    inner = half.add_vertices(vertices[len(top) :])
    u0, v0, u1, _ = BOXES["ear_front"]
    uv = np.array([u0, v0]) + (side - side.min(0)) / np.ptp(side, axis=0).max() * (u1 - u0)
    half.add_faces(np.concatenate([top, inner])[faces], uv[faces], CLASS_ID["left_ear"], "ear")
    within = [inner[: len(bottom) - 2], *(half.add_vertices(r[1:-1]) for r in back[1:])]
    rows = np.stack([*(np.concatenate([top[:1], r, top[-1:]]) for r in within), bottom])
    half.add_grid(rows, "ear_back", "ear", CLASS_ID["left_ear"])
    return np.concatenate([inner, *within[1:]])
