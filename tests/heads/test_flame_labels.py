"""Classes, lining, contour and canonical places derived for the stand-in, whose anatomy is known."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import cKDTree

from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.conventions import CLASS_COLORS, CLASS_FLIP, CLASS_ID, CLASS_NAMES
from synthforge.errors import AssetError
from synthforge.heads import flame, load_head
from synthforge.heads.anthro import anthro_points
from synthforge.heads.base import surface_points
from synthforge.heads.ibug import visible_contour
from synthforge.heads.surface import nearest_on_surface
from synthforge.render import rasterize
from synthforge.render.interpolate import sample_classes
from tests.helpers.flame_files import N_FACES, SHIFT
from tests.helpers.heads import posed

SIZE = 384


@pytest.fixture(scope="module")
def named(anthro_head):
    """Named points of the head that the stand-in is made of, in the stand-in's frame."""
    points = anthro_points(anthro_head.vertices.numpy(), anthro_head.faces)
    points["brow_mid"] = (points["brow_mid_up"] + points["brow_mid_low"]) / 2
    return {name: p + SHIFT for name, p in points.items()}


def classes_at(head, points):
    """Names of the classes of the skin nearest to each point."""
    skin = np.flatnonzero(head.face_part == 0)
    face, b = nearest_on_surface(np.asarray(points, float), head.vertices.double().numpy(), head.faces, skin)
    u, v = (head.uv[head.face_uvs[face]] * b[..., None]).sum(1).T
    size = len(head.class_map)
    return [CLASS_NAMES[i] for i in head.class_map[((1 - v) * size).astype(int), (u * size).astype(int)]]


def seen(head, yaw=0.0, jaw=0.0, pitch=0.0):
    """Classes (h w) in a picture, the vertices, and the camera."""
    vertices = posed(head, pose={"jaw": [jaw, 0, 0]}).astype(np.float32)
    centre = np.array([0, -0.02, 0.02])
    camera = orbit_camera(np.radians(yaw), np.radians(pitch), 0.0, 0.9, np.radians(18), centre, (SIZE, SIZE))
    fragments = rasterize(project(vertices, camera), head.faces, SIZE, SIZE)
    return sample_classes(head.mesh(vertices), fragments), vertices, camera


@pytest.mark.parametrize(
    ("name", "points"),
    {
        "nose": ["pronasale", "rhinion", "mid_dorsum", "tip_dome", "nostril_lateral"],
        "skin": [
            "metopion", "glabella", "pogonion", "vertex", "opisthocranion", "cheek_front", "zygoma_front",
            "philtrum_mid", "upper_lid_crease", "tear_trough_med",
        ],
        "upper_lip": ["upper_lip_front"],
        "lower_lip": ["lower_lip_front"],
        "neck": ["laryngeal_prominence", "cervicale_C7", "neck_lateral", "scm_mid"],
        "left_ear": ["helix_lateral", "antihelix", "superaurale", "antitragus"],
        "left_brow": ["brow_mid"],
    }.items(),
)  # fmt: skip
def test_classes_lie_on_their_anatomy(flame_head, named, name, points):
    at = np.array([named[p] for p in points])
    assert classes_at(flame_head, at) == [name] * len(points)
    other = CLASS_NAMES[CLASS_FLIP[CLASS_ID[name]]]
    assert classes_at(flame_head, at * [-1, 1, 1]) == [other] * len(points)


def test_landmarks_lie_in_or_beside_their_class(flame_head):
    points = flame_head.landmarks(flame_head.vertices.numpy()).astype(float)
    assert classes_at(flame_head, points[17:22]) == ["right_brow"] * 5
    assert classes_at(flame_head, points[22:27]) == ["left_brow"] * 5
    assert classes_at(flame_head, points[28:31]) == ["nose"] * 3
    towards = points[[51, 57]].mean(0)
    assert classes_at(flame_head, points[49:54] + 0.12 * (towards - points[49:54])) == ["upper_lip"] * 5
    assert classes_at(flame_head, points[55:60] + 0.12 * (towards - points[55:60])) == ["lower_lip"] * 5
    away = points[48:60] + 0.0025 * np.sign(points[48:60] - towards) * [1, 1, 0]
    assert set(classes_at(flame_head, away)) == {"skin"}


