"""Next3D's networks timed part by part, inside the calls that generating makes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

# Parts of the network by the stage that they are counted in.
MODULES = {
    "mapping": "backbone.mapping",
    "texture": "texture_backbone.synthesis",
    "static_planes": "backbone.synthesis",
    "mouth": "mouth_backbone.synthesis",
    "blending": "neural_blending.synthesis",
    "superresolution": "superresolution",
}
CALLS = {"planes": "rasterization", "render": "volume"}  # what these do besides calling the modules


@contextmanager
def timed(network: nn.Module, stage: Callable) -> Iterator[None]:
    """Within, parts of the network count as stages, and whatever else is done as `alignment`."""
    with ExitStack() as undo, stage("alignment"):
        for name, path in MODULES.items():
            _time_module(network.get_submodule(path), name, stage, undo)
        for call, name in CALLS.items():
            setattr(network, call, _timed_call(getattr(network, call), name, stage))
            undo.callback(delattr, network, call)
        yield


def _time_module(module: nn.Module, name: str, stage: Callable, undo: ExitStack) -> None:
    open_stages: list = []

    def enter(*_: Any) -> None:
        open_stages.append(stage(name))
        open_stages[-1].__enter__()

    def leave(*_: Any) -> None:
        open_stages.pop().__exit__(None, None, None)

    undo.callback(module.register_forward_pre_hook(enter).remove)
    undo.callback(module.register_forward_hook(leave).remove)


def _timed_call(method: Callable, name: str, stage: Callable) -> Callable:
    def call(*args: Any, **options: Any) -> Any:
        with stage(name):
            return method(*args, **options)

    return call
