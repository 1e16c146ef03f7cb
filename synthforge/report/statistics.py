"""Numbers a page about a data set needs, read once."""

from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from synthforge.conventions import N_CLASSES
from synthforge.storage.reader import DatasetReader

MAX_IMAGES = 300  # images looked at for class frequencies, evenly spread over the data set
HEAT = 96  # cells along each side of the landmark map


@dataclass(frozen=True)
class Statistics:
    """`numbers` and `words`: values per sample under a readable title; angles in degrees."""

    camera: dict[str, np.ndarray]
    head: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    words: dict[str, dict[str, int]]
    class_pixels: Float[np.ndarray, " c"]  # share of all pixels
    class_images: Float[np.ndarray, " c"]  # share of images that show the class
    n_images: int
    visibility: Float[np.ndarray, "68 3"]  # share of samples: outside, occluded, visible
    landmark_heat: Float[np.ndarray, "n n"]  # landmarks per cell of the image
    mean_landmarks: Float[np.ndarray, "68 2"]  # in units of the image side
    bytes_by_part: dict[str, int]


def statistics(reader: DatasetReader) -> Statistics:
    """Collect everything; small arrays from all samples, images from `MAX_IMAGES` of them."""
    size = reader.index["resolution"]
    landmarks = reader.column("landmarks_2d") / size
    visible = reader.column("landmarks_visible")
    heat = np.histogram2d(*landmarks.reshape(-1, 2)[:, ::-1].T, bins=HEAT, range=[[0, 1], [0, 1]])[0]
    pixels, images, n_images = _classes(reader)
    numbers, words = _attributes(reader)
    return Statistics(
        camera=_camera(reader),
        head=_head(reader, landmarks),
        numbers=numbers,
        words=words,
        class_pixels=pixels,
        class_images=images,
        n_images=n_images,
        visibility=np.stack([(visible == v).mean(0) for v in range(3)], -1),
        landmark_heat=heat,
        mean_landmarks=landmarks.mean(0),
        bytes_by_part=_bytes(reader),
    )


def _camera(reader: DatasetReader) -> dict[str, np.ndarray]:
    turn, k = reader.column("cam2world")[:, :3, :3], reader.column("intrinsics")
    right, forward = turn[:, :, 0], turn[:, :, 2]
    level = np.cross(forward, [0.0, 1.0, 0.0])
    level /= np.maximum(np.linalg.norm(level, axis=-1, keepdims=True), 1e-9)
    roll = np.arctan2((np.cross(right, level) * forward).sum(-1), (level * right).sum(-1))
    return {
        "azimuth (°, to the subject's left)": np.degrees(np.arctan2(-forward[:, 0], -forward[:, 2])),
        "elevation (°)": np.degrees(np.arcsin(np.clip(-forward[:, 1], -1, 1))),
        "roll (°, clockwise)": np.degrees(roll),
        "distance to the face (m)": reader.column("landmarks_3d")[:, :, 2].mean(1),
        "field of view (°, vertical)": np.degrees(2 * np.arctan(k[:, 1, 2] / k[:, 1, 1])),
    }


def _head(reader: DatasetReader, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Head direction as the image shows it; right, up and clockwise in the image are positive."""
    world2cam = reader.column("cam2world")[:, :3, :3].transpose(0, 2, 1)
    pose = reader.column("pose")
    joints = [str(name) for name in reader.about("pose")["names"]]
    head = Rotation.identity(len(pose))
    for name in ("root", "neck"):
        if name in joints:
            head = head * Rotation.from_rotvec(pose[:, joints.index(name)])
    axes = world2cam @ head.as_matrix()
    ahead, up = axes[:, :, 2], axes[:, :, 1]
    gaze = reader.column("gaze").mean(1)
    return {
        "yaw (°, right in the image)": np.degrees(np.arctan2(ahead[:, 0], -ahead[:, 2])),
        "pitch (°, up)": np.degrees(np.arcsin(np.clip(-ahead[:, 1], -1, 1))),
        "roll (°, clockwise)": np.degrees(np.arctan2(up[:, 0], -up[:, 1])),
        "gaze yaw (°, right in the image)": np.degrees(np.arctan2(gaze[:, 0], -gaze[:, 2])),
        "gaze pitch (°, up)": np.degrees(np.arctan2(-gaze[:, 1], np.hypot(gaze[:, 0], gaze[:, 2]))),
        "face height (share of the image)": np.ptp(landmarks[..., 1], axis=1),
    }


def _attributes(reader: DatasetReader) -> tuple[dict[str, np.ndarray], dict[str, dict[str, int]]]:
    numbers, words = {}, {}
    for name, about in reader.index["attributes"].items():
        values = reader.column(f"attributes/{name}")
        if about["kind"] == "categorical":
            words[name] = {word: int((values == word).sum()) for word in about["words"]}
        else:
            numbers[name] = values
    return numbers, words


def _classes(reader: DatasetReader) -> tuple[np.ndarray, np.ndarray, int]:
    chosen = np.unique(np.linspace(0, len(reader) - 1, min(MAX_IMAGES, len(reader))).astype(int))
    images = (reader.read(int(i), ["segmentation"])["segmentation"] for i in chosen)
    counts = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])[:, :N_CLASSES]
    return counts.sum(0) / max(counts.sum(), 1), (counts > 0).mean(0), len(chosen)


def _bytes(reader: DatasetReader) -> dict[str, int]:
    """Bytes on disk by data set; images are what the others leave of the files."""
    total, parts = 0, {}
    for shard in reader.shards:
        path = reader.path / shard["file"]
        total += path.stat().st_size
        with h5py.File(path, "r") as file:

            def add(name: str, item: object) -> None:
                if isinstance(item, h5py.Dataset) and name != "rgb":
                    key = name if item.chunks else "landmarks, cameras, parameters, attributes"
                    parts[key] = parts.get(key, 0) + item.id.get_storage_size()

            file.visititems(add)
    return {"rgb": total - sum(parts.values())} | dict(sorted(parts.items(), key=lambda item: -item[1]))
