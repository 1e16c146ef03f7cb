"""Patterns of cloth against their colours, shares and periods; ambient visibility beside what is touched."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.generators.shading.contact import contact_visibility
from synthforge.generators.shading.fabric import PATTERNS, Pattern


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
