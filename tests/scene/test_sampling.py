"""Scenes are pure functions of (config, seed, index), and the cameras and poses say what they mean."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from synthforge.attributes import ATTRIBUTES, Attribute
from synthforge.cameras.project import project
from synthforge.config import config_path, from_dict, load_config
from synthforge.errors import ConfigError
from synthforge.heads.anthro import ASSET, NamedPoints, anthro_points
from synthforge.heads.measure import MEASURES, PROPORTIONS, measure
from synthforge.pipeline.config import GenerateConfig
from synthforge.scene.attributes import attribute_table
from synthforge.scene.config import SceneConfig
from synthforge.scene.expressions import EXPRESSIONS
from synthforge.scene.sampling import SceneSampler
from synthforge.scene.view import FACE_CENTRE
from tests.helpers.tiny_head import tiny_head


def scene(**keys):
    return from_dict(SceneConfig, keys, "scene")


def sampler(**keys):
    return SceneSampler(scene(**keys), tiny_head(), 128)


STILL = {"yaw_deg": 0, "pitch_deg": 0, "roll_deg": 0}


def test_same_index_same_scene_whatever_was_drawn_before():
    a, b = sampler(), sampler()
    for index in (5, 3, 4):
        a.sample(7, index)
    first, second = a.sample(7, 9), b.sample(7, 9)
    assert first.attributes == second.attributes
    for name in ("shape", "expression", "pose"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert np.array_equal(first.camera.cam2world, second.camera.cam2world)
    assert not np.array_equal(first.shape, a.sample(7, 10).shape)
    assert not np.array_equal(first.shape, a.sample(8, 9).shape)
    assert not np.array_equal(first.shape, a.sample(7, 9, attempt=1).shape)


def test_one_key_leaves_other_streams_alone():
    a, b = sampler(), sampler(camera={"roll_deg": 20})
    assert np.array_equal(a.sample(0, 1).shape, b.sample(0, 1).shape)
    assert np.array_equal(a.sample(0, 1).pose[1], b.sample(0, 1).pose[1])


def test_paper_configuration_has_the_papers_ranges():
    config = load_config(GenerateConfig, config_path("generate", "paper"))
    assert config.resolution == 512
    s = SceneSampler(config.scene, tiny_head(), 512)
    azimuth, elevation, fov = [], [], []
    for i in range(300):
        params = s.sample(0, i)
        at = (params.camera.cam2world[:3, 3] - [0, -0.01, -0.04]) / 0.4  # in the volume
        assert np.linalg.norm(at) == pytest.approx(2.7, abs=1e-5)
        azimuth.append(np.degrees(np.arctan2(at[0], at[2])))
        elevation.append(np.degrees(np.arcsin(at[1] / 2.7)))
        fov.append(np.degrees(2 * np.arctan(256 / params.camera.intrinsics[1, 1] / 0.707)))
        assert not params.pose.any()
    assert stats.kstest(azimuth, stats.uniform(-45, 90).cdf).pvalue > 1e-3
    assert stats.kstest(elevation, stats.uniform(-45, 90).cdf).pvalue > 1e-3
    assert stats.kstest(fov, stats.uniform(12, 15).cdf).pvalue > 1e-3
    for name in ("shape", "expression"):
        drawn = np.concatenate([getattr(s.sample(0, i), name) for i in range(300)])
        assert stats.kstest(drawn, stats.uniform(-2, 4).cdf).pvalue > 1e-3, name


def test_axes_beyond_the_given_number_are_zero():
    params = sampler(shape_axes=1, expression={"uniform": [1, 2]}, expression_axes=0).sample(0, 0)
    assert params.shape[0] != 0 and not params.shape[1:].any() and not params.expression.any()


@pytest.mark.parametrize(("per_identity", "per_expression"), [(6, 1), (6, 3), (2, 2)])
def test_views_share_a_person_and_an_expression(per_identity, per_expression):
    views = {"views_per_identity": per_identity, "views_per_expression": per_expression}
    s = SceneSampler(scene(**views, expression={"uniform": [0, 1]}), tiny_head(), 128, latent=8)
    drawn = [s.sample(3, i, attempt=i % 2) for i in range(12)]  # a redraw keeps what is shared
    for name, shared_by in (("shape", per_identity), ("latent", per_identity),
                            ("expression", per_expression), ("pose", per_expression)):  # fmt: skip
        values = [getattr(p, name).tobytes() for p in drawn]
        assert all(values[i] == values[i - i % shared_by] for i in range(12)), name
        assert len(set(values)) == 12 // shared_by, name
    assert len({str(sorted(p.attributes.items())) for p in drawn}) == 12 // per_identity
    assert len({p.camera.cam2world.tobytes() for p in drawn}) == 12


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ConfigError, match="4 does not divide views_per_identity, 6"):
        scene(views_per_identity=6, views_per_expression=4)
    with pytest.raises(ConfigError, match="eg3d needs a distance"):
        scene(camera={"convention": "eg3d"})
    with pytest.raises(ConfigError, match="has no expressions by name.*--config paper"):
        sampler(expression="smile")


def test_view_height_is_what_the_camera_sees():
    s = sampler(camera={"view_height": 0.4, "look_at_jitter": 0, "roll_deg": 0}, pose=STILL)
    camera = s.sample(0, 0).camera
    up = camera.cam2world[:3, 1]
    edge = project(FACE_CENTRE - 0.2 * up, camera)
    assert edge[1] == pytest.approx(0, abs=0.01) and edge[0] == pytest.approx(64, abs=0.01)


def test_head_turns_have_the_stated_signs():
    nose = np.array([0, 0, 0.1])
    neck = tiny_head().joint_names.index("neck")

    def turned(point, **pose):
        vector = sampler(pose=STILL | pose).sample(0, 0).pose[neck]
        return Rotation.from_rotvec(vector).apply(point)

    assert turned(nose, yaw_deg=30)[0] == pytest.approx(0.05)  # to the subject's left
    assert turned(nose, pitch_deg=30)[1] == pytest.approx(0.05)  # up
    assert turned([0, 0.1, 0], roll_deg=30)[0] == pytest.approx(0.05)  # towards the left shoulder


@pytest.mark.parametrize("azimuth", [-20, 0, 25])
def test_gaze_at_camera_points_at_it(azimuth):
    head = tiny_head()
    s = sampler(camera={"azimuth_deg": azimuth, "elevation_deg": 5, "look_at_jitter": 0},
                pose={"yaw_deg": 8, "gaze_at_camera": 1.0})  # fmt: skip
    params = s.sample(0, 0)
    pose = dict(zip(head.joint_names, params.pose, strict=True))
    turn = Rotation.from_rotvec(pose["neck"])
    neck = head.joints.numpy()[head.joint_names.index("neck")]
    eyes = head.joints.numpy()[[head.joint_names.index(n) for n in ("left_eye", "right_eye")]].mean(0)
    eyes = turn.apply(eyes - neck) + neck
    gaze = (turn * Rotation.from_rotvec(pose["left_eye"])).apply([0, 0, 1])
    wanted = params.camera.cam2world[:3, 3] - eyes
    assert gaze @ wanted / np.linalg.norm(wanted) > np.cos(np.radians(0.1))


def test_attributes_follow_the_configuration():
    s = sampler(attributes={
        "sex": {"categorical": {"female": 1, "male": 1}},
        "facial_hair": {
            "given": {"sex": {"female": "none", "male": {"categorical": {"none": 1, "full": 3}}}}
        },
        "skin_tone": {"uniform": [1, 10]},
    })  # fmt: skip
    draws = [s.sample(0, i).attributes for i in range(400)]
    men = [d for d in draws if d["sex"] == "male"]
    assert all(d["facial_hair"] == "none" for d in draws if d["sex"] == "female")
    assert stats.binomtest(sum(d["facial_hair"] == "full" for d in men), len(men), 0.75).pvalue > 1e-3


def test_ids_of_words_do_not_depend_on_the_configuration():
    beard = {"categorical": {"full": 1, "none": 1}}
    tone = {"given": {"complexion": {"pale": 1, "dark": {"uniform": [7, 9]}, "even": 4}}}
    complexion = {"categorical": {"pale": 1, "dark": 2, "even": 0}}
    smiling = {"categorical": {"smile": 1, "neutral": 1}}
    attributes = {"complexion": complexion, "facial_hair": beard, "skin_tone": tone}
    table = attribute_table(scene(attributes=attributes, expression=smiling))
    fixed = {"kind": "categorical", "words": list(ATTRIBUTES["facial_hair"].words)}
    for name, more in (("facial_hair", fixed), ("skin_tone", {"kind": "continuous", "range": [1.0, 9.0]})):
        assert table[name] == more | {"text": ATTRIBUTES[name].text}
    assert table["complexion"] == {"kind": "categorical", "words": ["dark", "even", "pale"]}
    assert table["expression"] == {"kind": "categorical", "words": list(EXPRESSIONS)}
    own = {"facial_hair": Attribute("facial_hair", "of a backend", "none", ("none", "full"))}
    assert attribute_table(scene(attributes={"facial_hair": beard}), own)["facial_hair"]["words"] == [
        "none", "full"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"camera": {"distanc": 1}}, "unknown key 'distanc'.*known keys: azimuth_deg"),
        ({"camera": {"distance": 1.0}}, "exactly one of distance and view_height"),
        ({"camera": {"field_of_view_deg": 0}}, "field_of_view_deg.*leaves the possible"),
        ({"camera": {"elevation_deg": {"uniform": [-95, 0]}}}, "elevation_deg.*leaves the possible"),
        ({"camera": {"roll_deg": "left"}}, "roll_deg.*expected numbers"),
        ({"expression": {"categorical": {"smirky": 1}}}, "unknown expression 'smirky'.*smile"),
        ({"attributes": {"a": {"given": {"b": {"x": 1}}}}}, "given 'b', which is not drawn before"),
        ({"attributes": {"b": {"categorical": {"x": 1, "y": 1}}, "a": {"given": {"b": {"x": 1}}}}},
         "no case for b = 'y'"),
        ({"attributes": {"b": 40, "a": {"given": {"b": {"x": 1}}}}}, "given 'b', which is a number"),
        ({"attributes": {"b": {"uniform": [16, 80]}, "a": {"given": {"b": {18: 1, 50: 2}}}}},
         "no case for b = 16"),
        ({"pose": {"gaze_at_camera": 1.5}}, "no share of people"),
        ({"expression": 0, "expression_intensity": 1}, "expression_intensity: is for expressions by name"),
        ({"expression": "smile", "expression_intensity": {"uniform": [0, 2]}}, "leaves the possible"),
        ({"camera": {"convention": "eg3d", "distance": 2.7, "view_height": None, "around": "head"}},
         "eg3d's cameras do not follow the head"),
        ({"camera": {"look_at_jitter": "much"}}, "look_at_jitter: expected numbers"),
        ({"camera": {"roll_deg": {"given": {"sex": {"male": 1, "female": 2}}}}}, "roll_deg: `given` is for"),
        ({"expression": {"given": {"sex": {"male": "smile", "female": "grin"}}}}, "expression: `given`"),
        ({"camera": {"lens": {"k4": 0.1}}}, "unknown coefficient 'k4'; use: k1, k2, p1, p2, k3"),
        ({"camera": {"lens": {"k1": {"normal": [0, 0.1]}}}}, "lens.k1: needs bounds"),
        ({"camera": {"lens": {"k1": {"uniform": [-0.9, 0]}}}}, "at a field of view of 40 degrees.*fold"),
        ({"attributes": {"sex": "male", "age": {"given": {"sex": {"male": 3, "female": "old"}}}}},
         "age: mixes words and numbers"),
    ],
)  # fmt: skip
def test_impossible_scenes_are_refused(keys, told):
    with pytest.raises(ConfigError, match=told):
        scene(**keys)


def test_scene_survives_yaml(tmp_path):
    import yaml

    from synthforge.config import to_dict

    config = load_config(GenerateConfig, config_path("generate", "default"))
    again = from_dict(GenerateConfig, yaml.safe_load(yaml.safe_dump(to_dict(config), sort_keys=False)), "x")
    assert again == config
    assert dataclasses.asdict(again.scene.camera) == dataclasses.asdict(config.scene.camera)
    assert list(again.scene.attributes) == list(config.scene.attributes)  # order decides `given`


@pytest.fixture(scope="module")
def thousand(anthro_head):
    """Sexes, shapes (n s) and measures of a thousand adults of the default configuration."""
    adults = ("scene.attributes.age={truncated_normal: [36, 17, 16, 80]}",)
    config = load_config(GenerateConfig, config_path("generate", "default"), adults)
    source, points = SceneSampler(config.scene, anthro_head, 128), NamedPoints(anthro_head)
    params = [source.sample(0, index) for index in range(1000)]
    shapes = np.stack([p.shape for p in params])
    return [p.attributes["sex"] for p in params], shapes, [measure(points.of(shape)) for shape in shapes]


def test_nobody_leaves_human_proportions(thousand):
    """The ratios' published limits hold for all; single measures keep within 5.5 published deviations."""
    sexes, _, values = thousand
    for (a, b), (low, high) in PROPORTIONS.items():
        ratio = np.array([v[a] / v[b] for v in values])
        assert low <= ratio.min() and ratio.max() <= high, (a, b)
    for m in MEASURES:
        norm = np.array([m.men if sex == "male" else m.women for sex in sexes])
        off = np.abs((np.array([v[m.name] for v in values]) - norm[:, 0]) / norm[:, 1])
        assert off.max() < 5.5, m.name
        assert np.mean(off < 2.33 * 1.1) > 0.92, m.name  # the central 98 per cent, a tenth wider


