"""Data sets as rows of samples: what each offers, and sources made of other sources."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from synthforge.conventions import ClassSchema
from synthforge.datasets.sample import CROP_SCALE, LANDMARK_BOX, Sample


@dataclass(frozen=True)
class SourceInfo:
    """What a data set offers, known before any file is opened.

    Args:
        name: as tables and reports call it.
        schema: its classes; none where nothing is segmented.
        points: landmarks of each sample: 68 (iBUG order) or none.
        depth: z in metres, or of unknown scale and offset.
        crop_source: what the box of a sample is, in words; a model remembers it.
        crop_scale: side of the plain crop over the longer side of that box.
        tree: the folders and files its owner hands out, for messages.
        published: split -> numbers of photographs it may have (several where it is scored in parts).
        licence: one line for sets whose owners allow non-commercial research only.
    """

    name: str
    schema: ClassSchema = ClassSchema()
    points: int = 0
    depth: Literal["metric", "relative"] | None = None
    crop_source: str = LANDMARK_BOX
    crop_scale: float = CROP_SCALE
    tree: str = ""
    published: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    licence: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What a network can learn from it, or is scored on: some of `models.multitask.TASKS`."""
        has = {"points": self.points, "segmentation": self.schema, "depth": self.depth}
        return tuple(task for task, there in has.items() if there)

    @property
    def framing(self) -> dict[str, Any]:
        """How crops lie in their images, as a model stores it."""
        return {"crop_source": self.crop_source, "crop_scale": self.crop_scale}


@runtime_checkable
class Source(Protocol):
    """A data set: `source[i]` reads sample i.

    Those that files are read from have `sha256`, a hash of these files. It may have `runs`, see `runs_of`.
    """

    info: SourceInfo

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def runs_of(source: Source) -> list[int]:
    """Numbers of samples that lie in one file each (shards): neighbours that are cheap to read together."""
    return list(getattr(source, "runs", [len(source)]))


class Derived:
    """Samples of another source as `change` makes them; all of them, or those at `indices` (rising).

    Args:
        info: fields of the source's `SourceInfo` that differ.
    """

    def __init__(self, source: Source, indices: Sequence[int] | None = None, **info: Any):
        self.source, self.info = source, replace(source.info, **info)
        self.indices = range(len(source)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.change(self.source[self.indices[index]], index)

    def change(self, sample: Sample, index: int) -> Sample:
        """Sample `index` of this source, from the other's; by default unchanged."""
        return sample

    @property
    def runs(self) -> list[int]:
        """Of each run of the other source, the number of samples kept."""
        ends = np.cumsum([0, *runs_of(self.source)])
        return [int(n) for n in np.histogram(self.indices, ends)[0] if n]


class CachedSource(Derived):
    """Samples that were read once and are kept in memory, reduced to what a crop needs.

    Forked processes share that memory; a spawned one reads the samples it is asked for again.
    `sha256` is that of all samples as they were read.
    """

    def __init__(self, source: Source, max_side: float, indices: Sequence[int] | None = None, **info: Any):
        super().__init__(source, indices, **info)
        self.max_side = max_side
        self.samples: list[Sample | None] = []
        digest = hashlib.sha256()
        for index in self.indices:
            sample = source[index]
            sample.add_to(digest)
            self.samples.append(sample.reduced(max_side))
        self.sha256 = digest.hexdigest()

    def __getitem__(self, index: int) -> Sample:
        if self.samples[index] is None:
            self.samples[index] = super().__getitem__(index)
        return self.samples[index]

    def change(self, sample: Sample, index: int) -> Sample:
        return sample.reduced(self.max_side)

    @property
    def runs(self) -> list[int]:
        return [len(self)]  # in memory no sample is nearer than another

    def __getstate__(self) -> dict:
        return vars(self) | {"samples": [None] * len(self)}
