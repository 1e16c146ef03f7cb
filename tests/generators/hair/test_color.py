"""Hair colour against the order of natural hair and of its pigments."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.cameras.project import orbit_camera
from synthforge.generators.hair.color import COLORS, hair_color, melanin_color, strand_colors
from synthforge.types import SceneParams

CAMERA = orbit_camera(0.3, 0.1, 0.0, 1.2, 0.3, np.zeros(3), (64, 64))
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def params(name, index=0):
    one, pose = np.zeros(1, np.float32), np.zeros((1, 3), np.float32)
    return SceneParams(0, index, one, one, pose, CAMERA, {"hair_color": name})


def strands(name, index=0):
    rng = np.random.default_rng(index)
    return strand_colors(params(name, index), rng.uniform(-0.1, 0.1, (300, 3)), 6, rng)


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
            hair_color(params(n, index)) @ LUMINANCE
            for n in ("black", "dark_brown", "brown", "blond", "white")
        ]
        assert order == sorted(order)


def test_strands_keep_the_colour_of_the_whole_and_stay_reflectances():
    for name in COLORS:
        colors = strands(name)
        assert colors.min() >= 0 and colors.max() <= 1
        assert np.abs(colors.mean((0, 1)) - hair_color(params(name))).max() < 0.12


def test_grey_hair_mixes_white_and_dark_strands():
    def spread(name):
        return np.std(strands(name)[:, 0] @ LUMINANCE)

    assert spread("grey") > 0.02
    assert spread("black") < 1e-6 and spread("white") < 1e-6


def test_grey_hair_whitens_with_age():
    def light(age):
        return [hair_color(with_age(params("grey", i), age)) @ LUMINANCE for i in range(20)]

    def with_age(p, age):
        return replace(p, attributes=p.attributes | {"age": age})

    assert np.all(np.diff([light(age) for age in (30.0, 50.0, 75.0)], axis=0) > 0)


def test_dye_has_outgrown_its_roots():
    roots, tips = strands("dyed")[:, 0], strands("dyed")[:, -1]
    assert np.ptp(tips, axis=0).max() == 0
    assert (roots @ LUMINANCE < tips @ LUMINANCE).all()