def test_children_have_short_faces(thousand, anthro_head):
    """At six the face has 80 % of an adult's height, the skull 90 % of its breadth (fact sheet of ages): the
    face is 0.89 times as high over the head's breadth; at twelve it is in between."""
    points = NamedPoints(anthro_head)
    adult = np.mean([v["n_gn"] / v["eu_eu"] for v in thousand[2]])
    shares = {}
    for age in (6, 12):
        config = load_config(
            GenerateConfig, config_path("generate", "default"), (f"scene.attributes.age={age}",)
        )
        source = SceneSampler(config.scene, anthro_head, 128)
        values = [measure(points.of(source.sample(0, index).shape)) for index in range(100)]
        shares[age] = np.mean([v["n_gn"] / v["eu_eu"] for v in values]) / adult
    assert shares[6] == pytest.approx(0.89, abs=0.03) and shares[6] + 0.02 < shares[12] < 0.99


def test_no_two_people_are_alike(thousand):
    _, shapes, _ = thousand
    nearest = cKDTree(shapes).query(shapes, k=2)[0][:, 1]
    assert nearest.min() > 1.0  # standard deviations over all axes together


def test_shut_lids_meet_on_everybody(thousand, anthro_head):
    """Whatever else the lids do, over the middle eight tenths of the fissure, at equal places aside."""
    _, shapes, _ = thousand
    shapes, names = torch.from_numpy(shapes[:150]), anthro_head.expression_names
    with np.load(ASSET) as data:
        loop = data["loop_lid_margin_left"]
    rest = anthro_head.vertices.numpy()[loop]
    outer = int(np.linalg.norm(rest - rest[0], axis=1).argmax())
    upper, lower = np.arange(outer + 1), np.r_[0, np.arange(len(loop) - 1, outer - 1, -1)]
    pose = torch.zeros(len(shapes), anthro_head.n_joints, 3)
    for also in ({}, {"eyeSquint_L": 0.7, "cheekSquint_L": 0.7}, {"eyeWide_L": 0.8}, {"eyeLookUp_L": 0.8}):
        weights = torch.zeros(len(shapes), anthro_head.n_expression)
        for name, weight in {"eyeBlink_L": 1.0, **also}.items():
            weights[:, names.index(name)] = weight
        with torch.no_grad():
            margins = anthro_head(shapes, weights, pose)[:, loop].numpy()
        eyes = anthro_head.joint_frames(shapes, pose)[1][:, anthro_head.joint_names.index("left_eye")].numpy()
        for ray in margins - eyes[:, None]:
            aside = ray[:, 0] / np.linalg.norm(ray, axis=1)
            height = np.arctan2(ray[:, 1], ray[:, 2]) * 12.5e-3
            at = np.interp(np.linspace(0.1, 0.9, 30), [0, 1], aside[[0, outer]])
            gap = np.interp(at, aside[upper], height[upper]) - np.interp(at, aside[lower], height[lower])
            assert gap.max() < 0.3e-3, also


