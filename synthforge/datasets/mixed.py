"""Photographs and synthetic samples in one training set, all with the photographs' labels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from torch.utils.data import Sampler

from synthforge.conventions import CLASSES, IGNORE
from synthforge.datasets.sample import Sample, Source, TargetClass
from synthforge.datasets.views import epoch_order
from synthforge.rng import sample_rng


def class_lookup(classes: tuple[TargetClass, ...]) -> UInt8[np.ndarray, " 256"]:
    """Our class id -> id of the target class that is made of it; 255 where none is."""
    table = np.full(256, IGNORE, np.uint8)
    owner = {source: c.id for c in classes for source in c.sources}
    for ours in CLASSES:
        table[ours.id] = owner.get(ours.name, IGNORE)
    return table


class RelabelledSource:
    """Synthetic samples with the classes of `target`."""

    def __init__(self, source: Source, target: Source):
        for name in Source.__annotations__:
            setattr(self, name, getattr(source, name))
        self.source, self.classes, self.flip_classes = source, target.classes, target.flip_classes
        self.table = class_lookup(target.classes)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        sample = self.source[index]
        return replace(sample, target=None if sample.target is None else self.table[sample.target])


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
