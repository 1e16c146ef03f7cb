"""`synthforge.load`: a data set as PyTorch wants it."""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthforge.api.config import as_path
from synthforge.errors import DatasetError, nearest
from synthforge.storage.reader import DatasetReader
from synthforge.types import SceneParams

Attributes = dict[str, float | str]


@dataclass(frozen=True)
class FieldInfo:
    """What a field of a data set holds, for one sample; `words` are those of a categorical attribute."""

    shape: tuple[int, ...]
    dtype: str
    unit: str
    frame: str
    description: str
    words: tuple[str, ...] = ()


class Dataset(torch.utils.data.Dataset):
    """Samples of a data set as dicts of tensors; works in a `DataLoader` as it is, with workers too.

    `ds[i]` is one sample: every field as a tensor, laid out as docs/dataset.md says (images h w c, depth in
    metres with inf for background), `soft_masks` and `attributes` as dicts. Attributes that are numbers are
    float32, the others are words. `ds[a:b]` and `ds.where(...)` are data sets again, without copying.

    Raises:
        DatasetError: no data set there, or no field of that name.
    """

    def __init__(self, path: Path | str, fields: Sequence[str] | None = None):
        self.reader = DatasetReader(as_path(path, "load"))
        self.rows: Sequence[int] = range(len(self.reader))
        self.keys: tuple[str, ...] = self.reader.keys
        if fields is not None:
            self.keys = (fields,) if isinstance(fields, str) else tuple(fields)
            for name in self.keys:
                self._check(name)

    def _check(self, name: str) -> None:
        known = (*self.reader.keys, *self.reader.names)
        if name not in known:
            raise DatasetError(
                f"no field {name!r}{nearest(name, known)}",
                where=str(self.path),
                fix=f"it holds: {', '.join(self.reader.keys)}",
            )

    @property
    def path(self) -> Path:
        """The folder."""
        return self.reader.path

    @property
    def info(self) -> dict[str, Any]:
        """What `dataset.json` says: classes, attributes, what made it."""
        return self.reader.index

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """What this data set gives, by name; members of groups as `attributes/age`."""
        chosen = (n for n in self.reader.names if n in self.keys or n.partition("/")[0] in self.keys)
        return {name: self._about(name) for name in chosen}

    def _about(self, name: str) -> FieldInfo:
        (shape, dtype), said = self.reader.form(name), self.reader.about(name)
        words = tuple(map(str, said.get("words", ())))
        kind = "word" if words else str(_SIGNED.get(dtype, dtype))
        unit, frame, text = (str(said.get(key, "")) for key in ("unit", "frame", "description"))
        return FieldInfo(shape, kind, unit, frame, text, words)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, {len(self)} samples of {', '.join(self.keys)})"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: Any) -> Any:
        """Sample `i` (negative: from the end), or for a slice the data set of these samples.

        Raises:
            IndexError: there is no sample `i`.
            DatasetError: the shard cannot be read.
        """
        if isinstance(i, slice):
            return self._with(self.rows[i])
        sample = self.reader.read(self._row(i), self.keys)
        return {name: _tensors(value) for name, value in sample.items()}

    def _row(self, i: Any) -> int:
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        return self.rows[i]

    def _with(self, rows: Sequence[int]) -> "Dataset":
        out = object.__new__(Dataset)
        out.reader, out.keys, out.rows = self.reader, self.keys, rows
        return out

    def attributes(self) -> dict[str, np.ndarray]:
        """All attributes of all samples by name: float32, or words."""
        names = [name for name in self.reader.names if name.startswith("attributes/")]
        rows = np.asarray(self.rows, int)
        return {name.partition("/")[2]: self.reader.column(name)[rows] for name in names}

    def where(self, wanted: Callable[[Attributes], bool]) -> "Dataset":
        """The samples whose attributes (a dict of words and numbers) are `wanted`."""
        table = self.attributes()
        samples = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
        return self._with([row for row, sample in zip(self.rows, samples, strict=True) if wanted(sample)])

    def params(self, i: int) -> SceneParams:
        """What sample `i` was rendered from; `.camera` is for `project` and `unproject`."""
        return self.reader.params(self._row(i))


_SIGNED = {np.dtype("u2"): np.dtype("i4")}  # PyTorch compares no uint16


def _tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tensors(member) for name, member in value.items()}
    if isinstance(value, str):
        return value
    array = np.asarray(value, np.float32 if isinstance(value, float) else None)
    return torch.from_numpy(array.astype(_SIGNED.get(array.dtype, array.dtype), copy=False))


def load(path: Path | str, fields: Sequence[str] | None = None) -> Dataset:
    """The data set in a folder that `synthforge generate` wrote.

    Args:
        path: the folder.
        fields: names of what is wanted of each sample, such as `["rgb", "attributes/age"]`; default: all.
            What is not named is not read.
    Raises:
        ConfigError: `path` is none.
        DatasetError: no data set there, or no field of that name.
    """
    return Dataset(path, fields)
