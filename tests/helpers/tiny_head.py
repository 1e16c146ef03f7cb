"""A head whose every point has a closed form: an ellipsoid with two eyeballs, all labels in place.

A point of the skin is given by (longitude, latitude) in degrees, (0, 0) straight ahead, longitude
positive to the subject's left.
"""

import numpy as np

from synthforge.conventions import CLASS_ID, LANDMARK_FLIP
from synthforge.heads.base import HeadModel

RADII = np.array([0.075, 0.11, 0.095])  # metres, x y z
EYE_RADIUS = 0.012
EYE_ANGLES = np.array([[24.0, 8.0], [-24.0, 8.0]])  # left, right
N_LONGITUDE, N_LATITUDE = 96, 48
MAP_SIZE = 512
LIPS = (-24.0, -27.0, -30.0, -33.0)  # latitudes: top of the upper lip ... bottom of the lower

# class, then longitude and latitude ranges (degrees); later rows paint over earlier ones
REGIONS = (
    ("skin", -180, 180, -90, 90),
    ("neck", -180, 180, -90, -60),
    ("left_ear", 80, 100, -15, 15),
    ("right_ear", -100, -80, -15, 15),
    ("left_brow", 10, 38, 22, 28),
    ("right_brow", -38, -10, 22, 28),
    ("nose", -9, 9, -16, 10),
    ("upper_lip", -16, 16, LIPS[1], LIPS[0]),
    ("inner_mouth", -16, 16, LIPS[2], LIPS[1]),
    ("lower_lip", -16, 16, LIPS[3], LIPS[2]),
)


def skin_point(angles: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the ellipsoid at (longitude, latitude) in degrees."""
    lon, lat = np.deg2rad(angles[..., 0]), np.deg2rad(angles[..., 1])
    return RADII * np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1)


def landmark_angles() -> np.ndarray:
    """(longitude, latitude) of the 68 iBUG points."""
    lips_top, inner_top, inner_bottom, lips_bottom = LIPS
    t = np.linspace(-1, 1, 17)
    jaw = np.stack([86 * t, -5 - 50 * np.sqrt(1 - t**2)], -1)
    brow = np.stack([np.linspace(-36, -12, 5), [23, 25, 26, 26, 25]], -1)
    nose = [[0, 8], [0, 2], [0, -4], [0, -10], [-7, -14], [-4, -15], [0, -15.5], [4, -15], [7, -14]]
    eye = np.array([[-33, 8], [-28, 13], [-20, 13], [-15, 8], [-20, 3], [-28, 3]])
    outer = np.linspace(-15, 15, 7)
    inner = np.linspace(-12, 12, 5)
    mouth = [[x, lips_top - 0.3 - 2.7 * abs(x) / 15] for x in outer]
    mouth += [[x, lips_bottom + 0.3] for x in outer[-2:0:-1]]
    mouth += [[x, inner_top - 0.2] for x in inner] + [[x, inner_bottom + 0.2] for x in inner[-2:0:-1]]
    mirror = np.array([-1, 1])
    parts = [jaw, brow, mirror * brow[::-1], nose, eye, mirror * eye[[3, 2, 1, 0, 5, 4]], mouth]
    return np.concatenate([np.asarray(p, float) for p in parts])


def on_skin(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Face and barycentric coordinates of the mesh at (longitude, latitude)."""
    x = (angles[..., 0] + 180) / 360 * N_LONGITUDE
    y = (angles[..., 1] + 90) / 180 * N_LATITUDE
    col, row = np.floor(x).astype(int), np.floor(y).astype(int)
    x, y = x - col, y - row
    lower = x >= y  # the cell's triangles: (00, 10, 11) and (00, 11, 01)
    face = 2 * (row * N_LONGITUDE + col) + ~lower
    return face, np.where(lower[..., None], np.stack([1 - x, x - y, y], -1), np.stack([1 - y, x, y - x], -1))


def _grid(n_lon: int, n_lat: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles (radians) of a closed globe's vertices (first and last meridian shared), faces, face_uvs."""
    row, col = np.mgrid[0 : n_lat + 1, 0:n_lon]
    angles = np.stack([col / n_lon * 2 * np.pi - np.pi, row / n_lat * np.pi - np.pi / 2], -1).reshape(-1, 2)

    def corners(stride: int, wrap: int) -> np.ndarray:
        r, c = np.mgrid[0:n_lat, 0:n_lon]
        at = [(r + i) * stride + (c + j) % wrap for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
        return np.stack([at[0], at[1], at[2], at[0], at[2], at[3]], -1).reshape(-1, 3)

    return angles, corners(n_lon, n_lon), corners(n_lon + 1, n_lon + 1)


def tiny_head_arrays() -> dict[str, np.ndarray]:
    """Arrays of `HeadModel`."""
    angles, faces, face_uvs = _grid(N_LONGITUDE, N_LATITUDE)
    skin = skin_point(np.rad2deg(angles))
    v, u = np.mgrid[0 : N_LATITUDE + 1, 0 : N_LONGITUDE + 1]
    uv = np.stack([u / N_LONGITUDE, v / N_LATITUDE], -1).reshape(-1, 2)

    eye_angles, eye_faces, _ = _grid(24, 12)
    lon, lat = eye_angles.T
    ball = EYE_RADIUS * np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], -1)
    eyes = skin_point(EYE_ANGLES) * (1 - 0.008 / 0.1)  # centres, so far inside that the balls look out
    starts = len(skin) + len(ball) * np.arange(2)
    vertices = np.concatenate([skin, *(ball + centre for centre in eyes)])
    n_skin, n_ball = len(faces), len(eye_faces)
    part = np.repeat([0, 1, 2], [n_skin, n_ball, n_ball])

    weights = np.zeros((len(vertices), 4))
    weights[: len(skin), 1] = np.clip((-27 - np.rad2deg(angles[:, 1])) / 6, 0, 1)
    weights[: len(skin), 0] = 1 - weights[: len(skin), 1]
    for eye in range(2):
        weights[starts[eye] : starts[eye] + len(ball), 2 + eye] = 1

    stations = np.linspace(-85, 85, 25)
    drop = np.linspace(-25, 25, 11)
    jaw = -5 - 50 * np.sqrt(1 - (stations / 86) ** 2)
    contour = np.stack(np.broadcast_arrays(stations[:, None], jaw[:, None] - drop), -1)
    contour_face, contour_barycentric = on_skin(contour)
    landmarks_face, landmarks_barycentric = on_skin(landmark_angles())

    joints = np.array([[0, -0.09, -0.01], [0, 0.0, 0.01], *eyes])
    wider = vertices * [0.04, 0, 0]
    joint_wider = joints * [0.04, 0, 0]
    return {
        "vertices": vertices,
        "faces": np.concatenate([faces, *(eye_faces + start for start in starts)]),
        "uv": uv,
        "face_uvs": np.concatenate([face_uvs, np.zeros((2 * n_ball, 3), int)]),
        "class_map": class_map(),
        "face_class": np.array([255, CLASS_ID["left_eye"], CLASS_ID["right_eye"]])[part],
        "face_part": part,
        "part_names": np.array(["skin", "left_eyeball", "right_eyeball"]),
        "canonical": vertices,
        "shape_names": np.array(["width"]),
        "shape_deltas": wider[None],
        "shape_cholesky": np.eye(1),
        "expression_names": np.array(["mouthPucker"]),
        "expression_deltas": (vertices * 0.01 * weights[:, 1:2])[None],
        "joint_names": np.array(["neck", "jaw", "left_eye", "right_eye"]),
        "joint_parents": np.array([-1, 0, 0, 0]),
        "joints": joints,
        "joint_shape_deltas": joint_wider[None],
        "weights": weights,
        "landmarks_face": landmarks_face,
        "landmarks_barycentric": landmarks_barycentric,
        "contour_face": contour_face,
        "contour_barycentric": contour_barycentric,
        "eye_radius": np.full(2, EYE_RADIUS),
        "iris_radius": np.full(2, 0.006),
    }


def class_map() -> np.ndarray:
    """Classes of `REGIONS` in uv."""
    lat, lon = np.mgrid[0:MAP_SIZE, 0:MAP_SIZE] + 0.5
    lon, lat = lon / MAP_SIZE * 360 - 180, 90 - lat / MAP_SIZE * 180
    out = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8)
    for name, left, right, low, high in REGIONS:
        out[(lon > left) & (lon < right) & (lat > low) & (lat < high)] = CLASS_ID[name]
    return out


