"""The table of attributes knows exactly what the renderer draws."""

import pytest

from synthforge.attributes import ATTRIBUTES, Appearance
from synthforge.generators.backdrop.scenery import PLACES
from synthforge.generators.face.eyes import IRIS
from synthforge.generators.hair.color import MELANIN
from synthforge.generators.hair.styles import STYLES
from synthforge.generators.occluders.placing import KINDS
from synthforge.generators.shading.light import SETTINGS

DRAWN = {
    "iris_color": IRIS, "hair_color": [*MELANIN, "grey", "dyed"], "hair_style": ["bald", *STYLES],
    "occluder": [*KINDS, "hair"], "light": SETTINGS, "background": PLACES,
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_words_are_those_that_the_renderer_draws(name):
    assert set(ATTRIBUTES[name].words) == set(DRAWN[name])


def test_defaults_are_allowed_values():
    for name, about in ATTRIBUTES.items():
        default = getattr(Appearance(), name)
        assert default in about.words if about.words else about.low <= default <= about.high, name


def test_unknown_attributes_are_left_out():
    assert Appearance.of({"age": 70.0, "complexion": "light"}) == Appearance(age=70.0)
