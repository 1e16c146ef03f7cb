"""What each way of stage II trains, what it leaves bit for bit, and which photographs it takes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from synthforge.config import from_dict
from synthforge.conventions import CLASS_ID, IGNORE, ClassSchema
from synthforge.datasets.mixed import MixSampler, RelabelledSource
from synthforge.datasets.sample import LANDMARK_BOX
from synthforge.errors import ConfigError, DatasetError
from synthforge.models.label_nets import LAST_LAYERS
from synthforge.models.store import load_model, read_card, save_model
from synthforge.storage.run import run
from synthforge.training.label_finetune import LabelTrainConfig, label_finetune
from synthforge.training.multitask import train
from synthforge.training.subset import choose
from tests.helpers.fake_source import FakeConfig, FakeSource
from tests.training.small import FIT, config
from tests.training.test_training import Spots


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    run(FakeSource(), FakeConfig(), folder / "d", n=12, workers=0)
    train(config(4), [folder / "d"], folder / "run", progress_bar=False)
    return folder / "run"


def settings(steps=4, **keys) -> LabelTrainConfig:
    fit = FIT | {"steps": steps, "rate": 5e-3, "encoder_rate": 5e-3}
    return from_dict(
        LabelTrainConfig, {"fit": fit, "augment": {"wide": 0.0}, "adapter_views": 2} | keys, "test"
    )


def changed(before, after) -> set[str]:
    """Names of the backbone's tensors that differ."""
    a, b = before.state_dict(), after.state_dict()
    return {name for name in a if not torch.equal(a[name], b[name])}


def adapt(backbone, out, method, **how):
    report = label_finetune(settings(), Spots(), backbone, out, method, progress_bar=False, **how)
    return report, load_model(out)


def test_the_last_layers_alone_are_trained(backbone, tmp_path):
    report, stored = adapt(backbone, tmp_path / "r", "lastlayer")
    moved = changed(load_model(backbone).net, stored.net.backbone)
    assert moved and all(name.startswith(LAST_LAYERS) for name in moved)
    assert {name.split(".")[0] for name in moved} == {"segmentation", "keypoints"}  # depth has no labels
    assert not report["backbone_frozen"]


@pytest.mark.parametrize(("label_net", "features"), [("resnet18-unet", True), ("mlp", True), ("mlp", False)])
def test_other_label_networks_learn_on_a_frozen_backbone(backbone, tmp_path, label_net, features):
    how = {"label_net": label_net, "features": features, "progress_bar": False}
    report = label_finetune(settings(1), Spots(), backbone, tmp_path / "r", "lf", **how)
    stored = load_model(tmp_path / "r")
    assert report["backbone_frozen"] and not changed(load_model(backbone).net, stored.net.backbone)
    assert report["trained_parameters"] > 1000
    out = stored.net(torch.rand(2, 3, 32, 32))
    assert out.points.shape == (2, 68, 2) and out.segmentation.shape[1] == 2
    assert (stored.net.points is None) == (label_net != "mlp")


def test_adapted_statistics_move_no_weight(backbone, tmp_path):
    report, stored = adapt(backbone, tmp_path / "r", "lf", bn="adapt")
    moved = changed(load_model(backbone).net, stored.net.backbone)
    assert {n.rsplit(".", 1)[1] for n in moved} == {"running_mean", "running_var", "num_batches_tracked"}
    assert not report["backbone_frozen"]


@pytest.mark.parametrize("bn", ["dsbn", "dson"])
@pytest.mark.parametrize("method", ["lf", "mix", "finetune"])
def test_norms_of_a_domain_learn_from_its_images_alone(backbone, tmp_path, bn, method):
    _, stored = adapt(backbone, tmp_path / "r", method, bn=bn)
    state, before = stored.net.backbone.state_dict(), load_model(backbone).net.state_dict()
    name = "encoder.enter.1"
    assert not torch.equal(state[f"{name}.real.running_mean"], state[f"{name}.synthetic.running_mean"])
    if method == "lf":  # all else is as it was
        for key, value in before.items():
            kept = key.replace("running", "synthetic.running") if key not in state else key
            head, _, leaf = key.rpartition(".")
            kept = key if key in state else f"{head}.synthetic.{leaf}"
            torch.testing.assert_close(state[kept], value, rtol=0, atol=0)
    if method == "mix":
        assert not torch.equal(state[f"{name}.synthetic.weight"], state[f"{name}.real.weight"])
    assert torch.isfinite(stored.net(torch.rand(2, 3, 32, 32)).points).all()


