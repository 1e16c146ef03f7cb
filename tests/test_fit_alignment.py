"""From fitting a checkpoint's affine to a data set that uses it, at the command line, on planted volumes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from synthforge.alignment import CheckpointAffine
from synthforge.cli import main
from synthforge.detector import load_detector
from synthforge.errors import AssetError, ConfigError, SynthforgeError
from synthforge.generators.next3d import backend
from synthforge.heads.base import HeadModel
from synthforge.storage.reader import DatasetReader
from tests.helpers.planted_network import PlantedNetwork

SHA256 = "5" * 64
MATRIX = np.array([[1.02, 0.01, -0.02], [-0.02, 0.98, 0.0], [0.01, 0.03, 0.99]])
SHIFT = (2e-3, 9e-3, -4e-3)
seen: list[tuple] = []


def detector(rgb: np.ndarray) -> np.ndarray | None:
    """A landmark detector that never finds a face."""
    seen.append((rgb.shape, rgb.dtype))


@pytest.fixture
def planted(anthro_head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlantedNetwork:
    """An installed "checkpoint" whose faces stand where MATRIX and SHIFT put them."""
    network = PlantedNetwork(anthro_head, MATRIX, SHIFT, distortion=0)
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "next3d").mkdir(parents=True)
    (tmp_path / "home" / "flame.npz").touch()
    monkeypatch.setattr(backend, "_network", lambda *_: (network, SHA256))
    for module in ("pipeline.source", "generators.next3d.fit"):
        monkeypatch.setattr(f"synthforge.{module}.load_head", lambda name: anthro_head)
    return network


def call(*args: object):
    return CliRunner().invoke(main, [str(a) for a in args])


def test_align_then_generate(planted: PlantedNetwork, tmp_path: Path) -> None:
    seen.clear()
    result = call("align", "--n", 2, "--device", "cpu", "--detector", f"{__name__}:detector")
    assert result.exit_code == 0, result.output
    assert "next: synthforge generate --backend next3d" in result.output
    assert seen == [((512, 512, 3), np.dtype(np.uint8))] * 2
    path = tmp_path / "home" / backend.AFFINE
    affine = CheckpointAffine.load(path, SHA256)
    assert affine.n_samples == 2 and affine.after_mm < 0.3 < affine.before_mm
    face = torch.from_numpy(planted.head.landmarks(planted.head.vertices.numpy()))[None]
    got, want = affine(face), face @ torch.tensor(MATRIX).float().T + torch.tensor(SHIFT)
    assert (got - want).norm(dim=-1).max() < 1e-3
    with pytest.raises(AssetError, match="fitted for checkpoint 555555555555, not 666666666666"):
        CheckpointAffine.load(path, "6" * 64)

    out = tmp_path / "x"
    options = ("--backend", "next3d", "--device", "cpu", "--workers", 0, "--resolution", 128)
    result = call("generate", *options, "--n", 2, "--out", out)
    assert result.exit_code == 0, result.output
    assert "aligned the checkpoint" not in result.output  # it was there
    reader = DatasetReader(out)
    assets = reader.index["generator"]["assets"]
    assert assets["next3d"] == SHA256
    assert assets[backend.AFFINE] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (reader.column("alignment_rms") < 1e-3).all()
    for i, volume in enumerate(planted.made):
        truth = torch.from_numpy(planted.head.landmarks(volume.truth[0].numpy()))[None]
        wanted = volume.cameras.project(truth)[0, :, :2].numpy() * 128
        error = np.linalg.norm(reader.read(i)["landmarks_2d"] - wanted, axis=1)
        assert np.median(error) * 4 < 1  # pixels of 512
    assert call("verify", out).exit_code == 0


def test_wrong_detectors_are_named() -> None:
    for name in ("nosuch.module:find", "os:find", "os"):
        with pytest.raises(ConfigError, match=f"--detector {name}.*package.module:function"):
            load_detector(name)


def test_without_a_checkpoint_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path))
    result = call("align")
    assert isinstance(result.exception, SynthforgeError)
    assert "synthforge assets add next3d" in str(result.exception)
