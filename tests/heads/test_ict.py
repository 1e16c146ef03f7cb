"""The imported ICT head against its source's own arithmetic and published measurements of it."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from synthforge.conventions import CLASS_FLIP, CLASS_ID
from synthforge.errors import AssetError, ConfigError
from synthforge.heads import ict_source, load_head
from synthforge.heads.base import surface_points
from synthforge.heads.canonical import canonical_coordinates, canonical_points, inside_points
from synthforge.heads.ict import IRIS_RADIUS, install_ict
from synthforge.heads.ict_source import EXPRESSIONS, read_ict, read_obj
from synthforge.heads.surface import nearest_on_surface
from synthforge.render import rasterize
from tests.helpers.heads import posed
from tests.helpers.shared import shared_path


def part(head, *names):
    """Faces and vertices of parts."""
    faces = np.flatnonzero(np.isin(head.face_part, [head.part_names.index(n) for n in names]))
    return faces, np.unique(head.faces[faces])


def fitted_sphere(points):
    """Centre and radius by non-linear least squares of distances."""
    start = np.r_[points.mean(0), 0.012]
    found = least_squares(lambda x: np.linalg.norm(points - x[:3], axis=1) - x[3], start, xtol=1e-12)
    return found.x[:3], found.x[3]


def test_vertices_are_the_sources_linear_model(ict_head):
    """v = neutral + sum of weighted deltas, in cm about another origin (the source's own scripts)."""
    source = np.load(shared_path("ict_facekit.npz"))
    shape, expression = {"id_000": 1.3, "id_007": -2.0, "id_099": 1.0}, {"jawOpen": 0.7, "eyeBlink_L": 1.0}
    names = [str(n) for n in source["expression_names"]]
    moved = source["vertices"].astype(float)
    moved += sum(w * source["identity_deltas"][int(n[3:])].astype(float) for n, w in shape.items())
    moved += sum(w * source["expression_deltas"][names.index(n)].astype(float) for n, w in expression.items())
    ours = posed(ict_head, shape, expression)
    faces = source["faces"][np.isin(source["face_group"], [0, 1])]
    skin = np.unique(faces)  # the first parts of both meshes, so in the same order
    shift = ours[: len(skin)] - 0.01 * moved[skin]
    np.testing.assert_allclose(shift, np.broadcast_to(shift.mean(0), shift.shape), atol=2e-5)
    assert np.array_equal(ict_head.faces[: len(faces)], np.searchsorted(skin, faces))


def test_origin_is_midway_between_the_tragia(ict_head):
    """All published points of this neutral lie on its skin; they are rounded to 0.5 mm."""
    points = {n: p for n, p in canonical_points("ict").items() if n not in inside_points()}
    target = np.array(list(points.values()))
    for side in ([1, 1, 1], [-1, 1, 1]):
        faces, _ = part(ict_head, "skin")
        vertices = ict_head.vertices.numpy().astype(float)
        where = nearest_on_surface(target * side, vertices, ict_head.faces, faces)
        gap = np.linalg.norm(surface_points(vertices, ict_head.faces, *where) - target * side, axis=1)
        assert gap.max() < 0.5e-3, list(points)[gap.argmax()]


def test_faces_look_outward(ict_head):
    """Signed volumes of the closed eyeballs, and of the skin closed by a fan at its lower border."""
    vertices = ict_head.vertices.numpy().astype(float)
    for name, radius in (("left_eyeball", 0.0154), ("right_eyeball", 0.0154)):
        a, b, c = vertices[ict_head.faces[part(ict_head, name)[0]]].transpose(1, 0, 2)
        volume = (a * np.cross(b, c)).sum() / 6
        assert 0.95 < volume / (4 / 3 * np.pi * radius**3) < 1.1
    a, b, c = vertices[ict_head.faces[part(ict_head, "skin")[0]]].transpose(1, 0, 2)
    assert 0.003 < (a * np.cross(b, c)).sum() / 6 < 0.012  # cubic metres: a head and neck


def test_uv_does_not_overlap(ict_head):
    uv, size = ict_head.uv, 1024
    assert uv.min() >= 0 and uv.max() <= 1
    sheet = np.c_[uv[:, 0] * size, (1 - uv[:, 1]) * size, np.ones(len(uv))]
    covered = (rasterize(sheet, ict_head.face_uvs, size, size).face_index >= 0).sum()
    e = sheet[ict_head.face_uvs, :2]
    (ax, ay), (bx, by) = (e[:, 1] - e[:, 0]).T, (e[:, 2] - e[:, 0]).T
    area = np.abs(ax * by - ay * bx).sum() / 2
    assert abs(area / covered - 1) < 0.005


def skin_classes(head, points):
    """Class of the skin point nearest to each point."""
    faces, _ = part(head, "skin")
    face, b = nearest_on_surface(
        np.asarray(points, float), head.vertices.numpy().astype(float), head.faces, faces
    )
    u, v = (head.uv[head.face_uvs[face]] * b[..., None]).sum(1).T
    size = len(head.class_map)
    return head.class_map[((1 - v) * size).astype(int), (u * size).astype(int)]


@pytest.mark.parametrize(
    ("name", "points"),
    {
        "skin": [
            "metopion",
            "zygoma_front",
            "cheek_front",
            "pogonion",
            "glabella",
            "temple_hollow",
            "masseter",
        ],
        "nose": ["rhinion", "mid_dorsum", "pronasale", "tip_dome", "nostril_lateral", "columella_mid"],
        "upper_lip": ["upper_lip_front"],
        "lower_lip": ["lower_lip_front"],
        "neck": ["laryngeal_prominence", "cervicale_C7", "cervical_point", "neck_lateral", "scm_mid"],
        "left_ear": ["helix_lateral", "antihelix", "concha_deep", "antitragus", "subaurale", "superaurale"],
    }.items(),
)
def test_classes_lie_on_their_anatomy(ict_head, name, points):
    named = canonical_points("ict")
    at = np.array([named[p] for p in points])
    assert (skin_classes(ict_head, at) == CLASS_ID[name]).all()
    mirrored = skin_classes(ict_head, at * [-1, 1, 1])
    assert (mirrored == CLASS_FLIP[CLASS_ID[name]]).all()


def test_inner_parts_have_their_class(ict_head):
    for name, class_name in [
        ("left_eyeball", "left_eye"), ("right_eyeball", "right_eye"), ("upper_teeth", "inner_mouth"),
        ("tongue", "inner_mouth"), ("mouth_socket", "inner_mouth"),
    ]:  # fmt: skip
        assert (ict_head.face_class[part(ict_head, name)[0]] == CLASS_ID[class_name]).all()
    assert (ict_head.face_class[part(ict_head, "skin")[0]] == 255).all()
    left = ict_head.vertices.numpy()[part(ict_head, "left_eyeball")[1]]
    assert left[:, 0].min() > 0


def test_eye_joint_follows_the_identity(ict_head):
    rng = np.random.default_rng(2)
    shape = np.clip(rng.normal(size=100), -2.5, 2.5)
    vertices = posed(ict_head, dict(zip(ict_head.shape_names, shape, strict=True)))
    joints = ict_head.joints.numpy() + np.einsum("s,sjc->jc", shape, ict_head.joint_shape_deltas.numpy())
    for joint, name in (("left_eye", "left_eyeball"), ("right_eye", "right_eyeball")):
        ball = vertices[part(ict_head, name)[1]]
        back = ball[ball[:, 2] < np.median(ball[:, 2])]
        centre, radius = fitted_sphere(back)
        assert np.linalg.norm(centre - joints[ict_head.joint_names.index(joint)]) < 3e-4
        assert abs(radius - ict_head.eye_radius[0]) < 8e-4


def test_turned_eye_is_a_rigid_ball(ict_head):
    turn = np.array([0.2, -0.4, 0.0])
    at_rest, turned = posed(ict_head), posed(ict_head, pose={"left_eye": turn})
    _, eye = part(ict_head, "left_eyeball")
    centre = ict_head.joints.numpy()[ict_head.joint_names.index("left_eye")]
    expected = (at_rest[eye] - centre) @ Rotation.from_rotvec(turn).as_matrix().T + centre
    np.testing.assert_allclose(turned[eye], expected, atol=1e-6)
    others = np.setdiff1d(np.arange(len(at_rest)), eye)
    np.testing.assert_array_equal(turned[others], at_rest[others])


def test_neck_turns_the_whole_face_and_leaves_the_shoulders(ict_head):
    turned = posed(ict_head, pose={"neck": [0.0, 0.5, 0.0]})
    at_rest = posed(ict_head)
    joint = ict_head.joints.numpy()[ict_head.joint_names.index("neck")]
    face = at_rest[:, 1] > -0.03
    expected = (at_rest[face] - joint) @ Rotation.from_rotvec([0, 0.5, 0]).as_matrix().T + joint
    np.testing.assert_allclose(turned[face], expected, atol=1e-6)
    low = at_rest[:, 1] < -0.19
    np.testing.assert_allclose(turned[low], at_rest[low], atol=1e-6)
    weights = ict_head.weights.numpy()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert weights.min() >= 0


def test_eyes_look_straight_ahead(ict_head):
    """The cornea bulges along +z, by about a millimetre or two, and is round there."""
    for side in ("left", "right"):
        joint = ict_head.joints.numpy().astype(float)[ict_head.joint_names.index(f"{side}_eye")]
        ball = ict_head.vertices.numpy().astype(float)[part(ict_head, f"{side}_eyeball")[1]] - joint
        bulge = np.linalg.norm(ball, axis=1) - ict_head.eye_radius[0]
        top = ball[bulge > 0.8 * bulge.max()]
        direction = top.mean(0) / np.linalg.norm(top.mean(0))
        assert np.degrees(np.arccos(direction[2])) < 1.0
        assert 0.0012 < bulge.max() < 0.003
        iris = (np.hypot(ball[:, 0], ball[:, 1]) < 0.8 * IRIS_RADIUS) & (ball[:, 2] > 0)
        assert bulge[iris].min() > 5e-4


def test_canonical_warp(ict_head):
    target, here = canonical_points(), canonical_points("ict")
    # takes the named points to their canonical places
    names = list(target)
    at = canonical_coordinates(np.array([here[n] for n in names]), here)
    gap = np.linalg.norm(at - np.array([target[n] for n in names]), axis=1)
    assert np.median(gap) < 5e-4 and gap.max() < 3e-3
    # an affinely moved canonical head is taken back exactly
    moved = {n: p * [1.1, 0.9, 1.2] + [0, 0.01, 0.02] for n, p in target.items()}
    back = canonical_coordinates(np.array([moved[n] for n in names]), moved)
    np.testing.assert_allclose(back, np.array([target[n] for n in names]), atol=1e-6)
    # symmetric
    canonical = ict_head.canonical
    np.testing.assert_allclose(canonical[:, 0].max(), -canonical[:, 0].min(), atol=1e-4)


def test_expression_names_are_the_sources(ict_head):
    source = np.load(shared_path("ict_facekit.npz"))
    assert ict_head.expression_names == EXPRESSIONS
    assert set(EXPRESSIONS) == {str(n) for n in source["expression_names"]}
    np.testing.assert_array_equal(ict_source.LANDMARKS, source["landmarks68"])


def test_geometry_table_is_the_sources():
    source = np.load(shared_path("ict_facekit.npz"))
    ours = read_ict(shared_path("ict_facekit.npz"))
    names = [str(n) for n in source["group_names"]]
    group = np.array(ict_source.GEOMETRY)[ours.geometry()]
    for name in ("face", "head_and_neck", "mouth_socket", "eye_socket_left", "gums_and_tongue"):
        np.testing.assert_array_equal(group == name, source["face_group"] == names.index(name))
    teeth = source["vertex_tooth"][ours.faces[:, 0]]
    lower = [i for i, n in enumerate(source["tooth_names"]) if "lower" in str(n)]
    np.testing.assert_array_equal(group == "lower_teeth", np.isin(teeth, lower))


def write_obj(path, vertices, faces_uv=()):
    lines = [f"v {x} {y} {z}" for x, y, z in vertices]
    if faces_uv:
        lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0.25 0.75", "g part", "usemtl M"]
        lines += ["f " + " ".join(f"{v}/{t}" for v, t in polygon) for polygon in faces_uv]
    path.write_text("mtllib a.mtl\n" + "\n".join(lines) + "\n")


def test_clone_of_obj_files(tmp_path, monkeypatch):
    """A clone in miniature: a quad and a triangle, two identities, one expression."""
    monkeypatch.setattr(ict_source, "N_VERTICES", 5)
    monkeypatch.setattr(ict_source, "N_POLYGONS", 2)
    monkeypatch.setattr(ict_source, "N_IDENTITIES", 2)
    monkeypatch.setattr(ict_source, "EXPRESSIONS", ("jawOpen",))
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    neutral = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0.5, 1e-3]])
    write_obj(
        folder / "generic_neutral_mesh.obj",
        neutral,
        [[(1, 1), (2, 2), (3, 3), (4, 4)], [(2, 1), (5, 2), (3, 4)]],
    )
    rng = np.random.default_rng(0)
    deltas = rng.normal(size=(3, 5, 3)).round(6)
    for name, delta in zip(("identity000", "identity001", "jawOpen"), deltas, strict=True):
        write_obj(folder / f"{name}.obj", neutral + delta)
    with pytest.raises(AssetError, match="LICENSE"):
        read_ict(tmp_path)
    (tmp_path / "LICENSE").write_text("MIT")
    source = read_ict(tmp_path)
    np.testing.assert_array_equal(source.faces, [[0, 1, 2], [0, 2, 3], [1, 4, 2]])
    np.testing.assert_array_equal(source.face_uvs, [[0, 1, 2], [0, 2, 3], [0, 1, 3]])
    np.testing.assert_array_equal(source.face_polygon, [0, 0, 1])
    np.testing.assert_allclose(np.r_[source.identities, source.expressions], deltas, atol=1e-6)
    np.testing.assert_allclose(source.uv[3], [0.25, 0.75])
    assert source.license == "MIT"
    np.testing.assert_array_equal(
        read_obj(folder / "jawOpen.obj", only_vertices=True)[0], neutral + deltas[2]
    )

    monkeypatch.setattr(ict_source, "N_VERTICES", 6)
    with pytest.raises(AssetError, match="5 vertices and 2 polygons"):
        read_ict(tmp_path)
    (folder / "identity001.obj").unlink()
    with pytest.raises(AssetError, match="the first is identity001.obj"):
        read_ict(tmp_path)


def test_errors_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "empty"))
    with pytest.raises(AssetError, match="synthforge assets add ict-facekit PATH"):
        load_head("ict")
    with pytest.raises(AssetError, match="clone of github.com/ICT-VGL/ICT-FaceKit"):
        install_ict(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"no")
    with pytest.raises(AssetError, match="not a compact ICT-FaceKit file"):
        install_ict(tmp_path / "x.npz")
    with pytest.raises(ConfigError, match="anthro"):
        load_head("nobody")


def test_gradients_flow(ict_head):
    inputs = [torch.zeros(1, n, requires_grad=True) for n in (ict_head.n_shape, ict_head.n_expression)]
    pose = torch.zeros(1, ict_head.n_joints, 3, requires_grad=True)
    ict_head(*inputs, pose).square().sum().backward()
    assert all(torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0 for x in (*inputs, pose))
