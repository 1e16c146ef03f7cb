"""Exponential moving average of weights, kept beside the run and part of its checkpoints."""

from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn


class Ema(L.Callback):
    """Average of parameters and BatchNorm statistics; checks, panels and the stored model use it.

    After t steps the old average counts for min(decay, (1 + t) / (10 + t)), so that a short run does not
    drag its first weights along (as in TensorFlow's ExponentialMovingAverage).

    Args:
        net: whose weights are averaged.
        decay: 0.999 averages over about 1000 steps.
    """

    def __init__(self, net: nn.Module, decay: float):
        self.net, self.decay, self.steps = net, decay, 0
        self.average: dict[str, Tensor] = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.steps:
            return
        self.steps = trainer.global_step
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in self.net.state_dict().items():
            average = self.average[name] = self.average[name].to(value.device)
            if value.is_floating_point():
                value = value.detach().to(average.dtype)
                # Of two -0.0 the mean is 0.0, but what is frozen is to stay bit for bit.
                average.copy_(torch.where(average == value, average, average.lerp(value, share)))
            else:
                average.copy_(value)

    @contextmanager
    def applied(self):
        """The network has the averaged weights inside the block."""
        own = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.net.load_state_dict(self.average)
        try:
            yield
        finally:
            self.net.load_state_dict(own)

    def on_validation_start(self, *_: Any) -> None:
        self._block = self.applied()
        self._block.__enter__()

    def on_validation_end(self, *_: Any) -> None:
        self._block.__exit__(None, None, None)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.average = state["steps"], state["average"]
