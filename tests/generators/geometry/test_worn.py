"""Clothes and glasses as geometry."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.conventions import CLASS_ID
from synthforge.generators.accessories.clothes import _skirt, dress
from synthforge.generators.accessories.glasses import spectacles
from synthforge.generators.geometry.accessory import with_accessories
from synthforge.generators.geometry.meshes import between, boundary_edges, clip_triangles, joined
from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.contact import contact_visibility
from synthforge.generators.shading.fabric import PATTERNS, Pattern
from synthforge.heads import load_head
from tests.annotate.scenes import posed, view


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


def area(points: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (points[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


@settings(deadline=None)
@given(height=st.floats(-0.03, 0.03), end=st.integers(0, 38))
def test_cloth_comes_down_without_a_step_where_the_skin_ends(height, end):
    drop, trunk = np.linspace(0, 0.4, 81)[:, None], np.full((81, 2), 0.25)
    least = np.where(np.arange(81)[:, None] <= end, trunk + height, 0) * [1, 0]  # none in the second column
    off, (skin, bare) = 0.003, _skirt(least, trunk, drop).T
    assert np.allclose(skin[: end + 1], 0.25 + height)
    below = skin[end + 1 :] + off - 0.25
    assert (np.diff(below) <= 0).all() and (below > -1e-12).all()
    assert np.allclose(below[-1], 0, atol=1e-5)
    # a Gaussian of width 50 mm falls at most sqrt(2 / e) of its height per width: here per row of 5 mm
    assert np.abs(np.diff(below, prepend=max(height + off, 0))).max() <= 0.0858 * max(height + off, 0) + 1e-12
    assert np.allclose(bare + off, 0.25)


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


@pytest.mark.parametrize("seed", range(6))
def test_a_garment_covers_the_shoulders_and_leaves_the_face(head, seed):
    params, vertices = posed(head, view(64), {"neck": (0.1, 0.3, 0.0)})
    made = dress(Person(head, replace(params, seed=seed), vertices))
    points = np.concatenate([w.vertices for w in made])
    assert all(w.class_name == "clothing" for w in made)
    assert np.isfinite(points).all() and all((w.albedo > 0).all() and (w.albedo < 1).all() for w in made)
    marks = head.landmarks(vertices)
    assert points[:, 1].max() < marks[2:15, 1].max() and (points[points[:, 2] > 0.06, 1] < marks[8, 1]).all()
    assert points[:, 1].min() < vertices[:, 1].min() - 0.2  # the bust does not end in the air
    chest = points[(points[:, 1] > -0.25) & (points[:, 1] < -0.20)]
    assert 0.38 < np.ptp(chest[:, 0]) < 0.50  # bideltoid breadth of adults with cloth, m

    cloth = trimesh.Trimesh(*joined((w.vertices, w.faces) for w in made), process=False)
    low = head.faces[(head.canonical[head.faces, 1] < -0.15).all(1)]
    skin = vertices[np.unique(low)].astype(float)
    away = skin - [0, -0.20, -0.025]
    _, ray, _ = cloth.ray.intersects_location(skin, away, multiple_hits=True)
    covered = np.zeros(len(skin), bool)
    covered[ray] = True
    bare = ~covered & (np.abs(skin[:, 0]) > 0.07)
    assert not bare.any()  # only an open collar shows skin this low


@given(st.sampled_from(sorted(PATTERNS)), st.floats(0.01, 0.05), st.floats(0.2, 0.5), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_patterns_mix_the_two_colours_and_bands_take_their_share(kind, period, share, seed):
    rng = np.random.default_rng(seed)
    place = rng.uniform(-0.3, 0.3, (4000, 3)).astype(np.float32)
    ground, color = np.full((4000, 3), 0.2, np.float32), np.full(3, 0.7, np.float32)
    painted = Pattern(kind, color, period, share).paint(ground, place)
    assert painted.min() >= 0.2 - 1e-6 and painted.max() <= 0.7 + 1e-6
    cover = (painted.mean() - 0.2) / 0.5
    if kind in ("stripes", "check"):
        assert abs(cover - share) < 0.06
        shifted = Pattern(kind, color, period, share).paint(ground, place + np.float32([0, period, 0]))
        assert np.abs(shifted - painted).mean() < 0.01  # repeats
    if kind == "plain":
        assert np.array_equal(painted, ground)


@given(st.floats(0, 0.05))
@settings(deadline=None, max_examples=20)
def test_light_fades_towards_what_is_touched(far):
    others = np.random.default_rng(0).uniform(-0.1, 0.1, (20000, 3)) * [1, 0, 1]
    near, further = (
        contact_visibility(np.array([[0.0, d + 0.001, 0]]), others)[0] for d in (far, far + 0.01)
    )
    assert 0.2 < near <= further <= 1
    assert contact_visibility(np.array([[0.0, 0.1, 0]]), others)[0] == 1
    assert contact_visibility(np.zeros((1, 3)), np.zeros((0, 3)))[0] == 1


def with_glasses(head, kind: str) -> Person:
    params, _ = posed(head, view(64))
    return Person(head, replace(params, seed=4, attributes={"eyeglasses": kind}), head.vertices.numpy())


def test_glasses_stand_before_the_eyes_and_rest_at_the_ears(head):
    face = head.landmarks(head.vertices.numpy())
    assert spectacles(with_glasses(head, "none")) == ([], None)
    for kind in ("clear", "tinted", "sunglasses"):
        (frame,), lenses = spectacles(with_glasses(head, kind))
        lens = lenses.surface
        assert frame.class_id == lens.class_id == CLASS_ID["eyeglasses"]
        assert lenses.dark == (kind == "sunglasses")
        assert 0 < lenses.transmittance.min() and lenses.transmittance.max() < 1
        assert (lenses.transmittance.mean() < 0.3) == lenses.dark
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
    frames, lenses = spectacles(with_glasses(head, "sunglasses"))
    worn = [*frames, lenses.surface]
    both = with_accessories(mesh, worn)
    n = len(mesh.faces)
    assert np.array_equal(both.faces[:n], mesh.faces) and np.array_equal(both.face_class[:n], mesh.face_class)
    assert len(both.faces) == n + sum(len(w.faces) for w in worn)
    first = worn[0]
    assert np.allclose(both.vertices[both.faces[n]], first.vertices[first.faces[0]])
    assert both.part_names[both.face_part[-1]] == "solid"
    assert with_accessories(mesh, []) is mesh
