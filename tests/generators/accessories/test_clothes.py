"""Clothes: on the shoulders, off the face, over the skin, without a step where a head's own shoulders end."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.generators.accessories.clothes import _skirt, dress
from synthforge.generators.geometry.meshes import joined
from synthforge.generators.geometry.person import Person
from synthforge.heads import load_head
from tests.annotate.scenes import posed, view


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


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
