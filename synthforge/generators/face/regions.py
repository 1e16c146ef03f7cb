"""What appearance needs to know of a head, worked out once: regions, soft masks, who shades whom.

Regions are soft fields on the vertices, defined by places on the canonical head (metres; origin
midway between the tragia). Their numbers are the named points of published anthropometry
(Farkas 1994 and later tables), in millimetres as `_mm` takes them.
"""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from synthforge.conventions import CLASS_ID
from synthforge.generators.shading.visibility import fibonacci_sphere, light_view, shadow_lookup
from synthforge.heads.base import HeadModel
from synthforge.render.interpolate import vertex_normals
from synthforge.render.rasterize import rasterize

N_DIRECTIONS = 64
_MAP_SIZE = 192  # texels of a visibility map across the head
_BROW_STEP = 0.0015  # m, columns along the brow
_SOFT_MM = 1.0  # width of the blur that softens painted borders
EYE_PARTS = ("left_eyeball", "right_eyeball")
MOUTH_PARTS = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue", "mouth_bag")


@dataclass(frozen=True)
class HeadSurface:
    """Per-head constants of the look.

    `fields` maps a region name to weights in [0, 1] per vertex; `masks` holds, in uv space like
    `class_map`, soft coverage of (upper lip, lower lip, brows); `light_weight` v d is how much
    light from each of `directions` d 3 (head frame) a vertex gets, and `open_weight` the same
    without the rest of the head in the way. `lids` are polylines (metres, canonical):
    subject's left upper, left lower, right upper, right lower lid margin, and `lid_skin` the
    skin's vertices next to their points. `brow` rows are |x|, lower
    and upper border (m, canonical) of the brows' classes.
    """

    skin: Bool[np.ndarray, " v"]
    fields: dict[str, Float[np.ndarray, " v"]]
    masks: Float[np.ndarray, "m m 3"]
    directions: Float[np.ndarray, "d 3"]
    light_weight: Float[np.ndarray, "v d"]
    open_weight: Float[np.ndarray, "v d"]
    lids: tuple[Float[np.ndarray, "k 3"], ...]
    lid_skin: tuple[Int[np.ndarray, "k 4"], ...]
    rest: Float[np.ndarray, "v 3"]
    brow: Float[np.ndarray, "3 b"]


_CACHE: WeakKeyDictionary[HeadModel, HeadSurface] = WeakKeyDictionary()


def head_surface(head: HeadModel) -> HeadSurface:
    """The constants of a head, computed at first use."""
    if head not in _CACHE:
        _CACHE[head] = _build(head)
    return _CACHE[head]


def _build(head: HeadModel) -> HeadSurface:
    rest = head.vertices.numpy()
    inside = [i for i, name in enumerate(head.part_names) if name in EYE_PARTS + MOUTH_PARTS]
    skin = np.ones(len(rest), bool)
    skin[np.unique(head.faces[np.isin(head.face_part, inside)])] = False
    directions = fibonacci_sphere(N_DIRECTIONS)
    open_weight = np.maximum(vertex_normals(rest, head.faces) @ directions.T, 0).astype(np.float32)
    seen = np.stack([_visible_from(rest, head.faces, d) for d in directions], 1)
    near = np.flatnonzero(skin & (head.canonical[:, 2] > 0.04))
    tree = cKDTree(head.canonical[near])
    fields = region_fields(head.canonical * 1000.0)
    for hollow in ("nostril", "eye_socket"):  # where the head has such parts
        if hollow in head.part_names:
            inner = head.faces[head.face_part == head.part_names.index(hollow)]
            fields["nostril"][np.unique(inner)] = 0.8 if hollow == "nostril" else 0.25
    fields["caruncle"] = np.zeros(len(rest), np.float32)
    for part, name in enumerate(head.part_names):
        if name.endswith("caruncle"):
            fields["caruncle"][np.unique(head.faces[head.face_part == part])] = 1.0
    return HeadSurface(
        skin=skin,
        fields=fields,
        masks=_soft_masks(head),
        directions=directions,
        light_weight=open_weight * seen,
        open_weight=open_weight,
        lids=(lids := _lids(head)),
        lid_skin=tuple(near[tree.query(line, k=4)[1]] for line in lids),
        rest=rest,
        brow=_brow_borders(head),
    )