def test_photographs_are_cropped_as_the_backbone_knows_them(backbone, tmp_path):
    class Boxed(Spots):
        info = replace(Spots.info, crop_source=LANDMARK_BOX, crop_scale=1.3)

    wide = tmp_path / "wide"
    settings_wide = replace(config(2), crop_scale=1.7)
    train(settings_wide, [backbone.parent / "d"], wide, progress_bar=False)
    assert read_card(wide)["framing"] == {"crop_source": LANDMARK_BOX, "crop_scale": 1.7}
    for method in ("adapter", "mix", "scratch"):
        label_finetune(settings(1), Boxed(), wide, tmp_path / method, method, progress_bar=False)
        assert read_card(tmp_path / method)["framing"]["crop_scale"] == 1.7


def test_mix_shows_both_kinds_in_their_share_and_resumes():
    whole = list(MixSampler([5], [10, 20], 0.25, 0, 80, 3, (0, 1)))
    real = np.array([i < 5 for _, i in whole])
    assert real.sum() == 20 and all(real[k : k + 4].sum() == 1 for k in range(0, 80, 4))
    shown = [i for _, i in whole if i < 5]
    assert all(sorted(shown[k : k + 5]) == list(range(5)) for k in range(0, 20, 5))
    assert len({i for _, i in whole[:40] if i >= 5}) == 30
    assert list(MixSampler([5], [10, 20], 0.25, 33, 80, 3, (0, 1))) == whole[33:]
    shares = [list(MixSampler([5], [10, 20], 0.25, 0, 80, 3, (r, 2))) for r in (0, 1)]
    assert [p for both in zip(*shares, strict=True) for p in both] == whole


def test_synthetic_classes_become_the_photographs():
    schema = ClassSchema.of(("rest", "background"), ("eyes", "left_eye", "right_eye"))
    table = schema.from_ours
    assert table[0] == 0 and table[CLASS_ID["right_eye"]] == 1 and table[CLASS_ID["nose"]] == IGNORE

    class Target(Spots):
        info = replace(Spots.info, schema=schema)

    source = RelabelledSource(Spots(), Target())
    assert set(np.unique(source[0].target)) <= {0, 1, IGNORE} and source.info.schema == schema


