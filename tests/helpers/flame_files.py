"""A stand-in for FLAME in its owner's file formats, made of the embedded head.

5,023 vertices and 9,976 triangles like FLAME, two eyeballs of 546 vertices, open at the mouth and the neck;
shapes and expressions are the embedded head's first, then random smooth ones, so that faces look like faces
and labels can be judged on them. The pickles are those of Python 2 with chumpy arrays and a scipy matrix,
written without either.
"""

import heapq
import io
import pickle
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from synthforge.heads.anthro import load_anthro
from synthforge.heads.base import surface_points
from synthforge.heads.ibug import visible_contour
from synthforge.heads.surface import nearest_on_surface

N_VERTICES, N_FACES, N_BALL = 5023, 9976, 546
SHIFT = np.array([0.0, 0.005, -0.04])  # the stand-in's own frame: another origin than the embedded head's
_LOOPS = {"neck": 26, "mouth": 36}  # vertices left on each border; with these, 9,976 triangles come out
_SKIN = ("skin", "ear", "nostril", "eye_socket")


@dataclass(frozen=True)
class StandIn:
    """Arrays by the names in the owner's files."""

    model: dict[str, np.ndarray]
    static: dict[str, np.ndarray]
    dynamic: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    vt: np.ndarray
    ft: np.ndarray


class Ch:
    """Stands for chumpy.ch.Ch while pickling."""

    def __init__(self, x: np.ndarray):
        self.x, self._dirty_vars = x, set()


class csc_matrix:  # noqa: N801 (the name in the pickle)
    """Stands for scipy.sparse.csc.csc_matrix while pickling."""

    def __init__(self, dense: np.ndarray):
        column, row = np.nonzero(dense.T)
        self._shape, self.maxprint, self.data = dense.shape, 50, dense[row, column]
        self.indices = row.astype(np.int32)
        self.indptr = np.searchsorted(column, np.arange(dense.shape[1] + 1)).astype(np.int32)


_OLD_NAMES = {
    Ch: b"cchumpy.ch\nCh\n",
    csc_matrix: b"cscipy.sparse.csc\ncsc_matrix\n",
    np.ndarray: b"cnumpy\nndarray\n",
    np.dtype: b"cnumpy\ndtype\n",
    np.zeros(1).__reduce__()[0]: b"cnumpy.core.multiarray\n_reconstruct\n",
}


class Python2Pickler(pickle._Pickler):  # the pure Python one, whose methods can be replaced
    """Protocol 2 as Python 2 wrote it: byte strings are `str`."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file: io.BufferedIOBase):
        super().__init__(file, protocol=2)

    def save_global(self, obj, name=None) -> None:  # noqa: ANN001
        if obj in _OLD_NAMES:
            self.write(_OLD_NAMES[obj])
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    def save_text(self, obj) -> None:  # noqa: ANN001
        data = obj.encode("latin1") if isinstance(obj, str) else obj
        self.write(b"T" + len(data).to_bytes(4, "little") + data)
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_text
    dispatch[type] = save_global


def python2_pickle(value) -> bytes:  # noqa: ANN001
    """Bytes of a pickle as Python 2 would write them."""
    file = io.BytesIO()
    Python2Pickler(file).dump(value)
    return file.getvalue()


def object_npy(value) -> bytes:  # noqa: ANN001
    """Bytes of an .npy file that holds one object."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    box = np.empty((), object)
    box[()] = value
    return file.getvalue() + python2_pickle(box)


def write_flame(folder: Path, name: str = "generic_model.pkl") -> Path:
    """The stand-in's files in `folder`; returns it."""
    s = stand_in()
    folder.mkdir(parents=True, exist_ok=True)
    chumpy = {key: Ch(s.model[key]) for key in ("v_template", "shapedirs", "posedirs", "weights")}
    model = {**s.model, **chumpy, "J_regressor": csc_matrix(s.model["J_regressor"])}
    (folder / name).write_bytes(python2_pickle(model | {"bs_style": "lbs", "bs_type": "lrotmin"}))
    (folder / "flame_static_embedding.pkl").write_bytes(python2_pickle(s.static))
    (folder / "flame_dynamic_embedding.npy").write_bytes(object_npy(s.dynamic))
    (folder / "FLAME_masks.pkl").write_bytes(python2_pickle(s.masks))
    np.savez(folder / "FLAME_texture.npz", vt=s.vt, ft=s.ft, mean=np.zeros((4, 4, 3)))
    return folder


def obj_text(s: StandIn) -> str:
    """`head_template.obj` of the stand-in."""
    lines = [f"v {x:.8f} {y:.8f} {z:.8f}" for x, y, z in s.model["v_template"]]
    lines += [f"vt {u:.8f} {v:.8f}" for u, v in s.vt]
    pairs = np.stack([s.model["f"], s.ft], -1) + 1
    lines += ["f " + " ".join(f"{a}/{b}" for a, b in face) for face in pairs.tolist()]
    return "\n".join(lines) + "\n"


