"""Arrays of a numeric reference against computed values: which part each is, and how close it lies."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

RELATIVE = 1e-4  # of an array's largest magnitude; the reference's suggestion for networks
FAINT = 1e-3  # opacity below which a ray's depth is the quotient of two sums of float32 rounding errors
IMAGE = 1e-3, 1e-5  # largest and mean error of the image, whose range is about -1..1
EDGE_PIXELS = 5  # that may differ where a rasterizer decides
LEVELS = 1, 1e-3  # largest difference of 8-bit values, and the share of them that may differ


class Check(NamedTuple):
    """One array's verdict; `note` says what `error` counts, if it is no difference of values."""

    name: str
    error: float
    tolerance: float
    ok: bool
    note: str = ""


def compare(
    name: str, short: str, expected: np.ndarray, values: Mapping[str, Any], stats: np.ndarray | None
) -> Check:
    """One array against the value that its name without suffix stands for."""
    if short == "rng_log":
        same = _same_log(json.loads(str(expected)), values[short])
        return Check(name, float(not same), 0, same)
    found = _derived(short, expected.shape, values)
    if found is None:
        return Check(name, np.inf, 0, False, "unchecked: no such value here")
    base, value = found
    value = value.detach().cpu().numpy()
    if value.shape != expected.shape:
        return Check(name, np.inf, 0, False, f"shape {value.shape}, not {expected.shape}")
    if expected.dtype.kind not in "biuf":
        return Check(name, np.inf, 0, False, f"unchecked: dtype {expected.dtype}")
    difference = np.abs(np.subtract(value, expected, dtype=np.float64))
    if short == "image_depth":  # conditioned by opacity
        faint = _strided(values["depth_weight_sum"], expected.shape).cpu().numpy() / FAINT
        difference = difference * np.clip(faint, 0, 1)
    worst = _largest(difference)
    if base == "image" and short.endswith("_u8"):
        share = float((difference > 0).mean())
        ok = worst <= LEVELS[0] and share <= LEVELS[1]
        return Check(name, worst, LEVELS[0], ok, f"{share:.1e} of values")
    if expected.dtype.kind in "biu":
        allowed = EDGE_PIXELS if expected.dtype.kind == "b" else 0
        count = float((difference > 0).sum())
        return Check(name, count, allowed, count <= allowed, "values that differ")
    scale = np.abs(expected).max(initial=0) if stats is None else np.abs(stats[2:4]).max()
    tolerance = RELATIVE * float(scale)
    if re.fullmatch(r"(raster|alpha|uvimg).*", base) and not short.endswith("_stats"):
        count = float((difference > tolerance).sum())
        return Check(name, count, EDGE_PIXELS, count <= EDGE_PIXELS, f"values beyond {tolerance:.1e}")
    if base == "image":
        mean = float(difference.mean())
        return Check(name, worst, IMAGE[0], worst <= IMAGE[0] and mean <= IMAGE[1], f"mean {mean:.1e}")
    return Check(name, worst, tolerance, worst <= tolerance)


def _largest(difference: np.ndarray) -> float:
    """Largest difference; infinite when one is NaN."""
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0))


def _same_log(expected: list, log: list) -> bool:
    """Same shapes and, up to the order of summation, same sums of the random numbers drawn."""
    return len(expected) == len(log) and all(
        a[0] == b[0] and abs(a[1] - b[1]) <= 1e-6 * abs(a[1]) for a, b in zip(expected, log, strict=True)
    )


def _derived(short: str, shape: tuple[int, ...], values: Mapping[str, Any]) -> tuple[str, Tensor] | None:
    """The whole value that a name stands for, and the part of it that a suffix or the shape asks for."""
    base = re.sub(r"_(sub[0-9]*|stats|crop|u8)$", "", short)
    if short in values:
        base = short
    if not isinstance(value := values.get(base), Tensor):
        return None
    suffix = short.removeprefix(base)
    if suffix == "_stats":
        return base, statistics(value)
    if suffix == "_u8":
        return base, (value * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    if suffix == "_crop":
        edge, size = value.shape[-1], shape[-1]
        middle = slice((edge - size) // 2, (edge + size) // 2)
        return base, value[..., middle, middle]
    return base, _strided(value, shape)


def _strided(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Every s-th entry of each axis, with the smallest s that gives the shape; as it is where none does."""
    if value.ndim != len(shape):
        return value
    for axis, (whole, part) in enumerate(zip(value.shape, shape, strict=True)):
        step = next((s for s in range(1, whole + 1) if -(-whole // s) == part), 1)
        value = value[(slice(None),) * axis + (slice(None, None, step),)]
    return value


def statistics(value: Tensor) -> Tensor:
    """Mean, standard deviation, minimum, maximum and mean magnitude (5)."""
    value = value.detach().double()
    return torch.stack([value.mean(), value.std(), value.min(), value.max(), value.abs().mean()])


class Traces:
    """Records what the reference file asks about the outputs of single modules while it is entered."""

    def __init__(self, network: torch.nn.Module, names: list[str]) -> None:
        modules = dict(network.named_modules())
        wanted = {name.split("/")[1] for name in names if name.startswith("trace/")}
        self.modules = {name: modules[name] for name in wanted if name in modules}
        self.seen: dict[str, dict[str, Tensor]] = {}

    def __enter__(self) -> "Traces":
        self.handles = [
            module.register_forward_hook(partial(self._see, name)) for name, module in self.modules.items()
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _see(
        self, name: str, module: torch.nn.Module, inputs: tuple, outputs: Tensor | tuple[Tensor, ...]
    ) -> None:
        for i, output in enumerate(outputs if isinstance(outputs, tuple) else (outputs,)):
            flat = output.float().flatten()
            probes = torch.arange(32, device=flat.device) * (len(flat) - 1) // 31
            self.seen[f"trace/{name}/{i}"] = {
                "stats": statistics(flat),
                "probe": flat[probes],
                "shape": torch.tensor(output.shape),
            }

    def check(self, name: str, short: str, expected: np.ndarray) -> Check:
        """One of a module's arrays; the tolerance of all of them follows the output's magnitude."""
        at, _, what = short.rpartition("/")
        seen = self.seen.get(at, {})
        if what not in seen:
            return Check(name, np.inf, 0, False, "unchecked: no such module ran")
        value = seen[what].cpu().double().numpy()
        if value.shape != expected.shape:
            return Check(name, np.inf, 0, False, f"shape {value.shape}, not {expected.shape}")
        tolerance = 0.0 if what == "shape" else RELATIVE * float(seen["stats"][2:4].abs().max())
        error = _largest(np.abs(value - expected))
        return Check(name, error, tolerance, error <= tolerance)
