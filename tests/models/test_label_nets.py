"""Label networks start as the identity, learn known maps, and leave a frozen backbone alone."""

import numpy as np
import pytest
import torch

from synthforge.conventions import CLASS_ID, ClassSchema, SemanticClass
from synthforge.errors import AssetError
from synthforge.models.label_nets import (
    LabelConfig,
    LabelTuned,
    PointTranslator,
    ridge,
    shape_frame,
    state_sha256,
)
from synthforge.models.multitask import MultiTaskNet
from synthforge.models.store import load_model, save_model, trained_scale
from tests.models.test_networks import SMALL

CLASSES = ((0, 1), (CLASS_ID["left_eye"], CLASS_ID["right_eye"]))


def tuned(**kwargs):
    torch.manual_seed(0)
    net = MultiTaskNet(SMALL)
    with torch.no_grad():  # weights of some size, so that nothing is trivially zero
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return LabelTuned(net, LabelConfig(widths=(8, 8), hidden=16, **kwargs))


def test_ridge_is_the_augmented_least_squares():
    rng = np.random.default_rng(0)
    x, y, penalty = rng.normal(size=(40, 6)), rng.normal(size=(40, 3)), 0.2
    rows = np.vstack([x, np.sqrt(40 * penalty) * np.eye(6)])
    expected = np.linalg.lstsq(rows, np.vstack([y, np.zeros((6, 3))]), rcond=None)[0]
    got = ridge(torch.from_numpy(x), torch.from_numpy(y), penalty)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-10)


def test_adapter_recovers_an_affine_map_of_the_shape():
    torch.manual_seed(1)
    predicted = torch.randn(400, 5, 2).double() * 0.2 + 0.5
    shape, mean, radius = shape_frame(predicted)
    a, b = 0.1 * torch.randn(10, 10).double(), 0.1 * torch.randn(10).double()
    moved = (shape.flatten(1) @ (torch.eye(10) + a) + b).view_as(shape) * radius + mean
    adapter = PointTranslator(5, 0).fit(predicted, moved, penalty=1e-9)
    torch.testing.assert_close(adapter(predicted), moved.float(), atol=1e-4, rtol=0)
    # Where and how large the face is plays no part.
    away = adapter(predicted * 3 + 7)
    torch.testing.assert_close(away, moved.float() * 3 + 7, atol=1e-3, rtol=0)


