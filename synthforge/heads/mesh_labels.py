"""Labels of an imported head that comes with vertex masks and 68 landmarks (FLAME, GNM).

Classes, mouth lining, named points and places on the canonical head follow from the masks, the landmarks
and the mesh.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.interpolate import RBFInterpolator, splev, splprep
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import dijkstra
from trimesh import Trimesh
from trimesh.nsphere import fit_nsphere

from synthforge.conventions import CLASS_ID
from synthforge.errors import GeometryError
from synthforge.heads.anthro import load_anthro
from synthforge.heads.base import surface_points
from synthforge.heads.canonical import canonical_points, inside_points
from synthforge.heads.ibug import brow_outline, brow_points
from synthforge.heads.surface import nearest_on_surface

MAP_SIZE = 2048
_LIPS = {  # iBUG points along a border, from the subject's right corner to the left
    "outer_upper": [48, 49, 50, 51, 52, 53, 54], "outer_lower": [48, 59, 58, 57, 56, 55, 54],
    "inner_upper": [60, 61, 62, 63, 64], "inner_lower": [60, 67, 66, 65, 64],
}  # fmt: skip
_LIDS = {"right": ([36, 37, 38, 39], [36, 41, 40, 39]), "left": ([45, 44, 43, 42], [45, 46, 47, 42])}
_BROWS = {"right": [17, 18, 19, 20, 21], "left": [26, 25, 24, 23, 22]}  # tail to head, as in ibug.BROW
_REACH = 0.05  # metres along the surface from a region's landmarks: keeps the back of the head out
_WET = 0.0025  # metres behind the lips' inner border where the inside of the mouth begins
_RIM = 0.0012  # metres behind the lids' margins where the eye begins, past the rim of the lid
_EARS = {  # extremes of the ear that are named points: axis, its end
    "superaurale": (1, "argmax"), "subaurale": (1, "argmin"), "postaurale": (2, "argmin"),
}  # fmt: skip
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class MaskedMesh:
    """The neutral: metres, +x subject's left, +y up, +z forward; landmarks are the 68 points on it.

    `masks` are vertex indices under nose, neck, left_ear, right_ear, left_eyeball, right_eyeball and,
    where there are any, inside (mouth, teeth, sockets: no skin).
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    masks: dict[str, Int[np.ndarray, " _"]]
    landmarks: Float[np.ndarray, "68 3"]

    def marked(self, name: str) -> Bool[np.ndarray, " v"]:
        """Vertices of a mask."""
        out = np.zeros(len(self.vertices), bool)
        out[self.masks.get(name, [])] = True
        return out

    @cached_property
    def eyeballs(self) -> dict[str, Bool[np.ndarray, " v"]]:
        """Vertices of the left and right eyeball; the side is decided by position, not by the mask's name."""
        pair = [self.marked(f"{side}_eyeball") for side in ("left", "right")]
        pair.sort(key=lambda ball: -self.vertices[ball, 0].mean())
        return dict(zip(("left", "right"), pair, strict=True))

    @cached_property
    def ears(self) -> dict[str, Bool[np.ndarray, " v"]]:
        either = self.marked("left_ear") | self.marked("right_ear")
        x = self.vertices[:, 0]
        return {"left": either & (x > 0), "right": either & (x <= 0)}

    @cached_property
    def skin_faces(self) -> Int[np.ndarray, " k"]:
        """Triangles that are neither of an eyeball nor inside."""
        hidden = self.eyeballs["left"] | self.eyeballs["right"] | self.marked("inside")
        return np.flatnonzero(~hidden[self.faces].all(1))

    @cached_property
    def edges(self) -> csr_matrix:
        """Lengths of the skin's edges, v v, symmetric."""
        skin = Trimesh(self.vertices, self.faces[self.skin_faces], process=False)
        length, n = np.maximum(skin.edges_unique_length, 1e-9), len(self.vertices)
        half = coo_matrix((length, skin.edges_unique.T), (n, n)).tocsr()
        return half + half.T

    def distance_from(self, landmarks: list[int]) -> Float[np.ndarray, " v"]:
        """Metres along the skin's edges to the nearest of some landmarks; inf on the eyeballs."""
        where = nearest_on_surface(self.landmarks[landmarks], self.vertices, self.faces, self.skin_faces)
        seeds = np.unique(self.faces[where[0][:, None], np.arange(3)][where[1] > 0.2])
        return dijkstra(self.edges, directed=False, indices=seeds, min_only=True)

    def smoothed(self, marked: Bool[np.ndarray, " v"]) -> Float[np.ndarray, " v"]:
        """A mask in [0, 1] whose border (at one half) is smooth and does not follow the mesh's edges."""
        near = self.edges.astype(bool).astype(float)
        mean = diags(1 / np.maximum(np.asarray(near.sum(1)).ravel(), 1)) @ near
        out = marked.astype(float)
        for _ in range(2):
            out = 0.5 * out + 0.5 * (mean @ out)
        return out


