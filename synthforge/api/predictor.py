"""`synthforge.Predictor`: a model on pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float, UInt8

from synthforge.api.config import as_path
from synthforge.errors import AssetError, DatasetError
from synthforge.models.store import SHIPPED, load_model
from synthforge.prediction.boxes import Box, Detector
from synthforge.prediction.faces import Face, FaceModel, find_faces
from synthforge.prediction.predict import MEANING
from synthforge.prediction.sources import Input, Picture, pictures
from synthforge.prediction.write import draw, join
from synthforge.report.show import html, save

# Parts of a face among the 68 landmarks; sides are the subject's.
PARTS = {
    "jaw": slice(0, 17),
    "right_brow": slice(17, 22),
    "left_brow": slice(22, 27),
    "nose": slice(27, 36),
    "right_eye": slice(36, 42),
    "left_eye": slice(42, 48),
    "outer_lips": slice(48, 60),
    "inner_lips": slice(60, 68),
}


@dataclass(frozen=True)
class FoundFace:
    """One face: its box (x0, y0, x1, y1) and 68 landmarks in pixels of the picture, and how sure the model
    is of them (0 to 1)."""

    box: Box
    score: float
    landmarks: Float[np.ndarray, "68 2"]

    @property
    def parts(self) -> Mapping[str, Float[np.ndarray, "_p 2"]]:
        """The landmarks by part: `jaw`, `left_eye`, ..."""
        return {name: self.landmarks[part] for name, part in PARTS.items()}


@dataclass(frozen=True, repr=False)
class PictureLabels:
    """What a model sees in a picture, in the picture's own pixels.

    `faces` the largest first; `segmentation` class ids, whose names are `classes` (0 where no face is);
    `depth` metres, NaN where no face is (`Predictor.depth_meaning` says from where they count).
    """

    rgb: UInt8[np.ndarray, "h w 3"]
    faces: tuple[FoundFace, ...]
    segmentation: UInt8[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]
    classes: tuple[str, ...]
    colors: UInt8[np.ndarray, "c 3"]
    _faces: list[Face]

    def __repr__(self) -> str:
        height, width = self.rgb.shape[:2]
        return f"PictureLabels({width} x {height} px, {len(self.faces)} faces)"

    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Classes, boxes and landmarks over the picture."""
        return draw(self.rgb, self._faces, self.segmentation, self.colors)

    def save(self, path: Path | str) -> None:
        """Write `picture()` as PNG, JPEG or WebP, by the ending of the name.

        Raises:
            DatasetError: another ending, or the file cannot be written.
        """
        save(path, self.picture())

    def _repr_html_(self) -> str:
        return html(self.picture(), "classes, boxes and landmarks over the picture")


Image = Path | str | np.ndarray | torch.Tensor


class Predictor:
    """Finds faces and labels them, as `synthforge predict` does.

    Args:
        model: folder of a training run or its model file; default: the model in the package.
        device: "cpu", "cuda", ...; "auto": a GPU where there is one.
        all_faces: every face, not the largest alone.
    Raises:
        ConfigError: `model` is no path.
        AssetError: there is no model or no such device, or OpenCV has no face detector.
    """

    def __init__(self, model: Path | str = SHIPPED, device: str = "auto", all_faces: bool = False):
        self._given = model, device, all_faces
        path = as_path(model, "Predictor: model")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.device(str(device))
        except RuntimeError as error:
            what, fix = f"no device {device!r}", "use cpu, cuda or auto"
            raise AssetError(what, where="Predictor: device", fix=fix) from error
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise AssetError(
                "this machine or this PyTorch has no CUDA", where=f"device {device}", fix="use cpu"
            )
        self.model = load_model(path, device)
        self.classes = self.model.schema.names
        self.depth_meaning: str = MEANING[self.model.net.config.depth_target]
        self._net, self._detector = FaceModel(self.model), Detector(all_faces)

    def __reduce__(self) -> tuple[type["Predictor"], tuple[Path | str, str, bool]]:
        return Predictor, self._given  # OpenCV's detectors cannot be pickled

    @overload
    def __call__(self, images: Image) -> PictureLabels: ...
    @overload
    def __call__(self, images: Sequence[Image]) -> list[PictureLabels]: ...
    def __call__(self, images: Any) -> Any:
        """Labels of a picture, or of each of a list of them.

        Args:
            images: a file, or an array or tensor (uint8 h w 3, sRGB), or a list of these.
        Raises:
            DatasetError: a file cannot be read, or an array is no picture.
        """
        if not isinstance(images, list | tuple):
            return self([images])[0]
        shown = [_picture(image) for image in images]
        boxes = find_faces(self._net, self._detector, shown)
        jobs = [(picture.rgb, box) for picture, row in zip(shown, boxes, strict=True) for box in row]
        faces = iter(self._net([rgb for rgb, _ in jobs], [box for _, box in jobs]))
        found = ([next(faces) for _ in row] for row in boxes)
        return [self._labels(picture.rgb, row) for picture, row in zip(shown, found, strict=True)]

    def _labels(self, rgb: np.ndarray, faces: list[Face]) -> PictureLabels:
        ids, depth = join(faces, rgb.shape[:2])
        found = tuple(FoundFace(f.box, f.score, f.points.astype(np.float32)) for f in faces)
        return PictureLabels(rgb, found, ids, depth, self.classes, self.model.schema.colors, faces)


def _picture(image: Any) -> Picture:
    if isinstance(image, str | Path):
        if shown := list(pictures([Input(Path(image), "")], [])):
            return shown[0]
        raise DatasetError("cannot be read as a picture", where=str(image))
    rgb = np.asarray(image)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
        what = f"got {rgb.dtype} of shape {rgb.shape}"
        raise DatasetError(what, where="Predictor", fix="give a file or an array uint8 h w 3, sRGB")
    return Picture(Input(Path("array"), ""), np.ascontiguousarray(rgb))
