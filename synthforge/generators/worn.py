"""What is worn on the head: hair, glasses, clothes as triangles appended to the head's mesh."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from synthforge.generators.fabric import Pattern
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
