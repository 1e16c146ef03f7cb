"""Small planted volumes."""

import numpy as np
import pytest

from tests.helpers.planted import draw_bases


@pytest.fixture(scope="session")
def bases(anthro_head):
    """Two posed heads on a coarse grid."""
    return draw_bases(anthro_head, np.random.default_rng(0), 2, 4e-3)
