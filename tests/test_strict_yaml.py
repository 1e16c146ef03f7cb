"""The package's YAML: what looks like a number is one, what is unclear is refused, nothing blows up."""

import math
import subprocess
import sys
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synthforge.errors import ConfigError
from synthforge.strict_yaml import parse, to_text

RANGE = range(1, 60)
SPECIAL = ["no", "on", "1e5", "010", "null", "<<"]
words = st.text("abcxyzeE0123456789+-._:~ ", max_size=8) | st.sampled_from(SPECIAL)
plains = st.recursive(
    st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.booleans() | st.none() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
)


@given(plains)
def test_what_is_written_reads_back_here_and_elsewhere(plain):
    text = to_text(plain)
    assert parse(text, "x") == plain
    assert yaml.safe_load(text) == plain


@given(st.floats(1e-12, 1e12), st.sampled_from(["{:e}", "{:E}", "{:.3e}", "{!r}", "{:.4g}", "{:g}"]))
def test_every_usual_spelling_of_a_number_is_that_number(value, form):
    text = form.format(value)
    if text.replace(".", "").lstrip("0").startswith("e"):
        return
    read_back = parse(text, "x")
    assert isinstance(read_back, int | float) and read_back == float(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("-.5", -0.5), ("5.", 5.0), ("1e3", 1000.0), ("+3", 3)],
)
def test_numbers(text, value):
    assert parse(text, "x") == value


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "2020-01-01", "300w", "1.2.3", "12-14", "25%"])
def test_words_stay_words(text):
    assert parse(text, "x") == text


@given(st.integers(1, 9999).map(lambda n: f"0{n}") | st.integers(0, 999).map(hex))
def test_other_bases_are_refused(text):
    with pytest.raises(ConfigError, match="two ways"):
        parse(text, "x")


@pytest.mark.parametrize("text", ["010", "0x10", "0o17", "0b1", "1_000", "1:30", "-1:30:00", "00", "01.5"])
@pytest.mark.parametrize("form", ["{}", "seed: {}", "a: [1, {}]", "{}: 1"])
def test_unclear_numbers_are_refused_in_one_line(text, form):
    with pytest.raises(ConfigError) as error:
        parse(form.format(text), "file.yaml")
    message = str(error.value)
    assert message.startswith(f"file.yaml: {text} can be read in two ways") and "\n" not in message
    assert parse(form.format(f'"{text}"'), "x") is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2", "line 2: key 'a' is given twice"),
        ("{1: a, 1.0: b}", "given twice"),
        ("{? [a]: b}", "a key must be"),
        ("a: 1e999", "1e999 is no number"),
        ("9" * 400, "is no number"),
        ("!!int 010", "010 is no number"),
        ("!!python/object:os.system {}", "tag"),
        ("&a [*a]", "nested more than 100"),
        ("[" * 200 + "]" * 200, "nested more than 100"),
        ("[" * 9000 + "]" * 9000, "nest"),
        ("a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in RANGE), "values"),
        ("a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in RANGE), "val"),
    ],
)
def test_hostile_or_broken_texts_end_in_one_line_at_once(text, told):
    start = time.process_time()
    with pytest.raises(ConfigError) as error:
        parse(text, "x")
    assert time.process_time() - start < 1
    assert told in str(error.value) and "\n" not in str(error.value)


def test_many_keys_are_read_fast(tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text("".join(f"key_{i}: {i}.5\n" for i in range(30_000)))
    code = f"""
import time
from pathlib import Path
from synthforge.strict_yaml import read
start = time.process_time()
data = read(Path({str(path)!r}))
print(len(data), data["key_7"], time.process_time() - start)
"""  # a process of its own: here every call is checked at run time
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    n, value, seconds = done.stdout.split()
    assert (n, value) == ("30000", "7.5") and float(seconds) < 1


def test_special_numbers():
    assert parse("[.inf, -.inf]", "x") == [math.inf, -math.inf] and math.isnan(parse(".nan", "x"))