def _visible_from(vertices: np.ndarray, faces: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Share in [0, 1] of a 3x3 neighbourhood from which each vertex is lit, float32."""
    turn, shift, texel = light_view(vertices, direction, _MAP_SIZE)
    points = vertices @ turn + shift
    depth = rasterize(points, faces, _MAP_SIZE, _MAP_SIZE).depth
    off = np.zeros_like(vertices)
    return shadow_lookup(depth, vertices, off, turn, shift, np.float32(1.5 * texel + 0.002), np.float32(1.0))


def _soft_masks(head: HeadModel) -> np.ndarray:
    """Blurred coverage of lips and brows; the blur is about a millimetre on the face."""
    size = head.class_map.shape[0]
    # texels per metre, from the triangles that the map decides on and that face forward
    painted = head.face_class == 255
    corner = head.canonical[head.faces[painted]]
    near = corner[:, 0, 2] > 0.06
    edge = np.linalg.norm(corner[near, 1] - corner[near, 0], axis=1)
    uv = head.uv[head.face_uvs[painted]][near]
    edge_uv = np.linalg.norm(uv[:, 1] - uv[:, 0], axis=1)
    sigma = max(0.5, float(np.median(edge_uv / np.maximum(edge, 1e-9))) * size * _SOFT_MM * 1e-3)
    classes = [("upper_lip",), ("lower_lip",), ("left_brow", "right_brow")]
    layers = [np.isin(head.class_map, [CLASS_ID[c] for c in names]).astype(np.float32) for names in classes]
    return np.stack([cv2.GaussianBlur(layer, (0, 0), sigma) for layer in layers], -1)


def _brow_borders(head: HeadModel) -> np.ndarray:
    """Canonical borders of both brows' classes over |x|, as `HeadSurface.brow`."""
    faces = np.flatnonzero((head.face_class == 255) & (head.canonical[head.faces[:, 0], 2] > 0.03))
    size = head.class_map.shape[0]
    flat = np.column_stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, np.ones(len(head.uv))])
    seen = rasterize(flat.astype(np.float32), head.face_uvs[faces].astype(np.int32), size, size)
    brow = np.isin(head.class_map, [CLASS_ID["left_brow"], CLASS_ID["right_brow"]]) & (seen.face_index >= 0)
    corners = head.canonical[head.faces[faces[seen.face_index[brow]]]]
    x, y, _ = (corners * seen.barycentric[brow][..., None]).sum(1).T
    column = np.round(np.abs(x) / _BROW_STEP).astype(int)
    columns = np.unique(column)
    borders = np.array([np.quantile(y[column == c], [0.01, 0.99]) for c in columns]).T
    smooth = ndimage.gaussian_filter1d(borders, 1.0, axis=1, mode="nearest")
    return np.vstack([columns * _BROW_STEP, smooth]).astype(np.float32)


def _lids(head: HeadModel) -> tuple[np.ndarray, ...]:
    """Smooth curves through the iBUG lid points on the canonical head."""
    points = head.landmarks(head.canonical)
    rows = [[42, 43, 44, 45], [42, 47, 46, 45], [39, 38, 37, 36], [39, 40, 41, 36]]
    t = np.linspace(0, 3, 25)
    return tuple(CubicSpline(range(4), points[row])(t).astype(np.float32) for row in rows)


def brow_place(
    surface: HeadSurface, canonical: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Where canonical points lie in the brow: along it (0 at its head, 1 at its tail) and across
    (0 at the lower border, 1 at the upper one)."""
    x, lower, upper = surface.brow
    at = np.abs(canonical[:, 0])
    low, high = np.interp(at, x, lower), np.interp(at, x, upper)
    return (at - x[0]) / (x[-1] - x[0]), (canonical[:, 1] - low) / np.maximum(high - low, 1e-3)


def _blob(p: np.ndarray, centre: tuple, sigma: tuple) -> np.ndarray:
    """Gaussian about a point; |x| stands for x, so that both sides get it."""
    q = (np.stack([np.abs(p[:, 0]), p[:, 1], p[:, 2]], -1) - centre) / np.asarray(sigma)
    return np.exp(-0.5 * (q**2).sum(-1))


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def region_fields(p: Float[np.ndarray, "v 3"]) -> dict[str, Float[np.ndarray, " v"]]:
    """Region weights of canonical points given in millimetres."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    front = _step(-10, 20, z)
    cheek_line = np.interp(x, [26, 36, 55, 72], [-34, -40, -32, -10])  # upper border of the beard
    beard = _step(4, -4, y - cheek_line) * _step(-14, 2, z) * _step(-118, -104, y - 0.1 * (70 - z))
    upper_lip = _step(-23, -30, y) * _step(-50, -43, y) * _step(37, 25, x + 0.5 * (y + 40)) * _step(70, 80, z)
    philtrum = 1 - 0.8 * np.exp(-0.5 * ((x / 2.0) ** 2 + ((y + 29) / 4) ** 2))
    chin = _step(24, 18, x) * _step(-55, -59, y) * _step(-104, -96, y) * _step(60, 75, z)
    bare = np.exp(-0.5 * (((x - 13) / 5) ** 2 + ((y + 60) / 3) ** 2))  # beside the soul patch
    ring = _step(38, 33, x) * _step(22, 27, x) * _step(-26, -32, y) * _step(60, 75, z)
    out = {
        "cheek": _blob(p, (41, -12, 82), (17, 14, 25)),
        "nose_tip": _blob(p, (0, -11, 116), (13, 11, 14)),
        "chin": _blob(p, (0, -76, 96), (15, 11, 20)),
        "ear": _step(66, 74, x) * _step(16, 8, z) * _step(-40, -30, y) * _step(40, 30, y),
        "forehead": _step(48, 62, y) * _step(20, 45, z),
        "lid": _blob(p, (32, 24, 82), (13, 6.5, 12)),
        "upper_lid": _blob(p, (32, 31, 84), (13, 4, 12)),
        "trough": _blob(p, (22, 11.5, 84), (10, 4, 10)),
        "t_zone": np.maximum(_step(16, 8, x) * _step(-25, -15, y), _step(48, 60, y)) * front,
        "neck": _step(-85, -110, y + 0.45 * (90 - z) * _step(30, 70, z)),
        "moustache": upper_lip * philtrum,
        "goatee": np.maximum(chin * (1 - bare), 0.9 * ring * _step(-80, -70, y)),
        "beard": np.maximum(beard * (1 - bare) * _step(24, 30, np.hypot(x, y + 45)), chin * (1 - bare)),
        "nostril": _blob(p, (8.5, -20, 103), (4.2, 3.2, 5.0)),
        "hollow": 0.55 * _blob(p, (17.5, -13, 92), (2.6, 6.5, 7))  # beside the nose's wings
        + 0.35 * _blob(p, (0, -60, 99), (13, 3.5, 10))  # under the lower lip
        + 0.28 * _blob(p, (14, 24, 84), (4.5, 7, 9)),  # between nose and eye
    }
    return {name: values.astype(np.float32) for name, values in out.items()}
