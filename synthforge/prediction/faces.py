"""A stored model on boxed faces: crops in batches, labels in the picture's own pixels out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from synthforge.conventions import LANDMARK_FLIP, N_LANDMARKS
from synthforge.datasets import geometry
from synthforge.datasets.sample import CROP_SCALE, Sample, points_box
from synthforge.datasets.source import SourceInfo
from synthforge.errors import DatasetError
from synthforge.models.hourglass import certainty
from synthforge.models.multitask import Prediction, normalise
from synthforge.models.store import StoredModel, trained_scale
from synthforge.prediction.boxes import Box, Detector, overlap
from synthforge.prediction.sources import Picture

CHUNK = 32  # crops that go through the network together
DOUBT = 3  # times as unsure as the network was on average of faces held out in training: not a face


@dataclass(frozen=True)
class Face:
    """Labels of one face, in pixels of its picture.

    `points` and their `certainty` as `score` (0 to 1); `ids` (the classes asked for, 0 beyond the crop) and
    `depth` (metres, NaN beyond the crop) of a window of the picture whose first pixel is `corner` (x, y);
    None where they were not asked for. `box` is what the crop was made from.
    """

    box: Box
    points: Float[np.ndarray, "p 2"]
    score: float
    corner: tuple[int, int]
    ids: UInt8[np.ndarray, "h w"] | None = None
    depth: Float[np.ndarray, "h w"] | None = None

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that `ids` and `depth` cover."""
        (x, y), (h, w) = self.corner, self.ids.shape
        return slice(y, y + h), slice(x, x + w)


def crop_window(box: Box, size: tuple[int, int], scale: float = CROP_SCALE) -> tuple[int, int, int, int]:
    """Pixels x0, y0, x1, y1 of a picture of `size` (h, w) that the crop of `box` touches; may be empty."""
    x0, y0, x1, y1 = box
    half = scale * max(x1 - x0, y1 - y0) / 2
    centre = np.array([x0 + x1, y0 + y1]) / 2
    low = np.clip(np.floor(centre - half), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(centre + half), 0, size[::-1]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


@dataclass(frozen=True)
class _Look:
    """What the network says about some crops, and the maps that cut them from their pictures."""

    answer: Prediction
    matrices: list[geometry.Affine]
    mirror: bool

    def points(self, i: int, size: int) -> Float[np.ndarray, "p 2"]:
        """In pixels of the picture."""
        points = self.answer.points[i].float().cpu().numpy().astype(float) * size
        points = points[LANDMARK_FLIP] if self.mirror else points
        return geometry.warp_points(points, geometry.invert(self.matrices[i]))

    def back(self, i: int, stride: int, corner: tuple[int, int]) -> geometry.Affine:
        """Map from the label maps to a window of the picture."""
        back = geometry.invert(self.matrices[i]) @ np.diag([stride, stride, 1.0])
        back[:, 2] -= corner
        return back


class FaceModel:
    """Runs a stored model on boxed faces, in crops as large as those it was trained on.

    Args:
        model: from `load_model`.
        info: what is wanted besides points, in which classes, and what the boxes are. Default: all that
            the model predicts, from boxes of landmarks.
        flip: average with the answer to the mirrored crop.
    Raises:
        DatasetError: the model's classes cannot be merged into those wanted.
    """

    def __init__(self, model: StoredModel, info: SourceInfo | None = None, flip: bool = False):
        self.net, self.size = model.net, model.net.config.input_size
        self.device = next(model.net.parameters()).device
        self.info = info or SourceInfo("model", model.schema, N_LANDMARKS, model.net.config.depth_target)
        self.sure = 1 - DOUBT * (1 - model.certainty)  # from here on a candidate is a face
        self.scale = trained_scale(model.card, **self.info.framing)
        self.tasks = sorted({"points", *self.info.tasks})
        self.mirrors = (False, True) if flip else (False,)
        self.as_is = model.schema.names == self.info.schema.names
        self.table = self.info.schema.merge(model.schema.names)
        if self.table is None:
            what = f"model predicts {', '.join(model.schema.names[:6])}, ..."
            raise DatasetError(what, where="--model", fix="give one with our classes")

    def __call__(
        self, rgb: Sequence[UInt8[np.ndarray, "_h _w 3"]], boxes: Sequence[Box], whole: bool = False
    ) -> list[Face]:
        """The face in each box; box i lies in picture i (one picture may stand there many times).

        Args:
            whole: labels of the whole picture, not only of the part that the crop shows.
        """
        faces = []
        for part in _chunks(len(boxes)):
            looks = [self._look(rgb[part], boxes[part], self.tasks, mirror) for mirror in self.mirrors]
            for i, (image, box) in enumerate(zip(rgb[part], boxes[part], strict=True)):
                size = image.shape[:2]
                window = (0, 0, size[1], size[0]) if whole else crop_window(box, size, self.scale)
                faces.append(self._face(looks, i, box, window))
        return faces

    def label(self, sample: Sample) -> Face:
        """The labels of an annotated photograph, for all of its pixels."""
        return self([sample.rgb], [sample.box], whole=True)[0]

    def look_closer(
        self, rgb: Sequence[UInt8[np.ndarray, "_h _w 3"]], boxes: Sequence[Box]
    ) -> list[tuple[Box, float]]:
        """Box of the points that are seen in each loose box, and the `certainty` that they are a face's.

        A detector's boxes are loose, and training's crops were made from landmarks: so the network looks
        a second time, at the box of the points it saw first.
        """
        closer = []
        for part in _chunks(len(boxes)):
            images, tight = rgb[part], boxes[part]
            for _ in range(2):
                look = self._look(images, tight, ["points"])
                tight = [_tighter(box, look.points(i, self.size)) for i, box in enumerate(tight)]
            closer += zip(tight, certainty(look.answer.log_heatmaps[-1]).tolist(), strict=True)
        return closer

    @torch.no_grad()
    def _look(self, rgb, boxes, tasks: Sequence[str], mirror: bool = False) -> _Look:
        matrices = [geometry.crop_matrix(box, self.size, self.scale, mirror=mirror) for box in boxes]
        crops = [geometry.warp_rgb(image, m, self.size) for image, m in zip(rgb, matrices, strict=True)]
        batch = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2)).to(self.device)
        return _Look(self.net(normalise(batch), tasks), matrices, mirror)

    def _face(self, looks: list[_Look], i: int, box: Box, window: tuple[int, int, int, int]) -> Face:
        x0, y0, x1, y1 = window
        shape = y1 - y0, x1 - x0
        backs = [look.back(i, self.net.label_stride, (x0, y0)) for look in looks]
        score, ids, depth = np.nan, None, None
        if (maps := looks[0].answer.log_heatmaps) is not None:
            score = float(certainty(maps[-1][i : i + 1]))
        if "segmentation" in self.tasks:
            planes = [self._probability(look, i) for look in looks]
            ids = most_probable(planes, backs, shape)
        if "depth" in self.tasks:
            maps = [look.answer.depth[i].float().cpu().numpy() for look in looks]
            depth = _warped(maps, backs, shape, np.nan)
        return Face(box, _mean([look.points(i, self.size) for look in looks]), score, (x0, y0), ids, depth)

    def _probability(self, look: _Look, i: int) -> Float[np.ndarray, "c y x"]:
        """Of each class wanted, sides as in the picture."""
        p = look.answer.segmentation[i].float().softmax(0).cpu().numpy()
        p = p if self.as_is else np.einsum("chw,ct->thw", p, self.table)
        return p[self.info.schema.flip[: len(p)]] if look.mirror else p


