"""Mesh topology as data: which triangles there are, and where each lies in the texture."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


@dataclass(frozen=True)
class Topology:
    """Triangles, texture coordinates and the mask of the textured parts, as tensors on one device.

    Arrays are taken too, and copied to tensors.  `vertices` given to the rasterizer may hold more rows than
    `n_vertices` (landmarks after the mesh).
    """

    n_vertices: int
    faces: Tensor  # F 3 int64, vertex indices; counter-clockwise from outside
    uv: Tensor  # T 2 float32, OBJ convention: (0, 0) bottom left, v up
    uv_faces: Tensor  # F 3 int64, rows of `uv` for the corners of each triangle
    uv_mask: Tensor  # H W float32 in 0..1, row 0 at v = 1: where the mesh covers the planes

    def __post_init__(self) -> None:
        """Brings the arrays to their types; raises ValueError naming the field that cannot be right."""
        object.__setattr__(self, "n_vertices", int(self.n_vertices))
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name)).to(dtype).contiguous())
        for name, width in (("faces", 3), ("uv", 2), ("uv_faces", 3)):
            if (shape := tuple(getattr(self, name).shape))[1:] != (width,) or not shape[0]:
                raise ValueError(f"topology: {name} has shape {shape}, not (n, {width})")
        if self.faces.shape != self.uv_faces.shape:
            raise ValueError(f"topology: {len(self.faces)} faces, but {len(self.uv_faces)} uv_faces")
        if self.uv_mask.ndim != 2 or not self.uv_mask.numel():
            raise ValueError(f"topology: uv_mask has shape {tuple(self.uv_mask.shape)}, not (height, width)")
        for name, limit in (("faces", self.n_vertices), ("uv_faces", len(self.uv))):
            low, high = (int(x) for x in getattr(self, name).aminmax())
            if low < 0 or high >= limit:
                raise ValueError(f"topology: {name} holds indices {low}..{high}, but there are {limit}")
        for name in ("uv", "uv_mask"):
            if not getattr(self, name).isfinite().all():
                raise ValueError(f"topology: {name} holds NaN or infinity")

    @cached_property
    def uvcoords(self) -> Tensor:
        """Texture coordinates in grid units (T 3): x right, y down, both in -1..1, and a constant 1."""
        grid = self.uv * 2 - 1
        return torch.stack([grid[:, 0], -grid[:, 1], torch.ones_like(grid[:, 0])], 1)

    @cached_property
    def face_uvcoords(self) -> Tensor:
        """`uvcoords` of the corners of each triangle (F 3 3)."""
        return self.uvcoords[self.uv_faces]

    def buffers(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint's state dict holds for this topology, under its names and shapes."""
        return {
            "faces": self.faces[None],
            "raw_uvcoords": self.uv[None],
            "uvcoords": self.uvcoords[None],
            "uvfaces": self.uv_faces[None],
            "face_uvcoords": self.face_uvcoords[None],
        }

    def to(self, device: torch.device | str) -> "Topology":
        """The same on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _DTYPES})

    def save(self, path: Path) -> None:
        """Writes `path` (.safetensors)."""
        tensors = {name: getattr(self, name).cpu().clone() for name in _DTYPES}  # shared memory is refused
        save_file(tensors | {"n_vertices": torch.tensor(self.n_vertices)}, path)

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> "Topology":
        """Reads what `save` wrote; raises ValueError naming the file when it holds something else."""
        tensors = load_file(path, device=str(device))
        if set(tensors) != (names := {field.name for field in fields(cls)}):
            raise ValueError(f"{path}: holds {sorted(tensors)}, not {sorted(names)}")
        try:
            return cls(int(tensors.pop("n_vertices")), **tensors)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


_DTYPES = {"faces": torch.int64, "uv": torch.float32, "uv_faces": torch.int64, "uv_mask": torch.float32}
