"""Draws follow the named laws (scipy.stats is the reference); impossible ones are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthforge.errors import ConfigError
from synthforge.scene.distributions import Distribution


def read(plain):
    return Distribution.from_plain(plain, "key")


@pytest.mark.parametrize(
    ("plain", "law"),
    [
        ({"uniform": [-2, 3]}, stats.uniform(-2, 5)),
        ({"normal": [1, 2]}, stats.norm(1, 2)),
        ({"truncated_normal": [0, 1, -0.5, 2]}, stats.truncnorm(-0.5, 2)),
        ({"truncated_normal": [10, 4, 0, 12]}, stats.truncnorm(-2.5, 0.5, 10, 4)),
    ],
)
def test_numbers_follow_their_law(plain, law):
    draws = read(plain).sample(np.random.default_rng(0), {}, 4000)
    assert stats.kstest(draws, law.cdf).pvalue > 1e-3


def test_words_follow_their_probabilities():
    rng = np.random.default_rng(0)
    distribution = read({"categorical": {"a": 1, "b": 3, "c": 0}})
    draws = [distribution.sample(rng, {}) for _ in range(4000)]
    assert draws.count("c") == 0
    assert stats.binomtest(draws.count("b"), 4000, 0.75).pvalue > 1e-3


def test_given_depends_on_what_was_drawn():
    d = read({"given": {"sex": {"female": "none", "male": {"categorical": {"full": 1}}}}})
    rng = np.random.default_rng(0)
    assert d.sample(rng, {"sex": "female"}) == "none" and d.sample(rng, {"sex": "male"}) == "full"
    assert d.values == ["none", "full"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=5, unique=True), st.floats(0, 100))
def test_given_a_number_takes_the_band_it_lies_in(bounds, age):
    d = read({"given": {"age": {bound: float(bound) for bound in bounds}}})
    want = max((b for b in bounds if b <= age), default=min(bounds))
    assert d.sample(np.random.default_rng(0), {"age": age}) == want
    assert read(d.to_plain()) == d


@settings(deadline=None, max_examples=60)
@given(st.floats(-50, 50), st.floats(0.01, 30), st.floats(-40, 40), st.floats(0, 40), st.integers(0, 99))
def test_truncated_normal_stays_inside(mean, std, low, width, seed):
    try:
        d = read({"truncated_normal": [mean, std, low, low + width]})
    except ConfigError:
        assert stats.norm(mean, std).cdf(low + width) - stats.norm(mean, std).cdf(low) < 1e-5
        return
    draws = d.sample(np.random.default_rng(seed), {}, 50)
    assert np.isfinite(draws).all() and draws.min() >= low and draws.max() <= low + width


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        ({"uniform": [3, 1]}, "above high"),
        ({"uniform": [1]}, r"\[low, high\]"),
        ({"normal": [0, -1]}, "negative"),
        ({"normal": [0, "a"]}, r"\[mean, std\]"),
        ({"normal": [0, float("nan")]}, r"\[mean, std\]"),
        ({"truncated_normal": [0, 1, 40, 50]}, "holds nothing"),
        ({"categorical": {"a": -1}}, "negative"),
        ({"categorical": {}}, "probability"),
        ({"gaussian": [0, 1]}, "known distributions: constant, uniform, normal"),
        ({"mixture": []}, "probability"),
        ({"mixture": [{"weight": 1, "of": "smile"}]}, "mixes numbers only"),
        ({"mixture": [{"weight": -1, "of": 1}]}, "negative"),
        ({"mixture": {"weight": 1}}, r"expected \[\{weight"),
        ([1, 2], "expected a number"),
        (None, "expected a number"),
        (True, "expected a number"),
    ],
)
def test_refused(plain, told):
    with pytest.raises(ConfigError, match=told) as error:
        read(plain)
    assert str(error.value).startswith("key")


@pytest.mark.parametrize(
    "plain",
    [3, "day", {"uniform": [0, 1]}, {"categorical": {"a": 0.2, "b": 0.8}},
     {"given": {"sex": {"f": 0, "m": {"normal": [0, 1]}}}}],
)  # fmt: skip
def test_plain_form_round_trips(plain):
    assert read(read(plain).to_plain()) == read(plain)


def test_mixture_is_its_parts_by_weight():
    parts = [{"weight": 3, "of": {"uniform": [0, 1]}}, {"weight": 1, "of": {"normal": [5, 0.1]}}]
    d, rng = read({"mixture": parts}), np.random.default_rng(0)
    draws = np.append(d.sample(rng, {}, 3000), [d.sample(rng, {}) for _ in range(1000)])
    high = draws > 2
    assert stats.binomtest(int(high.sum()), 4000, 0.25).pvalue > 1e-3
    assert stats.kstest(draws[~high], stats.uniform(0, 1).cdf).pvalue > 1e-3
    assert stats.kstest(draws[high], stats.norm(5, 0.1).cdf).pvalue > 1e-3
    assert d.range == (-np.inf, np.inf) and d.values is None and read(d.to_plain()) == d
    assert read({"mixture": [parts[0], {"weight": 0, "of": 9}]}).range == (0, 1)


def test_a_redrawn_word_follows_the_new_distribution_and_stays_as_often_as_it_can():
    old, new = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.2, "b": 0.3, "d": 0.5}
    plain = {"given": {"age": {0: {"categorical": old}, 50: {"categorical": new}}}}
    hair, rng = Distribution.from_plain(plain, "hair"), np.random.default_rng(0)
    before = [hair.sample(rng, {"age": 20.0}) for _ in range(20_000)]
    after = [hair.redrawn(word, {"age": 20.0}, {"age": 60.0}, rng) for word in before]
    for word, share in (new | {"c": 0.0}).items():
        assert after.count(word) / len(after) == pytest.approx(share, abs=0.012)
    stayed = sum(a == b for a, b in zip(before, after, strict=True)) / len(after)
    assert stayed == pytest.approx(sum(min(old[w], new.get(w, 0)) for w in old), abs=0.012)
    assert all(hair.redrawn(word, {"age": 20.0}, {"age": 49.0}, rng) == word for word in old)