def test_named_points_are_those_of_the_posed_head(thousand, anthro_head):
    shape = thousand[1][3]
    with torch.no_grad():
        vertices = anthro_head(
            torch.from_numpy(shape)[None],
            torch.zeros(1, anthro_head.n_expression),
            torch.zeros(1, anthro_head.n_joints, 3),
        )[0].numpy()
    here, there = NamedPoints(anthro_head).of(shape), anthro_points(vertices, anthro_head.faces)
    for name, point in there.items():
        np.testing.assert_allclose(here[name], point, atol=2e-6, err_msg=name)


FIXABLE = {
    "sex": {"categorical": {"female": 0.5, "male": 0.5}},
    "age": {"uniform": [20, 70]},
    "makeup": {"given": {"sex": {"female": {"uniform": [0, 1]}, "male": 0}}},
    "hair_color": {"given": {"age": {0: "black", 50: {"categorical": {"grey": 0.5, "white": 0.5}}}}},
    "noise": {"uniform": [0, 1]},
    "eyeglasses": {"categorical": {"none": 0.5, "clear": 0.5}},
}


@pytest.mark.parametrize("index", range(6))
def test_a_fixed_value_changes_what_is_given_it_and_nothing_else(index):
    s = sampler(attributes=FIXABLE, pose=STILL)
    own = s.sample(3, index)
    other = "male" if own.attributes["sex"] == "female" else "female"
    changed = s.sample(3, index, fixed={"sex": other})
    same = {name: value for name, value in own.attributes.items() if name not in ("sex", "makeup")}
    assert changed.attributes == {"sex": other, "makeup": changed.attributes["makeup"]} | same
    assert (changed.attributes["makeup"] == 0) == (other == "male")
    for name in ("expression", "pose"):
        assert np.array_equal(getattr(own, name), getattr(changed, name))
    old = s.sample(3, index, fixed={"age": 66.6, "blur": 0.5}).attributes
    assert old["age"] == float(np.float32(66.6)) and old["hair_color"] in ("grey", "white")
    assert old == own.attributes | {name: old[name] for name in ("age", "hair_color", "blur")}
    back = s.sample(3, index, fixed={"sex": own.attributes["sex"]})
    assert back.attributes == own.attributes and np.array_equal(back.shape, own.shape)


