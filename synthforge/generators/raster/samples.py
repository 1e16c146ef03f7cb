"""The sample points of an image: what each shows of the mesh, and their averages over pixels."""

from functools import reduce

import numpy as np
from jaxtyping import Float

from synthforge.cameras.project import pinhole_pixels, sample_places, scaled, to_camera
from synthforge.generators.shading.numeric import unit32
from synthforge.generators.shading.shade import Samples
from synthforge.heads.anatomy import EYE_PARTS
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import interpolate, sample_classes, vertex_normals
from synthforge.render.rasterize import rasterize
from synthforge.types import Fragments, Mesh, SceneParams


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
    # eyeballs are rigid: their places are those at rest, not those on the canonical head
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
        normal=unit32(packed[:, 3:6]),
        view=unit32(params.camera.cam2world[:3, 3].astype(np.float32) - position),
        canonical=packed[:, 6:],
    )
    return samples, (height, width)


def nearest_depth(samples: Samples, shape: tuple[int, int], factor: int) -> Float[np.ndarray, "h w"]:
    """Smallest depth (m) of each pixel's samples, inf where nothing covers them."""
    depth = flat_depth(samples, shape).reshape(shape)
    offsets = [(row, column) for row in range(factor) for column in range(factor)]
    return reduce(np.minimum, [depth[row::factor, column::factor] for row, column in offsets])


def flat_depth(samples: Samples, shape: tuple[int, int]) -> Float[np.ndarray, " n"]:
    """Depth (m) at every sample of an image, inf where nothing covers it."""
    depth = np.full(shape[0] * shape[1], np.inf, np.float32)
    depth[samples.where] = samples.fragments.depth[0]
    return depth


def take(samples: Samples, at: np.ndarray) -> Samples:
    """The samples at these indices."""
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


def to_pixels(
    linear: np.ndarray, where: np.ndarray, shape: tuple[int, int], factor: int
) -> Float[np.ndarray, "h w 4"]:
    """Mean radiance of each pixel's samples, 0 for those that nothing covers, and the coverage."""
    canvas = np.zeros((shape[0] * shape[1], 4), np.float32)
    canvas[where, :3] = np.minimum(linear, 4.0)
    canvas[where, 3] = 1.0
    canvas = canvas.reshape(*shape, 4)
    offsets = [(row, column) for row in range(factor) for column in range(factor)]
    return sum(canvas[row::factor, column::factor] for row, column in offsets) / np.float32(factor**2)
