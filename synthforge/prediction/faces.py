"""A stored model on boxed faces: crops in batches, labels in the picture's own pixels out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from synthforge.datasets import geometry
from synthforge.datasets.sample import CROP_SCALE, LANDMARK_BOX, points_box
from synthforge.models.hourglass import certainty
from synthforge.models.multitask import TASKS, Prediction, normalise
from synthforge.models.store import StoredModel
from synthforge.prediction.boxes import Box, Detector, overlap
from synthforge.prediction.sources import Picture

CHUNK = 32  # crops that go through the network together
DOUBT = 3  # times as unsure as the network was on average of faces held out in training: not a face


@dataclass(frozen=True)
class Face:
    """Labels of one face.

    `points` are pixels of the picture, `score` their `certainty` (0 to 1); `ids` (classes of the model) and
    `depth` (metres, NaN where the class is background) cover the part of the picture that the crop shows,
    whose first pixel is `corner` (x, y). `box` is what the crop was made from.
    """

    box: Box
    points: Float[np.ndarray, "p 2"]
    score: float
    corner: tuple[int, int]
    ids: UInt8[np.ndarray, "h w"]
    depth: Float[np.ndarray, "h w"]

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


class FaceModel:
    """Runs a stored model on faces, in crops of the size it was trained on (`scale` times the box)."""

    def __init__(self, model: StoredModel):
        self.net, self.size = model.net, model.net.config.input_size
        self.device = next(model.net.parameters()).device
        self.scale = model.crop_scale(LANDMARK_BOX, CROP_SCALE)
        self.sure = 1 - DOUBT * (1 - model.certainty)  # from here on a candidate is a face

    def __call__(self, rgb: Sequence[UInt8[np.ndarray, "_h _w 3"]], boxes: Sequence[Box]) -> list[Face]:
        """The face in each box; box i lies in picture i (one picture may stand there many times)."""
        faces = []
        for part in _chunks(len(boxes)):
            answer, matrices = self._look(rgb[part], boxes[part], TASKS)
            row = zip(boxes[part], matrices, rgb[part], strict=True)
            faces += [self._face(answer, i, box, m, image.shape[:2]) for i, (box, m, image) in enumerate(row)]
        return faces

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
                answer, matrices = self._look(images, tight, ["points"])
                points = [self._points(answer, i, m) for i, m in enumerate(matrices)]
                tight = [_tighter(box, p) for box, p in zip(tight, points, strict=True)]
            closer += zip(tight, certainty(answer.log_heatmaps[-1]).tolist(), strict=True)
        return closer

    @torch.no_grad()
    def _look(self, rgb, boxes, tasks: Sequence[str]) -> tuple[Prediction, list[geometry.Affine]]:
        matrices = [geometry.crop_matrix(box, self.size, self.scale) for box in boxes]
        crops = [geometry.warp_rgb(image, m, self.size) for image, m in zip(rgb, matrices, strict=True)]
        batch = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2)).to(self.device)
        return self.net(normalise(batch), tasks), matrices

    def _points(self, answer: Prediction, i: int, matrix: geometry.Affine) -> np.ndarray:
        fractions = answer.points[i].float().cpu().numpy().astype(float)
        return geometry.warp_points(fractions * self.size, geometry.invert(matrix))

    def _face(self, answer: Prediction, i: int, box: Box, matrix: geometry.Affine, size) -> Face:
        x0, y0, x1, y1 = crop_window(box, size, self.scale)
        stride = self.net.label_stride
        back = geometry.invert(matrix) @ np.diag([stride, stride, 1.0])
        back[:, 2] -= x0, y0
        p = answer.segmentation[i].float().softmax(0).cpu().numpy()
        ids = most_probable(p, back, (y1 - y0, x1 - x0))
        z = geometry.warp_image(answer.depth[i].float().cpu().numpy(), back, ids.shape, fill=np.nan)
        depth = np.where(ids > 0, z, np.float32(np.nan))
        score = float(certainty(answer.log_heatmaps[-1][i : i + 1]))
        return Face(box, self._points(answer, i, matrix), score, (x0, y0), ids, depth)


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
    probability: Float[np.ndarray, "c y x"], matrix: geometry.Affine, size: tuple[int, int]
) -> UInt8[np.ndarray, "h w"]:
    """Class of the highest probability after warping, background (0) beyond the border.

    One plane at a time: a photograph's worth of all planes would not fit small machines.
    """
    best, ids = np.full(size, -1.0, np.float32), np.zeros(size, np.uint8)
    for c, plane in enumerate(probability):
        p = geometry.warp_image(plane, matrix, size, fill=float(c == 0))
        better = p > best
        ids[better], best[better] = c, p[better]
    return ids


def _tighter(box: Box, points: np.ndarray) -> Box:
    """Box of the points, unless they collapsed (nothing like a face was seen): then `box`."""
    tight = points_box(points)
    side = max(tight[2] - tight[0], tight[3] - tight[1])
    return tight if side > 0.3 * max(box[2] - box[0], box[3] - box[1]) else box
