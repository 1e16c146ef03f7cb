"""synthforge: labelled synthetic faces, and face-analysis models trained on them.

`import synthforge` loads nothing heavy; each name below is loaded when it is first used. See docs/api.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synthforge.errors import SynthforgeError

if TYPE_CHECKING:
    from synthforge.api.dataset import Dataset, load
    from synthforge.api.generate import generate
    from synthforge.api.predictor import Predictor
    from synthforge.api.renderer import Renderer
    from synthforge.cameras.orbit import camera_at, orbit_camera
    from synthforge.cameras.project import project, unproject
    from synthforge.types import Camera, Frame, SceneParams

__version__ = "0.1.0"
__all__ = [
    "Camera",
    "Dataset",
    "Frame",
    "Predictor",
    "Renderer",
    "SceneParams",
    "SynthforgeError",
    "__version__",
    "camera_at",
    "generate",
    "load",
    "orbit_camera",
    "project",
    "unproject",
]

_HOMES = {
    "api.dataset": ("Dataset", "load"),
    "api.generate": ("generate",),
    "api.predictor": ("Predictor",),
    "api.renderer": ("Renderer",),
    "cameras.orbit": ("camera_at", "orbit_camera"),
    "cameras.project": ("project", "unproject"),
    "types": ("Camera", "Frame", "Renderer", "SceneParams"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return globals().setdefault(name, getattr(import_module(f"synthforge.{home}"), name))
    raise AttributeError(f"module 'synthforge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
