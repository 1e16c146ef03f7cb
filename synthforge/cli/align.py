"""synthforge align: fit the affine between the meshes and the volumes of the installed checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--n", type=click.IntRange(2), default=64, show_default=True, help="Samples to fit on.")
@click.option("--config", default="paper", show_default=True, metavar="YAML|NAME", help="What is sampled.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other samples.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--batch-size", type=click.IntRange(0), default=0, help="Default: by the device.")
@click.option("--detector", metavar="MODULE:FUNCTION", help="Your landmark detector: RGB image -> 68 x, y.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: where generate looks.")
def align(
    n: int, config: str, seed: int, device: str, batch_size: int, detector: str | None, out: Path | None
) -> None:
    """Fit where the Next3D checkpoint has its faces, relative to the meshes it is given.

    Done once for each checkpoint; `generate` does it by itself if it was not.
    """
    from synthforge.config import config_path, load_config
    from synthforge.detector import load_detector
    from synthforge.fit_alignment import affine_path
    from synthforge.generate_config import GenerateConfig

    given = ["backend=next3d", "head=flame", f"seed={seed}"]
    resolved = load_config(GenerateConfig, config_path("generate", config), given)
    path = out or affine_path()
    affine = fit_with_bar(resolved, n, device, batch_size, load_detector(detector) if detector else None)
    affine.save(path)
    for pose in affine.poses:
        click.echo(
            f"{pose.pose:>15}: {pose.before_mm:5.2f} mm before, {pose.after_mm:5.2f} mm after "
            f"({pose.n_samples} samples)"
        )
    click.echo(f"mesh to surface, median: {affine.before_mm:.2f} mm before, {affine.after_mm:.2f} mm after")
    click.echo(f"wrote {path}\nnext: synthforge generate --backend next3d")


def fit_with_bar(config: Any, n: int, device: str, batch_size: int, detector: Callable | None = None) -> Any:
    """`fit_alignment.fit` with a progress bar."""
    from tqdm import tqdm

    from synthforge.fit_alignment import fit

    with tqdm(total=n, unit="sample", dynamic_ncols=True, desc="aligning") as bar:
        return fit(config, n, device, batch_size, detector, lambda done, total: bar.update(done - bar.n))


def ensure_aligned(config: Any, device: str, batch_size: int) -> None:
    """Fit and keep the checkpoint's affine, if it was never fitted."""
    from dataclasses import replace

    from synthforge.config import config_path, load_config
    from synthforge.fit_alignment import affine_path
    from synthforge.generate_config import GenerateConfig

    path = affine_path()
    if not path.is_file():
        paper = load_config(GenerateConfig, config_path("generate", "paper"))
        same = replace(paper, backend=config.backend, head=config.head, neural=config.neural)
        fit_with_bar(same, 64, device, batch_size).save(path)
        click.echo(f"aligned the checkpoint: {path}")
