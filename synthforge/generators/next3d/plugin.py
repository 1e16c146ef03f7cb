"""Next3D as a backend."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from synthforge.assets_store import ASSETS, require_assets
from synthforge.errors import ConfigError
from synthforge.generators.base import Backend, Capabilities, Progress, Setup

if TYPE_CHECKING:
    import numpy

    import synthforge.types


@dataclass(frozen=True)
class Next3dConfig:
    """How Next3D is driven; defaults are those of SynthForge's generating script.

    `weights`: the user's released checkpoint, or `random` ones on which everything but the image's
    meaning can be tried. `truncation_psi`, `truncation_cutoff`: StyleGAN's truncation, of the first
    `cutoff` of the 28 codes. `neural_resolution`: side of the volume rendering, null as the checkpoint
    says; `depth_factor` times as large for depth. `planes`: `front` moves with the mesh alone, as in
    SynthForge, or `official`, all three. `precision`: bf16 and fp16 are faster and
    nearly the same (docs/performance.md). `alignment`: how far mesh and volume are brought together,
    each including the ones before; draws left with more than `max_residual_mm` are rejected.
    """

    weights: Literal["released", "random"] = "released"
    truncation_psi: float = 0.7
    truncation_cutoff: int = 14
    neural_resolution: int | None = None
    depth_factor: Literal[1, 2] = 2
    planes: Literal["front", "official"] = "front"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    alignment: Literal["analytic", "affine", "refined"] = "refined"
    max_residual_mm: float = 1.5

    def __post_init__(self) -> None:
        limits = {"truncation_psi": (0, 2), "truncation_cutoff": (0, 28), "max_residual_mm": (0, 1000)}
        limits |= {"neural_resolution": (8, 512)} if self.neural_resolution is not None else {}
        for key, (low, high) in limits.items():
            if not low <= getattr(self, key) <= high:
                raise ConfigError(f"{getattr(self, key)} is not in [{low}, {high}]", where=key)
        if self.weights == "random" and self.alignment != "analytic":
            fix = "set next3d.alignment=analytic"
            raise ConfigError("with random weights there is nothing to align to", where="alignment", fix=fix)


class Next3d(Backend):
    """Next3D over the meshes of a head; what its people look like is decided by their latent codes."""

    Config: ClassVar[type] = Next3dConfig
    capabilities = Capabilities(
        latent=512, head_turn=False, soft_masks=("hair_or_other",), moves_head=True, batched=True
    )
    named_config = "paper"

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
