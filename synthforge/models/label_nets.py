"""Label networks: from what a stage I network says to what a benchmark's annotators mean.

Source: label adaptation of Wood et al. (2021), ICCV; label fine-tuning of SynthForge, section 4.2.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from synthforge.models.hourglass import StackedHourglass, soft_argmax
from synthforge.models.multitask import TASKS, MultiTaskNet, Prediction
from synthforge.models.unet import UNet


@dataclass(frozen=True)
class LabelConfig:
    """Which label networks stand on the backbone.

    `points`: none; affine (closed form); mlp (affine, then a residual MLP on the coordinates);
    maps (an hourglass that corrects the heat maps). `classes[t]` lists our class ids that target class
    t is made of; empty: nothing is segmented. `features` gives maps and segmentation the encoder's
    features beside the predictions. `frozen` keeps the backbone as it is, BatchNorm statistics included.
    """

    points: Literal["none", "affine", "mlp", "maps"] = "none"
    classes: tuple[tuple[int, ...], ...] = ()
    features: bool = True
    frozen: bool = True
    hidden: int = 128
    widths: tuple[int, ...] = (32, 48)


def shape_frame(
    points: Float[Tensor, "b p 2"],
) -> tuple[Float[Tensor, "b p 2"], Float[Tensor, "b 1 2"], Float[Tensor, "b 1 1"]]:
    """Points about their mean and over their root mean square radius; mean; radius."""
    mean = points.mean(1, keepdim=True)
    radius = (points - mean).square().sum(2, keepdim=True).mean(1, keepdim=True).sqrt().clamp(min=1e-6)
    return (points - mean) / radius, mean, radius


class PointTranslator(nn.Module):
    """Coordinates -> coordinates in the frame of the predicted shape: affine, plus a residual MLP.

    Args:
        n_points: points.
        hidden: width of the MLP; 0: affine alone. It starts as the identity.
    """

    def __init__(self, n_points: int, hidden: int):
        super().__init__()
        n = 2 * n_points
        self.affine = nn.Linear(n, n)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)
        self.mlp = nn.Sequential()
        if hidden:
            self.mlp = nn.Sequential(
                nn.Linear(n, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, n, bias=False)
            )
            nn.init.zeros_(self.mlp[-1].weight)

    def forward(self, points: Float[Tensor, "b p 2"]) -> Float[Tensor, "b p 2"]:
        shape, mean, radius = shape_frame(points.float())
        x = shape.flatten(1)
        x = x + self.affine(x)
        if len(self.mlp):
            x = x + self.mlp(x)
        return x.view_as(shape) * radius + mean

    @torch.no_grad()
    def fit(
        self, predicted: Float[Tensor, "b p 2"], true: Float[Tensor, "b p 2"], penalty: float
    ) -> "PointTranslator":
        """Set the affine part by ridge regression; `penalty` weighs departures from a plain offset."""
        x, y = _regression(predicted, true)
        mean_x, mean_y = x.mean(0), y.mean(0)
        weight = ridge(x - mean_x, y - mean_y, penalty)
        self.affine.weight.copy_(weight.T)
        self.affine.bias.copy_(mean_y - mean_x @ weight)
        return self


def _regression(predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised predictions, and the corrections they need, both flattened (float64)."""
    shape, mean, radius = shape_frame(predicted.double())
    correction = (true.double() - mean) / radius - shape
    return shape.flatten(1), correction.flatten(1)


def ridge(x: Float[Tensor, "n i"], y: Float[Tensor, "n o"], penalty: float) -> Float[Tensor, "i o"]:
    """argmin_W |x W - y|^2 / n + penalty |W|^2."""
    gram = x.T @ x / len(x) + penalty * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return torch.linalg.solve(gram, x.T @ y / len(x))


