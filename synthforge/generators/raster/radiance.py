"""Radiance of one image's samples: each surface's material under the scene's light."""

from dataclasses import dataclass

import numpy as np

from synthforge.generators.face.eyes import eye_material, inner_shadow
from synthforge.generators.face.mouth import mouth_material
from synthforge.generators.face.regions import FaceRegions
from synthforge.generators.face.skin import SKIN_FIELDS, beard_weight, skin_material, vertex_albedo
from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.person import Person
from synthforge.generators.raster.samples import take
from synthforge.generators.shading.color import LUMINANCE
from synthforge.generators.shading.contact import contact_visibility
from synthforge.generators.shading.light import Lighting, env_radiance
from synthforge.generators.shading.noise import bilinear
from synthforge.generators.shading.numeric import unit32
from synthforge.generators.shading.shade import Material, Probe, Samples, shade, shade_hair, solid_material
from synthforge.generators.shading.visibility import AmbientVisibility
from synthforge.heads.anatomy import BRAINCASE, EYE_PARTS, MOUTH_PARTS
from synthforge.render.interpolate import interpolate
from synthforge.types import Mesh

_KIND = (
    {name: "eye" for name in EYE_PARTS}
    | {name: "mouth" for name in MOUTH_PARTS}
    | {kind: kind for kind in ("hair", "solid", "cloth", "knit", "metal", "flesh")}
)
_TOUCHING = ("headwear", "facewear", "occluder")  # classes that darken the skin they touch


