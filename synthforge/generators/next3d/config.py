"""Settings of the neural backend."""

from dataclasses import dataclass
from typing import Literal

from synthforge.errors import ConfigError

LATENT = 512  # numbers in a latent code
NAMED_CONFIG = "paper"  # whose scenes the backend is made for


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
