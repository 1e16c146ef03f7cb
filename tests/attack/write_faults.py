"""Every write, fsync, rename, open and close of a small run fails: what is published, what does it say?

    python -m tests.attack.write_faults SHARED/attack/write_faults.c [--every N]

A run of a small data set is repeated in forked processes, its samples remembered, with the injector of the
C file (LD_PRELOAD) armed for one position of one kind of call. It counts as wrong where a published file
holds other bytes than those of an undisturbed run, where the run ends well without the whole data set, where
it leaves with a signal of its own, or where the same run afterwards does not complete the data set.
"""

import argparse
import ctypes
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from synthforge.storage.run import run
from synthforge.storage.source import Sample
from tests.helpers.fake_source import FakeConfig, FakeSource

N_SAMPLES = 12  # two shards
OPERATIONS = ("write", "fsync", "rename", "open", "close", "trunc", "mkdir", "unlink", "flock")
ERRNO, KILL_BEFORE, KILL_AFTER, SHORT, KILL_HALFWAY = 0, 1, 2, 3, 5  # the injector's modes
FAULTS = {
    "ENOSPC": (errno.ENOSPC, ERRNO),
    "EIO": (errno.EIO, ERRNO),
    "short": (0, SHORT),
    "killed before": (0, KILL_BEFORE),
    "killed after": (0, KILL_AFTER),
    "killed halfway": (0, KILL_HALFWAY),
}
WRITES_ONLY = ("short", "killed halfway")


class Remembered(FakeSource):
    """Samples made once, so that only writing is repeated."""

    samples: dict[int, Sample] = {}

    def __call__(self, index: int) -> Sample:
        if index not in self.samples:
            self.samples[index] = super().__call__(index)
        return self.samples[index]


def held(out: Path) -> dict[str, str]:
    """What is published in a folder: hash of each file by name, the index without its time."""
    found = {}
    for path in out.rglob("*"):
        if path.is_file() and path.suffix != ".tmp":
            data = path.read_bytes()
            if path.name == "dataset.json":
                index = json.loads(data)
                index.pop("created")
                data = json.dumps(index).encode()
            found[path.name] = hashlib.sha256(data).hexdigest()
    return found


def attempt(out: Path, shim: ctypes.CDLL, fault: tuple[str, int, int, int, int] | None) -> int:
    """How the run ended in a process of its own: exit code, or minus the signal. All exit handlers run."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = 1
        if fault:
            shim.shim_arm(os.fsencode(out), fault[0].encode(), *fault[1:])
        try:
            run(Remembered(), FakeConfig(), out, N_SAMPLES, workers=0)
            code = 0
        except Exception:
            pass
        ctypes.CDLL(None).exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def counts(out: Path, shim: ctypes.CDLL) -> dict[str, int]:
    """How often an undisturbed run calls each operation."""
    shim.shim_arm(os.fsencode(out), b"none", 0, 0, 0, 0)
    run(Remembered(), FakeConfig(), out, N_SAMPLES, workers=0)
    shim.shim_disarm()
    return {name: shim.shim_count(name.encode()) for name in OPERATIONS}


def trials(n_calls: dict[str, int], every: int) -> Iterator[tuple[str, int, str, int]]:
    """(operation, position, fault, whether it lasts) for each `every`-th trial."""
    number = 0
    for operation, n in n_calls.items():
        for position in range(1, n + 1):
            for fault, (_, mode) in FAULTS.items():
                for lasting in (0, 1) if mode == ERRNO else (0,):
                    if operation == "write" or fault not in WRITES_ONLY:
                        if number % every == 0:
                            yield operation, position, fault, lasting
                        number += 1


def campaign(folder: Path, every: int = 1) -> tuple[Counter[str], list[str]]:
    """Run it in a process that has the injector loaded.

    Returns:
        how many trials ended how, and one line for every wrong one.
    """
    shim = ctypes.CDLL(None)
    whole = folder / "whole"
    n_calls = counts(whole, shim)
    truth = held(whole)
    totals, wrong = Counter({f"calls of {name}": n for name, n in n_calls.items()}), []
    for operation, position, fault, lasting in trials(n_calls, every):
        out = folder / "x"
        code = attempt(out, shim, (operation, position, *FAULTS[fault], lasting))
        found = held(out) if out.exists() else {}
        whole_set = found == truth
        # The index of an unfinished set names fewer shards: it is compared when the set is whole.
        bad = [name for name, sha in found.items() if name != "dataset.json" and truth.get(name) != sha]
        faults = [f"published wrong: {name}" for name in bad]
        if code == 0 and not whole_set:
            faults.append("exit code 0 without the data")
        if code < 0 and code != -signal.SIGKILL:
            faults.append(f"crashed by signal {-code}")
        if attempt(out, shim, None) != 0 or held(out) != truth or list(out.rglob("*.tmp")):
            faults.append("not completed by the same run afterwards")
        totals["trials"] += 1
        totals["exit code 0"] += code == 0
        for kind in {fault_of.partition(":")[0] for fault_of in faults}:
            totals[f"WRONG {kind}"] += 1
        totals["WRONG trials"] += bool(faults)
        lasts = " from then on" if lasting else ""
        wrong += [f"{operation} {position} {fault}{lasts}: {what}" for what in faults]
        shutil.rmtree(out, ignore_errors=True)
    return totals, wrong


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("source", type=Path, help="the injector's C file")
    arguments.add_argument("--every", type=int, default=1, help="only each N-th trial")
    given = arguments.parse_args()
    if not hasattr(ctypes.CDLL(None), "shim_arm"):  # start again with the injector loaded
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "write_faults.so"
            compiler = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(given.source), "-ldl"]
            subprocess.run(compiler, check=True, capture_output=True)
            again = [sys.executable, "-m", "tests.attack.write_faults", *sys.argv[1:]]
            sys.exit(subprocess.run(again, env=os.environ | {"LD_PRELOAD": str(library)}).returncode)
    with tempfile.TemporaryDirectory() as folder:
        totals, wrong = campaign(Path(folder).resolve(), given.every)
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(json.dumps(totals) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
