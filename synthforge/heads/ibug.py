"""The 68 iBUG points as annotators of photographs place them, on any head.

Index 0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes, 48-67 lips, from the subject's right to the left.
Lids and lips are divided by their length in the frontal view, brows and nose by place in it. Fractions are
medians over frontal faces of 300-W, measured by `scripts/measure_ibug`, and nearer to what an independent
detector trained on photographs sees in renderings. The jaw line of a photograph is the visible contour:
`contour_stations` gives candidates for it on the head, `visible_contour` picks among their pixels.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import PchipInterpolator

from synthforge.errors import GeometryError
from synthforge.heads.base import surface_points
from synthforge.heads.surface import nearest_on_surface, project_along_z

LOOP_NAMES = (
    "lid_margin_left", "lid_margin_right", "lip_upper_border", "lip_lower_border", "stomion_upper",
    "stomion_lower",
)  # fmt: skip
POINT_NAMES = (
    "sellion", "pronasale", "subnasale", "subalare", "alar_curvature", "stomion", "gnathion",
    "mental_tubercle", "prejowl", "jaw_mid_body", "gonion", "otobasion_inf", "sideburn_low", "sideburn_top",
)  # fmt: skip

# Fractions of length: lids from the outer to the inner corner, lips from the right to the left corner.
# The opening that a photograph shows ends a little before the lids meet: lashes and shadow close the slit.
CANTHI = 0.095, 0.95
UPPER_LID, LOWER_LID = (0.365, 0.649), (0.357, 0.668)
UPPER_OUTER_LIP, LOWER_OUTER_LIP = (0.198, 0.376, 0.5, 0.624, 0.802), (0.218, 0.384, 0.5, 0.616, 0.782)
VERMILION = 0.10  # share of the upper lip's height below its border at which its colour is seen to begin
INNER_LIP, INNER_CORNERS = (0.352, 0.5, 0.648), (0.05, 0.95)
# Brow from tail to head: x from the midline, y above the line of the outer eye corners, in units of the
# distance between those corners.
BROW = np.array([[0.66, 0.147], [0.556, 0.227], [0.411, 0.248], [0.268, 0.22], [0.132, 0.165]])
# Hair band around those points (same units, tail to head): they lie on its upper edge.
_BROW_ABOVE = np.array([0.006, 0.006, 0.006, 0.008, 0.014])
BROW_BELOW = np.array([0.018, 0.058, 0.072, 0.080, 0.078])
_BROW_ENDS = 0.024, -0.012  # how far the hair reaches beyond 17 (outward) and 21 (inward)
NOSE_RIDGE = (0.04, 0.34, 0.63, 0.91)  # height from sellion to pronasale
# 31, 35 and 32, 34: from subnasale towards subalare, and from there towards alar_curvature
NOSE_WING = (0.77, 0.3), (0.4, 0.1)
# Jaw: arc length from the ear to the chin in the image.
JAW = (0.0, 0.127, 0.257, 0.382, 0.506, 0.635, 0.765, 0.886, 1.0)
# Outward direction at those places in the frontal view: degrees below the horizontal.
_JAW_SLOPE = (0, 0, 0, 5, 16, 34, 54, 73, 90)


def ibug_landmarks(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    loops: dict[str, Int[np.ndarray, " _"]],
    points: dict[str, Float[np.ndarray, " 3"]],
    skin: Int[np.ndarray, " _"] | None = None,
) -> tuple[Int[np.ndarray, " 68"], Float[np.ndarray, "68 3"]]:
    """The 68 points on a neutral, upright head as (face, barycentric).

    Args:
        vertices: metres, head frame.
        faces: triangles.
        loops: ordered vertex indices. `lid_margin_left`, `lid_margin_right`: from the inner corner along
            the upper lid to the outer corner and back along the lower lid. `lip_upper_border`,
            `lip_lower_border` (of the vermilion), `stomion_upper`, `stomion_lower` (inner edges of the
            lips): from the subject's right corner to the left.
        points: at least `POINT_NAMES` of canonical_points.json on this head (metres; the left one of pairs).
        skin: faces that points may lie on; all by default.
    Raises:
        GeometryError: a loop or point is missing.
    """
    _require(loops, LOOP_NAMES, "loops")
    _require(points, POINT_NAMES, "points")
    curves = {name: vertices[loops[name]] for name in LOOP_NAMES}
    target = np.zeros((68, 3))
    right = _lid_points(curves["lid_margin_right"])  # outer, upper 2, inner, lower 2 from the inner corner
    left = _lid_points(curves["lid_margin_left"])
    target[36:42] = right
    target[42:48] = left[[3, 2, 1, 0, 5, 4]]
    target[48:55] = along(curves["lip_upper_border"], (0, *UPPER_OUTER_LIP, 1))
    inside = along(curves["stomion_upper"], UPPER_OUTER_LIP)
    target[49:54] += VERMILION * (inside - target[49:54])
    target[55:60] = along(curves["lip_lower_border"], LOWER_OUTER_LIP)[::-1]
    inner = (INNER_CORNERS[0], *INNER_LIP, INNER_CORNERS[1])
    target[60:65] = along(curves["stomion_upper"], inner)
    target[65:68] = along(curves["stomion_lower"], INNER_LIP)[::-1]
    side, nose = np.array([-1.0, 1.0, 1.0]), points["subnasale"]
    for i, (aside, up) in enumerate(NOSE_WING):
        wing = nose + aside * (points["subalare"] - nose)
        wing = wing + up * (points["alar_curvature"] - points["subalare"])
        target[35 - i], target[31 + i] = wing, wing * side
    target[33] = nose
    contour = contour_stations(vertices, faces, points, skin)
    target[:17] = _frontal_jaw(surface_points(vertices, faces, *contour))
    face, barycentric = nearest_on_surface(target, vertices, faces, skin)

    ridge = points["sellion"][1] + np.array(NOSE_RIDGE) * (points["pronasale"][1] - points["sellion"][1])
    brow = brow_points(target[36], target[45])
    front = np.concatenate([brow, np.c_[np.zeros(4), ridge]])
    face[17:31], barycentric[17:31] = project_along_z(front, vertices, faces, skin)
    return face, barycentric


def brow_points(
    outer_right: Float[np.ndarray, " 3"], outer_left: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "10 2"]:
    """x, y of points 17 ... 26 of a head with the given outer eye corners."""
    centre, width = (outer_right + outer_left)[:2] / 2, np.linalg.norm(outer_left - outer_right)
    left = centre + width * BROW
    right = centre + width * BROW * [-1, 1]
    return np.concatenate([right, left[::-1]])


def brow_outline(
    outer_right: Float[np.ndarray, " 3"], outer_left: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "12 2"]:
    """x, y (head frame, metres) around the left brow's hair, closed, of a head with those outer eye corners.

    On the canonical head (`eye_corners` of its lids) this is where brows are to be painted.
    """
    centre, width = (outer_right + outer_left)[:2] / 2, np.linalg.norm(outer_left - outer_right)
    upper, lower = BROW + np.c_[np.zeros(5), _BROW_ABOVE], BROW - np.c_[np.zeros(5), BROW_BELOW]
    tail = BROW[:1] + [_BROW_ENDS[0], -0.022]
    head = (upper[-1:] + lower[-1:]) / 2 + [_BROW_ENDS[1], 0]
    return centre + width * np.concatenate([tail, upper, head, lower[::-1]])


def contour_stations(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    points: dict[str, Float[np.ndarray, " 3"]],
    skin: Int[np.ndarray, " _"] | None = None,
    n_stations: int = 35,
    n_candidates: int = 16,
) -> tuple[Int[np.ndarray, "m k"], Float[np.ndarray, "m k 3"]]:
    """Places on the skin that the visible jaw contour may pass through, from any view.

    Stations run along the jaw from the subject's right ear over the chin to the left ear (`n_stations` is
    odd, the middle one is the chin); each holds candidates on the skin's cross-section from the front of the
    cheek outward to the edge of the jaw and a little beyond. Arguments as in `ibug_landmarks`.
    """
    _require(points, POINT_NAMES, "points")
    half = (n_stations + 1) // 2
    border = _jaw_border(points, half)  # half 3, left side, ear to chin
    skin = np.arange(len(faces)) if skin is None else np.asarray(skin)
    corners = vertices[faces[skin]]
    centre_y, centre_z = points["stomion"][1] + 0.015, points["sideburn_top"][2] + 0.008
    face = np.empty((n_stations, n_candidates), np.int64)
    barycentric = np.empty((n_stations, n_candidates, 3))
    for i, edge in enumerate(border):
        origin = np.array([0.0, max(edge[1], centre_y), centre_z])
        out = (edge - origin) * [1, 1, 0]
        reach = np.linalg.norm(out)
        last = np.arctan2(reach, edge[2] - centre_z)
        angles = np.linspace(0.36 * last, last, n_candidates)
        rays = np.sin(angles)[:, None] * out / reach + np.cos(angles)[:, None] * [0, 0, 1]
        for sign, station in ((1, n_stations - 1 - i), (-1, i)):
            side = (corners - origin) @ np.array([sign * out[1], -out[0], 0.0])  # of the section's plane
            cut = np.flatnonzero((side.min(1) <= 0) & (side.max(1) >= 0))
            for k in reversed(range(n_candidates)):
                if hit := _last_hit(origin, rays[k] * [sign, 1, 1], corners[cut]):
                    face[station, k], barycentric[station, k] = skin[cut[hit[0]]], hit[1]
                elif k + 1 < n_candidates:  # through an eye or the mouth: stay on the cheek
                    face[station, k] = face[station, k + 1]
                    barycentric[station, k] = barycentric[station, k + 1]
                else:
                    raise GeometryError(f"no skin at the jaw near {edge}", where="contour_stations")
    return face, barycentric


def visible_contour(points_px: Float[np.ndarray, "m k 2"]) -> Float[np.ndarray, "17 2"]:
    """Points 0 ... 16 on the visible contour of the face.

    At each station the candidate that lies outermost in the image is taken: sideways from the face's
    centre line at the cheeks, downward at the chin. Each half of that line, from ear to chin, is divided
    by arc length as annotators do (fractions `JAW`).

    Args:
        points_px: `contour_stations` of the posed head in pixels, y down.
    """
    n_stations = len(points_px)
    middle = n_stations // 2
    down = points_px[middle, 0] - (points_px[0, 0] + points_px[-1, 0]) / 2
    down = down / np.linalg.norm(down)
    to_left = np.array([down[1], -down[0]])  # the subject's left: image right of an upright face
    place = (np.arange(n_stations) - middle) / middle  # -1 right ear ... 1 left ear
    slope = np.radians(np.interp(1 - np.abs(place), JAW, _JAW_SLOPE))
    outward = (np.sign(place) * np.cos(slope))[:, None] * to_left + np.sin(slope)[:, None] * down
    best = np.einsum("mkc,mc->mk", points_px, outward).argmax(1)
    line = points_px[np.arange(n_stations), best]
    right = along(line[: middle + 1], JAW)
    left = along(line[middle:][::-1], JAW)
    return np.concatenate([right, left[-2::-1]])


def eye_corner_frame(points: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "68 2"]:
    """Points moved, turned and scaled so that 36 lies at (-0.5, 0) and 45 at (0.5, 0)."""
    along = points[45] - points[36]
    across = np.array([-along[1], along[0]])
    return (points - (points[36] + points[45]) / 2) @ np.stack([along, across], -1) / (along @ along)


def _require(have: dict, names: tuple[str, ...], what: str) -> None:
    if missing := [n for n in names if n not in have]:
        raise GeometryError(f"{what} lack {', '.join(missing)}", where="landmarks")


def along(curve: Float[np.ndarray, "n d"], fractions) -> np.ndarray:
    """Points of a polyline at fractions of its length in its first two coordinates (the frontal view)."""
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve[:, :2], axis=0), axis=1))])
    wanted = np.asarray(fractions) * s[-1]
    return np.stack([np.interp(wanted, s, c) for c in curve.T], -1)


def eye_corners(loop: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "2 3"]:
    """Outer and inner end of the visible opening between the lids of a `lid_margin` loop."""
    outer = int(np.linalg.norm(loop - loop[0], axis=1).argmax())
    return along(loop[: outer + 1][::-1], CANTHI)


def _lid_points(loop: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "6 3"]:
    """Outer corner, two on the upper lid, inner corner, two on the lower lid from the inner corner."""
    outer = int(np.linalg.norm(loop - loop[0], axis=1).argmax())
    lower = loop[outer:] if np.allclose(loop[-1], loop[0]) else np.concatenate([loop[outer:], loop[:1]])
    ends = eye_corners(loop)
    above, below = along(loop[: outer + 1][::-1], UPPER_LID), along(lower, LOWER_LID)
    return np.concatenate([ends[:1], above, ends[1:], below[::-1]])


def _jaw_border(points: dict[str, np.ndarray], n: int) -> Float[np.ndarray, "n 3"]:
    """Left edge of the jaw from the ear to the chin, at even steps of its length in the frontal view."""
    names = (
        "sideburn_top", "sideburn_low", "otobasion_inf", "gonion", "jaw_mid_body", "prejowl",
        "mental_tubercle", "gnathion",
    )  # fmt: skip
    nodes = np.array([points[name] for name in names])
    ear_front = np.array([-0.001, 0.0, 0.008])  # the cheek in front of the lobe
    nodes[2] += ear_front
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))])
    fine = PchipInterpolator(s, nodes)(np.linspace(0, s[-1], 400))
    flat = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(fine[:, :2], axis=0), axis=1))])
    return np.stack([np.interp(np.linspace(0, flat[-1], n), flat, c) for c in fine.T], -1)


def _last_hit(
    origin: np.ndarray, ray: np.ndarray, corners: Float[np.ndarray, "f 3 3"]
) -> tuple[int, np.ndarray] | None:
    """Farthest triangle that a ray meets, and where (barycentric). Source: Moeller & Trumbore (1997).

    In double precision, unlike embree; trimesh's own caster would need a package more (rtree).
    """
    a, e1, e2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = np.cross(ray, e2)
    det = (e1 * p).sum(1)
    det = np.where(np.abs(det) < 1e-18, np.inf, det)
    t0 = origin - a
    u = (t0 * p).sum(1) / det
    q = np.cross(t0, e1)
    v = (q @ ray) / det
    t = (e2 * q).sum(1) / det
    inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 0)
    if not inside.any():
        return None
    hit = int(np.where(inside, t, -np.inf).argmax())
    return hit, np.array([1 - u[hit] - v[hit], u[hit], v[hit]])


def _frontal_jaw(candidates: Float[np.ndarray, "m k 3"]) -> Float[np.ndarray, "17 3"]:
    """The visible contour of the frontal view (parallel projection), as points of space."""
    flat = candidates[..., :2] * [1, -1]
    wanted = visible_contour(flat)
    nearest = np.linalg.norm(flat.reshape(-1, 1, 2) - wanted, axis=-1).argmin(0)
    depth = candidates.reshape(-1, 3)[nearest, 2]
    return np.c_[wanted * [1, -1], depth]
