"""The imported FLAME head against the `smplx` package, closed forms, and damaged files."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from synthforge.errors import AssetError
from synthforge.heads import flame, load_head
from synthforge.heads.base import yaw_row
from synthforge.heads.flame_source import read_flame
from tests.helpers.flame_files import (
    Ch,
    csc_matrix,
    obj_text,
    object_npy,
    python2_pickle,
    stand_in,
    write_flame,
)
from tests.helpers.heads import posed

JOINTS = ("global_orient", "neck_pose", "jaw_pose", "leye_pose", "reye_pose")


@pytest.fixture(scope="module")
def smplx_layer(tmp_path_factory):
    """`smplx.FLAME` over the stand-in's arrays: shape, expression, pose -> vertices, landmarks."""
    smplx = pytest.importorskip("smplx", reason="smplx is the peer: pip install smplx")
    folder, s = tmp_path_factory.mktemp("smplx"), stand_in()
    (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(s.static))
    (folder / "flame_dynamic_embedding.npy").write_bytes(npy(np.array(s.dynamic)))
    (folder / "FLAME_NEUTRAL.pkl").write_bytes(pickle.dumps(s.model))
    layer = smplx.FLAME(str(folder), num_betas=300, num_expression_coeffs=100, use_face_contour=True)

    def run(shape, expression, pose, chain=(1, 0)):
        layer.neck_kin_chain = torch.tensor(chain)  # its own is the root alone, without the neck
        out = layer(betas=shape, expression=expression, **{n: pose[:, i] for i, n in enumerate(JOINTS)})
        inner, jaw = out.joints[:, -68:-17], out.joints[:, -17:]
        return out.vertices, torch.cat([jaw, inner], 1)

    return run


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def random_parameters(n, seed, size=0.5):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(n, *s, generator=g) * k for s, k in (((300,), 1.0), ((100,), 1.0), ((5, 3), size))]


def test_vertices_and_landmarks_are_smplxs(flame_head, smplx_layer):
    shape, expression, pose = random_parameters(6, seed=0)
    pose[0] = 0
    theirs = smplx_layer(shape, expression, pose)
    ours = flame_head(shape, expression, pose)
    torch.testing.assert_close(ours, theirs[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(flame_head.landmarks_by_yaw(ours, pose), theirs[1], rtol=0, atol=1e-5)


def test_landmarks_are_smplxs_at_every_yaw(flame_head, smplx_layer):
    degrees = torch.cat([torch.linspace(-95, 95, 20) + 0.2, torch.tensor([-39.4, 39.4, 0.4, -0.4])])
    shape, expression, pose = random_parameters(len(degrees), seed=1, size=0.1)
    pose[:, 0, 1] = torch.deg2rad(degrees) * 0.6
    pose[:, 1, 1] = torch.deg2rad(degrees) * 0.4
    ours = flame_head(shape, expression, pose)
    theirs = smplx_layer(shape, expression, pose)[1]
    torch.testing.assert_close(flame_head.landmarks_by_yaw(ours, pose), theirs, rtol=0, atol=1e-5)
    pose[:, 1] = 0
    ours, theirs = flame_head(shape, expression, pose), smplx_layer(shape, expression, pose, chain=(0,))[1]
    torch.testing.assert_close(flame_head.landmarks_by_yaw(ours, pose), theirs, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.floats(-89, 89), st.floats(-25, 25), st.floats(-25, 25))
def test_row_of_a_yaw(yaw, pitch, roll):
    """Rotations in the order z y x have that yaw exactly; its rows are 0 ... 39 and 40 ... 78, clamped."""
    turn = Rotation.from_euler("ZYX", [roll, -yaw, pitch], degrees=True).as_matrix()
    row = int(yaw_row(torch.from_numpy(turn)[None]))
    near = {round(min(max(yaw + d, -39), 39)) for d in (-1e-4, 1e-4)}
    assert row in {y if y >= 0 else 39 - y for y in near}


def test_zero_pose_is_the_linear_model(flame_head):
    model = stand_in().model
    shape, expression, _ = random_parameters(2, seed=3)
    moved = np.einsum("vck,bk->bvc", model["shapedirs"], torch.cat([shape, expression], 1).double().numpy())
    ours = flame_head(shape, expression, torch.zeros(2, 5, 3))
    np.testing.assert_allclose(ours, model["v_template"] + moved, atol=2e-6)
    points = flame_head.landmarks_by_yaw(ours, torch.zeros(2, 5, 3))
    np.testing.assert_allclose(points[0], flame_head.landmarks(ours[0].numpy()), atol=1e-6)


def test_jaw_turns_about_its_joint(flame_head):
    """A vertex of the jaw alone moves rigidly, but for the correctives of the turn."""
    turn = np.array([0.3, 0.0, 0.0])
    at_rest, turned = posed(flame_head), posed(flame_head, pose={"jaw": turn})
    jaw = flame_head.joint_names.index("jaw")
    alone = np.flatnonzero(flame_head.weights[:, jaw].numpy() > 1 - 1e-6)
    matrix = Rotation.from_rotvec(turn).as_matrix()
    feature = (matrix - np.eye(3)).ravel()
    corrective = np.einsum("p,pvc->vc", feature, flame_head.pose_deltas[9:18].double().numpy())
    centre = flame_head.joints[jaw].double().numpy()
    expected = (at_rest + corrective - centre) @ matrix.T + centre
    assert len(alone) > 50
    np.testing.assert_allclose(turned[alone], expected[alone], atol=1e-6)


def test_joints_follow_shape_and_expression(flame_head):
    shape, expression, _ = random_parameters(1, seed=4)
    regressor = stand_in().model["J_regressor"]
    vertices = flame_head(shape, expression, torch.zeros(1, 5, 3))[0].double().numpy()
    _, places = flame_head.joint_frames(shape, torch.zeros(1, 5, 3), expression)
    np.testing.assert_allclose(places[0], regressor @ vertices, atol=1e-6)


def test_gradients_are_finite_differences(flame_head):
    head = flame_head.double()
    try:
        parameters = [p.double() for p in random_parameters(2, seed=5)]
        parameters[2][0] = 0  # the rest pose, where angles vanish
        parameters = [p.requires_grad_() for p in parameters]
        chosen = torch.randn(2, 68, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6))

        def loss(*p):
            vertices = head(*p)
            return (head.landmarks_by_yaw(vertices, p[2].detach()) * chosen).sum() + vertices.square().sum()

        slopes = torch.autograd.grad(loss(*parameters), parameters)
        for i, (p, slope) in enumerate(zip(parameters, slopes, strict=True)):
            assert torch.isfinite(slope).all()
            way = torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(7 + i))
            sides = [
                [q.detach() + s * 1e-6 * way if q is p else q.detach() for q in parameters] for s in (1, -1)
            ]
            difference = (loss(*sides[0]) - loss(*sides[1])) / 2e-6
            torch.testing.assert_close((slope * way).sum(), difference, rtol=1e-5, atol=1e-7)
    finally:
        flame_head.float()


