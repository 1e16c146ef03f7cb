"""ICT-FaceKit as its owner publishes it (OBJ files of a clone), or as one compact .npz.

Source of the layout: README.md of github.com/ICT-VGL/ICT-FaceKit (light model: 26,719 vertices, 26,384
polygons), whose polygon ranges and landmark indices are restated here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from synthforge.errors import AssetError
from synthforge.provenance import files_sha256

N_VERTICES = 26719
N_POLYGONS = 26384
# First polygon of each geometry; polygons run to the start of the next one.
POLYGON_STARTS = {
    "face": 0, "head_and_neck": 9230, "mouth_socket": 11144, "eye_socket_left": 13226,
    "eye_socket_right": 13630, "gums_and_tongue": 14034, "upper_teeth": 17006, "lower_teeth": 19250,
    "sclera_left": 21496, "iris_left": 22296, "sclera_right": 23094, "iris_right": 23894, "helpers": 24692,
}  # fmt: skip
GEOMETRY = tuple(POLYGON_STARTS)
LANDMARKS = np.array([
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268,
    493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360,
    1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200,
    6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
])  # fmt: skip
EXPRESSIONS = tuple(
    name
    for base, sides in [
        ("browDown", 2), ("browInnerUp", 2), ("browOuterUp", 2), ("cheekPuff", 2), ("cheekSquint", 2),
        ("eyeBlink", 2), ("eyeLookDown", 2), ("eyeLookIn", 2), ("eyeLookOut", 2), ("eyeLookUp", 2),
        ("eyeSquint", 2), ("eyeWide", 2), ("jawForward", 1), ("jawLeft", 1), ("jawOpen", 1), ("jawRight", 1),
        ("mouthClose", 1), ("mouthDimple", 2), ("mouthFrown", 2), ("mouthFunnel", 1), ("mouthLeft", 1),
        ("mouthLowerDown", 2), ("mouthPress", 2), ("mouthPucker", 1), ("mouthRight", 1),
        ("mouthRollLower", 1), ("mouthRollUpper", 1), ("mouthShrugLower", 1), ("mouthShrugUpper", 1),
        ("mouthSmile", 2), ("mouthStretch", 2), ("mouthUpperUp", 2), ("noseSneer", 2),
    ]
    for name in ([base] if sides == 1 else [f"{base}_L", f"{base}_R"])
)  # fmt: skip
N_IDENTITIES = 100


@dataclass(frozen=True)
class IctSource:
    """ICT-FaceKit light in its own units and frame: centimetres, y up, z forward, +x subject's left.

    `faces` are fanned from the source's polygons, `face_polygon` is the polygon of each; deltas are to the
    neutral, identities per standard deviation.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    face_polygon: Int[np.ndarray, " f"]
    uv: Float[np.ndarray, "t 2"]
    face_uvs: Int[np.ndarray, "f 3"]
    identities: Float[np.ndarray, "s v 3"]
    expressions: Float[np.ndarray, "e v 3"]
    license: str
    sha256: str

    def geometry(self) -> Int[np.ndarray, " f"]:
        """Index into `GEOMETRY` of each triangle."""
        starts = np.array(list(POLYGON_STARTS.values()))
        return np.searchsorted(starts, self.face_polygon, "right") - 1


def read_ict(path: Path) -> IctSource:
    """Read a clone of the repository (or its FaceXModel folder), or the compact .npz.

    Raises:
        AssetError: nothing of the kind there, or a file that does not have the model's layout.
    """
    if path.is_file() and path.suffix == ".npz":
        return _read_npz(path)
    for folder in (path, path / "FaceXModel"):
        if (folder / "generic_neutral_mesh.obj").is_file():
            return _read_clone(folder)
    raise AssetError(
        "no generic_neutral_mesh.obj", where=str(path),
        fix="give the folder of a clone of github.com/ICT-VGL/ICT-FaceKit",
    )  # fmt: skip


