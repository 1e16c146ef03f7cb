"""Exposure as closed forms: free of the light's strength, more for dark skin, never into the dark."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.attributes import Appearance
from synthforge.generators.raster.exposure import exposure_of
from synthforge.generators.shading.color import LUMINANCE
from synthforge.generators.shading.pigment import skin_base

LIGHTS = st.sampled_from(["day", "evening", "night", "studio", "indoor"])
TONES, STOPS = st.floats(1, 10), st.floats(-3, 3)


def gain(illumination: np.ndarray, **attributes) -> np.ndarray:
    return exposure_of(illumination, Appearance(**attributes))


def level(tone: float, **attributes) -> float:
    """Of an evenly lit face."""
    return float(gain(np.ones((10, 3)), skin_tone=tone, **attributes)[0] * (skin_base(tone, 0.0) @ LUMINANCE))


@given(LIGHTS, TONES, STOPS, st.floats(0.01, 100))
@settings(deadline=None, max_examples=30)
def test_a_stronger_light_changes_nothing(light, tone, stops, strength):
    face = np.random.default_rng(0).uniform(0.1, 2, (50, 3))
    one, other = (gain(k * face, light=light, skin_tone=tone, exposure=stops) for k in (1.0, strength))
    assert np.allclose(one, other * strength, rtol=1e-4)


@given(LIGHTS, STOPS)
@settings(deadline=None, max_examples=30)
def test_dark_skin_gets_more_light_and_stays_darker(light, stops):
    tones = np.linspace(1, 10, 10)
    levels = np.array([level(t, light=light, exposure=stops) for t in tones])
    skin = np.array([skin_base(t, 0.0) @ LUMINANCE for t in tones])
    assert (np.diff(levels) < 0).all() and (np.diff(levels / skin) > 0).all()


@given(LIGHTS, TONES, st.floats(-3, 2.9))
@settings(deadline=None, max_examples=30)
def test_more_stops_are_brighter_but_by_less_at_both_ends(light, tone, stops):
    low, high = (level(tone, light=light, exposure=s) for s in (stops, stops + 0.1))
    assert 1 < high / low < 2**0.1 * 1.0001


def test_no_face_sinks_into_the_dark():
    assert level(10.0, light="night", exposure=-1.0) > 0.03
    assert 0.3 < level(2.0, light="day") < 0.8


def test_white_balance_takes_most_of_the_tint_away():
    warm = np.tile([1.6, 1.0, 0.5], (10, 1))
    balanced = warm[0] * gain(warm)
    assert 1 < balanced[0] / balanced[2] < 0.5 * 1.6 / 0.5
