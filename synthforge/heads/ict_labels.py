"""Where the parts of ICT-FaceKit's skin are: vertex loops, uv atlas, class map, skinning weights."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from synthforge.conventions import CLASS_ID
from synthforge.heads.canonical import canonical_points
from synthforge.heads.ibug import brow_outline, eye_corners
from synthforge.heads.ict_source import GEOMETRY, LANDMARKS, IctSource
from synthforge.heads.mesh_labels import spline
from synthforge.heads.surface import nearest_on_surface, project_along_z

# Vertex loops in the order that heads/ibug.py asks for, by the landmarks they pass through.
_ALONG_EDGES = {
    "lid_margin_right": [39, 38, 37, 36, 41, 40, 39],
    "lid_margin_left": [42, 43, 44, 45, 46, 47, 42],
    "stomion_upper": [60, 61, 62, 63, 64],
    "stomion_lower": [60, 67, 66, 65, 64],
}
_BORDERS = {  # no edge loop of the mesh follows the vermilion border: landmark to landmark
    "lip_upper_border": [48, 49, 50, 51, 52, 53, 54],
    "lip_lower_border": [48, 59, 58, 57, 56, 55, 54],
}
_MAP_SIZE = 2048
# Place of each geometry's uv tile in the atlas: u, v of its lower left corner, and size.
_FACE_TILE, _BACK_TILE, _TEETH_TILE = (0.0, 0.3, 0.7), (0.7, 0.7, 0.3), (0.0, 0.0, 0.3)
_TILES = {
    "face": _FACE_TILE, "head_and_neck": _BACK_TILE, "mouth_socket": _BACK_TILE,
    "eye_socket_left": _BACK_TILE, "eye_socket_right": _BACK_TILE, "gums_and_tongue": (0.7, 0.4, 0.3),
    "upper_teeth": _TEETH_TILE, "lower_teeth": _TEETH_TILE, "sclera_left": (0.3, 0.0, 0.3),
    "sclera_right": (0.6, 0.0, 0.3),
}  # fmt: skip
_SLIT_V = 0.431  # height of the mouth's slit in the face tile


@dataclass(frozen=True)
class IctMesh:
    """The imported mesh: metres, head frame; `geometry` indexes `ict_source.GEOMETRY` per triangle."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    geometry: Int[np.ndarray, " f"]

    def faces_of(self, *names: str) -> Int[np.ndarray, " k"]:
        """Triangles of the named geometries."""
        return np.flatnonzero(np.isin(self.geometry, [GEOMETRY.index(n) for n in names]))

    def vertices_of(self, *names: str) -> Int[np.ndarray, " k"]:
        """Vertices of the named geometries."""
        return np.unique(self.faces[self.faces_of(*names)])


def vertex_loops(source: IctSource) -> dict[str, Int[np.ndarray, " n"]]:
    """Ordered vertices (of the source) of lid margins and lip borders."""
    edges = np.sort(np.concatenate([source.faces[:, [i, (i + 1) % 3]] for i in range(3)]), 1)
    owner = np.tile(source.face_polygon, 3)
    _, inverse, count = np.unique(np.c_[edges, owner], axis=0, return_inverse=True, return_counts=True)
    a, b = edges[count[inverse.reshape(-1)] == 1].T  # an edge found twice in a polygon is its diagonal
    length = np.linalg.norm(source.vertices[a] - source.vertices[b], axis=1)
    n = len(source.vertices)
    graph = coo_matrix((length, (a, b)), (n, n)).tocsr()

    def way(start: int, end: int) -> list[int]:
        _, previous = dijkstra(graph, directed=False, indices=end, return_predecessors=True, limit=5.0)
        path = [start]
        while path[-1] != end:
            path.append(int(previous[path[-1]]))
        return path

    loops = {name: LANDMARKS[stops] for name, stops in _BORDERS.items()}
    for name, stops in _ALONG_EDGES.items():
        ways = [way(a, b) for a, b in pairwise(LANDMARKS[stops].tolist())]
        loops[name] = np.array([v for w in ways for v in w[:-1]] + [ways[-1][-1]])
    return loops


def atlas(
    uv: Float[np.ndarray, "t 2"], face_uvs: Int[np.ndarray, "f 3"], geometry: Int[np.ndarray, " f"]
) -> Float[np.ndarray, "t 2"]:
    """The source's uv tiles (unit squares side by side) packed into one unit square."""
    out = np.zeros_like(uv)
    for name, (u0, v0, size) in _TILES.items():
        mine = np.unique(face_uvs[geometry == GEOMETRY.index(name)])
        out[mine] = (uv[mine] - np.floor(uv[mine].mean(0))) * size + [u0, v0]
    return out


