"""Attributes of the front-most surface: per-vertex values, classes and normals at sample points."""

import numpy as np
from jaxtyping import Float, Int, UInt8
from numba import njit

from synthforge.types import Fragments, Mesh

BY_MAP = 255  # value of `face_class` that leaves the class to `class_map`


def interpolate(
    attribute: Float[np.ndarray, "v c"], faces: Int[np.ndarray, "f 3"], fragments: Fragments
) -> Float[np.ndarray, "h w c"]:
    """Perspective-correct values (float32) of a per-vertex attribute; 0 where there is no surface.

    For texture coordinates pass `mesh.uv, mesh.face_uvs`.
    """
    return _interpolate(
        np.ascontiguousarray(attribute, np.float32),
        np.ascontiguousarray(faces, np.int32),
        fragments.face_index,
        fragments.barycentric,
    )


def vertex_normals(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]
) -> Float[np.ndarray, "v 3"]:
    """Unit normals (float32): the area-weighted mean over the triangles at each vertex.

    They point outwards for counter-clockwise triangles; 0 at vertices without area around them.
    """
    return _vertex_normals(np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32))


def sample_classes(mesh: Mesh, fragments: Fragments) -> UInt8[np.ndarray, "h w"]:
    """Semantic class at every sample point, 0 (background) where there is no surface.

    The class of a triangle, or where `face_class` is 255 the nearest texel of `class_map`.
    """
    return _sample_classes(
        fragments.face_index,
        fragments.barycentric,
        mesh.face_class,
        mesh.class_map,
        np.ascontiguousarray(mesh.uv, np.float32),
        np.ascontiguousarray(mesh.face_uvs, np.int32),
    )


@njit(cache=True)
def _interpolate(attribute, faces, face_index, barycentric):
    height, width = face_index.shape
    channels = attribute.shape[1]
    out = np.zeros((height, width, channels), np.float32)
    for row in range(height):
        for col in range(width):
            f = face_index[row, col]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            a, b, c = barycentric[row, col, 0], barycentric[row, col, 1], barycentric[row, col, 2]
            for n in range(channels):
                out[row, col, n] = a * attribute[i, n] + b * attribute[j, n] + c * attribute[k, n]
    return out


@njit(cache=True)
def _vertex_normals(vertices, faces):
    total = np.zeros((vertices.shape[0], 3), np.float64)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = (
            np.float64(vertices[j, 0]) - vertices[i, 0],
            np.float64(vertices[j, 1]) - vertices[i, 1],
            np.float64(vertices[j, 2]) - vertices[i, 2],
        )
        vx, vy, vz = (
            np.float64(vertices[k, 0]) - vertices[i, 0],
            np.float64(vertices[k, 1]) - vertices[i, 1],
            np.float64(vertices[k, 2]) - vertices[i, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (i, j, k):
            total[v, 0] += nx
            total[v, 1] += ny
            total[v, 2] += nz
    out = np.zeros((vertices.shape[0], 3), np.float32)
    for v in range(vertices.shape[0]):
        length = np.sqrt(total[v, 0] ** 2 + total[v, 1] ** 2 + total[v, 2] ** 2)
        if length > 0.0:
            for n in range(3):
                out[v, n] = total[v, n] / length
    return out


@njit(cache=True)
def _sample_classes(face_index, barycentric, face_class, class_map, uv, face_uvs):
    height, width = face_index.shape
    size_v, size_u = class_map.shape
    out = np.zeros((height, width), np.uint8)
    for row in range(height):
        for col in range(width):
            f = face_index[row, col]
            if f < 0:
                continue
            if face_class[f] != BY_MAP:
                out[row, col] = face_class[f]
                continue
            u, v = 0.0, 0.0
            for n in range(3):
                u += barycentric[row, col, n] * uv[face_uvs[f, n], 0]
                v += barycentric[row, col, n] * uv[face_uvs[f, n], 1]
            texel_col = min(max(int(np.floor(u * size_u)), 0), size_u - 1)
            texel_row = min(max(int(np.floor((1.0 - v) * size_v)), 0), size_v - 1)
            out[row, col] = class_map[texel_row, texel_col]
    return out
