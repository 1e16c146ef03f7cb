"""Identity axes, expression shapes and rig of the embedded head against published anthropometry."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synthforge.heads.anthro import ASSET

SPREAD = json.loads((Path(__file__).parents[2] / "scripts" / "anthro" / "spread.json").read_text())
ARKIT_SINGLE = """browInnerUp cheekPuff jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel
    mouthLeft mouthPucker mouthRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper
    tongueOut""".split()
ARKIT_PAIRED = """browDown browOuterUp cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp
    eyeSquint eyeWide mouthDimple mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch
    mouthUpperUp noseSneer""".split()
MIRROR = np.array([-1.0, 1.0, 1.0])
GLOBES = ("left_eyeball", "right_eyeball")


class Rig:
    """The shipped arrays, in double precision, with the named points."""

    def __init__(self):
        with np.load(ASSET) as data:
            self.arrays = {k: v.astype(float) if v.dtype.kind == "f" else v for k, v in data.items()}
        self.vertices, self.faces = self.arrays["vertices"], self.arrays["faces"]
        self.shapes = dict(
            zip(map(str, self.arrays["shape_names"]), self.arrays["shape_deltas"], strict=True)
        )
        names = map(str, self.arrays["expression_names"])
        self.expressions = dict(zip(names, self.arrays["expression_deltas"], strict=True))
        self.point_names = [str(n) for n in self.arrays["point_names"]]
        parts = [str(n) for n in self.arrays["part_names"]]
        self.part = {n: np.unique(self.faces[self.arrays["face_part"] == k]) for k, n in enumerate(parts)}

    def points(self, vertices: np.ndarray) -> dict[str, np.ndarray]:
        corner = vertices[self.faces[self.arrays["point_face"]]]
        places = (corner * self.arrays["point_barycentric"][..., None]).sum(1)
        out = dict(zip(self.point_names, places, strict=True))
        out["globe"] = vertices[self.part["left_eyeball"]].mean(0)
        return out

    def globe(self, side: str) -> tuple[np.ndarray, np.ndarray]:
        """Centre and vertices of an eyeball."""
        return self.arrays["joints"][3 + (side == "right")], self.vertices[self.part[f"{side}_eyeball"]]


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig()


def measures(p: dict[str, np.ndarray]) -> dict[str, float]:
    """Published head measures (mm) between named points."""

    def far(a, b):
        return np.linalg.norm(p[a] - p[b])

    out = {
        "eu_eu": 2 * p["euryon"][0],
        "g_op": far("glabella", "opisthocranion"),
        "t_v": p["vertex"][1] - p["tragion"][1],
        "zy_zy": 2 * p["zygion"][0],
        "se_me": far("sellion", "menton"),
        "ipd": 2 * p["globe"][0],
        "ear_len": far("superaurale", "subaurale"),
        "neck_w": 2 * p["neck_lateral"][0],
        "go_go": 2 * p["gonion"][0],
        "n_sn": far("nasion", "subnasale"),
        "sn_prn": far("subnasale", "pronasale"),
        "al_al": 2 * p["alare"][0],
        "ch_ch": 2 * p["cheilion"][0],
        "ls_sto": far("labiale_superius", "stomion"),
        "sto_li": far("stomion", "labiale_inferius"),
        "sl_gn": far("sublabiale", "menton"),
    }
    return {k: 1e3 * v for k, v in out.items()}


@pytest.fixture(scope="module")
def drawn(rig) -> dict[str, np.ndarray]:
    """Measures of 600 drawn heads of one sex, body mass and age with them."""
    names = list(rig.shapes)
    z = np.random.default_rng(5).standard_normal((600, len(names)))
    coefficients = z @ rig.arrays["shape_cholesky"].T
    coefficients[:, names.index("sex")] = 0
    rows = np.unique(np.concatenate([rig.faces[rig.arrays["point_face"]].ravel(), rig.part["left_eyeball"]]))
    small = rig.arrays["shape_deltas"][:, rows]
    table = []
    for c in coefficients:
        vertices = rig.vertices.copy()
        vertices[rows] += np.tensordot(c, small, 1)
        table.append(measures(rig.points(vertices)))
    out = {k: np.array([t[k] for t in table]) for k in table[0]}
    return out | {k: coefficients[:, names.index(k)] for k in ("body_mass", "age")}


def test_names_are_arkits(rig):
    wanted = {*ARKIT_SINGLE, *(f"{n}_{s}" for n in ARKIT_PAIRED for s in "LR")}
    assert set(rig.expressions) == wanted and len(wanted) == 52
    assert len(rig.shapes) >= 30


def test_weights_are_a_partition(rig):
    weights = rig.arrays["weights"]
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    for k, part in enumerate(GLOBES):
        assert (weights[rig.part[part], 3 + k] == 1).all()
        others = np.setdiff1d(np.arange(len(weights)), rig.part[part])
        assert (weights[others, 3 + k] == 0).all()
    lowest = rig.vertices[:, 1] < rig.vertices[:, 1].min() + 0.01
    assert (weights[lowest, 0] == 1).all(), "the shoulders turn with the head"


def test_globes_stay_rigid(rig):
    for part in GLOBES:
        for name, delta in rig.shapes.items():
            assert np.ptp(delta[rig.part[part]], axis=0).max() == 0, name
        for name, delta in rig.expressions.items():
            assert not np.any(delta[rig.part[part]]), name


def test_eye_joints_follow_the_globes(rig):
    for name, move in zip(rig.shapes, rig.arrays["joint_shape_deltas"], strict=True):
        for k, part in enumerate(GLOBES):
            np.testing.assert_allclose(
                move[3 + k], rig.shapes[name][rig.part[part]][0], atol=5e-6, err_msg=name
            )


def test_sides_mirror_each_other(rig):
    distance, partner = cKDTree(rig.vertices).query(rig.vertices * MIRROR)
    exact = distance < 1e-7
    assert exact.mean() > 0.99
    for name, delta in rig.expressions.items():
        other = name[:-1] + {"L": "R", "R": "L"}[name[-1]] if name[-2:] in ("_L", "_R") else name
        other = other.replace("Left", "#").replace("Right", "Left").replace("#", "Right")
        mirrored = (rig.expressions[other][partner] * MIRROR)[exact]
        np.testing.assert_allclose(delta[exact], mirrored, atol=6e-6, err_msg=name)
    for name, delta in rig.shapes.items():
        if not name.startswith("asymmetry"):
            np.testing.assert_allclose(
                delta[exact], (delta[partner] * MIRROR)[exact], atol=6e-6, err_msg=name
            )


@pytest.mark.parametrize("measure", [m for m in SPREAD["sd"] if m not in ("ear_prot", "en_ex")])
def test_spread_of_drawn_heads(drawn, measure):
    published = np.mean(SPREAD["sd"][measure])
    assert drawn[measure].std() == pytest.approx(published, rel=0.2)


def test_correlations_of_drawn_heads(drawn):
    names = [n for n in SPREAD["names"] if n in drawn]
    rows = [SPREAD["names"].index(n) for n in names]
    published = np.array(SPREAD["correlation"])[np.ix_(rows, rows)]
    got = np.corrcoef([drawn[n] for n in names])
    assert np.abs(got - published).max() < 0.15


def test_asymmetry_is_that_of_people(rig):
    """Published mean deviation of one half from the other's mirror image: 0.96 mm, SD 0.52 (Chou 2019)."""
    face = (rig.vertices[:, 2] > 0.03) & (rig.vertices[:, 1] > -0.1) & (rig.vertices[:, 1] < 0.06)
    axes = np.array([d for n, d in rig.shapes.items() if n.startswith("asymmetry")])
    deviation = 2 * np.sqrt((axes[:, face] ** 2).sum(-1).sum(0).mean()) * 1e3
    assert 0.7 < deviation < 1.2
    assert len(axes) >= 4


