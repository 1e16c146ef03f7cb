"""What a prediction leaves on disk: overlays, masks, depth and JSON; videos as overlay and JSON lines."""

import json
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from synthforge.errors import DatasetError
from synthforge.prediction.faces import Face
from synthforge.prediction.sources import Picture
from synthforge.report.draw import PREDICTED, draw_points, tinted, write_png

DEPTH_SCALE = 1e-4  # metres per step of the 16-bit PNG, as in the data sets
DEPTH_ZERO = {"metric": 0, "relative": 32768}  # the step that means 0 m


class Outputs:
    """Writes the results of picture after picture below `out`, and keeps their records.

    Args:
        colors: sRGB of each class.
        depth_target: "metric" or "relative", as the network was trained.
        overlay: draw pictures too.
        npy: store depth as float32 NPY (metres, NaN: none) beside the PNG.
    """

    def __init__(
        self,
        out: Path,
        colors: UInt8[np.ndarray, "c 3"],
        depth_target: str,
        overlay: bool = True,
        npy: bool = False,
    ):
        self.out, self.colors, self.overlay, self.npy = out, colors, overlay, npy
        self.zero = DEPTH_ZERO[depth_target]
        self.images: list[dict] = []
        self.videos: list[dict] = []
        self.lines = self.video = None

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_video()

    def add(self, picture: Picture, faces: list[Face]) -> None:
        """Write what was found in one picture; the frames of a video come one after another."""
        if picture.source.video:
            self._frame(picture, faces)
        elif faces:
            self._image(picture, faces)

    def _image(self, picture: Picture, faces: list[Face]) -> None:
        size, name = picture.rgb.shape[:2], picture.source.name + ".png"
        ids, depth = join(faces, size)
        write_mask(self.out / "masks" / name, ids, self.colors)
        write_depth(self.out / "depth" / name, depth, self.zero)
        files = {"mask": f"masks/{name}", "depth": f"depth/{name}"}
        if self.npy:
            files["depth_npy"] = f"depth/{picture.source.name}.npy"
            np.save(self.out / files["depth_npy"], depth)
        if self.overlay:
            files["overlay"] = f"overlays/{name}"
            write_png(self.out / files["overlay"], draw(picture.rgb, faces, ids, self.colors))
        shape = {"width": size[1], "height": size[0]}
        record = {"file": str(picture.source.path)} | shape | files | {"faces": records(faces)}
        self.images.append(record)

    def _frame(self, picture: Picture, faces: list[Face]) -> None:
        h, w = picture.rgb.shape[:2]
        if picture.frame == 0:
            self._open_video(picture, (w, h))
        line = {"frame": picture.frame, "time": round(picture.frame / picture.rate, 4)}
        self.lines.write(json.dumps(line | {"faces": records(faces)}) + "\n")
        self.videos[-1]["frames"] += 1
        if self.video is not None:
            ids, _ = join(faces, (h, w))
            self.video.write(draw(picture.rgb, faces, ids, self.colors)[..., ::-1])

    def _open_video(self, picture: Picture, size: tuple[int, int]) -> None:
        self._close_video()
        name = picture.source.name
        path = self.out / "videos" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lines = open(path, "w", encoding="utf-8")
        record = {"file": str(picture.source.path), "width": size[0], "height": size[1], "rate": picture.rate}
        record |= {"frames": 0, "lines": f"videos/{name}.jsonl"}
        if self.overlay:
            record["overlay"] = f"videos/{name}.mp4"
            target, codec = str(self.out / record["overlay"]), cv2.VideoWriter_fourcc(*"mp4v")
            self.video = cv2.VideoWriter(target, codec, picture.rate, size)
            if not self.video.isOpened():
                raise DatasetError("cannot be written as a video", where=target, fix="try --no-overlay")
        self.videos.append(record)

    def _close_video(self) -> None:
        if self.lines is not None:
            self.lines.close()
        if self.video is not None:
            self.video.release()
        self.lines = self.video = None


def join(
    faces: list[Face], size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Class ids and depth of a whole picture: larger faces over smaller ones, 0 and NaN where no face is."""
    ids, depth = np.zeros(size, np.uint8), np.full(size, np.nan, np.float32)
    for face in sorted(faces, key=lambda f: max(f.box[2] - f.box[0], f.box[3] - f.box[1])):
        mine = face.ids > 0
        ids[face.window][mine], depth[face.window][mine] = face.ids[mine], face.depth[mine]
    return ids, depth


def records(faces: list[Face]) -> list[dict]:
    """Faces as JSON: box and landmarks in pixels, to a thousandth, and the network's certainty."""
    return [
        {
            "box": np.round(face.box, 3).tolist(),
            "score": round(face.score, 4),
            "landmarks": np.round(face.points, 3).tolist(),
        }
        for face in faces
    ]


def draw(
    rgb: UInt8[np.ndarray, "h w 3"],
    faces: list[Face],
    ids: UInt8[np.ndarray, "h w"],
    colors: UInt8[np.ndarray, "c 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Class colours, boxes and landmarks over the picture; the background stays as it is."""
    out = tinted(rgb, ids, colors)
    thick = max(1, round(max(rgb.shape[:2]) / 600))
    for face in faces:
        x0, y0, x1, y1 = (round(v - 0.5) for v in face.box)
        out = cv2.rectangle(out, (x0, y0), (x1, y1), (255, 255, 255), thick)
        out = draw_points(out, face.points, PREDICTED)
    return out


def write_mask(path: Path, ids: UInt8[np.ndarray, "h w"], colors: UInt8[np.ndarray, "c 3"]) -> None:
    """Class ids as an indexed PNG whose palette holds the class colours; folders are made."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    image.putpalette(colors.tobytes())
    image.save(path)


def write_depth(path: Path, depth: Float[np.ndarray, "h w"], zero: int) -> None:
    """Depth in metres as 16-bit PNG: (value - zero) x 1e-4 m; 0 is none, and far values are held in range."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = np.isfinite(depth)
    steps = np.rint(np.where(known, depth, 0) / DEPTH_SCALE) + zero
    if not cv2.imwrite(str(path), np.where(known, np.clip(steps, 1, 65535), 0).astype(np.uint16)):
        raise DatasetError("cannot be written", where=str(path))
