"""synthforge assets: adding, listing and checking."""

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
    for kind in ASSETS.values():
        assert f"{kind.name}  not installed" in listed.output
        assert kind.license in listed.output and kind.published_at in listed.output
    checked = call("check")
    assert checked.exit_code == 0 and "not installed" in checked.output
    assert not (tmp_path / "none").exists()


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


def test_mistakes(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "store"))
    assert isinstance(call("add", "flame-2099", tmp_path).exception, ConfigError)
    assert isinstance(call("add", "ict-facekit", tmp_path).exception, AssetError)
    assert call("add", "ict-facekit", tmp_path / "absent").exit_code == 2
    assert not (tmp_path / "store").exists()