# Shape, point, direction, range in mm: what people reach at full effort (clinical ranges of movement).
MOVES = [
    ("browInnerUp", "brow_head_up", (0, 1, 0), (5, 8)),
    ("browInnerUp", "brow_mid_up", (0, 1, 0), (3, 5)),
    ("browOuterUp_L", "brow_peak_up", (0, 1, 0), (6, 10)),
    ("browOuterUp_L", "brow_tail", (0, 1, 0), (4, 6)),
    ("browDown_L", "brow_head_up", (0, -1, 0), (4, 6)),
    ("browDown_L", "brow_head_up", (-1, 0, 0), (2.5, 4)),
    ("eyeBlink_L", "palpebrale_sup", (0, -1, 0), (7.5, 11)),
    ("eyeWide_L", "palpebrale_sup", (0, 1, 0), (1.6, 3)),
    ("eyeSquint_L", "palpebrale_inf", (0, 1, 0), (1.6, 3)),
    ("eyeLookDown_L", "palpebrale_sup", (0, -1, 0), (5, 8)),
    ("eyeLookUp_L", "palpebrale_sup", (0, 1, 0), (2.5, 5)),
    ("cheekSquint_L", "zygoma_front", (0, 1, 0), (3, 5)),
    ("cheekPuff", "buccal_hollow", (1, 0, 0), (7, 14)),
    ("noseSneer_L", "alare", (0, 1, 0), (3, 5)),
    ("mouthSmile_L", "cheilion", (1, 0, 0), (5.5, 8)),
    ("mouthSmile_L", "cheilion", (0, 1, 0), (5.5, 9)),
    ("mouthSmile_L", "cheilion", (0, 0, -1), (4.5, 9)),
    ("mouthFrown_L", "cheilion", (0, -1, 0), (4, 7)),
    ("mouthPucker", "cheilion", (-1, 0, 0), (9, 14)),
    ("mouthUpperUp_L", "upper_verm_lat", (0, 1, 0), (4.5, 8)),
    ("mouthLowerDown_L", "lower_verm_lat", (0, -1, 0), (4.5, 8)),
    ("mouthShrugLower", "pogonion", (0, 1, 0), (5, 8)),
    ("mouthLeft", "labiale_superius", (1, 0, 0), (8, 12)),
    ("jawForward", "pogonion", (0, 0, 1), (5, 9)),
    ("jawLeft", "menton", (1, 0, 0), (7, 11)),
    ("jawOpen", "lower_incisor_edge", (0, -1, 0), (30, 45)),
]


