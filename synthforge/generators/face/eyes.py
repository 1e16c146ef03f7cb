"""Material of the eyes, and the shadow of lids and lips."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from synthforge.generators.face.regions import FaceRegions
from synthforge.generators.face.skin import CARUNCLE_LAB
from synthforge.generators.geometry.meshes import nearest_on_polyline
from synthforge.generators.geometry.person import Person
from synthforge.generators.shading.color import hex_to_linear, lab_to_linear
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.numeric import smoothstep as step
from synthforge.generators.shading.numeric import unit32
from synthforge.generators.shading.shade import Material, Samples
from synthforge.heads.anatomy import EYE_PARTS

# sRGB of the outer part and of the ring around the pupil, which is warmer. Source: estimates from
# photographs.
IRIS = {
    "dark_brown": ("3a2316", "482917"),
    "brown": ("5c3822", "704324"),
    "amber": ("75502e", "8a6234"),
    "hazel": ("665c40", "79532f"),
    "green": ("606a52", "786c48"),
    "grey": ("757e84", "7c7d78"),
    "blue": ("647a91", "7b878c"),
}
_IRIS_DEPTH = 0.0030  # m behind the cornea's apex
_REFRACTION = 1 / 1.336


def _turn(rest: np.ndarray, posed: np.ndarray) -> np.ndarray:
    """Rotation that takes rest offsets to posed ones. Source: Kabsch (1976)."""
    u, _, vt = np.linalg.svd(np.einsum("ni,nj->ij", rest - rest.mean(0), posed - posed.mean(0)))
    return (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T


def eye_material(
    person: Person, samples: Samples, contact: Float[np.ndarray, " n"], rng: np.random.Generator
) -> Material:
    """Material of samples of the eyeballs: sclera, limbus, pupil, and the iris, which lies on a plane behind
    the cornea and is seen refracted through it.

    Args:
        contact: the lids' soft shadow, 0 to 1.
        rng: places the flecks of the iris.
    """
    head, regions = person.head, person.head.derived(FaceRegions.of)
    rest = head.vertices.numpy()
    n = len(samples.position)
    albedo = np.empty((n, 3), np.float32)
    normal = samples.normal.copy()
    coat = np.ones(n, np.float32)
    fleck = rng.uniform(0, 48, 3)  # both eyes alike
    flesh = lab_to_linear(np.array(CARUNCLE_LAB))
    contact = contact.copy()
    for side, name in enumerate(EYE_PARTS):
        if name not in head.part_names:
            continue
        part = head.part_names.index(name)
        at = np.flatnonzero(samples.part == part)
        if not len(at):
            continue
        used = np.unique(head.faces[head.face_part == part])
        centre = head.joints[head.joint_names.index(name.replace("_eyeball", "_eye"))].numpy()
        front = float(rest[used, 2].max() - centre[2])
        turn = _turn(rest[used], person.vertices[used])
        place = samples.canonical[at] - centre  # of eyeballs, this is the place at rest
        albedo[at] = _eye_albedo(
            place, samples.view[at] @ turn, unit32(samples.normal[at] @ turn), head.iris_radius[side],
            front, person.appearance, fleck, outward=1.0 if side == 0 else -1.0,
        )  # fmt: skip
        tear, corner = _wet_rim(samples.position[at], person.vertices[regions.lid_skin[2 * side + 1]].mean(1))
        albedo[at] += (0.65 * corner + 0.25 * tear)[:, None] * (flesh - albedo[at])
        normal[at] += 0.9 * tear[:, None] * turn[:, 1].astype(np.float32)
        contact[at] *= 1 - 0.5 * corner
    shade = 1 - 0.58 * contact
    albedo = albedo * shade[:, None] ** np.array([0.9, 1.0, 1.05])
    return Material(
        albedo=albedo.astype(np.float32),
        normal=unit32(normal),
        roughness=np.full(n, 0.13, np.float32),
        coat=coat,
        specular=np.full(n, 0.045, np.float32),
        scatter=np.full(n, 0.35, np.float32),
        ambient=(0.8 * (1 - 0.5 * contact)).astype(np.float32),  # deep between brow and cheek
    )


def _wet_rim(position: np.ndarray, lid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much samples (m, world) belong to the line of tears on the lower lid, and to the flesh in the inner
    corner, where the polyline `lid` starts; 0 to 1."""
    away, _ = nearest_on_polyline(np.ascontiguousarray(position), np.ascontiguousarray(lid))
    return np.exp(-((away / 0.0008) ** 2)), step(0.0050, 0.0018, np.linalg.norm(position - lid[0], axis=1))


