"""Does `synthforge predict` find the faces of annotated photographs, and none where there is none?

    PYTHONPATH=. python -m benchmarks.detection 300W-DIR [--model RUN]

Each photograph is searched as it is, and once more with its face painted over. A face counts as found where
its box overlaps the annotated points' box by more than half (intersection over union).
"""

from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from synthforge.datasets.w300 import W300Source
from synthforge.models.store import load_model
from synthforge.prediction.boxes import Box, Detector, overlap
from synthforge.prediction.faces import FaceModel, crop_window, find_faces
from synthforge.prediction.sources import Input, Picture


def painted_over(rgb: np.ndarray, box: Box) -> np.ndarray:
    """The picture with its mean colour on a square about the box that hair and chin lie in too."""
    x0, y0, x1, y1 = crop_window(box, rgb.shape[:2], 1.8)
    out = rgb.copy()
    out[y0:y1, x0:x1] = rgb.mean((0, 1)).astype(np.uint8)
    return out


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", default="shipped", show_default=True, type=click.Path(path_type=Path))
def main(folder: Path, model: Path) -> None:
    """Print how many faces are found, missed and mistaken."""
    net, detector = FaceModel(load_model(model)), Detector()
    found, missed, mistaken, imagined = 0, [], [], []
    photographs = W300Source([folder])
    for sample in tqdm((photographs[i] for i in range(len(photographs))), total=len(photographs)):
        source = Input(Path(sample.name), sample.name)
        [boxes], [none] = (
            find_faces(net, detector, [Picture(source, image)])
            for image in (sample.rgb, painted_over(sample.rgb, sample.box))
        )
        hit = bool(boxes) and overlap(boxes[0], sample.box) > 0.5
        found += hit
        missed += [sample.name] * (not boxes)
        mistaken += [sample.name] * (bool(boxes) and not hit)
        imagined += [sample.name] * bool(none)
    print(f"{len(photographs)} photographs: {found} faces found")
    print(f"{len(missed)} missed, {len(mistaken)} mistaken")
    print(f"with the face painted over: a face in {len(imagined)}")
    for what, names in {"missed": missed, "mistaken": mistaken, "imagined": imagined}.items():
        for name in names:
            print(what, name)


if __name__ == "__main__":
    main()
