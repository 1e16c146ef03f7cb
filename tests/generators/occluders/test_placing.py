"""Hands and things before the face: closed surfaces that touch the skin without entering it."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from synthforge.attributes import ATTRIBUTES
from synthforge.cameras.project import project
from synthforge.config import config_path, load_config
from synthforge.generators.geometry.meshes import joined
from synthforge.generators.geometry.person import Person
from synthforge.generators.occluders.hand import close, finger_joints, hand, outline, surface_net
from synthforge.generators.occluders.placing import KINDS, SHARE, occlude
from synthforge.heads import load_head
from synthforge.heads.anatomy import EYE_PARTS, MOUTH_PARTS
from synthforge.pipeline.config import GenerateConfig
from synthforge.render.rasterize import rasterize
from synthforge.scene.sampling import SceneSampler

N = 5  # heads per kind


@pytest.fixture(scope="module")
def head():
    return load_head("anthro")


@pytest.fixture(scope="module")
def scenes(head):
    sampler = SceneSampler(load_config(GenerateConfig, config_path("generate", "default")).scene, head, 96)
    out = []
    for i in range(N):
        params = sampler.sample(9, i)
        arrays = (params.shape, params.expression, params.pose)
        with torch.no_grad():
            out.append((params, head(*(torch.from_numpy(a)[None] for a in arrays))[0].numpy()))
    return out


def worn(head, scene, kind, seed=1):
    params, vertices = scene
    attributes = params.attributes | {"occluder": kind}
    return occlude(Person(head, dataclasses.replace(params, seed=seed, attributes=attributes), vertices))


def deepest(head, vertices, points) -> float:
    """How far (m) points are behind the outer skin, against a dense cloud of it; negative: all are off it."""
    inner = [i for i, name in enumerate(head.part_names) if name in EYE_PARTS + MOUTH_PARTS]
    faces = head.faces[~np.isin(head.face_part, inner)]
    nose = head.landmarks(vertices)[30]
    faces = faces[np.linalg.norm(vertices[faces].mean(1) - nose, axis=1) < 0.18]
    skin = trimesh.Trimesh(vertices, faces, process=False)
    skin.update_faces(skin.area_faces > 0)
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 12)
    cloud = np.einsum("kb,fbc->fkc", shares, skin.triangles).reshape(-1, 3)
    normals = np.repeat(skin.face_normals, 12, 0)
    points = points[np.linalg.norm(points - nose, axis=1) < 0.15][::4]
    if not len(points):
        return -np.inf
    far, index = cKDTree(cloud).query(points)
    above = ((points - cloud[index]) * normals[index]).sum(1)
    return float(-np.where(np.abs(above) > 0.6 * far, above, far).min())  # else beside an edge


@pytest.mark.parametrize("kind", KINDS[1:])
def test_occluders_touch_the_skin_and_leave_the_face_visible(head, scenes, kind):
    for scene in scenes:
        params, vertices = scene
        meshes = worn(head, scene, kind)
        for mesh in meshes:
            assert mesh.class_name == "occluder"
            assert np.isfinite(mesh.vertices).all() and mesh.faces.max() < len(mesh.vertices)
            assert mesh.albedo.min() > 0 and mesh.albedo.max() <= 1
        near = [
            m.vertices for m in meshes if kind == "object" or m.material != "cloth"
        ]  # sleeves meet shoulders
        assert deepest(head, vertices, np.concatenate(near)) < 0.003
        covered = share_covered(head, params, vertices, meshes)
        assert covered < (SHARE[1] + 0.05 if kind == "object" else 0.6)
        if kind == "object":  # its outline is taken as convex when it is placed, so it may cover less
            assert covered > 0.2 * SHARE[0]


def share_covered(head, params, vertices, meshes) -> float:
    """Of the face's pixels, by the rasterizer."""
    size = params.camera.size
    bare = rasterize(project(vertices, params.camera), head.faces, *size).face_index
    points, faces = joined([(vertices, head.faces), *((m.vertices, m.faces) for m in meshes)])
    drawn = rasterize(project(points, params.camera), faces.astype(np.int32), *size).face_index
    marks = head.landmarks(vertices)
    middle = marks[[28, 30, 33]].mean(0)
    near = np.linalg.norm(vertices - middle, axis=1) < 1.15 * np.linalg.norm(marks[8] - middle)
    face = (bare >= 0) & near[head.faces[bare]].all(-1)
    return float((face & (drawn >= len(head.faces))).sum() / face.sum())


