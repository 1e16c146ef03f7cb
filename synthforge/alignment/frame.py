"""The frame that plane geometry fixes: volume units on one side, metres in the head's world frame on the
other.

A point (x, y, z) of the head, in metres, lies at 2.5 (x, y + 0.01, z) + (0, 0, z0) of the neural volume. x
and y follow from where mesh and volume look up the same feature planes; z0 does not and is left to the
affine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from synthforge.cameras.orbit import EG3D_ORIGIN, VOLUME_UNIT
from synthforge.errors import GeometryError
from synthforge.types import Camera

# Mesh vertices are drawn at 5x and 5(y + 0.01) of a plane that the volume reads at 2X and 2Y (box_warp 1).
SCALE = 1 / VOLUME_UNIT
RAISE = -float(EG3D_ORIGIN[1])  # metres
DEPTH_SHIFT = -SCALE * float(EG3D_ORIGIN[2])  # z0 of the published meshes, to about a centimetre


@dataclass(frozen=True)
class Cameras:
    """A batch of pinhole cameras: `cam2world` (rotation and metres), `intrinsics` in image widths."""

    cam2world: Float[Tensor, "n 4 4"]
    intrinsics: Float[Tensor, "n 3 3"]

    @classmethod
    def stack(cls, cameras: Sequence[Camera], device: torch.device | str = "cpu") -> "Cameras":
        """Batch of cameras with square images.

        Raises:
            GeometryError: an image is not square.
        """
        for camera in cameras:
            if camera.size[0] != camera.size[1]:
                raise GeometryError(
                    f"image of {camera.size[0]} x {camera.size[1]}", where="alignment.Cameras.stack",
                    fix="neural volumes are rendered square",
                )  # fmt: skip
        shrink = [np.diag([1 / c.size[1], 1 / c.size[1], 1]) @ c.intrinsics for c in cameras]
        return cls(
            torch.as_tensor(np.stack([c.cam2world for c in cameras]), dtype=torch.float32, device=device),
            torch.as_tensor(np.stack(shrink), dtype=torch.float32, device=device),
        )

    def camera(self, index: int, size: int) -> Camera:
        """One of them, with intrinsics in pixels of a `size` x `size` image."""
        grow = np.diag([size, size, 1.0])
        return Camera(
            grow @ self.intrinsics[index].double().cpu().numpy(),
            self.cam2world[index].double().cpu().numpy(),
            (size, size),
        )

    def project(self, points: Float[Tensor, "n m 3"]) -> Float[Tensor, "n m 3"]:
        """World points (m) as x, y in image widths and z-depth in metres."""
        rotation, centre = self.cam2world[:, :3, :3], self.cam2world[:, :3, 3]
        x, y, z = ((points - centre[:, None]) @ rotation).unbind(-1)
        fx, skew, cx, fy, cy = self.parts()
        return torch.stack([(fx * x + skew * y) / z + cx, fy * y / z + cy, z], -1)

    def parts(self) -> tuple[Tensor, ...]:
        """fx, skew, cx, fy, cy, each n 1, in image widths."""
        k = self.intrinsics
        return k[:, 0, 0, None], k[:, 0, 1, None], k[:, 0, 2, None], k[:, 1, 1, None], k[:, 1, 2, None]

    def yaw_pitch(self) -> Float[Tensor, "n 2"]:
        """Where the cameras look from (radians): yaw to the subject's left, pitch upwards."""
        back = -self.cam2world[:, :3, 2]
        return torch.stack([torch.atan2(back[:, 0], back[:, 2]), back[:, 1].clamp(-1, 1).asin()], -1)


@dataclass(frozen=True)
class VolumeFrame:
    """Both ways between the head's world frame (metres) and the volume.

    `depth_shift` is z0 in volume units. Both frames have the same axes: +x subject's left, +y up, +z forward.
    """

    depth_shift: float = DEPTH_SHIFT

    def _offset(self, like: Tensor) -> Tensor:
        return like.new_tensor([0.0, SCALE * RAISE, self.depth_shift])

    def to_volume(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """World points (m) in volume units."""
        return SCALE * points + self._offset(points)

    def to_world(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Points in volume units in the world frame (m)."""
        return (points - self._offset(points)) / SCALE

    def label(self, cameras: Cameras) -> Float[Tensor, "n 25"]:
        """The 25 numbers a generator is given: cam2world in volume units, then intrinsics, both row-major."""
        pose = cameras.cam2world.clone()
        pose[:, :3, 3] = self.to_volume(pose[:, :3, 3])
        return torch.cat([pose.flatten(1), cameras.intrinsics.flatten(1)], 1)

    def cameras(self, label: Float[Tensor, "n 25"]) -> Cameras:
        """Cameras in metres of labels in volume units."""
        pose = label[:, :16].reshape(-1, 4, 4).clone()
        pose[:, :3, 3] = self.to_world(pose[:, :3, 3])
        return Cameras(pose, label[:, 16:].reshape(-1, 3, 3))


def metres(length: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Lengths in volume units, such as neural depth, in metres."""
    return length / SCALE


def per_metre(density: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Densities per volume unit per metre."""
    return SCALE * density
