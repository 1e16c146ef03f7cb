"""Photographs and synthetic samples in one training set, all with the photographs' labels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import Sampler

from synthforge.datasets.batches import epoch_order
from synthforge.datasets.sample import Sample
from synthforge.datasets.source import Derived, Source
from synthforge.rng import sample_rng


class RelabelledSource(Derived):
    """Synthetic samples with the classes of `target`."""

    def __init__(self, source: Source, target: Source):
        super().__init__(source, schema=target.info.schema)

    def change(self, sample: Sample, index: int) -> Sample:
        target = sample.target
        return replace(sample, target=None if target is None else self.info.schema.from_ours[target])


class MixSampler(Sampler):
    """(view, sample) pairs of photographs, followed in their data set by synthetic samples.

    A share `share_real` of any stretch of views shows photographs; each of the two sets has its own passes,
    in `epoch_order`. As with `ViewSampler`, a view depends on its number alone and the length counts from
    view 0.

    Args:
        real, synthetic: numbers of samples that lie behind one another in each file.
    """

    def __init__(
        self,
        real: Sequence[int],
        synthetic: Sequence[int],
        share_real: float,
        first: int,
        last: int,
        seed: int,
        share: tuple[int, int] = (0, 1),
    ):
        self.runs, self.share_real, self.seed = (real, synthetic), share_real, seed
        self.first, self.last, self.share = first, last, share

    def __len__(self) -> int:
        return self.last // self.share[1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        orders: dict[int, tuple[int, np.ndarray]] = {}  # kind -> (pass, its order)
        sizes = [sum(runs) for runs in self.runs]
        for view in range(self.first + self.share[0], self.last, self.share[1]):
            before = int(view * self.share_real + 1e-9)
            kind = 0 if int((view + 1) * self.share_real + 1e-9) > before else 1
            epoch, at = divmod((before, view - before)[kind], sizes[kind])
            if kind not in orders or orders[kind][0] != epoch:
                rng = sample_rng(self.seed, epoch, ("order of photographs", "order of samples")[kind])
                orders[kind] = epoch, epoch_order(self.runs[kind], rng)
            yield view, int(orders[kind][1][at]) + (sizes[0] if kind else 0)
