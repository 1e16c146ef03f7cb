"""Normals of the visible surface."""

import numpy as np
from jaxtyping import Float, Int
from numba import njit

from synthforge.render.interpolate import interpolate, vertex_normals
from synthforge.types import Fragments


def visible_normals(
    points_cam: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], fragments: Fragments
) -> Float[np.ndarray, "h w 3"]:
    """Smooth unit normals (float32) in the camera frame, 0 where there is no surface.

    The area-weighted vertex normals, interpolated; of triangles seen from their back (strands,
    thin sheets) the normal of the side that is seen. A surface facing the camera has z < 0.
    """
    points_cam = np.ascontiguousarray(points_cam, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    out = interpolate(vertex_normals(points_cam, faces), faces, fragments)
    _face_viewer(points_cam, faces, fragments.face_index, out)
    return out


@njit(cache=True)
def _face_viewer(points, faces, face_index, normals):
    """Make `normals` unit vectors, turned over where the triangle is seen from its back, in place."""
    height, width = face_index.shape
    for row in range(height):
        for col in range(width):
            f = face_index[row, col]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            ax, ay, az = points[i, 0], points[i, 1], points[i, 2]
            ux, uy, uz = points[j, 0] - ax, points[j, 1] - ay, points[j, 2] - az
            vx, vy, vz = points[k, 0] - ax, points[k, 1] - ay, points[k, 2] - az
            away = (uy * vz - uz * vy) * ax + (uz * vx - ux * vz) * ay + (ux * vy - uy * vx) * az
            nx, ny, nz = normals[row, col, 0], normals[row, col, 1], normals[row, col, 2]
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            if length == 0.0:  # both sides of a sheet at once: towards the camera
                normals[row, col, 2] = -1.0
                continue
            scale = -1.0 / length if away > 0.0 else 1.0 / length
            normals[row, col, 0] = nx * scale
            normals[row, col, 1] = ny * scale
            normals[row, col, 2] = nz * scale
