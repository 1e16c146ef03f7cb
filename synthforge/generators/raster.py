"""The embedded graphics renderer: rasterised surfaces, shaded per sample, averaged to pixels."""

from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from synthforge.conventions import CLASS_ID
from synthforge.generators.background import (
    PANORAMAS,
    files_sha256,
    image_files,
    photo_background,
    procedural_background,
)
from synthforge.generators.clothes import dress
from synthforge.generators.color import LUMINANCE
from synthforge.generators.contact import contact_open
from synthforge.generators.drape import CENTRE, PosedHead
from synthforge.generators.eyes import eye_material, inner_shadow, mouth_material
from synthforge.generators.face_hair import grow_face_hair
from synthforge.generators.facewear import put_on_mask
from synthforge.generators.glasses import Lenses, spectacles
from synthforge.generators.hair import grow_hair
from synthforge.generators.headwear import put_on_hat
from synthforge.generators.lenses import chalk_facing, see_through
from synthforge.generators.light import (
    Lighting,
    env_radiance,
    image_lighting,
    lamp_shadow,
    procedural_lighting,
)
from synthforge.generators.noise import bilinear
from synthforge.generators.occluders import occlude
from synthforge.generators.post import DEVELOPED, depth_of_field, develop
from synthforge.generators.shade import (
    Material,
    Probe,
    Samples,
    probe_of,
    shade,
    shade_hair,
    solid_material,
    unit,
)
from synthforge.generators.skin import SKIN_FIELDS, Look, beard_weight, skin_material, vertex_albedo
from synthforge.generators.surface import EYE_PARTS, MOUTH_PARTS, HeadSurface, head_surface
from synthforge.generators.trinkets import hang_earrings, put_on_headphones
from synthforge.generators.worn import WornMesh, append_worn, labelled_mesh
from synthforge.generators.wrinkles import Strain
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import interpolate, sample_classes, vertex_normals
from synthforge.render.rasterize import rasterize
from synthforge.rng import sample_rng
from synthforge.scene.cameras import pinhole_pixels, sample_places, scaled, to_camera
from synthforge.types import Fragments, Mesh, Render, SceneParams

_EXPOSED = {"day": 0.80, "evening": 0.55, "night": 0.38, "studio": 0.75, "indoor": 0.62}
_KIND = (
    {name: "eye" for name in EYE_PARTS}
    | {name: "mouth" for name in MOUTH_PARTS}
    | {kind: kind for kind in ("hair", "solid", "cloth", "knit", "metal", "flesh")}
)
_CASTING = [CLASS_ID[name] for name in ("headwear", "facewear", "occluder")]  # shade what they touch
_BALANCED = 0.65  # share of the light's tint that the camera takes away


