"""Independent, checkpoint-compatible implementation of the Next3D generator (Sun et al., CVPR 2023)."""

from next3d.config import Next3DConfig, RenderConfig
from next3d.generator import Generator, Identity, Output
from next3d.topology import Topology

__all__ = ["Generator", "Identity", "Next3DConfig", "Output", "RenderConfig", "Topology"]