def _eye_albedo(place, view, normal, iris_radius, front, appearance, fleck, outward):  # noqa: ANN001, ANN202
    """Albedo n 3 for places in the eye's own frame: metres from its centre, +z is the optical axis."""
    r_surface = np.hypot(place[:, 0], place[:, 1])
    # refracted ray from the cornea down to the iris plane
    cos_in = np.clip((normal * view).sum(-1), 0.05, 1)
    k = np.sqrt(1 - _REFRACTION**2 * (1 - cos_in**2))
    inward = -_REFRACTION * view + (_REFRACTION * cos_in - k)[:, None] * normal
    depth = np.maximum(place[:, 2] - (front - _IRIS_DEPTH), 0) / np.maximum(-inward[:, 2], 0.2)
    seen = place[:, :2] + inward[:, :2] * depth[:, None]
    r = np.hypot(seen[:, 0], seen[:, 1]) / iris_radius
    angle = np.arctan2(seen[:, 1], seen[:, 0])

    outer, inner = (hex_to_linear(c) for c in IRIS[appearance.iris_color])
    ring = np.stack([np.cos(angle) * 3.0, np.sin(angle) * 3.0, r * 0.5], -1).astype(np.float32)
    fibre = noise(np.ascontiguousarray(ring), (0.14, 0.14, 0.5), fleck)
    cloud = noise(np.ascontiguousarray(ring), (1.1, 1.1, 0.3), fleck + 5)
    pupil_r = 0.26 + 0.24 * appearance.pupil
    mix = np.clip((0.62 - r + 0.06 * fibre[:, 1]) / 0.25, 0, 1)[:, None]
    iris = (outer * (1 - mix) + inner * mix) * np.exp(0.18 * fibre[:, 0] + 0.14 * cloud[:, 0])[:, None] * 0.6
    collarette = np.exp(-(((r - pupil_r - 0.14 - 0.02 * cloud[:, 1]) / 0.06) ** 2))
    iris = iris * (1 + 0.16 * collarette - 0.68 * step(0.72, 0.98, r))[:, None]  # limbal ring
    iris = iris * (1 - 0.98 * step(pupil_r + 0.05, pupil_r - 0.03, r))[:, None] + 0.003

    sclera = np.asarray(lab_to_linear(np.array([71.0, 3.0, 5.5])))
    lateral = np.clip(np.abs(place[:, 0]) / 0.011, 0, 1)
    grain = noise(np.ascontiguousarray(place.astype(np.float32)), (0.0045, 0.0011, 0.0030), fleck)
    veins = np.exp(-((grain[:, 0] / 0.16) ** 2)) * step(
        -0.2, 0.8, grain[:, 1]
    )  # lines where a noise crosses 0
    pink = lateral * (0.10 + 0.14 * lateral) + 0.42 * veins * step(0.35, 0.8, lateral)
    inner_corner = step(0.007, 0.0115, -outward * place[:, 0])
    pink = pink + 0.5 * inner_corner
    white = sclera * np.exp(-pink[:, None] * np.array([0.12, 0.75, 0.65])) * (1 - 0.34 * lateral**2)[:, None]
    border = step(0.91, 1.09, r_surface / iris_radius)[:, None]
    behind = step(-0.002, 0.002, place[:, 2])[:, None]
    return (iris * (1 - border) + white * border) * (0.4 + 0.6 * behind)


def inner_shadow(mask: Bool[np.ndarray, "h w"], sigma: float, down: float) -> Float[np.ndarray, "h w"]:
    """Soft shadow of an opening's rim on what lies inside: 0 deep inside `mask`, up to 1 at the rim.

    `sigma` is the width of the shadow and `down` how far it is moved down the image, in pixels.
    """
    out = np.zeros(mask.shape, np.float32)
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return out
    pad = int(3 * sigma + down + 2)
    box = np.s_[max(rows[0] - pad, 0) : rows[-1] + pad + 1, max(cols[0] - pad, 0) : cols[-1] + pad + 1]
    inside = cv2.GaussianBlur(mask[box].astype(np.float32), (0, 0), max(sigma, 0.4))
    move = np.array([[1, 0, 0], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(
        inside, move, inside.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    out[box] = np.clip(2 * (1 - np.minimum(inside, moved)), 0, 1) ** 1.5
    return out
