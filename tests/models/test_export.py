"""Exported models answer as the run does, or are not left there."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from synthforge.conventions import OURS, ClassSchema
from synthforge.errors import AssetError
from synthforge.models import export as module
from synthforge.models.export import export
from synthforge.models.label_nets import LabelConfig, LabelTuned, state_sha256
from synthforge.models.multitask import ModelConfig, MultiTaskNet, normalise
from synthforge.models.store import load_model, save_model

SMALL = ModelConfig(  # the time of an ONNX export is that of its operators
    input_size=32,
    encoder_widths=(8, 8),
    feature_channels=8,
    head_widths=(8, 8),
    keypoint_channels=8,
    keypoint_depth=1,
)
LABEL = LabelConfig(points="mlp", classes=((0, 2), (1, 5)), features=True, hidden=8, widths=(8, 8))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A stage I run with data, scores and configuration beside it, and a label-tuned one upon it."""
    root = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    (root / "data").mkdir()
    (root / "data/dataset.json").write_text("{}")
    one, two, backbone = root / "one", root / "two", MultiTaskNet(SMALL)
    training = {"data": [str(root / "data"), "/gone"], "held_out": {"check/points_px": 1.25}}
    training["licences"] = [{"name": "head x", "licence": "CC0", "source": "them", "used_for": "shapes"}]
    save_model(one, backbone, OURS, training)
    (one / "eval/300w").mkdir(parents=True)
    (one / "eval/300w/scores.md").write_text("| NME 51 | 4.70 |\n")
    (one / "config.yaml").write_text("fit:\n  steps: 7\n")
    training = {"target": "lapa", "photographs": 12, "backbone": str(one)}
    net = LabelTuned(backbone, LABEL)
    for parameter in net.segmentation.net.exit.parameters():
        torch.nn.init.normal_(parameter)  # else the label network says nothing
    save_model(two, net, ClassSchema.of("a", "b"), training)
    return SimpleNamespace(one=one, two=two)


def test_the_copy_is_the_model(runs, tmp_path):
    assert export(runs.two, tmp_path / "e") is None
    a, b = load_model(runs.two), load_model(tmp_path / "e")
    assert state_sha256(a.net) == state_sha256(b.net) and a.card == b.card
    with pytest.raises(AssetError, match="another --out"):
        export(runs.one, runs.one)


def test_the_card_says_what_it_was_trained_on_scored_and_licensed(runs, tmp_path):
    export(runs.one, tmp_path, licence="CC BY 4.0")
    card = (tmp_path / "model_card.md").read_text()
    empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # SHA-256 of "{}"
    assert f"data`: SHA-256 of its index `{empty}`" in card and "`/gone`: no longer there" in card
    assert "Licence: CC BY 4.0\n" in card and "| NME 51 | 4.70 |" in card and "points_px: 1.25" in card
    assert "\n- head x: CC0 (them)\n" in card
    assert "```yaml\nfit:\n  steps: 7\n```" in card
    export(runs.two, tmp_path / "two")
    card = (tmp_path / "two/model_card.md").read_text()
    assert "Licence: not stated\n" in card and "12 photographs of `lapa`" in card and empty in card
    assert "\n- photographs of `lapa`: their owners' terms\n- head x: CC0 (them)\n" in card
    assert "None beside the run." in card and json.dumps(SMALL.input_size) in card


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} (extra onnx) is not installed")
    out = tmp_path_factory.mktemp("onnx")
    return out, export(runs.two, out, onnx=True)


def test_onnx_answers_as_the_network_does(runs, exported):
    import onnxruntime

    out, difference = exported
    assert difference <= 1e-4 and f"at most {difference:.1e}" in (out / "model_card.md").read_text()
    rgb = np.random.default_rng(5).integers(0, 256, (5, 3, 32, 32), np.uint8)
    session = onnxruntime.InferenceSession(out / "model.onnx")
    points, segmentation, depth = session.run(["points", "segmentation", "depth"], {"rgb": rgb})
    with torch.no_grad():
        true = load_model(runs.two).net(normalise(torch.from_numpy(rgb)))
    np.testing.assert_allclose(points, true.points, atol=1e-5)
    np.testing.assert_allclose(segmentation, true.segmentation, atol=1e-4)
    np.testing.assert_allclose(depth, true.depth, atol=1e-5)
    assert points.shape == (5, 68, 2) and segmentation.shape[1] == 2


def test_an_onnx_that_differs_is_deleted_and_said_so(runs, exported, tmp_path, monkeypatch):
    import onnx

    def save(path, external_data):
        model = onnx.load(exported[0] / "model.onnx")
        weights = next(t for t in model.graph.initializer if t.name.endswith("depth.exit.bias"))
        changed = onnx.numpy_helper.to_array(weights) + np.float32(1e-3)
        weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
        onnx.save(model, path)

    monkeypatch.setattr(module, "_to_onnx", lambda net, size: SimpleNamespace(save=save))
    with pytest.raises(AssetError, match=r"differs from the network by 1\.0e-03"):
        export(runs.two, tmp_path, onnx=True)
    assert not list(tmp_path.glob("*.onnx*"))


def test_a_missing_extra_is_named(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(AssetError, match=r"onnx is not installed.*synthforge\[onnx\]"):
        export(runs.one, tmp_path, onnx=True)
