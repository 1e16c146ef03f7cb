"""Build the skin of the embedded head: one authored half, mirrored and welded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from synthforge.conventions import CLASS_ID

from .common import Part, inside
from .skin_ear import ear
from .skin_layout import HALF_DIFFERENCE, MEAN, OFF_SKIN, ON_EAR, RADIUS, TOP
from .skin_mesh import HalfSkin, half_skin, hole_outline
from .skin_sweeps import EYE, GLOBE, bag_rings, directed, nostril_rings, socket_rings, strip

LIP_ROWS = 3  # rows of the mouth bag that still count as lip
STRETCH = 0.45  # how much more texture width the face gets than the back of the head
HEIGHT = 252.0  # layout height of the shoulder cut below the origin, mm


@dataclass
class SkinResult:
    """The skin and what expression authors need of it.

    sex_delta: v 3 metres, half the difference of men and women (neutral + sex_delta is the man); points:
    vertex index by point name (the subject's left; the mirror image has the suffix _right); labels: per-vertex
    fields in 0..1; loops: ordered vertex rows.
    """

    part: Part
    sex_delta: Float[np.ndarray, "v 3"]
    points: dict[str, int]
    labels: dict[str, Float[np.ndarray, " v"]]
    loops: dict[str, Int[np.ndarray, " n"]]


class _Half:
    """Growing left half: vertices in mm and triangles with their texture places, class and part."""

    def __init__(self, skin: HalfSkin):
        self.vertices = [skin.vertices]
        self.faces, self.corner_uv, self.classes, self.parts = [], [], [], []

    @property
    def count(self) -> int:
        return sum(map(len, self.vertices))

    def add_vertices(self, p: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        start = self.count
        self.vertices.append(p)
        return np.arange(start, start + len(p))

    def add_faces(self, faces, corner_uv, classes, part):
        """Triangles with class and part; a chart that came out mirrored is turned over in its own box."""
        a, b, c = corner_uv[:, 0], corner_uv[:, 1], corner_uv[:, 2]
        if ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum() < 0:
            u = corner_uv[..., 0]
            corner_uv = np.stack([u.min() + u.max() - u, corner_uv[..., 1]], -1)
        self.faces.append(faces)
        self.corner_uv.append(corner_uv)
        self.classes.append(np.broadcast_to(classes, len(faces)).astype(np.uint8))
        self.parts += [part] * len(faces)

    def sweep(self, loop, rings, box, part, classes, closed, apex=None):
        """Rows of vertices inward from `loop`; box (u0, v0, u1, v1) holds their texture; apex closes the far
        end; returns row ids."""
        rows = np.concatenate([loop[None], [self.add_vertices(r) for r in rings]])
        if not closed:  # ends shared by all rows stay one vertex
            for end in (0, -1):
                if np.allclose(rings[:, end], self.vertices[0][loop[end]]):
                    rows[:, end] = loop[end]
        n, k = rows.shape[1], len(rows)
        cap = apex is not None
        if cap:
            last = self.add_vertices(apex[None])
            rows = np.concatenate([rows, np.repeat(last[None], n, axis=1)])
        cols = n + closed
        place = np.stack(np.meshgrid(np.linspace(0, 1, cols), np.linspace(0, 1, k + cap)), -1)
        if cap:
            place[-1, :, 0] += 0.5 / (cols - 1)
        place = np.array(box[:2]) + place * (np.array(box[2:]) - box[:2])
        wide = np.concatenate([rows, rows[:, :1]], axis=1) if closed else rows
        grid = np.arange(wide.size).reshape(wide.shape)
        a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
        cells = np.stack([b, a, d, b, d, c], -1).reshape(-1, 3)
        flat = wide.ravel()[cells]
        good = (flat != np.roll(flat, 1, axis=1)).all(1)
        cells, flat = cells[good], flat[good]
        if directed(np.concatenate(self.faces), loop[1], loop[0]):
            cells, flat = cells[:, ::-1], flat[:, ::-1]
        self.add_faces(flat, place.reshape(-1, 2)[cells], classes(cells // cols, cells % cols, cols), part)
        return rows


def _skin_uv(skin: HalfSkin) -> Float[np.ndarray, "f 3 2"]:
    x = skin.places[:, 0] / (np.pi * RADIUS)
    u = 0.5 + 0.5 * x * (1 + STRETCH - STRETCH * x)
    uv = np.stack([u, 0.2 + 0.8 * (skin.places[:, 1] + HEIGHT) / (HEIGHT + TOP)], 1)[skin.faces]
    uv = np.clip(uv, 0, 1)
    pole = skin.places[skin.faces][..., 1] > TOP - 1e-6
    for k in range(3):
        at = pole[:, k]
        uv[at, k, 0] = (uv[at, (k + 1) % 3, 0] + uv[at, (k + 2) % 3, 0]) / 2
    return uv


def _skin_classes(skin: HalfSkin) -> np.ndarray:
    place = skin.places
    centre = place[skin.faces].mean(1)
    row = {name: place[ids] for name, ids in skin.rows.items()}
    left = np.array([[-1.0, 0]])
    side, base = row["nose_side"], row["nose_base"][::-1]
    groove = int(np.abs(row["alar_groove"] - side[-1]).sum(1).argmin())
    nose = np.concatenate([side[:1] + left, side, row["alar_groove"][groove:], base, base[-1:] + left])
    upper = np.concatenate([row["lip_upper"][:1] + left, row["lip_upper"], row["stomion_upper"][::-1],
                            row["stomion_upper"][:1] + left])  # fmt: skip
    lower = np.concatenate([row["lip_lower"][:1] + left, row["lip_lower"], row["stomion_lower"][::-1],
                            row["stomion_lower"][:1] + left])  # fmt: skip
    jaw = row["jaw"]
    around = np.array([[240, -58.5], [240, -260], [-1, -260]])
    neck = np.concatenate([jaw[:1] + left, jaw, row["nape"], around])
    out = np.full(len(centre), CLASS_ID["skin"], np.uint8)
    for name, polygon in (("neck", neck), ("nose", nose), ("upper_lip", upper), ("lower_lip", lower)):
        out[inside(centre, polygon)] = CLASS_ID[name]
    return out


def _build_half():
    skin = half_skin()
    half = _Half(skin)
    half.add_faces(skin.faces, _skin_uv(skin), _skin_classes(skin), "skin")
    row, p = skin.rows, skin.vertices

    def constant(name):
        return lambda r, c, n: CLASS_ID[name]

    margin = np.concatenate([row["lid_upper"], row["lid_lower"][::-1][1:-1]])
    socket = half.sweep(margin, socket_rings(p[margin]), (0.87, 0.01, 0.93, 0.18), "eye_socket",
                        constant("skin"), closed=True, apex=EYE - [0, 0, GLOBE + 1.3])  # fmt: skip
    rim = row["nostril"][:-1]
    rings = nostril_rings(p[rim])
    half.sweep(rim, rings, (0.94, 0.01, 0.99, 0.18), "nostril", constant("nose"), True, apex=rings[-1].mean(0))

    line = np.concatenate([row["stomion_upper"], row["stomion_lower"][::-1][1:]])

    def lip_class(r, c, n):
        lip = np.where(c.max(1) <= n // 2, CLASS_ID["upper_lip"], CLASS_ID["lower_lip"])
        return np.where(r.max(1) <= LIP_ROWS, lip, CLASS_ID["inner_mouth"])

    bag = half.sweep(line, bag_rings(p[line]), (0.75, 0.01, 0.86, 0.14), "mouth_bag", lip_class, False)
    _close_bag(half, bag[-1])

    top, bottom = row["ear_front"], row["ear_back"]
    vertices, side, faces, back = ear(p[top], p[bottom], np.random.default_rng(11))
    inner = half.add_vertices(vertices[len(top) :])
    ids = np.concatenate([top, inner])
    span = np.ptp(side, axis=0).max()
    uv = np.array([0.51, 0.01]) + (side - side.min(0)) / span * 0.17
    half.add_faces(ids[faces], uv[faces], CLASS_ID["left_ear"], "ear")
    rim_ids = np.concatenate([top[:1], inner[: len(bottom) - 2], top[-1:]])
    back[:, 0], back[:, -1] = p[top[0]], p[top[-1]]
    rows = [half.add_vertices(r[1:-1]) for r in back[1:]]
    rows = [rim_ids] + [np.concatenate([top[:1], r, top[-1:]]) for r in rows] + [bottom]
    _ear_back(half, np.array(rows))
    return skin, half, {"socket": socket, "bag": bag, "ear": np.concatenate([inner, *rows[1:-1]])}


def _close_bag(half: _Half, ring: np.ndarray):
    """Throat: strips between the upper and the lower half of the last ring."""
    m = len(ring) // 2
    rows = np.stack([ring[: m + 1], ring[::-1][: m + 1]])
    place = np.stack(np.meshgrid(np.linspace(0.75, 0.86, m + 1), [0.15, 0.18]), -1).reshape(-1, 2)
    grid = np.arange(2 * m + 2).reshape(2, -1)
    cells = strip(grid, closed=False)
    flat = rows.ravel()[cells]
    good = (flat != np.roll(flat, 1, axis=1)).all(1)
    cells, flat = cells[good], flat[good]
    if directed(np.concatenate(half.faces), ring[0], ring[1]) == directed(flat, ring[0], ring[1]):
        cells, flat = cells[:, ::-1], flat[:, ::-1]
    half.add_faces(flat, place[cells], CLASS_ID["inner_mouth"], "mouth_bag")


def _ear_back(half: _Half, rows: np.ndarray):
    k, n = rows.shape
    place = np.stack(np.meshgrid(np.linspace(0.70, 0.74, n), np.linspace(0.01, 0.18, k)), -1)
    grid = np.arange(rows.size).reshape(rows.shape)
    cells = strip(grid, closed=False)
    flat = rows.ravel()[cells]
    good = (flat != np.roll(flat, 1, axis=1)).all(1)
    cells, flat = cells[good], flat[good]
    if directed(np.concatenate(half.faces), rows[0, 4], rows[0, 5]) == directed(flat, rows[0, 4], rows[0, 5]):
        cells, flat = cells[:, ::-1], flat[:, ::-1]
    half.add_faces(flat, place.reshape(-1, 2)[cells], CLASS_ID["left_ear"], "ear")


def build_skin() -> SkinResult:
    """The whole skin; deterministic."""
    skin, half, rows = _build_half()
    v = np.concatenate(half.vertices)
    faces = np.concatenate(half.faces)
    used, inverse = np.unique(faces, return_inverse=True)
    new = np.full(len(v), -1)
    new[used] = np.arange(len(used))
    v, faces = v[used], inverse.reshape(-1, 3)
    middle = v[:, 0] == 0.0
    n = len(v)
    mirror = np.where(middle, np.arange(n), 0)
    mirror[~middle] = n + np.arange((~middle).sum())
    whole = np.concatenate([v, v[~middle] * [-1, 1, 1]])
    all_faces = np.concatenate([faces, mirror[faces][:, ::-1]])

    corner = np.concatenate(half.corner_uv)
    corner = np.concatenate([corner, (corner * [-1, 1] + [1, 0])[:, ::-1]])
    uv, face_uvs = np.unique(np.round(corner.reshape(-1, 2), 9), axis=0, return_inverse=True)
    classes = np.concatenate(half.classes)
    flipped = np.where(classes == CLASS_ID["left_ear"], CLASS_ID["right_ear"], classes)
    part = Part(
        vertices=whole / 1000,
        faces=all_faces.astype(np.int32),
        uv=uv,
        face_uvs=face_uvs.reshape(-1, 3).astype(np.int32),
        face_class=np.concatenate([classes, flipped]).astype(np.uint8),
        face_part=half.parts * 2,
    )
    row = {name: new[ids] for name, ids in skin.rows.items()}
    loops = _loops(row, mirror)
    labels = _labels(skin, rows, new, mirror, len(whole))
    return SkinResult(part, _sex_delta(whole), _points(v, mirror), labels, loops)


def _loops(row, mirror):
    margin = np.concatenate([row["lid_upper"], row["lid_lower"][::-1][1:-1]])
    out = {"lid_margin_left": margin, "lid_margin_right": mirror[margin]}
    for name, source in (("lip_upper_border", "lip_upper"), ("lip_lower_border", "lip_lower"),
                         ("stomion_upper", "stomion_upper"), ("stomion_lower", "stomion_lower")):  # fmt: skip
        out[name] = np.concatenate([mirror[row[source]][::-1], row[source][1:]])
    return out


def _sex_delta(whole):
    names = [n for n in MEAN if n not in ("lower_incisor_edge", "upper_incisor_edge")]
    at = np.array([MEAN[n] for n in names])
    delta = np.array([HALF_DIFFERENCE[n] for n in names])
    at, delta = np.concatenate([at, at * [-1, 1, 1]]), np.concatenate([delta, delta * [-1, 1, 1]])
    _, first = np.unique(np.round(at, 2), axis=0, return_index=True)
    fit = RBFInterpolator(at[first], delta[first], kernel="linear", degree=1, smoothing=0.5)
    out = fit(whole)
    mirrored = fit(whole * [-1, 1, 1]) * [-1, 1, 1]
    return (out + mirrored) / 2 / 1000


def _points(v, mirror):
    tree = cKDTree(v)
    names = [n for n in MEAN if n not in OFF_SKIN]
    _, i = tree.query(np.array([MEAN[n] for n in names]))
    out = dict(zip(names, map(int, i), strict=True))
    return out | {f"{n}_right": int(mirror[k]) for n, k in out.items() if MEAN[n][0] != 0}


def _smooth(x):
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _labels(skin, rows, new, mirror, count):
    place = skin.places
    row = {name: place[ids] for name, ids in skin.rows.items()}
    labels = {}

    def spread(name, on_skin, ids, values, mirrored=None):
        field = np.zeros(len(new))
        field[: len(place)] = on_skin
        field[ids] = values
        left = field[new >= 0]
        out = np.zeros(count)
        out[: len(left)] = left
        both = mirrored is None
        if both:
            out[mirror] = left
            labels[name] = out
        else:
            labels[name] = out
            other = np.zeros(count)
            other[mirror] = left
            labels[mirrored] = other

    def far(curve, reach):
        return _smooth(1 - cKDTree(curve).query(place)[0] / reach)

    # lips: side by height over the parting line, blurred beyond the corner
    corner = row["stomion_upper"][-1]
    line_t = np.interp(place[:, 0], row["stomion_upper"][:, 0],
                       (row["stomion_upper"][:, 1] + row["stomion_lower"][:, 1]) / 2)  # fmt: skip
    blur = np.maximum(place[:, 0] - corner[0], 0) * 0.8 + 1e-3
    up = _smooth(0.5 + (place[:, 1] - line_t) / (2 * blur))
    for k in (-1,):
        up[skin.rows["stomion_upper"][k]] = 0.5
    n = rows["bag"].shape[1]
    upper_side = np.clip(n // 2 - np.arange(n), -1, 1) / 2 + 0.5
    for name, side, bag_side in (("upper", up, upper_side), ("lower", 1 - up, 1 - upper_side)):
        lip = np.concatenate([row[f"lip_{name}"], row[f"lip_{name}_crest"], row[f"stomion_{name}"]])
        on_lip = inside(place, np.concatenate([row[f"lip_{name}"], row[f"stomion_{name}"][::-1]]) + [1e-6, 0])
        near = np.maximum(far(lip, 14.0), on_lip)
        near[skin.rows[f"lip_{name}"]] = 1.0
        near[skin.rows[f"stomion_{name}"]] = 1.0
        spread(f"{name}_lip", near * side, rows["bag"][1:].ravel(), np.tile(bag_side, len(rows["bag"]) - 1))

    # lids: side by the line through the canthi
    en, ex = row["lid_upper"][0], row["lid_upper"][-1]
    along = (place - en) @ (ex - en) / ((ex - en) @ (ex - en))
    over = place[:, 1] - (en[1] + (ex[1] - en[1]) * np.clip(along, 0, 1))
    m = len(row["lid_upper"])
    n = rows["socket"].shape[1]
    columns = np.arange(n)
    is_upper = np.where((columns == 0) | (columns == m - 1), 0.5, columns < m)
    between = np.where((along > 0) & (along < 1), 1e-3, 4.0)
    above = _smooth(0.5 + over / (2 * between))
    above[skin.rows["lid_upper"]], above[skin.rows["lid_lower"]] = 1.0, 0.0
    above[skin.rows["lid_upper"][[0, -1]]] = 0.5
    for name, side, ring_side, reach in (("upper", above, is_upper, 9.0), ("lower", 1 - above, 1 - is_upper, 9.0)):
        near = far(row[f"lid_{name}"], reach)
        fade = np.repeat(np.array([1, 1, 1, 0.8, 0.4, 0.0, 0.0, 0.0])[: len(rows["socket"]) - 1], n)
        ring = np.tile(ring_side, len(rows["socket"]) - 1) * fade
        spread(f"{name}_lid_left", near * side, rows["socket"][1:].ravel(), ring, f"{name}_lid_right")

    base = hole_outline(row, "ear")
    spread("ear_left", far(base, 9.0), rows["ear"], 1.0, "ear_right")
    return labels


def main() -> None:
    """Write a preview archive to build/anthro_skin.npz."""
    result = build_skin()
    folder = Path(__file__).resolve().parents[2] / "build"
    folder.mkdir(exist_ok=True)
    p = result.part
    np.savez(
        folder / "anthro_skin.npz", vertices=p.vertices, faces=p.faces, uv=p.uv, face_uvs=p.face_uvs,
        face_class=p.face_class, face_part=np.array(p.face_part), sex_delta=result.sex_delta,
        **{f"point_{k}": v for k, v in result.points.items()},
        **{f"label_{k}": v for k, v in result.labels.items()},
        **{f"loop_{k}": v for k, v in result.loops.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
