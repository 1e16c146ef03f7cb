"""The backend and the head of docs/extending.md, taken from its text and installed: the commands work."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from synthforge import conformance
from synthforge.api.renderer import Renderer
from synthforge.cli import main
from synthforge.config import load_config
from synthforge.errors import ConfigError
from synthforge.generators.registry import BACKENDS, backend_class
from synthforge.heads.registry import HEADS, load_head
from synthforge.pipeline.config import GenerateConfig
from synthforge.storage.reader import DatasetReader
from tests.helpers.packages import install

DOCUMENT = Path(__file__).parents[1] / "docs" / "extending.md"
FAULTY = '''
import numpy as np
from clay import Clay
from synthforge.attributes import Attribute
from synthforge.cameras.project import project
from synthforge.generators.base import Capabilities
from synthforge.heads.base import HeadModel
from synthforge.render.rasterize import rasterize
from synthforge.types import Render, VolumeView
import block


class Beside(Clay):
    """Labels 15 mm beside what is seen."""

    def draw(self, params, vertices):
        return [Render(r.rgb, r.vertices + np.float32([0.015, 0, 0])) for r in super().draw(params, vertices)]


class Mirrored(Clay):
    """Labels of the mirrored head."""

    def draw(self, params, vertices):
        return [Render(r.rgb, r.vertices * np.float32([-1, 1, 1])) for r in super().draw(params, vertices)]


class Unmoved(Clay):
    """Its volume shows the head elsewhere than its labels."""

    capabilities = Capabilities(moves_head=True)
    labels = np.float32([0, 0, 0])  # m

    def draw(self, params, vertices):
        return [self.one(p, v) for p, v in zip(params, vertices, strict=True)]

    def one(self, params, vertices):
        shown = vertices + Moved.labels
        seen = rasterize(project(shown, params.camera), self.head.faces, *params.camera.size)
        there = seen.face_index >= 0
        volume = VolumeView(there.astype(np.float32), np.where(there, seen.depth, 0).astype(np.float32), 0.0)
        return Render(self.image(params, shown), vertices + self.labels, volume=volume)


class Moved(Unmoved):
    """Its labels are where its volume is."""

    labels = np.float32([0.003, 0, 0.003])


class Restless(Clay):
    """Never the same image twice."""

    times = 0

    def image(self, params, vertices):
        Restless.times += 1
        return super().image(params, vertices) // 2 + Restless.times


class Entangled(Clay):
    """A sample's image shows how many were drawn with it."""

    def draw(self, params, vertices):
        return [Render(r.rgb // 2 + len(params), r.vertices) for r in super().draw(params, vertices)]


class Painted(Clay):
    """An attribute of its own, which colours the picture."""

    capabilities = Capabilities({"paint": Attribute("paint", "its coat", "white", words=("white", "blue"))})

    def image(self, params, vertices):
        white = params.attributes.get("paint") != "blue"
        return super().image(params, vertices) * np.uint8([white, white, 1])


class Untold(Clay):
    """Settings are not looked at."""

    class Config:
        def __init__(self, **given):
            self.wall = 10


def exchanged():
    """Landmarks numbered as in a mirror."""
    from synthforge.conventions import LANDMARK_FLIP

    head = block.load_block()
    head.landmarks_face = head.landmarks_face[LANDMARK_FLIP]
    head.landmarks_barycentric = head.landmarks_barycentric[LANDMARK_FLIP]
    return head


def agitated():
    """Other vertices each time it is loaded."""
    head = block.load_block()
    head.name = "agitated"
    head.vertices += 1e-5 * np.random.default_rng().normal()
    return head


def partless():
    return _block(part_names=np.array(["outside"] * 14))


def browless():
    return _block(face_class=np.zeros_like(block.load_block().face_class))


def _block(**other):
    with np.load(block.ASSET) as data:
        return HeadModel("plain", {name: data[name] for name in data.files} | other)


def inflated():
    head = block.load_block()
    forward = head.forward
    head.forward = lambda *inputs: 1.01 * forward(*inputs)
    return head
'''
BACKENDS_THERE = ("Beside", "Mirrored", "Unmoved", "Moved", "Restless", "Entangled", "Painted", "Untold")
POINTS = {
    "synthforge.backends": {n.lower(): f"faulty:{n}" for n in BACKENDS_THERE}
    | {"broken": "faulty:nothing", "number": "math:pi"},
    "synthforge.heads": {
        name: f"faulty:{name}" for name in ("exchanged", "inflated", "agitated", "partless", "browless")
    },
}


@pytest.fixture
def packages(tmp_path, monkeypatch) -> Path:
    """Folder with the documented packages, and one with planted faults, on sys.path."""
    folder = tmp_path / "site"
    text = DOCUMENT.read_text(encoding="utf-8")
    for section, name in (("A backend", "clay"), ("A head", "block")):
        section = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
        toml, code = (re.search(rf"```{kind}\n(.*?)```", section, re.S)[1] for kind in ("toml", "python"))
        assert len(code.splitlines()) < 60
        install(folder, f"synthforge-{name}", tomllib.loads(toml)["project"]["entry-points"])
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    install(folder, "faulty", POINTS)
    (folder / "faulty.py").write_text(FAULTY, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    for name in ("clay", "block", "faulty"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return folder


def call(*args: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


def test_the_commands_work_with_them(packages, tmp_path) -> None:
    data = tmp_path / "faces"
    options = ("--backend", "clay", "--head", "block", "--resolution", 64, "--codec", "png", "--workers", 0)
    call("generate", *options, "--n", 4, "--out", data, "--set", "wall=200")
    assert "is sound: 4 samples" in call("verify", data).output
    reader = DatasetReader(data)
    sample = reader.read(0)
    assert (sample["rgb"][sample["alpha"] == 0] == 200).all()
    assert set(reader.index["attributes"]) == {
        "complexion",
        "skin_tone",
        "expression",
    }  # seen, or what it is given
    assert reader.column("shape").shape == (4, 2)
    small = ("--set", "held_out=0", "--set", "fit.batch=2", "--set", "fit.workers=0")
    call("train-multitask", "--data", data, "--steps", 2, "--out", tmp_path / "run", *small)


@pytest.mark.parametrize("name", ["clay", "block", "moved", "raster", "anthro"])
def test_they_conform_and_ours_do(packages, name: str) -> None:
    states = [(state, check, why) for state, check, why in conformance.results(conformance.checks_of(name))]
    assert [state for state, *_ in states] == ["ok"] * len(states), states


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("beside", {"labels lie where the image shows the head"}),
        ("restless", {"the same parameters give the same image"}),
        ("entangled", {"what is drawn together does not matter"}),
        ("mirrored", {"labels lie where the image shows the head"}),
        ("unmoved", {"labels lie where the image shows the head"}),
        ("agitated", {"loaded twice it is the same, under its own name"}),
        ("browless", {"the embedded renderer draws it, and its labels are made"}),
        ("exchanged", {"left is the subject's left"}),
        ("inflated", {"zero parameters give the template"}),
    ],
)
def test_planted_faults_are_found(packages, name: str, failing: set[str]) -> None:
    failed = {
        check for state, check, _ in conformance.results(conformance.checks_of(name)) if state == "FAIL"
    }
    assert failing <= failed, failed


def test_the_suite_ends_as_its_checks_do(packages) -> None:
    good, bad = (CliRunner().invoke(conformance.main, [name]) for name in ("block", "inflated"))
    assert good.exit_code == 0 and "block conforms" in good.output and "FAIL" not in good.output
    assert bad.exit_code == 1 and "FAIL  zero parameters give the template: a vertex is" in bad.output
    nobody = CliRunner().invoke(conformance.main, ["nobody"])
    assert nobody.exit_code == 1 and "there is no backend or head 'nobody'" in nobody.output


def test_a_head_says_what_it_lacks_once(packages) -> None:
    told = CliRunner().invoke(conformance.main, ["partless"]).output
    assert told.count("head plain: has no part 'skin' in part_names (the outer triangles)") == 1, told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "faulty:nothing cannot be imported"),
        ("number", "is no subclass of synthforge.generators.base.Backend"),
        ("untold", "its Config is no dataclass"),
        ("plasticine", "unknown backend 'plasticine'; use one of: raster"),
    ],
)
def test_broken_backends_end_in_one_line(packages, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load_config(GenerateConfig, None, [f"backend={name}"])
    assert "\n" not in str(error.value)


def test_a_name_of_our_own_cannot_be_taken(packages) -> None:
    install(packages / "more", "taken", {"synthforge.backends": {"raster": "clay:Clay"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages / "more")
        with pytest.raises(ConfigError, match="both clay:Clay and .*:Raster are called 'raster'"):
            backend_class("raster")


def test_settings_of_another_backend_are_refused(packages) -> None:
    with pytest.raises(ConfigError, match="raster: settings of the backend raster, but the backend is clay"):
        GenerateConfig.from_plain({"backend": "clay", "raster": {"supersample": 3}}, "mine.yaml")
    assert load_config(GenerateConfig, None, ["supersample=3"]).settings.supersample == 3
    with pytest.raises(ConfigError, match=r"clay: wall: 300 is not in \[0, 255\]"):
        load_config(GenerateConfig, None, ["backend=clay", "wall=300"])
    with pytest.raises(ConfigError, match="the backend clay has no lens"):
        load_config(GenerateConfig, None, ["backend=clay", "scene.camera.lens={k1: 0.01}"])


def test_an_attribute_of_its_own_is_set_by_its_name(packages, tmp_path) -> None:
    small = ("--backend", "painted", "--n", 1, "--resolution", 32, "--codec", "png", "--workers", 0)
    wanted = ("--set", "paint=blue", "--set", "eyeglasses=clear")
    done = call("generate", *small, "--out", tmp_path / "x", *wanted)
    assert "note: the backend painted does not draw eyeglasses\n" in done.stderr
    sample = DatasetReader(tmp_path / "x").read(0)
    assert sample["attributes"] | {"paint": "blue"} == sample["attributes"]
    assert not sample["rgb"][..., :2].any() and sample["rgb"][..., 2].any()
    listed = call("attributes", "--backend", "painted").output
    assert listed.startswith("paint: its coat\n  word: white, blue\n") and "eyeglasses" not in listed
    file = tmp_path / "mine.yaml"
    file.write_text("base: default\nbackend: painted\nscene: {attributes: {headwear: cap}}\n")
    assert load_config(GenerateConfig, file).not_drawn(file, []) == ["headwear"]
    assert load_config(GenerateConfig, None, ["backend=painted"]).not_drawn("default", []) == []
    with pytest.raises(ConfigError, match="unknown value 'red'; use one of: white, blue"):
        load_config(GenerateConfig, None, ["backend=painted", "paint=red"])
    renderer = Renderer(backend="painted", resolution=32)
    assert not renderer.render(paint="blue").rgb[..., :2].any()
    with pytest.raises(ConfigError, match="the backend painted does not draw it; it draws: paint$"):
        renderer.render(eyeglasses="clear")


def test_a_configuration_with_its_backend_reads_back(packages) -> None:
    made = load_config(GenerateConfig, None, ["backend=clay", "head=block", "wall=7"])
    plain = made.to_plain()
    assert plain["clay"] == {"wall": 7} and "raster" not in plain and "settings" not in plain
    assert GenerateConfig.from_plain(plain, "again") == made
    assert np.isfinite(load_head("block").vertices.numpy()).all()
    assert "clay" in BACKENDS.points() and "block" in HEADS.points()
