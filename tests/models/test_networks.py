"""Sizes of the published network, and the closed forms behind heat maps and soft-argmax."""

import pytest
import torch

from synthforge.config import config_path, load_config
from synthforge.errors import ConfigError
from synthforge.models.hourglass import EDGES_68, point_edges, soft_argmax
from synthforge.models.multitask import ModelConfig, MultiTaskNet, normalise
from synthforge.training.multitask import TrainConfig

SMALL = ModelConfig(
    input_size=32,
    encoder_widths=(8, 8, 8),
    feature_channels=8,
    head_widths=(8, 8),
    keypoint_channels=8,
    keypoint_depth=2,
)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_paper_preset_has_the_published_size():
    model = load_config(TrainConfig, config_path("train", "paper")).model
    with torch.device("meta"):
        net = MultiTaskNet(model)
    # The official U-Nets, counted from their layer list: encoder, 20-class head, depth head.
    assert count(net.encoder) == 17_271_488
    assert count(net.depth) == 17_302_529
    assert count(net.segmentation) == 17_303_764 + 65  # one class more than its 20
    assert 52.0e6 < count(net) < 53.0e6
    out = net(torch.empty(1, 3, 256, 256, device="meta"))
    assert out.features.shape == (1, 64, 256, 256)
    assert [m.shape for m in out.log_heatmaps] == [(1, 68, 64, 64)] * 2
    assert out.segmentation.shape == (1, 21, 256, 256) and out.depth.shape == (1, 256, 256)


def test_tiny_preset_is_small_and_the_default():
    model = load_config(TrainConfig, config_path("train", "tiny")).model
    assert model == ModelConfig()
    net = MultiTaskNet(model).eval()
    assert 2e6 < count(net) < 3.5e6
    out = net(torch.zeros(1, 3, 128, 128))
    assert out.segmentation.shape == (1, 21, 64, 64) and net.label_stride == 2
    assert out.depth.shape == (1, 64, 64) and out.log_heatmaps[0].shape == (1, 68, 32, 32)


def test_small_preset_fits_in_12_mb():
    config = load_config(TrainConfig, config_path("train", "small"))
    with torch.device("meta"):
        net = MultiTaskNet(config.model)
    assert config.half and 2 * sum(t.numel() for t in net.state_dict().values()) < 12e6
    assert 128 <= config.model.input_size <= 160 and config.crop_scale > 1.5


@pytest.mark.parametrize("attention", [False, True])
def test_heat_maps_are_distributions_and_every_part_learns(attention):
    torch.manual_seed(0)
    config = ModelConfig(**{**vars(SMALL), "keypoint_attention": attention, "keypoint_stacks": 2})
    net = MultiTaskNet(config)
    out = net(torch.randn(2, 3, 32, 32))
    for maps in out.log_heatmaps:
        torch.testing.assert_close(maps.exp().sum((2, 3)), torch.ones(2, 68))
    loss = out.points.sum() + out.segmentation.square().mean() + out.depth.square().mean()
    (loss + sum(m[..., 0, 0].mean() for m in out.log_heatmaps)).backward()
    still = [n for n, p in net.named_parameters() if p.grad is None]
    assert not still


def test_only_the_asked_tasks_are_predicted():
    out = MultiTaskNet(SMALL)(torch.zeros(2, 3, 32, 32), ["depth"])
    assert out.depth is not None and out.points is None and out.segmentation is None


def test_soft_argmax_of_a_gaussian_is_its_centre():
    centre = torch.tensor([0.437, 0.612])
    y, x = torch.meshgrid((torch.arange(32) + 0.5) / 32, (torch.arange(24) + 0.5) / 24, indexing="ij")
    logits = -((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 0.05**2)
    log_p = torch.log_softmax(logits.flatten(), 0).view(1, 1, 32, 24)
    torch.testing.assert_close(soft_argmax(log_p)[0, 0], centre, atol=1e-4, rtol=0)


def test_soft_argmax_of_one_cell_is_the_centre_of_that_cell():
    log_p = torch.full((1, 1, 4, 8), -torch.inf)
    log_p[0, 0, 1, 6] = 0
    assert soft_argmax(log_p)[0, 0].tolist() == [6.5 / 8, 1.5 / 4]


def test_each_point_lies_on_one_facial_line():
    table = point_edges(68)
    assert table.shape == (68, len(EDGES_68)) and table.sum(1).tolist() == [1.0] * 68


def test_normalise_spans_minus_one_to_one():
    rgb = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert normalise(rgb)[0, 0, 0].tolist() == [-1.0, 1.0]


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ConfigError, match="multiple of 32"):
        ModelConfig(input_size=100)
