"""The neural backend: Next3D driven by a head model, its volume aligned with the mesh."""

import json
import logging
from collections.abc import Hashable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import softplus

from synthforge.alignment import (
    AlignmentLimits,
    Cameras,
    CheckpointAffine,
    Refiner,
    VolumeFrame,
    rejections,
    z_of_ray,
)
from synthforge.alignment.frame import metres, per_metre
from synthforge.assets_store import require_asset, store_dir
from synthforge.cameras.orbit import eg3d_camera
from synthforge.conventions import CLASS_ID
from synthforge.errors import AssetError, ConfigError, SynthforgeError
from synthforge.generators.next3d.config import Next3dConfig
from synthforge.heads.base import HeadModel
from synthforge.provenance import files_sha256
from synthforge.types import Camera, Render, SceneParams, VolumeView

logger = logging.getLogger(__name__)

AFFINE = "next3d_alignment.json"  # beside the checkpoint in the asset store
BATCH = {"cpu": 1, "cuda": 16}
RADIUS, FRONTAL_DEG = 2.7, 18.837  # volume units; field of view of Next3D's own conditioning camera
_FACE = (
    "skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip",
)  # fmt: skip


class Next3dGenerator:
    """Next3D with the checkpoint of the asset store, or with random weights over any head.

    Args:
        config: how it is driven.
        head: whose meshes it will get.
        conditioned: each image is conditioned on its own camera (as SynthForge's are) rather than on the
            frontal one, which lets views of one person share what does not depend on the view.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch_size: samples at once; 0: 1 on a CPU, 16 on a GPU.
    Raises:
        AssetError: checkpoint or alignment are missing or damaged.
        ConfigError: no such device, or the head has another mesh than the checkpoint was trained with.
    """

    def __init__(
        self,
        config: Next3dConfig,
        head: HeadModel,
        conditioned: bool,
        device: str = "auto",
        batch_size: int = 0,
    ):
        self.config, self.head, self.conditioned = config, head, conditioned
        self.device = _device(device)
        self.batch_size = self._at_once = batch_size or BATCH[self.device.type]
        self.network, sha256 = _network(config, head, self.device)
        self.assets = {} if sha256 is None else {"next3d": sha256}
        self.affine = CheckpointAffine.identity()
        if config.alignment != "analytic":
            path = store_dir() / AFFINE
            self.affine = CheckpointAffine.load(path, sha256)
            self.assets[AFFINE] = files_sha256(path)
        self.refiner = Refiner(head).to(self.device) if config.alignment == "refined" else None
        self.frame = VolumeFrame(self.affine.depth_shift)

    def images(self, params: Sequence[SceneParams], vertices: Float[np.ndarray, "b v 3"]) -> list[Render]:
        """Images of the head with posed `vertices`; a batch too large for the device's memory is halved."""
        out: list[Render] = []
        while len(out) < len(params):
            now = slice(len(out), len(out) + self._at_once)
            made = self._tried(params[now], vertices[now])
            if made is None:
                self._at_once = len(params[now]) // 2
                torch.cuda.empty_cache()  # what the failed attempt held has been let go by now
                logger.warning("out of GPU memory: going on with batches of %d", self._at_once)
            else:
                out += made
        return out

    def _tried(self, params: Sequence[SceneParams], vertices: np.ndarray) -> list[Render] | None:
        """Images, or None where the device's memory does not take more than one sample at once.

        Raises:
            SynthforgeError: it does not even take one.
        """
        try:
            return self._images(params, vertices)
        except torch.cuda.OutOfMemoryError as error:
            if len(params) == 1:
                fix = "free memory of the GPU, or use --precision bf16 or --device cpu"
                raise SynthforgeError("out of GPU memory", where="generate", fix=fix) from error
        return None

    @torch.inference_mode()
    def _images(self, params: Sequence[SceneParams], vertices: np.ndarray) -> list[Render]:
        posed = torch.from_numpy(vertices).to(self.device)
        volume, image = self.volume(params, posed)
        if not image.isfinite().all():  # a mesh that needs more memory than was set aside for it
            volume, image = self.volume(params, posed, waiting=True)
        aligned, n = self.affine(posed), len(params)
        rms, bias, reasons = torch.full((n,), torch.nan), torch.zeros(n), [None] * n
        if self.refiner is not None:
            refined = self.refiner(aligned, volume)
            aligned, rms, bias = refined.vertices, refined.rms.cpu(), refined.depth_bias.cpu()
            limits = AlignmentLimits(rms_mm=self.config.max_residual_mm)
            reasons = rejections(rms, refined.inliers.cpu(), volume.cameras, limits)
        rgb = self.pixels(image)
        aligned, alpha, depth = (x.float().cpu().numpy() for x in (aligned, volume.alpha, volume.depth))
        return [
            Render(
                _resized(rgb[i], params[i].camera), aligned[i],
                volume=VolumeView(alpha[i], depth[i], float(bias[i])),
                alignment_rms=float(rms[i]), rejected=reasons[i],
            )
            for i in range(n)
        ]  # fmt: skip

    @staticmethod
    def pixels(image: Float[Tensor, "b 3 h w"]) -> UInt8[np.ndarray, "b h w 3"]:
        """What the network makes (-1 to 1) as 8-bit sRGB."""
        return (image * 127.5 + 128).clamp(0, 255).to(torch.uint8).movedim(1, -1).cpu().numpy()

    def volume(
        self, params: Sequence[SceneParams], posed: Float[Tensor, "b v 3"], waiting: bool = False
    ) -> tuple["Volume", Tensor]:
        """The volumes of a batch as alignment wants them, and the images (b 3 h w, -1 to 1).

        `waiting`: as of `next3d.Generator.planes`.
        """
        network, config = self.network, self.config
        cameras = Cameras.stack([p.camera for p in params], self.device)
        label = self.frame.label(cameras)
        pose = torch.from_numpy(np.stack([p.pose for p in params])).to(self.device)
        mesh = torch.cat([posed, self.head.landmarks_by_yaw(posed, pose)], 1)

        # What equal people, then equal faces, have in common is computed once.
        condition = label if self.conditioned else _frontal(self.frame, self.device).expand(len(params), -1)
        names = [(p.latent.tobytes(), p.index if self.conditioned else 0) for p in params]
        people, person = _distinct(names)
        states = [(p.shape.tobytes(), p.expression.tobytes(), p.pose.tobytes()) for p in params]
        meshes, face = _distinct(list(zip(names, states, strict=True)))
        latent = torch.from_numpy(np.stack([params[i].latent for i in people])).to(self.device)
        ws = network.mapping(latent, condition[people], config.truncation_psi, config.truncation_cutoff)
        identity = network.identity(ws)
        if len(people) < len(meshes):
            identity = type(identity)(*(part[[person[i] for i in meshes]] for part in identity))
        planes = network.planes(identity, mesh[meshes], config.planes, waiting=waiting)
        if len(meshes) < len(params):
            planes = planes[face]
        size, factor = config.neural_resolution, config.depth_factor
        out = network.render(planes, ws[person], label, size, depth_factor=factor)
        depth = z_of_ray(metres(out.depth[:, 0].float()), cameras.intrinsics)
        alpha = out.depth_weight_sum[:, 0].float()
        return Volume(network, self.frame, planes, cameras, depth, alpha), out.image


