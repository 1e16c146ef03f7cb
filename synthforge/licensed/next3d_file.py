"""A published Next3D network pickle -> the asset folder `next3d` (weights, configuration, topology, origin).

The pickle keeps each network as (source text, class name, attributes). The source text is never looked at:
weights are taken by name from the attributes, checked against the complete list of `next3d.weights`, and
written beside the sizes and constants among the attributes.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from next3d import weights
from next3d.config import Next3DConfig, RenderConfig
from next3d.topology import Topology
from next3d.weights import IGNORED, TOPOLOGY_KEYS, check_state, expected_keys, save_folder
from safetensors import SafetensorError

from synthforge import __version__
from synthforge.assets_store import asset_kind, asset_path
from synthforge.errors import AssetError
from synthforge.licensed.pickle_values import short
from synthforge.licensed.pickles import Stub, read_pickle, stub
from synthforge.licensed.torch_storage import TORCH, TensorData
from synthforge.provenance import files_sha256

CONVERSION = 1  # raised whenever the same source gives other files, so that stores are refreshed
SOURCE, _FILES = "source.json", (weights.WEIGHTS, weights.CONFIG, weights.TOPOLOGY)
_AGAIN = "run again: synthforge assets add next3d FILE.pkl"
MAX_MODULES, MAX_DEPTH = 20_000, 32  # the released generator has about 300 modules, 6 deep
MAX_WEIGHTS, MAX_VERTICES = 1 << 29, 1 << 20  # 173 million and 5023 are usual
MAX_OPTION, MAX_NAME = 1 << 20, 100
# Options for which this implementation supports one value, the original's default.
_ONLY = {
    "clamp_mode": "softplus", "disparity_space_sampling": False, "superresolution_noise_mode": "none",
    "decoder_lr_mul": 1, "sr_antialias": True,
}  # fmt: skip
_OPTIONS = ("z_dim", "w_dim", "c_dim", "channel_base", "channel_max", "img_resolution", "img_channels")
_RENDERING = tuple(field.name for field in fields(RenderConfig))


def _persistent(meta: Any) -> Stub:
    """A network: its class name and attributes; the source text that comes with them is dropped."""
    name = meta.get("class_name") if type(meta) is dict else None
    if type(name) is not str or len(name) > MAX_NAME:
        raise ValueError("a network without a class name")
    return Stub("network", name, (), meta.get("state"))


ALLOW = {
    **TORCH,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("dnnlib.util", "EasyDict"): lambda *_: {},
    ("torch", "device"): lambda *_: None,
    ("torch", "Size"): lambda sizes=(): sizes,
}
PREFIXES = {"training": stub, "torch.nn.modules.": stub, "dnnlib.": stub}  # classes kept as names and state


def read_network(path: Path) -> Stub:
    """The generator (the averaged one, `G_ema`) of a network pickle.

    Raises:
        AssetError: the file is not such a pickle, is damaged, or asks for anything else.
    """
    networks = read_pickle(path, ALLOW, PREFIXES)
    generator = networks.get("G_ema") if type(networks) is dict else None
    if type(generator) is not Stub or type(generator.state) is not dict:
        raise AssetError(
            "not a Next3D network pickle: there is no generator `G_ema` in it", where=str(path),
            fix=f"get next3d_ffhq_512.pkl from {asset_kind('next3d').published_at}",
        )  # fmt: skip
    return generator


def network_tensors(network: Stub, where: str) -> dict[str, TensorData]:
    """Parameters and persistent buffers of a network by their names, in its order.

    Raises:
        AssetError: the network is not a tree of modules.
    """
    count = 0

    def walk(module: Any, at: str, depth: int) -> Iterator[tuple[str, TensorData]]:
        nonlocal count
        count += 1
        parts = [_part(module, name, dict) for name in ("_parameters", "_buffers", "_modules")]
        if count > MAX_MODULES or depth > MAX_DEPTH or None in parts:
            raise AssetError(f"damaged: {at or 'the generator'} is not a network", where=where)
        skipped = _part(module, "_non_persistent_buffers_set", set) or set()
        for name, value in (item for part in parts for item in part.items()):
            if type(name) is not str or not re.fullmatch(r"\w+", name) or len(name) > MAX_NAME:
                raise AssetError(f"damaged: {at or 'the generator'} has {short(name)}", where=where)
            if type(value) is TensorData and name not in skipped:
                yield f"{at}{name}", value
            elif name in parts[2] and value is not None:
                yield from walk(value, f"{at}{name}.", depth + 1)
            elif value is not None and name not in skipped:
                raise AssetError(f"damaged: {at}{name} is no tensor", where=where)

    return dict(walk(network, "", 0))


def _part(module: Any, name: str, kind: type) -> Any:
    state = module.state if type(module) is Stub else None
    value = state.get(name) if type(state) is dict else None
    return value if type(value) is kind else None


def install_next3d(path: Path) -> tuple[Path, bool]:
    """Convert a network pickle into the asset store; returns the folder and whether it is new.

    Nothing is written when the store already holds the same source converted by this version, and nothing
    is left behind when the conversion fails.

    Raises:
        AssetError: the file is damaged, unsafe, or not a Next3D generator of this architecture.
    """
    if not path.is_file():
        raise AssetError("no such file", where=str(path), fix="give the network pickle (.pkl)")
    sha256, target = files_sha256(path), asset_path("next3d")
    if _intact(target, sha256):
        return target, False
    network = read_network(path)
    config, topology, state, notes = convert(network, str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".next3d-", dir=target.parent))
    kind = asset_kind("next3d")
    try:
        save_folder(temporary, state, config, topology)
        about = {
            "source": path.name, "sha256": sha256, "bytes": path.stat().st_size, "class": network.name,
            "conversion": CONVERSION, "synthforge": __version__, "license": kind.license,
            "published_at": kind.published_at, "notes": notes,
            "files": {name: files_sha256(temporary / name) for name in _FILES},
        }  # fmt: skip
        (temporary / SOURCE).write_text(json.dumps(about, indent=2) + "\n")
        for place in (temporary, *temporary.iterdir()):  # temporary folders are readable by their owner alone
            place.chmod(0o755 if place is temporary else 0o644)
        _put(temporary, target)
    except (OSError, SafetensorError) as error:
        raise AssetError(f"cannot be written: {error}", where=str(target)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target, True


def check_next3d(path: Path) -> str:
    """One line on an installed folder.

    Raises:
        AssetError: a file is missing or changed, or it was converted by another version.
    """
    try:
        about = json.loads((path / SOURCE).read_text())
        changed = [name for name in _FILES if files_sha256(path / name) != about["files"][name]]
        conversion, sha256 = about["conversion"], about["sha256"]
        notes = "".join(f"; note: {note}" for note in about["notes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AssetError(f"damaged: {error}", where=str(path), fix=_AGAIN) from error
    if changed or conversion != CONVERSION:
        what = f"damaged: {', '.join(changed)}" if changed else "converted by another version of synthforge"
        raise AssetError(what, where=str(path), fix=_AGAIN)
    config = Next3DConfig.from_dict(json.loads((path / weights.CONFIG).read_text()))
    size = (path / weights.WEIGHTS).stat().st_size / 1e6
    return (
        f"{config.img_resolution} px images from {config.neural_resolution} px features, "
        f"{size:.0f} MB of weights, source sha256 {sha256[:12]}{notes}"
    )


def convert(network: Stub, where: str) -> tuple[Next3DConfig, Topology, dict[str, torch.Tensor], list[str]]:
    """Configuration, topology, weights and notes for the reader of a generator.

    Raises:
        AssetError: a tensor or an option is missing, of another kind, or not of this architecture.
    """
    stored = network_tensors(network, where)
    topology = _topology(network, stored, where)
    config, notes = _config(network, stored, where), _notes(network, where)
    expected = expected_keys(config, topology)
    known = [key for key in stored if key in expected and key not in (*TOPOLOGY_KEYS, *IGNORED)]
    if others := [key for key in stored if key not in expected and key not in IGNORED]:
        notes.append(f"{len(others)} tensors that this generator has no use for: {', '.join(others[:4])}")
    if missing := [key for key in expected if key not in stored and key not in IGNORED]:
        raise AssetError(f"{len(missing)} tensors are missing: {', '.join(missing[:4])}", where=where)
    # Shapes are compared before any array is made: a file may declare the same numbers many times.
    if wrong := [key for key in known if _shape(stored[key].size) != str(expected[key])]:
        what = "; ".join(f"{key} {_shape(stored[key].size)}, not {expected[key]}" for key in wrong[:3])
        raise AssetError(f"{len(wrong)} tensors have another shape: {what}", where=where)
    if (total := sum(prod(expected[key]) for key in known)) > MAX_WEIGHTS:
        raise AssetError(f"{total} weights are more than {MAX_WEIGHTS}", where=where)
    state = {key: torch.from_numpy(_float_array(key, stored[key], where)) for key in known}
    buffers = {key: torch.from_numpy(stored[key].array(where).copy()) for key in TOPOLOGY_KEYS}
    try:
        check_state(state | buffers, config, topology)
    except ValueError as error:
        raise AssetError(str(error), where=where) from error
    return config, topology, state, notes


def _notes(network: Stub, where: str) -> list[str]:
    """Constants of the original's plane geometry for which the file has other values."""
    notes = []
    for name, design in {"orth_scale": (5.0,), "orth_shift": (0.0, -0.01, -0.01)}.items():
        if type(tensor := network.state.get(name)) is TensorData:
            values = tensor.array(where)
            if values.size != len(design) or not np.allclose(values.ravel(), design, atol=1e-6):
                notes.append(f"{name} is not {design}, which is used instead")
    return notes