def test_objects_come_from_beyond_the_image(head, scenes):
    for scene in scenes:
        points = np.concatenate([m.vertices for m in worn(head, scene, "object")])
        pixels = project(points, scene[0].camera)[:, :2]
        assert ((pixels < 0) | (pixels > scene[0].camera.size[0])).any()


def test_same_stream_same_bytes_and_nothing_without_the_word(head, scenes):
    assert (*KINDS, "hair") == ATTRIBUTES["occluder"].words  # hair is grown elsewhere
    assert worn(head, scenes[0], "hair") == []
    assert worn(head, scenes[0], "none") == []
    first, second = worn(head, scenes[0], "cup"), worn(head, scenes[0], "cup")
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.vertices, b.vertices) and np.array_equal(a.albedo, b.albedo)
    other = worn(head, scenes[0], "cup", seed=2)
    assert not np.array_equal(first[0].vertices, other[0].vertices)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_hands_of_both_sides_are_closed_and_face_outwards(head, scenes, seed):
    (flesh,) = (m for m in worn(head, scenes[0], "hand", seed) if m.material == "flesh")
    skin = trimesh.Trimesh(flesh.vertices, flesh.faces, process=False)
    edges = flesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    there, back = (np.sort(e @ [len(flesh.vertices), 1]) for e in (edges, edges[:, ::-1]))
    assert np.array_equal(there, back)  # every edge is gone both ways: closed, even where fingers touch
    assert 300e-6 < skin.volume < 700e-6  # m3; a hand is about 400 ml, and 7 cm of arm


def test_surface_net_of_a_ball():
    grid = np.stack(np.meshgrid(*[np.arange(24.0)] * 3, indexing="ij"), -1)
    points, faces = surface_net(np.linalg.norm(grid - [11.3, 12.1, 11.8], axis=-1) - 8.0)
    ball = trimesh.Trimesh(points, faces, process=False)
    assert ball.is_watertight and ball.euler_number == 2
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.03)
    assert np.abs(np.linalg.norm(points - [11.3, 12.1, 11.8], axis=1) - 8).max() < 0.3


def test_straight_hand_has_the_lengths_of_a_hand():
    joints, _ = finger_joints(np.zeros(6))
    tips = np.linalg.norm(joints[1:, 3], axis=1) + 0.007
    assert tips.argmax() == 1 and tips[1] == pytest.approx(0.19, abs=0.006)  # the middle finger
    (skin, *_) = hand(
        np.zeros(6), Rotation.identity(), np.full(3, 0.3), np.full(3, 0.3), np.random.default_rng(0)
    )
    assert np.ptp(joints[1:, 0, 0]) + 0.02 == pytest.approx(0.08, abs=0.005)  # breadth at the knuckles
    far = cKDTree(skin.vertices).query(outline(np.zeros(6), Rotation.identity()))[0]
    assert far.max() < 0.03  # the quick outline is the same hand


def test_fingers_close_on_what_they_hold():
    def around(radius):
        return lambda p: np.hypot(p[:, 1] - 0.075, p[:, 2] + 0.0135 + radius) - radius

    limits = np.append(np.ones(5), 0.5)
    thin, thick = (close(limits, around(r)) for r in (0.012, 0.04))
    assert (thin[1:5] > thick[1:5]).all() and (thick[1:5] > 0.1).all()
    assert np.array_equal(close(limits, lambda p: np.ones(len(p)))[:5], np.ones(5))  # nothing there: a fist
