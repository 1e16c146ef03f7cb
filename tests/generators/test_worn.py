"""Clothes and glasses as geometry."""

import numpy as np
import pytest

from synthforge.conventions import CLASS_ID
from synthforge.generators.clothes import boundary_edges, clip_triangles, dress
from synthforge.generators.glasses import spectacles
from synthforge.generators.surface import head_surface
from synthforge.generators.worn import append_worn
from synthforge.heads import load_head


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


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
    new = points[edges[:, 0]] * (1 - share[:, None]) + points[edges[:, 1]] * share[:, None]
    assert np.isclose(area(new, cut), 0.5 * (0.7 + 0.2))  # trapezium under x = 0.7 - y / 2
    normal = np.cross(new[cut[:, 1]] - new[cut[:, 0]], new[cut[:, 2]] - new[cut[:, 0]])[:, 2]
    assert (normal > 0).all()  # winding kept
    on_line = share > 0
    assert np.allclose(new[on_line, 0] + 0.5 * new[on_line, 1], 0.7)


def test_boundary_of_two_triangles():
    edges = boundary_edges(np.array([[0, 1, 2], [2, 1, 3]]))
    assert {tuple(e) for e in edges.tolist()} == {(0, 1), (2, 0), (1, 3), (3, 2)}


def test_shirt_covers_the_shoulders_and_leaves_the_face(head):
    vertices = head.vertices.numpy()
    (shirt,) = dress(head, head_surface(head), vertices, np.random.default_rng(1))
    assert shirt.class_id == CLASS_ID["clothing"]
    assert np.isfinite(shirt.vertices).all() and (shirt.albedo > 0).all() and (shirt.albedo < 1).all()
    chin = head.landmarks(vertices)[8, 1]
    assert shirt.vertices[:, 1].max() < chin
    assert shirt.vertices[:, 1].min() < vertices[:, 1].min() - 0.2  # the bust does not end in the air


def test_glasses_stand_before_the_eyes_and_rest_at_the_ears(head):
    vertices = head.vertices.numpy()
    face = head.landmarks(vertices)
    for kind, n in (("none", 0), ("clear", 1), ("sunglasses", 2)):
        worn = spectacles(head, vertices, kind, np.random.default_rng(4))
        assert len(worn) == n
        for part in worn:
            assert part.class_id == CLASS_ID["eyeglasses"]
    frame, lens = worn
    for corner, middle in ((36, 39), (42, 45)):
        eye = 0.5 * (face[corner] + face[middle])
        mine = lens.vertices[np.abs(lens.vertices[:, 0] - eye[0]) < 0.03]
        assert mine[:, 2].min() > eye[2] + 0.003  # lenses clear the lids
        assert mine[:, 1].min() < eye[1] - 0.01 and mine[:, 1].max() > eye[1] + 0.01
    assert frame.vertices[:, 2].min() < face[0, 2]
    assert np.allclose(frame.vertices[:, 0].min(), -frame.vertices[:, 0].max(), atol=0.004)


def test_append_keeps_the_head_first(head):
    vertices = head.vertices.numpy()
    mesh = head.mesh(vertices)
    worn = spectacles(head, vertices, "sunglasses", np.random.default_rng(0))
    both = append_worn(mesh, worn)
    n = len(mesh.faces)
    assert np.array_equal(both.faces[:n], mesh.faces) and np.array_equal(both.face_class[:n], mesh.face_class)
    assert len(both.faces) == n + sum(len(w.faces) for w in worn)
    first = worn[0]
    assert np.allclose(both.vertices[both.faces[n]], first.vertices[first.faces[0]])
    assert both.part_names[both.face_part[-1]] == "solid"
    assert append_worn(mesh, []) is mesh
