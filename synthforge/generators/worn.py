"""What is worn on the head: hair, glasses, clothes as triangles appended to the head's mesh."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from synthforge.types import Mesh


@dataclass(frozen=True)
class WornMesh:
    """Triangles with their own colour and one semantic class.

    `vertices` are metres in the world frame, `albedo` linear RGB in [0, 1]. `tangent` is the unit
    direction along the fibre (root to tip), used where `kind` is "hair"; any value where "solid".
    """

    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]
    class_id: int
    albedo: Float[np.ndarray, "n 3"]
    tangent: Float[np.ndarray, "n 3"]
    kind: str


def append_worn(mesh: Mesh, worn: Sequence[WornMesh]) -> Mesh:
    """Mesh with worn triangles after its own: same faces first, in the same order.

    Each worn mesh becomes one part named after its kind; its canonical place is where it is.
    """
    if not worn:
        return mesh
    starts = len(mesh.vertices) + np.cumsum([0, *(len(w.vertices) for w in worn)])
    n_faces = [len(w.faces) for w in worn]
    new_faces = np.concatenate([w.faces + start for w, start in zip(worn, starts, strict=False)])
    places = np.concatenate([w.vertices for w in worn]).astype(np.float32)
    parts = np.repeat(np.arange(len(worn)) + len(mesh.part_names), n_faces).astype(np.uint8)
    classes = np.repeat([w.class_id for w in worn], n_faces).astype(np.uint8)
    return Mesh(
        vertices=np.concatenate([mesh.vertices, places]),
        faces=np.concatenate([mesh.faces, new_faces.astype(mesh.faces.dtype)]),
        uv=mesh.uv,
        face_uvs=np.concatenate([mesh.face_uvs, np.zeros((len(new_faces), 3), mesh.face_uvs.dtype)]),
        class_map=mesh.class_map,
        face_class=np.concatenate([mesh.face_class, classes]),
        face_part=np.concatenate([mesh.face_part, parts]),
        part_names=(*mesh.part_names, *(w.kind for w in worn)),
        canonical=np.concatenate([mesh.canonical, places]),
    )