def test_sides_of_the_eyes_are_where_they_are(flame_head):
    joints = dict(zip(flame_head.joint_names, flame_head.joints.numpy(), strict=True))
    assert joints["left_eye"][0] > 0.02 and joints["right_eye"][0] < -0.02
    np.testing.assert_allclose(flame_head.eye_radius, 0.0117, atol=2e-4)


# --- the owner's files


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_flame(tmp_path_factory.mktemp("flame") / "FLAME2020")


@pytest.fixture
def files(published, tmp_path):
    """A folder of links to the published files, whose entries tests may replace."""
    for path in published.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def replace(path, data):
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def test_published_formats(published):
    s, source = stand_in(), read_flame(published)
    np.testing.assert_array_equal(source.vertices, s.model["v_template"])
    np.testing.assert_array_equal(source.shape_deltas, s.model["shapedirs"].transpose(2, 0, 1)[:300])
    np.testing.assert_array_equal(source.expression_deltas, s.model["shapedirs"].transpose(2, 0, 1)[300:])
    np.testing.assert_array_equal(source.pose_deltas, s.model["posedirs"].transpose(2, 0, 1))
    np.testing.assert_array_equal(source.joint_regressor, s.model["J_regressor"])
    np.testing.assert_array_equal(source.faces, s.model["f"])
    np.testing.assert_array_equal(source.jaw_barycentric, s.dynamic["lmk_b_coords"])
    np.testing.assert_array_equal(source.static_face, s.static["lmk_face_idx"])
    np.testing.assert_array_equal(source.face_uvs, s.ft)
    assert all(np.array_equal(source.masks[k], s.masks[k]) for k in source.masks)
    assert source.version == "FLAME 2020 (by its folder's name)"
    assert len(source.vertices) == 5023 and len(source.faces) == 9976


