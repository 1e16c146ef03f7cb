"""State dicts: the complete list of a checkpoint's tensors, pseudo-random ones, checks, and the asset folder.

The recipe of pseudo-random weights gives every tensor its own generator, seeded by its name: a numeric
reference needs no file of weights, and a part of the network can be filled alone.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from next3d.config import Next3DConfig
from next3d.layers import filter_2d
from next3d.synthesis import resolutions
from next3d.topology import Topology

WEIGHTS, CONFIG, TOPOLOGY = "weights.safetensors", "config.json", "topology.safetensors"
DENSE_FACES = (1, 122990, 3)  # a grid's triangles that nothing reads; the released file's size
TOPOLOGY_KEYS = ("faces", "uvfaces", "raw_uvcoords", "uvcoords", "face_uvcoords")
IGNORED = ("dense_faces", "dataset_label_std")  # nothing reads them
CONSTANT = (
    "orth_scale",
    "orth_shift",
)  # trained in some older files; the generator takes their design values

Shape = tuple[int, ...]


def expected_keys(config: Next3DConfig, topology: Topology) -> dict[str, Shape]:
    """Name and shape of every tensor of a checkpoint, those included that generating never reads."""
    keys: dict[str, Shape] = {"dense_faces": DENSE_FACES}
    keys |= {name: tuple(tensor.shape) for name, tensor in topology.buffers().items()}
    features = config.plane_features
    for network, channels in (
        ("texture_backbone", features),
        ("mouth_backbone", features),
        ("neural_blending", features),
        ("backbone", 3 * features),
    ):
        keys |= dict(_mapping_keys(f"{network}.mapping.", config))
        for r in resolutions(4, config.plane_resolution):
            inputs = config.channels(r // 2) if r > 4 else 0
            at = f"{network}.synthesis.b{r}."
            keys |= dict(_block_keys(at, inputs, config.channels(r), r, channels, config))
    for network, size, final in (
        ("mouth_backbone", config.mouth_resolution, config.mouth_final),
        ("neural_blending", config.plane_resolution, config.blending_final),
    ):
        keys |= dict(_encoder_keys(f"{network}.synthesis.", config, size, final))
    inputs = features
    for i, outputs in enumerate(config.sr_channels):
        r = config.sr_resolution * 2 ** (i + 1)
        at = f"superresolution.block{i}."
        keys |= dict(_block_keys(at, inputs, outputs, r, config.img_channels, config))
        inputs = outputs
    hidden = config.decoder_hidden
    return keys | {
        "decoder.net.0.weight": (hidden, features),
        "decoder.net.0.bias": (hidden,),
        "decoder.net.2.weight": (1 + features, hidden),
        "decoder.net.2.bias": (1 + features,),
    }


def _mapping_keys(at: str, config: Next3DConfig) -> Iterator[tuple[str, Shape]]:
    w = config.w_dim
    yield at + "w_avg", (w,)
    inputs = [config.c_dim, config.z_dim + w] + [w] * (config.mapping_layers - 1)
    for name, width in zip(["embed", *(f"fc{i}" for i in range(config.mapping_layers))], inputs, strict=True):
        yield from [(f"{at}{name}.weight", (w, width)), (f"{at}{name}.bias", (w,))]


def _block_keys(
    at: str, inputs: int, outputs: int, r: int, image_channels: int, config: Next3DConfig
) -> Iterator[tuple[str, Shape]]:
    yield at + "resample_filter", (4, 4)
    if not inputs:
        yield at + "const", (outputs, r, r)
    for name, width in (("conv0", inputs), ("conv1", outputs)):
        if width:
            yield from _conv_keys(f"{at}{name}.", width, outputs, 3)
            yield from _affine_keys(f"{at}{name}.", width, config)
            yield from [(f"{at}{name}.noise_strength", ()), (f"{at}{name}.noise_const", (r, r))]
    yield from [
        (at + "torgb.weight", (image_channels, outputs, 1, 1)),
        (at + "torgb.bias", (image_channels,)),
    ]
    yield from _affine_keys(at + "torgb.", outputs, config)


def _affine_keys(at: str, outputs: int, config: Next3DConfig) -> Iterator[tuple[str, Shape]]:
    yield from [(at + "affine.weight", (outputs, config.w_dim)), (at + "affine.bias", (outputs,))]


def _conv_keys(at: str, inputs: int, outputs: int, size: int) -> Iterator[tuple[str, Shape]]:
    yield at + "weight", (outputs, inputs, size, size)
    yield from [(at + "bias", (outputs,)), (at + "resample_filter", (4, 4))]


def _encoder_keys(at: str, config: Next3DConfig, size: int, final: int) -> Iterator[tuple[str, Shape]]:
    channels = config.channels
    scales = resolutions(final, size)
    for i, r in enumerate(scales[:0:-1]):
        block = f"{at}encoder.{i}."
        yield from [(block + "resample_filter", (4, 4)), (block + "fromrgb.resample_filter", (4, 4))]
        yield block + "fromrgb.weight", (channels(r), config.plane_features, 1, 1)
        yield from _conv_keys(block + "conv1.", channels(r), channels(r), 3)
        yield from _conv_keys(block + "conv2.", channels(r), channels(r // 2), 3)
    for i, r in enumerate(scales):
        yield from _conv_keys(f"{at}fusion.{i}.", channels(r) * (2 if i else 1), channels(r), 3)


def recipe_rng(name: str) -> np.random.Generator:
    """The generator of pseudo-random numbers that a name stands for."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed))