class SegmentationTranslator(nn.Module):
    """Our class logits (and features) -> target class logits: merged classes plus a U-Net's correction.

    It starts as the merge alone: log of the summed probabilities of the classes each target is made of.
    """

    def __init__(self, config: LabelConfig, n_classes: int, feature_channels: int):
        super().__init__()
        table = torch.zeros(n_classes, len(config.classes))
        for target, sources in enumerate(config.classes):
            table[list(sources), target] = 1.0
        self.register_buffer("table", table)
        self.features = config.features
        extra = feature_channels if config.features else 0
        self.net = UNet(n_classes + extra, len(config.classes), config.widths)
        nn.init.zeros_(self.net.exit.weight)
        nn.init.zeros_(self.net.exit.bias)

    def forward(self, logits: Float[Tensor, "b c h w"], features: Float[Tensor, "b f y x"]) -> Tensor:
        log_p = F.log_softmax(logits.float(), dim=1)
        merged = torch.einsum("bchw,ct->bthw", log_p.exp(), self.table)
        x = [log_p.clamp(min=-8.0)]
        if self.features:
            size = logits.shape[-2:]
            x.append(F.interpolate(features.float(), size=size, mode="bilinear", align_corners=False))
        return (merged + 1e-4).log() + self.net(torch.cat(x, 1)).float()


class MapTranslator(nn.Module):
    """Heat maps (and features) -> heat maps: an hourglass whose answer is added to the logarithms."""

    def __init__(self, config: LabelConfig, backbone: MultiTaskNet):
        super().__init__()
        c = backbone.config
        self.features = config.features
        self.reduce = c.keypoint_stride if config.features else 1
        channels = c.n_landmarks + (c.feature_channels if config.features else 0)
        self.net = StackedHourglass(
            channels, c.n_landmarks, c.keypoint_channels, 1, c.keypoint_depth, stride=1, attention=False
        )
        nn.init.zeros_(self.net.outputs[-1]["heat"].weight)
        nn.init.zeros_(self.net.outputs[-1]["heat"].bias)

    def forward(self, log_maps: Float[Tensor, "b p h w"], features: Float[Tensor, "b f y x"]) -> list[Tensor]:
        log_maps = log_maps.float()
        x = [log_maps.clamp(min=-12.0) / 12.0]
        if self.features:
            x.append(F.adaptive_avg_pool2d(features.float(), log_maps.shape[-2:]))
        return self.net(torch.cat(x, 1), prior=log_maps)


class LabelTuned(nn.Module):
    """A stage I network with label networks on it; predicts in the benchmark's labels."""

    def __init__(self, backbone: MultiTaskNet, config: LabelConfig):
        super().__init__()
        self.backbone, self.label_config = backbone, config
        c = backbone.config
        self.points = self.maps = self.segmentation = None
        if config.points in ("affine", "mlp"):
            self.points = PointTranslator(c.n_landmarks, config.hidden if config.points == "mlp" else 0)
        if config.points == "maps":
            self.maps = MapTranslator(config, backbone)
        if config.classes:
            self.segmentation = SegmentationTranslator(config, c.n_classes, c.feature_channels)
        self.backbone.requires_grad_(not config.frozen)
        self.to(memory_format=torch.channels_last)

    @property
    def config(self):
        return self.backbone.config

    @property
    def label_stride(self) -> int:
        return self.backbone.label_stride

    def train(self, mode: bool = True) -> "LabelTuned":
        """As in torch, but a frozen backbone stays in evaluation mode: its statistics do not move."""
        super().train(mode)
        if self.label_config.frozen:
            self.backbone.eval()
        return self

    def forward(self, rgb: Float[Tensor, "b 3 h w"], tasks: Sequence[str] = TASKS) -> Prediction:
        """Predict `tasks` as the benchmark labels them; what has no label network stays as it was."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.label_config.frozen):
            before = self.backbone(rgb, tasks)
        after = replace(before)
        if self.maps is not None and before.log_heatmaps is not None:
            after.log_heatmaps = self.maps(before.log_heatmaps[-1], before.features)
            after.points = soft_argmax(after.log_heatmaps[-1])
        if self.points is not None and before.points is not None:
            after.points = self.points(before.points)
        if self.segmentation is not None and before.segmentation is not None:
            after.segmentation = self.segmentation(before.segmentation, before.features)
        return after


def state_sha256(module: nn.Module) -> str:
    """Hash of every parameter and buffer: name, shape, type and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
