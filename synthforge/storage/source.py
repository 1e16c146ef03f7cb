"""What a run takes its samples from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from synthforge.storage.schema import Layout
from synthforge.types import Frame


@dataclass(frozen=True)
class Sample:
    """One accepted frame, and why earlier draws of the same index were rejected."""

    frame: Frame
    rejected: tuple[str, ...] = ()


@runtime_checkable
class SampleSource(Protocol):
    """Sample i of a source depends on i alone. It is pickled into the workers, so it builds itself lazily.

    `generator`: what makes the samples, as `dataset.json` states it.
    `batch`: how many samples are drawn together by the process that writes (on a device, say); 0: each is
    drawn by itself, in any process. Batches begin anew with every shard.
    """

    @property
    def layout(self) -> Layout: ...

    @property
    def generator(self) -> dict[str, Any]: ...

    @property
    def batch(self) -> int: ...

    def __call__(self, index: int) -> Sample:
        """The whole sample."""
        ...

    def draw(self, indices: Sequence[int]) -> list[Any]:
        """What has to be drawn together of several samples; it is pickled and finished elsewhere."""
        ...

    def finish(self, drawn: Any) -> Sample:
        """The sample of a draw."""
        ...
