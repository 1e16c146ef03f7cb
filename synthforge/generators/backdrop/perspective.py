"""Boxes in metres, painted in perspective by a camera at the origin that looks along +z (x right, y up)."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

Canvas = Float[np.ndarray, "s s 3"]
_NEAR = 0.3  # m, parts of a quad that are nearer are cut off
_FAR_OFF = 1e6  # pixels, limit of the coordinates that OpenCV gets
EYE = 1.5  # m, the camera above the ground


class View:
    """Camera turned by `yaw` and `pitch` (radians). Quads and dots are painted in the order they are added
    in."""

    def __init__(self, size: int, field_of_view: float, yaw: float, pitch: float):
        self.size, self.focal = size, 0.5 * size / np.tan(0.5 * field_of_view)
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        c, s = np.cos(pitch), np.sin(pitch)
        self.turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ turn
        self.corners: list = []  # of quads; a dot's centre four times
        self.radii: list[float] = []  # m, 0 of quads
        self.colors: list = []

    def quad(self, corners: Sequence, color: np.ndarray) -> None:
        self.corners.append(corners)
        self.radii.append(0.0)
        self.colors.append(color)

    def dots(self, points: np.ndarray, radii: np.ndarray | float, colors: np.ndarray) -> None:
        """Discs of `radii` (m) that face the camera."""
        self.corners.extend(np.repeat(np.asarray(points, float)[:, None], 4, 1))
        self.radii.extend(np.broadcast_to(radii, len(points)))
        self.colors.extend(np.broadcast_to(colors, (len(points), 3)))

    def box(self, low: tuple, high: tuple, color: np.ndarray) -> None:
        """Upright box; its top is the lightest side, its front comes next."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        side = x0 if x0 > 0 else x1
        self.quad([(side, y0, z0), (side, y1, z0), (side, y1, z1), (side, y0, z1)], 0.6 * color)
        self.quad([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], 1.25 * color)
        self.quad([(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)], 0.85 * color)

    def ground(
        self, x0: float, x1: float, near: float, far: float, color: np.ndarray, slant: float = 0.0
    ) -> None:
        """Strip of ground that runs away from the camera and shifts by `slant` (m) to the right."""
        y = -EYE
        self.quad([(x0, y, near), (x1, y, near), (x1 + slant, y, far), (x0 + slant, y, far)], color)

    def post(self, x: float, z: float, half: float, top: float, color: np.ndarray) -> None:
        """Upright strip from the ground to `top` (m), 2 `half` (m) wide."""
        self.quad([(x - half, -EYE, z), (x + half, -EYE, z), (x + half, top, z), (x - half, top, z)], color)

    def painted(self, image: Canvas) -> Canvas:
        """Everything added so far, over `image`."""
        image = np.ascontiguousarray(image, np.float32)
        points = np.array(self.corners, float) @ self.turn.T  # n 4 3
        z = points[..., 2] - _NEAR
        with np.errstate(divide="ignore", invalid="ignore"):
            flat = points[..., :2] / points[..., 2:] * [self.focal, -self.focal] + 0.5 * self.size
            pixels = np.array(self.radii) / points[:, 0, 2] * self.focal
        whole = (z > 0).all(1)
        beside = ((flat < 0).all(1) | (flat > self.size).all(1)).any(1) & (np.array(self.radii) == 0)
        seen = (z > 0).any(1) & ~(whole & beside)
        colors = np.array(self.colors, float).tolist()
        for i in np.flatnonzero(seen):
            if self.radii[i]:
                at = np.clip(flat[i, 0], -_FAR_OFF, _FAR_OFF).astype(int).tolist()
                cv2.circle(image, at, max(1, round(min(pixels[i], self.size))), colors[i], -1)
                continue
            corners = flat[i] if whole[i] else self._clipped(points[i], z[i])
            corners = np.round(np.clip(corners, -_FAR_OFF, _FAR_OFF) * 16).astype(np.int32)
            cv2.fillConvexPoly(image, corners, colors[i], cv2.LINE_8, 4)
        return image

    def _clipped(self, points: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Pixels of the part of a polygon that is in front of the camera."""
        kept = []
        for p, q, a, b in zip(points, np.roll(points, -1, 0), z, np.roll(z, -1), strict=True):
            if a > 0:
                kept.append(p)
            if a * b < 0:
                kept.append(p + (q - p) * (a / (a - b)))
        kept = np.array(kept)
        return kept[:, :2] / kept[:, 2:] * [self.focal, -self.focal] + 0.5 * self.size


class Wall:
    """Wall from `start` to `end` (x, z) to hang things on; a place on it is u metres along and v above the
    floor."""

    def __init__(self, view: View, start: tuple, end: tuple):
        self.view, (self.x, self.z) = view, start
        self.length = math.hypot(end[0] - start[0], end[1] - start[1])
        self.dx, self.dz = (end[0] - start[0]) / self.length, (end[1] - start[1]) / self.length

    def rect(self, u0: float, u1: float, v0: float, v1: float, color: np.ndarray) -> None:
        (xa, za), (xb, zb) = ((self.x + self.dx * u, self.z + self.dz * u) for u in (u0, u1))
        low, high = v0 - EYE, v1 - EYE
        self.view.quad(((xa, low, za), (xb, low, zb), (xb, high, zb), (xa, high, za)), color)
