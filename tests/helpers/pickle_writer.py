"""Writes pickles that name classes and functions which need not exist here, with any state."""

import io
import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch


@dataclass(eq=False)
class Name:
    """A global: written as its two names."""

    module: str
    name: str


@dataclass(eq=False)
class Call:
    """A global called with arguments, then given a state."""

    kind: Any
    args: tuple = ()
    state: Any = field(default=None)


class _Writer(pickle._Pickler):
    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Name):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.kind)
            self.save(obj.args)
            self.write(b"R")
            if obj.state is not None:
                self.save(obj.state)
                self.write(b"b")
        else:
            super().save(obj, save_persistent_id)


def written(value: Any, protocol: int = 4) -> bytes:
    """The pickle of a value that may hold `Name`s and `Call`s."""
    file = io.BytesIO()
    _Writer(file, protocol).dump(value)
    return file.getvalue()


PERSISTENT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")
TRIPLANE = "training_avatar_texture.triplane_v13_neural_blending"  # where the released generator was trained
SOURCE_TEXT = "raise RuntimeError('the source text in a pickle was run')"


def persistent(class_name: str, state: dict) -> Call:
    """An object of a class whose source text is pickled with it."""
    about = {
        "type": "class",
        "version": 6,
        "module_src": SOURCE_TEXT,
        "class_name": class_name,
        "state": state,
    }
    return Call(PERSISTENT, (about,))


def module_state(tensors: dict[str, torch.Tensor]) -> dict:
    """The attributes of a network whose tensors have these dotted names; parts are networks of their own."""
    own = {key: tensor for key, tensor in tensors.items() if "." not in key}
    parts: dict[str, dict] = {}
    for key, tensor in tensors.items():
        if "." in key:
            first, rest = key.split(".", 1)
            parts.setdefault(first, {})[rest] = tensor
    trained = ("weight", "bias", "const", "noise_strength")
    modules = {
        name: Call(Name(TRIPLANE, "OSGDecoder"), (), module_state(part)) if name == "decoder"
        else persistent("Part", module_state(part))
        for name, part in parts.items()
    }  # fmt: skip
    return {
        "training": False, "_backward_hooks": {}, "_non_persistent_buffers_set": set(),
        "_parameters": {k: torch.nn.Parameter(t) for k, t in own.items() if k in trained} | {"nothing": None},
        "_buffers": {k: t for k, t in own.items() if k not in trained}, "_modules": modules,
    }  # fmt: skip


def generator_state(config: Any, topology: Any, tensors: dict[str, torch.Tensor]) -> dict:
    """The attributes of a whole generator, as the original class has them."""
    rendering = {
        "clamp_mode": "softplus", "c_scale": config.c_scale, "superresolution_noise_mode": "none",
        "c_gen_conditioning_zero": config.c_gen_conditioning_zero, "disparity_space_sampling": False,
        "ray_start": np.float64(config.rendering.ray_start), "ray_end": config.rendering.ray_end,
        "box_warp": 1,
        "depth_resolution": config.rendering.depth_resolution,
        "depth_resolution_importance": config.rendering.depth_resolution_importance,
    }  # fmt: skip
    state = module_state(tensors | topology.buffers())
    parts = state["_modules"]
    made_with = {
        "texture_backbone": {},
        "mouth_backbone": {"in_size": config.mouth_resolution, "final_size": config.mouth_final},
        "neural_blending": {"in_size": config.plane_resolution, "final_size": config.blending_final},
    }
    for name, options in made_with.items():
        sizes = {"img_resolution": config.plane_resolution, "img_channels": config.plane_features}
        parts[name].args[0]["state"]["_init_kwargs"] = sizes | options
    parts["renderer"] = Call(
        Name("training_avatar_texture.volumetric_rendering.renderer", "ImportanceRenderer"), (),
        {"_parameters": {}, "_buffers": {}, "_modules": {}, "plane_axes": torch.eye(3)},
    )  # fmt: skip
    sizes = ("z_dim", "w_dim", "c_dim", "img_resolution", "img_channels", "channel_base", "channel_max")
    return state | {
        "_init_kwargs": {name: getattr(config, name) for name in sizes} | {"sr_num_fp16_res": 4},
        "rendering_kwargs": rendering,
        "neural_rendering_resolution": config.neural_resolution,
        "uv_face_mask": topology.uv_mask[None, None] * 255,
        "orth_scale": torch.tensor([[5.0]]),
        "orth_shift": torch.tensor([[0, -0.01, -0.01]]),
    }


def network_file(state: dict, protocol: int = 4) -> bytes:
    """A whole network pickle around the attributes of its generator."""
    networks = {"training_set_kwargs": {"path": "x"}, "G": None, "D": None, "augment_pipe": None}
    return written(networks | {"G_ema": persistent("TriPlaneGenerator", state)}, protocol)
