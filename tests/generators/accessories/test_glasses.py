"""Spectacles: in front of the eyes, at the ears, after the head in the mesh."""

from dataclasses import replace

import numpy as np
import pytest

from synthforge.conventions import CLASS_ID
from synthforge.generators.accessories.glasses import spectacles
from synthforge.generators.geometry.accessory import with_accessories
from synthforge.generators.geometry.person import Person
from synthforge.heads import load_head
from tests.annotate.scenes import posed, view


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


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
