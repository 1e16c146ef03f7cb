"""All parts of the embedded head in one set of arrays."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from synthforge.heads.surface import nearest_on_surface

from .atlas import place_uv
from .common import Part
from .eyes import build_caruncles, build_eyes, eye_centres
from .grids import named_point
from .mouth import build_mouth
from .skin import SkinResult, build_skin
from .skin_layout import MEAN

# Named points that are not on the skin: the part whose surface they lie on.
ON_PART = {
    "corneal_apex": "left_eyeball",
    "upper_incisor_edge": "upper_teeth",
    "upper_canine_tip": "upper_teeth",
    "upper_first_molar": "upper_teeth",
    "lower_incisor_edge": "lower_teeth",
    "lower_first_molar": "lower_teeth",
}
INSIDE = {"eyeball_centre", "pupil_plane_centre", "condyle_lateral_pole", "condyle_centre", "hyoid_body"}

# The inner edge of the lower lip is tucked behind the upper lip's: closed lips show no slit (m).
LIP_SEAL = np.array([0.0, 0.3e-3, -0.4e-3])


@dataclass(frozen=True)
class Assembled:
    """The neutral mean head (half way between the mean man and the mean woman), before rigging.

    Vertices 0 ... n_skin - 1 and triangles 0 ... n_skin_faces - 1 are the skin, so the skin's own indices
    hold here unchanged; eyeballs, teeth, gums and tongue follow. All lengths in metres, head frame.

    `face_part` and `vertex_part` index `part_names` (the skin's parts first, then left_eyeball,
    right_eyeball, upper_teeth, lower_teeth, upper_gum, lower_gum, tongue, left_caruncle,
    right_caruncle). `labels` are fields in 0..1 over all vertices (0 off the skin), `loops` ordered vertex
    indices and `points` the named points (the subject's left of pairs) as (face, barycentric). `sex_delta`
    added to the vertices gives the mean man, subtracted the mean woman. `eye_centres` (left, right) are
    the centres of the two eyeballs.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    face_class: UInt8[np.ndarray, " f"]
    face_part: UInt8[np.ndarray, " f"]
    vertex_part: UInt8[np.ndarray, " v"]
    part_names: tuple[str, ...]
    n_skin: int
    n_skin_faces: int
    labels: dict[str, Float[np.ndarray, " v"]]
    loops: dict[str, Int[np.ndarray, " k"]]
    points: dict[str, tuple[int, Float[np.ndarray, " 3"]]]
    sex_delta: Float[np.ndarray, "v 3"]
    eye_centres: Float[np.ndarray, "2 3"]

    def part_vertices(self, name: str) -> Int[np.ndarray, " k"]:
        """Indices of the vertices of one part."""
        return np.flatnonzero(self.vertex_part == self.part_names.index(name))

    def part_faces(self, *names: str) -> Int[np.ndarray, " k"]:
        """Indices of the triangles of some parts."""
        return np.flatnonzero(np.isin(self.face_part, [self.part_names.index(n) for n in names]))


def assemble(skin: SkinResult | None = None) -> Assembled:
    """Skin (built afresh if not given), eyeballs and mouth as one mesh with one uv square."""
    skin = skin or build_skin()
    inner, inner_delta = _inner_parts()
    parts = [skin.part, *inner]
    part_names = tuple(sorted(set(skin.part.face_part), key=skin.part.face_part.index)) + tuple(
        p.face_part[0] for p in inner
    )
    first_vertex = np.cumsum([0] + [len(p.vertices) for p in parts])
    first_uv = np.cumsum([0] + [len(p.uv) for p in parts])
    faces = np.concatenate([p.faces + o for p, o in zip(parts, first_vertex, strict=False)])
    face_uvs = np.concatenate([p.face_uvs + o for p, o in zip(parts, first_uv, strict=False)])
    face_part = np.array([part_names.index(name) for p in parts for name in p.face_part], np.uint8)
    vertex_part = np.zeros(first_vertex[-1], np.uint8)
    vertex_part[faces] = face_part[:, None]
    uv = [place_uv("skin", skin.part.uv), *(place_uv(p.face_part[0], p.uv) for p in inner)]
    n_inner = first_vertex[-1] - first_vertex[1]
    vertices = np.concatenate([p.vertices for p in parts])
    vertices[skin.loops["stomion_lower"][1:-1]] += LIP_SEAL
    head = Assembled(
        vertices=vertices,
        faces=faces.astype(np.int32),
        uv=np.concatenate(uv),
        face_uvs=face_uvs.astype(np.int32),
        face_class=np.concatenate([p.face_class for p in parts]).astype(np.uint8),
        face_part=face_part,
        vertex_part=vertex_part,
        part_names=part_names,
        n_skin=len(skin.part.vertices),
        n_skin_faces=len(skin.part.faces),
        labels={name: np.concatenate([field, np.zeros(n_inner)]) for name, field in skin.labels.items()},
        loops=skin.loops,
        points={},
        sex_delta=np.concatenate([skin.sex_delta, *inner_delta]),
        eye_centres=eye_centres(0),
    )
    return replace(head, points=_surface_points(head))


def _inner_parts() -> tuple[list[Part], list[np.ndarray]]:
    """Eyeballs and mouth of the mean head, and half of what differs between the mean man's and woman's."""
    men, women = ([*build_eyes(sex), *build_mouth(sex), *build_caruncles(sex)] for sex in (1, -1))
    mean = [replace(m, vertices=0.5 * (m.vertices + w.vertices)) for m, w in zip(men, women, strict=True)]
    return mean, [0.5 * (m.vertices - w.vertices) for m, w in zip(men, women, strict=True)]


def _surface_points(head: Assembled) -> dict[str, tuple[int, np.ndarray]]:
    """Named points as (face, barycentric): the nearest place on the part that each belongs to."""
    out = {}
    for name in sorted(set(MEAN) - INSIDE):
        among = head.part_faces(ON_PART[name]) if name in ON_PART else head.part_faces("skin", "ear")
        place = named_point(name, 0)[None] * 1e-3
        (face,), (barycentric,) = nearest_on_surface(place, head.vertices, head.faces, among)
        out[name] = (int(face), barycentric)
    return out
