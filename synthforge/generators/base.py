"""What every image generator offers; a new backend is one file with one such class."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from synthforge.heads.base import HeadModel
from synthforge.types import Render, SceneParams


@runtime_checkable
class Generator(Protocol):
    """Posed head and parameters -> image and the mesh its labels are derived from.

    `assets`: name -> sha256 of whatever files it reads, for provenance.
    """

    assets: dict[str, str]

    def render(self, head: HeadModel, params: SceneParams, vertices: Float[np.ndarray, "v 3"]) -> Render:
        """Image of `head` with posed `vertices` (metres, world frame) seen by `params.camera`."""
        ...
