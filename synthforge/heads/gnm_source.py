"""GNM Head as Google publishes it: `gnm_head.npz` and `head_sparse_68.txt`, read as data.

Source of the layout: the package `body-models` (its module `gnm`, which the tests compare with) for the
arrays of the model, and the public code of github.com/google/GNM (gnm/shape) for uv, vertex groups and
landmarks. No real file was at hand.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from synthforge.conventions import LANDMARK_FLIP, N_LANDMARKS
from synthforge.errors import AssetError
from synthforge.provenance import files_sha256

JOINTS = ("neck", "head", "left_eye", "right_eye")
GROUPS = (  # groups that must be there; a vertex belongs to one at a weight of at least 0.5
    "skin_exterior", "nose_region", "ears", "left_eye", "right_eye", "scleras", "mouth_sock", "teeth",
    "tongue", "upper_teeth_and_gums", "lower_teeth_and_gums",
)  # fmt: skip
_PATTERNS = {"the model": "gnm_head*.npz", "the 68 landmarks": "head_sparse_68*.txt"}
_FIX = (
    "get gnm_head.npz from huggingface.co/google/gnm-v3 and head_sparse_68.txt from github.com/google/GNM "
    "(gnm/shape/data/landmarks), or clone the latter, and give the folder or both files"
)


@dataclass(frozen=True)
class GnmSource:
    """GNM's arrays in metres and its own frame (+x subject's left, +y up, +z forward), checked.

    Deltas are per unit of a coefficient; `pose_deltas` per entry of (rotation - identity) of every joint;
    `landmarks` are the iBUG points on the template.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "f 3 2"]
    shape_names: tuple[str, ...]
    shape_deltas: Float[np.ndarray, "s v 3"]
    expression_names: tuple[str, ...]
    expression_deltas: Float[np.ndarray, "e v 3"]
    pose_deltas: Float[np.ndarray, "p v 3"]
    joint_names: tuple[str, ...]
    joint_parents: tuple[int, ...]
    joints: Float[np.ndarray, "j 3"]
    joint_shape_deltas: Float[np.ndarray, "s j 3"]
    weights: Float[np.ndarray, "v j"]
    groups: dict[str, Bool[np.ndarray, " v"]]
    landmarks: Float[np.ndarray, "68 3"]
    version: str
    sha256: str


def read_gnm(*paths: Path) -> GnmSource:
    """Read the owner's two files: a folder that holds them (a clone of the repository does), or both.

    Raises:
        AssetError: a file is missing, damaged, or the two do not fit together.
    """
    where = ", ".join(map(str, paths))
    found = {what: _found(paths, pattern) for what, pattern in _PATTERNS.items()}
    if missing := [f"{what} ({_PATTERNS[what]})" for what, files in found.items() if not files]:
        raise AssetError(f"lacks {' and '.join(missing)}", where=where, fix=_FIX)
    if several := [files for files in found.values() if len(files) > 1]:
        names = ", ".join(map(str, several[0]))
        raise AssetError(f"several files: {names}", where=where, fix="give the one you want by its own path")
    model, landmarks = (files[0] for files in found.values())
    arrays = _Arrays(model)
    if (arrays.text("variant"), arrays.text("version").split(".")[0]) != ("head", "3"):
        kind = f"variant {arrays.text('variant')!r}, version {arrays.text('version')!r}"
        raise AssetError(f"{kind}, not GNM Head 3", where=str(model), fix=_FIX)
    return _checked(arrays, landmarks, files_sha256(model, landmarks))


def _found(paths: Sequence[Path], pattern: str) -> list[Path]:
    given = [p for p in paths if p.is_file() and p.match(pattern)]
    return given or sorted(f for p in paths if p.is_dir() for f in p.rglob(pattern))


class _Arrays:
    """Arrays of an .npz without pickles, read and checked one by one."""

    def __init__(self, path: Path):
        self.path = path

    def _read(self, key: str) -> np.ndarray:
        try:
            with np.load(self.path, allow_pickle=False) as data:
                return data[key]
        except KeyError as error:
            raise AssetError(f"lacks `{key}`", where=str(self.path), fix=_FIX) from error
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise AssetError(f"`{key}` cannot be read ({error})", where=str(self.path), fix=_FIX) from error

    def text(self, key: str) -> str:
        return str(self._read(key))

    def names(self, key: str) -> tuple[str, ...]:
        values = self._read(key)
        if values.ndim != 1 or values.dtype.kind not in "US":
            raise AssetError(f"`{key}` is no list of names", where=str(self.path), fix=_FIX)
        return tuple(map(str, values))

    def numbers(self, key: str, *shape: int | None) -> np.ndarray:
        """Finite numbers of a shape, None for any length."""
        values = self._read(key)
        fits = values.ndim == len(shape) and all(
            want in (None, n) for n, want in zip(values.shape, shape, strict=True)
        )
        if not fits or values.dtype.kind not in "iuf":
            wanted = " ".join("n" if n is None else str(n) for n in shape)
            what = f"`{key}` is {values.dtype} of shape {values.shape}, not numbers ({wanted})"
            raise AssetError(what, where=str(self.path), fix=_FIX)
        if not np.isfinite(values).all():
            raise AssetError(f"`{key}` has values that are not finite", where=str(self.path), fix=_FIX)
        return values