@cache
def stand_in() -> StandIn:
    """The stand-in's arrays."""
    head, rng = load_anthro(), np.random.default_rng(8)
    kept = np.isin(head.face_part, [head.part_names.index(n) for n in _SKIN])
    rest = head.vertices.numpy().astype(float)
    skin, face_uvs = decimated(rest, head.faces[kept], head.face_uvs[kept], head.uv, _importance(rest))
    used, faces = np.unique(skin, return_inverse=True)
    used_uv, face_uvs = np.unique(face_uvs, return_inverse=True)
    faces, face_uvs = faces.reshape(-1, 3), face_uvs.reshape(-1, 3)
    n = len(used)

    ball, ball_faces, ball_uv = _eyeball(float(head.eye_radius[0]))
    joints = head.joints.numpy().astype(float)
    eyes = [head.joint_names.index(name) for name in ("left_eye", "right_eye")]
    vertices = np.concatenate([rest[used], *(ball + joints[e] for e in eyes)])
    all_faces = np.concatenate([faces, ball_faces + n, ball_faces + n + N_BALL])
    vt = np.concatenate([head.uv[used_uv], ball_uv + [0.935, 0.92], ball_uv + [0.935, 0.78]])
    ft = np.concatenate([face_uvs, ball_faces + len(used_uv), ball_faces + len(used_uv) + N_BALL])

    weights = np.zeros((len(vertices), 5))
    weights[:n] = head.weights.numpy()[used]
    for i, e in enumerate(eyes):
        weights[n + i * N_BALL : n + (i + 1) * N_BALL, e] = 1
    masks = _masks(head, used, faces, face_uvs, head.uv[used_uv])
    for i, side in enumerate(("left", "right")):
        masks[f"{side}_eyeball"] = n + i * N_BALL + np.arange(N_BALL)

    def directions(deltas: np.ndarray, joint_deltas: np.ndarray, count: int, size: float) -> np.ndarray:
        own = np.concatenate([deltas[:, used], *(_repeated(joint_deltas[:, e]) for e in eyes)], 1)
        smooth = smooth_fields(vertices, count - len(own), rng) * 2e-4
        return np.concatenate([own * size, smooth]).transpose(1, 2, 0)

    still = np.zeros((head.n_expression, head.n_joints, 3))
    shape = directions(head.shape_deltas.numpy(), head.joint_shape_deltas.numpy(), 300, 1.0)
    expression = directions(head.expression_deltas.numpy(), still, 100, 0.4)
    vertices = vertices + SHIFT
    model = {
        "v_template": vertices,
        "f": all_faces.astype(np.uint32),
        "shapedirs": np.concatenate([shape, expression], 2),
        "posedirs": smooth_fields(vertices, 36, rng).transpose(1, 2, 0) * 2e-4,
        "J_regressor": _joint_regressor(vertices, joints + SHIFT, n),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
    }
    static, dynamic = _embeddings(head, rest, vertices - SHIFT, all_faces, len(faces))
    return StandIn(model, static, dynamic, masks, vt, ft.astype(np.uint32))


def _repeated(deltas: np.ndarray) -> np.ndarray:
    return np.repeat(deltas[:, None], N_BALL, 1)


