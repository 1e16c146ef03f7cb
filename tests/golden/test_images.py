"""Faces look as the golden pictures show, up to rounding."""

import numpy as np
import pytest

from tests.golden import images


@pytest.mark.parametrize("name", images.CASES)
def test_faces_look_as_they_did(name):
    if name == "traced":
        pytest.importorskip("mitsuba", reason="the path tracer is an optional extra")
    now = images.face(name)
    share = images.share_differing(images.recorded(name), now)
    if share > images.bound(name):
        pytest.fail(
            f"{share:.2%} of the pixels of {name!r} differ, {images.bound(name):.1%} may: look at "
            f"{images.draw_difference(name, now)}; if it is meant, python -m tests.golden.images --update"
        )


def test_a_change_of_colour_is_seen():
    """A tenth more red is beyond every bound; the last bit of every pixel is not."""
    for name in images.CASES:
        picture = images.recorded(name)
        redder = np.clip(picture * [1.1, 1.0, 1.0] + [1, 0, 0], 0, 255).astype(np.uint8)
        assert images.share_differing(picture, redder) > 5 * images.bound(name), name
        assert images.share_differing(picture, picture ^ 1) == 0