def test_other_containers_hold_the_same(published, tmp_path):
    s, usual = stand_in(), read_flame(published)
    few = s.model["shapedirs"][..., :301].astype(np.float32)
    np.savez(tmp_path / "flame2023.npz", **s.model | {"shapedirs": few})
    np.savez(tmp_path / "static.npz", **s.static)
    (tmp_path / "dynamic.pkl").write_bytes(pickle.dumps(s.dynamic, protocol=4))
    (tmp_path / "masks.pkl").write_bytes(pickle.dumps(s.masks))
    (tmp_path / "head_template.obj").write_text(obj_text(s))
    source = read_flame(tmp_path)
    assert source.version == "FLAME 2023 (by its file's name)"
    (tmp_path / "another.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"
    )
    np.testing.assert_array_equal(source.shape_deltas, usual.shape_deltas.astype(np.float32))
    assert len(source.expression_deltas) == 1
    for key in ("vertices", "faces", "joint_regressor", "static_face", "jaw_face", "face_uvs"):
        np.testing.assert_array_equal(getattr(source, key), getattr(usual, key))
    np.testing.assert_allclose(source.uv, usual.uv, atol=1e-8)
    pairs = {"dynamic.npy": object_npy(s.dynamic), "dynamic2.npy": npy(np.array(s.dynamic))}
    for name, data in pairs.items():  # of numpy for Python 2, and of today's
        (tmp_path / name).write_bytes(data)
        other = read_flame(tmp_path / name, tmp_path)
        np.testing.assert_array_equal(other.jaw_barycentric, usual.jaw_barycentric)


def test_both_embeddings_in_one_file_with_tensors(tmp_path):
    s = stand_in()
    write_flame(tmp_path)
    expected = read_flame(tmp_path)
    for name in ("flame_static_embedding.pkl", "flame_dynamic_embedding.npy"):
        (tmp_path / name).unlink()
    both = {
        "static_lmk_faces_idx": np.array(s.static["lmk_face_idx"]),
        "static_lmk_bary_coords": np.array(s.static["lmk_b_coords"]),
        "dynamic_lmk_faces_idx": torch.tensor(np.array(s.dynamic["lmk_face_idx"], np.int64)),
        "dynamic_lmk_bary_coords": torch.tensor(np.array(s.dynamic["lmk_b_coords"], np.float32)),
    }
    (tmp_path / "landmark_embedding.npy").write_bytes(npy(np.array(both)))
    source = read_flame(tmp_path)
    for name in ("static_face", "static_barycentric", "jaw_face"):
        np.testing.assert_array_equal(getattr(source, name), getattr(expected, name))
    np.testing.assert_allclose(source.jaw_barycentric, expected.jaw_barycentric, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("flame2023_Open.pkl", "FLAME 2023 Open (by its file's name)"),
        ("flame2023_no_jaw.pkl", "FLAME 2023 (by its file's name)"),
        ("mine.pkl", "unknown, FLAME-shaped"),
    ],
)
def test_version_is_known_or_said_to_be_unknown(files, name, version):
    (files / "generic_model.pkl").rename(files / name)
    assert read_flame(files).version == version


def test_the_generic_one_of_several_models_is_taken(files):
    other = light_model() | {"v_template": stand_in().model["v_template"] * 1.01}
    (files / "female_model.pkl").write_bytes(python2_pickle(other))
    assert read_flame(files).vertices[0, 1] == stand_in().model["v_template"][0, 1]
    assert read_flame(files / "female_model.pkl", files).vertices[0, 1] == other["v_template"][0, 1]
    (files / "female_model.pkl").rename(files / "flame2023.pkl")
    with pytest.raises(AssetError, match="several models.*flame2023.pkl.*give the one you want"):
        read_flame(files)


def test_all_that_is_missing_is_said_at_once(files):
    for name in ("flame_static_embedding.pkl", "FLAME_masks.pkl", "FLAME_texture.npz"):
        (files / name).unlink()
    with pytest.raises(AssetError) as error:
        read_flame(files)
    for word in ("flame_static_embedding.pkl", "FLAME_masks.pkl", "FLAME_texture.npz", "flame.is.tue.mpg.de"):
        assert word in str(error.value)
    assert "dynamic" not in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(AssetError, match="does not exist"):
        read_flame(files / "nowhere")


def light_model():
    """The model with the fewest directions that there may be, as bytes."""
    m = stand_in().model
    return m | {"v_template": Ch(m["v_template"]), "shapedirs": np.zeros((5023, 3, 301), np.int8)}


