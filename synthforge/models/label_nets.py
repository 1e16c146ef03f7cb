"""Label networks: from what a stage I network says to what a benchmark's annotators mean.

Source: label adaptation of Wood et al. (2021), ICCV; label fine-tuning of SynthForge, section 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from synthforge.models.domain_norm import DomainNorm2d, split_norms
from synthforge.models.hourglass import StackedHourglass, soft_argmax
from synthforge.models.multitask import TASKS, MultiTaskNet, Prediction
from synthforge.models.resnet_unet import ResNetUNet
from synthforge.models.unet import UNet
from synthforge.provenance import arrays_sha256

LAST_LAYERS = ("segmentation.exit.", "depth.exit.", "keypoints.outputs.")  # of a MultiTaskNet


@dataclass(frozen=True)
class LabelConfig:
    """Which label networks stand on the backbone, and what of the backbone is trained with them.

    `points`: none; affine (closed form); mlp (affine, then a residual MLP on the coordinates);
    maps (a network that corrects the heat maps). `classes[t]` lists our class ids that target class
    t is made of; empty: nothing is segmented. `depth` corrects depth too. `net` is the kind of network that
    corrects maps: unet (for heat maps an hourglass), resnet18-unet, mlp and linear (both pixel by pixel).
    `features` gives it the encoder's features beside the predictions.

    `trained`: none of the backbone's weights, the last layer of each head, or all; without all the
    BatchNorm statistics stay too. `norm`: one BatchNorm for all images, or one for synthetic images and
    one, always trained, for photographs (`domain_norm`).
    """

    points: Literal["none", "affine", "mlp", "maps"] = "none"
    classes: tuple[tuple[int, ...], ...] = ()
    depth: bool = False
    net: Literal["unet", "resnet18-unet", "mlp", "linear"] = "unet"
    features: bool = True
    trained: Literal["none", "last", "all"] = "none"
    norm: Literal["shared", "dsbn", "dson"] = "shared"
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
        self,
        predicted: Float[Tensor, "b p 2"],
        true: Float[Tensor, "b p 2"],
        penalty: float,
        offset_penalty: float = 0.0,
    ) -> "PointTranslator":
        """Set the affine part by ridge regression: `penalty` weighs departures from a plain offset,
        `offset_penalty` the offset itself (infinite: none)."""
        x, y = _regression(predicted, true)
        mean_x, mean_y = x.mean(0), y.mean(0)
        weight = ridge(x - mean_x, y - mean_y, penalty)
        mean_y = mean_y / (1 + offset_penalty)
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


def correction(config: LabelConfig, in_channels: int, out_channels: int) -> nn.Module:
    """Network from map to map of `config.net`; it starts by answering 0."""
    if config.net in ("unet", "resnet18-unet"):
        unet = config.net == "unet"
        shape = in_channels, out_channels
        net = UNet(*shape, config.widths) if unet else ResNetUNet(*shape)
        last = net.exit
    else:
        hidden = (nn.Conv2d(in_channels, config.hidden, 1), nn.GELU()) if config.net == "mlp" else ()
        last = nn.Conv2d(config.hidden if hidden else in_channels, out_channels, 1)
        net = nn.Sequential(*hidden, last)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return net


def _resized(features: Float[Tensor, "b f y x"], like: Tensor) -> Float[Tensor, "b f h w"]:
    return F.interpolate(features.float(), size=like.shape[-2:], mode="bilinear", align_corners=False)


class SegmentationTranslator(nn.Module):
    """Our class logits (and features) -> target class logits: merged classes plus a network's correction.

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
        self.net = correction(config, n_classes + extra, len(config.classes))

    def forward(self, logits: Float[Tensor, "b c h w"], features: Float[Tensor, "b f y x"]) -> Tensor:
        log_p = F.log_softmax(logits.float(), dim=1)
        merged = torch.einsum("bchw,ct->bthw", log_p.exp(), self.table)
        x = [log_p.clamp(min=-8.0)]
        if self.features:
            x.append(_resized(features, logits))
        return (merged + 1e-4).log() + self.net(torch.cat(x, 1)).float()


class DepthTranslator(nn.Module):
    """Depth (and features) -> depth: the prediction plus a network's correction, metres."""

    def __init__(self, config: LabelConfig, feature_channels: int):
        super().__init__()
        self.features = config.features
        self.net = correction(config, 1 + (feature_channels if config.features else 0), 1)

    def forward(self, depth: Float[Tensor, "b h w"], features: Float[Tensor, "b f y x"]) -> Tensor:
        x = [10 * depth.float()[:, None]]  # a head is about 0.2 m deep: of the order of 1
        if self.features:
            x.append(_resized(features, depth))
        return depth.float() + self.net(torch.cat(x, 1)).float()[:, 0]


