"""The imported GNM head against the `body-models` package, the head it is made of, and damaged files."""

import numpy as np
import pytest
import torch

from synthforge.config import config_path, load_config
from synthforge.conventions import CLASS_ID, CLASS_NAMES
from synthforge.errors import AssetError
from synthforge.heads import gnm, load_head
from synthforge.heads.base import HeadModel, surface_points
from synthforge.heads.dense import face_classes
from synthforge.heads.gnm_source import read_gnm
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from tests.helpers.gnm_files import N_EXPRESSION, N_SHAPE, SHIFT, STRETCH, stand_in, write_gnm


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_gnm(tmp_path_factory.mktemp("gnm"))


@pytest.fixture(scope="module")
def gnm_file(published, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTHFORGE_HOME", str(tmp_path_factory.mktemp("assets")))
        return gnm.install_gnm(published)[0]


@pytest.fixture(scope="module")
def gnm_head(gnm_file) -> HeadModel:
    return HeadModel.from_npz("gnm", gnm_file)


def test_vertices_and_joints_are_those_of_body_models(gnm_head, gnm_file, published):
    peer = pytest.importorskip("body_models.gnm.numpy", reason="the peer: pip install body-models")
    model = peer.GNM(model_path=published / "gnm_head.npz")
    rng = np.random.default_rng(0)
    shape, expression = (rng.normal(size=(6, n)).astype(np.float32) for n in (N_SHAPE, N_EXPRESSION))
    pose = rng.normal(size=(6, 4, 3)).astype(np.float32) * 0.5
    pose[0] = 0
    arguments = {"head_rotation": pose[:, 0], "shape": shape, "expression": expression}
    origin = np.load(gnm_file)["origin"]
    ours = gnm_head(*map(torch.from_numpy, (shape, expression, pose))).numpy() + origin
    np.testing.assert_allclose(ours, model.forward_vertices(pose[:, 1:], **arguments), rtol=0, atol=1e-5)
    turns, places = gnm_head.joint_frames(torch.from_numpy(shape), torch.from_numpy(pose))
    theirs = model.forward_skeleton(pose[:, 1:], **arguments)
    np.testing.assert_allclose(turns, theirs[..., :3, :3], rtol=0, atol=1e-5)
    np.testing.assert_allclose(places.numpy() + origin, theirs[..., :3, 3], rtol=0, atol=1e-5)


def test_the_frame_is_the_head_frame_and_the_names_are_ours(gnm_head, gnm_file):
    np.testing.assert_allclose(np.load(gnm_file)["origin"], SHIFT, atol=3e-4)
    assert gnm_head.joint_names == ("root", "neck", "left_eye", "right_eye")
    assert gnm_head.joints[2, 0] > 0.02 and gnm_head.joints[3, 0] < -0.02
    np.testing.assert_allclose(gnm_head.eye_radius, 0.0117 * STRETCH.mean(), atol=3e-4)


def test_labels_are_those_of_the_head_it_is_made_of(gnm_head, anthro_head):
    off = np.linalg.norm(gnm_head.canonical - anthro_head.canonical, axis=1)
    assert np.median(off) < 3e-4 and off.max() < 6e-3
    landmarks = gnm_head.landmarks(gnm_head.vertices.numpy())
    there = anthro_head.landmarks(anthro_head.vertices.numpy()) * STRETCH
    np.testing.assert_allclose(landmarks, there, atol=5e-4)  # also the jaw, which the file holds in disorder
    ours, theirs = face_classes(gnm_head), face_classes(anthro_head)
    shown = np.isin(theirs, [CLASS_ID[n] for n in ("skin", "nose", "neck")]) & np.isin(
        anthro_head.face_part, [anthro_head.part_names.index(n) for n in ("skin", "nostril")]
    )
    assert (ours == theirs)[shown].mean() > 0.95
    for side in ("left", "right"):
        for part in ("brow", "ear", "eye"):
            same = theirs == CLASS_ID[f"{side}_{part}"]
            assert (ours == theirs)[same].mean() > 0.97, (side, part)
    for lip in ("upper_lip", "lower_lip"):  # where they differ is the wet inside, which is the mouth's here
        mine = ours == CLASS_ID[lip]
        assert (theirs == ours)[mine].mean() > 0.95 and mine.sum() > 200
    contour = surface_points(
        gnm_head.vertices.numpy(), gnm_head.faces, gnm_head.contour_face, gnm_head.contour_barycentric
    )
    there = surface_points(
        anthro_head.vertices.numpy() * STRETCH, anthro_head.faces, anthro_head.contour_face,
        anthro_head.contour_barycentric,
    )  # fmt: skip
    assert np.quantile(np.linalg.norm(contour - there, axis=-1), 0.9) < 0.004


@pytest.mark.parametrize(
    "part",
    ["left_eyeball", "right_eyeball", "upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue"],
)
def test_parts_are_those_of_the_head_it_is_made_of(gnm_head, anthro_head, part):
    ours = gnm_head.face_part == gnm_head.part_names.index(part)
    theirs = np.isin(
        [anthro_head.part_names[i].replace("caruncle", "eyeball") for i in anthro_head.face_part], part
    )
    np.testing.assert_array_equal(ours, theirs)
    inside = part.replace("eyeball", "eye") if "eye" in part else "inner_mouth"
    assert {CLASS_NAMES[i] for i in gnm_head.face_class[ours]} == {inside}


def test_generated_faces_carry_its_labels(gnm_file, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(gnm_file.parent))
    settings = ["head=gnm", "resolution=96", "scene.pose.yaw_deg=0", "scene.camera.azimuth_deg=0"]
    settings += ["scene.camera.elevation_deg=0", "scene.expression=0", "scene.attributes.eyeglasses=none"]
    frame = SceneSource(load_config(GenerateConfig, config_path("generate", "paper"), settings))(3).frame
    classes = {CLASS_NAMES[i] for i in np.unique(frame.segmentation_bare)}
    assert {"skin", "nose", "left_eye", "right_eye", "upper_lip", "lower_lip", "neck"} <= classes
    assert frame.landmarks_2d[36, 0] < frame.landmarks_2d[45, 0] and (frame.landmarks_visible[17:] > 0).all()


def test_generate_takes_a_configuration_without_named_expressions():
    from synthforge.cli.generate import resolved_config

    assert resolved_config(None, {"head": "gnm"}, ()).name == "paper"


def test_install_is_idempotent_and_check_tells_damage(published, gnm_file, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(gnm_file.parent))
    before = gnm_file.stat().st_mtime_ns
    assert gnm.install_gnm(published / "gnm_head.npz", published) == (gnm_file, False)
    assert gnm_file.stat().st_mtime_ns == before
    assert gnm.check_gnm(gnm_file) == "version 3.0, 16575 vertices, 253 shape axes, 383 expressions"
    broken = tmp_path / "gnm.npz"
    broken.write_bytes(gnm_file.read_bytes()[:5000])
    with pytest.raises(AssetError, match="synthforge assets add gnm PATH"):
        gnm.check_gnm(broken)
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "empty"))
    with pytest.raises(AssetError, match="synthforge assets add gnm PATH"):
        load_head("gnm")