def test_pictures_are_right_and_symmetric(flame_head):
    front, vertices, camera = seen(flame_head)
    assert front.max() < CLASS_ID["hair"]
    area = np.bincount(front.ravel(), minlength=256)
    for name in ("brow", "eye", "ear"):
        left, right = area[CLASS_ID[f"left_{name}"]], area[CLASS_ID[f"right_{name}"]]
        assert left > 60 and abs(left / right - 1) < 0.08, name
    assert np.mean(front != CLASS_FLIP[front][:, ::-1]) < 0.01
    # the openings of the lids are the eyes, and each side is the subject's
    pixels = project(flame_head.landmarks(vertices).astype(float), camera)[:, :2]
    for side, lid in (("right", pixels[36:42]), ("left", pixels[42:48])):
        row, column = np.nonzero(front == CLASS_ID[f"{side}_eye"])
        assert (column + 0.5 > lid[:, 0].min() - 1.5).all() and (column + 0.5 < lid[:, 0].max() + 1.5).all()
        assert (row + 0.5 > lid[:, 1].min() - 1.5).all() and (row + 0.5 < lid[:, 1].max() + 1.5).all()
    assert (np.nonzero(front == CLASS_ID["left_ear"])[1] > SIZE / 2).all()


def test_open_mouth_shows_its_inside_and_not_the_back_of_the_head(flame_head):
    closed, *_ = seen(flame_head)
    wide, vertices, camera = seen(flame_head, jaw=0.35)
    inner = CLASS_ID["inner_mouth"]
    assert (closed == inner).sum() < 10
    lips = project(flame_head.landmarks(vertices).astype(float)[60:68], camera)[:, :2]
    column, row = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    middle, half = lips.mean(0), np.ptp(lips, axis=0) / 2
    inside = ((column - middle[0]) / half[0]) ** 2 + ((row - middle[1]) / half[1]) ** 2 < 0.6
    assert inside.sum() > 300 and (wide[inside] == inner).mean() > 0.97
    for yaw in (-60, 60):
        view, *_ = seen(flame_head, yaw=yaw, jaw=0.3)
        assert (view == inner).sum() > 20


def test_lining_closes_the_mouth_with_its_own_vertices(flame_head):
    """With it only the neck is open; its triangles face forward, as the lips do."""
    faces = flame_head.faces
    assert len(faces) > N_FACES and faces.max() < 5023
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    border = np.unique(edges[count == 1])
    assert count.max() == 2 and flame_head.vertices[border, 1].max() < -0.15
    directed = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    assert len(np.unique(directed, axis=0)) == len(directed)  # neighbours are wound alike
    lining = flame_head.face_part == flame_head.part_names.index("mouth_bag")
    assert (flame_head.face_class[lining] == CLASS_ID["inner_mouth"]).all()
    a, b, c = posed(flame_head, pose={"jaw": [0.3, 0, 0]})[faces[lining]].transpose(1, 0, 2)
    assert np.cross(b - a, c - a)[:, 2].sum() > 0


def test_canonical_places_are_the_embedded_heads(flame_head, anthro_head):
    """The stand-in's skin consists of vertices of the embedded head, moved by a known shift."""
    skin = np.unique(flame_head.faces[flame_head.face_part == 0])
    places = flame_head.vertices[skin].numpy() - SHIFT
    gap, twin = cKDTree(anthro_head.vertices.numpy()).query(places)
    assert gap.max() < 1e-6
    off = np.linalg.norm(flame_head.canonical[skin] - anthro_head.canonical[twin], axis=1)
    face = (places[:, 2] > 0.05) & (places[:, 1] > -0.09)
    assert np.quantile(off[face], 0.9) < 1e-3 and off.max() < 8e-3


@pytest.mark.parametrize("yaw", [-40, 0, 40])
def test_visible_contour_lies_at_the_heads_outline(flame_head, yaw):
    """No point lies beyond the head's outline, and the far cheek's lie near it."""
    picture, vertices, camera = seen(flame_head, yaw=yaw)
    stations = surface_points(
        vertices, flame_head.faces, flame_head.contour_face, flame_head.contour_barycentric
    )
    points = visible_contour(project(stations.astype(float), camera)[..., :2])
    background = np.argwhere(picture == 0)[:, ::-1] + 0.5
    assert cKDTree(np.argwhere(picture > 0)[:, ::-1] + 0.5).query(points)[0].max() < 2
    if yaw:
        far = points[2:6] if yaw > 0 else points[11:15]
        assert cKDTree(background).query(far)[0].max() < 8