class MapTranslator(nn.Module):
    """Heat maps (and features) -> heat maps: the network's answer is added to the logarithms."""

    def __init__(self, config: LabelConfig, backbone: MultiTaskNet):
        super().__init__()
        c = backbone.config
        self.features = config.features
        channels = c.n_landmarks + (c.feature_channels if config.features else 0)
        self.hourglass = config.net == "unet"
        if not self.hourglass:
            self.net = correction(config, channels, c.n_landmarks)
            return
        self.net = StackedHourglass(
            channels, c.n_landmarks, c.keypoint_channels, 1, c.keypoint_depth, stride=1, attention=False
        )
        nn.init.zeros_(self.net.outputs[-1]["heat"].weight)
        nn.init.zeros_(self.net.outputs[-1]["heat"].bias)

    def forward(self, log_maps: Float[Tensor, "b p h w"], features: Float[Tensor, "b f y x"]) -> list[Tensor]:
        log_maps = log_maps.float()
        x = [log_maps.clamp(min=-12.0) / 12.0]
        if self.features:
            x.append(F.adaptive_avg_pool2d(features.float(), (log_maps.shape[2], log_maps.shape[3])))
        if self.hourglass:
            return self.net(torch.cat(x, 1), prior=log_maps)
        moved = log_maps + self.net(torch.cat(x, 1)).float()
        return [F.log_softmax(moved.flatten(2), dim=2).view_as(moved)]


class LabelTuned(nn.Module):
    """A stage I network with label networks on it; predicts in the benchmark's labels.

    `domain.real` says which images of the next batch are photographs, where the norms are told apart.
    """

    def __init__(self, backbone: MultiTaskNet, config: LabelConfig):
        super().__init__()
        self.backbone, self.label_config = backbone, config
        c = backbone.config
        self.domain = None if config.norm == "shared" else split_norms(backbone, config.norm)
        self.points = self.maps = self.segmentation = self.depth = None
        if config.points in ("affine", "mlp"):
            self.points = PointTranslator(c.n_landmarks, config.hidden if config.points == "mlp" else 0)
        if config.points == "maps":
            self.maps = MapTranslator(config, backbone)
        if config.classes:
            self.segmentation = SegmentationTranslator(config, c.n_classes, c.feature_channels)
        if config.depth:
            self.depth = DepthTranslator(config, c.feature_channels)
        backbone.requires_grad_(config.trained == "all")
        for name, parameter in backbone.named_parameters():
            if config.trained == "last" and name.startswith(LAST_LAYERS):
                parameter.requires_grad_(True)
        for norm in self._own_norms():
            norm.requires_grad_(True)
        self.to(memory_format=torch.channels_last)

    def _own_norms(self) -> list[nn.Module]:
        """The norms that only photographs go through."""
        return [m.real for m in self.backbone.modules() if isinstance(m, DomainNorm2d)]

    def fixed(self) -> dict[str, Tensor]:
        """Tensors of the backbone that training leaves as they are, by name."""
        names = [n for n, p in self.backbone.named_parameters() if not p.requires_grad]
        if self.label_config.trained != "all":
            own = {id(b) for norm in self._own_norms() for b in norm.buffers()}
            names += [n for n, b in self.backbone.named_buffers() if id(b) not in own]
        state = self.backbone.state_dict()
        return {n: state[n] for n in names if n in state}

    @property
    def config(self):
        return self.backbone.config

    @property
    def label_stride(self) -> int:
        return self.backbone.label_stride

    def train(self, mode: bool = True) -> "LabelTuned":
        """As in torch, but a frozen backbone stays in evaluation mode: its statistics do not move."""
        super().train(mode)
        if self.label_config.trained != "all":
            self.backbone.eval()
            for norm in self._own_norms():
                norm.train(mode)
        return self

    def forward(self, rgb: Float[Tensor, "b 3 h w"], tasks: Sequence[str] = TASKS) -> Prediction:
        """Predict `tasks` as the benchmark labels them; what has no label network stays as it was."""
        learns = self.label_config.trained != "none" or self.label_config.norm != "shared"
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            before = self.backbone(rgb, tasks)
        after = replace(before)
        if self.maps is not None and before.log_heatmaps is not None:
            after.log_heatmaps = self.maps(before.log_heatmaps[-1], before.features)
            after.points = soft_argmax(after.log_heatmaps[-1])
        if self.points is not None and before.points is not None:
            after.points = self.points(before.points)
        if self.segmentation is not None and before.segmentation is not None:
            after.segmentation = self.segmentation(before.segmentation, before.features)
        if self.depth is not None and before.depth is not None:
            after.depth = self.depth(before.depth, before.features)
        return after


def state_sha256(module: nn.Module | dict[str, Tensor]) -> str:
    """Hash of every parameter and buffer (or of the tensors given): name, shape, type and bytes."""
    state = module.state_dict() if isinstance(module, nn.Module) else module
    return arrays_sha256({name: tensor.detach().cpu().numpy() for name, tensor in state.items()})
