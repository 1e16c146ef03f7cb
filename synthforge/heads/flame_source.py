"""FLAME as its owner publishes it: model, landmark embeddings, vertex masks and uv layout, read as data.

Files are recognised by what they hold, whatever their names: `generic_model.pkl` or `flame2023*.pkl` (pickles
of Python 2 with chumpy arrays and a scipy sparse matrix) or the same as .npz; `flame_static_embedding.pkl`;
`flame_dynamic_embedding.npy`, or both in one `landmark_embedding.npy` (with PyTorch tensors);
`FLAME_masks.pkl`; `FLAME_texture.npz` or `head_template.obj`.
Source of the layout: Li et al., Learning a model of facial shape and expression from 4D scans (2017).
"""

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from synthforge.errors import AssetError
from synthforge.heads.ict_source import read_obj
from synthforge.licensed.pickle_values import Stub, stub
from synthforge.licensed.pickles import parse_pickle, read_pickle
from synthforge.licensed.torch_storage import TORCH, TensorData
from synthforge.provenance import files_sha256

N_SHAPE, N_EXPRESSION = 300, 100  # at most; columns of `shapedirs` from 300 on are expressions
N_YAWS, N_JAW, N_STATIC = 79, 17, 51
PARENTS = (-1, 0, 1, 1, 1)  # root, neck, jaw and the eyes
MASKS = ("nose", "lips", "neck", "left_ear", "right_ear", "left_eyeball", "right_eyeball")  # required
_PREFIXES = {"chumpy.": stub, "scipy.sparse.": stub}  # become data: nothing of these packages runs
_MODEL = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
_STATIC = (("lmk_face_idx", "lmk_b_coords"), ("static_lmk_faces_idx", "static_lmk_bary_coords"))
_JAW = (("lmk_face_idx", "lmk_b_coords"), ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"))
_NEEDED = {  # kind -> what it is, and the file that usually holds it
    "model": "the model (generic_model.pkl or flame2023*.pkl)",
    "static": "the 51 inner landmarks (flame_static_embedding.pkl)",
    "jaw": "the jaw landmarks by yaw (flame_dynamic_embedding.npy)",
    "masks": "the vertex masks (FLAME_masks.pkl)",
    "uv": "the uv layout (FLAME_texture.npz or head_template.obj)",
}
_FIX = (
    "get model, masks and texture space from flame.is.tue.mpg.de and the two embeddings from "
    "github.com/soubhiksanyal/RingNet, put them in one folder and give that"
)
# Published generic_model.pkl of FLAME 2020, as several public projects that check their download state it.
_SHA256 = {"efcd14cc4a69f3a3d9af8ded80146b5b6b50df3bd74cf69108213b144eba725b": "FLAME 2020"}
_NAMES = {  # beginning of a file's or its folder's name, as the owner calls them -> version
    "flame2023_open": "FLAME 2023 Open", "flame2023": "FLAME 2023", "flame2020": "FLAME 2020",
}  # fmt: skip
_MAX_FILES, _MAX_MEMBER = 300, 2 << 30  # files of a folder that are looked at; bytes of one array


@dataclass(frozen=True)
class FlameSource:
    """FLAME's arrays in metres and its own frame (+x subject's left, +y up, +z forward), checked.

    `pose_deltas` are per entry of (rotation - identity) of joints 1 ... 4; `jaw` tables are by yaw (79) and
    point (17), `static` ones of iBUG points 17 ... 67; `masks` hold vertex indices; uv have v up.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    shape_deltas: Float[np.ndarray, "s v 3"]
    expression_deltas: Float[np.ndarray, "e v 3"]
    pose_deltas: Float[np.ndarray, "36 v 3"]
    joint_regressor: Float[np.ndarray, "5 v"]
    weights: Float[np.ndarray, "v 5"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    masks: dict[str, Int[np.ndarray, " _"]]
    static_face: Int[np.ndarray, " 51"]
    static_barycentric: Float[np.ndarray, "51 3"]
    jaw_face: Int[np.ndarray, "79 17"]
    jaw_barycentric: Float[np.ndarray, "79 17 3"]
    version: str
    sha256: str


@dataclass(frozen=True)
class _Found:
    path: Path
    named: bool  # given by the user, not met in a folder
    values: Mapping[str, Any]


def read_flame(*paths: Path) -> FlameSource:
    """Read the owner's files: a folder that holds them, or several files and folders.

    A file given by name goes before those found in folders; of the models in a folder the generic one is
    taken.

    Raises:
        AssetError: something is missing (all of it is said at once), damaged, or does not fit together.
    """
    where = ", ".join(map(str, paths))
    found: dict[str, list[_Found]] = {kind: [] for kind in _NEEDED}
    unread = []
    for path, named in _files(paths):
        try:
            for kind, values in _recognise(path):
                found[kind].append(_Found(path, named, values))
        except AssetError as error:
            unread.append(str(error))
    if missing := [text for kind, text in _NEEDED.items() if not found[kind]]:
        lost = f" (not read: {'; '.join(unread[:3])})" if unread else ""
        raise AssetError(f"lacks {', '.join(missing)}{lost}", where=where, fix=_FIX)
    model = _chosen_model(found["model"], where)
    n_faces = np.shape(model.values.get("f"))[:1]
    found["uv"].sort(key=lambda f: np.shape(f.values["ft"])[:1] != n_faces)  # .obj of other meshes last
    chosen = {"model": model} | {
        kind: max(files, key=lambda f: f.named) for kind, files in found.items() if kind != "model"
    }
    digest = files_sha256(*(f.path for f in chosen.values()))
    return _checked({kind: f.values for kind, f in chosen.items()}, _version(model), digest, where)


def _files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    for path in paths:
        if path.is_file():
            yield path, True
        elif path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.suffix in (".pkl", ".npz", ".npy", ".obj")]
            if len(inside) > _MAX_FILES:
                raise AssetError(f"holds {len(inside)} files", where=str(path), fix="give FLAME's own folder")
            yield from ((p, False) for p in inside if p.is_file())
        else:
            raise AssetError("does not exist", where=str(path), fix="give the folder of FLAME's files")


def _recognise(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a file holds: kinds of `_NEEDED`, each with its values."""
    if path.suffix == ".obj":
        _, uv, polygons = read_obj(path)
        if len(uv) and polygons and all(len(p) == 3 for p in polygons):
            corners = np.array(polygons)
            yield "uv", {"vt": uv, "ft": corners[..., 1], "f": corners[..., 0]}
        return
    values = _npz(path) if path.suffix == ".npz" else _npy_file(path) if path.suffix == ".npy" else _pkl(path)
    if not isinstance(values, Mapping):
        return
    if "v_template" in values and "shapedirs" in values:
        yield "model", values
    if "vt" in values and "ft" in values:
        yield "uv", {key: values[key] for key in ("vt", "ft")}
    if len(set(MASKS) & set(values)) >= 3:
        yield "masks", values
    for kind, keys, shape in (("static", _STATIC, (N_STATIC,)), ("jaw", _JAW, (N_YAWS, N_JAW))):
        for face, barycentric in keys:
            if face in values and barycentric in values and np.shape(values[face]) == shape:
                yield kind, {"face": values[face], "barycentric": values[barycentric]}


def _pkl(path: Path) -> Any:
    return _without_tensors(read_pickle(path, TORCH, _PREFIXES), str(path))


def _without_tensors(values: Any, where: str) -> Any:
    """A mapping's PyTorch tensors as arrays."""
    if not isinstance(values, Mapping):
        return values
    return {k: v.array(where) if isinstance(v, TensorData) else v for k, v in values.items()}


def _npy_file(path: Path) -> Any:
    if path.stat().st_size > _MAX_MEMBER:
        raise AssetError(f"{path.stat().st_size} bytes are too many", where=str(path))
    return _npy(path.read_bytes(), str(path))


def _npy(data: bytes, where: str) -> Any:
    """The array, or the object, in an .npy file's bytes; objects through the allow-list reader."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
        shape, fortran, dtype = (read or np.lib.format.read_array_header_2_0)(stream)
    except Exception as error:  # numpy evaluates the header as a literal: any of Python's syntax errors
        raise AssetError(f"not an .npy file ({type(error).__name__})", where=where) from error
    body = data[stream.tell() :]
    if dtype.hasobject:
        value = parse_pickle(body, where, TORCH, _PREFIXES)
        value = value.item() if isinstance(value, np.ndarray) and value.shape == () else value
        return _without_tensors(value, where)
    if len(body) != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise AssetError(f"{len(body)} bytes do not make an array {shape}", where=where)
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


class _npz(Mapping):  # noqa: N801 (used like a function)
    """Arrays of an .npz, read when asked for: texture spaces of a gigabyte hold uv as well."""

    def __init__(self, path: Path):
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self.names = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        except (zipfile.BadZipFile, OSError) as error:
            raise AssetError(f"not an .npz file ({error})", where=str(path)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: str) -> Any:
        info = self.names[key]
        if info.file_size > _MAX_MEMBER:
            raise AssetError(f"`{key}` has {info.file_size} bytes", where=str(self.path))
        try:
            with zipfile.ZipFile(self.path) as archive:
                data = archive.read(info)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
            raise AssetError(f"`{key}` is damaged ({error})", where=str(self.path)) from error
        return _npy(data, f"{self.path}:{key}")


def _chosen_model(models: list[_Found], where: str) -> _Found:
    """The model given by name; else the one that is neither of one sex nor without a jaw."""
    for wanted in (lambda f: f.named, lambda f: not _is_special(f.path.stem.lower())):
        models = [f for f in models if wanted(f)] or models
    if len({files_sha256(f.path) for f in models}) > 1:
        names = ", ".join(str(f.path) for f in models)
        raise AssetError(f"several models: {names}", where=where, fix="give the one you want by its own path")
    return models[0]


def _is_special(stem: str) -> bool:
    return any(word in stem for word in ("male", "no_jaw"))


def _version(model: _Found) -> str:
    digest, v = files_sha256(model.path), np.shape(_plain(model.values, "v_template", model.path))
    if digest in _SHA256:
        return f"{_SHA256[digest]} (by its sha256)"
    for name, kind in ((model.path.name, "file"), (model.path.absolute().parent.name, "folder")):
        for start, version in _NAMES.items():
            if name.lower().startswith(start):
                return f"{version} (by its {kind}'s name)"
    return "unknown, FLAME-shaped" if v == (5023, 3) else f"unknown, of shape {v}"


def _plain(values: Mapping[str, Any], key: str, where: Any) -> np.ndarray:
    """A numeric array, out of a chumpy array or a sparse matrix where it is wrapped in one."""
    value = values[key]
    if isinstance(value, Stub):
        state = value.state if isinstance(value.state, dict) else {}
        if (value.module, value.name) == ("chumpy.ch", "Ch") and isinstance(state.get("x"), np.ndarray):
            value = state["x"]
        elif value.module.startswith("scipy.sparse.") and value.name in ("csc_matrix", "csr_matrix"):
            return _dense(state, value.name, key, where)
        else:
            raise AssetError(
                f"`{key}` is a {value.module}.{value.name}, which has no value of its own", where=str(where),
                fix="save the model with plain arrays",
            )  # fmt: skip
    array = np.asarray(value) if not isinstance(value, np.ndarray) else value
    if array.dtype.kind not in "iufb":
        raise AssetError(f"`{key}` is no array of numbers", where=str(where))
    return array


def _dense(state: Mapping[str, Any], kind: str, key: str, where: Any) -> np.ndarray:
    try:
        shape = state["_shape"] if "_shape" in state else state["shape"]
        data, indices, starts = (np.asarray(state[k]) for k in ("data", "indices", "indptr"))
        n_rows, n_columns = (int(n) for n in shape)
        lines, across = (n_columns, n_rows) if kind == "csc_matrix" else (n_rows, n_columns)
        lengths = np.diff(starts)
        if n_rows * n_columns > 1 << 26 or len(lengths) != lines or (lengths < 0).any():
            raise ValueError("its size is wrong")
        if not len(data) == len(indices) == lengths.sum() or starts[0] != 0:
            raise ValueError("its parts do not fit")
        out = np.zeros((lines, across))
        if len(indices) and not 0 <= indices.min() <= indices.max() < across:
            raise ValueError("an index is out of range")
        np.add.at(out, (np.repeat(np.arange(lines), lengths), indices), data.astype(float))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise AssetError(f"`{key}` is a damaged sparse matrix ({error})", where=str(where)) from error
    return out.T if kind == "csc_matrix" else out


def _checked(parts: dict[str, Mapping[str, Any]], version: str, digest: str, where: str) -> FlameSource:
    """The arrays, with their shapes, ranges and finiteness checked."""
    model, wrong = parts["model"], []
    if absent := [key for key in _MODEL if key not in model]:
        raise AssetError(f"the model lacks {', '.join(absent)}", where=where, fix=_FIX)
    if absent := [key for key in MASKS if key not in parts["masks"]]:
        raise AssetError(f"the vertex masks lack {', '.join(absent)}", where=where, fix=_FIX)

    def numbers(kind: str, key: str, shape: tuple[int | None, ...], integer: bool = False) -> np.ndarray:
        array = _plain(parts[kind], key, where)
        fits = array.ndim == len(shape) and all(
            w is None or n == w for n, w in zip(array.shape, shape, strict=True)
        )
        if not fits:
            wanted = " ".join("n" if n is None else str(n) for n in shape)
            raise AssetError(f"`{key}` has shape {array.shape}, not ({wanted})", where=where, fix=_FIX)
        if integer and array.dtype.kind == "f" and not (array == np.floor(array)).all():
            raise AssetError(f"`{key}` holds no whole numbers", where=where, fix=_FIX)
        if not integer and not np.isfinite(array).all():
            raise AssetError(f"`{key}` has values that are not finite", where=where, fix=_FIX)
        return array.astype(np.int64 if integer else np.float64)

    def below(name: str, indices: np.ndarray, limit: int) -> np.ndarray:
        if indices.size and not 0 <= indices.min() <= indices.max() < limit:
            wrong.append(f"`{name}` points beyond {limit}")
        return indices

    def barycentric(kind: str, shape: tuple[int, ...]) -> np.ndarray:
        weights = numbers(kind, "barycentric", (*shape, 3))
        if np.abs(weights.sum(-1) - 1).max() > 1e-2 or np.abs(weights).max() > 2:
            wrong.append(f"the {kind} landmarks' weights do not sum to 1")
        return weights

    vertices = numbers("model", "v_template", (None, 3))
    n = len(vertices)
    faces = below("f", numbers("model", "f", (None, 3), integer=True), n)
    directions = numbers("model", "shapedirs", (n, 3, None)).transpose(2, 0, 1)
    if not N_SHAPE < len(directions) <= N_SHAPE + N_EXPRESSION:
        wanted = f"{N_SHAPE} and up to {N_EXPRESSION} more"
        wrong.append(f"`shapedirs` has {len(directions)} columns, not {wanted}")
    weights = numbers("model", "weights", (n, len(PARENTS)))
    if np.abs(weights.sum(1) - 1).max(initial=0) > 1e-3 or weights.min(initial=0) < -1e-6:
        wrong.append("`weights` do not sum to 1")
    tree = numbers("model", "kintree_table", (2, len(PARENTS)), integer=True)[0]
    if tuple(np.where((tree < 0) | (tree == 2**32 - 1), -1, tree).tolist()) != PARENTS:
        wrong.append(f"`kintree_table` {tree.tolist()} is not root, neck, jaw and two eyes")
    if not 0.1 < np.ptp(vertices[:, 0]) < 1.0:
        wrong.append(f"the head is {np.ptp(vertices[:, 0]):.3g} wide, which are no metres")
    uv = numbers("uv", "vt", (None, 2))
    if "f" in parts["uv"] and not np.array_equal(parts["uv"]["f"], faces):
        wrong.append("the .obj has other triangles than the model")
    source = FlameSource(
        vertices,
        faces,
        directions[:N_SHAPE],
        directions[N_SHAPE:],
        numbers("model", "posedirs", (n, 3, 36)).transpose(2, 0, 1),
        numbers("model", "J_regressor", (len(PARENTS), n)),
        weights,
        uv,
        below("ft", numbers("uv", "ft", (len(faces), 3), integer=True), len(uv)),
        {key: below(key, numbers("masks", key, (None,), integer=True), n) for key in MASKS},
        below("static landmarks", numbers("static", "face", (N_STATIC,), integer=True), len(faces)),
        barycentric("static", (N_STATIC,)),
        below("jaw landmarks", numbers("jaw", "face", (N_YAWS, N_JAW), integer=True), len(faces)),
        barycentric("jaw", (N_YAWS, N_JAW)),
        version,
        digest,
    )
    wrong += [f"mask `{key}` is empty" for key in MASKS if not len(source.masks[key])]
    if wrong:
        raise AssetError("; ".join(wrong), where=where, fix=_FIX)
    return source
