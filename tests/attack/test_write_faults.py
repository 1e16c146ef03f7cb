"""A failed write at any place never publishes wrong data, nor ends well without the data."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.helpers.shared import shared_path


@pytest.mark.slow
def test_a_sample_of_all_faults_publishes_nothing_wrong() -> None:
    source = shared_path("attack/write_faults.c")
    if not shutil.which("cc"):
        pytest.skip("no C compiler for the injector")
    command = [sys.executable, "-m", "tests.attack.write_faults", str(source), "--every", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    totals = json.loads(done.stdout.splitlines()[-1])
    for name in ("write", "fsync", "rename", "open", "close"):
        assert totals[f"calls of {name}"] >= 4, totals
    assert totals["trials"] >= 90 and totals["exit code 0"] >= 1, totals
