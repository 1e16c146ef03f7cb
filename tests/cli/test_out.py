"""Where results cannot be written is told before any work; signals end a run as Ctrl-C does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthforge.cli.out import require_writable
from synthforge.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PATH = f"{ROOT}{os.pathsep}{ROOT / 'third_party'}"
COMMANDS = {
    "generate": ("--n", "4"),
    "generate --preview": ("--n", "4"),
    "train-multitask": ("--data", "."),
    "label-finetune": ("--target", "300w", "--data", "."),
    "evaluate": ("--data", "."),
    "predict": ("picture.jpg",),
    "export-model": ("shipped",),
    "report": (".",),
    "study": ("gaps", "--test", "."),
    "render": (".", "0"),
    "gaps": ("--data", "."),
    "align": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_so_before_any_work(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = [*command.split(), *COMMANDS[command], "--out", "file/x"]
    done = subprocess.run(
        [sys.executable, "-m", "synthforge", *arguments], cwd=tmp_path, env=os.environ | {"PYTHONPATH": PATH},
        capture_output=True, text=True,
    )  # fmt: skip
    name = "file/x-preview.png" if "preview" in command else "file/x"
    assert done.returncode == 1 and done.stderr.startswith(f"error: --out: '{name}' cannot be written"), done
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_can_be_made_is_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("old")
    require_writable(Path("a/b/c"))
    require_writable(Path("a/b/c.html"), folder=False)
    require_writable(tmp_path)
    require_writable(Path("page.html"), folder=False)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "old"


@pytest.mark.parametrize(
    ("out", "folder", "why"),
    [
        ("page.html", True, "Not a directory"),
        ("page.html/x", False, "Not a directory"),
        ("folder", False, "Is a directory"),
        ("new/" + "x" * 300, True, "File name too long"),
        ("/proc/x/y", True, "cannot be written"),
        ("dangling/x", True, "cannot be written"),
    ],
)
def test_what_cannot_be_made_is_said(
    out: str, folder: bool, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=f"--out: .*{why}"):
        require_writable(Path(out), folder)
    assert (tmp_path / "page.html").read_text() == "old"


SCRIPT = """
import sys
from pathlib import Path
import synthforge.pipeline.source, synthforge.render.rasterize
from synthforge.cli import run
from tests.helpers.fake_source import FakeSource, fake_layout

if __name__ == "__main__":
    synthforge.render.rasterize.is_compiled = lambda: True
    synthforge.pipeline.source.SceneSource = lambda config, *_: FakeSource(
        fake_layout(config.resolution, config.codec), seed=config.seed, seconds=0.05
    )
    run()
"""


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_keep_finished_shards_and_end_in_one_line(
    number: signal.Signals, whole_group: bool, tmp_path: Path
) -> None:
    (tmp_path / "go.py").write_text(SCRIPT)
    command = [sys.executable, "go.py", "generate", "--n", "400", "--shard-size", "4"]
    command += ["--resolution", "32", "--workers", "1", "--out", "x"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": PATH}, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    shards = tmp_path / "x/shards"
    while process.poll() is None and not (tmp_path / "x/dataset.json").exists():
        time.sleep(0.01)
    os.killpg(process.pid, number) if whole_group else process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert said == "stopped; finished shards are kept in x. Run the same command again to go on.\n"
    assert "error:" not in errors
    held = sorted(p.name for p in shards.iterdir())
    assert held and held == [f"shard-{i:06d}.h5" for i in range(len(held))]
    deadline = time.monotonic() + 10  # the helper process of multiprocessing ends after its parent
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)