class RasterGenerator:
    """Embedded renderer; the same parameters give the same bytes.

    Args:
        supersample: samples per pixel along each axis.
        backgrounds: folder of images to stand behind the head; procedural scenes without it.
        environments: folder of lat-long images (.hdr .exr .png .jpg) to light by; procedural without it.
    Raises:
        AssetError: a folder is missing, holds no images, or a file that is none.
    """

    def __init__(
        self, supersample: int = 2, backgrounds: Path | None = None, environments: Path | None = None
    ):
        self.supersample = supersample
        self._backgrounds = image_files(backgrounds) if backgrounds else []
        self._environments = image_files(environments, PANORAMAS) if environments else []
        self.assets = {}
        if backgrounds:
            self.assets["backgrounds"] = files_sha256(backgrounds, self._backgrounds)
        if environments:
            self.assets["environments"] = files_sha256(environments, self._environments)

    def render(self, head: HeadModel, params: SceneParams, vertices: Float[np.ndarray, "v 3"]) -> Render:
        """Image of `head` with posed `vertices` (metres, world frame) seen by `params.camera`."""
        attributes = params.attributes

        def rng(stream: str) -> np.random.Generator:
            return sample_rng(params.seed, params.index, stream)

        surface = head_surface(head)
        worn = sorted(_put_on(head, surface, params, vertices), key=lambda w: not w.labelled)
        mesh = append_worn(head.mesh(vertices), worn)
        light = str(attributes.get("light", "day"))
        if self._environments:
            choose = rng("light")
            lighting = image_lighting(self._environments[choose.integers(len(self._environments))], choose)
        else:
            lighting = procedural_lighting(light, rng("light"))

        samples, shape = samples_of(mesh, params, self.supersample, head)
        scene = Scene(head, surface, params, mesh, worn, samples, shape, lighting)
        seen = self.exposed(scene)

        size = params.camera.size
        choose = rng("background")
        if self._backgrounds:
            path = self._backgrounds[choose.integers(len(self._backgrounds))]
            behind = photo_background(path, size, choose)
        else:
            behind = procedural_background(str(attributes.get("background", "room")), light, size, choose)
        image = seen[..., :3] + (1 - seen[..., 3:]) * behind
        labelled = labelled_mesh(mesh, worn)
        lenses = spectacles(head, vertices, str(attributes.get("eyeglasses", "none")), rng("eyeglasses"))[1]
        if lenses is not None:
            image = self._seen_through(image, lenses, scene)
            labelled = append_worn(labelled, [lenses.worn]) if lenses.dark else labelled
        number = {k: float(attributes.get(k, 0.0)) for k in DEVELOPED}
        if aperture := 1e-3 * float(attributes.get("aperture", 0.0)):
            eyes = to_camera(head.landmarks(vertices)[36:48].reshape(2, 6, 3).mean(1), params.camera)
            depth, focal = _nearest_depth(samples, shape, self.supersample), params.camera.intrinsics[1, 1]
            image = depth_of_field(image, depth, float(eyes[:, 2].min()), float(focal), aperture)
        rgb = develop(image, **number, rng=rng("sensor"))
        return Render(rgb=rgb, mesh=labelled, n_head_faces=len(head.faces))

    def _seen_through(self, image: np.ndarray, lenses: Lenses, scene: "Scene") -> Float[np.ndarray, "h w 3"]:
        camera, depth = scene.params.camera, _flat_depth(scene.samples, scene.shape)
        gain = exposure_of(chalk_facing(scene.lighting, -camera.cam2world[:3, 2]), scene.params)
        return see_through(image, lenses, camera, depth, self.supersample, scene.lighting, gain)

    def exposed(self, scene: "Scene") -> Float[np.ndarray, "h w 4"]:
        """Pixels without what is behind: linear RGB as exposed, times coverage; and coverage."""
        samples, params = scene.samples, scene.params
        shadow = np.ones(len(samples.where), np.float32)
        if scene.lighting.lamps and len(shadow):
            shadow = lamp_shadow(scene.mesh, samples.position, samples.normal, scene.lighting.lamps[0])
        linear, chalk = scene.radiance(probe_of(scene.lighting), shadow)
        linear *= exposure_of(chalk, params)
        return to_pixels(linear, samples.where, scene.shape, self.supersample)


def _put_on(
    head: HeadModel, surface: HeadSurface, params: SceneParams, vertices: np.ndarray
) -> list[WornMesh]:
    """All that is worn, from the skin outwards; hair is grown last, under hats and masks."""

    def rng(stream: str) -> np.random.Generator:
        return sample_rng(params.seed, params.index, stream)

    def word(attribute: str) -> str:
        return str(params.attributes.get(attribute, "none"))

    posed = PosedHead(head, params, vertices)
    shirt = dress(posed, word("headwear"), rng("clothes"))
    posed = replace(posed, under=shirt)
    hat = put_on_hat(posed, word("headwear"), word("hair_style"), rng("headwear"))
    mask = put_on_mask(posed, word("facewear"), word("facial_hair"), rng("facewear"))
    over = replace(posed, under=[*shirt, *hat.meshes])
    phones = put_on_headphones(over, word("headphones"), rng("headphones"))
    on = [
        *shirt,
        *hat.meshes,
        *mask.meshes,
        *hang_earrings(posed, word("earrings"), rng("earrings")),
        *phones.meshes,
        *spectacles(head, vertices, word("eyeglasses"), rng("eyeglasses"))[0],
    ]
    return [
        *on,
        *occlude(head, params, vertices, rng("occluder"), on),
        *grow_face_hair(head, surface, params, vertices, [*hat.covers, *mask.covers]),
        *grow_hair(head, params, vertices, [*hat.covers, *mask.covers, *phones.covers], shirt),
    ]


