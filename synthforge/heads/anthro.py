"""The embedded head: authored by this project and shipped with the package."""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from synthforge.errors import AssetError
from synthforge.heads.base import HeadModel, surface_points

ASSET = Path(__file__).parents[1] / "assets" / "anthro.npz"


def load_anthro(path: Path = ASSET) -> HeadModel:
    """The embedded head model.

    Raises:
        AssetError: the file is missing or is not a head.
    """
    _check(path)
    try:
        return HeadModel.from_npz("anthro", path)
    except (KeyError, ValueError, OSError) as error:
        raise AssetError(f"not a head model ({error})", where=str(path), fix=_FIX) from error


def anthro_points(
    vertices: Float[np.ndarray, "v 3"], faces: np.ndarray, path: Path = ASSET
) -> dict[str, Float[np.ndarray, " 3"]]:
    """Named anatomical points (metres; of pairs the left one) on any vertices of the embedded head.

    Raises:
        AssetError: the file is missing.
    """
    names, face, barycentric = _points(path)
    places = surface_points(np.asarray(vertices), faces, face, barycentric)
    return dict(zip(names, places, strict=True))


class NamedPoints:
    """The named points of the embedded head's identities, without their other vertices."""

    def __init__(self, head: HeadModel, path: Path = ASSET):
        self._names, face, barycentric = _points(path)
        corners = head.faces[face]
        self._mean = np.einsum("nkc,nk->nc", head.vertices.numpy()[corners], barycentric)
        self._axes = np.einsum("snkc,nk->snc", head.shape_deltas.numpy()[:, corners], barycentric)

    def of(self, shape: Float[np.ndarray, " s"]) -> dict[str, Float[np.ndarray, " 3"]]:
        """Points (metres; of pairs the left one) of the neutral face with these coefficients."""
        return dict(zip(self._names, self._mean + np.tensordot(shape, self._axes, 1), strict=True))


@cache
def _points(path: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    _check(path)
    with np.load(path, allow_pickle=False) as data:
        names = tuple(str(n) for n in data["point_names"])
        return names, data["point_face"].astype(np.int64), data["point_barycentric"].astype(np.float64)


_FIX = "run scripts/build_anthro in a checkout, or reinstall the package"


def _check(path: Path) -> None:
    if not path.is_file():
        raise AssetError("the embedded head is missing", where=str(path), fix=_FIX)
