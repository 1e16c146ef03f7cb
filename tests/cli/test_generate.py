"""What users see of generate, verify and render."""

import json
import re
from importlib import import_module
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from synthforge.cli import main
from synthforge.cli.generate import resolved_config
from synthforge.errors import SynthforgeError
from synthforge.pipeline.config import GenerateConfig
from synthforge.storage.reader import DatasetReader
from tests.helpers.fake_source import FakeSource, fake_layout


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeSource]:
    """The command line over the analytic source, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def source(config: GenerateConfig, device: str, batch_size: int) -> FakeSource:
        return FakeSource(fake_layout(config.resolution, config.codec), seed=config.seed)

    monkeypatch.setattr("synthforge.pipeline.source.SceneSource", source)
    return FakeSource


def test_generate_says_where_and_what_next(fake: type[FakeSource]) -> None:
    result = call("generate", "--n", 5, "--resolution", 32, "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "made 5 samples in " in result.output and "samples/s" in result.output
    assert "5 samples in out/default (rejected draws: 1 too small)" in result.output
    assert "next: synthforge report out/default" in result.output
    again = call("generate", "--n", 5, "--resolution", 32, "--workers", 0)
    assert "made 0 samples" in again.output and again.exit_code == 0
    more = call("generate", "--n", 8, "--resolution", 32, "--workers", 0)
    assert "made 3 samples" in more.output and len(DatasetReader("out/default")) == 8


@pytest.mark.parametrize("compiled", [True, False])
def test_a_new_installation_says_that_it_compiles(fake: type[FakeSource], compiled, monkeypatch) -> None:
    monkeypatch.setattr(import_module("synthforge.render.rasterize"), "is_compiled", lambda: compiled)
    lines = call("generate", "--n", 2, "--resolution", 32, "--workers", 0).stdout.splitlines()
    assert [line.startswith("compiling, once") for line in lines[:2]] == [not compiled, False]


def test_options_and_set_reach_the_configuration(fake: type[FakeSource]) -> None:
    result = call(
        "generate", "--n", 3, "--seed", 7, "--codec", "png", "--shard-size", 2, "--workers", 0,
        "--resolution", 32, "--set", "name=mine", "--set", "scene.camera.azimuth_deg=10",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    index = json.loads(Path("out/mine/dataset.json").read_text())
    assert (index["seed"], len(index["shards"])) == (7, 2)
    assert "azimuth_deg: 10" in Path("out/mine/config.yaml").read_text()


def test_job_arrays(fake: type[FakeSource]) -> None:
    options = ("generate", "--n", 5, "--resolution", 32, "--shard-size", 2, "--workers", 0)
    result = call(*options, "--shards", "0:2")
    assert "1 shards of out/default are still to be made" in result.output
    result = call(*options, "--shards", "2:3")
    assert "5 samples in out/default" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "resolutoin=3"), "--set: unknown key 'resolutoin'; did you mean 'resolution'"),
        (("--resolution", 7), "resolution: 7 is not in"),
        (("--codec", "gif"), "codec: got 'gif'; use one of: jpeg, png, raw"),
        (("--config", "nosuch"), "no such file or name: 'nosuch'.*default.*paper"),
        (("--head", "nobody"), "^command line: head: unknown head 'nobody'; use one of: anthro, ict, flame"),
        (("--backend", "paint"), "^backend: unknown backend 'paint'; use one of: raster, pathtrace, next3d"),
        (("--backend", "pathtrace", "--spp", "0"), r"pathtrace: spp: 0 is not in \[4, 65536\]"),
        (("--views-per-identity", "0"), "views_per_identity: 0 is less than 1"),
        (
            ("--backend", "next3d", "--weights", "stolen"),
            "next3d: weights: got 'stolen'; use one of: released",
        ),
        (
            ("--set", "scene.attributes.hairstyle=bald"),
            "attributes: hairstyle: unknown attribute; use one of.*did you mean 'hair_style'",
        ),
        (
            ("--set", "scene.attributes.hair_style=mohawk"),
            "hair_style: unknown value 'mohawk'; use one of: bald",
        ),
        (("--set", "scene.attributes.hair_style=3"), "hair_style: unknown value 'a number'"),
        (("--set", "scene.attributes.skin_tone={uniform: [1, 100]}"), r"skin_tone: \[1, 100\] leaves"),
        (
            ("--set", "scene.attributes.skin_tone=pale"),
            "skin_tone: expected numbers from 1 to 10, got the word 'pale'",
        ),
    ],
)
def test_mistakes_end_in_one_line(fake: type[FakeSource], options: tuple, message: str) -> None:
    result = call("generate", "--workers", 0, *options)
    assert isinstance(result.exception, SynthforgeError)
    assert re.search(message, str(result.exception)), str(result.exception)
    assert "\n" not in str(result.exception) and not Path("out").exists()


@pytest.mark.parametrize("span", ["3", "2:1", "a:b", "-1:2"])
def test_wrong_spans(fake: type[FakeSource], span: str) -> None:
    result = call("generate", f"--shards={span}")
    assert result.exit_code == 2 and "expected A:B" in result.output


def test_verify_exits_by_what_it_finds(fake: type[FakeSource]) -> None:
    call("generate", "--n", 4, "--resolution", 32, "--workers", 0)
    result = call("verify", "out/default")
    assert result.exit_code == 0
    assert result.output == "out/default is sound: 4 samples checked\nnext: synthforge report out/default\n"
    shard = Path("out/default/shards/shard-000000.h5")
    shard.write_bytes(shard.read_bytes()[:-100])
    result = call("verify", "out/default")
    assert result.exit_code == 1
    assert "shards/shard-000000.h5: checksum" in result.output


def test_the_real_chain_on_the_embedded_head(tmp_path: Path) -> None:
    out = tmp_path / "real"
    result = call("generate", "--n", 2, "--resolution", 64, "--out", out, "--workers", 1)
    assert result.exit_code == 0, result.output
    result = call("verify", out)
    assert result.exit_code == 0, result.output
    picture = tmp_path / "one.png"
    result = call("render", out, 1, "--out", picture, "--labels")
    assert "equals the stored sample in every byte" in result.output, result.output
    assert cv2.imread(str(picture)).shape == (64, 5 * 64, 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("default", "raster", "anthro")),
        ({"head": "flame"}, ("paper", "raster", "flame")),
        ({"backend": "next3d"}, ("paper", "next3d", "flame")),
        ({"backend": "next3d", "head": "ict", "weights": "random"}, ("paper", "next3d", "ict")),
        ({"backend": "next3d", "weights": "random", "views_per_identity": 4}, ("paper", "next3d", "anthro")),
        ({"backend": "pathtrace", "spp": 7}, ("default", "pathtrace", "anthro")),
    ],
)
def test_the_backend_brings_its_configuration(options: dict, expected: tuple) -> None:
    made = resolved_config(None, options, ())
    assert (made.name, made.backend, made.head) == expected
    if options.get("weights"):
        assert (made.settings.weights, made.settings.alignment) == ("random", "analytic")
    assert made.scene.views_per_identity == options.get("views_per_identity", 1)
    assert getattr(made.settings, "spp", 7) == 7


@pytest.mark.slow
def test_next3d_with_random_weights_as_typed(tmp_path: Path) -> None:
    out = tmp_path / "x"
    options = ("--backend", "next3d", "--weights", "random", "--resolution", 128)
    result = call("generate", *options, "--n", 1, "--out", out, "--workers", 0)
    assert result.exit_code == 0, result.output
    assert call("verify", out).exit_code == 0
    assert DatasetReader(out).index["generator"]["weights"] == "random: the images are meaningless"
    assert call("report", out).exit_code == 0
    assert "Weights: random: the images are meaningless" in (out / "report.html").read_text()
    rendered = call("render", out, 0, "--out", tmp_path / "a.png")
    assert "equals the stored sample in every byte" in rendered.output


def test_next3d_without_its_files_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path))
    result = call("generate", "--backend", "next3d", "--out", tmp_path / "x")
    assert isinstance(result.exception, SynthforgeError)
    for name in ("next3d", "flame"):
        assert f"synthforge assets add {name} PATH" in str(result.exception)
    assert not (tmp_path / "x").exists()
