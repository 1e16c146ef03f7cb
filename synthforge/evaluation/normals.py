"""Surface normals of a depth map, and the angle between normals."""

import numpy as np
from jaxtyping import Bool, Float

ANGLES = (11.25, 22.5, 30.0)  # degrees; Eigen & Fergus (2015)


def normals_of_depth(
    depth: Float[np.ndarray, "h w"], intrinsics: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Unit normals, camera frame, towards the camera (z < 0); NaN where a neighbour has no depth.

    Args:
        depth: z (inf or NaN: none).
        intrinsics: pinhole, continuous pixels.
    """
    h, w = depth.shape
    z = np.where(np.isfinite(depth), depth, np.nan).astype(float)
    x = (np.arange(w) + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (np.arange(h)[:, None] + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1]
    points = np.stack([x * z, y * z, z], axis=-1)
    normals = np.full_like(points, np.nan)
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = np.cross(down, across)
    normals[1:-1, 1:-1] = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return normals


def angles_deg(a: Float[np.ndarray, "*n 3"], b: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
    """Angle between unit vectors, in degrees; exact for small angles too."""
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


def normal_errors(
    predicted: Float[np.ndarray, "h w 3"], true: Float[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> dict[str, float]:
    """Mean and median angle in degrees, and the share of pixels, in %, within each of `ANGLES`.

    Pixels where either normal is NaN are left out.
    """
    angle = angles_deg(predicted, true)
    angle = angle[mask & np.isfinite(angle)]
    if not len(angle):
        return {}
    within = {f"within_{a:g}": 100 * float((angle < a).mean()) for a in ANGLES}
    return {"mean_deg": float(angle.mean()), "median_deg": float(np.median(angle)), **within}