@dataclass(frozen=True)
class Scene:
    """Everything that the shading of one image needs; `samples` lie in an image of `shape`.

    `mesh` is the head's followed by the accessories.
    """

    person: Person
    mesh: Mesh
    accessories: list[Accessory]
    samples: Samples
    shape: tuple[int, int]
    lighting: Lighting

    @property
    def part_kinds(self) -> np.ndarray:
        """Material of each part of the mesh: skin, eye, mouth, or that of an accessory."""
        return np.array([_KIND.get(name, "skin") for name in self.mesh.part_names])

    def radiance(self, probe: Probe, shadow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Linear radiance n 3 of all samples, and that of white chalk at some places of the face.

        `shadow` is the share of the first lamp's light that arrives at each sample.
        """
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
        """Random stream of `material`, which takes it for the skin first, then for the eyes."""
        return self.person.rng("skin")

    def material(self, kind: str, samples: Samples, rng: np.random.Generator) -> Material:
        """Material of all samples in the image that are of one kind."""
        own = {"skin": self._skin, "eye": self._eye, "mouth": self._mouth}
        return own[kind](samples, rng) if kind in own else self._solid(samples, kind)

    def _skin(self, samples: Samples, rng: np.random.Generator) -> Material:
        person, head = self.person, self.person.head
        regions = head.derived(FaceRegions.of)
        grown = any(a.class_name == "facial_hair" for a in self.accessories)
        fields = [regions.fields[name] for name in SKIN_FIELDS]
        packed = np.column_stack(
            [vertex_albedo(person), self._ambient_visibility(), beard_weight(person), *fields]
        )
        got = interpolate(packed, head.faces, samples.fragments)[0]
        uv = interpolate(head.uv, head.face_uvs, samples.fragments)[0]
        size = regions.masks.shape[0]
        masks = bilinear(regions.masks, uv[:, 0] * size, (1 - uv[:, 1]) * size)
        base, ambient, beard, fields = got[:, :3], got[:, 3], got[:, 4], got[:, 5:]
        return skin_material(person, samples, base, ambient, beard, fields, masks, grown, rng)

    def _ambient_visibility(self) -> np.ndarray:
        """Share of the surrounding light that reaches each vertex of the head past the rest of it and past
        what touches it."""
        visibility, turn = self.person.head.derived(AmbientVisibility.of), self.person.turn
        directions = visibility.directions @ turn.T.astype(np.float32)
        radiance = (env_radiance(self.lighting.environment, directions) @ LUMINANCE).astype(np.float32)
        # einsum, unlike BLAS, sums in the same order for any number of threads
        reached, free = (np.einsum("vd,d->v", w, radiance) for w in (visibility.reached, visibility.free))
        ambient = reached / np.maximum(free, 1e-6)
        touching = [a.vertices for a in self.accessories if a.class_name in _TOUCHING]
        if touching:
            ambient *= contact_visibility(self.mesh.vertices[: len(ambient)], np.concatenate(touching))
        return np.float32(0.1) + np.float32(0.9) * ambient

    def _eye(self, samples: Samples, rng: np.random.Generator) -> Material:
        rim = self._rim_shadow("eye", 0.0013, 0.0019)[samples.where]
        return eye_material(self.person, samples, rim, rng)

    def _mouth(self, samples: Samples, rng: np.random.Generator) -> Material:
        head, rim = self.person.head, self._rim_shadow("mouth", 0.0017, 0.0020)[samples.where]
        lip_front = float(head.landmarks(head.canonical)[[62, 66], 2].mean())
        return mouth_material(self.person, samples, rim, lip_front)

    def _solid(self, samples: Samples, kind: str) -> Material:
        albedo, tangent = self._worn("albedo", 0.0, samples), self._worn("tangent", 0.0, samples)
        for part, a in enumerate(self.accessories, len(self.person.head.part_names)):
            if a.pattern is not None and a.material == kind:
                mine = np.flatnonzero(samples.part == part)
                albedo[mine] = a.pattern.paint(albedo[mine], samples.canonical[mine])
        ambient = self._worn("ambient", 1.0, samples)[:, 0]
        return solid_material(samples, albedo, tangent, ambient, kind)

    def _hair(self, samples: Samples, shadow: np.ndarray) -> np.ndarray:
        albedo, tangent = self._worn("albedo", 0.0, samples), self._worn("tangent", 0.0, samples)
        out = self.person.to_head(samples.position) - BRAINCASE
        out[:, 1] = np.where(out[:, 1] < 0, 0.3 * out[:, 1], out[:, 1])  # a ball above, a curtain below
        outward = unit32(out @ self.person.turn.T)
        return shade_hair(albedo, tangent, outward, samples.view, self.lighting, shadow)

    def _worn(self, name: str, default: float, samples: Samples) -> np.ndarray:
        """An attribute of the accessories at their samples, n c."""
        width = 1 if name == "ambient" else 3
        values = [np.full((len(self.person.vertices), width), default, np.float32)]
        for a in self.accessories:
            own, shape = getattr(a, name), (len(a.vertices), width)
            values.append(np.full(shape, default, np.float32) if own is None else own.reshape(shape))
        return interpolate(np.concatenate(values), self.mesh.faces, samples.fragments)[0]

    def _rim_shadow(self, kind: str, width: float, down: float) -> np.ndarray:
        """Soft shadow of lids or lips on what lies between them, as a flat image of samples; `width`,
        `down` in metres."""
        mask = np.zeros(self.shape, bool)
        parts = [i for i, name in enumerate(self.mesh.part_names) if _KIND.get(name) == kind]
        mine = np.isin(self.samples.part, parts)
        mask.flat[self.samples.where[mine]] = True
        camera = self.person.params.camera
        density = self.shape[0] / camera.size[0] * camera.intrinsics[0, 0]
        per_metre = density / self.samples.fragments.depth[0, mine].mean()
        return inner_shadow(mask, float(width * per_metre), float(down * per_metre)).reshape(-1)


def _illumination(material: Material, view: np.ndarray, probe: Probe, shadow: np.ndarray) -> np.ndarray:
    """Radiance of a face of white chalk, at every ninth sample."""
    few = np.s_[::9]
    n = len(view[few])
    chalk = Material(
        np.ones((n, 3), np.float32), material.normal[few], material.roughness[few], material.coat[few],
        np.zeros(n, np.float32), material.scatter[few], material.ambient[few],
    )  # fmt: skip
    return shade(chalk, view[few], probe, shadow[few])