def uv_radius(mesh: IctMesh, geometry: str) -> Float[np.ndarray, "k 3"]:
    """Distance of each corner of a geometry's triangles from the middle of its tile, which has size 1."""
    u0, v0, size = _TILES[geometry]
    place = (mesh.uv[mesh.face_uvs[mesh.faces_of(geometry)]] - [u0, v0]) / size
    return np.linalg.norm(place - 0.5, axis=-1)


def class_map(mesh: IctMesh, loops: dict[str, Int[np.ndarray, " n"]]) -> UInt8[np.ndarray, "m m"]:
    """Class ids in uv space (row 0 is v = 1): skin, brows, nose, lips, ears and neck.

    Outlines are splines in uv through lip borders and named points; the neck begins below the jaw.
    """
    drawn, positions = _texel_positions(mesh)
    out = np.empty((_MAP_SIZE, _MAP_SIZE), np.uint8)
    out[drawn] = np.where(below_jaw(positions, neck_border("ict")) > 0, CLASS_ID["neck"], CLASS_ID["skin"])
    row, column = distance_transform_edt(~drawn, return_distances=False, return_indices=True)
    out = out[row, column]  # outside the charts: the class at their nearest edge
    for name, outline in _outlines(mesh, loops):
        texel = np.c_[outline[:, 0], 1 - outline[:, 1]] * _MAP_SIZE - 0.5
        cv2.fillPoly(out, [np.round(texel * 256).astype(np.int32)], CLASS_ID[name], shift=8)
    return out


def _texel_positions(mesh: IctMesh) -> tuple[Bool[np.ndarray, "m m"], Float[np.ndarray, "n 3"]]:
    """Texels whose centres lie in the charts of the skin, and the surface point of each (in that order)."""
    from synthforge.render.rasterize import rasterize  # heads need the renderer only while importing

    skin = mesh.faces_of("face", "head_and_neck")
    sheet = np.c_[mesh.uv[:, 0], 1 - mesh.uv[:, 1], np.full(len(mesh.uv), 1 / _MAP_SIZE)] * _MAP_SIZE
    hit = rasterize(sheet, mesh.face_uvs[skin], _MAP_SIZE, _MAP_SIZE)
    drawn = hit.face_index >= 0
    corners = mesh.vertices[mesh.faces[skin]][hit.face_index[drawn]]
    return drawn, np.einsum("ncx,nc->nx", corners, hit.barycentric[drawn])


