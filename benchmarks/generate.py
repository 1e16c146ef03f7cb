"""Samples per second of `generate`, this checkout against another commit, in turn and in one run.

    python benchmarks/generate.py 2a27cb5 [--n 48] [--resolution 256] [--workers 2] [--rounds 5]

The other commit is taken out of the repository into a temporary folder. Each round generates the same
samples with both; the start of the processes counts, the compilation of kernels (in a run before) does not.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

HERE = Path(__file__).resolve().parents[1]


def seconds(checkout: Path, out: Path, n: int, resolution: int, workers: int) -> float:
    """Wall time of one whole `generate`."""
    path = os.pathsep.join(map(str, (checkout, checkout / "third_party")))
    command = [sys.executable, "-m", "synthforge", "generate", "--n", str(n), "--out", str(out)]
    command += ["--resolution", str(resolution), "--workers", str(workers)]
    start = time.perf_counter()
    subprocess.run(
        command, check=True, cwd=out.parent, capture_output=True, env=os.environ | {"PYTHONPATH": path}
    )
    return time.perf_counter() - start


@click.command()
@click.argument("commit")
@click.option("--n", default=48, show_default=True, help="Samples a run.")
@click.option("--resolution", default=256, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(commit: str, n: int, resolution: int, workers: int, rounds: int) -> None:
    """Time this checkout and COMMIT in turn."""
    with TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        other.mkdir()
        archive = subprocess.run(["git", "archive", commit], cwd=HERE, check=True, capture_output=True)
        subprocess.run(["tar", "-x"], cwd=other, check=True, input=archive.stdout)
        taken: dict[Path, list[float]] = {HERE: [], other: []}
        for round_ in range(rounds + 1):
            for checkout, times in taken.items():
                spent = seconds(checkout, Path(folder) / f"{checkout.name}-{round_}", n, resolution, workers)
                times.extend([spent] if round_ else [])  # the first round compiles
        ours, theirs = taken.values()
        for name, times in (("this checkout", ours), (commit, theirs)):
            print(f"{name}: {n / median(times):.2f} samples/s (median of {rounds})")
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        print(
            f"ratio of speeds, pair by pair: {ratios[0]:.2f} to {ratios[-1]:.2f}, median {median(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
