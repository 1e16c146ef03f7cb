"""Cutting and bordering triangle meshes against areas and edges counted by hand."""

import numpy as np

from synthforge.generators.geometry.meshes import between, boundary_edges, clip_triangles


def area(points: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


def test_clipped_grid_has_the_area_under_the_line():
    x, y = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 1, 9))
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    i = (np.arange(8)[:, None] * 12 + np.arange(11)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + 13], -1), np.stack([i, i + 13, i + 12], -1)])
    height = points[:, 0] + 0.5 * points[:, 1] - 0.7
    cut, edges, share = clip_triangles(faces, height)
    new = between(points, edges, share)
    assert np.isclose(area(new, cut), 0.5 * (0.7 + 0.2))  # trapezium under x = 0.7 - y / 2
    normal = np.cross(new[cut[:, 1]] - new[cut[:, 0]], new[cut[:, 2]] - new[cut[:, 0]])[:, 2]
    assert (normal > 0).all()  # winding kept
    on_line = share > 0
    assert np.allclose(new[on_line, 0] + 0.5 * new[on_line, 1], 0.7)


def test_boundary_of_two_triangles():
    edges = boundary_edges(np.array([[0, 1, 2], [2, 1, 3]]))
    assert {tuple(e) for e in edges.tolist()} == {(0, 1), (2, 0), (1, 3), (3, 2)}
