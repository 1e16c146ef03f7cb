"""Whatever is worn, grown or held: hair, clothes, glasses, a hand. Geometry and material, apart from the
head's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from synthforge.conventions import CLASS_ID
from synthforge.generators.geometry.meshes import joined
from synthforge.generators.shading.fabric import Pattern
from synthforge.types import Mesh


@dataclass(frozen=True)
class Strands:
    """n fibres of m points each, from root to tip.

    `paths` (m, world frame), `half_width` (m) and `albedo` (linear RGB) are given per point.
    """

    paths: Float[np.ndarray, "n m 3"]
    half_width: Float[np.ndarray, "n m"]
    albedo: Float[np.ndarray, "n m 3"]

    def ribbons(
        self, camera_at: Float[np.ndarray, " 3"]
    ) -> tuple[Float[np.ndarray, "n m 2 3"], Float[np.ndarray, "n m 2 3"]]:
        """Left and right edges (m, float32) of flat ribbons that face the camera, and the fibres' unit
        direction at both edges."""
        shape = (*self.half_width.shape, 2, 3)
        edges, along = _ribbons(self.paths, self.half_width, camera_at)
        return edges.reshape(shape), along.reshape(shape)


@dataclass(frozen=True)
class Accessory:
    """Triangles of one semantic class and one material.

    Attributes:
        vertices: metres, world frame (while it is being built: the frame that its maker names).
        faces: counter-clockwise seen from outside.
        class_name: a key of `CLASS_ID`.
        albedo: linear RGB per vertex, in [0, 1].
        material: "hair", "cloth", "knit", "metal", "flesh" (hands) or "solid" (plastic).
        tangent: unit direction along the fibre of hair (root to tip) or across the ribs of knitwear; None
            for other materials.
        place: place in the cloth (m; across, along, 0) that weave and patterns follow; None: `vertices`.
        ambient: ambient visibility, the share of the surrounding light that reaches a vertex; None: all.
        pattern: what changes the colour by place in the cloth.
        strands: the fibres that the triangles show as ribbons; None for surfaces.
        labelled: False for what is finer than labels (lashes, stubble): it is in the image only, and
            labels are those of the surface behind it.
    """

    vertices: Float[np.ndarray, "n 3"]
    faces: Int[np.ndarray, "m 3"]
    class_name: str
    albedo: Float[np.ndarray, "n 3"]
    material: str
    tangent: Float[np.ndarray, "n 3"] | None = None
    place: Float[np.ndarray, "n 3"] | None = None
    ambient: Float[np.ndarray, " n"] | None = None
    pattern: Pattern | None = None
    strands: Strands | None = None
    labelled: bool = True

    @property
    def class_id(self) -> int:
        return CLASS_ID[self.class_name]

    @classmethod
    def surface(
        cls,
        points: Float[np.ndarray, "n 3"],
        faces: Int[np.ndarray, "m 3"],
        color: Float[np.ndarray, "*n 3"],
        class_name: str,
        material: str,
        tangent: Float[np.ndarray, "n 3"] | None = None,
        place: Float[np.ndarray, "n 3"] | None = None,
    ) -> "Accessory":
        """A surface in float32 and int32; `color` is one for all points or one per point."""
        albedo = np.clip(np.broadcast_to(color, points.shape), 0.003, 0.9)
        vertices, albedo = (np.ascontiguousarray(a, np.float32) for a in (points, albedo))
        tangent, place = (
            None if a is None else np.ascontiguousarray(a, np.float32) for a in (tangent, place)
        )
        faces = np.ascontiguousarray(faces, np.int32)
        return cls(vertices, faces, class_name, albedo, material, tangent, place)

    @classmethod
    def hair(
        cls,
        strands: Strands,
        camera_at: Float[np.ndarray, " 3"],
        class_name: str = "hair",
        labelled: bool = True,
    ) -> "Accessory":
        """Strands, and the ribbons that show them to a camera."""
        n, m = strands.half_width.shape
        edges, along = (a.reshape(-1, 3) for a in strands.ribbons(camera_at))
        strand = np.arange(n, dtype=np.int32)[:, None] * 2 * m + 2 * np.arange(m - 1, dtype=np.int32)
        quads = np.stack([strand, strand + 1, strand + 3, strand, strand + 3, strand + 2], -1)
        albedo = np.repeat(strands.albedo[:, :, None], 2, 2).reshape(-1, 3)
        return cls(
            edges, quads.reshape(-1, 3), class_name, albedo, "hair", along, strands=strands, labelled=labelled
        )


@njit(cache=True)
def _ribbons(paths, half, camera):
    """`Strands.ribbons`, flat."""
    n, m, _ = paths.shape
    points, along = np.empty((n * m * 2, 3), np.float32), np.empty((n * m * 2, 3), np.float32)
    t, v, s = np.empty(3), np.empty(3), np.empty(3)
    for i in range(n):
        for j in range(m):
            before, after = max(j - 1, 0), min(j + 1, m - 1)
            for c in range(3):
                t[c] = paths[i, after, c] - paths[i, before, c]
                v[c] = camera[c] - paths[i, j, c]
            t /= max(np.sqrt((t * t).sum()), 1e-12)
            s[0], s[1], s[2] = t[1] * v[2] - t[2] * v[1], t[2] * v[0] - t[0] * v[2], t[0] * v[1] - t[1] * v[0]
            s *= half[i, j] / max(np.sqrt((s * s).sum()), 1e-12)
            at = (i * m + j) * 2
            for c in range(3):
                points[at, c], points[at + 1, c] = paths[i, j, c] - s[c], paths[i, j, c] + s[c]
                along[at, c] = along[at + 1, c] = t[c]
    return points, along


def with_accessories(mesh: Mesh, accessories: Sequence[Accessory]) -> Mesh:
    """Mesh with the accessories' triangles after its own, which keep their order.

    Each accessory becomes one part named after its material. Its canonical places are its `place`, or
    its vertices.
    """
    if not accessories:
        return mesh
    n_faces = [len(a.faces) for a in accessories]
    meshes = [(mesh.vertices, mesh.faces), *((a.vertices.astype(np.float32), a.faces) for a in accessories)]
    vertices, faces = joined(meshes)
    places = np.concatenate([a.vertices if a.place is None else a.place for a in accessories])
    parts = np.repeat(np.arange(len(accessories)) + len(mesh.part_names), n_faces).astype(np.uint8)
    classes = np.repeat([a.class_id for a in accessories], n_faces).astype(np.uint8)
    return Mesh(
        vertices=vertices,
        faces=faces.astype(mesh.faces.dtype),
        uv=mesh.uv,
        face_uvs=np.concatenate([mesh.face_uvs, np.zeros((len(parts), 3), mesh.face_uvs.dtype)]),
        class_map=mesh.class_map,
        face_class=np.concatenate([mesh.face_class, classes]),
        face_part=np.concatenate([mesh.face_part, parts]),
        part_names=(*mesh.part_names, *(a.material for a in accessories)),
        canonical=np.concatenate([mesh.canonical, places.astype(np.float32)]),
    )


def labelled_mesh(mesh: Mesh, accessories: Sequence[Accessory]) -> Mesh:
    """Mesh of `with_accessories` without those that are not labelled, which must come last."""
    n = len(mesh.faces) - sum(len(a.faces) for a in accessories if not a.labelled)
    per_face = ("faces", "face_uvs", "face_class", "face_part")
    return replace(mesh, **{name: getattr(mesh, name)[:n] for name in per_face})
