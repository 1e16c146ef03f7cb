"""A run's bytes depend on (config, n) alone: not on workers, kills, order or resuming."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthforge.errors import AssetError, DatasetError, SynthforgeError
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeBatches, FakeConfig, FakeSource, fake_frame

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = """
import resource, signal, sys
from pathlib import Path
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource
"""
SCRIPT = (
    IMPORTS
    + """
if __name__ == "__main__":
    source = FakeSource(seconds=0.05)
    show = lambda *counts: print(*counts, flush=True)
    run(source, FakeConfig(), Path(sys.argv[1]), int(sys.argv[2]), workers=2, progress=show)
"""
)
FULL_DISK = (
    IMPORTS
    + """
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run(FakeSource(), FakeConfig(), Path(sys.argv[1]), 16, workers=0)
"""
)


def fingerprint(out: Path) -> dict[str, str]:
    """Hash of every file but the index's time of creation."""
    hashes = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (out / "shards").iterdir()}
    index = json.loads((out / "dataset.json").read_text())
    index.pop("created")
    return hashes | {"config": (out / "config.yaml").read_text(), "index": json.dumps(index)}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(FakeSource(), FakeConfig(), out, n=20, workers=0)
    return out


def test_every_sample_is_the_sources(uninterrupted: Path) -> None:
    reader = DatasetReader(uninterrupted)
    assert [shard["n_samples"] for shard in reader.shards] == [8, 8, 4]
    for i, sample in enumerate(reader):
        frame = fake_frame(0, i)
        assert sample["index"] == i
        assert (sample["rgb"] == frame.rgb).all()
        assert (sample["landmarks_3d"] == frame.landmarks_3d).all()
    assert reader.index["rejected"] == {"too small": 4}
    assert reader.column("attempt").tolist() == [int(i % 5 == 3) for i in range(20)]


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(
    workers: int, uninterrupted: Path, tmp_path: Path
) -> None:
    time.sleep(1.1)  # so that a stored time would show
    run(FakeSource(seconds=0.01), FakeConfig(), tmp_path / "x", n=20, workers=workers)
    assert fingerprint(tmp_path / "x") == fingerprint(uninterrupted)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_drawn_in_the_parent_and_begin_anew_with_every_shard(
    workers: int, uninterrupted: Path, tmp_path: Path
) -> None:
    source = FakeBatches(seconds=0.01)
    run(source, FakeConfig(), tmp_path / "x", n=20, workers=workers)
    batches = [(0, 1, 2), (3, 4, 5), (6, 7), (8, 9, 10), (11, 12, 13), (14, 15), (16, 17, 18), (19,)]
    assert source.drawn == batches
    assert fingerprint(tmp_path / "x") == fingerprint(uninterrupted)


def test_a_batch_that_cannot_be_drawn_ends_the_run_with_its_name(tmp_path: Path) -> None:
    for workers in (0, 1):
        with pytest.raises(SynthforgeError, match=r"samples 8 to 10: ValueError: no device \(fake_source"):
            run(FakeBatches(fail_at=9), FakeConfig(), tmp_path / f"x{workers}", n=20, workers=workers)
        assert [p.name for p in (tmp_path / f"x{workers}" / "shards").iterdir()] == ["shard-000000.h5"]


def test_a_worker_that_fails_stops_the_drawing(tmp_path: Path) -> None:
    source = FakeBatches(die_at=2)
    with pytest.raises(SynthforgeError, match="a worker process died"):
        run(source, FakeConfig(), tmp_path / "x", n=20000, workers=1)
    assert len(source.drawn) < 50


def test_killed_at_any_moment_it_resumes_to_the_same_bytes(uninterrupted: Path, tmp_path: Path) -> None:
    script = tmp_path / "go.py"
    script.write_text(SCRIPT)
    out = tmp_path / "x"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(out), "20"]
    for kill_at in (0, 3, 8, 9, 17):  # samples present when the whole process group is killed
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        for line in process.stdout:
            if int(line.split()[0]) >= kill_at:
                break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True).returncode == 0
    assert fingerprint(out) == fingerprint(uninterrupted)


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "go.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "x"), "2000"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    for line in process.stdout:
        if int(line.split()[0]) >= 2:
            break
    process.kill()  # the parent alone
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)  # raises once the group is empty
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("workers outlived their parent")