def samples_of(
    mesh: Mesh, params: SceneParams, factor: int, head: HeadModel
) -> tuple[Samples, tuple[int, int]]:
    """Covered sample points of the view, `factor` per pixel along each axis."""
    camera = scaled(params.camera, factor)
    height, width = camera.size
    points = pinhole_pixels(to_camera(mesh.vertices, camera), camera)
    whole = rasterize(points, mesh.faces, height, width, places=sample_places(camera))
    covered = whole.face_index >= 0
    fragments = Fragments(
        whole.face_index[covered][None], whole.depth[covered][None], whole.barycentric[covered][None]
    )
    # eyeballs are rigid: their place is taken at rest, not on the canonical head
    canonical = mesh.canonical.copy()
    eyes = [i for i, name in enumerate(head.part_names) if name in EYE_PARTS]
    ball = np.unique(head.faces[np.isin(head.face_part, eyes)])
    canonical[ball] = head.vertices.numpy()[ball]
    normals = vertex_normals(mesh.vertices, mesh.faces)
    packed = interpolate(np.concatenate([mesh.vertices, normals, canonical], 1), mesh.faces, fragments)[0]
    position = packed[:, :3]
    samples = Samples(
        where=np.flatnonzero(covered),
        fragments=fragments,
        part=mesh.face_part[fragments.face_index[0]],
        class_id=sample_classes(mesh, fragments)[0],
        position=position,
        normal=unit(packed[:, 3:6]),
        view=unit(params.camera.cam2world[:3, 3].astype(np.float32) - position),
        canonical=packed[:, 6:],
    )
    return samples, (height, width)


def _nearest_depth(samples: Samples, shape: tuple[int, int], factor: int) -> Float[np.ndarray, "h w"]:
    """Least depth of each pixel's samples, inf where nothing covers any."""
    depth = _flat_depth(samples, shape).reshape(shape)
    offsets = [(row, column) for row in range(factor) for column in range(factor)]
    return reduce(np.minimum, [depth[row::factor, column::factor] for row, column in offsets])


def _flat_depth(samples: Samples, shape: tuple[int, int]) -> Float[np.ndarray, " n"]:
    """Depth at every sample of an image, inf where nothing covers it."""
    depth = np.full(shape[0] * shape[1], np.inf, np.float32)
    depth[samples.where] = samples.fragments.depth[0]
    return depth


def _take(samples: Samples, at: np.ndarray) -> Samples:
    f = samples.fragments
    return Samples(
        where=samples.where[at],
        fragments=Fragments(f.face_index[:, at], f.depth[:, at], f.barycentric[:, at]),
        part=samples.part[at],
        class_id=samples.class_id[at],
        position=samples.position[at],
        normal=samples.normal[at],
        view=samples.view[at],
        canonical=samples.canonical[at],
    )


