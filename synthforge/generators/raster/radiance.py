"""Radiance of one image's samples: each surface's material under the scene's light."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from synthforge.conventions import CLASS_ID
from synthforge.generators.face.eyes import eye_material, inner_shadow
from synthforge.generators.face.mouth import mouth_material
from synthforge.generators.face.regions import EYE_PARTS, MOUTH_PARTS, HeadSurface
from synthforge.generators.face.skin import SKIN_FIELDS, Look, beard_weight, skin_material, vertex_albedo
from synthforge.generators.face.wrinkles import Strain
from synthforge.generators.geometry.drape import CENTRE, PosedHead
from synthforge.generators.geometry.worn import WornMesh
from synthforge.generators.raster.samples import take
from synthforge.generators.shading.color import LUMINANCE
from synthforge.generators.shading.contact import contact_open
from synthforge.generators.shading.light import (
    Lighting,
    env_radiance,
)
from synthforge.generators.shading.noise import bilinear
from synthforge.generators.shading.shade import (
    Material,
    Probe,
    Samples,
    shade,
    shade_hair,
    solid_material,
    unit,
)
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import interpolate
from synthforge.rng import sample_rng
from synthforge.types import Mesh, SceneParams

_KIND = (
    {name: "eye" for name in EYE_PARTS}
    | {name: "mouth" for name in MOUTH_PARTS}
    | {kind: kind for kind in ("hair", "solid", "cloth", "knit", "metal", "flesh")}
)
_CASTING = [CLASS_ID[name] for name in ("headwear", "facewear", "occluder")]  # shade what they touch


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
            samples = take(self.samples, at)
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
        strain, turn = Strain.of(self.head, self.params), self._turn
        return skin_material(
            surface, look, samples, got[:, :3], got[:, 3], got[:, 4], got[:, 5:], masks, strain, turn, rng
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
        age = float(self.params.attributes.get("age", 35.0))
        rim = self._rim_shadow("mouth", 0.0017, 0.0020)[samples.where]
        return mouth_material(self.head, samples, rim, lip_front, age)

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
