"""What every image generator offers; a new backend is one file with one such class."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from synthforge.heads.base import HeadModel
from synthforge.types import NeuralImage, Render, SceneParams


@runtime_checkable
class Generator(Protocol):
    """Posed head and parameters -> image and the mesh its labels are derived from.

    `assets`: name -> sha256 of whatever files it reads, for provenance.
    """

    assets: dict[str, str]

    def render(self, head: HeadModel, params: SceneParams, vertices: Float[np.ndarray, "v 3"]) -> Render:
        """Image of `head` with posed `vertices` (metres, world frame) seen by `params.camera`."""
        ...


@runtime_checkable
class NeuralGenerator(Protocol):
    """A generator that works in batches on one device, and whose volume meets the mesh only nearly.

    `batch_size`: samples it likes to get at once. A sample's result depends on its batch mates by
    rounding at most.
    """

    assets: dict[str, str]
    batch_size: int

    def images(
        self, head: HeadModel, params: Sequence[SceneParams], vertices: Float[np.ndarray, "b v 3"]
    ) -> list[NeuralImage]:
        """Images of `head` with posed `vertices` (metres, world frame) seen by each `params.camera`."""
        ...