@pytest.mark.parametrize(
    ("name", "point", "way", "span"), MOVES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_moves_are_those_of_people(rig, name, point, way, span):
    before, after = rig.points(rig.vertices), rig.points(rig.vertices + rig.expressions[name])
    travel = 1e3 * (after[point] - before[point]) @ np.array(way)
    assert span[0] <= travel <= span[1]


def test_blink_shuts(rig):
    """At weight 1 the lids meet along the fissure, but for its corners."""
    vertices = rig.vertices + rig.expressions["eyeBlink_L"]
    loop = rig.arrays["loop_lid_margin_left"]
    rest, shut = rig.vertices[loop], vertices[loop]
    corner = rest[:, 0].argmax()
    upper, lower = slice(0, corner + 1), slice(corner, None)
    x = np.linspace(*np.interp([0.2, 0.85], [0, 1], [rest[0, 0], rest[corner, 0]]), 20)

    def height(row):
        order = np.argsort(row[:, 0])
        return np.interp(x, row[order, 0], row[order, 1])

    gap = height(shut[upper]) - height(shut[lower])
    assert (height(rest[upper]) - height(rest[lower])).max() > 8e-3
    assert gap.max() < 0.5e-3


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("name", ["eyeBlink_L", "eyeLookDown_L", "eyeSquint_L", "eyeWide_L", "eyeLookUp_L"])
def test_lids_keep_off_the_globe(rig, name, weight):
    """The outer edge of the lids sinks no deeper into the eyeball than at rest, within 0.1 mm."""
    centre, globe = rig.globe("left")
    out = globe - centre
    radius = np.linalg.norm(out, axis=1)
    order = np.argsort(np.arccos(np.clip(out[:, 2] / radius, -1, 1)))
    angle = np.arccos(np.clip(out[:, 2] / radius, -1, 1))[order]

    def clearance(p):
        r = np.linalg.norm(p, axis=1)
        return r - np.interp(np.arccos(p[:, 2] / r), angle, radius[order])

    loop = rig.arrays["loop_lid_margin_left"]
    rest = rig.vertices[loop] - centre
    moved = rest + weight * rig.expressions[name][loop]
    allowed = np.minimum(clearance(rest), 0.3e-3) - 0.1e-3
    assert (clearance(moved) >= allowed).all()


def test_lids_wrap_the_globe_of_every_identity(rig):
    """Three standard deviations of any axis leave the lid edges on the globe within 0.6 mm."""
    for side, part in zip(("left", "right"), GLOBES, strict=True):
        centre, _ = rig.globe(side)
        loop = rig.arrays[f"loop_lid_margin_{side}"]
        near = np.linalg.norm(rig.vertices[loop] - centre, axis=1) < 13.4e-3
        loop = loop[near]
        rest = np.linalg.norm(rig.vertices[loop] - centre, axis=1)
        for name, delta in rig.shapes.items():
            for k in (-3, 3):
                moved = rig.vertices[loop] + k * delta[loop] - centre - k * delta[rig.part[part][0]]
                change = np.linalg.norm(moved, axis=1) - rest
                assert change.min() > -0.15e-3 and change.max() < 0.6e-3, (name, k)


def test_jaw_open_keeps_the_chin_arc(rig):
    """Tragion - gonion - menton - gonion - tragion keeps its length within 8 % while the jaw opens."""

    def arc(vertices):
        p = rig.points(vertices)
        stations = [p["tragion"], p["gonion"], p["jaw_mid_body"], p["prejowl"], p["menton"]]
        return sum(np.linalg.norm(a - b) for a, b in zip(stations, stations[1:], strict=False))

    rest = arc(rig.vertices)
    for weight in (0.5, 1.0):
        assert arc(rig.vertices + weight * rig.expressions["jawOpen"]) == pytest.approx(rest, rel=0.08)


def test_mouth_close_seals_the_open_jaw(rig):
    """jawOpen and mouthClose together bring the lips' edges back to within 1.5 mm of each other."""
    vertices = rig.vertices + rig.expressions["jawOpen"] + rig.expressions["mouthClose"]
    upper, lower = (rig.arrays[f"loop_stomion_{s}"] for s in ("upper", "lower"))
    opened = rig.vertices + rig.expressions["jawOpen"]
    assert np.linalg.norm(opened[upper] - opened[lower], axis=1).max() > 25e-3
    assert np.linalg.norm(vertices[upper] - vertices[lower], axis=1).max() < 1.5e-3


def test_upper_teeth_stay_and_lower_teeth_go_with_the_jaw(rig):
    """The mandible with its teeth moves rigidly: distances between its teeth stay."""
    for name, delta in rig.expressions.items():
        assert not np.any(delta[rig.part["upper_teeth"]]), name
    teeth = rig.vertices[rig.part["lower_teeth"]]
    moved = teeth + rig.expressions["jawOpen"][rig.part["lower_teeth"]]
    pairs = np.random.default_rng(0).integers(len(teeth), size=(200, 2))
    before = np.linalg.norm(teeth[pairs[:, 0]] - teeth[pairs[:, 1]], axis=1)
    after = np.linalg.norm(moved[pairs[:, 0]] - moved[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(after, before, atol=0.1e-3)
