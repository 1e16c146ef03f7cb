"""Next3D as a backend."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from synthforge.assets_store import ASSETS, require_assets
from synthforge.generators.base import Backend, Capabilities, Progress, Setup
from synthforge.generators.next3d.config import LATENT, NAMED_CONFIG, Next3dConfig

if TYPE_CHECKING:
    import numpy

    import synthforge.types


class Next3d(Backend):
    """Next3D over the meshes of a head; what its people look like is decided by their latent codes."""

    Config: ClassVar[type] = Next3dConfig
    capabilities = Capabilities(
        latent=LATENT, head_turn=False, soft_masks=("hair_or_other",), moves_head=True, batched=True
    )
    named_config = NAMED_CONFIG

    def __init__(self, config: Next3dConfig, setup: Setup):
        super().__init__(config, setup)
        from synthforge.generators.next3d.backend import Next3dGenerator

        self.generator = Next3dGenerator(config, setup.head, setup.one_view, setup.device, setup.batch_size)
        self.batch = self.generator.batch_size

    @property
    def assets(self) -> dict[str, str]:
        return self.generator.assets

    @property
    def about(self) -> dict[str, str]:
        random = self.config.weights == "random"
        return {"weights": "random: the images are meaningless"} if random else {}

    @classmethod
    def presets(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """FLAME; with random weights, which no mesh agrees with, any head will do and nothing is aligned."""
        if given.get("weights") == "random":
            return {"head": "anthro", "alignment": "analytic"}
        return {"head": "flame"}

    @classmethod
    def prepare(
        cls, config: Next3dConfig, head: str, device: str, batch_size: int, progress: Progress
    ) -> str:
        """The checkpoint must be there, and its affine fitted."""
        if config.weights == "random":
            return ""
        require_assets("next3d", *ASSETS.keys() & {head})
        if config.alignment == "analytic":
            return ""
        from synthforge.generators.next3d.fit import affine_path, fit, paper_scene

        if (path := affine_path()).is_file():
            return ""
        fit(config, head, paper_scene(), device=device, batch_size=batch_size, progress=progress).save(path)
        return f"aligned the checkpoint: {path}"

    def timed(self, stage: Callable[[str], AbstractContextManager[None]]) -> AbstractContextManager[None]:
        from synthforge.generators.next3d.stages import timed

        return timed(self.generator.network, stage)

    def draw(
        self, params: Sequence["synthforge.types.SceneParams"], vertices: "numpy.ndarray"
    ) -> list["synthforge.types.Render"]:
        return self.generator.images(params, vertices)