def _shape(size: Any) -> str:
    """A shape for a message; the file may hold anything there."""
    numbers = type(size) is tuple and len(size) <= 8 and all(type(n) is int and n < 1 << 48 for n in size)
    return str(size) if numbers else "without a shape"


def _float_array(key: str, tensor: TensorData, where: str) -> np.ndarray:
    array = tensor.array(where)
    if array.dtype.kind != "f":
        raise AssetError(f"{key} holds {array.dtype}, not floats", where=where)
    if not np.isfinite(array).all():
        raise AssetError(f"damaged: {key} holds NaN or infinity", where=where, fix="get the file again")
    return np.array(array, np.float32, order="C")


def _topology(network: Stub, stored: dict[str, TensorData], where: str) -> Topology:
    arrays, kinds = {}, {"faces": "i3", "uvfaces": "i3", "raw_uvcoords": "f3", "uv_face_mask": "f4"}
    for key, kind in kinds.items():
        tensor = stored.get(key, network.state.get(key))
        if type(tensor) is not TensorData:
            raise AssetError(f"the mesh is missing: there is no `{key}`", where=where)
        array = tensor.array(where)
        if f"{array.dtype.kind}{array.ndim}" != kind or len(array) != 1 or not array.size:
            raise AssetError(f"damaged: {key} is {array.dtype} {array.shape}", where=where)
        arrays[key] = array[0].copy()
    n_vertices = int(arrays["faces"].max()) + 1
    if n_vertices > MAX_VERTICES:
        raise AssetError(f"damaged: faces name vertex {n_vertices - 1}", where=where)
    mask = arrays["uv_face_mask"][0]  # of equal channels
    mask = mask / 255 if mask.max() > 1 else mask
    try:
        return Topology(n_vertices, arrays["faces"], arrays["raw_uvcoords"], arrays["uvfaces"], mask)
    except ValueError as error:
        raise AssetError(f"damaged: {error}", where=where) from error


