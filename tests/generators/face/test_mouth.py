"""Teeth one by one, and how dark it is around them."""

from dataclasses import replace

import numpy as np
import pytest

from synthforge.generators.face.mouth import crowns, mouth_material
from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.color import LUMINANCE
from synthforge.generators.shading.shade import Samples
from synthforge.heads import load_head
from synthforge.types import Fragments
from tests.annotate.scenes import posed, view


def teeth(head, jaw: str) -> np.ndarray:
    return np.unique(head.faces[head.face_part == head.part_names.index(jaw)])


@pytest.mark.parametrize("jaw, root_up", [("upper_teeth", 1), ("lower_teeth", -1)])
def test_places_on_crowns(jaw, root_up):
    """The midline lies between two crowns; roots are away from the bite; the tongue's side is behind."""
    head = load_head("anthro")
    used = teeth(head, jaw)
    place, rest = crowns(head)[used], head.vertices.numpy()[used]
    assert place.min() >= 0 and place.max() <= 1
    front = np.abs(rest[:, 0]) < 0.004
    near, root, inner = place[front].T
    x, y, z = rest[front].T
    assert near[np.abs(x) < 0.0006].min() > 0.6  # where the two central incisors touch
    assert np.corrcoef(root, root_up * y)[0, 1] > 0.99
    assert np.corrcoef(inner, -z)[0, 1] > 0.9
    skin = np.unique(head.faces[head.face_part == head.part_names.index("skin")])
    assert not crowns(head)[skin].any()


def samples_on(head, name: str, wanted) -> Samples:
    """One sample at the front of each triangle of a part whose middle (m, rest) `wanted` admits."""
    faces = np.flatnonzero(head.face_part == head.part_names.index(name))
    middle = head.vertices.numpy()[head.faces[faces]].mean(1)
    kept = wanted(middle)
    faces, middle = faces[kept].astype(np.int32), middle[kept].astype(np.float32)
    n = len(faces)
    third = np.full((1, n, 3), 1 / 3, np.float32)
    ahead = np.tile(np.array([0, 0, 1], np.float32), (n, 1))
    number = np.full(n, head.part_names.index(name), np.uint8)
    pieces = Fragments(faces[None], np.ones((1, n), np.float32), third)
    return Samples(np.arange(n), pieces, number, number, middle, ahead, ahead, middle)


def aged(head, years: float) -> Person:
    params, _ = posed(head, view(8))
    return Person(head, replace(params, attributes={"age": years}), head.vertices.numpy())


def brightness(head, name: str, wanted, shadow: float = 0.0, age: float = 20.0) -> float:
    samples = samples_on(head, name, wanted)
    contact = np.full(len(samples.where), shadow, np.float32)
    return float((mouth_material(aged(head, age), samples, contact, 0.09).albedo @ LUMINANCE).mean())


def test_teeth_are_darker_behind_in_the_corners_under_the_lip_and_yellower_with_age():
    head = load_head("anthro")
    front = brightness(head, "upper_teeth", lambda p: (np.abs(p[:, 0]) < 0.008) & (p[:, 2] > 0.089))
    back = brightness(head, "upper_teeth", lambda p: p[:, 2] < 0.065)
    shaded = brightness(head, "upper_teeth", lambda p: (np.abs(p[:, 0]) < 0.008) & (p[:, 2] > 0.089), 1.0)
    assert 0.3 < front < 0.6 and back < 0.5 * front and shaded < 0.6 * front
    assert brightness(head, "mouth_bag", lambda p: p[:, 2] < 0.05) < 0.15 * front
    samples = samples_on(head, "upper_teeth", lambda p: p[:, 2] > 0.088)
    none = np.zeros(len(samples.where), np.float32)
    young, old = (mouth_material(aged(head, age), samples, none, 0.09).albedo.mean(0) for age in (20.0, 80.0))
    assert old[2] / old[0] < 0.92 * young[2] / young[0] and old.mean() < young.mean()
