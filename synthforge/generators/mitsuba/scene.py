"""One scene as Mitsuba takes it: meshes, fibres, lamps and the camera.

Materials are those of the raster backend, projected on the surfaces from the camera: the texture coordinate
of a vertex is its place in the image. So each visible point has exactly the raster backend's material.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from synthforge.cameras.project import project, scaled
from synthforge.errors import GeometryError
from synthforge.generators.face.mouth import mouth_material
from synthforge.generators.geometry.accessory import Strands
from synthforge.generators.raster.radiance import Scene
from synthforge.generators.raster.samples import samples_of
from synthforge.generators.shading.light import Lamp, Lighting
from synthforge.generators.shading.numeric import unit32
from synthforge.generators.shading.shade import Material, Samples
from synthforge.render.interpolate import vertex_normals
from synthforge.types import Camera

_TINT = (0.2, 0.8)  # least and largest albedo where only the irradiance is wanted
_FAR = 20.0  # m to the lamps
_CASTER = 0.06  # m from the caster of a shadow to the shadow, for which `Lamp.softness` holds
_FIBRE = 0.0005  # m, approximate width of a fibre
_MOST = 5  # fibres in a ribbon
_SHADES = 5  # colours of the fibres of one sample
_METAL = 0.2  # specular reflectance above which a material is a metal
# Half of the weight is diffuse, for the many reflections between fibres beyond the traced ones.
_HAIR = {"type": "hair", "longitudinal_roughness": 0.5, "azimuthal_roughness": 0.5, "int_ior": 1.4}
_ABSORPTION = 5.450  # Source: Chiang et al. (2016), eq. 9, at an azimuthal roughness of 0.5


@dataclass(frozen=True)
class Layer:
    """All surfaces of one kind, and an image of their material, cropped to where the kind is seen.

    `faces` are triangles of the scene's mesh, `corner` is the top and left of the crop in samples,
    `normal` is in the frame that Mitsuba gives the surface, `tint` is about the mean albedo. Around the
    kind, the image repeats its nearest values.
    """

    kind: str
    faces: Int[np.ndarray, "m 3"]
    corner: tuple[int, int]
    albedo: Float[np.ndarray, "h w 3"]
    normal: Float[np.ndarray, "h w 3"]
    roughness: Float[np.ndarray, "h w"]
    coat: Float[np.ndarray, "h w"]
    specular: float
    tint: Float[np.ndarray, " 3"]


def layers_of(scene: Scene, factor: int) -> list[Layer]:
    """Layers of all kinds but hair, each drawn without the others; `factor` samples per pixel along each
    axis."""
    kinds, rng = scene.part_kinds, scene.skin_rng()
    order = [k for k in ("skin", "eye", "mouth") if k in kinds]
    order += sorted(set(kinds.tolist()) - {*order, "hair"})
    return [_layer(scene, kind, kinds[scene.mesh.face_part] == kind, factor, rng) for kind in order]


def _layer(scene: Scene, kind: str, mine: np.ndarray, factor: int, rng: np.random.Generator) -> Layer:
    # triangles without area are not drawn
    mesh = replace(scene.mesh, faces=np.where(mine[:, None], scene.mesh.faces, 0))
    faces = scene.mesh.faces[mine]
    person = scene.person
    samples, shape = samples_of(mesh, person.params, factor, person.head)
    if not len(samples.where):
        grey, flat = np.full((1, 1, 3), 0.3, np.float32), np.array([[[0, 0, 1]]], np.float32)
        half = np.full((1, 1), 0.5, np.float32)
        return Layer(kind, faces, (0, 0), grey, flat, half, 0 * half, 0.04, grey[0, 0])
    alone = _Traced(**{**vars(scene), "samples": samples, "shape": shape})
    material = alone.material(kind, samples, rng)
    tangent = _tangents(mesh.vertices, mesh.faces, project(mesh.vertices, person.params.camera)[:, :2])
    normal = _local(material.normal, samples.normal, tangent[samples.fragments.face_index[0]])
    packed = np.column_stack([material.albedo, normal, material.roughness, material.coat])
    rows, cols = np.divmod(samples.where, shape[1])
    top, left = int(rows.min()), int(cols.min())
    image = _spread(packed.astype(np.float32), rows - top, cols - left)
    return Layer(
        kind, faces, (top, left), image[..., :3], image[..., 3:6], image[..., 6], image[..., 7],
        float(material.specular.mean()), np.clip(material.albedo.mean(0), *_TINT),
    )  # fmt: skip


class _Traced(Scene):
    """A scene without painted shadows of lids and lips: the path tracer casts them."""

    def _mouth(self, samples: Samples, rng: np.random.Generator) -> Material:
        none = np.zeros(len(samples.where), np.float32)
        return mouth_material(self.person, samples, none, lip_front=-1.0)

    def _rim_shadow(self, kind: str, width: float, down: float) -> np.ndarray:
        return np.zeros(self.shape[0] * self.shape[1], np.float32)


def _tangents(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> Float[np.ndarray, "m 3"]:
    """Direction (any length) in which the first texture coordinate grows, per triangle."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    ua, ub, uc = (uv[faces[:, i]] for i in range(3))
    e, f, p, q = b - a, c - a, ub - ua, uc - ua
    sign = np.sign(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    return sign[:, None] * (e * q[:, 1:] - f * p[:, 1:])


def _local(wanted: np.ndarray, normal: np.ndarray, tangent: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Normals in Mitsuba's frame: the tangent made orthogonal, its cross product, the normal."""
    s = unit32(tangent - (normal * tangent).sum(1, keepdims=True) * normal)
    t = np.cross(normal, s)
    return np.stack([(wanted * axis).sum(1) for axis in (s, t, normal)], -1)


def _spread(values: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> Float[np.ndarray, "h w c"]:
    """Image of samples; pixels without one get the nearest value."""
    free = np.ones((rows.max() + 1, cols.max() + 1), np.uint8)
    free[rows, cols] = 0
    _, label = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, cv2.DIST_MASK_3, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(len(rows) + 1, np.int64)
    of_label[label[rows, cols]] = np.arange(len(rows))
    return values[of_label[label]]


@dataclass(frozen=True)
class TracedScene:
    """Builds Mitsuba's objects for one `Scene`; `mi` is Mitsuba with its variant set."""

    mi: Any
    scene: Scene
    layers: list[Layer]
    factor: int

    def load(self) -> tuple[Any, Any]:
        """Mitsuba's scene twice: with diffuse surfaces of their tint, and with specular ones; hair is the
        same in both."""
        lamps = {f"lamp {i}": _lamp(lamp) for i, lamp in enumerate(self.scene.lighting.lamps)}
        sky = {"type": "envmap", "bitmap": self.mi.Bitmap(environment_map(self.scene.lighting))}
        common = {"type": "scene", "sky": sky, **lamps, **self._hair()}
        dull, glossy = (
            {f"layer {i}": self._surface(layer, bsdf) for i, layer in enumerate(self.layers)}
            for bsdf in (lambda layer: _diffuse(layer.tint), self._glossy)
        )
        return self.mi.load_dict(common | dull), self.mi.load_dict(common | glossy)

    def _surface(self, layer: Layer, bsdf_of: Callable[[Layer], dict]) -> Any:
        mesh = self.scene.mesh
        used, faces = np.unique(layer.faces, return_inverse=True)
        faces = faces.reshape(-1, 3)
        pixels = project(mesh.vertices[used], scaled(self.scene.person.params.camera, self.factor))[:, :2]
        size = np.array(layer.albedo.shape[1::-1])
        uv = (pixels - np.array(layer.corner[::-1])) / size
        normals = vertex_normals(mesh.vertices[used], faces)
        bumps = self._texture(0.5 + 0.5 * layer.normal)
        bsdf = {"type": "normalmap", "normalmap": bumps, "bsdf": bsdf_of(layer)}
        return self._mesh(mesh.vertices[used], faces, normals, uv, bsdf)

    def _mesh(
        self, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, uv: np.ndarray, bsdf: dict
    ) -> Any:
        props = self.mi.Properties()
        props["bsdf"] = self.mi.load_dict({"type": "twosided", "bsdf": bsdf})
        shape = self.mi.Mesh("", len(vertices), len(faces), props, True, True)
        values = self.mi.traverse(shape)
        values["vertex_positions"] = np.ascontiguousarray(vertices, np.float32).ravel()
        values["vertex_normals"] = np.ascontiguousarray(normals, np.float32).ravel()
        values["vertex_texcoords"] = np.ascontiguousarray(uv, np.float32).ravel()
        values["faces"] = np.ascontiguousarray(faces, np.uint32).ravel()
        values.update()
        return shape

    def _glossy(self, layer: Layer) -> dict:
        """The two specular lobes of `shade.Material`."""
        rough, coat = (self._lobe(layer, share) for share in (1.0, 0.45))
        return {"type": "blendbsdf", "weight": self._texture(layer.coat), "a": rough, "b": coat}

    def _lobe(self, layer: Layer, share: float) -> dict:
        metal = layer.specular >= _METAL
        return {
            "type": "principled", "metallic": float(metal), "specular": min(layer.specular / 0.08, 1.0),
            "base_color": {"type": "rgb", "value": layer.specular if metal else 0.0},
            "roughness": self._texture(np.sqrt(np.clip(share * layer.roughness, 0.01, 1))),
        }  # fmt: skip

    def _texture(self, values: np.ndarray) -> dict:
        values = np.ascontiguousarray(values if values.ndim == 3 else values[..., None], np.float32)
        return {"type": "bitmap", "bitmap": self.mi.Bitmap(values), "raw": True, "wrap_mode": "clamp"}

    def _hair(self) -> dict[str, Any]:
        """Fibres in a few colours, and the surfaces of hair beneath them."""
        out: dict[str, Any] = {}
        hair = [a for a in self.scene.accessories if a.material == "hair" and len(a.faces)]
        for i, a in enumerate(hair):
            if a.strands is None:
                normals, uv = vertex_normals(a.vertices, a.faces), np.zeros((len(a.vertices), 2))
                look = _diffuse(a.albedo.mean(0))
                out[f"sheet {i}"] = self._mesh(a.vertices, a.faces, normals, uv, look)
        for i, strands in enumerate(a.strands for a in hair if a.strands is not None):
            for shade, curves in enumerate(self._curves(strands)):
                out[f"hair {i} {shade}"] = curves
        return out

    def _curves(self, strands: Strands) -> list[Any]:
        """Fibres in up to `_SHADES` groups of one colour each."""
        n, m, _ = strands.albedo.shape
        sums = np.add.reduceat(strands.albedo.reshape(-1, 3), np.arange(0, n * m, m))
        albedo = (sums / np.int64(m)).astype(np.float32)
        edges, _ = strands.ribbons(self.scene.person.params.camera.cam2world[:3, 3].astype(np.float64))
        tone = albedo.sum(1)
        limits = np.quantile(tone, np.linspace(0, 1, _SHADES + 1)[1:-1])
        shade = np.searchsorted(limits, tone)
        out = []
        for value in np.unique(shade):
            mine = np.flatnonzero(shade == value)
            points, counts = fibre_points(edges[mine])
            color = np.clip(albedo[mine].mean(0), 0.002, 0.95)
            out.append(self._curve(points, counts, color))
        return out

    def _curve(self, points: np.ndarray, counts: np.ndarray, color: np.ndarray) -> Any:
        absorbed = {"type": "rgb", "value": ((np.log(color) / _ABSORPTION) ** 2).tolist()}
        look = {"type": "blendbsdf", "weight": 0.5, "a": _HAIR | {"sigma_a": absorbed}, "b": _diffuse(color)}
        line = "%.6f %.6f %.6f %.7f\n"
        with TemporaryDirectory() as folder:  # Mitsuba reads fibres from files only
            path = Path(folder) / "fibres.txt"
            form = "\n".join(line * count for count in counts.tolist())
            path.write_text(form % tuple(points.ravel().tolist()), encoding="ascii")
            # Straight pieces: Mitsuba 3.9's B-splines end the process on rare rays.
            return self.mi.load_dict({"type": "linearcurve", "filename": str(path), "bsdf": look})


def _diffuse(color: np.ndarray) -> dict:
    return {"type": "diffuse", "reflectance": {"type": "rgb", "value": color.tolist()}}


def fibre_points(
    edges: Float[np.ndarray, "n m 2 3"],
) -> tuple[Float[np.ndarray, "k 4"], Int[np.ndarray, " f"]]:
    """Control points (m) and radii (m) of fibres that fill ribbons with these edges side by side, and the
    number of points of each fibre."""
    middle, side = (edges[:, :, 0] + edges[:, :, 1]) / 2, (edges[:, :, 1] - edges[:, :, 0]) / 2
    half = np.linalg.norm(side, axis=2)
    n = int(np.clip(np.ceil(2 * half.max(initial=0) / _FIBRE), 1, _MOST))
    offsets = (np.arange(n) + 0.5) / n * 2 - 1
    points = middle + offsets[:, None, None, None] * side  # fibres of a ribbon, ribbons, points, 3
    radius = np.broadcast_to(half[..., None] / n, (*points.shape[:3], 1))
    packed = np.concatenate([points, radius], -1)
    return packed.reshape(-1, 4), np.full(n * len(edges), edges.shape[1])


def environment_map(lighting: Lighting) -> Float[np.ndarray, "r c 3"]:
    """Environment in Mitsuba's layout: columns reversed, the first and last row at the poles."""
    rows = np.pad(lighting.environment[:, ::-1], ((1, 1), (0, 0), (0, 0)), mode="edge")
    return np.ascontiguousarray((rows[1:] + rows[:-1]) / 2, np.float32)


def _lamp(lamp: Lamp) -> dict:
    """A distant ball, as large as the softness of its shadows needs."""
    angle = np.arctan(max(lamp.softness, 1e-3) / _CASTER)
    radiance = (lamp.color / (np.pi * np.sin(angle) ** 2)).astype(float).tolist()
    return {
        "type": "sphere", "center": (_FAR * lamp.direction).astype(float).tolist(),
        "radius": float(_FAR * np.sin(angle)),
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": radiance}},
    }  # fmt: skip


def sensor(mi: Any, camera: Camera) -> dict:
    """Mitsuba's sensor with the same view and a box filter.

    Raises:
        GeometryError: pixels that are not square.
    """
    k, (height, width) = camera.intrinsics.astype(float), camera.size
    if abs(k[0, 1]) > 1e-6 or abs(k[0, 0] - k[1, 1]) > 1e-6 * k[0, 0]:
        raise GeometryError("the path tracer takes square pixels", where="camera.intrinsics")
    to_world = camera.cam2world.astype(float) @ np.diag([-1.0, -1.0, 1.0, 1.0])  # x left, y up
    return {
        "type": "perspective", "to_world": mi.ScalarTransform4f(to_world), "near_clip": 0.01,
        "fov_axis": "x", "fov": float(np.degrees(2 * np.arctan(0.5 * width / k[0, 0]))),
        "principal_point_offset_x": k[0, 2] / width - 0.5,
        "principal_point_offset_y": k[1, 2] / height - 0.5,
        "film": {"type": "hdrfilm", "width": width, "height": height, "pixel_format": "rgba",
                 "component_format": "float32", "rfilter": {"type": "box"}},
        "sampler": {"type": "multijitter"},
    }  # fmt: skip
