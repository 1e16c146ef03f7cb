"""What users see of configurations: mistakes told fast, attributes listed, configurations shown, previews."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from synthforge.attributes import ATTRIBUTES
from synthforge.cli import main
from synthforge.cli.bars import bar
from synthforge.cli.config import KINDS
from synthforge.config import config_path, from_dict, load_config, named_configs
from synthforge.pipeline.config import GenerateConfig
from synthforge.scene.distributions import Distribution
from synthforge.strict_yaml import parse

HEAVY = (
    "numpy",
    "torch",
    "numba",
    "scipy",
    "cv2",
    "h5py",
    "lightning",
    "pandas",
    "synthforge.pipeline.source",
)
MINE = "scene: {attributes: {sex: woman}}\n"


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def run_cli(*args: str) -> tuple[str, list[str], float]:
    """What the command prints, the heavy modules it imported, and seconds of processor time it took."""
    code = (
        "import sys\nfrom synthforge.cli import run\n"
        f"sys.argv = ['synthforge', *{args!r}]\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    *said, modules = done.stdout.splitlines()
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return "\n".join([*said, done.stderr]), eval(modules), seconds


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--set", "sex=woman"), ["sex", "'woman'", "female, male", "did you mean 'female'"]),
        (("--set", "skin_tone=dark"), ["skin_tone", "'dark'", "from 1 to 10"]),
        (("--set", "skin_tone=12"), ["skin_tone", "[12, 12]", "[1, 10]"]),
        (("--set", "eyeglases=clear"), ["'eyeglases'", "did you mean 'scene.attributes.eyeglasses'"]),
        (("--set", "roll_deg=3"), ["scene.camera.roll_deg", "scene.pose.roll_deg"]),
        (("--set", "seed=010"), ["--set seed", "010"]),
        (("--config", "mine.yaml"), ["mine.yaml", "sex", "'woman'", "did you mean 'female'"]),
        (("--config", "defualt"), ["'defualt'", "did you mean 'default'"]),
        (("--backend", "rastr"), ["backend", "'rastr'", "raster"]),
        (("--head", "antro"), ["head", "'antro'", "anthro"]),
    ],
)
def test_wrong_words_are_told_before_anything_heavy_is_imported(tmp_path, monkeypatch, args, told):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(MINE)
    tries = [run_cli("generate", *args) for _ in range(3)]
    said, heavy, _ = tries[0]
    assert "Traceback" not in said and said.strip().count("\n") == 0
    for part in told:
        assert part in said
    assert heavy == []
    assert min(seconds for _, _, seconds in tries) < 0.3


@pytest.mark.parametrize("args", [("attributes",), ("config", "list"), ("config", "show", "default")])
def test_looking_at_configurations_imports_nothing_heavy(args):
    assert run_cli(*args)[1] == []


def test_attributes_are_listed_with_words_ranges_and_what_draws_them():
    said = call("attributes").output
    assert "skin_tone: Monk scale, 1 is the lightest\n  number: 1 to 10\n" in said
    assert "  word: none, clear, tinted, sunglasses\n  in default: none 82 %, clear 11 %" in said
    rows = {row["name"]: row for row in json.loads(call("attributes", "--json", "--config", "paper").output)}
    assert list(rows) == list(ATTRIBUTES)
    paper = load_config(GenerateConfig, config_path("generate", "paper")).scene.attributes
    for name, about in ATTRIBUTES.items():
        row = rows[name]
        assert row["words"] == list(about.words) if about.words else row["range"] == [about.low, about.high]
        drawn = Distribution.from_plain(row["drawn"], name)
        assert drawn == paper.get(name, Distribution.from_plain(about.default, name))


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        (3, "always 3"),
        ("none", "always none"),
        ({"uniform": [0, 1]}, "evenly from 0 to 1"),
        ({"categorical": {"a": 1, "b": 3, "c": 0}}, "b 75 %, a 25 %"),
        ({"mixture": [{"weight": 3, "of": 0}, {"weight": 1, "of": {"normal": [1, 2]}}]},
         "75 %: always 0; 25 %: about 1, give or take 2"),
        ({"given": {"sex": {"female": 0, "male": 1}}}, "by sex: female: always 0; male: always 1"),
        ({"given": {"sex": {"female": {"given": {"age": {0: 1}}}, "male": 1}}}, "depends on age, sex"),
    ],
)  # fmt: skip
def test_distributions_in_words(plain, text):
    assert Distribution.from_plain(plain, "x").text == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_named_configuration_is_shown_so_that_it_loads_again(kind):
    listed = call("config", "list").output
    for name in named_configs(KINDS[kind][0]):
        if name == "published" or kind in ("train", "label") and (name == "label") != (kind == "label"):
            continue
        assert f"  {name} " in listed
        shown = call("config", "show", name, "--kind", kind)
        assert shown.exit_code == 0, shown.exception
        module, _, cls = KINDS[kind][1].partition(":")
        cls = getattr(__import__(module, fromlist=[cls]), cls)
        path = named_configs(KINDS[kind][0])[name]
        assert from_dict(cls, parse(shown.output, "shown"), "shown") == load_config(cls, path)


def test_a_shown_configuration_holds_what_is_set(tmp_path):
    shown = call("config", "show", "default", "--set", "eyeglasses=clear", "--set", "resolution=64").output
    plain = parse(shown, "shown")
    assert plain["resolution"] == 64 and plain["scene"]["attributes"]["eyeglasses"] == "clear"


def test_a_file_without_a_base_says_what_it_leaves(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nscene: {expression: smile}\n")
    said = call("config", "show", path).stderr
    assert said.startswith("note: mine.yaml names no base") and said.count("\n") == 1
    assert "scene.attributes (sex, age)" in said and "`base: default`" in said
    assert "scene.expression" not in said and " resolution" not in said
    path.write_text("base: default\nscene: {expression: smile}\n")
    shown = call("config", "show", path)
    assert shown.stderr == "" and shown.exit_code == 0
    assert len(parse(shown.stdout, "x")["scene"]["attributes"]) > 30
    assert call("config", "show", "paper").stderr == ""


def test_the_file_in_the_documents_works_as_they_say(tmp_path):
    document = (Path(__file__).resolve().parents[2] / "docs/distributions.md").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(document.split("```yaml\n")[1].split("```")[0])
    mine = load_config(GenerateConfig, path, ["pose.roll_deg=0", "age={uniform: [60, 80]}"])
    default = load_config(GenerateConfig, config_path("generate", "default"))
    changed = {k for k, v in mine.scene.attributes.items() if v != default.scene.attributes[k]}
    assert changed == {"eyeglasses", "age"} and list(mine.scene.attributes) == list(default.scene.attributes)
    assert mine.scene.attributes["age"].range == (60, 80) and mine.scene.camera.azimuth_deg.range == (-30, 30)
    assert mine.scene.camera.view_height == default.scene.camera.view_height
    assert mine.scene.pose.roll_deg.range == (0, 0) and mine.scene.pose.yaw_deg == default.scene.pose.yaw_deg


def test_a_preview_is_nine_faces_and_no_data_set(tmp_path):
    out = tmp_path / "faces"
    done = call("generate", "--preview", "--resolution", 32, "--out", out)
    assert done.exit_code == 0, done.exception
    picture = tmp_path / "faces-preview.png"
    assert f"wrote {picture}" in done.output and not out.exists()
    rgb = cv2.imread(str(picture))
    tiles = [rgb[y : y + 256, x : x + 256] for y in (6, 268, 530) for x in (6, 268, 530)]
    assert rgb.shape == (3 * 262 + 6, 3 * 262 + 6, 3)
    assert all(tile.std() > 10 for tile in tiles)
    assert len({tile.tobytes() for tile in tiles}) == 9


def test_a_bar_estimates_nothing_before_the_second_sample(monkeypatch):
    from tqdm import tqdm

    made, clock = [], [0.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    monkeypatch.setattr("tqdm.tqdm", lambda **how: made.append(tqdm(**how | {"disable": False})) or made[0])
    with bar("sample", file=open("/dev/null", "w"), mininterval=0) as progress:
        progress(4, 20)  # there before
        (shown,) = made
        shown._time = lambda: clock[0]
        shown.start_t = shown.last_print_t = 0.0
        clock[0] = 30.0  # loaded and compiled
        progress(5, 20)
        assert "00:00<?" in str(shown) and "5/20" in str(shown)
        for n in range(6, 11):
            clock[0] += 1.0
            progress(n, 20)
        assert "00:05<00:10" in str(shown) and "1.00sample/s" in str(shown)
