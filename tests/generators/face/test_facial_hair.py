"""Hair of the face: by anatomical places, on a head of closed form, against the embedded head's classes."""

import numpy as np
import pytest
import torch

from synthforge.annotate.frame import annotate
from synthforge.cameras.orbit import orbit_camera
from synthforge.cameras.project import project
from synthforge.conventions import CLASS_ID
from synthforge.generators.face.facial_hair import beard_density, grow_face_hair
from synthforge.generators.face.skin import brow_color
from synthforge.generators.geometry.accessory import labelled_mesh, with_accessories
from synthforge.generators.geometry.person import Person
from synthforge.generators.hair.color import face_hair_color
from synthforge.heads import load_head
from synthforge.heads.base import HeadModel
from synthforge.render.rasterize import rasterize
from synthforge.types import Render, SceneParams
from tests.helpers.tiny_head import tiny_head

BROWS = (CLASS_ID["left_brow"], CLASS_ID["right_brow"])


def front(size: int, view: float = 0.20):
    return orbit_camera(0.0, 0.0, 0.0, view / 0.2, 0.2, np.array([0.0, 0.0, 0.06]), (size, size))


def grown(head: HeadModel, index=0, camera=None, drawn=(), **attributes):
    """Parameters, posed vertices and hair of one sample; `drawn` are expression shapes at full weight."""
    expression = np.array([name in drawn for name in head.expression_names], np.float32)
    zeros, pose = np.zeros(head.n_shape, np.float32), np.zeros((head.n_joints, 3), np.float32)
    params = SceneParams(3, index, zeros, expression, pose, camera or front(64), attributes)
    with torch.inference_mode():
        vertices = head(*(torch.from_numpy(a)[None] for a in (zeros, expression, pose)))[0].numpy()
    return params, vertices, grow_face_hair(Person(head, params, vertices))


def area(worn) -> float:
    a, b, c = (worn.vertices[worn.faces[:, i]] for i in range(3))
    return 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


@pytest.fixture(scope="module")
def anthro():
    return load_head("anthro")


@pytest.mark.parametrize("kind", ["moustache", "goatee", "full", "stubble"])
def test_beards_have_their_class_and_stubble_none(kind):
    *_, worn = grown(tiny_head(), facial_hair=kind)
    classes = [(w.class_id, w.labelled) for w in worn]
    beard = (CLASS_ID["skin"], False) if kind == "stubble" else (CLASS_ID["facial_hair"], True)
    assert classes == [(BROWS[0], True), (BROWS[1], True), beard, (CLASS_ID["skin"], False)]
    assert all(np.isfinite(w.vertices).all() and w.albedo.min() >= 0 for w in worn)


def test_beards_leave_lips_nose_and_cheekbones_bare():
    lips = np.array([[0, -0.037, 0.105], [0, -0.054, 0.101], [0.015, -0.044, 0.100]])
    bare = np.array([[0, -0.012, 0.118], [0.052, 0.002, 0.072], [0.032, 0.004, 0.082]])
    chin, lip_skin, cheek = [0.0, -0.086, 0.09], [0.012, -0.030, 0.1], [0.055, -0.055, 0.045]
    for kind in ("moustache", "goatee", "full"):
        assert beard_density(lips, kind).max() < 0.35
        assert beard_density(bare, kind).max() == 0
        assert beard_density(np.array([lip_skin]), kind)[0] > 0.5
    assert beard_density(np.array([chin]), "moustache")[0] == 0
    assert beard_density(np.array([chin]), "goatee")[0] > 0.5
    assert (
        beard_density(np.array([cheek]), "full")[0] > 0.5
        and beard_density(np.array([cheek]), "goatee")[0] == 0
    )


@pytest.mark.parametrize("thickness", [0.6, 1.5])
def test_brow_hair_stays_where_the_head_has_its_brows(anthro, thickness):
    """Seen from the front, almost all of it lies inside the brows of the bare head."""
    camera = front(256, 0.14)
    looks = {"brow_thickness": thickness, "brow_density": 1.0}
    params, vertices, worn = grown(anthro, camera=camera, hair_style="bald", **looks)
    mesh = with_accessories(anthro.mesh(vertices), [w for w in worn if w.class_id in BROWS])
    render = Render(np.zeros((256, 256, 3), np.uint8), vertices, mesh)
    frame = annotate(render, params, anthro, vertices)
    hair = rasterize(project(mesh.vertices, camera), mesh.faces, 256, 256).face_index >= len(anthro.faces)
    on_brow = np.isin(frame.segmentation_bare, BROWS)
    assert hair.sum() > 0.2 * on_brow.sum()
    assert (hair & ~on_brow).sum() < 0.05 * hair.sum()
    assert (hair & on_brow)[:, :128].sum() > 0 and (hair & on_brow)[:, 128:].sum() > 0
    same = frame.segmentation[hair & on_brow] == frame.segmentation_bare[hair & on_brow]
    assert same.mean() > 0.99  # left and right are not swapped
    assert (frame.landmarks_visible[17:27] == 2).all()


def test_a_small_face_has_fewer_hairs_that_cover_as_much(anthro):
    near, far = (grown(anthro, camera=front(n), facial_hair="full")[2] for n in (512, 128))
    for a, b in zip(near, far, strict=True):
        assert len(b.faces) < 0.7 * len(a.faces)
        assert 0.6 < area(b) / area(a) < 1.6


@pytest.mark.parametrize("drawn", [(), ("eyeBlink_L", "eyeBlink_R")])
def test_lashes_root_on_the_lids_open_and_closed(anthro, drawn):
    """Both ends of the lids, and points along them, have a lash within 2 mm; all start near a lid."""
    _, vertices, worn = grown(anthro, camera=front(1024), drawn=drawn)
    roots = worn[-1].vertices.reshape(-1, 5, 2, 3)[:, 0].mean(1)
    lids = anthro.landmarks(vertices)[36:48]
    gap = np.linalg.norm(roots[:, None] - lids[None], axis=2)
    assert np.median(gap.min(1)) < 0.004 and gap.min(1).max() < 0.008
    for point in (1, 2, 7, 8):  # upper lids
        assert gap[:, point].min() < 0.0025


def test_what_is_not_labelled_is_not_in_the_labels_mesh(anthro):
    _, vertices, worn = grown(anthro, facial_hair="goatee")
    mesh = with_accessories(anthro.mesh(vertices), worn)
    bare = with_accessories(anthro.mesh(vertices), [w for w in worn if w.labelled])
    left = labelled_mesh(mesh, worn)
    assert len(left.faces) == len(mesh.faces) - len(worn[-1].faces)
    for name in ("faces", "face_class", "face_part", "face_uvs"):
        assert np.array_equal(getattr(left, name), getattr(bare, name))


def test_growth_depends_on_seed_and_index_alone():
    head = tiny_head()
    first, again, other = (grown(head, i, facial_hair="full")[2] for i in (5, 5, 6))
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2].vertices, other[2].vertices)


def test_brows_of_grey_hair_are_darker_than_it():
    params, vertices, _ = grown(tiny_head(), hair_color="white", skin_tone=2.0)
    person = Person(tiny_head(), params, vertices)
    assert (brow_color(person) < face_hair_color(person)).all() and brow_color(person).min() > 0.005
