"""Samples per second from shards, from a folder of PNG + JSON files and from WebDataset, side by side.

    PYTHONPATH=. python -m benchmarks.loading DATA [--workers 2] [--seconds 8] [--rounds 3]

DATA is a generated data set. Its image, segmentation, depth and landmarks are written out once as PNG (depth
in 16 bits, 0.1 mm) and JSON, and once as a WebDataset tar (the shards' own image bytes, the same PNG labels,
JSON; needs `pip install webdataset`). The shards are read by `synthforge.datasets.batches`, the others by
PyTorch's loader, in shuffled batches of 32, in turns; every loader must give the same arrays. Files are in
the page cache for all of them. Take a thousand samples or more: loaders begin anew with each pass.
"""

import io
import json
import tarfile
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from synthforge.datasets.batches import BatchLoader
from synthforge.storage.codecs import decode_image
from synthforge.storage.reader import DatasetReader

KEYS = ("rgb", "segmentation", "depth", "landmarks_2d")
BATCH = 32
Arrays = dict[str, np.ndarray]


class Files(Dataset):
    """A folder of files, as most published face data sets come."""

    def __init__(self, folder: Path, count: int):
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Arrays:
        stem = str(self.folder / f"{index:06d}")
        points = json.loads(Path(stem + ".json").read_text())["landmarks_2d"]
        return {
            "rgb": decode_image(np.fromfile(stem + "_rgb.png", np.uint8), stem),
            "segmentation": cv2.imread(stem + "_segmentation.png", cv2.IMREAD_UNCHANGED),
            "depth": metres(cv2.imread(stem + "_depth.png", cv2.IMREAD_UNCHANGED)),
            "landmarks_2d": np.array(points, np.float32),
        }


def metres(counts: np.ndarray) -> np.ndarray:
    """16-bit tenths of millimetres -> metres, 0 -> infinity: as the shards keep depth."""
    return np.where(counts == 0, np.float32(np.inf), counts.astype(np.float32) * np.float32(1e-4))


def png(image: np.ndarray) -> bytes:
    """Encoded with OpenCV's default compression."""
    return cv2.imencode(".png", image)[1].tobytes()


def write_files(reader: DatasetReader, folder: Path) -> None:
    """The data set as PNG and JSON files and as a tar in WebDataset's naming."""
    with tarfile.open(folder / "data.tar", "w") as tar:
        for i in range(len(reader)):
            sample, stored = reader.read(i, KEYS), reader.stored(i)
            depth = np.where(np.isfinite(sample["depth"]), np.round(sample["depth"] * 1e4), 0)
            labels = {
                "segmentation.png": png(sample["segmentation"]),
                "depth.png": png(depth.astype(np.uint16)),
            }
            points = json.dumps({"landmarks_2d": sample["landmarks_2d"].tolist()}).encode()
            (folder / f"{i:06d}_rgb.png").write_bytes(png(sample["rgb"][..., ::-1]))
            (folder / f"{i:06d}.json").write_bytes(points)
            for name, data in labels.items():
                (folder / f"{i:06d}_{name}").write_bytes(data)
            for name, data in {"rgb.image": stored["rgb"], **labels, "json": points}.items():
                info = tarfile.TarInfo(f"{i:06d}.{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def from_tar(sample: dict) -> Arrays:
    """Decoded sample of the tar."""
    decode = lambda key: cv2.imdecode(np.frombuffer(sample[key], np.uint8), cv2.IMREAD_UNCHANGED)  # noqa: E731
    return {
        "rgb": decode_image(np.frombuffer(sample["rgb.image"], np.uint8), sample["__key__"]),
        "segmentation": decode("segmentation.png"),
        "depth": metres(decode("depth.png")),
        "landmarks_2d": np.array(json.loads(sample["json"])["landmarks_2d"], np.float32),
    }


def web_dataset(folder: Path) -> Dataset | None:
    """The tar through the webdataset library with its usual shuffle buffer; None where it is missing."""
    try:
        import webdataset
    except ImportError:
        return None
    files = [str(folder / "data.tar")] * 2  # a worker needs a file of its own
    return webdataset.WebDataset(files, shardshuffle=False, empty_check=False).shuffle(500).map(from_tar)


def rate(loader: DataLoader, seconds: float) -> float:
    """Samples per second over about `seconds`, workers already running."""
    count, batches = 0, iter(loader)
    next(batches)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            continue
        count += len(batch["rgb"])
    return count / (time.perf_counter() - start)


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--workers", default=2, show_default=True)
@click.option("--seconds", default=8.0, show_default=True, help="For each loader and round.")
@click.option("--rounds", default=3, show_default=True)
def main(data: Path, workers: int, seconds: float, rounds: int) -> None:
    """Print samples per second of each loader (median of the rounds) and the ratio to the shards."""
    torch.set_num_threads(1)
    reader = DatasetReader(data)
    with TemporaryDirectory() as temporary:
        write_files(reader, Path(temporary))
        files = Files(Path(temporary), len(reader))
        for key, value in files[3].items():
            assert np.array_equal(value, reader.read(3)[key]), key
        how = {"batch_size": BATCH, "num_workers": workers, "persistent_workers": workers > 0}
        loaders = {"shards": BatchLoader(data, KEYS, BATCH, workers)}
        loaders["PNG + JSON"] = DataLoader(files, shuffle=True, **how)
        if tar := web_dataset(Path(temporary)):
            loaders["WebDataset"] = DataLoader(tar, **how)
        rates = {name: [] for name in loaders}
        for _ in range(rounds):
            for name, loader in loaders.items():
                rates[name].append(rate(loader, seconds))
    own = median(rates["shards"])
    print(f"{len(reader)} samples, {reader.index['resolution']} px, {workers} workers, batch {BATCH}")
    print("| loader | samples/s | shards against it |\n| --- | ---: | ---: |")
    for name, values in rates.items():
        print(f"| {name} | {median(values):.0f} | {own / median(values):.2f} x |")
    if "WebDataset" not in rates:
        print("WebDataset: not installed")


if __name__ == "__main__":
    main()