def class_map(
    mesh: MaskedMesh, among: Int[np.ndarray, " k"] | None = None, size: int = MAP_SIZE
) -> UInt8[np.ndarray, "m m"]:
    """Class ids in uv space (row 0 is v = 1), of the skin and, for editors to see, of the eyeballs.

    Nose, ears and neck are the owner's masks, the scalp is skin; lips, brows and eye openings lie inside
    splines through their landmarks in the frontal view. `among` are the triangles that are drawn (all by
    default): those whose uv charts do not overlap.
    """
    from synthforge.render.interpolate import interpolate  # heads need the renderer only while importing
    from synthforge.render.rasterize import rasterize

    sheet = np.c_[mesh.uv[:, 0], 1 - mesh.uv[:, 1], np.full(len(mesh.uv), 1 / size)] * size
    faces, face_uvs = (
        corners if among is None else corners[among] for corners in (mesh.faces, mesh.face_uvs)
    )
    hit = rasterize(sheet, face_uvs, size, size)
    drawn = hit.face_index >= 0
    fields = {name: np.minimum(field, 9.0) for name, field in _fields(mesh).items()}
    packed = interpolate(np.stack(list(fields.values()), 1), faces, hit)[drawn]
    out = np.zeros((size, size), np.uint8)
    out[drawn] = _skin_classes(mesh, dict(zip(fields, packed.T, strict=True)))
    for side, ball in mesh.eyeballs.items():
        out[drawn & ball[faces].all(1)[hit.face_index]] = CLASS_ID[f"{side}_eye"]
    row, column = distance_transform_edt(~drawn, return_distances=False, return_indices=True)
    return out[row, column]  # outside the charts: the class at their nearest edge


def _fields(mesh: MaskedMesh) -> dict[str, Float[np.ndarray, " v"]]:
    """Fields that decide the classes: places, smoothed masks, distances from landmarks."""
    out = dict(zip("xyz", mesh.vertices.T, strict=True))
    out |= {name: mesh.smoothed(mesh.marked(name)) for name in ("neck", "nose")}
    for side in ("left", "right"):
        out[f"{side}_ear"] = mesh.smoothed(mesh.ears[side])
        out[f"{side}_brow"] = mesh.distance_from(_BROWS[side])
        out[f"{side}_eye"] = mesh.distance_from(_LIDS[side][0] + _LIDS[side][1])
    for part in ("upper", "lower"):  # without the corners, which both lips share
        out[f"{part}_lip"] = mesh.distance_from(_LIPS[f"outer_{part}"][1:-1] + _LIPS[f"inner_{part}"][1:-1])
    return out


def _skin_classes(mesh: MaskedMesh, at: dict[str, np.ndarray]) -> UInt8[np.ndarray, " n"]:
    """Class of every texel, from the fields at it."""
    marks = mesh.landmarks
    out = np.full(len(at["x"]), CLASS_ID["skin"], np.uint8)
    for name in ("neck", "nose", "left_ear", "right_ear"):
        out[at[name] > 0.5] = CLASS_ID[name]
    for side in ("left", "right"):
        out[_inside(at, _brow(marks, side), at[f"{side}_brow"] < _REACH)] = CLASS_ID[f"{side}_brow"]
        upper, lower = (spline(marks[points]) for points in _LIDS[side])
        sunk = at["z"] < _between(at, upper, lower) - _RIM
        opening = _inside(at, np.concatenate([upper, lower[::-1]]), sunk & (at[f"{side}_eye"] < _REACH))
        out[opening] = CLASS_ID[f"{side}_eye"]

    borders = {name: spline(marks[points]) for name, points in _LIPS.items()}
    is_upper = at["upper_lip"] < at["lower_lip"]
    near = np.minimum(at["upper_lip"], at["lower_lip"]) < _REACH
    lips = _inside(at, np.concatenate([borders["outer_upper"], borders["outer_lower"][::-1]]), near)
    out[lips] = np.where(is_upper[lips], CLASS_ID["upper_lip"], CLASS_ID["lower_lip"])
    slit = [np.interp(at["x"], *borders[name][:, [0, 2]].T) for name in ("inner_upper", "inner_lower")]
    out[lips & (at["z"] < np.where(is_upper, *slit) - _WET)] = CLASS_ID["inner_mouth"]
    return out