def test_a_fixed_angle_leaves_the_other_angles_alone():
    s = sampler()
    own, turned = s.sample(0, 5), s.sample(0, 5, fixed={"yaw_deg": 31.0, "azimuth_deg": -20.0})
    neck = s.head.joint_names.index("neck")
    before, after = (Rotation.from_rotvec(p.pose[neck]).as_euler("YXZ", degrees=True) for p in (own, turned))
    np.testing.assert_allclose(after, [31.0, *before[1:]], atol=1e-4)
    assert np.array_equal(own.camera.intrinsics, turned.camera.intrinsics)
    aim = turned.camera.cam2world[:3, 2]
    assert np.degrees(np.arctan2(-aim[0], -aim[2])) == pytest.approx(-20, abs=1e-3)


def test_a_fixed_distance_or_height_of_view_replaces_the_other():
    s, still = sampler(pose=STILL), {"field_of_view_deg": 20, "look_at_jitter": 0}
    for fixed, want in (({"distance": 1.5}, 1.5), ({"view_height": 0.4}, 0.2 / np.tan(np.radians(10)))):
        camera = s.sample(0, 2, fixed=still | fixed).camera
        got = np.linalg.norm(camera.cam2world[:3, 3] - FACE_CENTRE)
        assert got == pytest.approx(want, rel=1e-5)
    given = s.sample(0, 2, fixed={"camera": camera}).camera
    assert given is camera
