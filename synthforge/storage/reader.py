"""Random access to a data set's samples, from any process."""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from jaxtyping import Float, UInt8

from synthforge.conventions import CLASS_ID
from synthforge.errors import DatasetError
from synthforge.landmark_sets import dense_set, load_scheme
from synthforge.storage import schema
from synthforge.storage.codecs import UNREADABLE, decode_image, inflated_plane, is_plane
from synthforge.storage.index import INDEX, read_index
from synthforge.storage.shards import refusal
from synthforge.types import Camera, SceneParams

_MAX_OPEN = 32  # shards held open per process
_CHUNK_CACHE = 1 << 16  # bytes per data set: a plane is read once, only the table of images is kept
GROUPS = ("attributes", "soft_masks")


class DatasetReader:
    """Samples of a data set by number: `reader[i]` is a dict of numpy arrays.

    `rgb` uint8 h w 3; `segmentation`, `segmentation_bare`, `alpha` uint8 h w; `depth` float32 h w
    in metres (inf: background); `normals` float32 h w 3; `soft_masks` and `attributes` dicts by
    name, attributes as words or numbers; the others as docs/dataset.md has them. Files open on first use,
    per process: a reader may be forked or pickled. `synthforge.load` wraps it for PyTorch's `DataLoader`.

    Args:
        path: folder with `dataset.json`, of schema version 1 or 2.
    Raises:
        DatasetError: no data set there, or a shard is missing or damaged.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        index = read_index(self.path)
        if index is None:
            raise DatasetError(
                f"no {INDEX} here",
                where=str(self.path),
                fix="give the folder `synthforge generate` wrote; if it was stopped, run it again to finish",
            )
        self.index: dict[str, Any] = index
        self.shards: list[dict] = index["shards"]
        self.first = [shard["first_index"] for shard in self.shards]
        attributes = index["attributes"].items()
        self.words = {f"attributes/{name}": about["words"] for name, about in attributes if "words" in about}
        self._labels = {label.name: label for label in schema.LABELS}
        self._close()

    def __len__(self) -> int:
        return self.index["n_samples"]

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.read(i)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self.read(i) for i in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])

    @property
    def keys(self) -> tuple[str, ...]:
        """What a sample holds; soft masks and attributes are one key each."""
        return tuple(dict.fromkeys([*(name.partition("/")[0] for name in self.names), "attributes"]))

    def read(self, i: int, keys: Iterable[str] | None = None) -> dict[str, Any]:
        """Sample `i`, with only the named keys (default: all).

        Raises:
            IndexError: there is no sample `i`.
            DatasetError: an unknown key, or the shard cannot be read.
        """
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        shard, row = self._place(i % len(self))
        out: dict[str, Any] = {}
        for key in self.keys if keys is None else keys:
            if key in GROUPS:
                names = [name for name in self.names if name.startswith(key + "/")]
                out[key] = {name.partition("/")[2]: self._decode(shard, name, row) for name in names}
            else:
                out[key] = self._decode(shard, key, row)
        return out

    def form(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of what `read_into` writes under a name.

        Raises:
            DatasetError: there is no data set of that name.
        """
        data, label = self._data(0, name), self._labels.get(name)
        side = self.index["resolution"]
        shape = (side, side, 3) if name == "rgb" else data.shape[1:]
        return shape, np.dtype(label.dtype) if label else data.dtype

    def about(self, name: str) -> dict[str, Any]:
        """What a shard says of a data set: unit, frame, description, and words or names where it has them.

        Raises:
            DatasetError: there is no data set of that name.
        """
        said = dict(self._data(0, name).attrs)
        if name in self.words:
            if "values" in said:  # as version 1 called the words
                del said["values"]
                said["description"] = "sampled attribute"
            said["words"] = self.words[name]
        if label := self._labels.get(name):
            said["unit"] = label.unit  # version 1 gave normals the unit of their counts
        return said

    def read_into(self, i: int, out: dict[str, np.ndarray]) -> None:
        """Decode sample `i` into C-contiguous arrays of the shapes and types `form` says.

        Members of groups go by their full names (`soft_masks/hair`, `attributes/age`); categories stay
        numbers.

        Raises:
            DatasetError: an unknown name, or the shard cannot be read.
        """
        shard, row = self._place(i)
        for name, array in out.items():
            self._decode(shard, name, row, array)

    def column(self, name: str) -> np.ndarray:
        """One data set of small numbers over all samples, N leading; categories as words."""
        parts = []
        for shard in range(len(self.shards)):
            data = self._data(shard, name)
            values = self._values(data, (), f"{self.shards[shard]['file']}, {name}")
            parts.append(np.asarray(self.words[name], object)[values] if name in self.words else values)
        return np.concatenate(parts)

    def landmarks(
        self, i: int, scheme: str = "ibug68", jaw: Literal["fixed", "contour"] = "fixed"
    ) -> tuple[Float[np.ndarray, "k 2"], UInt8[np.ndarray, " k"]]:
        """Points of sample `i` in a named layout (px), and whether they are seen (as landmarks_visible).

        Args:
            scheme: a name of assets/landmark_schemes.yaml, or `FILE.yaml:NAME` of your own.
            jaw: fixed on the mesh, or on the contour that is seen (its visibility is that of the fixed one).
        Raises:
            ConfigError: there is no such layout.
            DatasetError: the data set holds no dense landmarks, or those of another version.
        """
        layout = load_scheme(scheme)
        keys = ["landmarks_2d", "landmarks_visible", "landmarks_contour_2d"]
        if "dense" in layout.needs:
            self._check_dense(scheme)
            keys += ["landmarks_dense_2d", "landmarks_dense_visible"]
        keys += ["pupils_2d", "segmentation"] if "pupils" in layout.needs else []
        sample = self.read(i, keys)
        pupils = sample.get("pupils_2d")
        points = layout.points(
            sample["landmarks_2d"], sample.get("landmarks_dense_2d"), pupils,
            sample["landmarks_contour_2d"] if jaw == "contour" else None,
        )  # fmt: skip
        seen = None if pupils is None else pupils_visible(pupils, sample["segmentation"])
        return points, layout.visible(
            sample["landmarks_visible"], sample.get("landmarks_dense_visible"), seen
        )

    def _check_dense(self, scheme: str) -> None:
        held = self.index["landmark_schemes"].get("landmarks_dense_2d")
        if held != dense_set().about:
            what = "those of another version" if held else "none"
            raise DatasetError(
                f"the scheme {scheme} needs the dense landmarks; here are {what}", where=str(self.path),
                fix="generate it anew with landmarks_dense=true",
            )  # fmt: skip

    def stored(self, i: int) -> dict[str, Any]:
        """Sample `i` as it lies on the disk: image and planes as encoded bytes, rows as arrays."""
        shard, row = self._place(i)
        out: dict[str, Any] = {}
        for name in self.names:
            data = self._data(shard, name)
            if data.chunks is None:
                out[name] = data[row]
            elif data.ndim == 1:
                out[name] = data[row].tobytes()
            else:
                out[name] = data.id.read_direct_chunk((row, *(0 for _ in data.shape[1:])))[1]
        return out

    def params(self, i: int) -> SceneParams:
        """What sample `i` was rendered from."""
        names = ("shape", "expression", "pose", "latent")
        names += ("intrinsics", "cam2world", "attributes", "index", "attempt")
        sample = self.read(i, (*names, "distortion") if "distortion" in self.keys else names)
        size = (self.index["resolution"],) * 2
        return SceneParams(
            seed=self.index["seed"],
            index=int(sample["index"]),
            shape=sample["shape"],
            expression=sample["expression"],
            pose=sample["pose"],
            camera=Camera(
                sample["intrinsics"],
                sample["cam2world"],
                size,
                sample.get("distortion", np.zeros(5, np.float32)),
            ),  # fmt: skip
            attributes=sample["attributes"],
            latent=sample["latent"],
            attempt=int(sample["attempt"]),
        )

    def _place(self, i: int) -> tuple[int, int]:
        """Shard of sample `i`, and its row there."""
        shard = bisect_right(self.first, i) - 1
        return shard, i - self.first[shard]

    def _decode(self, shard: int, name: str, row: int, out: np.ndarray | None = None) -> Any:
        """A value as users get it; written into `out` where that is given."""
        data, where = self._data(shard, name), f"sample {self.first[shard] + row}, {name}"
        value = self._values(data, row, where)
        if name == "rgb" and data.ndim == 1:  # encoded
            return decode_image(value, where, out)
        label = self._labels.get(name)
        if label and label.decode:
            return label.decode(value, out)
        if out is not None:
            out[...] = value
        if name.startswith("attributes/"):
            return self.words[name][value] if name in self.words else float(value)
        return value

    def _values(self, data: h5py.Dataset, at: int | tuple, where: str) -> Any:
        try:
            return inflated_plane(data, at) if is_plane(data) and at != () else data[at]
        except UNREADABLE as error:
            fix = f"run: synthforge verify {self.path}"
            raise DatasetError(f"cannot be read ({error})", where=where, fix=fix) from error

    @property
    def names(self) -> list[str]:
        """Full names of all data sets, members of groups as `attributes/age`."""
        if not self._field_names:
            names: list[str] = []
            file, _ = self._open(0)
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            self._field_names = names
        return self._field_names

    def _data(self, shard: int, name: str) -> h5py.Dataset:
        file, handles = self._open(shard)
        if name not in handles:
            item = file.get(name)
            if not isinstance(item, h5py.Dataset):
                known = ", ".join(self.keys)
                path = self.path / self.shards[shard]["file"]
                raise DatasetError(f"no data set {name!r}", where=str(path), fix=f"it holds: {known}")
            handles[name] = item
        return handles[name]

    def _open(self, shard: int) -> tuple[h5py.File, dict[str, h5py.Dataset]]:
        """A shard's file, and the data sets of it that were used so far."""
        if self._pid != os.getpid():
            self._close()
        if shard not in self._shards:
            path = self.path / self.shards[shard]["file"]
            try:
                file = h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)
            except OSError as error:
                if path.is_file() and (refused := refusal(error, path)):
                    raise refused from error
                raise DatasetError(
                    "is missing or damaged", where=str(path), fix=f"run: synthforge verify {self.path}"
                ) from error
            self._shards[shard] = file, {}
            if len(self._shards) > _MAX_OPEN:
                self._shards.popitem(last=False)  # HDF5 closes a file with its last open object
        return self._shards[shard]

    def _close(self) -> None:
        self._pid = os.getpid()
        self._shards: OrderedDict[int, tuple[h5py.File, dict[str, h5py.Dataset]]] = OrderedDict()
        self._field_names: list[str] = []


def pupils_visible(
    pupils: Float[np.ndarray, "2 2"], segmentation: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, " 2"]:
    """0 outside the image, 1 occluded, 2 visible: the pupil's pixel (left eye first) shows its eye."""
    height, width = segmentation.shape
    inside = ((pupils >= 0) & (pupils < (width, height))).all(1)
    column, row = np.where(inside[:, None], pupils, 0).astype(int).T
    seen = segmentation[row, column] == [CLASS_ID["left_eye"], CLASS_ID["right_eye"]]
    return np.where(inside, np.where(seen, 2, 1), 0).astype(np.uint8)