def _brow(marks: np.ndarray, side: str) -> Float[np.ndarray, "n 2"]:
    """Outline of a brow's hair in the frontal view: that of `ibug`, moved onto the head's own brow points."""
    outline, usual = brow_outline(marks[36], marks[45]), brow_points(marks[36], marks[45])
    usual = usual[_BROWS[side] - np.array(17)]
    if side == "right":
        outline = outline * [-1, 1] + [marks[36, 0] + marks[45, 0], 0]
    order = np.argsort(usual[:, 0])
    moves = (marks[_BROWS[side], :2] - usual)[order]
    outline = outline + np.stack([np.interp(outline[:, 0], usual[order, 0], move) for move in moves.T], -1)
    return spline(np.concatenate([outline, outline[:1]]))


def spline(points: Float[np.ndarray, "k d"], n: int = 80) -> Float[np.ndarray, "n d"]:
    """Points of a cubic spline, which is closed where it ends as it begins."""
    closed = np.allclose(points[0], points[-1])
    curve, _ = splprep(points.T, s=0, k=3, per=closed)
    return np.stack(splev(np.linspace(0, 1, n), curve), -1)


def _between(at: dict[str, np.ndarray], upper: np.ndarray, lower: np.ndarray) -> Float[np.ndarray, " n"]:
    """Depth (z) of the surface between two curves across the face."""
    (high, high_z), (low, low_z) = (
        [np.interp(at["x"], *curve[np.argsort(curve[:, 0])][:, [0, k]].T) for k in (1, 2)]
        for curve in (upper, lower)
    )
    share = np.clip((at["y"] - low) / np.maximum(high - low, 1e-6), 0, 1)
    return low_z + share * (high_z - low_z)


