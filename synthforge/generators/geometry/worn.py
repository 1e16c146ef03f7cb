"""What is worn on the head: hair, glasses, clothes as triangles appended to the head's mesh."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from synthforge.generators.shading.fabric import Pattern
from synthforge.types import Mesh

_AROUND = 8  # corners of a tube


@dataclass(frozen=True)
class WornMesh:
    """Triangles with their own colour and one semantic class.

    `vertices` are metres in the world frame, `albedo` linear RGB in [0, 1]. `kind` is what it is made
    of: "hair", "cloth", "knit", "metal", "flesh" (hands) or "solid" (plastic). `tangent` is the unit
    direction along the fibre (root to tip) of hair, across the ribs of knitwear; any value elsewhere.
    `place` (m) is where the vertex lies in its cloth, across and along; without it, where it is in the
    world. `open` is the share of the surrounding light that reaches a vertex; without it, all. `pattern`
    changes the colour by the place in the cloth.
    What is not `labelled` (lashes, stubble: finer than labels mean) is in the image only, and comes last:
    labels are of what lies behind it.
    """

    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]
    class_id: int
    albedo: Float[np.ndarray, "n 3"]
    tangent: Float[np.ndarray, "n 3"]
    kind: str
    place: Float[np.ndarray, "n 3"] | None = None
    open: Float[np.ndarray, " n"] | None = None
    pattern: Pattern | None = None
    labelled: bool = True


def append_worn(mesh: Mesh, worn: Sequence[WornMesh]) -> Mesh:
    """Mesh with worn triangles after its own: same faces first, in the same order.

    Each worn mesh becomes one part named after its kind; its canonical place is its `place`, or where it is.
    """
    if not worn:
        return mesh
    starts = len(mesh.vertices) + np.cumsum([0, *(len(w.vertices) for w in worn)])
    n_faces = [len(w.faces) for w in worn]
    new_faces = np.concatenate([w.faces + start for w, start in zip(worn, starts, strict=False)])
    vertices = np.concatenate([w.vertices for w in worn]).astype(np.float32)
    places = np.concatenate([w.vertices if w.place is None else w.place for w in worn]).astype(np.float32)
    parts = np.repeat(np.arange(len(worn)) + len(mesh.part_names), n_faces).astype(np.uint8)
    classes = np.repeat([w.class_id for w in worn], n_faces).astype(np.uint8)
    return Mesh(
        vertices=np.concatenate([mesh.vertices, vertices]),
        faces=np.concatenate([mesh.faces, new_faces.astype(mesh.faces.dtype)]),
        uv=mesh.uv,
        face_uvs=np.concatenate([mesh.face_uvs, np.zeros((len(new_faces), 3), mesh.face_uvs.dtype)]),
        class_map=mesh.class_map,
        face_class=np.concatenate([mesh.face_class, classes]),
        face_part=np.concatenate([mesh.face_part, parts]),
        part_names=(*mesh.part_names, *(w.kind for w in worn)),
        canonical=np.concatenate([mesh.canonical, places]),
    )


def labelled_mesh(mesh: Mesh, worn: Sequence[WornMesh]) -> Mesh:
    """Mesh of `append_worn` without what is not labelled, which came last."""
    n = len(mesh.faces) - sum(len(w.faces) for w in worn if not w.labelled)
    of_faces = ("faces", "face_uvs", "face_class", "face_part")
    return replace(mesh, **{name: getattr(mesh, name)[:n] for name in of_faces})


def tube(
    line: Float[np.ndarray, "n 3"], radius: float, closed: bool
) -> tuple[Float[np.ndarray, "k 3"], Int[np.ndarray, "f 3"]]:
    """Round tube along a polyline: points, faces wound counter-clockwise from outside."""
    along = np.roll(line, -1, 0) - np.roll(line, 1, 0) if closed else np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.where(np.abs(along[:, 2:]) < 0.8, [0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
    u = np.cross(along, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(along, u)
    a = np.arange(_AROUND) / _AROUND * 2 * np.pi
    points = line[:, None] + radius * (np.cos(a)[:, None] * u[:, None] + np.sin(a)[:, None] * v[:, None])
    n = len(line)
    i, j = np.meshgrid(np.arange(n if closed else n - 1), np.arange(_AROUND), indexing="ij")
    here, right = i * _AROUND + j, i * _AROUND + (j + 1) % _AROUND
    ahead, across = (i + 1) % n * _AROUND + j, (i + 1) % n * _AROUND + (j + 1) % _AROUND
    faces = np.concatenate([np.stack([here, right, across], -1), np.stack([here, across, ahead], -1)])
    return points.reshape(-1, 3), faces.reshape(-1, 3)


def lattice_faces(rows: int, columns: int, closed: bool = False) -> Int[np.ndarray, "f 3"]:
    """Two triangles per cell, facing out where rows go down and columns to the subject's left."""
    i, j = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    here, right = i * columns + j, i * columns + (j + 1) % columns
    below, across = here + columns, right + columns
    return np.stack([here, below, across, here, across, right], -1).reshape(-1, 3)


def clip_triangles(
    faces: Int[np.ndarray, "f 3"], height: Float[np.ndarray, " v"]
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """The part of triangles where `height` is negative, cut along its zero line.

    Returns faces into k new vertices; new vertex i is `share[i]` of the way from old vertex
    `edges[i, 0]` to `edges[i, 1]`, and stands on the zero line exactly where the share is positive.
    """
    below = height[faces] < 0
    count = below.sum(1)
    # turn each triangle so that its odd corner (one below or one above) comes first
    odd = np.where(count == 1, below.argmax(1), np.where(count == 2, (~below).argmax(1), 0))
    turned = np.take_along_axis(faces, (odd[:, None] + np.arange(3)) % 3, 1)
    a, b, c = turned.T

    def corner(i: np.ndarray) -> np.ndarray:
        return np.stack([i, i], -1)

    def cut(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.sort(np.stack([i, j], -1), -1)

    whole, one, two = (count == k for k in (3, 1, 2))
    triangles = [
        np.stack([corner(a), corner(b), corner(c)], 1)[whole],
        np.stack([corner(a), cut(a, b), cut(a, c)], 1)[one],
        np.stack([cut(a, b), corner(b), corner(c)], 1)[two],
        np.stack([cut(a, b), corner(c), cut(a, c)], 1)[two],
    ]
    first, second = np.concatenate(triangles).reshape(-1, 2).T
    index, is_cut = np.empty(len(first), np.int64), first != second
    used = np.zeros(len(height), bool)
    used[first[~is_cut]] = True
    kept = np.flatnonzero(used)
    index[~is_cut] = (np.cumsum(used) - 1)[first[~is_cut]]
    keys, at = np.unique(first[is_cut] * len(height) + second[is_cut], return_inverse=True)
    index[is_cut] = at + len(kept)
    edges = np.concatenate([np.stack([kept, kept], -1), np.stack(np.divmod(keys, len(height)), -1)])
    low, high = height[edges[:, 0]], height[edges[:, 1]]
    share = np.where(edges[:, 0] == edges[:, 1], 0.0, low / np.where(low == high, 1.0, low - high))
    return index.reshape(-1, 3).astype(np.int32), edges, share


def boundary_edges(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "e 2"]:
    """Directed edges that only one triangle has."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    keys = np.sort(edges, 1) @ [edges.max() + 1, 1]
    _, index, count = np.unique(keys, return_index=True, return_counts=True)
    return edges[index[count == 1]]
