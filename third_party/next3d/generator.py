"""The whole generator: latent, conditioning camera, mesh and camera to image, depth and features.

    generator = Generator.load("assets/next3d", device="cuda", precision="bf16")
    ws = generator.mapping(z, c_cond)                    # styles
    identity = generator.identity(ws)                    # neural texture, static planes: what no mesh changes
    planes = generator.planes(identity, vertices)        # one expression
    output = generator.render(planes, ws, cameras)       # one or more cameras of each

Each stage serves many of the next: an identity many expressions (`Identity.repeat`), planes many cameras.
Everything is batched and nothing waits for the device on the way to the image.

Source: Sun et al. (2023), "Next3D: Generative Neural Texture Rasterization for 3D-Aware Head Avatars".
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from next3d import volume
from next3d.cameras import unpack
from next3d.conditional import ConditionalSynthesis
from next3d.config import Next3DConfig
from next3d.layers import Layer, Noise
from next3d.mapping import Mapping as MappingNetwork
from next3d.planes import (
    ALL_VIEWS,
    FRONT_VIEW,
    Raster,
    crop_mouth,
    mouth_box,
    paste_mouth,
    plane_alphas,
    plane_contents,
    project_views,
    rasterize_views,
)
from next3d.superres import SuperResolution
from next3d.synthesis import Synthesis
from next3d.topology import Topology
from next3d.weights import load_folder, random_state_dict

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
N_LANDMARKS = 68  # rows that follow the mesh's vertices
Variant = Literal["official", "front"]
Draw = Callable[[tuple[int, ...]], Tensor]
"""Gives uniform numbers in [0, 1) of a shape; rows are in the order of samples."""


class Identity(NamedTuple):
    """What styles alone determine (n samples)."""

    ws: Tensor  # n 28 512
    textures: Tensor  # n 32 r r, the neural texture
    static: Tensor  # n 3 32 r r, planes without the mesh

    def repeat(self, times: int) -> "Identity":
        """Each identity `times` times in a row, one for each of its expressions."""
        return Identity(*(tensor.repeat_interleave(times, 0) for tensor in self))


class PlaneParts(NamedTuple):
    """The steps from mesh to dynamic planes (n samples, p = 3 planes or the front alone)."""

    raster: Raster
    contents: Tensor  # n p 32 r r, textures as the views see them
    alphas: Tensor  # n p r r
    landmarks: Tensor  # n 68 2, plane units of the front view
    box: Tensor  # n 4: first row, end row, first column, end column of the mouth
    crop: Tensor  # n 32 64 64, the mouth of the front
    mouth: Tensor  # n 32 r r, the same from the mouth network
    stitched: Tensor  # n 32 r r, the front with that in place
    front: Tensor  # n 32 r r, the same from the blending network


@dataclass(frozen=True)
class Output:
    """Images and what the volume says about them: b cameras, n pixels per edge (depth: d)."""

    image: Tensor  # b 3 512 512, about -1..1
    image_raw: Tensor  # b 3 n n, the volume's own colours
    features: Tensor  # b 32 n n, of which `image_raw` is the first 3
    depth: Tensor  # b 1 d d, along the unit ray, volume units
    weight_sum: Tensor  # b 1 n n, 0 where a ray meets nothing .. 1
    depth_weight_sum: Tensor  # b 1 d d, the same at the depth's resolution


class Generator(nn.Module):
    """The networks that generating uses, prepared for one device and precision: see `load` and `random`."""

    precision: str

    def __init__(self, config: Next3DConfig, topology: Topology) -> None:
        super().__init__()
        self.config, self.topology = config, topology
        features, hidden = config.plane_features, config.decoder_hidden
        self.texture_backbone = nn.ModuleDict({"synthesis": Synthesis(config, features)})
        self.mouth_backbone = nn.ModuleDict(
            {"synthesis": ConditionalSynthesis(config, config.mouth_resolution, config.mouth_final)}
        )
        self.backbone = nn.ModuleDict(
            {"synthesis": Synthesis(config, 3 * features), "mapping": MappingNetwork(config)}
        )
        self.neural_blending = nn.ModuleDict(
            {"synthesis": ConditionalSynthesis(config, config.plane_resolution, config.blending_final)}
        )
        self.superresolution = SuperResolution(config)
        self.decoder = volume.Decoder(features, hidden, features)

    @classmethod
    def load(
        cls, folder: Path | str, device: torch.device | str = "cpu", precision: str = "fp32"
    ) -> "Generator":
        """Generator of a checkpoint's folder; ValueError names the file that cannot be used, and why."""
        state, config, topology = load_folder(Path(folder))
        return cls.from_state(config, topology, state, device, precision)

    @classmethod
    def random(
        cls,
        config: Next3DConfig,
        topology: Topology,
        prefix: str = "",
        device: torch.device | str = "cpu",
        precision: str = "fp32",
    ) -> "Generator":
        """Generator of pseudo-random weights, which `prefix` varies; its images mean nothing."""
        with torch.device("meta"):
            used = list(cls(config, topology).state_dict())
        state = random_state_dict(config, topology, prefix, used)
        return cls.from_state(config, topology, state, device, precision)

    @classmethod
    def from_state(
        cls,
        config: Next3DConfig,
        topology: Topology,
        state: Mapping[str, Tensor],
        device: torch.device | str = "cpu",
        precision: str = "fp32",
    ) -> "Generator":
        """Generator of a state dict that holds at least what it uses (`weights.check_state` tells)."""
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision!r} is none of {', '.join(PRECISIONS)}")
        with torch.device("meta"):
            self = cls(config, topology)
        if missing := [key for key in self.state_dict() if key not in state]:
            raise ValueError(f"tensor {missing[0]} is missing ({len(missing)} such)")
        used = {key: state[key].to(device, torch.float32) for key in self.state_dict()}
        self.load_state_dict(used, assign=True)
        self.requires_grad_(False).eval()
        for module in self.modules():
            if isinstance(module, Layer):
                module.prepare(PRECISIONS[precision])
        self.precision, self.topology = precision, topology.to(device)
        return self.to(device)

    @property
    def device(self) -> torch.device:
        """Where everything lives."""
        return self.topology.faces.device

    @torch.no_grad()
    def mapping(self, z: Tensor, c: Tensor, psi: float = 1.0, cutoff: int | None = None) -> Tensor:
        """Latents (n 512) and conditioning cameras (n 25) to styles (n 28 512).

        `psi` < 1 draws the first `cutoff` rows (14: all but the texture's; None: all) towards the mean.
        """
        return self.backbone["mapping"](z, c, psi, cutoff)

    @torch.no_grad()
    def identity(self, ws: Tensor, noise: Noise = "const") -> Identity:
        """Styles (n 28 512) to texture and static planes."""
        n = self.config.num_ws
        with self._exact():
            textures = self.texture_backbone["synthesis"](ws[:, n:], noise)
            static = self.backbone["synthesis"](ws[:, :n], noise)
        return Identity(ws, textures, static.unflatten(1, (3, -1)))

    @torch.no_grad()
    def planes(
        self,
        identity: Identity,
        vertices: Tensor,
        variant: Variant = "official",
        noise: Noise = "const",
        waiting: bool = False,
    ) -> Tensor:
        """Planes (n 3 32 r r) of identities with meshes (n v+68 3; metres, model frame; landmarks last).

        `variant` "front" leaves the side and top planes static, as SynthForge's generator does. On an
        accelerator ample memory is set aside for rasterizing, so that nothing waits for it; planes of a mesh
        that needs more are NaN. `waiting` asks the device first and draws any mesh.
        """
        parts = self.plane_parts(identity, vertices, variant, noise, waiting)
        return self.blend(identity, parts)

    def blend(self, identity: Identity, parts: PlaneParts) -> Tensor:
        """Dynamic planes over static ones."""
        dynamic = [parts.front, *parts.contents.unbind(1)[1:]]
        alphas = parts.alphas[:, :, None].unbind(1)
        static = identity.static.unbind(1)
        mixed = [torch.lerp(s, d, a) for s, d, a in zip(static, dynamic, alphas, strict=False)]
        return torch.stack([*mixed, *static[len(mixed) :]], 1)

    @torch.no_grad()
    def plane_parts(
        self,
        identity: Identity,
        vertices: Tensor,
        variant: Variant = "official",
        noise: Noise = "const",
        waiting: bool = False,
    ) -> PlaneParts:
        """The steps of `planes` before the static ones come in."""
        if vertices.shape[1:] != (expected := (self.topology.n_vertices + N_LANDMARKS, 3)):
            raise ValueError(f"vertices have shape {tuple(vertices.shape)}, not (n, {expected[0]}, 3)")
        if variant not in (known := ("official", "front")):
            raise ValueError(f"variant {variant!r} is none of {known}")
        r, ws = self.config.plane_resolution, identity.ws[:, : self.config.num_ws]
        budget, sweeps = (None, None) if waiting else self._limits()
        views = ALL_VIEWS if variant == "official" else FRONT_VIEW
        raster = rasterize_views(vertices, self.topology, views, r, budget)
        contents = plane_contents(identity.textures, raster)
        alphas = plane_alphas(raster, self.topology.uv_mask, sweeps)
        landmarks = project_views(vertices[:, -N_LANDMARKS:], FRONT_VIEW)[:, 0, :, :2]
        box = mouth_box(landmarks, r)
        crop = crop_mouth(contents[:, 0], box, self.config.mouth_resolution)
        with self._exact():
            mouth = self.mouth_backbone["synthesis"](crop, ws, noise)
            stitched = paste_mouth(contents[:, 0], mouth, box)
            front = self.neural_blending["synthesis"](stitched, ws, noise)
        return PlaneParts(raster, contents, alphas, landmarks, box, crop, mouth, stitched, front)

    @torch.no_grad()
    def render(
        self,
        planes: Tensor,
        ws: Tensor,
        c: Tensor,
        neural_resolution: int | None = None,
        uniforms: Draw | torch.Generator | None = None,
        depth_factor: int = 1,
    ) -> Output:
        """Planes (n 3 32 r r) seen by cameras (b 25): b = n, or a multiple of it, k cameras of each in a row.

        Args:
            planes: of `planes`.
            ws: n 28 512.
            c: cam2world 4x4 and intrinsics 3x3 (in image widths), row-major; OpenCV axes, volume units.
            neural_resolution: rays per edge of features; the configuration's without it.
            uniforms: where the random places of samples along rays come from: a generator, a function of the
                shape, or None for the middle of each stratum, which is the same every time.
            depth_factor: depth has that many times the resolution of features; more than 1 takes a pass of
                densities alone, drawn first.
        """
        n, b = len(planes), len(c)
        if not b or b % n:
            raise ValueError(f"{b} cameras for {n} planes: not the same number for each")
        resolution = neural_resolution or self.config.neural_resolution

        def march(edge: int, features: bool) -> list[Tensor]:
            """Features (if asked for), depth, sum of weights."""
            coarse, fine = self._uniforms(uniforms, b, edge * edge)
            # rays of all cameras of one sample are rays of that sample
            origins, directions = (x.reshape(n, -1, *x.shape[2:]) for x in volume.rays(*unpack(c), edge))
            coarse = coarse.reshape(n, -1, *coarse.shape[2:])
            config = self.config.rendering
            results = volume.render(planes, self.decoder, origins, directions, config, coarse, fine, features)
            return [x.reshape(b, edge, edge, -1).permute(0, 3, 1, 2) for x in results if x is not None]

        if depth_factor > 1:
            depth, depth_weight_sum = march(depth_factor * resolution, False)
            features, _, weight_sum = march(resolution, True)
        else:
            features, depth, weight_sum = march(resolution, True)
            depth_weight_sum = weight_sum
        general = ws[:, : self.config.num_ws].repeat_interleave(b // n, 0)
        with self._exact():
            image = self.superresolution(features, general)
        raw = features[:, : self.config.img_channels]
        return Output(image, raw, features, depth, weight_sum, depth_weight_sum)

    def density(self, planes: Tensor, points: Tensor) -> Tensor:
        """Density before the softplus (n m 1) of planes at points (n m 3, volume units)."""
        return volume.query(planes, self.decoder, points, self.config.rendering)[0]

    def _limits(self) -> tuple[int | None, int | None]:
        """Candidates of the rasterizer and sweeps of the mouth's fill: counted where looking costs nothing.

        Elsewhere ample numbers, so that nothing waits; a mesh beyond them gives NaN, not a wrong plane.
        """
        return (None, None) if self.device.type == "cpu" else (2 * self.config.plane_resolution**2, 8)

    def _uniforms(self, source: Draw | torch.Generator | None, b: int, n_rays: int) -> tuple[Tensor, Tensor]:
        """Coarse (b m dc 1) and fine (b*m df) numbers in [0, 1)."""
        coarse = (b, n_rays, self.config.rendering.depth_resolution, 1)
        fine = (b * n_rays, self.config.rendering.depth_resolution_importance)
        if source is None:
            strata = (torch.arange(fine[1], device=self.device) + 0.5) / fine[1]
            return torch.full(coarse, 0.5, device=self.device), strata.expand(fine)
        if isinstance(source, torch.Generator):
            draws = [torch.rand(shape, generator=source, device=source.device) for shape in (coarse, fine)]
        else:
            draws = [source(coarse), source(fine)]
        return draws[0].to(self.device), draws[1].to(self.device)

    @contextmanager
    def _exact(self) -> Iterator[None]:
        """Keeps float32 convolutions float32: cuDNN rounds their inputs to TF32 unless it is told not to."""
        if self.device.type != "cuda" or self.precision != "fp32":
            yield
            return
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cudnn.allow_tf32 = before