def _inside(
    at: dict[str, np.ndarray], outline: np.ndarray, among: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Places of `among` that lie inside a closed outline in the frontal view (even-odd rule)."""
    x0, y0 = outline[:, :2].T
    x1, y1 = np.roll(outline[:, :2], -1, 0).T
    out = among & (at["x"] > x0.min()) & (at["x"] < x0.max()) & (at["y"] > y0.min()) & (at["y"] < y0.max())
    x, y = at["x"][out, None], at["y"][out, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    out[out] = crossed.sum(1) % 2 == 1
    return out


def mouth_lining(mesh: MaskedMesh) -> tuple[Int[np.ndarray, "k 3"], Int[np.ndarray, "k 3"]]:
    """Triangles, and their uv indices, that close the mouth behind the lips; none where it is closed.

    FLAME has no mouth cavity: without the lining, an open mouth shows the inside of the back of the head.
    The lining spans the hole with FLAME's own vertices.
    """
    faces, uvs = mesh.faces[mesh.skin_faces], mesh.face_uvs[mesh.skin_faces]
    a, b = faces.ravel(), np.roll(faces, -1, 1).ravel()
    twin = set(zip(b.tolist(), a.tolist(), strict=True))
    open_ = [i for i, edge in enumerate(zip(a.tolist(), b.tolist(), strict=True)) if edge not in twin]
    after = dict(zip(a[open_].tolist(), b[open_].tolist(), strict=True))
    uv_of = dict(zip(a[open_].tolist(), uvs.ravel()[open_].tolist(), strict=True))
    centre, best, nearest = mesh.landmarks[60:68].mean(0), [], 0.03  # metres from the lips' slit
    while after:
        loop = [next(iter(after))]
        while (following := after.pop(loop[-1], loop[0])) != loop[0]:
            loop.append(following)
        gap = np.linalg.norm(mesh.vertices[loop].mean(0) - centre)
        if len(loop) > 2 and gap < nearest:
            best, nearest = loop, gap
    strip = _zipped(mesh.vertices, best[::-1]) if best else np.zeros((0, 3), np.int64)
    return strip, np.array([[uv_of[i] for i in face] for face in strip.tolist()], np.int64).reshape(-1, 3)


def _zipped(vertices: np.ndarray, loop: list[int]) -> Int[np.ndarray, "k 3"]:
    """Triangles that fill a flat loop, between its two paths from one corner of the mouth to the other."""
    x = vertices[loop, 0]
    loop = [*loop[int(x.argmin()) :], *loop[: int(x.argmin())]]
    far = int(vertices[loop, 0].argmax())
    there, back = loop[: far + 1], [loop[0], *loop[: far - 1 : -1]]
    i = j = 0
    out = []
    while i < len(there) - 1 or j < len(back) - 1:
        forward = j == len(back) - 1 or (
            i < len(there) - 1 and vertices[there[i + 1], 0] <= vertices[back[j + 1], 0]
        )
        corner = there[i + 1] if forward else back[j + 1]
        out.append([there[i], corner, back[j]])
        i, j = i + forward, j + (not forward)
    return np.array([t for t in out if len(set(t)) == 3], np.int64).reshape(-1, 3)


def canonical_places(mesh: MaskedMesh) -> Float[np.ndarray, "v 3"]:
    """Each vertex's place on the canonical head (metres, head frame).

    A smooth warp (see heads/canonical.py) takes the landmarks, and the ears' extremes, to those of the
    embedded head. Far from those (scalp, neck) it is refined twice, so that the skin lies on the canonical
    head's named points.
    """
    anthro = load_anthro()
    here, there = [mesh.landmarks], [anthro.landmarks(anthro.canonical).astype(float)]
    target = canonical_points()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        ear = mesh.vertices[mesh.ears[side]]
        for name, (axis, end) in _EARS.items():
            here.append(ear[getattr(ear[:, axis], end)()][None])
            there.append((target[name] * [sign, 1, 1])[None])
    here, there = np.concatenate(here), np.concatenate(there)
    outside = np.array([p for n, p in target.items() if n not in inside_points() | set(_EARS)])
    outside = np.concatenate([outside, outside[outside[:, 0] > 1e-6] * _MIRROR])
    places = _warped(mesh.vertices, here, there, np.full(len(here), 1e-3))
    for reach in (0.04, 0.02):  # metres that a named point may be off the skin
        where = nearest_on_surface(outside, places, mesh.faces, mesh.skin_faces)
        gap = np.linalg.norm(surface_points(places, mesh.faces, *where) - outside, axis=1)
        own = surface_points(mesh.vertices, mesh.faces, *where)[gap < reach]
        firm = np.repeat([1e-3, 1e-2], [len(here), len(own)])  # metres of the linear kernel
        places = _warped(
            mesh.vertices, np.concatenate([here, own]), np.concatenate([there, outside[gap < reach]]), firm
        )
    return places


def _warped(vertices: np.ndarray, here: np.ndarray, there: np.ndarray, smoothing: np.ndarray) -> np.ndarray:
    here, first = np.unique(here, axis=0, return_index=True)
    warp = RBFInterpolator(here, there[first] - here, kernel="linear", degree=1, smoothing=smoothing[first])
    return vertices + warp(vertices)


def named_points(mesh: MaskedMesh, canonical: Float[np.ndarray, "v 3"]) -> dict[str, Float[np.ndarray, " 3"]]:
    """The canonical head's skin points, found on this head (metres); of pairs the left one, averaged
    over both sides."""
    target = {n: p for n, p in canonical_points().items() if n not in inside_points()}
    sides = []
    for mirror in (np.ones(3), _MIRROR):
        wanted = np.array(list(target.values())) * mirror
        where = nearest_on_surface(wanted, canonical, mesh.faces, mesh.skin_faces)
        sides.append(surface_points(mesh.vertices, mesh.faces, *where) * mirror)
    return dict(zip(target, (sides[0] + sides[1]) / 2, strict=True))


def eyeball_radius(ball: Float[np.ndarray, "n 3"]) -> float:
    """Metres; of the least-squares sphere through the back half of the points, without the cornea.

    Raises:
        GeometryError: the points lie on no sphere.
    """
    back = ball[ball[:, 2] < np.median(ball[:, 2])]
    if len(back) > 3:
        _, radius, spread = fit_nsphere(back)
        if spread < 0.2 * radius:
            return float(radius)
    raise GeometryError("an eyeball is no ball", where="vertex masks")
