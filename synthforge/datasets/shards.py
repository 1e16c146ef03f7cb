"""Synthetic shards as a source of samples."""

from pathlib import Path
from typing import Literal

import numpy as np

from synthforge.conventions import CLASS_ID, N_LANDMARKS, OURS
from synthforge.datasets.annotators import as_annotated
from synthforge.datasets.sample import CROP_SCALE, Sample, points_box
from synthforge.datasets.source import SourceInfo
from synthforge.provenance import dataset_sha256


class ShardSource:
    """A generated data set.

    Args:
        folder: directory with `dataset.json`.
        jaw: take the 17 jaw points from the visible contour, as annotators of 300-W do (all those in
            the image count as visible), or fixed on the mesh.
        points: as the geometry has them, or as annotators of 300-W would put them (`annotators`).
        crop_scale: side of the plain crop over the landmarks' box.
        extra: `alpha` and `normals` are read too, where they are named; `layers` brings the coverages that
            soft targets are made of.
    """

    def __init__(
        self,
        folder: Path,
        jaw: Literal["contour", "fixed"] = "contour",
        crop_scale: float = CROP_SCALE,
        extra: tuple[str, ...] = (),
        points: Literal["geometry", "300w"] = "geometry",
    ):
        from synthforge.storage.reader import DatasetReader

        self.reader = DatasetReader(folder)
        self.info = SourceInfo(Path(folder).name, OURS, N_LANDMARKS, "metric", crop_scale=crop_scale)
        self.jaw, self.points = jaw, points
        self.keys = [
            "rgb",
            "segmentation",
            "depth",
            "landmarks_2d",
            "landmarks_visible",
            "intrinsics",
            *(("soft_masks", "segmentation_bare") if "layers" in extra else ()),
            *(name for name in extra if name != "layers"),
        ]
        self.keys += ["landmarks_contour_2d"] if jaw == "contour" else []
        self.keys += ["landmarks_3d"] if points != "geometry" else []
        self.keys += ["distortion"] if "distortion" in self.reader.keys else []

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def runs(self) -> list[int]:
        """Samples of each shard: neighbours that are cheap to read together."""
        return [shard["n_samples"] for shard in self.reader.shards]

    @property
    def sha256(self) -> str:
        """Hash of every byte of the data set, by the hashes that its index holds."""
        return dataset_sha256(self.reader.index)

    @property
    def licences(self) -> list[dict[str, str]]:
        """Of what the data set was made with; none of those made before it was recorded."""
        return self.reader.index.get("licences", [])

    def __getitem__(self, index: int) -> Sample:
        data = self.reader.read(index, self.keys)
        points, visible = data["landmarks_2d"].astype(np.float64), data["landmarks_visible"]
        if self.jaw == "contour":
            points = np.concatenate([data["landmarks_contour_2d"].astype(np.float64), points[17:]])
            inside = ((points[:17] > 0) & (points[:17] < data["rgb"].shape[0])).all(1)
            visible = np.concatenate([np.where(inside, 2, 0), visible[17:]]).astype(np.uint8)
        if self.points != "geometry":
            points = as_annotated(points, data["landmarks_3d"], data["intrinsics"], self.points)
        layers, under = {}, None
        if "soft_masks" in data:
            soft = {CLASS_ID[name]: mask for name, mask in data["soft_masks"].items() if name in CLASS_ID}
            layers = {c: mask for c, mask in soft.items() if mask.any()}
            covered = np.isin(data["segmentation"], list(soft))
            under = np.where(covered, data["segmentation_bare"], data["segmentation"])
        pinhole = not ("distortion" in data and data["distortion"].any())
        return Sample(
            name=f"{index:06d}",
            rgb=data["rgb"],
            box=points_box(points),
            points=points,
            target=data["segmentation"],
            depth=data["depth"],
            intrinsics=data["intrinsics"].astype(np.float64) if pinhole else None,
            visible=visible,
            alpha=data.get("alpha"),
            normals=data.get("normals"),
            under=under,
            layers=layers,
        )
