"""What every image generator offers: one class, found by its name (docs/extending.md shows a whole one)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from synthforge.attributes import Attribute

if TYPE_CHECKING:  # settings are checked before anything heavy is loaded
    import numpy

    import synthforge.heads.base
    import synthforge.types

Progress = Callable[[int, int], None]  # things done, things wanted


@dataclass(frozen=True)
class Capabilities:
    """What a backend can draw; a configuration that asks for more is refused.

    Args:
        attributes: those seen in its images, by name; others are not drawn for it.
        latent: length of the standard normal code it draws people from; 0: none.
        lens: whether it shows the distortion of a lens.
        head_turn: whether it takes heads that are turned against the shoulders.
        soft_masks: layers it has, of those that annotation makes.
        moves_head: whether its images show the head elsewhere than it was posed (`Render.vertices`), so that
            a draw can be judged only when it is drawn.
        batched: whether it draws in batches on a device, in the process that writes; else each sample by
            itself in any worker.
    """

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    latent: int = 0
    lens: bool = False
    head_turn: bool = True
    soft_masks: tuple[str, ...] = ()
    moves_head: bool = False
    batched: bool = False


@dataclass(frozen=True)
class NoSettings:
    """Of a backend without settings."""


@dataclass(frozen=True)
class Setup:
    """What a backend is built for.

    `one_view`: each sample shows another person. `device` ("auto", "cpu", "cuda", "cuda:1") and `batch_size`
    (0: by the device) are for those that draw in batches; samples depend on them by rounding at most.
    """

    head: "synthforge.heads.base.HeadModel"
    one_view: bool = True
    device: str = "auto"
    batch_size: int = 0


class Backend(ABC):
    """An image generator: posed heads and parameters -> images, and the geometry that labels come from.

    Modules of subclasses import what is heavy only when they are built: their settings and capabilities are
    asked for before.

    Args:
        config: settings, a `Config`.
        setup: what it is built for; also kept as `head`.
    Raises:
        AssetError: a file it needs is missing or damaged.
        ConfigError: it cannot do with this head or device.
    """

    Config: ClassVar[type] = NoSettings  # frozen dataclass; its keys stand under the backend's name
    capabilities: ClassVar[Capabilities] = Capabilities()
    named_config: ClassVar[str] = "default"  # what `generate` makes where none is named
    batch = 1  # samples drawn at once

    def __init__(self, config: Any, setup: Setup):
        self.config, self.setup, self.head = config, setup, setup.head

    @property
    def assets(self) -> dict[str, str]:
        """Name -> sha256 of whatever files it reads, for provenance."""
        return {}

    @property
    def about(self) -> dict[str, str]:
        """What else `dataset.json` should say of the images."""
        return {}

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keys of the configuration (`head`, `alignment`, ...) that `generate` sets where the user does not.

        Args:
            given: options of the command line by the key they set, without the backend's name.
        """
        return {}

    @classmethod
    def prepare(cls, config: Any, head: str, device: str, batch_size: int, progress: Progress) -> str:
        """Do once, before a run, what samples need; returns a line for the user on what was done, or "".

        Raises:
            AssetError: files that users bring are missing; all of them are named.
        """
        return ""

    def timed(self, stage: Callable[[str], AbstractContextManager[None]]) -> AbstractContextManager[None]:
        """Within, parts of `draw` count as stages of their own (`synthforge bench`)."""
        return nullcontext()

    @abstractmethod
    def draw(
        self, params: Sequence["synthforge.types.SceneParams"], vertices: "numpy.ndarray"
    ) -> list["synthforge.types.Render"]:
        """Images of the head with posed `vertices` (b v 3; metres, world frame), each seen by its
        `params.camera`.

        The same parameters give the same image; what is drawn with it may change it by rounding at most.
        """
        ...
