"""Strict configuration: everything wrong is named, everything right survives a round trip."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.config import config_path, from_dict, load_config, to_dict
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
        ("n: 1.5", ["n", "expected int", "1.5"]),
        ("n: true", ["n", "expected int", "True"]),
        ("flag: 1", ["flag", "expected bool", "1"]),
        ("codec: gif", ["codec", "'gif'", "jpeg, png"]),
        ("inner: 3", ["inner", "keys and values"]),
        ("inner: {rates: 3}", ["inner", "unknown key 'rates'", "rate, names"]),
        ("inner: {rate: fast}", ["rate", "expected float", "'fast'"]),
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