def smooth_fields(vertices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random smooth fields (count v 3) of about unit size: sums of slow waves."""
    waves = np.sin(vertices @ (rng.normal(size=(3, 24)) * 20) + rng.uniform(0, 6, 24))
    return np.einsum("vk,kcn->nvc", waves, rng.normal(size=(24, 3, count)) / 24**0.5, optimize=True)


def _importance(p: np.ndarray) -> np.ndarray:
    """How densely vertices are to stand: most on lids and lips, least on the back of the head."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    out = np.where(z > 0.05, 3.0, 0.5)
    out[(y < -0.1) | (y > 0.06)] = 0.4
    out[(x > 0.064) & (z < 0.01) & (np.abs(y) < 0.032)] = 1.5
    near_eye = np.linalg.norm((np.stack([x, y, z], 1) - [0.031, 0.0215, 0.08]) / [1.3, 1, 1.5], axis=1)
    near_mouth = np.linalg.norm((np.stack([x, y, z], 1) - [0, -0.045, 0.098]) / [2.2, 1, 1.5], axis=1)
    out[near_eye < 0.013] = 12
    out[near_mouth < 0.013] = 10
    return out


def decimated(
    vertices: np.ndarray, faces: np.ndarray, face_uvs: np.ndarray, uv: np.ndarray, importance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and their uv after moving vertices onto neighbours until FLAME's numbers are reached.

    Source: half-edge collapses in the order of their cost, as in Kobbelt et al. (1998).
    """
    corners, texture = faces.tolist(), face_uvs.tolist()
    p, t = [tuple(x) for x in vertices.tolist()], [tuple(x) for x in uv.tolist()]
    around: list[set[int]] = [set() for _ in p]
    for f, face in enumerate(corners):
        for i in face:
            around[i].add(f)

    def neighbours(i: int) -> dict[int, int]:
        """Neighbour -> number of triangles at the edge."""
        out: dict[int, int] = {}
        for f in around[i]:
            for j in corners[f]:
                if j != i:
                    out[j] = out.get(j, 0) + 1
        return out

    def cost(i: int, j: int) -> float:
        (ax, ay, az), (bx, by, bz) = p[i], p[j]
        return ((ax - bx) ** 2 + (ay - by) ** 2 + (az - bz) ** 2) * weight[i]

    def collapse(i: int, j: int) -> bool:
        """Move i onto j if the surface and its uv stay in order."""
        near = neighbours(i)
        if j not in near or len(near.keys() & neighbours(j).keys()) != near[j]:
            return False
        if near[j] == 2 and 1 in near.values():
            return False  # borders keep their shape, but for edges along them
        onto = {}
        for f in around[i]:
            if j in corners[f]:
                onto[texture[f][corners[f].index(i)]] = texture[f][corners[f].index(j)]
        changed = []
        for f in around[i]:
            face, tex = corners[f], texture[f]
            at = face.index(i)
            if tex[at] not in onto:
                return False
            if j in face:
                continue
            b, c = face[at - 2], face[at - 1]
            old, new = _cross(p[i], p[b], p[c]), _cross(p[j], p[b], p[c])
            dot = old[0] * new[0] + old[1] * new[1] + old[2] * new[2]
            if dot <= 0.3 * (_norm2(old) * _norm2(new)) ** 0.5:
                return False
            if _area(t[onto[tex[at]]], t[tex[at - 2]], t[tex[at - 1]]) <= 0.05 * abs(
                _area(t[tex[at]], t[tex[at - 2]], t[tex[at - 1]])
            ):
                return False
            changed.append((f, at))
        for f, at in changed:
            corners[f][at], texture[f][at] = j, onto[texture[f][at]]
            around[j].add(f)
        for f in around[i] - {f for f, _ in changed}:
            for k in corners[f]:
                if k != i:
                    around[k].discard(f)
            corners[f] = None
        around[i] = set()
        return True

    weight = importance.tolist()
    left = sum(map(bool, around))
    wanted = N_VERTICES - 2 * N_BALL
    for size, loop in ((_LOOPS[k], v) for k, v in _borders(vertices, faces).items()):
        heap = [(cost(i, j), i, j) for a, b in zip(loop, loop[1:] + loop[:1]) for i, j in ((a, b), (b, a))]  # noqa: B905
        heapq.heapify(heap)
        n = len(loop)
        while n > size:
            _, i, j = heapq.heappop(heap)
            if around[i] and around[j] and neighbours(i).get(j) == 1 and collapse(i, j):
                n, left = n - 1, left - 1
                for k, count in neighbours(j).items():
                    if count == 1:
                        heapq.heappush(heap, (cost(j, k), j, k))
                        heapq.heappush(heap, (cost(k, j), k, j))
    heap = [(cost(i, j), i, j) for i in range(len(p)) if around[i] for j in neighbours(i)]
    heapq.heapify(heap)
    while left > wanted:
        _, i, j = heapq.heappop(heap)
        if around[i] and around[j] and neighbours(i).get(j) == 2 and collapse(i, j):
            left -= 1
            for k in neighbours(j):
                heapq.heappush(heap, (cost(j, k), j, k))
                heapq.heappush(heap, (cost(k, j), k, j))
    rest = [f for f, face in enumerate(corners) if face]
    return np.array([corners[f] for f in rest]), np.array([texture[f] for f in rest])


def _cross(a: tuple, b: tuple, c: tuple) -> tuple[float, float, float]:
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


def _norm2(v: tuple) -> float:
    return v[0] * v[0] + v[1] * v[1] + v[2] * v[2]


def _area(a: tuple, b: tuple, c: tuple) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _borders(vertices: np.ndarray, faces: np.ndarray) -> dict[str, list[int]]:
    """Vertices of the neck's and of the mouth's border, in order."""
    edges = {(a, b) for f in faces.tolist() for a, b in zip(f, f[1:] + f[:1], strict=True)}
    after = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while after:
        loop = [next(iter(after))]
        while (following := after.pop(loop[-1])) != loop[0]:
            loop.append(following)
        loops.append(loop)
    low, high = sorted(loops, key=lambda loop: vertices[loop, 1].mean())
    return {"neck": low, "mouth": high}


def _eyeball(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ball with a cornea, poles front and back: vertices, faces, and uv in a disc."""
    rings, around = 17, 32
    ring = np.concatenate([[0], np.repeat(np.arange(1, rings + 1), around), [rings + 1]])
    polar = ring * np.pi / (rings + 1)
    turn = np.concatenate([[0], np.tile(np.arange(around), rings), [0]]) * 2 * np.pi / around
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    r, c = np.divmod(np.arange((rings - 1) * around), around)
    a, b = 1 + r * around + c, 1 + r * around + (c + 1) % around
    k = np.arange(around)
    last, back = 1 + (rings - 1) * around, rings * around + 1
    faces = np.concatenate([
        np.stack([0 * k, 1 + k, 1 + (k + 1) % around], -1),
        np.stack([a, a + around, b + around], -1),
        np.stack([a, b + around, b], -1),
        np.stack([last + k, 0 * k + back, last + (k + 1) % around], -1),
    ])  # fmt: skip
    bulge = 1 + 0.07 * np.exp(-0.5 * (polar / 0.35) ** 2)
    disc = 0.06 * polar[:, None] / np.pi * np.stack([np.cos(turn), np.sin(turn)], -1)
    return radius * bulge[:, None] * unit, faces, disc


def _masks(head, used: np.ndarray, faces: np.ndarray, face_uvs: np.ndarray, uv: np.ndarray) -> dict:  # noqa: ANN001
    """Vertex masks in the manner of FLAME_masks.pkl, from the embedded head's classes."""
    from synthforge.conventions import CLASS_NAMES

    size = len(head.class_map)
    vertex_uv = np.empty((len(used), 2))
    vertex_uv[faces] = uv[face_uvs]
    u, v = vertex_uv.T
    names = np.array(CLASS_NAMES)[head.class_map[((1 - v) * size).astype(int), (u * size).astype(int)]]
    p = head.vertices.numpy()[used]
    x, y, z = p.T
    is_ear = np.char.endswith(names, "_ear")
    above = ~is_ear & (names != "neck")
    face = above & (z > 0.02)
    regions = {
        "lips": np.isin(names, ["upper_lip", "lower_lip", "inner_mouth"]),
        "nose": names == "nose",
        "neck": names == "neck",
        "left_ear": is_ear & (x > 0),
        "right_ear": is_ear & (x < 0),
        "face": face,
        "forehead": face & (y > 0.045),
        "scalp": above & ~face,
        "eye_region": face & (y > -0.005) & (y < 0.05),
        "left_eye_region": face & (y > -0.005) & (y < 0.05) & (x > 0.01),
        "right_eye_region": face & (y > -0.005) & (y < 0.05) & (x < -0.01),
        "boundary": y < -0.17,
    }
    return {name: np.flatnonzero(inside) for name, inside in regions.items()}


def _joint_regressor(vertices: np.ndarray, joints: np.ndarray, n_skin: int) -> np.ndarray:
    """Sparse rows that sum to 1 and give the joints."""
    out, rng = np.zeros((5, len(vertices))), np.random.default_rng(3)
    for j, joint in enumerate(joints):
        first = n_skin + (j - 3) * N_BALL
        chosen = first + np.arange(N_BALL) if j > 2 else rng.choice(n_skin, 60, replace=False)
        equations = np.c_[vertices[chosen], np.ones(len(chosen))].T
        even = np.full(len(chosen), 1 / len(chosen))
        out[j, chosen] = even + np.linalg.pinv(equations) @ (np.append(joint, 1) - equations @ even)
    return out


def _embeddings(head, rest, vertices, faces, n_skin_faces: int) -> tuple[dict, dict]:  # noqa: ANN001
    """Static and dynamic landmarks: the embedded head's, and its contour turned by -39 ... 39 degrees."""
    skin = np.arange(n_skin_faces)
    face, weights = nearest_on_surface(head.landmarks(rest)[17:], vertices, faces, skin)
    static = {"lmk_face_idx": face.astype(np.uint32), "lmk_b_coords": weights}
    stations = surface_points(rest, head.faces, head.contour_face, head.contour_barycentric)  # m k 3
    places = []
    for row in range(79):
        degrees = -row if row <= 39 else row - 39
        seen = Rotation.from_euler("y", degrees, degrees=True).apply(stations.reshape(-1, 3))[:, :2] * [1, -1]
        wanted = visible_contour(seen.reshape(*stations.shape[:2], 2))
        near = np.linalg.norm(seen[:, None] - wanted, axis=-1).argmin(0)
        places.append(stations.reshape(-1, 3)[near])
    face, weights = nearest_on_surface(np.concatenate(places), vertices, faces, skin)
    return static, {"lmk_face_idx": face.reshape(79, 17), "lmk_b_coords": weights.reshape(79, 17, 3)}
