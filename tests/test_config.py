"""Strict configuration: everything wrong is named, everything right survives a round trip."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.config import (
    all_keys,
    config_path,
    find_key,
    from_dict,
    laid_over,
    load_config,
    to_dict,
)
from synthforge.errors import ConfigError
from synthforge.provenance import config_sha256


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    n: int = 1
    flag: bool = False
    codec: Literal["jpeg", "png"] = "jpeg"
    folder: Path | None = None
    inner: Inner = field(default_factory=Inner)
    table: dict[str, float] = field(default_factory=dict)


outers = st.builds(
    Outer,
    n=st.integers(-9, 9),
    flag=st.booleans(),
    codec=st.sampled_from(["jpeg", "png"]),
    folder=st.sampled_from([None, Path("a/b")]),
    inner=st.builds(Inner, rate=st.floats(-1e6, 1e6), names=st.lists(st.text("ab", min_size=1)).map(tuple)),
    table=st.dictionaries(st.text("xyz", min_size=1, max_size=3), st.floats(-1, 1), max_size=3),
)


@settings(deadline=None, max_examples=50)
@given(outers)
def test_yaml_round_trip(config):
    plain = yaml.safe_load(yaml.safe_dump(to_dict(config)))
    again = from_dict(Outer, plain, "x")
    assert again == config
    assert config_sha256(again) == config_sha256(config)


def test_overrides_reach_nested_keys(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("n: 3\ninner: {rate: 2}\n")
    config = load_config(Outer, path, ["inner.names=[a, b]", "n=4"])
    assert config == Outer(n=4, inner=Inner(rate=2.0, names=("a", "b")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nn: 1", ["unknown key 'nn'", "n, flag, codec"]),
        ("n: 1.5", ["n", "expected a whole number", "1.5"]),
        ("n: true", ["n", "expected a whole number", "True"]),
        ("flag: 1", ["flag", "expected true or false", "1"]),
        ("codec: gif", ["codec", "'gif'", "jpeg, png"]),
        ("inner: 3", ["inner", "keys and values"]),
        ("inner: {rates: 3}", ["inner", "unknown key 'rates'", "rate, names"]),
        ("inner: {rate: fast}", ["rate", "expected a number", "'fast'"]),
        ("[1, 2]", ["expected keys and values"]),
        ("a: [", ["not valid YAML"]),
        ("n: 1\nn: 2", ["'n' is given twice"]),
    ],
)
def test_errors_name_file_key_and_value(tmp_path, text, told):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(Outer, path)
    message = str(error.value)
    assert "broken.yaml" in message and "\n" not in message
    for part in told:
        assert part in message


def test_unknown_configuration_lists_the_known_ones():
    with pytest.raises(ConfigError, match="default, .*paper"):
        config_path("generate", "papr")


@pytest.mark.parametrize("override", ["n", "=3", "inner.rate=[", "n.x=3"])
def test_bad_override(tmp_path, override):
    path = tmp_path / "c.yaml"
    path.write_text("n: 3\n")
    with pytest.raises(ConfigError, match="--set"):
        load_config(Outer, path, [override])


def test_a_whole_number_may_be_written_with_an_exponent(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("n: 1e5\n")
    assert load_config(Outer, path, ["inner.rate=1e-4"]) == Outer(n=100_000, inner=Inner(rate=1e-4))


class Scale(float):
    """A value that reads itself, from a number or `{times: x}`."""

    @classmethod
    def from_plain(cls, plain, where):
        return cls(plain["times"] if isinstance(plain, dict) else plain)

    def to_plain(self):
        return float(self)


@dataclass(frozen=True)
class Leaf:
    x: int = 0
    scale: Scale = Scale(1)


@dataclass(frozen=True)
class Tree:
    top: int = 0
    left: Leaf = field(default_factory=Leaf)
    right: Leaf | None = None
    table: dict[str, Scale] = field(default_factory=dict, metadata={"known": ("age", "sex")})
    leaves: dict[str, Leaf] = field(default_factory=dict)
    row: tuple[int, ...] = ()


scales = st.integers(-3, 3) | st.fixed_dictionaries({"times": st.integers(-3, 3)})
leaf_plains = st.fixed_dictionaries({}, optional={"x": st.integers(-3, 3), "scale": scales})
tree_plains = st.fixed_dictionaries(
    {},
    optional={
        "top": st.integers(-3, 3),
        "left": leaf_plains,
        "right": st.none() | leaf_plains,
        "table": st.dictionaries(st.sampled_from(["age", "sex", "more"]), scales),
        "leaves": st.dictionaries(st.sampled_from(["a", "b"]), leaf_plains),
        "row": st.lists(st.integers(0, 3), max_size=3),
    },
)


KEYS = "keys"  # stands for a mapping that is merged


def values(plain, prefix=()):
    """Path -> what a merge takes whole, or KEYS."""
    sections = {(), ("left",), ("right",), ("table",), ("leaves",)}
    if isinstance(plain, dict) and (prefix in sections or prefix[:1] == ("leaves",) and len(prefix) == 2):
        inner = [values(value, (*prefix, key)) for key, value in plain.items()]
        return {prefix: KEYS} | {path: value for part in inner for path, value in part.items()}
    return {prefix: plain}


@settings(deadline=None)
@given(tree_plains, tree_plains)
def test_a_merge_takes_each_value_from_above_or_else_from_below(below, above):
    merged = laid_over(Tree, below, above)
    from_dict(Tree, merged, "x")
    expected = values(below)
    for path, value in values(above).items():
        if value is not KEYS or expected.get(path) is not KEYS:
            expected = {p: v for p, v in expected.items() if p[: len(path)] != path}
        expected[path] = value
    assert values(merged) == expected
    assert laid_over(Tree, merged, above) == merged and laid_over(Tree, below, {}) == below
    assert laid_over(Tree, {}, above) == above


def test_a_merge_keeps_the_order_of_the_base():
    below = {"table": {"sex": 1, "age": {"times": 2}, "more": 3}}
    merged = laid_over(Tree, below, {"table": {"new": 4, "age": 5}})
    assert list(merged["table"].items()) == [("sex", 1), ("age", 5), ("more", 3), ("new", 4)]


def test_null_takes_an_entry_of_the_base_out():
    below = {"table": {"sex": 1, "age": 2}, "left": {"x": 3}}
    above = {"table": {"sex": None, "new": None}, "left": {"x": None}}
    assert laid_over(Tree, below, above) == {"table": {"age": 2}, "left": {"x": None}}


@settings(deadline=None)
@given(tree_plains, st.data())
def test_short_names_find_the_one_key_that_ends_in_them(plain, data):
    keys = list(dict.fromkeys(all_keys(Tree, plain)))
    parts = data.draw(st.sampled_from(keys)).split(".")
    short = ".".join(parts[data.draw(st.integers(0, len(parts) - 1)) :])
    ending = [key for key in keys if key == short or key.endswith(f".{short}")]
    if short in keys or len(ending) == 1:
        found = find_key(Tree, plain, short)
        assert found == (short if short in keys else ending[0])
    else:
        with pytest.raises(ConfigError) as error:
            find_key(Tree, plain, short)
        assert all(key in str(error.value) for key in ending)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("x=3", ["'x' may be any of left.x, right.x, leaves.a.x"]),
        ("tpo=3", ["unknown key 'tpo'", "did you mean 'top'?"]),
        ("agee=3", ["did you mean 'table.age'?"]),
        ("left.y=3", ["unknown key 'left.y'"]),
        ("nothing.like.it=3", ["unknown key", "known keys: top, left"]),
        ("row.0=3", ["unknown key"]),
        ("top=010", ["--set top: 010 can be read in two ways"]),
    ],
)
def test_keys_that_are_not_found(tmp_path, override, told):
    path = tmp_path / "c.yaml"
    path.write_text("leaves: {a: {x: 1}}\n")
    with pytest.raises(ConfigError) as error:
        load_config(Tree, path, [override])
    for part in ["--set", *told]:
        assert part in str(error.value)


def test_short_names_set_known_new_and_inner_keys(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("table: {sex: {times: 2}}\n")
    found = load_config(
        Tree, path, ["age=4", "table.new=5", "table.sex.times=6", "left.scale=7", "right.x=8"]
    )
    assert found.table == {"sex": 6, "age": 4, "new": 5}
    assert found.left.scale == 7 and found.right.x == 8


def test_setting_one_of_two_aliases_leaves_the_other(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("left: &leaf {x: 1}\nright: *leaf\n")
    found = load_config(Tree, path, ["left.x=2"])
    assert (found.left.x, found.right.x) == (2, 1)


def test_bases_chain_and_names_are_relative_to_their_file(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "c.yaml").write_text("top: 1\nleft: {x: 1, scale: 4}\n")
    (tmp_path / "deep" / "b.yaml").write_text("base: ../c.yaml\nleft: {x: 2}\n")
    (tmp_path / "a.yaml").write_text("base: deep/b.yaml\ntop: 3\n")
    assert load_config(Tree, tmp_path / "a.yaml") == Tree(top=3, left=Leaf(x=2, scale=Scale(4)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base: a.yaml", ["a.yaml: base", "a.yaml -> a.yaml"]),
        ("base: b.yaml", ["a.yaml -> b.yaml -> a.yaml"]),
        ("base: 3", ["expected the name", "3"]),
        ("base: [b.yaml]", ["expected the name"]),
        ("base: absent", ["no such file or name: 'absent'"]),
        ("base: broken.yaml", ["broken.yaml", "unknown key 'tpo'", "did you mean 'top'"]),
    ],
)
def test_wrong_bases_end_in_one_line(tmp_path, text, told):
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    (tmp_path / "broken.yaml").write_text("tpo: 3")
    with pytest.raises(ConfigError) as error:
        load_config(Tree, tmp_path / "a.yaml")
    assert "\n" not in str(error.value)
    for part in told:
        assert part in str(error.value)
