"""Exponential moving average of the weights: Lightning's callback, with a short memory at first."""

from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class Ema(WeightAveraging):
    """Average of parameters and BatchNorm statistics; checks, panels and the stored model use it.

    After t steps the old average counts for min(decay, (1 + t) / (10 + t)), so that a short run does not
    drag its first weights along (as in TensorFlow's ExponentialMovingAverage).

    Args:
        decay: 0.999 averages over about 1000 steps.
        device: where the average is kept (None: where the network is when the run begins).
    """

    def __init__(self, decay: float, device: str | None = None):
        def mean(average: Tensor, value: Tensor, _: Tensor) -> Tensor:
            if not average.is_floating_point():
                return value
            t = self._latest_update_step + 1
            share = 1 - min(decay, (1 + t) / (10 + t))
            # Of two -0.0 the mean is 0.0, but what is frozen is to stay bit for bit.
            return torch.where(average == value, average, average.lerp(value, share))

        super().__init__(device, avg_fn=mean)

    def on_train_end(self, *_: Any) -> None:
        """The last checkpoint keeps the weights beside their average, so that longer runs go on from both."""

    finish = WeightAveraging.on_train_end  # give the network the average, once the checkpoint is written
