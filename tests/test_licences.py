"""The ledger names all there is, and what a data set or a model was made with follows it."""

import importlib
import json

import pytest
from click.testing import CliRunner

from synthforge.assets_store import ASSETS, asset_path
from synthforge.cli import main
from synthforge.licences import BUNDLED, ledger, of_dataset, of_training


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "store"))


def names(found):
    return [asset["name"] for asset in found]


def test_the_command_prints_the_ledger():
    said = CliRunner().invoke(main, ["licences", "--json"])
    assert [tuple(asset.values()) for asset in json.loads(said.output)] == [
        (a.name, a.licence, a.source, a.used_for) for a in ledger()
    ]
    text = CliRunner().invoke(main, ["licences"]).output
    assert all(f"{asset.name}: {asset.licence}\n" in text for asset in BUNDLED)


def test_assets_are_listed_once_they_are_added():
    assert not set(ASSETS) & {asset.name for asset in ledger()}
    for kind in ASSETS.values():
        path = asset_path(kind.name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        (added,) = (asset for asset in ledger() if asset.name == kind.name)
        assert (added.licence, added.source) == (kind.license, kind.published_at)


def test_a_plug_in_has_the_licence_of_its_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "cubes-1.0.dist-info"
    info.mkdir()
    metadata = "Metadata-Version: 2.4\nName: cubes\nVersion: 1.0\nLicense-Expression: MIT\n"
    (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text("[synthforge.heads]\ncube = cubes:head\n")
    importlib.invalidate_caches()
    (added,) = (asset for asset in ledger() if asset not in BUNDLED)
    assert (added.name, added.licence, added.source) == ("head cube", "MIT", "package cubes 1.0")
    assert of_dataset({"head": "cube", "backend": "raster"}, {})[0]["licence"] == "MIT"


def test_a_data_set_names_its_head_its_backend_and_the_users_images():
    plain = of_dataset({"head": "anthro", "backend": "raster"}, {"raster": {"backgrounds": None}})
    assert names(plain) == ["head anthro", "backend raster"]
    asset_path("ict-facekit").parent.mkdir()
    asset_path("ict-facekit").touch()
    other = of_dataset({"head": "ict", "backend": "pathtrace"}, {"pathtrace": {"backgrounds": "photos"}})
    assert names(other) == ["ict-facekit", "backend pathtrace", "backgrounds"]
    assert other[0]["licence"] == "MIT" and other[2]["source"] == "photos"
    unknown = of_dataset({"head": "sphere", "backend": "raster"}, {})[0]
    assert unknown["licence"] == "not stated"


def test_a_training_has_those_of_all_its_data_once():
    one = of_dataset({"head": "anthro", "backend": "raster"}, {})
    two = of_dataset({"head": "anthro", "backend": "pathtrace"}, {})
    both = ["head anthro", "backend raster", "backend pathtrace"]
    assert names(of_training([one, two], "geometry")) == both
    assert names(of_training([one, two], "300w")) == [*both, "points 300w"]
