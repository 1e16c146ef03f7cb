"""The person of a sample: its frames, its random streams, and what is kept with its head."""

import numpy as np
import pytest

from synthforge.generators.geometry.person import OuterSkin, Person
from synthforge.heads import load_head
from synthforge.rng import sample_rng
from tests.annotate.scenes import posed, view


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


def test_the_head_frame_undoes_the_turn_of_the_neck(head):
    turned, straight = (
        Person(head, *posed(head, view(8), turn, jawOpen=0.5)) for turn in ({"neck": (0.2, 0.5, -0.1)}, None)
    )
    skull = head.canonical[:, 1] > 0.03  # moves with the neck alone
    far = np.linalg.norm(turned.vertices - straight.vertices, axis=1)[skull]
    assert np.median(far) > 0.03
    np.testing.assert_allclose(turned.head_vertices[skull], straight.vertices[skull], atol=1e-5)
    np.testing.assert_allclose(turned.to_world(turned.head_vertices), turned.vertices, atol=1e-6)


def test_canonical_skin_is_found_on_the_posed_head(head):
    person = Person(head, *posed(head, view(8), {"neck": (0.0, 0.4, 0.0)}))
    some = head.derived(OuterSkin.of).vertices[::97]
    found = person.to_world(person.skin_at(head.canonical[some] * 1000.0))
    assert np.linalg.norm(found - person.vertices[some], axis=1).max() < 0.0005


def test_streams_start_anew_and_depend_on_their_name(head):
    person = Person(head, *posed(head, view(8)))
    first, again, other = (person.rng(name).random(4) for name in ("hair", "hair", "clothes"))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, sample_rng(0, 0, "hair").random(4))
    assert not np.array_equal(first, other)


def test_constants_are_computed_once_for_each_head():
    built = []

    def count(head) -> int:
        built.append(head)
        return len(built)

    one, other = load_head("anthro"), load_head("anthro")
    assert one is not other
    assert [one.derived(count), one.derived(count), other.derived(count)] == [1, 1, 2]
    assert built == [one, other]
