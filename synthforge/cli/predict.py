"""`synthforge predict`."""

from pathlib import Path

import click

from synthforge.cli.out import require_writable


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    default="shipped",
    type=click.Path(path_type=Path),
    help="Folder of a training run, its model file, or the model in the package.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/predictions"), help="Folder of the results."
)
@click.option(
    "--boxes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Face boxes (CSV or JSON, docs/predict.md) in place of the detector.",
)
@click.option(
    "--all-faces",
    is_flag=True,
    help="Answer for every face that the detector finds, not for the largest alone.",
)
@click.option(
    "--overlay/--no-overlay", default=True, help="Whether to draw the answers into pictures and videos."
)
@click.option("--npy", is_flag=True, help="Store depth as float32 in NPY files too.")
@click.option(
    "--batch", type=click.IntRange(1), default=8, help="Number of pictures that are worked on at a time."
)
def predict(
    paths: tuple[Path, ...],
    model: Path,
    out: Path,
    boxes: Path | None,
    all_faces: bool,
    overlay: bool,
    npy: bool,
    batch: int,
) -> None:
    """Run a model on images, folders of them, and videos.

    Writes landmarks, classes and depth of each face in pixels of the picture.
    """
    require_writable(out)

    import torch
    from tqdm import tqdm

    from synthforge.models.store import load_model
    from synthforge.prediction.boxes import Detector, GivenBoxes
    from synthforge.prediction.predict import predict as run

    device = "cuda" if torch.cuda.is_available() else "cpu"
    stored = load_model(model, device)
    find = GivenBoxes(boxes) if boxes else Detector(all_faces)
    summary = run(
        stored, paths, out, find, overlay, npy, batch, lambda row, n: tqdm(row, total=n, unit="picture")
    )
    click.echo(summary.text())
    click.echo(f"results: {out}/predictions.json")