def test_mix_needs_synthetic_data_that_is_there(backbone, tmp_path):
    with pytest.raises(ConfigError, match="mix alone"):
        adapt(backbone, tmp_path / "a", "lf", synthetic=[backbone])
    lost = tmp_path / "lost"
    lost.mkdir()
    card = read_card(backbone)
    card["training"]["data"] = [str(tmp_path / "gone")]
    (lost / "model.json").write_text(json.dumps(card))
    (lost / "model.safetensors").write_bytes((backbone / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match="gone is not there"):
        adapt(lost, tmp_path / "b", "mix")


@pytest.mark.parametrize(
    ("method", "how", "message"),
    [
        ("scratch", {"bn": "dsbn"}, "one domain"),
        ("adapter", {"bn": "dson"}, "by descent"),
        ("lf", {"subset": "nonesuch.txt"}, "random, min-variance"),
        ("lf", {"n_real": 13}, "there are 12"),
    ],
)
def test_what_excludes_itself_is_refused(backbone, tmp_path, method, how, message):
    with pytest.raises(ConfigError, match=message):
        adapt(backbone, tmp_path / "r", method, **how)


def test_the_chosen_photographs_are_listed_and_the_list_chooses_them_again(backbone, tmp_path):
    report, stored = adapt(backbone, tmp_path / "r", "adapter", n_real=5)
    listed = (tmp_path / "r/photographs.txt").read_text().split()
    assert listed == [str(i) for i in choose(Spots(), 5, 0)] and report["photographs"] == 5
    assert choose(Spots(), None, 9, str(tmp_path / "r/photographs.txt")) == choose(Spots(), 5, 0)
    assert stored.card["framing"] == {"crop_source": "image", "crop_scale": 1.0}
    again = adapt(backbone, tmp_path / "s", "adapter", n_real=5)[0]
    other = adapt(backbone, tmp_path / "t", "adapter", n_real=6)[0]
    assert report["data_sha256"] == again["data_sha256"] != other["data_sha256"]
    (tmp_path / "out.txt").write_text("# bad\n3\n7\nelsewhere\n")
    assert choose(Spots(), None, 0, "random", tmp_path / "out.txt") == [
        i for i in range(12) if i not in (3, 7)
    ]
    assert not {3, 7} & set(choose(Spots(), 10, 0, "min-variance", tmp_path / "out.txt"))
    (tmp_path / "wrong.txt").write_text("0\nnobody\n")
    with pytest.raises(ConfigError, match="nobody"):
        choose(Spots(), None, 0, str(tmp_path / "wrong.txt"))


def test_minimal_variance_leaves_accessories_out_or_takes_the_usual_faces():
    class Worn(Spots):
        schema = ClassSchema.of(("rest", "background"), ("spot", "skin", "nose"), ("hat", "headwear"))
        info = replace(Spots.info, schema=schema)

        def __getitem__(self, index):
            sample = super().__getitem__(index)
            target = sample.target.copy()
            target[0, 0] = 2 if index % 3 == 0 else 0
            return replace(sample, target=target)

    picked = choose(Worn(), 6, 1, "min-variance")
    assert len(picked) == 6 and all(i % 3 for i in picked) and picked != choose(Worn(), 6, 2, "min-variance")

    class Shapes(Spots):
        def __getitem__(self, index):
            stretch = [1.0 + 0.1 * ((index * 5) % 12), 1.0]
            sample = super().__getitem__(index)
            return replace(sample, points=(sample.points - sample.points.mean(0)) * stretch + 20)

    order = sorted(range(12), key=lambda i: abs((i * 5) % 12 - 5.5))
    assert set(choose(Shapes(), 4, 0, "min-variance")) == set(order[:4])

    class Bare(Spots):
        info = replace(Spots.info, points=0)

    with pytest.raises(ConfigError, match="cannot be told"):
        choose(Bare(), 4, 0, "min-variance")


def test_an_interrupted_label_run_resumes_to_the_same_weights(backbone, tmp_path, monkeypatch):
    from synthforge.training import label_finetune as module

    how = {"label_net": "mlp", "progress_bar": False}
    label_finetune(settings(6), Spots(), backbone, tmp_path / "one", "lf", **how)
    original = module.LabelModule.part_losses

    def stop(self, part):
        if self.global_step == 5:
            raise RuntimeError("pulled the plug")
        return original(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(module.LabelModule, "part_losses", stop)
        with pytest.raises(RuntimeError, match="plug"):
            label_finetune(settings(6), Spots(), backbone, tmp_path / "two", "lf", **how)
    for changed_run, text in (
        ({"n_real": 11}, "photographs: "),
        ({"method": "finetune"}, "method: 'lf', now 'finetune'"),
        ({"bn": "dsbn"}, "bn: 'frozen', now 'dsbn'"),
    ):
        with pytest.raises(DatasetError, match="another run is to be resumed") as error:
            label_finetune(settings(6), Spots(), backbone, tmp_path / "two", resume=True, **how | changed_run)
        assert text in str(error.value)
    label_finetune(settings(6), Spots(), backbone, tmp_path / "two", "lf", resume=True, **how)
    one, two = (load_model(tmp_path / n).net for n in ("one", "two"))
    assert not changed(one, two)


def test_relative_depth_gets_a_label_network(backbone, tmp_path):
    class Deep(Spots):
        info = replace(Spots.info, points=0, depth="relative", schema=ClassSchema())

        def __getitem__(self, index):
            sample = super().__getitem__(index)
            depth = np.where(
                sample.target == 1, sample.rgb[..., 0] / 255.0 + np.mgrid[:48, :48][0] / 48, np.inf
            )
            return replace(sample, depth=depth.astype(np.float32), target=None, points=None)

    report = label_finetune(settings(25), Deep(), backbone, tmp_path / "r", progress_bar=False)
    assert report["backbone_frozen"]
    rows = [line.split(",") for line in (tmp_path / "r/logs/metrics.csv").read_text().splitlines()]
    values = [float(row[rows[0].index("loss/depth")]) for row in rows[1:]]
    assert values[-1] < 1.0 and load_model(tmp_path / "r").net.depth is not None


def test_a_moving_average_leaves_what_is_frozen_bit_for_bit(backbone, tmp_path):
    stored = load_model(backbone)
    with torch.no_grad():
        for p in stored.net.encoder.parameters():
            p[(0,) * p.ndim] = -0.0  # which arithmetic turns into 0.0
    save_model(tmp_path / "b", stored.net, stored.schema, {})
    config = replace(settings(12), fit=replace(settings(12).fit, ema=0.9))
    report = label_finetune(config, Spots(), tmp_path / "b", tmp_path / "r", "lf", progress_bar=False)
    assert report["backbone_frozen"] and report["certainty"] is None  # its backbone's card says nothing
    kept = load_model(tmp_path / "r").net.backbone.encoder.parameters()
    assert all(torch.signbit(p[(0,) * p.ndim]) for p in kept)
