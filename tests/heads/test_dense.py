"""The dense set on each head: on its surface, symmetrical, where the canonical face has it, spread out."""

import numpy as np
import pytest
from trimesh import Trimesh
from trimesh.proximity import closest_point_naive

from synthforge.conventions import CLASS_ID, LANDMARK_FLIP
from synthforge.heads.base import HeadModel, surface_points
from synthforge.heads.dense import dense_landmarks, face_classes
from synthforge.landmark_sets import dense_set
from tests.helpers.heads import posed


def places(head: HeadModel, vertices: np.ndarray) -> np.ndarray:
    found = dense_landmarks(head)
    return surface_points(vertices, head.faces, found.face, found.barycentric)


def test_the_list_is_large_symmetrical_and_in_groups():
    dense = dense_set()
    n = len(dense.points)
    assert n >= 500
    np.testing.assert_allclose(dense.points[dense.mirror], dense.points * [-1, 1, 1], atol=1.1e-5)
    np.testing.assert_array_equal(dense.mirror[dense.mirror], np.arange(n))
    np.testing.assert_array_equal(dense.mirror[:68], LANDMARK_FLIP)
    spans = list(dense.groups.values())
    assert [first for first, _ in spans] == [0, *(last for _, last in spans[:-1])] and spans[-1][1] == n
    for name, (first, last) in dense.groups.items():
        if name.startswith("left_"):
            a, b = dense.groups[f"right_{name[5:]}"]
            np.testing.assert_array_equal(dense.mirror[first:last], np.arange(a, b), name)
    size = {name: last - first for name, (first, last) in dense.groups.items()}
    for part in ("brow", "upper_lid", "lower_lid", "orbit", "nose", "ear", "cheek", "forehead", "jowl"):
        assert size[f"left_{part}"] >= 5, part
    for part in ("upper_lip_outer", "upper_lip_inner", "lower_lip_outer", "lower_lip_inner", "jaw"):
        assert size[part] >= 5, part


def test_points_keep_their_distance():
    points = dense_set().points
    gap = np.linalg.norm(points[:, None] - points, axis=-1) + np.eye(len(points))
    # the closed lips' edges lie upon each other; the corners of the mouth are two points each in iBUG
    lips = [span for name, span in dense_set().groups.items() if name.endswith("_inner")]
    inner = np.r_[48:68, *(slice(*span) for span in lips)]
    rest = np.setdiff1d(np.arange(len(points)), inner)
    assert gap[np.ix_(rest, rest)].min() > 0.0008


def test_the_first_68_are_the_ibug_points(any_head):
    vertices = posed(any_head, expression={"jawOpen": 0.5})
    np.testing.assert_allclose(places(any_head, vertices)[:68], any_head.landmarks(vertices), atol=1e-9)


def test_points_lie_on_their_parts_of_the_surface(any_head):
    found, dense = dense_landmarks(any_head), dense_set()
    assert (found.barycentric > -1e-6).all()
    np.testing.assert_allclose(found.barycentric.sum(1), 1, atol=1e-6)
    vertices = any_head.vertices.numpy() * 1000.0  # trimesh is not exact on triangles far below its unit
    some = np.arange(0, len(dense.points), 7)
    points = places(any_head, vertices)[some]
    mesh = Trimesh(vertices, any_head.faces, process=False)
    off = np.linalg.norm(closest_point_naive(mesh, points)[0] - points, axis=1)
    assert off.max() < 1e-3  # mm
    classes = face_classes(any_head)[found.face]
    for name, (first, last) in dense.groups.items():
        if name != "ibug":
            assert set(classes[first:last]) <= {CLASS_ID[c] for c in dense.on[name]}, name


def test_the_embedded_head_has_them_where_the_list_says(anthro_head):
    points = places(anthro_head, anthro_head.vertices.numpy().astype(float))
    off = np.linalg.norm(points - dense_set().points, axis=1)
    assert np.median(off) < 1e-4 and off.max() < 1.5e-3, "run scripts/build_dense_landmarks"
    mirrored = points[dense_set().mirror] * [-1, 1, 1]
    assert np.linalg.norm(mirrored - points, axis=1).max() < 1e-3


@pytest.mark.parametrize("name", ["ict", "flame"])
def test_other_heads_have_them_near_the_canonical_place(name, request):
    head = request.getfixturevalue(f"{name}_head")
    at = places(head, head.canonical.astype(float))
    off = np.linalg.norm(at - dense_set().points, axis=1)
    free = np.setdiff1d(np.arange(len(off)), np.r_[:17, slice(*dense_set().groups["jaw"])])
    assert np.median(off[free]) < 0.002 and off[free].max() < 0.008


@pytest.mark.parametrize("lid", ["upper_lid", "lower_lid"])
def test_lid_points_close_with_the_lids(any_head, lid):
    """Between the corners of the eye the margins meet when the eye is closed."""
    if "eyeBlink_L" not in any_head.expression_names:
        pytest.skip(f"{any_head.name} has no eyeBlink_L")
    groups = dense_set().groups
    blink = places(any_head, posed(any_head, expression={"eyeBlink_L": 1.0}))
    other = {"upper_lid": "lower_lid", "lower_lid": "upper_lid"}[lid]
    mine, facing = blink[slice(*groups[f"left_{lid}"])], blink[slice(*groups[f"left_{other}"])]
    gap = np.linalg.norm(mine[:, None] - facing, axis=-1).min(1)
    assert gap.max() < 0.004
