"""A shrunken generator: every part of the released one, a few features wide, on an egg instead of a head."""

import numpy as np
import torch
from next3d.cameras import fov_intrinsics, look_at, pack
from next3d.config import Next3DConfig, RenderConfig
from next3d.topology import Topology
from torch import Tensor

CONFIG = Next3DConfig(
    z_dim=12,
    w_dim=16,
    channel_base=256,
    channel_max=16,
    plane_resolution=32,
    plane_features=5,
    mouth_resolution=16,
    mouth_final=4,
    blending_final=8,
    decoder_hidden=8,
    neural_resolution=8,
    sr_resolution=16,
    sr_channels=(6, 4),
    sr_clamp=2.0,
    img_resolution=64,
    rendering=RenderConfig(depth_resolution=8, depth_resolution_importance=6),
)
ROWS, COLUMNS = 16, 24


def topology() -> Topology:
    """A sphere's triangles, wound outwards; uv are azimuth and height, the mask covers the front."""
    a = (np.arange(ROWS - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).ravel()
    below = np.stack([a, a + 1, a + COLUMNS], 1)
    faces = np.concatenate([below, np.stack([a + 1, a + COLUMNS + 1, a + COLUMNS], 1)])
    v, u = np.meshgrid(np.linspace(0, 1, ROWS), np.linspace(0, 1, COLUMNS), indexing="ij")
    mask = np.zeros((32, 32), np.float32)
    mask[4:28, 6:26] = 1
    return Topology(ROWS * COLUMNS, faces, np.float32(np.stack([u, v], -1).reshape(-1, 2)), faces, mask)


def vertices(n: int, seed: int = 0) -> Tensor:
    """Eggs of different proportions, then 68 landmarks, of which the outer lips (48-59) ring a mouth."""
    random = np.random.default_rng(seed)
    height, turn = np.linspace(0, np.pi, ROWS), np.linspace(-np.pi, np.pi, COLUMNS)
    height, turn = np.meshgrid(height, turn, indexing="ij")
    sphere = np.stack(
        [np.sin(height) * np.sin(turn), -np.cos(height), np.sin(height) * np.cos(turn)], -1
    ).reshape(-1, 3)
    radii = random.uniform(0.08, 0.12, (n, 1, 3))
    ring = np.arange(12) * (2 * np.pi / 12)
    lips = np.stack([-np.cos(ring), 0.5 * np.sin(ring), 0 * ring], -1) * random.uniform(0.02, 0.03, (n, 1, 1))
    landmarks = np.zeros((n, 68, 3))
    landmarks[:, 48:60] = lips + np.array([0, -0.03, 0.1])
    return torch.tensor(np.concatenate([sphere * radii, landmarks], 1), dtype=torch.float32)


def cameras(n: int, seed: int = 0) -> Tensor:
    """Labels (n 25) of cameras around the volume."""
    random = np.random.default_rng(seed)
    yaw, pitch = torch.tensor(random.uniform(-0.5, 0.5, (2, n)), dtype=torch.float32)
    return pack(look_at(yaw, pitch), fov_intrinsics(torch.full((n,), 18.837)))


def latents(n: int, seed: int = 0) -> Tensor:
    """z (n 12)."""
    return torch.randn(n, CONFIG.z_dim, generator=torch.Generator().manual_seed(seed))
