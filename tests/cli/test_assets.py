"""synthforge assets: adding, listing and checking."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from synthforge.assets_store import ASSETS, asset_path, store_dir
from synthforge.cli import main
from synthforge.errors import AssetError, ConfigError
from tests.helpers.shared import shared_path


def call(*arguments):
    return CliRunner().invoke(main, ["assets", *map(str, arguments)])


def test_folder_of_the_store(monkeypatch):
    for name in ("SYNTHFORGE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert store_dir() == Path.home() / ".local" / "share" / "synthforge"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert store_dir() == Path("/data/synthforge")
    monkeypatch.setenv("SYNTHFORGE_HOME", "/mine")
    assert asset_path("ict-facekit") == Path("/mine/ict.npz")
    with pytest.raises(ConfigError, match="ict-facekit"):
        asset_path("nothing")


def test_empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "none"))
    listed = call("list")
    assert listed.exit_code == 0
    checked = call("check")
    assert checked.exit_code == 0
    for kind in ASSETS.values():
        assert f"{kind.name}  not installed" in listed.output
        assert kind.license in listed.output and kind.published_at in listed.output
        assert f"{kind.name}: not installed" in checked.output and kind.license in checked.output
        assert f"assets add {kind.name} " in checked.output
        for part in kind.parts:  # all that is missing, at once
            assert f"{part.file}: {part.purpose}; {part.published_at}" in checked.output
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", ASSETS.values(), ids=ASSETS)
def test_every_asset_has_its_functions(kind):
    module = import_module(kind.module)
    assert callable(getattr(module, f"install_{kind.key}")) and callable(getattr(module, f"check_{kind.key}"))
    assert kind.parts and kind.license and kind.published_at.startswith("https://")


def test_add_twice_then_check(ict_file, tmp_path, monkeypatch):
    store = tmp_path / "store"
    monkeypatch.setenv("SYNTHFORGE_HOME", str(store))
    source = shared_path("ict_facekit.npz")
    first = call("add", "ict-facekit", source)
    assert first.exit_code == 0, first.exception
    stored = store / "ict.npz"
    before = stored.stat().st_mtime_ns
    assert sorted(p.name for p in store.iterdir()) == ["ict.LICENSE.txt", "ict.npz"]
    assert "MIT License" in (store / "ict.LICENSE.txt").read_text()
    again = call("add", "ict-facekit", source)
    assert "already stored" in again.output and stored.stat().st_mtime_ns == before
    assert call("check").exit_code == 0
    with np.load(stored) as a, np.load(ict_file) as b:  # the same source gives the same arrays
        assert a.files == b.files
        for key in a.files:
            np.testing.assert_array_equal(a[key], b[key])

    stored.write_bytes(stored.read_bytes()[:5000])
    broken = call("check")
    assert broken.exit_code == 1 and "assets add ict-facekit" in broken.output


def test_next3d_from_its_pickle(tmp_path, monkeypatch):
    store = tmp_path / "store"
    monkeypatch.setenv("SYNTHFORGE_HOME", str(store))
    source = shared_path("tiny_official_format.pkl.gz")
    first = call("add", "next3d", source)
    assert first.exit_code == 0, first.exception
    assert f"next3d: stored in {store / 'next3d'}" in first.output and "512 px images" in first.output
    assert "licence: none stated" in first.output and "--backend next3d" in first.output
    assert "already stored" in call("add", "next3d", source).output
    assert "next3d  installed" in call("list").output
    checked = call("check")
    assert checked.exit_code == 0 and "next3d: ok, 512 px images" in checked.output
    weights = store / "next3d" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    broken = call("check")
    assert broken.exit_code == 1 and "damaged: weights.safetensors" in broken.output
    assert "flame: not installed" in broken.output  # the rest is told all the same
    assert call("add", "next3d", source).exit_code == 0 and call("check").exit_code == 0


def test_hostile_pickle_stops_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "store"))
    sentinel, path = tmp_path / "it-ran", tmp_path / "next3d_ffhq_512.pkl"
    path.write_bytes(b"cos\nsystem\n(Vtouch " + str(sentinel).encode() + b"\ntR.")
    result = call("add", "next3d", path)
    assert isinstance(result.exception, AssetError) and "os system" in str(result.exception)
    assert not sentinel.exists() and not (tmp_path / "store").exists()


def test_mistakes(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "store"))
    assert isinstance(call("add", "flame-2099", tmp_path).exception, ConfigError)
    assert isinstance(call("add", "ict-facekit", tmp_path).exception, AssetError)
    assert isinstance(call("add", "next3d", tmp_path).exception, AssetError)
    assert isinstance(call("add", "flame", tmp_path).exception, AssetError)
    assert isinstance(call("add", "next3d", tmp_path, tmp_path).exception, ConfigError)
    assert call("add", "ict-facekit", tmp_path / "absent").exit_code == 2
    assert call("add", "flame").exit_code == 2
    assert not (tmp_path / "store").exists()