def _chunks(n: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]


def find_faces(net: FaceModel, detector: Detector, pictures: Sequence[Picture]) -> list[list[Box]]:
    """Boxes of the faces in each picture, the largest first: what a search of the detector gave and the
    network, looking closer, is sure of."""
    found: list[list[Box]] = [[] for _ in pictures]
    for search in detector.attempts():
        jobs = [(k, box) for k, picture in enumerate(pictures) if not found[k] for box in search(picture)]
        closer = net.look_closer([pictures[k].rgb for k, _ in jobs], [box for _, box in jobs])
        sure: list[list[tuple[float, Box]]] = [[] for _ in pictures]
        for (k, _), (box, score) in zip(jobs, closer, strict=True):
            if score >= net.sure:
                sure[k].append((score, box))
        for k, row in enumerate(sure):
            found[k] += distinct([box for _, box in sorted(row, reverse=True)])
    if not detector.all_faces:
        found = [row[:1] for row in found]
    return found


def distinct(boxes: Sequence[Box]) -> list[Box]:
    """Boxes that overlap none before them by half, the largest first."""
    kept: list[Box] = []
    for box in boxes:
        if all(overlap(box, other) < 0.5 for other in kept):
            kept.append(box)
    return sorted(kept, key=lambda b: (-max(b[2] - b[0], b[3] - b[1]), b))


def most_probable(
    probabilities: Sequence[Float[np.ndarray, "c y x"]],
    matrices: Sequence[geometry.Affine],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "h w"]:
    """Class of the highest probability, averaged over the maps after warping; 0 beyond their border.

    One class at a time: all of them together, as large as a photograph, would not fit small machines.
    """
    best, ids = np.full(size, -1.0, np.float32), np.zeros(size, np.uint8)
    for c in range(len(probabilities[0])):
        p = _warped([planes[c] for planes in probabilities], matrices, size, float(c == 0))
        better = p > best
        ids[better], best[better] = c, p[better]
    return ids


def _warped(
    planes: Sequence[np.ndarray], matrices: Sequence[geometry.Affine], size: tuple[int, int], fill: float
) -> np.ndarray:
    pairs = zip(planes, matrices, strict=True)
    return _mean([geometry.warp_image(plane, matrix, size, fill=fill) for plane, matrix in pairs])


def _mean(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.mean(parts, axis=0)


def _tighter(box: Box, points: np.ndarray) -> Box:
    """Box of the points, unless they collapsed (nothing like a face was seen): then `box`."""
    tight = points_box(points)
    side = max(tight[2] - tight[0], tight[3] - tight[1])
    return tight if side > 0.3 * max(box[2] - box[0], box[3] - box[1]) else box
