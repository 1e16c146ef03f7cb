"""Named points, and tubes: the grids of quads that eyeballs, teeth, gums and tongue are made of."""

import numpy as np
from jaxtyping import Float

from .common import Part
from .skin_layout import HALF_DIFFERENCE, MEAN


def named_point(name: str, sex: float) -> Float[np.ndarray, " 3"]:
    """A point of points.json in mm; `sex` +1 mean man, 0 the mean of both, -1 mean woman."""
    return MEAN[name] + sex * HALF_DIFFERENCE[name]


def tube(
    rings: Float[np.ndarray, "r k 3"],
    part: str,
    class_id: int,
    start: Float[np.ndarray, " 3"] | None = None,
    end: Float[np.ndarray, " 3"] | None = None,
) -> Part:
    """Rings joined by triangles, closed by a fan to `start` and to `end` where these are given.

    The winding is turned so that the normals point out; uv is the unrolled rectangle, so charts of
    different tubes cannot overlap once they are packed.
    """
    n_rings, n_around = rings.shape[:2]
    ring, column = np.meshgrid(np.arange(n_rings - 1), np.arange(n_around), indexing="ij")
    a, b = ring * n_around + column, ring * n_around + (column + 1) % n_around
    quads = np.stack([a, b, b + n_around, a + n_around], -1).reshape(-1, 4)
    # uv grid: one column more (the seam) and a row before and after for the caps
    ua = (ring + 1) * (n_around + 1) + column
    uv_quads = np.stack([ua, ua + 1, ua + n_around + 2, ua + n_around + 1], -1).reshape(-1, 4)
    rows, columns = np.meshgrid(np.arange(n_rings + 2), np.arange(n_around + 1), indexing="ij")
    uv = np.stack([columns / n_around, rows / (n_rings + 1)], -1).reshape(-1, 2)

    vertices, faces, face_uvs = [rings.reshape(-1, 3)], _split(quads), _split(uv_quads)
    j = np.arange(n_around)
    for point, row, uv_row, flip in ((start, 0, 0, True), (end, n_rings - 1, n_rings + 1, False)):
        if point is None:
            continue
        pole = sum(len(v) for v in vertices)
        vertices.append(np.asarray(point)[None])
        edge = [row * n_around + j, row * n_around + (j + 1) % n_around]
        uv_edge = (row + 1) * (n_around + 1) + j
        uv_pole = len(uv) + j
        pole_uv = np.stack([(j + 0.5) / n_around, np.full(n_around, uv_row / (n_rings + 1))], -1)
        uv = np.concatenate([uv, pole_uv])
        fan = np.stack([edge[0], edge[1], np.full(n_around, pole)], -1)
        uv_fan = np.stack([uv_edge, uv_edge + 1, uv_pole], -1)
        faces = np.concatenate([faces, fan[:, ::-1] if flip else fan])
        face_uvs = np.concatenate([face_uvs, uv_fan[:, ::-1] if flip else uv_fan])

    points = np.concatenate(vertices)
    if _signed_volume(points, faces) < 0:
        faces, face_uvs = faces[:, ::-1], face_uvs[:, ::-1]
    used, face_uvs = np.unique(face_uvs, return_inverse=True)
    return Part(
        vertices=points.astype(np.float64),
        faces=faces.astype(np.int32),
        uv=uv[used].astype(np.float64),
        face_uvs=face_uvs.reshape(-1, 3).astype(np.int32),
        face_class=np.full(len(faces), class_id, np.uint8),
        face_part=[part] * len(faces),
    )


def joined(parts: list[Part], columns: int) -> Part:
    """Parts in one, their unit squares laid out in a table of `columns` columns."""
    rows = -(-len(parts) // columns)
    offset_v = np.cumsum([0] + [len(p.vertices) for p in parts])
    offset_t = np.cumsum([0] + [len(p.uv) for p in parts])
    cell, margin = np.array([1 / columns, 1 / rows]), 0.06
    uv = [
        (p.uv * (1 - 2 * margin) + margin + [i % columns, i // columns]) * cell for i, p in enumerate(parts)
    ]
    return Part(
        vertices=np.concatenate([p.vertices for p in parts]),
        faces=np.concatenate([p.faces + o for p, o in zip(parts, offset_v, strict=False)]),
        uv=np.concatenate(uv),
        face_uvs=np.concatenate([p.face_uvs + o for p, o in zip(parts, offset_t, strict=False)]),
        face_class=np.concatenate([p.face_class for p in parts]),
        face_part=[name for p in parts for name in p.face_part],
    )


def _split(quads: np.ndarray) -> np.ndarray:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _signed_volume(points: np.ndarray, faces: np.ndarray) -> float:
    centred = points - points.mean(0)
    a, b, c = (centred[faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)))