def random_tensor(key: str, shape: Shape, prefix: str = "") -> Tensor:
    """The pseudo-random values of one tensor; scales give activations and images of sane magnitude."""
    if key.endswith("resample_filter"):
        return filter_2d()
    values = recipe_rng(prefix + key).standard_normal(shape)
    if key == "decoder.net.2.weight":
        values -= values.mean(axis=1, keepdims=True)
    scale, offset = _scale(key)
    tensor = np.asarray(values, np.float32) * np.float32(scale) + np.float32(offset)
    if key == "decoder.net.2.bias":
        tensor[0] += 2  # denser than empty: rays end within the volume
    return torch.from_numpy(np.asarray(tensor))


def _scale(key: str) -> tuple[float, float]:
    """Standard deviation and mean of a tensor's pseudo-random values; the first rule that fits counts."""
    leaf = key.rsplit(".", 1)[-1]
    if leaf in (leaves := {"noise_strength": 0.1, "noise_const": 1, "const": 1, "w_avg": 0.2}):
        return leaves[leaf], 0
    if key.endswith(".affine.bias"):
        return 0.1, 1
    if ".mapping.fc" in key:  # whose learning-rate multiplier is 0.01
        return (100, 0) if leaf == "weight" else (10, 0)
    if key == "decoder.net.2.weight":
        return 3, 0
    if key.endswith(".fromrgb.weight"):
        return 0.3, 0
    if key.startswith("superresolution.") and key.endswith(".torgb.weight"):
        return 0.25, 0
    return (0.1, 0) if leaf == "bias" else (1, 0)


def random_state_dict(
    config: Next3DConfig, topology: Topology, prefix: str = "", only: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """Pseudo-random tensors for all keys (or `only` some) that neither the mesh nor the format fixes."""
    keys = expected_keys(config, topology)
    fixed = (*TOPOLOGY_KEYS, *IGNORED)
    chosen = keys if only is None else only
    return {key: random_tensor(key, keys[key], prefix) for key in chosen if key not in fixed}


def digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over the float32 values of a pseudo-random state in the order of names, filters left out."""
    total = hashlib.sha256()
    for key in sorted(state):
        if not key.endswith("resample_filter"):
            total.update(state[key].numpy().tobytes())
    return total.hexdigest()


def check_state(state: Mapping[str, Tensor], config: Next3DConfig, topology: Topology) -> None:
    """Compares a state dict with the complete list; buffers of the mesh may be absent.

    Raises ValueError naming the first tensor that is unknown, missing, of another shape or dtype, or that
    should be a known constant and is not.  Warns of constants that an older file trained.
    """
    expected = expected_keys(config, topology)
    old = [key for key in state if key.rsplit(".", 1)[-1] in CONSTANT]
    if old:
        warnings.warn(
            f"the weights hold {', '.join(old)}: the constants 5 and (0, -0.01, -0.01) are used instead",
            stacklevel=2,
        )
    if unknown := sorted(set(state) - set(expected) - set(old) - set(IGNORED)):
        raise ValueError(f"unknown tensor {unknown[0]} ({len(unknown)} such)")
    if missing := sorted(set(expected) - set(state) - set(TOPOLOGY_KEYS) - set(IGNORED)):
        raise ValueError(f"tensor {missing[0]} is missing ({len(missing)} such)")
    buffers = topology.buffers()
    for key, tensor in state.items():
        if key in old or key in IGNORED:
            continue
        if tuple(tensor.shape) != expected[key]:
            raise ValueError(
                f"{key} has shape {tuple(tensor.shape)}; the configuration needs {expected[key]}"
            )
        if key in buffers:
            if not torch.allclose(tensor.cpu().double(), buffers[key].cpu().double(), atol=1e-6):
                raise ValueError(f"{key} is not that of the topology")
        elif not tensor.is_floating_point():
            raise ValueError(f"{key} holds {tensor.dtype}, not floats")
        elif key.endswith("resample_filter") and not torch.allclose(tensor.cpu().float(), filter_2d()):
            raise ValueError(f"{key} is not the filter (1 3 3 1) that this implementation computes with")


def save_folder(folder: Path, state: Mapping[str, Tensor], config: Next3DConfig, topology: Topology) -> None:
    """Writes weights, configuration and topology into a folder that `load_folder` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    topology.save(folder / TOPOLOGY)


def load_folder(folder: Path) -> tuple[dict[str, Tensor], Next3DConfig, Topology]:
    """Reads and checks a folder; ValueError names the file that is absent or damaged."""
    for name in (WEIGHTS, CONFIG, TOPOLOGY):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing")
    path = folder / CONFIG
    try:
        config = Next3DConfig.from_dict(json.loads(path.read_text()))
        path = folder / TOPOLOGY
        topology = Topology.load(path)
        path = folder / WEIGHTS
        state = load_file(path)
        check_state(state, config, topology)
    except (ValueError, OSError, SafetensorError) as error:
        message = str(error)
        raise ValueError(message if str(path) in message else f"{path}: {message}") from None
    return state, config, topology