@dataclass(frozen=True)
class Scene:
    """Everything that shading one image needs; `samples` lie in an image of `shape`."""

    head: HeadModel
    surface: HeadSurface
    params: SceneParams
    mesh: Mesh
    worn: list[WornMesh]
    samples: Samples
    shape: tuple[int, int]
    lighting: Lighting

    @property
    def part_kinds(self) -> np.ndarray:
        """What each of the mesh's parts is made of: skin, eye, mouth, or the `kind` of a `WornMesh`."""
        return np.array([_KIND.get(name, "skin") for name in self.mesh.part_names])

    def radiance(self, probe: Probe, shadow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Linear radiance of all samples, and the light on the face as white chalk would send it;
        `shadow` is the first lamp's share that arrives at each sample."""
        out = np.zeros((len(self.samples.where), 3), np.float32)
        chalk = np.ones((1, 3), np.float32)
        kinds = self.part_kinds[self.samples.part]
        rng = self.skin_rng()
        for kind in ("skin", "eye", "mouth", "solid", "cloth", "knit", "metal", "flesh", "hair"):
            at = np.flatnonzero(kinds == kind)
            if not len(at):
                continue
            samples = _take(self.samples, at)
            if kind == "hair":
                out[at] = self._hair(samples, shadow[at])
                continue
            material = self.material(kind, samples, rng)
            out[at] = shade(material, samples.view, probe, shadow[at])
            if kind == "skin":
                chalk = _illumination(material, samples.view, probe, shadow[at])
        return out, chalk

    def skin_rng(self) -> np.random.Generator:
        """What `material` draws from, first for the skin, then for eyes."""
        return sample_rng(self.params.seed, self.params.index, "skin")

    def material(self, kind: str, samples: Samples, rng: np.random.Generator) -> Material:
        """Of samples of one kind, which are all of that kind in the image."""
        own = {"skin": self._skin, "eye": self._eye, "mouth": self._mouth}
        return own[kind](samples, rng) if kind in own else self._solid(samples, kind)

    def _skin(self, samples: Samples, rng: np.random.Generator) -> Material:
        surface = self.surface
        look = Look.of(self.params, grown=any(w.class_id == CLASS_ID["facial_hair"] for w in self.worn))
        fields = [surface.fields[name] for name in SKIN_FIELDS]
        packed = np.column_stack(
            [vertex_albedo(surface, look), self._openness(), beard_weight(surface, look), *fields]
        )
        got = interpolate(packed, self.head.faces, samples.fragments)[0]
        uv = interpolate(self.head.uv, self.head.face_uvs, samples.fragments)[0]
        size = surface.masks.shape[0]
        masks = bilinear(surface.masks, uv[:, 0] * size, (1 - uv[:, 1]) * size)
        strain, up = Strain.of(self.head, self.params), self._turn[:, 1]
        return skin_material(
            surface, look, samples, got[:, :3], got[:, 3], got[:, 4], got[:, 5:], masks, strain, up, rng
        )

    @property
    def _turn(self) -> np.ndarray:
        """Rotation of the head, 3 3."""
        neck = self.params.pose[self.head.joint_names.index("neck")]
        return Rotation.from_rotvec(neck).as_matrix().astype(np.float32)

    def _openness(self) -> np.ndarray:
        """Share of the surrounding light that reaches each vertex past the rest of the head."""
        radiance = env_radiance(self.lighting.environment, self.surface.directions @ self._turn.T) @ LUMINANCE
        radiance = radiance.astype(np.float32)
        # einsum, unlike BLAS, sums in the same order for any number of threads
        shut, free = (
            np.einsum("vd,d->v", w, radiance) for w in (self.surface.light_weight, self.surface.open_weight)
        )
        reach = shut / np.maximum(free, 1e-6)
        touching = [w.vertices for w in self.worn if w.class_id in _CASTING]
        if touching:
            reach *= contact_open(self.mesh.vertices[: len(reach)], np.concatenate(touching))
        return np.float32(0.1) + np.float32(0.9) * reach

    def _eye(self, samples: Samples, rng: np.random.Generator) -> Material:
        posed = self.mesh.vertices[: len(self.head.vertices)]
        rim = self._rim_shadow("eye", 0.0013, 0.0019)[samples.where]
        iris = str(self.params.attributes.get("iris_color", "brown"))
        pupil = float(self.params.attributes.get("pupil", 0.4))
        return eye_material(self.head, self.surface, samples, posed, iris, pupil, rim, rng)

    def _mouth(self, samples: Samples, rng: np.random.Generator) -> Material:
        lip_front = float(self.head.landmarks(self.head.canonical)[[62, 66], 2].mean())
        return mouth_material(
            self.head, samples, self._rim_shadow("mouth", 0.0015, 0.0015)[samples.where], lip_front
        )

    def _solid(self, samples: Samples, kind: str) -> Material:
        albedo, tangent = (self._worn_values(name, samples) for name in ("albedo", "tangent"))
        for part, w in enumerate(self.worn, len(self.head.part_names)):
            if w.pattern is not None and w.kind == kind:
                mine = np.flatnonzero(samples.part == part)
                albedo[mine] = w.pattern.paint(albedo[mine], samples.canonical[mine])
        return solid_material(samples, albedo, tangent, self._worn_open(samples), kind)

    def _worn_open(self, samples: Samples) -> np.ndarray:
        """Share of the surrounding light that comes to samples of what is worn."""
        bare = np.ones(len(self.head.vertices), np.float32)
        free = [np.ones(len(w.vertices), np.float32) if w.open is None else w.open for w in self.worn]
        values = np.concatenate([bare, *free])[:, None]
        return interpolate(values, self.mesh.faces, samples.fragments)[0, :, 0]

    def _hair(self, samples: Samples, shadow: np.ndarray) -> np.ndarray:
        albedo, tangent = (self._worn_values(name, samples) for name in ("albedo", "tangent"))
        posed = PosedHead(self.head, self.params, self.mesh.vertices[: len(self.head.vertices)])
        out = posed.to_head(samples.position) - CENTRE
        out[:, 1] = np.where(out[:, 1] < 0, 0.3 * out[:, 1], out[:, 1])  # round above, a curtain below
        outward = unit(out @ posed.turn.T)
        return shade_hair(albedo, tangent, outward, samples.view, self.lighting, shadow)

    def _worn_values(self, name: str, samples: Samples) -> np.ndarray:
        bare = np.zeros((len(self.head.vertices), 3), np.float32)
        values = np.concatenate([bare, *(getattr(w, name) for w in self.worn)])
        return interpolate(values, self.mesh.faces, samples.fragments)[0]

    def _rim_shadow(self, kind: str, width: float, down: float) -> np.ndarray:
        """Soft shadow (flat image of samples) that lids or lips throw on what they frame; metres."""
        mask = np.zeros(self.shape, bool)
        parts = [i for i, name in enumerate(self.mesh.part_names) if _KIND.get(name) == kind]
        mine = np.isin(self.samples.part, parts)
        mask.flat[self.samples.where[mine]] = True
        density = self.shape[0] / self.params.camera.size[0] * self.params.camera.intrinsics[0, 0]
        per_metre = density / self.samples.fragments.depth[0, mine].mean()
        return inner_shadow(mask, float(width * per_metre), float(down * per_metre)).reshape(-1)


def _illumination(material: Material, view: np.ndarray, probe: Probe, shadow: np.ndarray) -> np.ndarray:
    """What a white chalk face would send to the camera, at every ninth sample."""
    few = np.s_[::9]
    n = len(view[few])
    chalk = Material(
        np.ones((n, 3), np.float32), material.normal[few], material.roughness[few], material.coat[few],
        np.zeros(n, np.float32), material.scatter[few], material.open[few],
    )  # fmt: skip
    return shade(chalk, view[few], probe, shadow[few])


def exposure_of(illumination: np.ndarray, params: SceneParams) -> Float[np.ndarray, " 3"]:
    """Factors that bring the light on the face to a photographer's level, off by the sample's EV,
    and take most of its tint away, as a camera's white balance does."""
    color = illumination.mean(0)
    level = illumination @ LUMINANCE
    mean = float(np.sqrt(level.mean() * np.quantile(level, 0.8)))
    light = str(params.attributes.get("light", "day"))
    tone = float(params.attributes.get("skin_tone", 4.0))
    wanted = 1.5 * _EXPOSED.get(light, 0.7) * (1 + 0.07 * (tone - 4))
    balance = (color / (color @ LUMINANCE)) ** -_BALANCED
    gain = wanted / max(mean, 1e-4) * 2.0 ** float(params.attributes.get("exposure", 0.0))
    # as cameras do, less where the lit side would burn out; pale skin does first
    brightest = gain * float(np.quantile(level, 0.95)) / (1.6 + 0.2 * (tone - 1))
    gain *= max(brightest, 1.0) ** -0.7
    return (gain * balance).astype(np.float32)


def to_pixels(
    linear: np.ndarray, where: np.ndarray, shape: tuple[int, int], factor: int
) -> Float[np.ndarray, "h w 4"]:
    """Mean of each pixel's samples: radiance, nothing where nothing covers; and coverage."""
    canvas = np.zeros((shape[0] * shape[1], 4), np.float32)
    canvas[where, :3] = np.minimum(linear, 4.0)
    canvas[where, 3] = 1.0
    canvas = canvas.reshape(*shape, 4)
    offsets = [(row, column) for row in range(factor) for column in range(factor)]
    return sum(canvas[row::factor, column::factor] for row, column in offsets) / np.float32(factor**2)
