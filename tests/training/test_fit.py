"""Parts of a batch and processes add up to the batch; averages, resumes and workers change nothing else."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from synthforge.config import from_dict, to_dict
from synthforge.datasets.views import Views
from synthforge.errors import ConfigError
from synthforge.models.label_nets import state_sha256
from synthforge.models.multitask import normalise
from synthforge.models.store import load_model
from synthforge.storage.run import run
from synthforge.training import fit as fitting
from synthforge.training import multitask
from synthforge.training.ema import Ema
from synthforge.training.fit import Batches, FitConfig, fit, run_loader
from synthforge.training.multitask import MultiTaskModule, TrainConfig, open_shards, train
from tests.helpers.fake_source import FakeConfig, FakeSource
from tests.training.small import config, without_norms


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shards") / "d"
    run(FakeSource(), FakeConfig(), out, n=15, workers=0)
    return out


class Plain(MultiTaskModule):
    """No BatchNorm and plain gradient descent: weights then differ as much as gradients do."""

    def __init__(self, settings: TrainConfig):
        super().__init__(settings)
        self.net = without_norms(self.net)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def on_train_batch_start(self, batch, index):
        self.optimizers().param_groups[0]["lr"] = 1e-2


def plain_config(**fit) -> TrainConfig:
    settings = config(3, batch=8, clip=0.0, **fit)
    return replace(settings, loss=replace(settings.loss, map_fraction=0.5, consistency=0.3, occluded=0.5))


def plain_run(settings: TrainConfig, shards: Path, out: Path) -> dict[str, torch.Tensor]:
    """Weights after three steps; written to `out` by the first process."""
    module = Plain(settings)
    source = open_shards([shards], settings)[0][0]
    views = Views(source, 32, module.net.label_stride, settings.augment, settings.fit.seed)
    fit(module, Batches(lambda *share: run_loader(views, settings.fit, 0, share)), out, progress_bar=False)
    state = {k: v.detach().contiguous() for k, v in module.net.state_dict().items()}
    if module.global_rank == 0:
        save_file(state, str(out / "weights.safetensors"))
    return state


def assert_same(a: dict, b: dict) -> None:
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], atol=2e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(scope="module")
def whole(shards, tmp_path_factory) -> dict[str, torch.Tensor]:
    return plain_run(plain_config(), shards, tmp_path_factory.mktemp("whole") / "r")


@pytest.mark.parametrize("parts", [2, 8])
def test_a_batch_in_parts_is_the_batch(shards, whole, tmp_path, parts):
    start = Plain(plain_config()).net.state_dict()
    assert any(not torch.equal(start[k], v) for k, v in whole.items())
    assert_same(plain_run(plain_config(accumulate=parts), shards, tmp_path / "r"), whole)


def test_two_processes_are_one(shards, whole, tmp_path):
    """Data-parallel training by gloo: the script is started once and starts its twin."""
    pytest.importorskip("lightning")
    if not torch.distributed.is_available():
        pytest.skip("this torch has no distributed training")
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps(to_dict(plain_config(devices=2))))
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "NODE_RANK")}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, __file__, settings, shards, tmp_path / "r"],
        env=environment | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        cwd=root, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same(load_file(tmp_path / "r/weights.safetensors"), whole)


def test_the_average_is_the_closed_form_and_is_what_is_stored(shards, tmp_path, monkeypatch):
    seen = []

    class Watched(Ema):
        def on_train_batch_end(self, trainer, module, *rest):
            super().on_train_batch_end(trainer, module, *rest)
            seen.append({k: v.detach().clone() for k, v in module.net.state_dict().items()})

    monkeypatch.setattr(fitting, "Ema", Watched)
    train(config(4, ema=0.9), [shards], tmp_path / "r", progress_bar=False)
    stored = load_model(tmp_path / "r").net.state_dict()
    name = "encoder.enter.0.weight"
    expected = seen[0][name]
    for t, weights in enumerate(seen[1:], 2):
        kept = min(0.9, (1 + t) / (10 + t))
        expected = kept * expected + (1 - kept) * weights[name]
    assert len(seen) == 4
    torch.testing.assert_close(stored[name], expected)
    assert not torch.equal(stored[name], seen[-1][name])


def test_a_resumed_run_with_averages_and_parts_is_bit_for_bit_the_uninterrupted_one(
    shards, tmp_path, monkeypatch
):
    settings = config(7, ema=0.9, accumulate=2, check_every=3)
    train(settings, [shards], tmp_path / "one", progress_bar=False)
    original = multitask.MultiTaskModule.part_losses

    def stop(module, part):
        if module.global_step == 5:
            raise RuntimeError("pulled the plug")
        return original(module, part)

    with monkeypatch.context() as patch:
        patch.setattr(multitask.MultiTaskModule, "part_losses", stop)
        with pytest.raises(RuntimeError, match="plug"):
            train(settings, [shards], tmp_path / "two", progress_bar=False)
    train(settings, [shards], tmp_path / "two", resume=True, progress_bar=False)
    one, two = (load_model(tmp_path / n).net for n in ("one", "two"))
    assert state_sha256(one) == state_sha256(two)
    checks = [json.loads((tmp_path / n / "report.json").read_text())["held_out"] for n in ("one", "two")]
    assert checks[0] == checks[1]
    view = Views(open_shards([shards], settings)[0][1], 32, one.label_stride)
    batch = torch.utils.data.default_collate([view[i] for i in range(len(view))])
    with torch.no_grad():  # the checks are those of the averaged weights, which are stored
        off = (one(normalise(batch["rgb"])).points - batch["points"]).norm(dim=2) * 32
    expected = float((off * batch["point_weight"]).sum() / batch["point_weight"].sum())
    assert checks[0]["check/points_px"] == pytest.approx(expected, rel=1e-3)


def test_a_finished_run_with_averages_goes_on_from_its_weights_not_from_their_average(shards, tmp_path):
    train(config(4, ema=0.9), [shards], tmp_path / "r", progress_bar=False)
    kept = torch.load(tmp_path / "r/checkpoints/last.ckpt", weights_only=False)
    name = "net.encoder.enter.0.weight"
    stored = load_model(tmp_path / "r").net.state_dict()[name.removeprefix("net.")]
    torch.testing.assert_close(kept["state_dict"][name], stored)
    assert not torch.equal(kept["current_model_state"][name], stored)


@pytest.mark.parametrize(("start", "cached"), [("fork", False), ("fork", True), ("spawn", True)])
def test_workers_give_the_same_batches_however_they_begin(shards, start, cached):
    settings = from_dict(TrainConfig, {"held_out": 0, "cache_mb": 100 if cached else 0}, "test")
    source = open_shards([shards], settings)[0][0]
    source[3]  # files are open here when the workers begin
    views = Views(source, 32, 2, settings.augment)
    alone, helped = (
        list(run_loader(views, FitConfig(steps=3, batch=6, workers=w, start=start), 1, (0, 1)))
        for w in (0, 1 + (start == "fork"))
    )
    assert len(alone) == 2
    for a, b in zip(alone, helped, strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_schedule_warms_up_and_falls_to_its_end():
    module = MultiTaskModule(config(100, warmup=10, rate=1.0, encoder_rate=0.1, final_rate=1e-3))
    groups = [{"peak": 1.0}, {"peak": 0.1}]

    class Trainer:
        global_step = 0

    module.optimizers = lambda: type("O", (), {"param_groups": groups})
    rates = []
    for step in (0, 9, 50, 99):
        Trainer.global_step = step
        module._trainer = Trainer
        module.on_train_batch_start({}, 0)
        rates.append(groups[0]["lr"])
    np.testing.assert_allclose(rates[0], 0.1, rtol=1e-6)
    np.testing.assert_allclose(rates[2], (1.0 + 1e-3) / 2, rtol=1e-6)
    assert rates[3] < 2e-3 and groups[1]["lr"] < groups[0]["lr"] + 1e-9


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("accumulate", 3, "multiple of 3"),
        ("devices", 0, "1 or more"),
        ("ema", 1.0, "decay"),
        ("workers", -1, "0 or more"),
        ("rate", float("inf"), "0 or more"),
        ("start", "thread", "fork, spawn"),
    ],
)
def test_settings_that_cannot_work_are_refused(key, value, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(FitConfig, {"batch": 32, key: value}, "test")


if __name__ == "__main__":  # one of two processes
    plain_run(
        from_dict(TrainConfig, json.loads(Path(sys.argv[1]).read_text()), "test"), *map(Path, sys.argv[2:])
    )