def changed(key, index, value):
    array = stand_in()[key].copy()
    array[index] = value
    return {key: array}


def light():
    """Fewest axes, so that the damaged files are small."""
    s = stand_in()
    keys = ("identity_names", "vertex_identity_basis", "joint_identity_basis", "expression_names")
    return {k: s[k][:2] for k in (*keys, "expression_basis")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: {"variant": np.array("body")}, "variant 'body', version '3.0', not GNM Head 3"),
        (lambda: {"version": np.array("4.1")}, "version '4.1'"),
        (lambda: {"triangle_uvs": None}, "lacks `triangle_uvs`"),
        (lambda: {"joint_names": np.array(["neck", "head", "jaw", "right_eye"])}, "the joints are neck"),
        (lambda: {"joint_parent_indices": np.array([-1, 2, 1, 1])}, "a parent comes after its child"),
        (lambda: {"vertex_groups": stand_in()["vertex_groups"] * 0.4}, "no vertex groups skin_exterior"),
        (lambda: {"skinning_weights": stand_in()["skinning_weights"] * 2}, "do not sum to 1"),
        (lambda: {"template_vertex_positions": stand_in()["template_vertex_positions"] * 100}, "no metres"),
        (lambda: changed("triangles", (3, 1), 16575), "`triangles` point beyond 16575 vertices"),
        (lambda: changed("template_vertex_positions", (0, 0), np.nan), "values that are not finite"),
        (lambda: {"expression_basis": np.zeros((2, 5, 3))}, r"shape \(2, 5, 3\), not numbers \(2 16575 3\)"),
        (lambda: {"identity_names": np.array([{"a": 1}, 2], object)}, "`identity_names` cannot be read"),
    ],
)  # fmt: skip
def test_damaged_models_give_one_line(tmp_path, change, words):
    with pytest.raises(AssetError, match=words) as error:
        read_gnm(write_gnm(tmp_path, **light() | change()))
    assert "\n" not in str(error.value)


def test_missing_and_damaged_companions_give_one_line(tmp_path):
    folder = write_gnm(tmp_path / "files", **light())
    table = folder / "head_sparse_68.txt"
    lines = table.read_text().splitlines()
    for text, words in [
        ("\n".join(lines[:60]), "60 x 6 numbers, not 68 x 6"),
        ("<html>", "no table of numbers"),
        ("\n".join(["99999 1 0 0 0 0", *lines[1:]]), "points at no vertex"),
    ]:
        table.write_text(text)
        with pytest.raises(AssetError, match=words):
            read_gnm(folder)
    table.unlink()
    with pytest.raises(AssetError, match=r"lacks the 68 landmarks .*github.com/google/GNM") as error:
        read_gnm(folder)
    assert "\n" not in str(error.value)
    (folder / "gnm_head_other.npz").write_bytes(b"")
    table.write_text("\n".join(lines))
    with pytest.raises(AssetError, match="several files: .*gnm_head_other.npz"):
        read_gnm(folder)
    with pytest.raises(AssetError, match="`variant` cannot be read"):
        read_gnm(folder / "gnm_head_other.npz", folder)


def test_points_that_begin_at_the_subjects_left_are_exchanged(tmp_path):
    from synthforge.conventions import LANDMARK_FLIP

    usual = read_gnm(write_gnm(tmp_path, **light())).landmarks
    table = tmp_path / "head_sparse_68.txt"
    lines = np.array(table.read_text().splitlines())
    table.write_text("\n".join(lines[LANDMARK_FLIP]))
    np.testing.assert_allclose(read_gnm(tmp_path).landmarks, usual, atol=1e-6)