def test_resuming_keeps_published_shards_untouched(uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    run(FakeSource(), FakeConfig(), out, n=8, workers=0)
    first = out / "shards/shard-000000.h5"
    before = first.stat()
    (out / "shards/shard-000001.h5.tmp").write_bytes(b"half")
    run(FakeSource(), FakeConfig(), out, n=20, workers=0)
    after = first.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert fingerprint(out) == fingerprint(uninterrupted)
    made = run(FakeSource(fail_at=0), FakeConfig(), out, n=20, workers=0)
    assert (made.n_made, made.missing) == (0, 0)


def test_a_finished_set_can_be_extended_past_its_short_shard(tmp_path: Path) -> None:
    out = tmp_path / "x"
    run(FakeSource(), FakeConfig(), out, n=5, workers=0)
    run(FakeSource(), FakeConfig(), out, n=15, workers=0)
    reader = DatasetReader(out)
    assert [s["n_samples"] for s in reader.shards] == [5, 8, 2]
    assert reader.column("index").tolist() == list(range(15))
    assert (reader[5]["rgb"] == fake_frame(0, 5).rgb).all()
    with pytest.raises(DatasetError, match="beyond the 5 asked for"):
        run(FakeSource(), FakeConfig(), out, n=5, workers=0)


def test_shards_made_apart_equal_a_whole_run(uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    summary = run(FakeSource(), FakeConfig(), out, n=20, workers=0, shards=(1, 2))
    assert (summary.n_made, summary.missing) == (8, 2)
    assert not (out / "dataset.json").exists()
    run(FakeSource(), FakeConfig(), out, n=20, workers=0, shards=(2, 3))
    run(FakeSource(), FakeConfig(), out, n=20, workers=0, shards=(0, 1))
    assert fingerprint(out) == fingerprint(uninterrupted)


def test_a_lost_index_is_rebuilt(uninterrupted: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    run(FakeSource(), FakeConfig(), out, n=20, workers=0)
    (out / "dataset.json").unlink()
    run(FakeSource(fail_at=0), FakeConfig(), out, n=20, workers=0)
    assert fingerprint(out) == fingerprint(uninterrupted)


def test_another_configuration_is_refused_naming_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x"
    run(FakeSource(), FakeConfig(), out, n=4, workers=0)
    before = fingerprint(out)
    with pytest.raises(DatasetError, match=r"seed: 0, now 1; nested\.a: 1, now 2"):
        run(FakeSource(), FakeConfig(seed=1, nested={"a": 2}), out, n=4, workers=0)
    for span in (None, (1, 2)):
        with pytest.raises(DatasetError, match="another generator"):
            run(FakeSource(generator={"backend": "b"}), FakeConfig(), out, n=9, workers=0, shards=span)
    with monkeypatch.context() as patch, pytest.raises(DatasetError, match="another synthforge_version"):
        patch.setattr("synthforge.storage.shards.__version__", "99")
        run(FakeSource(), FakeConfig(), out, n=9, workers=0)
    assert fingerprint(out) == before


def test_a_run_that_made_nothing_claims_nothing(tmp_path: Path, uninterrupted: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(SynthforgeError, match="sample 0"):
        run(FakeSource(fail_at=0), FakeConfig(seed=9), out, n=20, workers=0)
    with pytest.raises(DatasetError, match="seed: 9, now 0"):  # other runs of the array may be at work
        run(FakeSource(), FakeConfig(), out, n=20, workers=0, shards=(0, 1))
    run(FakeSource(), FakeConfig(), out, n=20, workers=0)
    assert fingerprint(out) == fingerprint(uninterrupted)


def test_a_strangers_config_is_left_alone(tmp_path: Path) -> None:
    for text in ("model: mine\n", ""):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(DatasetError):
            run(FakeSource(), FakeConfig(), tmp_path, n=4, workers=0)
        assert (tmp_path / "config.yaml").read_text() == text


def test_a_strangers_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match="not a synthforge data set .*thesis.tex"):
        run(FakeSource(), FakeConfig(), tmp_path, n=4, workers=0)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failing_sample_is_named_and_finished_shards_stay(
    workers: int, uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x"
    with pytest.raises(SynthforgeError, match=r"^sample 13: ValueError: no face \(fake_source.py:\d+\)$"):
        run(FakeSource(fail_at=13), FakeConfig(), out, n=20, workers=workers)
    assert [p.name for p in (out / "shards").iterdir()] == ["shard-000000.h5"]
    assert len(DatasetReader(out)) == 8
    run(FakeSource(), FakeConfig(), out, n=20, workers=0)
    assert fingerprint(out) == fingerprint(uninterrupted)


def test_a_worker_that_dies_ends_the_run_with_one_error(tmp_path: Path) -> None:
    with pytest.raises(SynthforgeError, match="a worker process died"):
        run(FakeSource(die_at=9), FakeConfig(), tmp_path / "x", n=20, workers=2)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    def second(done: int, total: int) -> None:
        if done == 2:
            with pytest.raises(DatasetError, match="being written by another run"):
                run(FakeSource(), FakeConfig(), tmp_path / "x", n=4, workers=0)

    run(FakeSource(), FakeConfig(), tmp_path / "x", n=4, workers=0, progress=second)


def test_unwritable_and_full_disks_name_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file/x: cannot be used"):
        run(FakeSource(), FakeConfig(), tmp_path / "file/x", n=4, workers=0)
    out = tmp_path / "full"
    run(FakeSource(), FakeConfig(), out, n=8, workers=0)
    before = fingerprint(out)
    command = [sys.executable, "-c", FULL_DISK, str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "shard-000001.h5: cannot be written" in done.stderr, done.stderr
    assert done.returncode == 1  # not by a signal: HDF5 does not crash at the end
    assert fingerprint(out) == before
    run(FakeSource(), FakeConfig(), out, n=16, workers=0)
    assert len(DatasetReader(out)) == 16


def test_a_missing_ray_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AssetError, match=r'ray is not installed; pip install "synthforge\[ray\]"'):
        run(FakeSource(), FakeConfig(), tmp_path / "x", 4, engine="ray")
