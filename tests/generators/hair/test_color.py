"""Hair colour against the order of natural hair and of its pigments."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.attributes import ATTRIBUTES
from synthforge.cameras.orbit import orbit_camera
from synthforge.generators.geometry.person import Person
from synthforge.generators.hair.color import hair_color, melanin_color, strand_colors
from synthforge.types import SceneParams
from tests.helpers.tiny_head import tiny_head

CAMERA = orbit_camera(0.3, 0.1, 0.0, 1.2, 0.3, np.zeros(3), (64, 64))
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def person(name, index=0, **more):
    head = tiny_head()
    zeros = (np.zeros(n, np.float32) for n in (head.n_shape, head.n_expression))
    pose = np.zeros((head.n_joints, 3), np.float32)
    params = SceneParams(0, index, *zeros, pose, CAMERA, {"hair_color": name} | more)
    return Person(head, params, head.vertices.numpy())


def strands(name, index=0):
    rng = np.random.default_rng(index)
    return strand_colors(person(name, index), rng.uniform(-0.1, 0.1, (300, 3)), 6, rng)


@settings(deadline=None, max_examples=40)
@given(eu=st.floats(0.0, 12.0), pheo=st.floats(0.0, 3.0), more=st.floats(0.05, 2.0))
def test_pigment_darkens_and_pheomelanin_reddens(eu, pheo, more):
    color = melanin_color(eu, pheo)
    assert (melanin_color(eu + more, pheo) <= color).all()
    assert (melanin_color(eu, pheo + more) <= color).all()
    assert color[0] >= color[1] >= color[2] > 0  # brown, never blue
    red, brown = melanin_color(eu, pheo + more), melanin_color(eu + more, pheo)
    assert np.isclose(red[0], brown[0], rtol=1e-5)  # the unit: optical depth of red light
    assert red[1] <= brown[1] and red[2] <= brown[2]


def test_colours_run_from_black_to_white():
    for index in range(20):
        order = [
            hair_color(person(n, index)) @ LUMINANCE
            for n in ("black", "dark_brown", "brown", "blond", "white")
        ]
        assert order == sorted(order)


def test_strands_keep_the_colour_of_the_whole_and_stay_reflectances():
    for name in ATTRIBUTES["hair_color"].words:
        colors = strands(name)
        assert colors.min() >= 0 and colors.max() <= 1
        assert np.abs(colors.mean((0, 1)) - hair_color(person(name))).max() < 0.12


def test_grey_hair_mixes_white_and_dark_strands():
    def spread(name):
        return np.std(strands(name)[:, 0] @ LUMINANCE)

    assert spread("grey") > 0.02
    assert spread("black") < 1e-6 and spread("white") < 1e-6


def test_grey_hair_whitens_with_age():
    def light(age):
        return [hair_color(person("grey", i, age=age)) @ LUMINANCE for i in range(20)]

    assert np.all(np.diff([light(age) for age in (30.0, 50.0, 75.0)], axis=0) > 0)


def test_dye_has_outgrown_its_roots():
    roots, tips = strands("dyed")[:, 0], strands("dyed")[:, -1]
    assert np.ptp(tips, axis=0).max() == 0
    assert (roots @ LUMINANCE < tips @ LUMINANCE).all()