def tiny_head() -> HeadModel:
    return HeadModel("tiny", tiny_head_arrays())


def mirrored(arrays: dict[str, np.ndarray], class_flip: np.ndarray) -> dict[str, np.ndarray]:
    """The same head in a mirror: every array that has sides, with sides exchanged."""
    out = dict(arrays)
    for key in ("vertices", "canonical", "joints"):
        out[key] = arrays[key] * [-1, 1, 1]
    for key in ("shape_deltas", "expression_deltas", "joint_shape_deltas"):
        out[key] = arrays[key] * [-1, 1, 1]
    names = list(arrays["joint_names"])
    swap = [names.index(_other_side(n)) for n in names]
    out["joints"], out["weights"] = out["joints"][swap], arrays["weights"][:, swap]
    out["joint_shape_deltas"] = out["joint_shape_deltas"][:, swap]
    for key in ("faces", "face_uvs"):
        out[key] = arrays[key][:, ::-1]
    out["class_map"], out["face_class"] = class_flip[arrays["class_map"]], class_flip[arrays["face_class"]]
    out["landmarks_face"] = arrays["landmarks_face"][LANDMARK_FLIP]
    out["landmarks_barycentric"] = arrays["landmarks_barycentric"][LANDMARK_FLIP, ::-1]
    out["contour_face"] = arrays["contour_face"][::-1]
    out["contour_barycentric"] = arrays["contour_barycentric"][::-1, :, ::-1]
    out["eye_radius"], out["iris_radius"] = arrays["eye_radius"][::-1], arrays["iris_radius"][::-1]
    return out


def _other_side(name: str) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name
