"""Regions of the face: soft fields on a head's vertices, soft masks of its class map, lines of lids and
brows.

Regions are defined by places on the canonical head (metres; origin midway between the tragia). Their numbers
are named points of published anthropometry (Farkas 1994 and later tables), in millimetres.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from synthforge.conventions import CLASS_ID
from synthforge.errors import AssetError
from synthforge.generators.shading.numeric import smoothstep as step
from synthforge.heads.anatomy import EYE_PARTS, MOUTH_PARTS
from synthforge.heads.base import HeadModel
from synthforge.render.rasterize import rasterize

_BROW_STEP = 0.0015  # m, columns along the brow
_SOFT_MM = 1.0  # width of the blur that softens painted borders


@dataclass(frozen=True)
class FaceRegions:
    """Regions of one head model; get them with `head.derived(FaceRegions.of)`.

    Attributes:
        fields: region name -> weight in [0, 1] per vertex.
        masks: in uv space like `class_map`, soft coverage of upper lip, lower lip, brows.
        lids: lid margins as polylines (m, canonical): subject's left upper, left lower, right upper, right
            lower, from the inner corner to the outer one.
        lid_skin: for each of their points the four nearest vertices of the skin.
        brow: rows |x|, lower border, upper border (m, canonical) of the brows' classes.
    """

    fields: dict[str, Float[np.ndarray, " v"]]
    masks: Float[np.ndarray, "m m 3"]
    lids: tuple[Float[np.ndarray, "k 3"], ...]
    lid_skin: tuple[Int[np.ndarray, "k 4"], ...]
    brow: Float[np.ndarray, "3 b"]

    @classmethod
    def of(cls, head: HeadModel) -> "FaceRegions":
        inside = [i for i, name in enumerate(head.part_names) if name in EYE_PARTS + MOUTH_PARTS]
        skin = np.ones(len(head.vertices), bool)
        skin[np.unique(head.faces[np.isin(head.face_part, inside)])] = False
        brow = _brow_borders(head)
        near = np.flatnonzero(skin & (head.canonical[:, 2] > 0.04))
        tree, lids = cKDTree(head.canonical[near]), _lids(head)
        return cls(
            fields=_fields(head), masks=_soft_masks(head), lids=lids,
            lid_skin=tuple(near[tree.query(line, k=4)[1]] for line in lids), brow=brow,
        )  # fmt: skip


def _fields(head: HeadModel) -> dict[str, np.ndarray]:
    """`region_fields` of the vertices; nostrils, eye sockets and caruncles where the head has such parts."""
    fields = region_fields(head.canonical * 1000.0)
    fields["caruncle"] = np.zeros(len(head.vertices), np.float32)
    for part, name in enumerate(head.part_names):
        used = np.unique(head.faces[head.face_part == part])
        if name in ("nostril", "eye_socket"):
            fields["nostril"][used] = 0.8 if name == "nostril" else 0.25
        elif name.endswith("caruncle"):
            fields["caruncle"][used] = 1.0
    return fields


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
    """Canonical borders of both brows' classes over |x|, as `FaceRegions.brow`.

    Raises:
        AssetError: the class map has no brows.
    """
    faces = np.flatnonzero((head.face_class == 255) & (head.canonical[head.faces[:, 0], 2] > 0.03))
    size = head.class_map.shape[0]
    flat = np.column_stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, np.ones(len(head.uv))])
    seen = rasterize(flat.astype(np.float32), head.face_uvs[faces].astype(np.int32), size, size)
    brow = np.isin(head.class_map, [CLASS_ID["left_brow"], CLASS_ID["right_brow"]]) & (seen.face_index >= 0)
    if not brow.any():
        fix = "paint left_brow and right_brow into class_map, and let face_class be 255 there"
        raise AssetError("has no brows in its class map", where=f"head {head.name}", fix=fix)
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
    regions: FaceRegions, canonical: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Where canonical points (m) lie in the brow: along it (0 at its head, 1 at its tail) and across it
    (0 at the lower border, 1 at the upper one)."""
    x, lower, upper = regions.brow
    at = np.abs(canonical[:, 0])
    low, high = np.interp(at, x, lower), np.interp(at, x, upper)
    return (at - x[0]) / (x[-1] - x[0]), (canonical[:, 1] - low) / np.maximum(high - low, 1e-3)


def _blob(p: np.ndarray, centre: tuple, sigma: tuple) -> np.ndarray:
    """Gaussian around a point, the same on both sides: |x| stands for x."""
    q = (np.stack([np.abs(p[:, 0]), p[:, 1], p[:, 2]], -1) - centre) / np.asarray(sigma)
    return np.exp(-0.5 * (q**2).sum(-1))


def region_fields(p: Float[np.ndarray, "v 3"]) -> dict[str, Float[np.ndarray, " v"]]:
    """Region weights of canonical points given in millimetres."""
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    front = step(-10, 20, z)
    cheek_line = np.interp(x, [26, 36, 55, 72], [-34, -40, -32, -10])  # upper border of the beard
    beard = step(4, -4, y - cheek_line) * step(-14, 2, z) * step(-118, -104, y - 0.1 * (70 - z))
    upper_lip = step(-23, -30, y) * step(-50, -43, y) * step(37, 25, x + 0.5 * (y + 40)) * step(70, 80, z)
    philtrum = 1 - 0.8 * np.exp(-0.5 * ((x / 2.0) ** 2 + ((y + 29) / 4) ** 2))
    chin = step(24, 18, x) * step(-55, -59, y) * step(-104, -96, y) * step(60, 75, z)
    bare = np.exp(-0.5 * (((x - 13) / 5) ** 2 + ((y + 60) / 3) ** 2))  # beside the soul patch
    ring = step(38, 33, x) * step(22, 27, x) * step(-26, -32, y) * step(60, 75, z)
    out = {
        "cheek": _blob(p, (41, -12, 82), (17, 14, 25)),
        "nose_tip": _blob(p, (0, -11, 116), (13, 11, 14)),
        "chin": _blob(p, (0, -76, 96), (15, 11, 20)),
        "ear": step(66, 74, x) * step(16, 8, z) * step(-40, -30, y) * step(40, 30, y),
        "forehead": step(48, 62, y) * step(20, 45, z),
        "lid": _blob(p, (32, 24, 82), (13, 6.5, 12)),
        "upper_lid": _blob(p, (32, 31, 84), (13, 4, 12)),
        "trough": _blob(p, (22, 11.5, 84), (10, 4, 10)),
        "t_zone": np.maximum(step(16, 8, x) * step(-25, -15, y), step(48, 60, y)) * front,
        "neck": step(-85, -110, y + 0.45 * (90 - z) * step(30, 70, z)),
        "moustache": upper_lip * philtrum,
        "goatee": np.maximum(chin * (1 - bare), 0.9 * ring * step(-80, -70, y)),
        "beard": np.maximum(beard * (1 - bare) * step(24, 30, np.hypot(x, y + 45)), chin * (1 - bare)),
        "nostril": _blob(p, (8.5, -20, 103), (4.2, 3.2, 5.0)),
        "hollow": 0.55 * _blob(p, (17.5, -13, 92), (2.6, 6.5, 7))  # beside the nose's wings
        + 0.35 * _blob(p, (0, -60, 99), (13, 3.5, 10))  # under the lower lip
        + 0.28 * _blob(p, (14, 24, 84), (4.5, 7, 9)),  # between nose and eye
    }
    return {name: values.astype(np.float32) for name, values in out.items()}
