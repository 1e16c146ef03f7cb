"""The picture of the curve shows the counted shares."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.evaluation.curve import LIMIT, cumulative_curve, curve_steps


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([0.5, 2.0, 2.0, 7.5, 9.99, 10.0, 11.0, np.inf]), min_size=1).map(np.array))
def test_each_step_is_the_share_of_images_up_to_there(errors):
    for x, share in zip(*curve_steps(errors), strict=True):
        assert share == pytest.approx(100 * np.mean(errors <= x)) and x <= LIMIT


def test_the_picture_is_well_formed_and_says_what_it_shows():
    text = cumulative_curve({"51": np.array([3.0, 4.0]), "68": np.array([5.0, 12.0])}, "a & b")
    root = ElementTree.fromstring(text)
    words = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "NME, % of a & b" in words and "51 points" in words and "68 points" in words
    ticks = {t.text: t for t in root.iter("{http://www.w3.org/2000/svg}text")}
    zero, ten = float(ticks["0"].get("x")), float(ticks["10"].get("x"))
    base, top = (float(ticks[t].get("y")) - 4 for t in ("20", "100"))
    whole = (base - top) / 0.8  # pixels of 100 %
    first, second = root.iter("{http://www.w3.org/2000/svg}polyline")
    for curve, rises in ((first, {3.0: 50, 4.0: 100}), (second, {5.0: 50})):
        points = np.array([p.split(",") for p in curve.get("points").split()], float)
        at, share = points[:, 0], 100 - 100 * (points[:, 1] - top) / whole
        for x, wanted in rises.items():
            here = np.isclose(at, zero + (ten - zero) * x / LIMIT, atol=0.1)
            assert here.sum() == 2 and share[here].max() == pytest.approx(wanted, abs=0.1)
        assert at[-1] == pytest.approx(ten, abs=0.1) and share[-1] == pytest.approx(
            max(rises.values()), abs=0.1
        )
