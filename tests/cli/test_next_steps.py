"""What a command prints as its next step works on what it made."""

import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.datasets.made_up import make_300w

ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    "train-multitask": "--steps 2 --set workers=0 --set batch=4",
    "label-finetune": "--steps 2 --set workers=0",
}


def run(line: str, folder: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "synthforge", *shlex.split(line)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def next_steps(text: str) -> list[str]:
    """Commands after `next:`, without the program's name."""
    lines = [line.removeprefix("next: synthforge ") for line in text.splitlines() if "next: " in line]
    assert not any("next: " in line for line in lines), lines
    return lines


def follow(line: str, folder: Path) -> list[str]:
    """Run a command, then what it prints as next step, and so on; returns the commands."""
    done = []
    while line:
        name = line.split()[0]
        assert name not in done, done
        done.append(name)
        steps = next_steps(run(f"{line} {QUICK.get(name, '')}", folder))
        assert len(steps) <= 1
        line = steps[0] if steps else ""
    return done


@pytest.mark.slow
def test_each_next_step_of_the_quickstart_works(tmp_path):
    lines = (ROOT / "scripts/quickstart").read_text().splitlines()
    commands = [line.split("bin/synthforge ")[1] for line in lines if "bin/synthforge " in line]
    assert [command.split()[0] for command in commands] == ["generate", "report"]
    made = run(commands[0].replace("--n 64", "--n 8") + " --resolution 64", tmp_path)
    assert next_steps(made) == [commands[1]]  # which the quickstart runs itself
    run(f"render out/quickstart 0 --out {tmp_path / 'PICTURE.jpg'}", tmp_path)
    chain = follow(commands[1], tmp_path)
    assert chain == ["report", "train-multitask", "evaluate", "export-model", "predict"]
    assert next_steps(run("verify out/quickstart", tmp_path)) == [commands[1]]
    for line in next_steps(run("attributes", tmp_path)) + next_steps(run("config list", tmp_path)):
        run(line + (" --resolution 32" if "generate" in line else ""), tmp_path)


@pytest.mark.slow
def test_each_next_step_on_photographs_works(tmp_path):
    make_300w(tmp_path / "300W")
    cv2.imwrite(str(tmp_path / "PICTURE.jpg"), cv2.imread(str(next((tmp_path / "300W").rglob("*.png")))))
    chain = follow("dataset check --layout 300w --data 300W", tmp_path)
    assert chain == ["dataset", "label-finetune", "evaluate", "export-model", "predict"]
