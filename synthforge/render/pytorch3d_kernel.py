"""PyTorch3D's rasterizer behind the same function; knows its axes (+x left, +y up)."""

import numpy as np
import torch
from jaxtyping import Float, Int

from synthforge.errors import AssetError
from synthforge.render.rasterize import NEAR, empty_fragments
from synthforge.types import Fragments


def rasterize_arrays(
    points: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], height: int, width: int
) -> Fragments:
    """`rasterize` by `pytorch3d.renderer.mesh.rasterize_meshes`, on the GPU where there is one.

    Raises:
        AssetError: pytorch3d is not installed.
    """
    try:  # no wheel brings it
        from pytorch3d.renderer.mesh import rasterize_meshes  # pyright: ignore[reportMissingImports]
        from pytorch3d.structures import Meshes  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise AssetError(
            "pytorch3d is not installed",
            where='rasterize(backend="pytorch3d")',
            fix="conda install -c pytorch3d pytorch3d (see environment.yml), or use backend numba or torch",
        ) from error

    ahead = np.flatnonzero((points[faces, 2] > NEAR).all(1))
    if not len(ahead):
        return empty_fragments(height, width)
    ndc = np.array(points, np.float32)
    ndc[:, :2] = (np.array([width, height]) - 2 * points[:, :2]) / min(height, width)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    meshes = Meshes(
        [torch.from_numpy(ndc).to(device)], [torch.from_numpy(np.asarray(faces, np.int64)[ahead]).to(device)]
    )
    face_index, depth, barycentric, _ = rasterize_meshes(
        meshes,
        image_size=(height, width),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        clip_barycentric_coords=False,
        cull_backfaces=False,
    )
    found = face_index[0, ..., 0].cpu().numpy()
    none = found < 0
    return Fragments(
        np.where(none, -1, ahead[found]).astype(np.int32),
        np.where(none, np.inf, depth[0, ..., 0].cpu().numpy()).astype(np.float32),
        np.where(none[..., None], 0, barycentric[0, ..., 0, :].cpu().numpy()).astype(np.float32),
    )