def _checked(arrays: _Arrays, landmarks: Path, sha256: str) -> GnmSource:
    vertices = arrays.numbers("template_vertex_positions", None, 3).astype(np.float64)
    faces = arrays.numbers("triangles", None, 3).astype(np.int64)
    v, wrong = len(vertices), []
    joint_names, shapes = arrays.names("joint_names"), arrays.names("identity_names")
    expressions, j = arrays.names("expression_names"), len(joint_names)
    parents = arrays.numbers("joint_parent_indices", j).astype(int).tolist()
    parents[0] = -1  # the root is its own parent in some versions
    names = arrays.names("vertex_group_names")
    groups = arrays.numbers("vertex_groups", len(names), v) >= 0.5
    weights = arrays.numbers("skinning_weights", j, v).T
    if sorted(joint_names) != sorted(JOINTS):
        wrong.append(f"the joints are {', '.join(joint_names)}, not {', '.join(JOINTS)}")
    if any(not 0 <= parent < i for i, parent in enumerate(parents) if i):
        wrong.append(f"`joint_parent_indices` {parents}: a parent comes after its child")
    if absent := [name for name in GROUPS if name not in names or not groups[names.index(name)].any()]:
        wrong.append(f"no vertex groups {', '.join(absent)}")
    if faces.size == 0 or not 0 <= faces.min() <= faces.max() < v:
        wrong.append(f"`triangles` point beyond {v} vertices")
    if np.abs(weights.sum(1) - 1).max(initial=0) > 1e-3 or weights.min(initial=0) < -1e-6:
        wrong.append("`skinning_weights` do not sum to 1")
    if not 0.1 < np.ptp(vertices[:, 0]) < 1.0:
        wrong.append(f"the head is {np.ptp(vertices[:, 0]):.3g} wide, which are no metres")
    if wrong:
        raise AssetError("; ".join(wrong), where=str(arrays.path), fix=_FIX)
    return GnmSource(
        vertices,
        faces,
        arrays.numbers("triangle_uvs", len(faces), 3, 2).astype(np.float64),
        shapes,
        arrays.numbers("vertex_identity_basis", len(shapes), v, 3),
        expressions,
        arrays.numbers("expression_basis", len(expressions), v, 3),
        arrays.numbers("pose_correctives_regressor", 9 * j, 3 * v).reshape(-1, v, 3),
        joint_names,
        tuple(parents),
        arrays.numbers("template_joint_positions", j, 3).astype(np.float64),
        arrays.numbers("joint_identity_basis", len(shapes), j, 3),
        weights,
        {name: groups[names.index(name)] for name in GROUPS},
        _landmarks(landmarks, vertices),
        arrays.text("version"),
        sha256,
    )


def _landmarks(path: Path, vertices: np.ndarray) -> Float[np.ndarray, "68 3"]:
    """Points in iBUG's order, from lines of three vertices, each followed by its weight.

    The published jaw points are not all in the order along the jaw, so they are sorted by their direction
    from the middle of the face; points of a file that begins at the subject's left are exchanged.
    """
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (ValueError, OSError) as error:
        raise AssetError(f"no table of numbers ({error})", where=str(path), fix=_FIX) from error
    if rows.shape != (N_LANDMARKS, 6):
        raise AssetError(f"{rows.shape[0]} x {rows.shape[1]} numbers, not 68 x 6", where=str(path), fix=_FIX)
    corner, weights = rows[:, ::2].astype(np.int64), rows[:, 1::2]
    if corner.min() < 0 or corner.max() >= len(vertices) or np.abs(weights.sum(1) - 1).max() > 1e-2:
        raise AssetError("points at no vertex, or weights that do not sum to 1", where=str(path), fix=_FIX)
    points = (vertices[corner] * weights[..., None]).sum(1)
    if points[36, 0] > points[45, 0]:
        points = points[LANDMARK_FLIP]
    across, up = (points[:17, :2] - points[27:, :2].mean(0)).T
    points[:17] = points[:17][np.argsort(np.arctan2(across, -up))]
    return points
