"""A stage I run of seconds: network, schedule, and how to take BatchNorm out of it."""

from torch import nn

from synthforge.config import from_dict
from synthforge.training.multitask import TrainConfig

MODEL = {
    "input_size": 32,
    "encoder_widths": [8, 16, 16],
    "feature_channels": 8,
    "head_widths": [8, 8],
    "keypoint_channels": 8,
    "keypoint_depth": 2,
}
FIT = {"batch": 4, "workers": 0, "precision": "32-true", "check_every": 4, "warmup": 2, "threads": 1}


def config(steps=8, **fit) -> TrainConfig:
    """Consistency on half of each batch, three samples held out."""
    data = {"model": MODEL, "fit": FIT | {"steps": steps} | fit, "held_out": 3}
    data["loss"] = {"consistency_fraction": 0.5}
    return from_dict(TrainConfig, data, "test")


class Copy(nn.Module):
    """What comes in (a copy: the ReLU behind works in place)."""

    def forward(self, x):
        return x.clone()


def without_norms(net: nn.Module) -> nn.Module:
    """The network with every BatchNorm taken out: samples then do not see each other."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, Copy())
    return net
