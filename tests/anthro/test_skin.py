"""The skin of the embedded head: symmetry, manifoldness, texture charts, anthropometry."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from scripts.anthro import skin as skin_module
from scripts.anthro.skin import build_skin
from synthforge.conventions import CLASS_ID

TABLE = json.loads((Path(skin_module.__file__).parent / "points.json").read_text())
MEN = {k: np.array(v["men"]) for k, v in TABLE.items()}
WOMEN = {k: np.array(v["women"]) for k, v in TABLE.items()}
GLOBE = 11.7  # mm, the eyeball the lids must close on
LOST = -1


@pytest.fixture(scope="session")
def result():
    return build_skin()


@pytest.fixture(scope="session")
def mm(result):
    return result.part.vertices * 1000


def mirrored_index(vertices):
    """Index of each vertex's mirror image, LOST where there is none bit for bit."""
    place = {tuple(p): k for k, p in enumerate(vertices.tolist())}
    return np.array([place.get((-x if x else 0.0, y, z), LOST) for x, y, z in vertices.tolist()])


def border_edges(faces):
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return unique[count == 1], count


def test_size_is_within_the_budget(result):
    assert 9_000 <= len(result.part.vertices) <= 14_000


def test_vertices_mirror_exactly(result):
    assert (mirrored_index(result.part.vertices) != LOST).all()


def test_sex_delta_mirrors(result):
    image = mirrored_index(result.part.vertices)
    np.testing.assert_allclose(result.sex_delta[image] * [-1, 1, 1], result.sex_delta, atol=1e-12)


def test_faces_mirror_with_left_and_right_swapped(result):
    p = result.part
    image = mirrored_index(p.vertices)
    swap = {CLASS_ID["left_ear"]: CLASS_ID["right_ear"], CLASS_ID["right_ear"]: CLASS_ID["left_ear"]}
    here = {(*sorted(f), c) for f, c in zip(p.faces.tolist(), p.face_class.tolist(), strict=True)}
    there = {
        (*sorted(image[f].tolist()), swap.get(c, c))
        for f, c in zip(p.faces, p.face_class.tolist(), strict=True)
    }
    assert here == there


def test_surface_is_an_oriented_manifold_open_only_at_the_shoulders(result, mm):
    faces = result.part.faces
    border, count = border_edges(faces)
    assert set(count) == {1, 2}
    assert mm[border][..., 1].max() < -180  # every free edge lies on the shoulder cut
    directed = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    assert len(np.unique(directed, axis=0)) == len(directed)
    starts, degree = np.unique(border, return_counts=True)
    assert (degree == 2).all()  # closed loops
    euler = len(mm) - len(np.unique(np.sort(directed, axis=1), axis=0)) + len(faces)
    assert euler == 1 and len(starts) == len(border)  # one disc: no handle, no second hole


