"""The stage I network: one encoder, and heads for segmentation, depth and keypoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from synthforge.conventions import N_CLASSES, N_LANDMARKS
from synthforge.errors import ConfigError
from synthforge.models.hourglass import StackedHourglass, soft_argmax
from synthforge.models.unet import UNet

TASKS = ("points", "segmentation", "depth")


@dataclass(frozen=True)
class ModelConfig:
    """Size of the network. The defaults are the `tiny` preset; configs/train/paper.yaml has the paper's.

    The feature map is `stem_stride` times smaller than the crop; segmentation and depth come out
    `label_upsample` times finer than it, heat maps `keypoint_stride` times coarser. `depth_target`
    "relative" predicts z minus the median of the head's z (metres; what a crop of unknown camera
    shows), "metric" z itself.
    """

    input_size: int = 128
    stem_stride: int = 4
    encoder_widths: tuple[int, ...] = (64, 128, 192, 192)
    feature_channels: int = 64
    head_widths: tuple[int, ...] = (32, 48)
    label_upsample: int = 2
    keypoint_channels: int = 64
    keypoint_stacks: int = 1
    keypoint_depth: int = 3
    keypoint_stride: int = 1
    keypoint_attention: bool = False
    depth_target: Literal["relative", "metric"] = "relative"
    n_classes: int = N_CLASSES
    n_landmarks: int = N_LANDMARKS

    def __post_init__(self):
        unit = self.stem_stride * max(
            2 ** (len(self.encoder_widths) - 1), self.keypoint_stride * 2**self.keypoint_depth
        )
        if self.input_size % unit:
            raise ConfigError(
                f"got {self.input_size}", where="input_size", fix=f"use a multiple of {unit} for these widths"
            )


@dataclass
class Prediction:
    """What a network says about a batch of crops; None where it was not asked.

    `features` are the encoder's output; `points` fractions of the crop (x, y); `log_heatmaps` one map per
    stack; `segmentation` logits and `depth` (metres) at the label resolution.
    """

    features: Float[Tensor, "b f v u"]
    points: Float[Tensor, "b p 2"] | None = None
    log_heatmaps: list[Float[Tensor, "b p h w"]] | None = None
    segmentation: Float[Tensor, "b c y x"] | None = None
    depth: Float[Tensor, "b y x"] | None = None


def normalise(rgb: Tensor) -> Tensor:
    """uint8 RGB, b 3 h w -> float in [-1, 1], channels last in memory."""
    return (rgb.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class MultiTaskNet(nn.Module):
    """Encoder E and heads phi_seg, phi_depth, phi_kp of SynthForge."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = c = config
        self.encoder = UNet(3, c.feature_channels, c.encoder_widths, c.stem_stride)
        self.segmentation = UNet(c.feature_channels, c.n_classes, c.head_widths, upsample=c.label_upsample)
        self.depth = UNet(c.feature_channels, 1, c.head_widths, upsample=c.label_upsample)
        self.keypoints = StackedHourglass(
            c.feature_channels,
            c.n_landmarks,
            c.keypoint_channels,
            c.keypoint_stacks,
            c.keypoint_depth,
            c.keypoint_stride,
            c.keypoint_attention,
        )
        self.to(memory_format=torch.channels_last)

    @property
    def label_stride(self) -> int:
        """Input pixels per pixel of segmentation and depth."""
        return self.config.stem_stride // self.config.label_upsample

    def forward(self, rgb: Float[Tensor, "b 3 h w"], tasks: Sequence[str] = TASKS) -> Prediction:
        """Predict `tasks` (points, segmentation, depth) from crops in [-1, 1]."""
        return self.heads(self.encoder(rgb), tasks)

    def heads(self, features: Float[Tensor, "b f h w"], tasks: Sequence[str] = TASKS) -> Prediction:
        """Predictions from the encoder's features."""
        result = Prediction(features)
        if "points" in tasks:
            result.log_heatmaps = stacks = self.keypoints(features)
            result.points = soft_argmax(stacks[-1])
        if "segmentation" in tasks:
            result.segmentation = self.segmentation(features)
        if "depth" in tasks:
            result.depth = self.depth(features)[:, 0]
        return result
