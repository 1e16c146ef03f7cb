"""Numeric comparison with a reference file: `python -m next3d.parity FIXTURE.npz`.

The file holds inputs (mesh, vertices, latents, cameras), the recipe's names for weights and random numbers,
and arrays that a reference computed from them: whole, strided, as a crop or as five statistics.  Each array
is compared with what this package computes: one line per array (name, largest error, tolerance, ok), exit
status 1 when one fails or cannot be checked, 2 when the file is no such reference.

Sections of a file: arrays without a prefix (the official run), `sf/` (front plane alone, depth from its own
pass at a higher resolution), `nonoise_` (first samples, no noise), `trace/` (outputs of single modules).
"""

import argparse
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from next3d import volume
from next3d.cameras import unpack
from next3d.compare import Check, Traces, compare
from next3d.config import Next3DConfig
from next3d.generator import N_LANDMARKS, PRECISIONS, Generator, Output, PlaneParts
from next3d.planes import ALL_VIEWS, mask_lookup, project_views, rasterize_views
from next3d.topology import Topology
from next3d.weights import digest, random_state_dict, recipe_rng

REQUIRED = tuple(
    "weights_prefix tag mesh_faces mesh_uv mesh_uv_faces uv_mask v z c c_cond nrr psi cutoff".split()
)
INPUTS = (*REQUIRED, "landmark_idx", "query_pts", "config")


class Counter:
    """Uniform numbers of a run: call i gives those of the name `tag/ui`.  Logs shapes and sums."""

    def __init__(self, tag: str) -> None:
        self.tag, self.log = tag, []

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        values = recipe_rng(f"{self.tag}/u{len(self.log)}").random(shape, dtype=np.float32)
        self.log.append([list(shape), float(values.sum(dtype=np.float64))])
        return torch.from_numpy(values)


def read(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a reference file; ValueError in one line when it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no readable .npz file: {error}") from None
    if missing := [name for name in REQUIRED if name not in arrays]:
        raise ValueError(f"{path}: no reference file, it has no array {', '.join(missing)}")
    return arrays


def build(
    arrays: Mapping[str, np.ndarray], device: str = "cpu", precision: str = "fp32"
) -> tuple[Generator, str]:
    """The generator with the file's mesh and pseudo-random weights, and the digest of the weights.

    The configuration is the released one, unless the file holds another (`config`, JSON).
    """
    config = Next3DConfig.from_dict(json.loads(str(arrays.get("config", "{}"))))
    names = ("mesh_faces", "mesh_uv", "mesh_uv_faces")
    faces, uv, uv_faces = (torch.as_tensor(arrays[name]) for name in names)
    mask = torch.as_tensor(arrays["uv_mask"] / np.float32(255))
    topology = Topology(arrays["v"].shape[1] - N_LANDMARKS, faces, uv, uv_faces, mask)
    state = random_state_dict(config, topology, str(arrays["weights_prefix"]))
    return Generator.from_state(config, topology, state, device, precision), digest(state)


def checks(arrays: Mapping[str, np.ndarray], device: str = "cpu", precision: str = "fp32") -> Iterator[Check]:
    """Compares every array of a file, in the file's order within each run."""
    generator, weights = build(arrays, device, precision)
    inputs = {name: torch.from_numpy(arrays[name]).to(device) for name in ("v", "z", "c", "c_cond")}
    tag = str(arrays["tag"])
    yield from _check_inputs(arrays, weights, tag)
    runs = {
        "": partial(_official, generator, inputs, arrays, Counter(tag)),
        "sf/": partial(_front, generator, inputs, arrays, Counter(f"{tag}/sf")),
        "nonoise_": partial(_nonoise, generator, inputs, arrays, Counter(f"{tag}/nonoise")),
    }
    rest = [name for name in arrays if name not in (*INPUTS, "weights_sha256")]
    for prefix, run in runs.items():
        others = [other for other in runs if other and other != prefix]
        names = [name for name in rest if name.startswith(prefix) and not name.startswith(tuple(others))]
        if not names:
            continue
        with Traces(generator, [name.removeprefix(prefix) for name in names]) as traces:
            values = run()
        for name in names:
            short = name.removeprefix(prefix)
            yield (
                traces.check(name, short, arrays[name])
                if short.startswith("trace/")
                else compare(
                    name, short, arrays[name], values, arrays.get(f"{re.sub(r'_sub[0-9]*$', '', name)}_stats")
                )
            )


def _check_inputs(arrays: Mapping[str, np.ndarray], weights: str, tag: str) -> Iterator[Check]:
    """Inputs that a recipe gives are compared with it, others only read."""
    if "weights_sha256" in arrays:
        same = str(arrays["weights_sha256"]) == weights
        yield Check("weights_sha256", float(not same), 0, same)
    for name in INPUTS:
        if name not in arrays:
            continue
        error = 0.0
        if name == "z":
            z = recipe_rng(f"{tag}/z").standard_normal(arrays["z"].shape).astype(np.float32)
            error = float(np.abs(z - arrays["z"]).max())
        elif name == "landmark_idx":
            v = arrays["v"]
            error = float(np.abs(v[:, -N_LANDMARKS:] - v[:, arrays[name]]).max())
        yield Check(name, error, 0, error == 0, "input")


# What each run computes: whole arrays under the reference's names


def _styles(generator: Generator, inputs: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]) -> Tensor:
    cutoff = int(arrays["cutoff"])
    cutoff = None if cutoff < 0 else cutoff
    return generator.mapping(inputs["z"], inputs["c_cond"], float(arrays["psi"]), cutoff)