def damaged_models():
    """Name -> (what replaces values of the model, words of the message)."""
    m = stand_in().model

    def changed(key, index, value):
        array = m[key].copy()
        array[index] = value
        return {key: array}

    derived = type("Select", (), {})()
    wide = csc_matrix(m["J_regressor"])
    wide.indices = wide.indices + 7
    huge = csc_matrix(m["J_regressor"])
    huge._shape = (1 << 40, 1 << 40)
    return {
        "face beyond": (changed("f", (3, 1), 5023), "`f` points beyond 5023"),
        "negative face": (
            {"f": np.where(np.arange(9976)[:, None] == 5, -1, m["f"].astype(int))},
            "`f` points",
        ),
        "nan": (changed("v_template", (0, 0), np.nan), "`v_template` has values that are not finite"),
        "infinite": (changed("posedirs", (0, 0, 5), np.inf), "`posedirs` has values that are not finite"),
        "columns": ({"shapedirs": np.zeros((5023, 3, 150), np.int8)}, "`shapedirs` has 150 columns"),
        "posedirs": ({"posedirs": m["posedirs"][..., :9]}, r"`posedirs` has shape \(5023, 3, 9\)"),
        "weights": ({"weights": m["weights"] * 0.5}, "`weights` do not sum to 1"),
        "tree": (changed("kintree_table", (0, 3), 2), "`kintree_table`"),
        "millimetres": ({"v_template": m["v_template"] * 1000}, "no metres"),
        "text": ({"weights": "none"}, "`weights` is no array of numbers"),
        "derived": ({"weights": derived}, "chumpy.reordering.Select"),
        "sparse index": ({"J_regressor": wide}, "`J_regressor` is a damaged sparse matrix"),
        "sparse size": ({"J_regressor": huge}, "`J_regressor` is a damaged sparse matrix"),
    }


@pytest.mark.parametrize("name", damaged_models())
def test_damaged_models_give_one_line(files, name, monkeypatch):
    values, words = damaged_models()[name]
    from tests.helpers import flame_files

    for value in values.values():
        if type(value).__name__ == "Select":
            monkeypatch.setitem(flame_files._OLD_NAMES, type(value), b"cchumpy.reordering\nSelect\n")
    replace(files / "generic_model.pkl", python2_pickle(light_model() | values))
    with pytest.raises(AssetError, match=words) as error:
        read_flame(files)
    assert "\n" not in str(error.value)


def test_damaged_companions_give_one_line(files):
    s = stand_in()
    replace(files / "generic_model.pkl", python2_pickle(light_model()))
    far = {**s.static, "lmk_face_idx": s.static["lmk_face_idx"].astype(np.int64) + 9976}
    heavy = {**s.dynamic, "lmk_b_coords": s.dynamic["lmk_b_coords"] * 3}
    masks = {**s.masks, "nose": np.array([5023])}
    half = npy(s.dynamic)[:2000]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr(
            "vt.npy",
            b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9" + b"9" * 18,
        )
        z.writestr("ft.npy", b"")
    other_uv = io.BytesIO()
    np.savez(other_uv, vt=s.vt, ft=s.ft[:-1])
    for name, data, words in [
        ("flame_static_embedding.pkl", python2_pickle(far), "static landmarks` points beyond"),
        (
            "flame_static_embedding.pkl",
            python2_pickle(s.static)[:900],
            "lacks the 51 inner landmarks.*truncated",
        ),
        ("flame_dynamic_embedding.npy", object_npy(heavy), "jaw landmarks' weights do not sum to 1"),
        ("flame_dynamic_embedding.npy", half, "lacks the jaw landmarks"),
        ("FLAME_masks.pkl", python2_pickle(masks), "`nose` points beyond 5023"),
        (
            "FLAME_masks.pkl",
            python2_pickle({k: masks[k] for k in ("nose", "lips", "neck")}),
            "masks lack left_ear",
        ),
        ("FLAME_texture.npz", archive.getvalue(), "lacks the uv layout.*not an .npy file"),
        ("FLAME_texture.npz", other_uv.getvalue(), r"`ft` has shape \(9975, 3\)"),
    ]:
        usual = (files / name).read_bytes()
        replace(files / name, data)
        with pytest.raises(AssetError, match=words) as error:
            read_flame(files)
        assert "\n" not in str(error.value)
        replace(files / name, usual)
    read_flame(files)


def test_nothing_in_a_file_is_executed(files, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for name, data in [
        ("generic_model.pkl", pickle.dumps({"v_template": 1, "shapedirs": Evil()})),
        ("flame_dynamic_embedding.npy", npy(np.array({"lmk_face_idx": Evil()}, dtype=object))),
    ]:
        usual = (files / name).read_bytes()
        replace(files / name, data)
        with pytest.raises(AssetError, match="refused.*open"):
            read_flame(files)
        replace(files / name, usual)
    assert not (tmp_path / "owned").exists()


def test_install_is_idempotent_and_check_tells_damage(files, flame_file, monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(flame_file.parent))
    before = flame_file.stat().st_mtime_ns
    assert flame.install_flame(files) == (flame_file, False)
    assert flame_file.stat().st_mtime_ns == before
    assert "unknown, FLAME-shaped, 5023 vertices, 300 shape axes, 100 expressions" in flame.check_flame(
        flame_file
    )
    broken = tmp_path / "flame.npz"
    broken.write_bytes(flame_file.read_bytes()[:5000])
    with pytest.raises(AssetError, match="synthforge assets add flame PATH"):
        flame.check_flame(broken)
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "empty"))
    with pytest.raises(AssetError, match="synthforge assets add flame PATH"):
        load_head("flame")
