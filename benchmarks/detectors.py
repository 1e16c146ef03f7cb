"""Do detectors made for photographs take our faces for faces?

    python -m benchmarks.detectors out/faces                              # OpenCV's stock Haar cascade
    python -m benchmarks.detectors out/faces --photos PATH/300W           # the same on photographs
    python -m benchmarks.detectors out/faces --predictions found.npz      # landmarks of any other detector
    python -m benchmarks.detectors out/faces --detector package.module:function

The cascade is asked about uncovered faces that are seen within 20 degrees of frontal. Predictions are an .npz
with `points` (n 68 2, pixels, (0, 0) the outer corner) and `detected` (n), a row per sample in their order;
`--save` writes that of `--detector`, a function that takes an image (uint8 h w 3, RGB) and gives 68 points or
None. They are scored on the 51 inner points, as shares of the distance between the outer corners of the eyes.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from synthforge.datasets.w300 import W300Source
from synthforge.detector import load_detector
from synthforge.landmark_sets import dense_set
from synthforge.storage.reader import DatasetReader

FRONTAL = 20.0  # degrees
STILL = np.r_[27:36, 36, 39, 42, 45]  # points that expressions move little: nose and corners of the eyes
INNER = slice(17, 68)
WORN = ("facewear", "occluder", "eyeglasses")  # attributes that are "none" on an uncovered face


@dataclass(frozen=True)
class Face:
    """One annotated face; `angle` in degrees between where it looks and the camera."""

    rgb: np.ndarray
    points: np.ndarray
    angle: float
    uncovered: bool


def generated(folder: Path) -> Iterator[Face]:
    """Samples of a data set. Uncovered: nothing worn over it, and every inner point is seen."""
    reader = DatasetReader(folder)
    names = {key for key in WORN if key in reader.index["attributes"]}
    keys = ("rgb", "landmarks_2d", "landmarks_3d", "landmarks_visible", "attributes")
    for sample in (reader.read(i, keys) for i in range(len(reader))):
        bare = all(sample["attributes"][name] == "none" for name in names)
        seen = bool((sample["landmarks_visible"][INNER] == 2).all())
        yield Face(sample["rgb"], sample["landmarks_2d"], _angle(sample["landmarks_3d"]), bare and seen)


def photographs(folder: Path) -> Iterator[Face]:
    """Images with a .pts file of 68 points beside each; what covers a face is not known."""
    for sample in W300Source([folder]):
        height, width = sample.rgb.shape[:2]
        f = 1.5 * max(height, width)  # the camera is not known; the angle hardly depends on it
        camera = np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])
        pairs = dense_set().points[INNER], sample.points[INNER]
        _, turn, shift = cv2.solvePnP(*pairs, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        forward, place = cv2.Rodrigues(turn)[0][:, 2], shift[:, 0]
        cosine = -forward @ place / np.linalg.norm(place)
        yield Face(sample.rgb, sample.points, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), True)


def _angle(points: np.ndarray) -> float:
    """Degrees between the front of the face and the camera, by the turn that takes the canonical face to it.

    Source: Kabsch (1976), on points that expressions move little.
    """
    here, there = dense_set().points[STILL], points[STILL].astype(float)
    u, _, vt = np.linalg.svd((there - there.mean(0)).T @ (here - here.mean(0)))
    forward = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt @ [0, 0, 1]
    middle = there.mean(0)
    return float(np.degrees(np.arccos(np.clip(-forward @ middle / np.linalg.norm(middle), -1, 1))))


class Cascade:
    """OpenCV's stock frontal-face Haar cascade, at its own settings."""

    def __init__(self) -> None:
        name = "haarcascade_frontalface_default.xml"
        self.cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / name))

    def fires(self, face: Face) -> bool:
        """Whether a box lies where the face is: its middle within a quarter of its side from that of the
        inner points, its side between a half and twice that of the landmarks' box."""
        boxes = self.cascade.detectMultiScale(cv2.cvtColor(face.rgb, cv2.COLOR_RGB2GRAY))
        middle, size = face.points[INNER].mean(0), np.ptp(face.points, axis=0).max()
        return any(
            np.linalg.norm([x + side / 2 - middle[0], y + side / 2 - middle[1]]) < side / 4
            and size / 2 < side < 2 * size
            for x, y, side, _ in boxes
        )


def cascade_line(name: str, faces: Iterator[Face]) -> str:
    """Share of the uncovered, frontal faces on which the cascade fires."""
    cascade = Cascade()
    fired = [cascade.fires(face) for face in faces if face.uncovered and face.angle <= FRONTAL]
    share = f"{100 * np.mean(fired):.1f} % of {len(fired)}" if fired else "no"
    return f"Haar cascade, {name}: {share} faces within {FRONTAL:g} degrees of frontal"


def landmark_lines(faces: list[Face], points: np.ndarray, detected: np.ndarray) -> list[str]:
    """Detection share and NME of the 51 inner points (per cent), for uncovered, frontal faces and for all.

    Raises:
        ValueError: not a row per face.
    """
    if points.shape != (len(faces), 68, 2) or detected.shape != (len(faces),):
        raise ValueError(f"{points.shape} points for {len(faces)} faces; expected n 68 2, and n detected")
    true = np.stack([face.points for face in faces]).astype(float)
    eyes = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    nme = 100 * np.linalg.norm(points - true, axis=-1)[:, INNER].mean(1) / eyes
    easy = np.array([face.uncovered and face.angle <= FRONTAL for face in faces])
    out = []
    for name, some in (("uncovered, frontal", easy), ("all", np.ones(len(faces), bool))):
        scored = nme[some & detected.astype(bool)]
        found = f"{100 * detected[some].mean():.1f} % detected" if some.any() else "none"
        error = f", NME51 {scored.mean():.2f}, median {np.median(scored):.2f}" if len(scored) else ""
        out.append(f"landmarks, {name} ({some.sum()}): {found}{error}")
    return out


def detect(faces: list[Face], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and whether there were any, of a user's detector."""
    detector = load_detector(name)
    points, detected = np.zeros((len(faces), 68, 2)), np.zeros(len(faces), bool)
    for i, face in enumerate(faces):
        if (found := detector(face.rgb)) is not None:
            points[i], detected[i] = found, True
    return points, detected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="a generated data set")
    parser.add_argument("--photos", type=Path, help="folder of photographs with .pts files")
    parser.add_argument("--predictions", type=Path, help=".npz of an outside detector on the data set")
    parser.add_argument("--detector", help="package.module:function of an outside detector")
    parser.add_argument("--save", type=Path, help="where to keep what --detector found (.npz)")
    arguments = parser.parse_args()
    faces = list(generated(arguments.data))
    print(cascade_line(f"{arguments.data.name}, uncovered", iter(faces)))
    if arguments.photos:
        print(cascade_line("photographs", photographs(arguments.photos)))
    if arguments.predictions:
        with np.load(arguments.predictions) as found:
            print(*landmark_lines(faces, found["points"], found["detected"]), sep="\n")
    if arguments.detector:
        points, detected = detect(faces, arguments.detector)
        print(*landmark_lines(faces, points, detected), sep="\n")
        if arguments.save:
            np.savez(arguments.save, points=points, detected=detected)


if __name__ == "__main__":
    main()
