"""All parts of the embedded head in one set of arrays."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8


@dataclass(frozen=True)
class Assembled:
    """The neutral mean head (half way between the mean man and the mean woman), before rigging.

    Vertices 0 ... n_skin - 1 are the skin, so the skin's own indices hold here unchanged; eyeballs,
    teeth, gums and tongue follow. All lengths in metres, head frame.

    `face_part` and `vertex_part` index `part_names` ("skin" parts first, then left_eyeball,
    right_eyeball, upper_teeth, lower_teeth, upper_gum, lower_gum, tongue). `labels` are vertex sets,
    `loops` ordered vertex indices and `points` named points as (face, barycentric), all of this mesh.
    `sex_delta` added to the vertices gives the mean man, subtracted the mean woman.
    `eye_centres` (left, right) are the centres of the two eyeballs.
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
    labels: dict[str, Int[np.ndarray, " k"]]
    loops: dict[str, Int[np.ndarray, " k"]]
    points: dict[str, tuple[int, Float[np.ndarray, " 3"]]]
    sex_delta: Float[np.ndarray, "v 3"]
    eye_centres: Float[np.ndarray, "2 3"]

    def part_vertices(self, name: str) -> Int[np.ndarray, " k"]:
        """Indices of the vertices of one part."""
        return np.flatnonzero(self.vertex_part == self.part_names.index(name))
