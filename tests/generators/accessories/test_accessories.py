"""Hats, masks, earrings, headphones: nothing pokes through, hair stays under, labels tell the truth."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from synthforge.annotate import annotate
from synthforge.attributes import ATTRIBUTES
from synthforge.conventions import CLASS_ID
from synthforge.generators.accessories import clothes
from synthforge.generators.accessories.facewear import put_on_mask
from synthforge.generators.accessories.headphones import put_on_headphones
from synthforge.generators.accessories.headwear import put_on_hat
from synthforge.generators.accessories.jewellery import hang_earrings
from synthforge.generators.geometry.accessory import with_accessories
from synthforge.generators.geometry.meshes import joined
from synthforge.generators.geometry.person import Person, outer_faces
from synthforge.generators.hair.scalp import grow_hair
from synthforge.generators.occluders.placing import occlude
from synthforge.generators.raster.backend import RasterGenerator
from synthforge.generators.shading.light import Lamp, lamp_shadow
from synthforge.heads import load_head
from synthforge.heads.anatomy import BRAINCASE, NECK_HEIGHT
from synthforge.render.interpolate import vertex_normals
from synthforge.types import Render
from tests.annotate.scenes import head_vertices, posed, view
from tests.helpers.tiny_head import tiny_head

HATS = [word for word in ATTRIBUTES["headwear"].words if word != "none"]
MASKS = [word for word in ATTRIBUTES["facewear"].words if word != "none"]
HEADS = ("tiny", "anthro", "ict")
OPEN = {"anthro": {"jawOpen": 0.9}, "ict": {"jawOpen": 0.9}, "tiny": {"mouthPucker": 1.0}}
TURN = {"neck": (0.15, 0.35, -0.1)}
A_HAIR = 0.0004  # m that skin may come through


@pytest.fixture(scope="module", params=HEADS)
def named_head(request):
    if request.param == "tiny":
        return "tiny", tiny_head()
    return request.param, request.getfixturevalue(f"{request.param}_head")


def person_of(head, turn=None, shape=0.0, **expression) -> Person:
    params, _ = posed(head, view(64), turn, **expression)
    params = replace(params, shape=np.full(head.n_shape, shape, np.float32))
    return Person(head, params, head_vertices(head, params))


def looking(person: Person, seed: int = 0, **attributes) -> Person:
    return replace(person, params=replace(person.params, seed=seed, attributes=attributes))


def put_on(person: Person, kind: str, seed: int, hair: str = "short"):
    """Accessories, and what hair has to stay under."""
    if kind in HATS:
        return put_on_hat(looking(person, seed, headwear=kind, hair_style=hair))
    return put_on_mask(looking(person, seed, facewear=kind))


def furthest(points: np.ndarray, faces: np.ndarray, origin: np.ndarray, toward: np.ndarray) -> np.ndarray:
    """Distance of the last hit of each ray, 0 without one, by an outside ray caster."""
    mesh = trimesh.Trimesh(points, faces, process=False)
    away = toward - origin
    away = away / np.linalg.norm(away, axis=1, keepdims=True)
    hits, ray, _ = mesh.ray.intersects_location(np.tile(origin, (len(away), 1)), away, multiple_hits=True)
    out = np.zeros(len(away))
    np.maximum.at(out, ray, np.linalg.norm(hits - origin, axis=1))
    return out


@pytest.mark.parametrize("kind", HATS + MASKS)
def test_no_skin_comes_through(named_head, kind):
    name, head = named_head
    for seed, shape, expression in ((1, 0.0, {}), (2, 0.3, OPEN[name])):
        on = person_of(head, TURN, shape, **expression)
        (cloth, *_), (cover, *_) = put_on(on, kind, seed)
        middle = cover.centre
        mine = head.faces[outer_faces(head, ears=kind in ("hood", "headscarf", "beanie"))]
        if kind in (*MASKS, "hood", "headscarf"):  # shoulders have the shirt over them, see `dress`
            mine = mine[head.canonical[mine, 1].min(1) > NECK_HEIGHT]
        skin = np.concatenate([on.head_vertices[np.unique(mine)], on.head_vertices[mine].mean(1)])[::3]
        reach = furthest(on.to_head(cloth.vertices), cloth.faces, middle, skin)
        covered = reach > 0
        assert covered.sum() > 100
        through = np.linalg.norm(skin - middle, axis=1)[covered] - reach[covered]
        assert through.max() < A_HAIR, (seed, through.max(), skin[covered][through.argmax()])


@pytest.mark.parametrize("garment", ["shirt", "roll_neck", "hoodie"])
def test_no_neck_comes_through_a_collar(garment, monkeypatch):
    monkeypatch.setattr(clothes, "GARMENTS", {garment: 1.0})
    head = load_head("anthro")
    for seed, turn, shape in ((0, None, 0.0), (1, TURN, 0.5), (2, {"neck": (-0.2, -0.4, 0.1)}, -0.5)):
        on = person_of(head, turn, shape)
        sheet, collar, *_ = clothes.dress(looking(on, seed))
        middle = np.array([0.0, -0.105, -0.020]) + on.rest_shift
        outside = np.unique(head.faces[outer_faces(head, ears=False)])
        _, y, z = head.canonical[outside].T
        skin = on.vertices[outside[y + 1.2 * np.maximum(z, 0) < -0.065]].astype(float)  # not the chin
        skin = skin[np.abs(skin[:, 1] - middle[1]) < 0.04]
        reach = furthest(collar.vertices, collar.faces, middle, skin)
        behind = reach > 0
        assert behind.sum() > 50
        assert (np.linalg.norm(skin - middle, axis=1)[behind] - reach[behind]).max() < A_HAIR


def test_no_shirt_comes_through_a_jacket(monkeypatch):
    monkeypatch.setattr(clothes, "GARMENTS", {"jacket": 1.0})
    head, chest = load_head("anthro"), np.array([0.0, -0.20, -0.025])
    for seed, shape in ((0, 0.0), (1, 0.5), (2, -0.5)):
        outer, _, inner, _ = clothes.dress(looking(person_of(head, None, shape), seed))
        aside = (inner.vertices[:, 1] > -0.35) & (np.abs(inner.vertices[:, 0]) > 0.03)  # of the turned-in hem
        points = inner.vertices[aside].astype(float)
        reach = furthest(outer.vertices, outer.faces, chest, points)
        assert (reach > 0).mean() > 0.4
        assert (np.linalg.norm(points - chest, axis=1) < reach)[reach > 0].all()


@pytest.mark.parametrize("kind, style", [("cap", "short"), ("beanie", "afro"), ("brim", "long")])
def test_hair_stays_under_a_hat(kind, style):
    head = load_head("anthro")
    on = person_of(head)
    (crown, *_), covers = put_on(on, kind, 3, style)
    strands = grow_hair(looking(on, hair_style=style, headwear=kind), covers)[-1]
    points = strands.vertices[::5].astype(float)
    reach = furthest(crown.vertices, crown.faces, BRAINCASE, points)
    out = (reach > 0) & (np.linalg.norm(points - BRAINCASE, axis=1) > reach)
    assert out.mean() < 0.002
    assert len(strands.faces) > 1000  # what hangs out below is still there


def test_scarf_hides_hair_and_ears():
    head = load_head("anthro")
    on = person_of(head)
    scarf, covers = put_on(on, "headscarf", 0)
    assert grow_hair(looking(on, hair_style="long", headwear="headscarf"), covers) == []
    for azimuth in (0.0, 0.9, -1.3):
        camera = view(128, azimuth)
        frame = labelled(head, replace(on.params, camera=camera), on.vertices, scarf)
        assert not np.isin(frame.segmentation, [CLASS_ID[c] for c in ("left_ear", "right_ear")]).any()


def labelled(head, params, vertices, meshes):
    mesh = with_accessories(head.mesh(vertices), meshes)
    image = np.zeros((*params.camera.size, 3), np.uint8)
    return annotate(Render(image, vertices, mesh), params, head, vertices)


@pytest.mark.parametrize(
    "attribute, word, name",
    [("headwear", w, "headwear") for w in HATS]
    + [("facewear", w, "facewear") for w in MASKS]
    + [("earrings", w, "earring") for w in ("stud", "hoop", "drop")]
    + [("headphones", "over_ear", "headwear")],
)
def test_every_word_renders_with_its_class(named_head, attribute, word, name):
    _, head = named_head
    params, vertices = posed(head, view(256 if attribute == "earrings" else 96, azimuth=0.4))
    bald = {"hair_style": "bald", "background": "plain", "noise": 0.0, "blur": 0.0}
    params = replace(params, attributes=bald | {attribute: word})
    generator = RasterGenerator(supersample=1)
    frame = annotate(generator.render(head, params, vertices), params, head, vertices)
    without = replace(params, attributes=bald)
    bare = annotate(generator.render(head, without, vertices), without, head, vertices)
    mine = frame.segmentation == CLASS_ID[name]
    assert mine.any() and not (bare.segmentation == CLASS_ID[name]).any()
    assert np.array_equal(frame.segmentation_bare, bare.segmentation_bare)
    assert (frame.segmentation[~mine & (frame.depth == bare.depth)] != CLASS_ID[name]).all()
    if name == "headwear":
        soft = frame.soft_masks["headwear"] / 255.0
        assert (soft[mine] > 0.3).all() and abs(soft.sum() - mine.sum()) < 0.05 * mine.sum() + 12
    else:
        assert not frame.soft_masks["headwear"].any()


@pytest.mark.parametrize("kind", MASKS)
def test_mask_hides_mouth_and_nose_and_not_the_eyes(kind):
    head = load_head("anthro")
    for expression in ({}, {"jawOpen": 0.8}):
        on = person_of(head, None, 0.0, **expression)
        params = replace(on.params, camera=view(128))
        frame = labelled(head, params, on.vertices, put_on(on, kind, 5)[0])
        assert (frame.landmarks_visible[30:36] == 1).all() and (frame.landmarks_visible[48:] == 1).all()
        assert (frame.landmarks_visible[36:48] == 2).all() and frame.landmarks_visible[8] == 1


@pytest.mark.parametrize("kind", [*HATS, *MASKS, "over_ear", "hand", "cup", "phone"])
def test_landmarks_behind_what_is_worn_are_occluded_and_no_others(kind):
    """By an outside ray caster: lines of sight to a landmark and to places two pixels around it."""
    head = load_head("anthro")
    on, hidden = person_of(head, TURN), 0
    seed = 6 if kind == "hand" else 7  # at which it hides landmarks
    for azimuth in (-0.5, 0.6):
        params = replace(on.params, camera=view(192, azimuth))
        if kind in HATS + MASKS:
            meshes, _ = put_on(on, kind, seed)
        elif kind == "over_ear":
            meshes, _ = put_on_headphones(looking(on, seed, headphones=kind))
        else:
            meshes = occlude(looking(on, seed, occluder=kind))
        bare = labelled(head, params, on.vertices, []).landmarks_visible
        worn = labelled(head, params, on.vertices, meshes).landmarks_visible
        before = lines_cut(meshes, params.camera, head.landmarks(on.vertices))
        behind, clear = before.all(1) & (bare > 0), ~before.any(1)
        assert (worn[behind] == 1).all() and np.array_equal(worn[clear], bare[clear])
        hidden += (behind & (bare == 2)).sum()
    assert kind in ("beanie", "over_ear") or hidden >= 3


def lines_cut(meshes, camera, points: np.ndarray) -> np.ndarray:
    """Whether meshes come between the camera and each of 9 places 2 pixels around points, n 9."""
    eye, right, down = camera.cam2world[:3, 3], camera.cam2world[:3, 0], camera.cam2world[:3, 1]
    pixel = np.linalg.norm(points - eye, axis=1)[:, None, None] / camera.intrinsics[0, 0]
    steps = np.array([[i, j] for i in (-2, 0, 2) for j in (-2, 0, 2)]) @ np.stack([right, down])
    away = (points[:, None] + pixel * steps - eye).reshape(-1, 3)
    far = np.linalg.norm(away, axis=1)
    mesh = trimesh.Trimesh(*joined((m.vertices, m.faces) for m in meshes), process=False)
    hits, ray, _ = mesh.ray.intersects_location(np.tile(eye, (len(away), 1)), away, multiple_hits=True)
    cut = np.zeros(len(away), bool)
    cut[ray[np.linalg.norm(hits - eye, axis=1) < far[ray] - 0.001]] = True
    return cut.reshape(len(points), 9)


def test_brim_shades_the_eyes():
    head = load_head("anthro")
    on = person_of(head)
    lamp = Lamp(np.array([0.0, 0.8, 0.6], np.float32), np.ones(3, np.float32), 0.002)
    normals = vertex_normals(on.vertices, head.faces)
    eyes = np.flatnonzero(np.linalg.norm(on.vertices - head.landmarks(on.vertices)[[40]], axis=1) < 0.012)
    lit = []
    caps = (put_on(on, "cap", seed)[0] for seed in range(9))
    ahead = next(cap for cap in caps if cap[1].vertices[:, 2].mean() > 0)  # some are worn backwards
    for meshes in ([], ahead, put_on(on, "brim", 1)[0]):
        mesh = with_accessories(head.mesh(on.vertices), meshes)
        lit.append(lamp_shadow(mesh, on.vertices[eyes], normals[eyes], lamp).mean())
    assert lit[0] > 0.3 and max(lit[1:]) < 0.3 * lit[0]


@pytest.mark.parametrize("make", ["earrings", "headphones", *HATS, *MASKS])
def test_same_stream_same_things(make):
    person = person_of(tiny_head())

    def made(seed):
        if make == "earrings":
            return hang_earrings(looking(person, seed, earrings="drop"))
        if make == "headphones":
            return put_on_headphones(looking(person, seed, headphones="over_ear"))[0]
        return put_on(person, make, seed)[0]

    first, again, other = made(1), made(1), made(2)
    assert all(
        np.array_equal(a.vertices, b.vertices) and np.array_equal(a.albedo, b.albedo)
        for a, b in zip(first, again, strict=True)
    )
    assert not all(
        np.array_equal(a.vertices, b.vertices) and np.array_equal(a.albedo, b.albedo)
        for a, b in zip(first, other, strict=False)
    )


def test_earrings_hang_plumb_from_the_lobes():
    head = load_head("anthro")
    on = person_of(head, {"neck": (0.0, 0.0, 0.3)})
    for seed in range(3):
        left, right = np.array_split(hang_earrings(looking(on, seed, earrings="drop")), 2)
        for bead, _, pendant in (left, right):
            below = bead.vertices.mean(0) - pendant.vertices.mean(0)
            assert below[1] > 0.008 and np.hypot(below[0], below[2]) < 0.001
        lobes = on.to_world(on.skin_at(np.array([[70.0, -22, -3], [-70, -22, -3]])))
        for (bead, *_), lobe in ((left, lobes[0]), (right, lobes[1])):
            assert np.linalg.norm(bead.vertices.mean(0) - lobe) < 0.006
