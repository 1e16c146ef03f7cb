"""Making shards of a source's samples, one after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from synthforge.storage.pool import stored_samples
from synthforge.storage.shards import Origin, ShardPlan
from synthforge.storage.source import SampleSource
from synthforge.storage.writer import ShardWriter

Advance = Callable[[int], None]  # called with the number of new samples


@dataclass(frozen=True)
class Job:
    """What all shards of a run have in common; pickled to other machines."""

    source: SampleSource
    out: Path
    origin: Origin

    def shards(self, plans: list[ShardPlan], workers: int, advance: Advance) -> Iterator[ShardPlan]:
        """Publish these shards; each plan is given back as done when its shard is."""
        with stored_samples(self.source, plans, workers) as samples:
            for plan in plans:
                with ShardWriter(self.out, plan, self.source.layout, self.origin) as writer:
                    for _ in range(plan.n_samples):
                        writer.add(*next(samples))
                        advance(1)
                    done = writer.publish()
                yield done
