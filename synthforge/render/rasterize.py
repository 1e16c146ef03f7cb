"""One function, several kernels with the same answer."""

from pathlib import Path

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
    places: Float[np.ndarray, "h w 2"] | None = None,
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
        places: x, y of the samples where they are not at pixel centres (a lens); numba only.
    Returns:
        face_index int32, depth float32, barycentric float32.
    Raises:
        AssetError: pytorch3d is asked for and not installed.
    """
    if backend == "numba":
        fragments = empty_fragments(height, width)
        draw_over(fragments, points, faces, 0, places)
        return fragments
    if places is not None:
        raise SynthforgeError("only numba takes places", where="rasterize(backend)", fix="use numba")
    if backend == "torch":
        from synthforge.render.torch_kernel import rasterize_arrays

        return rasterize_arrays(points, faces, height, width)
    if backend == "pytorch3d":
        from synthforge.render.pytorch3d_kernel import rasterize_arrays

        return rasterize_arrays(points, faces, height, width)
    raise SynthforgeError(
        f"no rasterizer {backend!r}", where="rasterize(backend)", fix=f"use one of {', '.join(BACKENDS)}"
    )


def is_compiled() -> bool:
    """Whether this installation has compiled its kernels before, and kept them."""
    from synthforge.render.numba_kernel import draw

    stats = getattr(draw, "stats", None)  # without just-in-time compilation there is nothing to keep
    return stats is None or any(Path(stats.cache_path).glob("numba_kernel.draw-*.nbi"))


def empty_fragments(height: int, width: int) -> Fragments:
    """No surface anywhere."""
    return Fragments(
        np.full((height, width), -1, np.int32),
        np.full((height, width), np.inf, np.float32),
        np.zeros((height, width, 3), np.float32),
    )


def draw_over(
    fragments: Fragments,
    points: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    first: int,
    places: Float[np.ndarray, "h w 2"] | None = None,
) -> None:
    """Draw `faces[first:]` into `fragments`, in place, which already hold the faces before `first`.

    The result equals that of `rasterize` with all `faces` (numba). `places`: see there.
    """
    from synthforge.render.numba_kernel import barycentrics, draw, draw_at

    points = np.ascontiguousarray(points, np.float64)
    faces = np.ascontiguousarray(faces, np.int32)
    if places is None:
        draw(points, faces, first, NEAR, fragments.face_index, fragments.depth)
        places = np.empty((0, 0, 2))
    else:
        draw_at(places, points, faces, first, NEAR, fragments.face_index, fragments.depth)
    barycentrics(points, faces, first, fragments.face_index, places, fragments.barycentric)
