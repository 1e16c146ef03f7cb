"""Every kind of damage is found, and named; a sound data set has no fault."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from synthforge.errors import DatasetError
from synthforge.provenance import files_sha256
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from synthforge.storage.verify import verify
from tests.helpers.fake_source import FakeConfig, FakeSource

SHARD = "shards/shard-000001.h5"  # samples 4 to 7


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    run(FakeSource(), FakeConfig(shard_size=4), tmp_path / "x", n=10, workers=0)
    return tmp_path / "x"


def damage(out: Path, name: str, row: int, value: object) -> None:
    """Change one stored value and record the new checksum, as a faulty writer would."""
    with h5py.File(out / SHARD, "r+") as file:
        file[name][row] = value
    index = json.loads((out / "dataset.json").read_text())
    index["shards"][1]["sha256"] = files_sha256(out / SHARD)
    (out / "dataset.json").write_text(json.dumps(index))


def test_a_sound_data_set_has_no_faults(sound: Path) -> None:
    seen = []
    assert list(verify(sound, lambda *a: seen.append(a))) == []
    assert seen[-1] == (10, 10)


PLANE = np.ones((32, 32))
FAULTS = {
    "class": ("segmentation", PLANE * 21, "sample 6, segmentation: 21 is no class"),
    "bare": ("segmentation_bare", PLANE * 99, "sample 6, segmentation_bare: 99 is no class"),
    "finite": ("landmarks_3d", np.full((68, 3), np.nan), "sample 6, landmarks_3d: not finite"),
    "visible": ("landmarks_visible", np.full(68, 3), "landmarks_visible: 3 is none of 0, 1, 2"),
    "inside": ("landmarks_visible", np.zeros(68), "sample 6, landmarks_visible: point 0 is 0 at"),
    "moved": ("landmarks_2d", np.full((68, 2), 3), "sample 6, landmarks_2d: point .* px from its"),
    "gaze": ("gaze", np.ones((2, 3)), "sample 6, gaze: length 1.7"),
    "camera": ("cam2world", 2 * np.eye(4), "sample 6, cam2world: is no rotation"),
    "depth": ("depth", PLANE * 20000, r"sample 6, depth: -\d+.\d mm from visible landmark 0"),
    "no depth": ("depth", PLANE * 0, "sample 6, depth: none around visible landmark 0"),
    "alpha": ("alpha", PLANE * 0, "sample 6, alpha: 0 at .* pixels with depth"),
    "normals": ("normals", np.full((32, 32, 3), 20), "sample 6, normals: length"),
    "image": ("rgb", np.zeros(9, np.uint8), "sample 6, rgb: cannot be decoded"),
    "index": ("index", 77, "sample 6, index: is 77"),
    "category": ("attributes/hair_style", 3, "sample 6, attributes/hair_style: 3 is no index into 3 words"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damage_is_found_and_the_sample_named(fault: str, sound: Path) -> None:
    name, value, message = FAULTS[fault]
    damage(sound, name, 2, value)
    found = list(verify(sound))
    assert found and all("sample 6" in line for line in found)
    assert any(re.search(message, line) for line in found), found


def test_landmarks_off_the_surface_are_found(sound: Path) -> None:
    with h5py.File(sound / SHARD) as file:
        points = file["landmarks_3d"][2]
    damage(sound, "landmarks_3d", 2, points * 0.97)  # 3 cm along the ray: same pixels, other depth
    assert any("sample 6, depth: -" in line for line in verify(sound))


def test_a_flipped_bit_is_found_by_checksum(sound: Path) -> None:
    data = bytearray((sound / SHARD).read_bytes())
    data[len(data) // 2] ^= 1
    (sound / SHARD).write_bytes(data)
    assert any("checksum" in line and "shard-000001" in line for line in verify(sound))


def test_any_damage_ends_in_faults_not_in_a_crash(sound: Path) -> None:
    good, rng = (sound / SHARD).read_bytes(), np.random.default_rng(0)
    for k in range(60):
        data = bytearray(good)
        for place in rng.integers(len(data) if k % 2 else 8000, size=3):
            data[place] ^= 1 << rng.integers(8)
        (sound / SHARD).write_bytes(data[: rng.integers(len(data))] if k % 6 == 5 else data)
        assert any("shard-000001.h5: checksum" in line for line in verify(sound))


def test_missing_and_truncated_shards(sound: Path) -> None:
    (sound / "shards/shard-000002.h5").unlink()
    (sound / SHARD).write_bytes((sound / SHARD).read_bytes()[:1000])
    found = list(verify(sound))
    assert "shards/shard-000002.h5: missing" in found
    assert any(line.startswith("shards/shard-000001.h5: cannot be read as HDF5") for line in found)


def test_wrong_type_and_shape_are_found(sound: Path) -> None:
    with h5py.File(sound / SHARD, "r+") as file:
        del file["gaze"], file["alpha"], file["pupils_2d"]
        file["gaze"] = np.zeros((4, 2, 3), np.float64)
        file["pupils_2d"] = np.zeros((4, 3, 2), np.float32)
    found = "\n".join(verify(sound))
    assert "gaze: type float64, expected float32" in found
    assert "pupils_2d: shape (4, 3, 2), expected (4, 2, 2)" in found
    assert "alpha: missing" in found


def test_an_index_that_does_not_add_up_is_found(sound: Path) -> None:
    index = json.loads((sound / "dataset.json").read_text())
    index["n_samples"] = 11
    (sound / "dataset.json").write_text(json.dumps(index))
    assert "dataset.json: n_samples is 11, the shards hold 10" in list(verify(sound))


def test_no_data_set_or_half_an_index(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset.json"):
        list(verify(tmp_path))
    (sound / "dataset.json").write_text('{"schema_version": 1, "shards": []}')
    for read in (DatasetReader, lambda out: list(verify(out))):
        with pytest.raises(DatasetError, match=r"damaged \(name, created, .* missing\); delete it and run"):
            read(sound)
