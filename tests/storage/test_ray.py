"""`--engine ray`: the bytes of the local engine, errors in one line, and nothing left running."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource
from tests.storage.test_run import ROOT, fingerprint

SCRIPT = """
import sys
from pathlib import Path
from synthforge.errors import SynthforgeError
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource

if __name__ == "__main__":
    out, seen = Path(sys.argv[1]), []
    summary = run(
        FakeSource(), FakeConfig(), out / "ray", 20, engine="ray", progress=lambda *a: seen.append(a)
    )
    print(summary.n_made, summary.missing, seen[-1])
    try:
        run(FakeSource(fail_at=3), FakeConfig(), out / "failed", 20, engine="ray")
    except SynthforgeError as error:
        print(error)
    import ray
    print("running:", ray.is_initialized())
"""


def processes_with(mark: str) -> list[str]:
    """Command lines of the processes that carry a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended, or it is another user's
            continue
    return found


@pytest.mark.slow
def test_ray_makes_the_same_bytes_says_errors_in_a_line_and_ends(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    mark = f"SYNTHFORGE_TEST_MARK={tmp_path}"
    environment = os.environ | dict([mark.split("=", 1)])
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0] == "20 0 (20, 20)", done.stderr
    assert lines[1].startswith("sample 3: ValueError: no face") and lines[2:] == ["running: False"]
    assert processes_with(mark) == []
    run(FakeSource(), FakeConfig(), tmp_path / "local", n=20, workers=0)
    assert fingerprint(tmp_path / "ray") == fingerprint(tmp_path / "local")
