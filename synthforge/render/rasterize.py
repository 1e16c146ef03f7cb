"""One function, several kernels with the same answer."""

import numpy as np
from jaxtyping import Float, Int

from synthforge.errors import SynthforgeError
from synthforge.types import Fragments

NEAR = 0.05  # metres; triangles reaching nearer than this are dropped
BACKENDS = ("numba", "torch", "pytorch3d")


def rasterize(
    points: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    height: int,
    width: int,
    backend: str = "numba",
) -> Fragments:
    """Front-most triangle at every pixel centre.

    The smaller float32 depth wins, then the lower triangle index; a centre exactly on an edge
    belongs to both triangles, so closed surfaces have no holes. Triangles without area in the
    image, or reaching nearer than `NEAR`, are not drawn.

    Args:
        points: x, y in pixels and z-depth in metres (`cameras.project`).
        faces: vertex indices; both windings are drawn.
        height, width: number of sample points.
        backend: "numba" (default, CPU), "torch" (the same answer from tensors) or "pytorch3d"
            (needs the extra; ties and samples on edges may go to another triangle).
    Returns:
        face_index int32, depth float32, barycentric float32.
    Raises:
        AssetError: pytorch3d is asked for and not installed.
    """
    if backend == "numba":
        return rasterize_layers(points, faces, len(faces), height, width)[0]
    if backend == "torch":
        from synthforge.render.torch_kernel import rasterize_arrays

        return rasterize_arrays(points, faces, height, width)
    if backend == "pytorch3d":
        from synthforge.render.pytorch3d_kernel import rasterize_arrays

        return rasterize_arrays(points, faces, height, width)
    raise SynthforgeError(
        f"no rasterizer {backend!r}", where="rasterize(backend)", fix=f"use one of {', '.join(BACKENDS)}"
    )


def rasterize_layers(
    points: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], n_first: int, height: int, width: int
) -> tuple[Fragments, Fragments]:
    """`rasterize` of the first `n_first` triangles alone, and of all; the first are drawn once."""
    from synthforge.render.numba_kernel import barycentrics, draw

    points = np.ascontiguousarray(points, np.float64)
    faces = np.ascontiguousarray(faces, np.int32)
    face_index = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), np.inf, np.float32)
    barycentric = np.zeros((height, width, 3), np.float32)
    draw(points, faces[:n_first], 0, NEAR, face_index, depth)
    barycentrics(points, faces, 0, face_index, barycentric)
    first = Fragments(face_index, depth, barycentric)
    if n_first >= len(faces):
        return first, first
    both = Fragments(face_index.copy(), depth.copy(), barycentric.copy())
    draw(points, faces, n_first, NEAR, both.face_index, both.depth)
    barycentrics(points, faces, n_first, both.face_index, both.barycentric)
    return first, both