def test_every_vertex_is_used_and_no_triangle_vanishes(result, mm):
    faces = result.part.faces
    assert np.array_equal(np.unique(faces), np.arange(len(mm)))
    a, b, c = mm[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    assert area.min() > 1e-5


def test_faces_look_outwards(result, mm):
    """The closed-up head has the volume of a head and shoulders cut, counted positive."""
    faces = result.part.faces
    a, b, c = mm[faces].transpose(1, 0, 2) - [0, -220, 0]
    litres = (a * np.cross(b, c)).sum() / 6 / 1e6
    assert 4.5 < litres < 12


def test_texture_charts_are_injective(result, rng_points=40_000):
    p = result.part
    assert p.uv.min() >= 0 and p.uv.max() <= 1
    a, b, c = p.uv[p.face_uvs].transpose(1, 0, 2)
    area = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    assert area.min() > 0  # nothing folded over
    # sample points, uniformly by area, and count how many triangles strictly hold each
    rng = np.random.default_rng(3)
    tri = rng.choice(len(area), 3000, p=area / area.sum())
    w = rng.dirichlet([2, 2, 2], len(tri))
    at = np.einsum("nk,nkd->nd", w, p.uv[p.face_uvs[tri]])
    hits = np.zeros(len(at), int)
    for k, q in enumerate(at):
        e = [
            (v - u)[:, 0] * (q[1] - u[:, 1]) - (v - u)[:, 1] * (q[0] - u[:, 0])
            for u, v in ((a, b), (b, c), (c, a))
        ]
        hits[k] = (np.minimum.reduce(e) > 1e-12).sum()
    assert (hits == 1).all()


def crossings(points, faces):
    """Pairs (edge, triangle) of a mesh that pierce each other without a shared vertex (Moeller 1997)."""
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    middle, half = points[edges].mean(1), np.linalg.norm(np.diff(points[edges], axis=1)[:, 0], axis=1) / 2
    centre = points[faces].mean(1)
    reach = np.linalg.norm(points[faces] - centre[:, None], axis=2).max(1)
    found = 0
    for low, high in ((0, 1.2), (1.2, 3), (3, 30)):  # triangles of like size, so the search balls stay tight
        some = np.flatnonzero((reach >= low) & (reach < high))
        near = cKDTree(centre[some]).query_ball_point(middle, half + high)
        edge = np.repeat(edges, [len(n) for n in near], axis=0)
        tri = faces[some[np.concatenate([np.array(n, int) for n in near])]]
        apart = ~(tri[:, :, None] == edge[:, None, :]).any((1, 2))
        (a, b, c), (p, q) = points[tri[apart]].transpose(1, 0, 2), points[edge[apart]].transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        slope = (normal * (q - p)).sum(1)
        t = ((a - p) * normal).sum(1) / np.where(np.abs(slope) < 1e-12, np.inf, slope)
        at = p + t[:, None] * (q - p)
        side = [(np.cross(w - v, at - v) * normal).sum(1) for v, w in ((a, b), (b, c), (c, a))]
        found += ((t > 1e-6) & (t < 1 - 1e-6) & (np.min(side, axis=0) > 1e-9 * (normal**2).sum(1))).sum()
    return found


@pytest.mark.parametrize("sign", [0, 1, -1])
def test_surface_does_not_cross_itself(result, mm, sign):
    assert crossings(mm + sign * 1000 * result.sex_delta, result.part.faces) == 0


def test_named_points_meet_the_survey_mean(result, mm):
    for name in TABLE:
        if name in result.points:
            want = (MEN[name] + WOMEN[name]) / 2
            assert np.linalg.norm(mm[result.points[name]] - want) < 2.0, name
            if want[0]:
                assert np.linalg.norm(mm[result.points[f"{name}_right"]] - want * [-1, 1, 1]) < 2.0, name


@pytest.mark.parametrize("sign, table", [(1, MEN), (-1, WOMEN)])
def test_sexes_meet_their_own_means(result, mm, sign, table):
    body = mm + sign * 1000 * result.sex_delta
    for name, index in result.points.items():
        if not name.endswith("_right"):
            assert np.linalg.norm(body[index] - table[name]) < 2.5, name


MEASURES = [  # name, ends, men mean and SD, women mean and SD (Farkas 1994, ANSUR II 2012, NIOSH 2003)
    ("head length", "glabella opisthocranion", 199.5, 7.0, 189.8, 7.5),
    ("head breadth", "euryon euryon_right", 154.3, 5.5, 147.8, 5.2),
    ("bizygomatic", "zygion zygion_right", 142.6, 6.2, 133.8, 5.6),
    ("bigonial", "gonion gonion_right", 116, 8.5, 106, 7.5),
    ("menton-sellion", "sellion menton", 122.6, 6.7, 113.1, 6.1),
    ("intercanthal", "endocanthion endocanthion_right", 33.3, 2.7, 31.8, 2.3),
    ("biocular", "exocanthion exocanthion_right", 91.2, 3.0, 87.8, 3.2),
    ("fissure height", "palpebrale_sup palpebrale_inf", 10.2, 1.1, 10.6, 1.1),
    ("nose breadth", "alare alare_right", 35.8, 3.2, 32.3, 3.0),
    ("nasal height", "nasion subnasale", 54.8, 3.3, 50.6, 3.1),
    ("nose protrusion", "subnasale pronasale", 20.3, 2.4, 19.5, 2.2),
    ("mouth width", "cheilion cheilion_right", 52.3, 4.0, 49, 3.8),
    ("philtrum length", "subnasale labiale_superius", 15, 2.3, 13.4, 2.0),
    ("philtrum width", "crista_philtri crista_philtri_right", 11.8, 1.8, 10.4, 1.6),
    ("ear length", "superaurale subaurale", 64.2, 4.5, 59.4, 3.9),
]


@pytest.mark.parametrize("name, ends, men, men_sd, women, women_sd", MEASURES)
def test_measures_within_one_sd(result, mm, name, ends, men, men_sd, women, women_sd):
    a, b = (result.points[e] for e in ends.split())
    for sign, mean, sd in ((1, men, men_sd), (-1, women, women_sd)):
        body = mm + sign * 1000 * result.sex_delta
        assert abs(np.linalg.norm(body[a] - body[b]) - mean) < sd


def test_lids_close_on_the_globe(result, mm):
    """The shelf reaches the eyeball all around and no lid skin dips into it."""
    centre = (MEN["eyeball_centre"] + WOMEN["eyeball_centre"]) / 2
    part = np.array(result.part.face_part)
    socket = np.unique(result.part.faces[part == "eye_socket"])
    skin = np.unique(result.part.faces[part == "skin"])
    radius = np.linalg.norm(mm - centre, axis=1)
    margin = result.loops["lid_margin_left"]
    assert radius[margin].min() > GLOBE + 1.0
    assert radius[skin].min() > GLOBE + 1.0
    left = socket[mm[socket, 0] > 0]
    inner = left[radius[left] < GLOBE]
    assert len(inner) == len(margin)  # one full ring of the shelf lies on the eyeball


def test_lips_are_two_and_touch(result, mm):
    upper, lower = result.loops["stomion_upper"], result.loops["stomion_lower"]
    assert len(upper) == len(lower) and upper[0] == lower[0] and upper[-1] == lower[-1]
    assert not set(upper[1:-1]) & set(lower[1:-1])
    assert np.linalg.norm(mm[upper] - mm[lower], axis=1).max() < 0.3
    assert (mm[upper, 0] == -mm[upper[::-1], 0]).all()
    for side, other in (("upper", "lower"), ("lower", "upper")):
        label = result.labels[f"{side}_lip"]
        own = np.unique(result.part.faces[result.part.face_class == CLASS_ID[f"{side}_lip"]])
        corners = set(upper[[0, -1]]) | set(result.points[n] for n in ("cheilion", "cheilion_right"))
        own = np.array(sorted(set(own) - corners))
        foreign = result.labels[f"{other}_lip"][own]
        assert label[result.loops[f"stomion_{side}"][1:-1]].min() == 1.0
        assert np.mean(foreign == 0.0) > 0.97


def test_mouth_bag_reaches_the_molars(result, mm):
    part = np.array(result.part.face_part)
    bag = mm[np.unique(result.part.faces[part == "mouth_bag"])]
    molar = (MEN["upper_first_molar"] + WOMEN["upper_first_molar"]) / 2
    assert bag[:, 2].min() < molar[2] - 10 and np.abs(bag[:, 0]).max() > molar[0] + 5


def test_loops_follow_edges(result):
    faces = result.part.faces
    edges = {tuple(e) for e in np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).tolist()}
    for name, loop in result.loops.items():
        steps = zip(loop, np.roll(loop, -1) if "margin" in name else loop[1:], strict=False)
        assert all(tuple(sorted((int(a), int(b)))) in edges for a, b in steps), name


def test_building_again_gives_the_same_bytes(result):
    again = build_skin()
    assert again.part.vertices.tobytes() == result.part.vertices.tobytes()
    assert again.part.faces.tobytes() == result.part.faces.tobytes()
    assert again.sex_delta.tobytes() == result.sex_delta.tobytes()