@pytest.mark.parametrize("offset_penalty", [0.0, 0.5, 1e6])
def test_a_penalised_offset_is_the_ridge_regression_on_a_constant(offset_penalty):
    torch.manual_seed(2)
    predicted, true = torch.rand(30, 4, 2).double(), torch.rand(30, 4, 2).double()
    shape, mean, radius = shape_frame(predicted)
    corrections = ((true - mean) / radius - shape).flatten(1)
    expected = ridge(torch.ones(30, 1).double(), corrections, offset_penalty)[0].view(4, 2)
    adapter = PointTranslator(4, 0).fit(predicted, true, penalty=1e12, offset_penalty=offset_penalty)
    moved = (adapter(predicted) - predicted) / radius
    torch.testing.assert_close(moved.double(), expected.expand(30, 4, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("points", ["affine", "mlp", "maps"])
@pytest.mark.parametrize("features", [True, False])
def test_label_networks_start_as_the_backbone(points, features):
    net = tuned(points=points, classes=CLASSES, features=features).eval()
    x = torch.randn(3, 3, 32, 32)
    before, after = net.backbone(x), net(x)
    torch.testing.assert_close(after.points, before.points, atol=1e-5, rtol=1e-5)
    p = before.segmentation.softmax(1)
    merged = torch.stack([p[:, list(ids)].sum(1) for ids in CLASSES], 1)
    torch.testing.assert_close(after.segmentation, (merged + 1e-4).log(), atol=1e-4, rtol=1e-4)


def test_training_leaves_a_frozen_backbone_bit_for_bit():
    net = tuned(points="maps", classes=CLASSES).train()
    before, rest = state_sha256(net.backbone), state_sha256(net)
    assert not any(m.training for m in net.backbone.modules())
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    for _ in range(3):
        out = net(torch.randn(4, 3, 32, 32))
        (out.points.square().mean() + out.segmentation.square().mean()).backward()
        optimizer.step()
    assert state_sha256(net.backbone) == before and state_sha256(net) != rest
    loose = tuned(points="maps", trained="all").train()
    before = state_sha256(loose.backbone)
    loose(torch.randn(4, 3, 32, 32))
    assert state_sha256(loose.backbone) != before  # BatchNorm statistics alone are enough


def test_without_features_the_features_do_not_matter():
    x = torch.randn(2, 3, 32, 32)
    for features in (True, False):
        net = tuned(points="maps", classes=CLASSES, features=features).eval()
        torch.nn.init.normal_(net.maps.net.outputs[-1]["heat"].weight)
        torch.nn.init.normal_(net.segmentation.net.exit.weight)
        plain = net.backbone(x)
        shuffled = plain.features.flip(0)
        same = [
            torch.equal(net.maps(plain.log_heatmaps[-1], f)[-1], net.maps(plain.log_heatmaps[-1], g)[-1])
            and torch.equal(net.segmentation(plain.segmentation, f), net.segmentation(plain.segmentation, g))
            for f, g in [(plain.features, shuffled)]
        ]
        assert same == [not features]


@pytest.mark.parametrize("label", [False, True])
def test_a_stored_model_predicts_the_same(tmp_path, label):
    net = tuned(points="mlp", classes=CLASSES).eval()
    net = net if label else net.backbone
    rows = SemanticClass(0, "rest"), SemanticClass(1, "eyes", color=(1, 2, 3))
    save_model(tmp_path / "run", net, ClassSchema(rows), {"steps": 3})
    stored = load_model(tmp_path / "run")
    x = torch.randn(2, 3, 32, 32)
    a, b = net(x), stored.net(x)
    torch.testing.assert_close(a.points, b.points, rtol=0, atol=0)
    torch.testing.assert_close(a.segmentation, b.segmentation, rtol=0, atol=0)
    assert stored.schema == ClassSchema(rows) and stored.card["training"] == {"steps": 3}


def test_weights_in_16_bits_take_half_the_room_and_read_as_32(tmp_path):
    net = tuned(points="mlp", classes=CLASSES).eval()
    sizes = []
    for half in (False, True):
        save_model(tmp_path, net, ClassSchema(), {}, {"crop_source": "box", "crop_scale": 1.6}, half)
        sizes.append((tmp_path / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.62 * sizes[0]
    (tmp_path / "model.safetensors").rename(tmp_path / "shipped.safetensors")
    (tmp_path / "model.json").rename(tmp_path / "shipped.json")
    stored = load_model(tmp_path / "shipped.safetensors")
    assert {p.dtype for p in stored.net.parameters()} == {torch.float32}
    for a, b in zip(net.parameters(), stored.net.parameters(), strict=True):
        torch.testing.assert_close(b, a.half().float(), rtol=0, atol=0)
    assert trained_scale(stored.card, "box", 1.3) == 1.6 and trained_scale({}, "box", 1.3) == 1.3
    assert trained_scale(stored.card, "whole image", 1.0) == 1.0


def test_a_damaged_or_missing_model_is_named(tmp_path):
    with pytest.raises(AssetError, match="no model there"):
        load_model(tmp_path)
    save_model(tmp_path, MultiTaskNet(SMALL), ClassSchema(), {})
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(AssetError, match="cannot be read"):
        load_model(tmp_path)
    save_model(tmp_path / "b", tuned().backbone, ClassSchema(), {})
    text = (tmp_path / "b/model.json").read_text().replace('"feature_channels": 8', '"feature_channels": 16')
    (tmp_path / "b/model.json").write_text(text)
    with pytest.raises(AssetError, match="do not fit"):
        load_model(tmp_path / "b")
