"""Some faces of a configuration in one picture, without a data set."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from synthforge.report.draw import contact_sheet, resized
from synthforge.storage.source import SampleSource

TILE = 256  # pixels
COLUMNS = 3


def preview(
    source: SampleSource, progress: Callable[[int, int], None] = lambda done, wanted: None
) -> UInt8[np.ndarray, "h w 3"]:
    """The first nine samples of a source, side by side.

    Args:
        source: makes one sample.
        progress: called with (faces made, faces wanted).
    """
    n = COLUMNS**2
    progress(0, n)
    faces = []
    for index in range(n):
        faces.append(resized(source(index).frame.rgb, TILE))
        progress(index + 1, n)
    return contact_sheet(faces, COLUMNS)