def _config(network: Stub, stored: dict[str, TensorData], where: str) -> Next3DConfig:
    """Sizes and constants, from the options the generator was made with and the shapes of its tensors."""
    options, parts = _part(network, "_init_kwargs", dict) or {}, _part(network, "_modules", dict)
    rendering = _part(network, "rendering_kwargs", dict) or options.get("rendering_kwargs")
    if type(rendering) is not dict:
        raise AssetError("the options are missing: there is no `rendering_kwargs`", where=where)
    for name, only in _ONLY.items():
        if type(value := rendering.get(name, only)) not in (int, float, bool, str) or value != only:
            raise AssetError(f"the option {name} = {short(value)} is none but {only!r}", where=where)
    made = {name: _part(part, "_init_kwargs", dict) or {} for name, part in parts.items()}
    texture, mouth, blending = (
        made.get(name, {}) for name in ("texture_backbone", "mouth_backbone", "neural_blending")
    )
    layers = [key for key in stored if re.fullmatch(r"backbone\.mapping\.fc\d+\.weight", key)]
    found = {
        **{name: options.get(name) for name in _OPTIONS},
        "mapping_layers": len(layers),
        "c_scale": rendering.get("c_scale", 0.0),  # as the original reads it
        "c_gen_conditioning_zero": rendering.get("c_gen_conditioning_zero"),
        "plane_resolution": texture.get("img_resolution"),
        "plane_features": texture.get("img_channels"),
        "mouth_resolution": mouth.get("in_size"),
        "mouth_final": mouth.get("final_size"),
        "blending_final": blending.get("final_size"),
        "decoder_hidden": _rows(stored, "decoder.net.0.weight"),
        "neural_resolution": network.state.get("neural_rendering_resolution"),
    }
    if type(size := options.get("img_resolution")) is int:
        found["sr_resolution"] = size // 4  # the 8XDC module enlarges 4 times
    if None not in (rows := [_rows(stored, f"superresolution.block{i}.conv1.weight") for i in (0, 1)]):
        found["sr_channels"] = rows
    found = _plain(found, where) | {"rendering": _plain({n: rendering.get(n) for n in _RENDERING}, where)}
    # The original clamps only where it may compute in half precision.
    if _plain({"n": options.get("sr_num_fp16_res")}, where) == {"n": 0}:
        found["sr_clamp"] = float(np.finfo(np.float32).max)
    try:
        return Next3DConfig.from_dict(found)
    except ValueError as error:
        raise AssetError(f"not a generator that is known here: {error}", where=where) from error