def _official(
    generator: Generator, inputs: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray], draw: Counter
) -> dict[str, Any]:
    ws = _styles(generator, inputs, arrays)
    identity = generator.identity(ws)
    parts = generator.plane_parts(identity, inputs["v"])
    planes = generator.blend(identity, parts)
    n = int(arrays["nrr"])
    output = generator.render(planes, ws, inputs["c"], n, draw)
    values = (
        _plane_values(generator, parts, inputs["v"])
        | _output_values(output, draw)
        | {
            "ws": ws,
            "ws_psi1": generator.mapping(inputs["z"], inputs["c_cond"]),
            "textures": identity.textures,
            "static_plane": identity.static.flatten(1, 2),
            "blended_planes": planes,
            "lm2d_views": project_views(inputs["v"][:, -N_LANDMARKS:], ALL_VIEWS).transpose(0, 1)[..., :2],
        }
    )
    values["ray_origins"], values["ray_dirs"] = volume.rays(*unpack(inputs["c"]), n)
    if "query_pts" in arrays:
        points = torch.from_numpy(arrays["query_pts"]).to(planes.device)
        with torch.no_grad():
            sigma, rgb = volume.query(planes, generator.decoder, points, generator.config.rendering)
        values |= {"query_sigma": sigma, "query_rgb": rgb}
    return values


def _front(
    generator: Generator, inputs: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray], draw: Counter
) -> dict[str, Any]:
    n = int(arrays["nrr"])
    factor = arrays["sf/image_depth"].shape[-1] // n if "sf/image_depth" in arrays else 2
    ws = _styles(generator, inputs, arrays)
    planes = generator.planes(generator.identity(ws), inputs["v"], "front")
    output = generator.render(planes, ws, inputs["c"], n, draw, depth_factor=factor)
    values = _output_values(output, draw) | {"blended_planes": planes}
    values["n_render_calls"] = torch.tensor(len(draw.log) // 2)  # each pass draws twice
    values["ray_origins"], values["ray_dirs"] = volume.rays(*unpack(inputs["c"]), n)
    values["ray_origins_depth"], values["ray_dirs_depth"] = volume.rays(*unpack(inputs["c"]), factor * n)
    return values


def _nonoise(
    generator: Generator, inputs: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray], draw: Counter
) -> dict[str, Any]:
    raw = arrays.get("nonoise_image_raw")
    count = max(
        (len(a) for name, a in arrays.items() if name.startswith("nonoise_") and a.ndim == 4), default=1
    )
    inputs = {name: tensor[:count] for name, tensor in inputs.items()}
    ws = _styles(generator, inputs, arrays)
    planes = generator.planes(generator.identity(ws, "none"), inputs["v"], noise="none")
    n = raw.shape[-1] if raw is not None else int(arrays["nrr"])
    output = generator.render(planes, ws, inputs["c"], n, draw)
    return _output_values(output, draw) | {"blended_planes": planes}


def _plane_values(generator: Generator, parts: PlaneParts, vertices: Tensor) -> dict[str, Any]:
    values = {
        "mouth_crop": parts.crop,
        "mouth_plane": parts.mouth,
        "mouth_box_yyxx": parts.box,
        "front_stitched": parts.stitched,
        "front_blended": parts.front,
        "lm2d_front": parts.landmarks,
    }
    for k in range(parts.alphas.shape[1]):
        values |= {f"alpha{k}": parts.alphas[:, k], f"rendering{k}": parts.contents[:, k]}
    # the reference interpolates a constant 1 as well, which thin triangles make less than 1
    ones = replace(generator.topology, uv=torch.ones_like(generator.topology.uv))
    ones = rasterize_views(vertices, ones, ALL_VIEWS, generator.config.plane_resolution).grid[..., :1]
    mask = mask_lookup(parts.raster, generator.topology.uv_mask)[:, :, None]
    for k in ALL_VIEWS:
        grid = parts.raster.grid[:, k].permute(0, 3, 1, 2)
        image = torch.cat([grid, ones[:, k].permute(0, 3, 1, 2)], 1)
        values |= {
            f"raster{k}_vis": parts.raster.visible[:, k],
            f"raster{k}_uv": grid,
            f"uvimg_masked{k}": image * mask[:, k],
        }
    return values


def _output_values(output: Output, draw: Counter) -> dict[str, Any]:
    return {
        "image": output.image,
        "image_raw": output.image_raw,
        "feature_image": output.features,
        "image_depth": output.depth,
        "depth_weight_sum": output.depth_weight_sum,
        "renderer_weight_sum": output.weight_sum.flatten(1)[..., None],
        "rng_log": draw.log,
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m next3d.parity", description="Numeric comparison.")
    parser.add_argument("fixture", type=Path, help="reference file (.npz)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="the tolerances stay those of fp32"
    )
    options = parser.parse_args(arguments)
    failed = total = 0
    try:
        for check in checks(read(options.fixture), options.device, options.precision):
            total, failed = total + 1, failed + (not check.ok)
            verdict = "ok" if check.ok else "FAILED"
            note = f"  ({check.note})" if check.note else ""
            line = f"{check.name:56s} {check.error:10.3e} {check.tolerance:10.3e} {verdict}{note}"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{total - failed} of {total} arrays ok\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
