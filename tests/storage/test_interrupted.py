"""Two runs at a time, lost shards, locks, signals and stopped workers."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from synthforge.errors import DatasetError
from synthforge.storage import pool
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from synthforge.storage.shards import refusal, shard_attributes
from synthforge.storage.verify import verify
from tests.helpers.fake_source import FakeConfig, FakeSource
from tests.storage.test_run import ROOT, fingerprint

SCRIPT = """
import fcntl, os, sys
from pathlib import Path
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource

out, n, workers, span, locks = sys.argv[1:]
if locks == "no":
    def refuse(*_):
        raise OSError(37, "No locks available")
    fcntl.flock = fcntl.fcntl = refuse
if __name__ == "__main__":
    print("at work", flush=True)
    shards = tuple(int(part) for part in span.split(":")) if span else None
    show = lambda *counts: print(*counts, flush=True)
    run(FakeSource(seconds=0.02), FakeConfig(), Path(out), int(n), int(workers), shards, progress=show)
"""


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen:
    script = tmp_path / "go.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "x"), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(FakeSource(), FakeConfig(), out, n=20, workers=0)
    return fingerprint(out)


@pytest.mark.slow
@pytest.mark.parametrize(("span", "locks"), [("0:3", "yes"), ("0:3", "no"), ("", "no")])
def test_the_same_run_twice_at_a_time_makes_one_data_set(
    span: str, locks: str, whole: dict[str, str], tmp_path: Path
) -> None:
    runs = [start(tmp_path, "20", "0", span, locks) for _ in range(2)]
    said = [process.communicate(timeout=100)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], said
    assert fingerprint(tmp_path / "x") == whole
    if locks == "yes":
        assert sorted(text.count("waiting for it to end") for text in said) == [0, 1]
    else:
        assert all(text.count("\n") == 1 and "no file locks here" in text for text in said), said


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_said_once(
    number: int, whole: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "fcntl", refuse)
    run(FakeSource(), FakeConfig(), tmp_path / "x", n=20, workers=0)
    assert [os.strerror(number) in record.message for record in caplog.records] == [True]
    assert fingerprint(tmp_path / "x") == whole


def test_a_shard_that_another_run_published_meanwhile_is_kept(whole: dict[str, str], tmp_path: Path) -> None:
    run(FakeSource(), FakeConfig(), tmp_path / "other", n=20, workers=0)
    target = tmp_path / "x/shards/shard-000001.h5"

    def publish(done: int, total: int) -> None:
        if done == 12:
            shutil.copy(tmp_path / "other/shards/shard-000001.h5", target)

    run(FakeSource(), FakeConfig(), tmp_path / "x", n=20, workers=0, progress=publish)
    assert fingerprint(tmp_path / "x") == whole

    def foreign(done: int, total: int) -> None:
        if done == 12:
            shutil.copy(tmp_path / "other/shards/shard-000000.h5", tmp_path / "y/shards/shard-000001.h5")

    with pytest.raises(DatasetError, match="another first_index"):
        run(FakeSource(), FakeConfig(), tmp_path / "y", n=20, workers=0, progress=foreign)


@pytest.mark.parametrize("lost", [[1], [3], [0, 1], [1, 2], [0, 1, 2, 3]])
@pytest.mark.parametrize("index", [True, False])
def test_a_lost_short_shard_is_made_again(lost: list[int], index: bool, tmp_path: Path) -> None:
    config, out = FakeConfig(shard_size=4), tmp_path / "x"
    run(FakeSource(), config, out, n=5, workers=0)
    run(FakeSource(), config, out, n=10, workers=0)
    before = fingerprint(out)
    assert [shard["n_samples"] for shard in DatasetReader(out).shards] == [4, 1, 4, 1]
    for number in lost:
        (out / f"shards/shard-{number:06d}.h5").unlink()
    if not index:
        (out / "dataset.json").unlink()
    run(FakeSource(), config, out, n=10, workers=0)
    assert DatasetReader(out).column("index").tolist() == list(range(10))
    assert list(verify(out)) == []
    if len(lost) == 1:
        assert fingerprint(out) == before


def test_a_locked_shard_is_not_called_damaged(tmp_path: Path) -> None:
    out = tmp_path / "x"
    run(FakeSource(), FakeConfig(), out, n=8, workers=0)
    path = out / "shards/shard-000000.h5"
    with path.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for read in (
            lambda: run(FakeSource(), FakeConfig(), out, n=16, workers=0),
            DatasetReader(out).__iter__,
        ):
            with pytest.raises(DatasetError, match="is locked .*HDF5_USE_FILE_LOCKING=FALSE") as told:
                next(iter(read()))
            assert "damaged" not in str(told.value) and "move" not in str(told.value)
        assert any("HDF5_USE_FILE_LOCKING" in fault for fault in verify(out))
    assert list(verify(out)) == []


def test_a_shard_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = str(refusal(PermissionError(errno.EACCES, "Permission denied"), tmp_path / "a.h5"))
    assert said == f"{tmp_path}/a.h5: may not be read; change its permissions"
    assert "Input/output error" in str(refusal(OSError(errno.EIO, ""), tmp_path))
    assert refusal(OSError("file signature not found"), tmp_path) is None

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(h5py, "File", deny)
    with pytest.raises(DatasetError, match="may not be read; change its permissions"):
        shard_attributes(tmp_path / "a.h5")


def test_temporary_files_of_living_runs_stay(tmp_path: Path) -> None:
    shards = tmp_path / "x/shards"
    run(FakeSource(), FakeConfig(), tmp_path / "x", n=20, workers=0, shards=(0, 1))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living, gone = (f"shard-000001.h5.{os.uname().nodename}.{pid}.tmp" for pid in (os.getppid(), dead.pid))
    for name in (living, gone):
        (shards / name).write_bytes(b"half")
    run(FakeSource(), FakeConfig(), tmp_path / "x", n=20, workers=0, shards=(2, 3))
    assert {p.name for p in shards.iterdir()} == {"shard-000000.h5", "shard-000002.h5", living}


@pytest.mark.slow
def test_a_stopped_worker_is_noticed(
    whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "_PATIENCE", 0.3)
    stopped: list[int] = []

    def stop(done: int, total: int) -> None:
        if done == 2:
            workers = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-f", "spawn_main"], capture_output=True, text=True
            )
            stopped.append(int(workers.stdout.split()[0]))
            os.kill(stopped[0], signal.SIGSTOP)
            # another process lets it go on, after it was noticed
            subprocess.Popen(["sh", "-c", f"sleep 3; kill -CONT {stopped[0]}"])

    run(FakeSource(seconds=0.05), FakeConfig(), tmp_path / "x", n=20, workers=1, progress=stop)
    told = [record.message for record in caplog.records]
    assert told == [
        f"worker process {stopped[0]} is stopped (kill -CONT lets it go on); this run waits for it"
    ]
    assert fingerprint(tmp_path / "x") == whole


def test_the_hash_is_of_what_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte that changes after publishing is a fault to `verify`, not a new truth for the index."""
    path = tmp_path / "x/shards/shard-000000.h5"

    def spoil(done: int, total: int) -> None:
        if done == 9:
            (tmp_path / "x/dataset.json").unlink()
            data = bytearray(path.read_bytes())
            data[5000] ^= 1
            path.write_bytes(data)

    run(FakeSource(), FakeConfig(), tmp_path / "x", n=20, workers=0, progress=spoil)
    assert any("checksum" in fault for fault in verify(tmp_path / "x"))
    assert json.loads((tmp_path / "x/dataset.json").read_text())["n_samples"] == 20


def test_memory_that_runs_short_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HDF5 swallows when a small data set's handle dies is noticed."""
    close = h5py.File.close

    def lose(file: h5py.File) -> None:
        if file and file.mode == "r+" and "shape" in file:
            file["shape"][...] = 0
        close(file)

    monkeypatch.setattr(h5py.File, "close", lose)
    with pytest.raises(DatasetError, match="does not fit into memory"):
        run(FakeSource(), FakeConfig(), tmp_path / "x", n=8, workers=0)
    assert list((tmp_path / "x/shards").iterdir()) == []
