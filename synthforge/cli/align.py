"""synthforge align: fit the affine between the meshes and the volumes of the installed checkpoint."""

from pathlib import Path

import click

from synthforge.cli.help import FILE, device_option, out_option
from synthforge.cli.out import require_writable


@click.command()
@click.option("--n", type=click.IntRange(2), default=64, help="Number of samples to fit on.")
@click.option(
    "--config", default="paper", metavar="YAML|NAME", help="Configuration that the samples come from."
)
@click.option("--seed", type=int, default=0, help="Another seed, other samples.")
@device_option
@click.option(
    "--batch-size",
    type=click.IntRange(0),
    default=0,
    help="Samples drawn at once; 0 takes what suits the device.",
)
@click.option("--detector", metavar="MODULE:FUNCTION", help="Your landmark detector: RGB image -> 68 x, y.")
@out_option("File to write; by default where generate looks for it.", FILE)
def align(
    n: int, config: str, seed: int, device: str, batch_size: int, detector: str | None, out: Path | None
) -> None:
    """Fit where the Next3D checkpoint has its faces, relative to the meshes it is given.

    Done once for each checkpoint; `generate` does it by itself if it was not.
    """
    from synthforge.cli.bars import bar
    from synthforge.cli.settings import resolve
    from synthforge.detector import load_detector
    from synthforge.generators.next3d.fit import affine_path, fit
    from synthforge.pipeline.config import GenerateConfig

    given = ["backend=next3d", "head=flame", f"seed={seed}"]
    resolved = resolve(GenerateConfig, config, given)
    path = out or affine_path()
    require_writable(path, folder=False)
    found = load_detector(detector) if detector else None
    with bar("sample", "aligning") as progress:
        drawn = resolved.settings, resolved.head, resolved.scene
        affine = fit(*drawn, n, seed, device, batch_size, found, progress)
    affine.save(path)
    for pose in affine.poses:
        click.echo(
            f"{pose.pose:>15}: {pose.before_mm:5.2f} mm before, {pose.after_mm:5.2f} mm after "
            f"({pose.n_samples} samples)"
        )
    click.echo(f"mesh to surface, median: {affine.before_mm:.2f} mm before, {affine.after_mm:.2f} mm after")
    click.echo(f"wrote {path}\nnext: synthforge generate --backend next3d")
