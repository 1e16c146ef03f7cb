"""synthforge align: fit the affine between the meshes and the volumes of the installed checkpoint."""

from pathlib import Path

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
    from tqdm import tqdm

    from synthforge.config import config_path, load_config
    from synthforge.detector import load_detector
    from synthforge.generators.next3d.fit import affine_path, fit
    from synthforge.pipeline.config import GenerateConfig

    given = ["backend=next3d", "head=flame", f"seed={seed}"]
    resolved = load_config(GenerateConfig, config_path("generate", config), given)
    path = out or affine_path()
    found = load_detector(detector) if detector else None
    with tqdm(total=n, unit="sample", dynamic_ncols=True, desc="aligning") as bar:
        affine = fit(
            resolved.settings, resolved.head, resolved.scene, n, seed, device, batch_size, found,
            lambda done, total: bar.update(done - bar.n),
        )  # fmt: skip
    affine.save(path)
    for pose in affine.poses:
        click.echo(
            f"{pose.pose:>15}: {pose.before_mm:5.2f} mm before, {pose.after_mm:5.2f} mm after "
            f"({pose.n_samples} samples)"
        )
    click.echo(f"mesh to surface, median: {affine.before_mm:.2f} mm before, {affine.after_mm:.2f} mm after")
    click.echo(f"wrote {path}\nnext: synthforge generate --backend next3d")