def test_jaw_rows_follow_the_outline(flame_head):
    """Turning the head by the yaw that a row is for brings the row's far points to the outline."""
    for degrees in (-35.0, 35.0):
        pose = torch.zeros(1, 5, 3)
        pose[0, 0, 1] = np.radians(degrees)
        vertices = flame_head(torch.zeros(1, 300), torch.zeros(1, 100), pose)
        jaw = flame_head.landmarks_by_yaw(vertices, pose)[0, :17].numpy()
        fixed = flame_head.landmarks(vertices[0].numpy())[:17]
        far = slice(2, 6) if degrees < 0 else slice(11, 15)  # of the right cheek when it is turned away
        outward = -1 if degrees < 0 else 1
        assert (outward * jaw[far, 0] > outward * fixed[far, 0] + 0.003).all()


# --- the PNG that users may edit


@pytest.fixture
def store(flame_file, tmp_path, monkeypatch):
    """A store of its own with the converted stand-in."""
    for path in (flame_file, flame_file.with_name(flame.CLASSES_PNG)):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path))
    return tmp_path


def test_png_is_the_map_in_ids(store, flame_head):
    with Image.open(store / flame.CLASSES_PNG) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.array(image), flame_head.class_map)
        np.testing.assert_array_equal(np.array(image.convert("RGB")), CLASS_COLORS[flame_head.class_map])
    np.testing.assert_array_equal(load_head("flame").class_map, flame_head.class_map)


def test_edited_png_is_used_and_kept(store, flame_head, tmp_path):
    png = store / flame.CLASSES_PNG
    edited = flame_head.class_map.copy()
    edited[edited == CLASS_ID["skin"]] = CLASS_ID["facewear"]
    flame.write_classes(png, edited)
    head = load_head("flame")
    np.testing.assert_array_equal(head.class_map, edited)
    picture, *_ = seen(head)
    assert (picture == CLASS_ID["facewear"]).sum() > 5000 and CLASS_ID["skin"] not in picture
    assert set(np.unique(picture)) <= {0, *np.unique(edited), *np.unique(head.face_class)}
    assert "classes edited" in flame.check_flame(store / "flame.npz")
    gray = Image.fromarray(edited)  # without a palette, as some editors save it
    gray.save(png)
    np.testing.assert_array_equal(load_head("flame").class_map, edited)
    png.unlink()
    np.testing.assert_array_equal(load_head("flame").class_map, flame_head.class_map)


def test_conversion_leaves_an_edited_png_alone(store, flame_head, monkeypatch, tmp_path_factory):
    from tests.helpers.flame_files import write_flame

    png = store / flame.CLASSES_PNG
    flame.write_classes(png, CLASS_FLIP[flame_head.class_map])
    edited = png.read_bytes()
    monkeypatch.setattr(flame, "CONVERSION", flame.CONVERSION + 1)
    monkeypatch.setattr(flame, "convert_flame", lambda source: dict(np.load(store / "flame.npz")))
    _, new = flame.install_flame(write_flame(tmp_path_factory.mktemp("again")))
    assert new and png.read_bytes() == edited
    assert sorted(p.name for p in store.iterdir()) == sorted(["flame.npz", flame.CLASSES_PNG])


def test_unusable_pngs_are_refused_in_one_line(store, flame_head):
    png, classes = store / flame.CLASSES_PNG, flame_head.class_map
    colored = Image.fromarray(CLASS_COLORS[classes])
    reordered = Image.fromarray(classes, "P")
    reordered.putpalette(CLASS_COLORS[::-1].tobytes())
    wrong = {
        "mode RGB": colored,
        "1024 x 1024": Image.fromarray(classes[:1024, :1024]),
        "holds 77, which is no class id": Image.fromarray(np.full_like(classes, 77)),
        "its palette has other colours": reordered,
    }
    for words, image in wrong.items():
        image.save(png)
        with pytest.raises(AssetError, match=words) as error:
            load_head("flame")
        assert flame.CLASSES_PNG in str(error.value) and "\n" not in str(error.value)
    png.write_bytes(b"no image")
    with pytest.raises(AssetError, match="not a PNG"):
        load_head("flame")
