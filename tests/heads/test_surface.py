"""Points on surfaces against trimesh's brute force and a ray caster's closed forms."""

import numpy as np
import trimesh
from trimesh.proximity import closest_point_naive

from synthforge.heads.base import surface_points
from synthforge.heads.surface import nearest_on_surface, project_along_z


def test_nearest_is_trimeshs_nearest():
    rng = np.random.default_rng(0)
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.1)
    vertices, faces = np.array(ball.vertices), np.array(ball.faces)
    points = rng.normal(0, 0.09, (300, 3))
    face, barycentric = nearest_on_surface(points, vertices, faces, n_candidates=200)
    expected = closest_point_naive(ball, points)[1]
    ours = np.linalg.norm(surface_points(vertices, faces, face, barycentric) - points, axis=1)
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    assert (barycentric >= 0).all()
    np.testing.assert_allclose(barycentric.sum(1), 1)


def test_search_can_be_limited_to_faces():
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices, faces = np.array(ball.vertices), np.array(ball.faces)
    among = np.flatnonzero(vertices[faces][..., 0].min(1) > 0)
    face, _ = nearest_on_surface(np.array([[-1.0, 0, 0]]), vertices, faces, among)
    assert face[0] in among


def test_projection_hits_the_front_of_a_box():
    box = trimesh.creation.box((2, 2, 2))
    vertices, faces = np.array(box.vertices), np.array(box.faces)
    xy = np.random.default_rng(1).uniform(-0.99, 0.99, (50, 2))
    hit = surface_points(vertices, faces, *project_along_z(xy, vertices, faces))
    np.testing.assert_allclose(hit, np.c_[xy, np.ones(50)], atol=1e-9)


def test_projection_beside_the_surface_takes_its_border():
    box = trimesh.creation.box((2, 2, 2))
    vertices, faces = np.array(box.vertices), np.array(box.faces)
    hit = surface_points(vertices, faces, *project_along_z(np.array([[3.0, 0.5]]), vertices, faces))
    np.testing.assert_allclose(hit, [[1, 0.5, 1]], atol=1e-9)