class Volume:
    """`alignment.NeuralVolume` of a batch of Next3D's tri-planes."""

    def __init__(
        self, network: Any, frame: VolumeFrame, planes: Tensor, cameras: Cameras, depth: Tensor, alpha: Tensor
    ):
        self._network, self._frame, self._planes = network, frame, planes
        self.cameras, self.depth, self.alpha = cameras, depth, alpha

    def density(self, points: Float[Tensor, "n m 3"]) -> Float[Tensor, "n m"]:
        """Density per metre at world points (m)."""
        sigma = self._network.density(self._planes, self._frame.to_volume(points))
        return per_metre(softplus(sigma[..., 0].float() - 1))


def _device(name: str) -> torch.device:
    """
    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).splitlines()[0]
        raise ConfigError(f"cannot be used ({reason})", where=f"--device {name}", fix="use cpu") from error
    if device.type not in BATCH:
        raise ConfigError("is not supported", where=f"--device {name}", fix="use cpu or cuda")
    return device


def _network(config: Next3dConfig, head: HeadModel, device: torch.device) -> tuple[Any, str | None]:
    """The network, ready for inference, and the sha256 of the checkpoint it was read from.

    Raises:
        AssetError: the checkpoint is missing or damaged.
        ConfigError: it belongs to another mesh than the head's.
    """
    from next3d.config import Next3DConfig
    from next3d.generator import Generator
    from next3d.topology import Topology

    if config.weights == "random":
        mask = np.isin(head.class_map, [CLASS_ID[name] for name in _FACE]).astype(np.float32)
        mask = cv2.resize(mask, (256, 256), interpolation=cv2.INTER_NEAREST)
        topology = Topology(len(head.vertices), head.faces, head.uv, head.face_uvs, mask)
        return Generator.random(Next3DConfig(), topology, "", device, config.precision), None
    folder = require_asset("next3d")
    try:
        network = Generator.load(folder, device, config.precision)
        sha256 = json.loads((folder / "source.json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError) as error:
        fix = "add it again: synthforge assets add next3d FILE.pkl"
        raise AssetError(f"the checkpoint is damaged ({error})", where=str(folder), fix=fix) from error
    if network.topology.n_vertices != len(head.vertices):
        raise ConfigError(
            f"the checkpoint knows a mesh of {network.topology.n_vertices} vertices, {head.name!r} has "
            f"{len(head.vertices)}", where="head", fix="use --head flame",
        )  # fmt: skip
    return network, sha256


def _distinct(keys: list[Hashable]) -> tuple[list[int], list[int]]:
    """Where each distinct key comes first, and which of those each one is."""
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    order = sorted(first.values())
    return order, [order.index(first[key]) for key in keys]


def _frontal(frame: VolumeFrame, device: torch.device) -> Float[Tensor, "1 25"]:
    """Label of the camera that people seen from several sides are conditioned on."""
    camera = eg3d_camera(0, 0, 0, RADIUS, np.radians(FRONTAL_DEG), (512, 512))
    return frame.label(Cameras.stack([camera], device))


def _resized(rgb: np.ndarray, camera: Camera) -> np.ndarray:
    """The image at the size its labels have."""
    height, width = camera.size
    if rgb.shape[:2] == (height, width):
        return np.ascontiguousarray(rgb)
    how = cv2.INTER_AREA if height < rgb.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(rgb, (width, height), interpolation=how)
