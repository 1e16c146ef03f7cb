"""What is to be looked at: images, folders and videos as one row of upright RGB pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

IMAGES = frozenset(".bmp .jpeg .jpg .png .ppm .tif .tiff .webp".split())
VIDEOS = frozenset(".avi .gif .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv".split())


@dataclass(frozen=True)
class Input:
    """A file, and the name its outputs go by: its path below the folder that was given, no suffix."""

    path: Path
    name: str

    @property
    def video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


@dataclass(frozen=True)
class Picture:
    """An image, or one frame of a video (`rate`: frames per second; 0 for an image)."""

    source: Input
    rgb: UInt8[np.ndarray, "h w 3"]
    frame: int = 0
    rate: float = 0.0


def find_inputs(paths: Sequence[Path], out: Path) -> list[Input]:
    """Files to look at: those given, and all images and videos below the folders given, sorted.

    A file named twice is taken once. Different files with one name get -2, -3, ... in turn; whatever
    lies below `out` was written by an earlier run and is left out.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            known = file.suffix.lower() in IMAGES | VIDEOS and out.resolve() not in file.resolve().parents
            if known or file == path:
                found.setdefault(file, file.relative_to(path if path.is_dir() else path.parent))
    inputs, taken = [], set()
    for file, relative in found.items():
        plain = name = relative.with_suffix("").as_posix()
        count = 1
        while name.lower() in taken:  # some file systems do not tell case apart
            count += 1
            name = f"{plain}-{count}"
        taken.add(name.lower())
        inputs.append(Input(file, name))
    return inputs


def count_pictures(inputs: Sequence[Input]) -> int:
    """How many pictures there will be; a video's header may be off by some frames."""
    captures = (cv2.VideoCapture(str(source.path)) for source in inputs if source.video)
    frames = sum(max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))) for capture in captures)
    return frames + sum(not source.video for source in inputs)


def pictures(inputs: Sequence[Input], unreadable: list[Path]) -> Iterator[Picture]:
    """Pictures of all inputs in turn, upright as viewers show them (orientation tags obeyed).

    Args:
        unreadable: files that give no picture are added to it.
    """
    for source in inputs:
        empty = True
        for picture in _frames(source) if source.video else _image(source):
            empty = False
            yield picture
        if empty:
            unreadable.append(source.path)


def _image(source: Input) -> Iterator[Picture]:
    image = cv2.imread(str(source.path), cv2.IMREAD_COLOR) if source.path.is_file() else None
    if image is not None:
        yield Picture(source, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _frames(source: Input) -> Iterator[Picture]:
    capture = cv2.VideoCapture(str(source.path))
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0  # a header that states none
    number = 0
    while True:
        more, frame = capture.read()
        if not more:
            capture.release()
            return
        yield Picture(source, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), number, rate)
        number += 1
