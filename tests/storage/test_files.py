"""Files are published whole, as meant, or not at all."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from synthforge.errors import DatasetError
from synthforge.storage.files import publish, remove_stale

DATA = bytes(range(256)) * 64


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:1000]))
    assert publish(tmp_path / "x", DATA) == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / "x").read_bytes() == DATA


def _nothing(write: Callable, handle: int, data: memoryview) -> int:
    return 0


def _other(write: Callable, handle: int, data: memoryview) -> int:
    return write(handle, bytes(len(data)))


def _lost(write: Callable, handle: int, data: memoryview) -> int:
    return len(data)


def _full(write: Callable, handle: int, data: memoryview) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fault", [_nothing, _other, _lost, _full])
def test_other_bytes_than_meant_are_not_published(
    fault: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    write = os.write
    with (
        monkeypatch.context() as patch,
        pytest.raises(DatasetError, match="x: cannot be written .*free space"),
    ):
        patch.setattr(os, "write", lambda handle, data: fault(write, handle, data))
        publish(path, DATA)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("step", ["fsync", "close", "replace"])
def test_a_step_that_fails_is_said(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, pytest.raises(DatasetError, match="Input/output error"):
        patch.setattr(*((Path, step, fail) if step == "replace" else (os, step, fail)))
        publish(tmp_path / "x", DATA)
    assert list(tmp_path.iterdir()) == []


def test_only_files_of_dead_runs_are_stale(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    living, gone = f"x.h5.{host}.{os.getpid()}.tmp", f"x.h5.{host}.{dead.pid}.tmp"
    elsewhere, old, others = f"x.h5.other.{host}.{dead.pid}.tmp", "x.tmp", "thesis.tmp"
    for name in (living, gone, elsewhere, old, others):
        (tmp_path / name).touch()
    remove_stale(tmp_path, "x*", alone=False)
    # `other.HOST` is a name of another machine, which nobody here can ask
    assert {p.name for p in tmp_path.iterdir()} == {living, elsewhere, old, others}
    remove_stale(tmp_path, "x*", alone=True)
    assert {p.name for p in tmp_path.iterdir()} == {others}
