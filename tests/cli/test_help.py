"""Help is instant and complete; mistakes end in one line."""

import subprocess
import sys
import time

import pytest

from synthforge.cli import COMMANDS


def run(*args):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "synthforge", *args], capture_output=True, text=True)
    return done, time.perf_counter() - start


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_instant(command):
    args = [command, "--help"] if command else ["--help"]
    results = [run(*args) for _ in range(3)]
    done = results[0][0]
    assert done.returncode == 0, done.stderr
    assert (f"synthforge {command}" if command else "Commands:") in done.stdout or command in done.stdout
    assert min(seconds for _, seconds in results) < 0.5


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['synthforge', '--help']\n"
        "from importlib import import_module\n"
        "import synthforge.cli as c\n"
        "[import_module('synthforge.cli.' + m) for m, _ in c.COMMANDS.values()]\n"
        "print([m for m in ('torch', 'numba', 'cv2', 'h5py', 'lightning') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_mistake_is_one_line():
    done, _ = run("generate", "--n", "1", "--config", "no-such-config", "--out", "unused")
    assert done.returncode != 0
    assert "no-such-config" in done.stderr and "Traceback" not in done.stderr