def _rows(stored: dict[str, TensorData], key: str) -> int | None:
    size = stored[key].size if key in stored else None
    return size[0] if type(size) is tuple and size and type(size[0]) is int else None


def _plain(options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options that are set, as numbers of Python."""
    plain = {}
    for name, value in options.items():
        value = value.item() if isinstance(value, np.generic) else value
        numbers = value if name == "sr_channels" else [value]
        if value is None:
            continue
        if not all(isinstance(n, int | float) and abs(n) <= MAX_OPTION for n in numbers):
            raise AssetError(f"damaged: the option {name} = {short(value)} is no sane number", where=where)
        plain[name] = value
    return plain


def _intact(folder: Path, sha256: str) -> bool:
    """Whether a folder holds the conversion of a source, unchanged."""
    try:
        check_next3d(folder)
        return json.loads((folder / SOURCE).read_text())["sha256"] == sha256
    except AssetError:
        return False


def _put(temporary: Path, target: Path) -> None:
    """Move a finished folder to its place; an older conversion there is replaced."""
    names = sorted(p.name for p in temporary.iterdir())
    for name in names:
        with (temporary / name).open("rb") as file:
            os.fsync(file.fileno())
    if not target.exists():
        temporary.rename(target)
        return
    if others := sorted({p.name for p in target.iterdir()} - set(names)):
        raise AssetError(f"holds other files: {others[:4]}", where=str(target), fix="move them away")
    old = Path(tempfile.mkdtemp(prefix=".next3d-old-", dir=target.parent))
    target.replace(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
