"""Mesh and neural volume made to agree: an analytic frame, an affine per checkpoint, a field per sample."""

from synthforge.alignment.affine import CheckpointAffine, Samples, fit_affine
from synthforge.alignment.frame import Cameras, VolumeFrame
from synthforge.alignment.layers import Layers, derive_layers
from synthforge.alignment.refine import RefineConfig, Refined, Refiner
from synthforge.alignment.rejection import AlignmentLimits, pose_bins, rejections
from synthforge.alignment.volume import NeuralView, NeuralVolume, z_of_ray

__all__ = [
    "AlignmentLimits", "Cameras", "CheckpointAffine", "Layers", "NeuralView", "NeuralVolume", "RefineConfig",
    "Refined", "Refiner", "Samples", "VolumeFrame", "derive_layers", "fit_affine", "pose_bins", "rejections",
    "z_of_ray",
]  # fmt: skip