def _read_npz(path: Path) -> IctSource:
    needed = (
        "vertices", "faces", "face_quad", "uv", "uv_faces", "identity_deltas", "expression_deltas",
        "expression_names", "license",
    )  # fmt: skip
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in needed}
    except (KeyError, ValueError, OSError) as error:
        raise AssetError(f"not a compact ICT-FaceKit file ({error})", where=str(path)) from error
    names = [str(n) for n in arrays["expression_names"]]
    if missing := set(EXPRESSIONS) - set(names):
        raise AssetError(f"lacks the expressions {sorted(missing)}", where=str(path))
    order = [names.index(n) for n in EXPRESSIONS]
    source = IctSource(
        arrays["vertices"].astype(np.float64),
        arrays["faces"].astype(np.int64),
        arrays["face_quad"].astype(np.int64),
        arrays["uv"].astype(np.float64),
        arrays["uv_faces"].astype(np.int64),
        arrays["identity_deltas"].astype(np.float32),
        arrays["expression_deltas"][order].astype(np.float32),
        str(arrays["license"]),
        files_sha256(path),
    )
    return _checked(source, path)


def _read_clone(folder: Path) -> IctSource:
    neutral = folder / "generic_neutral_mesh.obj"
    identities = [folder / f"identity{i:03d}.obj" for i in range(N_IDENTITIES)]
    expressions = [folder / f"{name}.obj" for name in EXPRESSIONS]
    licenses = [p for d in (folder, folder.parent) for p in sorted(d.glob("LICENSE*"))]
    files = [neutral, *identities, *expressions]
    if absent := [p.name for p in files if not p.is_file()]:
        raise AssetError(
            f"{len(absent)} files are absent, the first is {absent[0]}", where=str(folder),
            fix="clone github.com/ICT-VGL/ICT-FaceKit again",
        )  # fmt: skip
    if not licenses:
        raise AssetError("LICENSE is absent", where=str(folder.parent), fix="keep it beside FaceXModel")
    vertices, uv, polygons = read_obj(neutral)
    fans = [(p, i) for p, corners in enumerate(polygons) for i in range(1, len(corners) - 1)]
    triangles = np.array([[polygons[p][0], *polygons[p][i : i + 2]] for p, i in fans])  # f 3 (vertex, uv)

    def deltas(paths: list[Path]) -> np.ndarray:
        out = np.empty((len(paths), len(vertices), 3), np.float32)
        for row, path in zip(out, paths, strict=True):
            moved = read_obj(path, only_vertices=True)[0]
            if moved.shape != vertices.shape:
                raise AssetError(f"{len(moved)} vertices instead of {len(vertices)}", where=str(path))
            row[:] = moved - vertices
        return out

    source = IctSource(
        vertices,
        triangles[..., 0],
        np.array([p for p, _ in fans]),
        uv,
        triangles[..., 1],
        deltas(identities),
        deltas(expressions),
        licenses[0].read_text(),
        files_sha256(*files),
    )
    return _checked(source, folder)


def read_obj(
    path: Path, only_vertices: bool = False
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "m 2"], list[list[tuple[int, int]]]]:
    """Wavefront OBJ: (vertices n 3, texture coordinates m 2, polygons of (vertex, uv) from 0).

    Raises:
        AssetError: a line that is not OBJ, or polygons without texture coordinates.
    """
    positions, textures, polygons = [], [], []
    try:
        for line in path.read_bytes().splitlines():
            if line.startswith(b"v "):
                positions.append(line[2:])
            elif only_vertices:
                continue
            elif line.startswith(b"vt "):
                textures.append(line[3:])
            elif line.startswith(b"f "):
                corners = (corner.split(b"/") for corner in line.split()[1:])
                polygons.append([(int(c[0]) - 1, int(c[1]) - 1) for c in corners])
        vertices = np.array([p.split()[:3] for p in positions], np.float64).reshape(-1, 3)
        uv = np.array([t.split()[:2] for t in textures], np.float64).reshape(-1, 2)
    except (ValueError, IndexError) as error:
        raise AssetError(f"not the OBJ that was expected ({error})", where=str(path)) from error
    return vertices, uv, polygons


def _checked(source: IctSource, path: Path) -> IctSource:
    found = len(source.vertices), int(source.face_polygon.max(initial=-1)) + 1
    if found != (N_VERTICES, N_POLYGONS):
        raise AssetError(
            f"{found[0]} vertices and {found[1]} polygons; the light model has {N_VERTICES} and {N_POLYGONS}",
            where=str(path), fix="use ICT-FaceKit's light model (FaceXModel)",
        )  # fmt: skip
    return source
