"""The run: pictures from every source, faces in batches, results on disk, and a summary."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from synthforge.errors import DatasetError
from synthforge.models.label_nets import state_sha256
from synthforge.models.store import StoredModel
from synthforge.prediction.boxes import Box, Detector, GivenBoxes
from synthforge.prediction.faces import FaceModel, crop_window, find_faces
from synthforge.prediction.sources import Picture, count_pictures, find_inputs, pictures
from synthforge.prediction.write import DEPTH_SCALE, DEPTH_ZERO, Outputs

MEANING = {
    "metric": "z from the camera",
    "relative": "z minus the median z of the head (a crop does not show the distance)",
}


@dataclass
class Summary:
    """What a run came to; `skipped` counts pictures without a face by (file, reason)."""

    pictures: int = 0
    faces: int = 0
    skipped: dict[tuple[str, str], int] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)

    def text(self) -> str:
        """The summary in a line or three."""
        lines = [f"{self.faces} faces in {self.pictures} pictures"]
        for reason in sorted({reason for _, reason in self.skipped}):
            files = [f"{file} ({n})" for (file, why), n in self.skipped.items() if why == reason]
            n = sum(n for (_, why), n in self.skipped.items() if why == reason)
            more = f", and {len(files) - 8} more" if len(files) > 8 else ""
            lines.append(f"{reason}: {n} pictures, skipped: {', '.join(files[:8])}{more}")
        if self.unreadable:
            lines.append(f"unreadable: {', '.join(map(str, self.unreadable))}")
        return "\n".join(lines)


def predict(
    model: StoredModel,
    paths: Sequence[Path],
    out: Path,
    find: GivenBoxes | Detector,
    overlay: bool = True,
    npy: bool = False,
    batch: int = 8,
    track: Callable[[Iterator[Picture], int], Iterable[Picture]] = lambda pictures, total: pictures,
) -> Summary:
    """Run `model` on images, folders and videos; writes `out/predictions.json` and what it names.

    Args:
        find: where the faces are.
        overlay: draw pictures and videos too.
        npy: store depth as NPY too.
        batch: pictures held in memory, whose faces go through the network together.
        track: wraps the loop (a progress bar); gets the expected number of pictures too.
    Raises:
        DatasetError: not one picture could be read.
    """
    inputs = find_inputs(paths, out)
    if not inputs:
        raise DatasetError("no image or video there", where=", ".join(map(str, paths)))
    target = model.net.config.depth_target
    net, summary = FaceModel(model), Summary()
    with Outputs(out, model.schema.colors, target, overlay, npy) as outputs:
        row = iter(track(pictures(inputs, summary.unreadable), count_pictures(inputs)))
        for group in _groups(row, batch):
            _run_group(group, find, net, outputs, summary)
    if not summary.pictures:
        names = ", ".join(map(str, summary.unreadable))
        raise DatasetError("cannot be read as images or videos", where=names)
    record = {
        "model": describe(model),
        "landmarks": "pixels of the upright picture; (0, 0) is the outer corner of its first pixel",
        "crop_scale": net.scale,
        "depth": {
            "meaning": MEANING[target],
            "unit": "m",
            "formula": f"(value - {DEPTH_ZERO[target]}) * {DEPTH_SCALE:g}; value 0: none",
        },
        "images": outputs.images,
        "videos": outputs.videos,
        "skipped": [{"file": f, "reason": why, "pictures": n} for (f, why), n in summary.skipped.items()],
        "unreadable": [str(path) for path in summary.unreadable],
    }
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / "predictions.json.tmp"
    temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
    temporary.replace(out / "predictions.json")
    return summary


def _groups(row: Iterator[Picture], size: int) -> Iterator[list[Picture]]:
    while group := list(islice(row, size)):
        yield group


def _run_group(
    group: list[Picture], find: GivenBoxes | Detector, net: FaceModel, outputs: Outputs, summary: Summary
) -> None:
    given = isinstance(find, GivenBoxes)
    found = [find(picture) for picture in group] if given else find_faces(net, find, group)
    boxes = [
        [b for b in row if _meets(b, picture, net.scale)] for picture, row in zip(group, found, strict=True)
    ]
    jobs = [(picture.rgb, box) for picture, row in zip(group, boxes, strict=True) for box in row]
    faces = iter(net([rgb for rgb, _ in jobs], [box for _, box in jobs]))
    for picture, candidates, row in zip(group, found, boxes, strict=True):
        outputs.add(picture, [next(faces) for _ in row])
        summary.pictures += 1
        summary.faces += len(row)
        if not row:
            key = str(picture.source.path), "box outside the picture" if candidates else find.reason
            summary.skipped[key] = summary.skipped.get(key, 0) + 1


def _meets(box: Box, picture: Picture, scale: float) -> bool:
    """Whether the crop of a box shows anything of the picture."""
    x0, y0, x1, y1 = crop_window(box, picture.rgb.shape[:2], scale)
    return x0 < x1 and y0 < y1


def describe(model: StoredModel) -> dict:
    """What identifies a model: its kind, classes, and a hash of its weights."""
    return {
        "kind": model.card["kind"],
        "sha256": state_sha256(model.net),
        "classes": list(model.schema.names),
    }