def _outlines(mesh: IctMesh, loops: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """(class, closed outline in uv), in drawing order."""
    face = mesh.faces_of("face")
    vertex_uv = np.full((len(mesh.vertices), 2), np.nan)
    vertex_uv[mesh.faces[face]] = mesh.uv[mesh.face_uvs[face]]
    named = canonical_points("ict")

    def to_uv(where: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return (mesh.uv[mesh.face_uvs[where[0]]] * where[1][..., None]).sum(1)

    def at(names: list[str], side: int) -> np.ndarray:
        points = np.array([named[n] for n in names]) * [side, 1, 1]
        return to_uv(nearest_on_surface(points, mesh.vertices, mesh.faces, face))

    half = ["maxillofrontale", "nose_side_wall", "supra_alar_crease", "alar_curvature", "subalare"]
    nose = np.concatenate([at(["nasion", *half, "subnasale"], 1), at(half, -1)[::-1]])
    corners = vertex_uv[loops["stomion_upper"][[-1, 0]]]  # the lips part along this line's uv
    out = [("nose", spline(np.concatenate([nose, nose[:1]]), 400))]
    for name in ("upper", "lower"):
        border = spline(vertex_uv[loops[f"lip_{name}_border"]], 400)
        out.append((f"{name}_lip", np.concatenate([border, corners])))
    eyes = [mesh.vertices[loops[f"lid_margin_{s}"]] for s in ("right", "left")]
    brow = brow_outline(*(eye_corners(eye)[0] for eye in eyes))
    for side, sign in (("left", 1), ("right", -1)):
        on_skin = project_along_z(brow * [sign, 1], mesh.vertices, mesh.faces, face)
        outline = to_uv(on_skin)
        out.append((f"{side}_brow", spline(np.concatenate([outline, outline[:1]]), 400)))
        root = at(["otobasion_sup", "tragion", "tragus_tip", "otobasion_inf"], sign)
        rim = _FACE_TILE[2] - 1e-3 if sign > 0 else 0.0
        root[0, 0] += 0.12 * (rim - root[0, 0])  # the helix rises behind its foremost attachment
        out.append((f"{side}_ear", np.concatenate([root, [[rim, root[-1, 1]], [rim, root[0, 1]]]])))
        u = np.array([0.15, 0.197, 0.197, 0.15])  # the back of the ear, in the tile of the back head
        back = np.c_[u if sign < 0 else 1 - u, [0.55, 0.55, 0.36, 0.36]]
        out.append((f"{side}_ear", back * _BACK_TILE[2] + _BACK_TILE[:2]))
    return out


def neck_border(column: str) -> Float[np.ndarray, "n 3"]:
    """From the chin along the jaw's lower edge, around the ear to the nape; see `canonical_points`."""
    names = [
        "menton", "prejowl", "jaw_mid_body", "gonion", "otobasion_inf", "mastoid", "nuchal_concavity",
    ]  # fmt: skip
    points = np.array([canonical_points(column)[n] for n in names])
    points[1:4, 1] -= [0.007, 0.005, 0.002]  # these lie on the jaw's front; the face ends below its edge
    return points


def below_jaw(points: Float[np.ndarray, "*n 3"], border: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "*n"]:
    """How far below the face-neck border points lie (metres, positive: neck).

    The border is a function of the angle around a vertical axis through the neck; under the chin, where
    the skin runs level, the distance from that axis decides as well.
    """
    axis_z = 0.02

    def polar(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, z = np.abs(p[..., 0]), p[..., 2] - axis_z
        return np.arctan2(x, z), np.hypot(x, z)

    angle, radius = polar(points)
    border_angle, border_radius = polar(border)
    nodes, first = np.unique(np.concatenate([-border_angle, border_angle, 2 * np.pi - border_angle]), True)
    first %= len(border)  # mirrored at chin and nape, so that the border is smooth there
    height = PchipInterpolator(nodes, border[first, 1])(angle)
    inward = PchipInterpolator(nodes, border_radius[first])(angle) - radius
    return height - points[..., 1] + 0.5 * np.clip(inward, -0.02, 0.02)


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def skinning_weights(mesh: IctMesh) -> Float[np.ndarray, "v 5"]:
    """Weights of root, neck, jaw, left eye, right eye as smooth functions of the neutral's positions.

    Neck: none at the clavicles, all above a plane from the larynx to the nape. Jaw: by the angle about the
    condyles in the side view, fading upward through the cheek and backward over the jaw's edge; upper and
    lower lip are told apart by the slit between them, gums and teeth by their row.
    """
    named = canonical_points("ict")
    p, hinge = mesh.vertices, named["condyle_centre"]
    neck = _smoothstep(p[:, 1] + 0.4 * p[:, 2], -0.145, -0.078)
    forward, down = p[:, 2] - hinge[2], hinge[1] - p[:, 1]
    angle = np.degrees(np.arctan2(down, forward))
    jaw = _smoothstep(angle, 12, 40) * (1 - _smoothstep(angle, 62, 95))
    jaw *= _smoothstep(np.hypot(forward, down), 0.015, 0.06)

    corner = named["cheilion"][0]
    mouth = (1 - _smoothstep(np.abs(p[:, 0]), 0.6 * corner, 1.15 * corner)) * (p[:, 2] > 0.05) * (angle < 60)
    above = p[:, 1] > named["stomion"][1]
    face = mesh.faces_of("face")
    above[mesh.faces[face]] = mesh.uv[mesh.face_uvs[face], 1] > _FACE_TILE[1] + _FACE_TILE[2] * _SLIT_V
    jaw = np.where(above, jaw * (1 - mouth), jaw + (1 - jaw) * mouth)
    gums = mesh.vertices_of("gums_and_tongue")
    jaw[gums] = ~above[gums]
    jaw[mesh.vertices_of("upper_teeth")] = 0
    jaw[mesh.vertices_of("lower_teeth")] = 1

    weights = np.stack([1 - neck, neck * (1 - jaw), neck * jaw, 0 * neck, 0 * neck], -1)
    for joint, side in ((3, "left"), (4, "right")):
        weights[mesh.vertices_of(f"sclera_{side}")] = np.eye(5)[joint]
    return weights
