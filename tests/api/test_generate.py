"""`synthforge.generate` writes what the command line writes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import synthforge
from synthforge.cli.generate import generate as command


def bytes_of(folder: Path) -> dict[str, str]:
    files = [*folder.glob("shards/*"), folder / "config.yaml"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_bytes_are_those_of_the_command(tmp_path):
    options = ["--n", "2", "--resolution", "48", "--seed", "5", "--set", "normals=false", "--workers", "0"]
    options += ["--set", "scene.attributes.eyeglasses={categorical: {none: 1, clear: 3}}"]
    done = CliRunner().invoke(command, [*options, "--out", str(tmp_path / "a")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    chosen = {"scene.attributes.eyeglasses": {"categorical": {"none": 1, "clear": 3}}}
    ds = synthforge.generate(out=tmp_path / "b", n=2, resolution=48, seed=5, normals=False, **chosen)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert len(ds) == 2 and "normals" not in ds.keys and ds[0]["rgb"].shape == (48, 48, 3)
    longer = synthforge.generate(out=tmp_path / "b", n=3, resolution=48, seed=5, normals=False, **chosen)
    assert len(longer) == 3 and np.array_equal(longer[1]["depth"], ds[1]["depth"])


def test_mistakes_are_those_of_the_command(tmp_path, untyped):
    with pytest.raises(synthforge.SynthforgeError, match="no such file or name: 'papers'"):
        synthforge.generate("papers", tmp_path / "c")
    with pytest.raises(synthforge.SynthforgeError, match="resolutoin"):
        synthforge.generate(out=tmp_path / "c", resolutoin=64)
    with pytest.raises(
        synthforge.SynthforgeError, match="generate: n: got 0; give a whole number, 1 or more"
    ):
        synthforge.generate(out=tmp_path / "c", n=0)
    for wrong in ({"n": "3"}, {"n": True}, {"workers": -2}, {"workers": 1.5}, {"batch_size": -1}):
        with pytest.raises(synthforge.SynthforgeError, match=f"generate: {[*wrong][0]}: got .*whole number"):
            synthforge.generate(out=tmp_path / "c", **wrong)
    with pytest.raises(synthforge.SynthforgeError, match="generate: out: expected a path, got 3"):
        synthforge.generate(out=3)
    assert not (tmp_path / "c").exists()
