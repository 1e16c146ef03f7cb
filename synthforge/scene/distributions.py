"""The vocabulary of the scene files: see `KINDS` below, and docs/distributions.md.

In YAML a plain number or word is a constant; otherwise one key names the distribution:
`{uniform: [-45, 45]}`, `{categorical: {day: 0.7, night: 0.3}}`,
`{mixture: [{weight: 0.8, of: {normal: [0, 10]}}, {weight: 0.2, of: {uniform: [45, 90]}}]}`,
`{given: {sex: {female: none, male: {categorical: {none: 0.6, full: 0.4}}}}}`, and of a number, by the least
of each band, `{given: {age: {0: 0.1, 50: {uniform: [0, 1]}}}}`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synthforge.errors import ConfigError

if TYPE_CHECKING:  # loads with the first draw: a configuration is checked without it
    import numpy

Value = float | str


@dataclass(frozen=True)
class Distribution:
    """One of `KINDS` with its numbers; build it with `from_plain`."""

    kind: str
    args: Any

    @classmethod
    def from_plain(cls, plain: Any, where: str) -> "Distribution":
        """Read the YAML form.

        Raises:
            ConfigError: naming the key, what was found and the known distributions.
        """
        if isinstance(plain, Distribution):
            return plain
        if isinstance(plain, bool) or plain is None or isinstance(plain, list):
            raise ConfigError(f"expected a number, a word or a distribution, got {plain!r}", where=where)
        if not isinstance(plain, dict):
            plain = {"constant": plain}
        if len(plain) != 1 or next(iter(plain)) not in KINDS:
            raise ConfigError(
                f"unknown distribution {', '.join(map(str, plain))!r}",
                where=where,
                fix=f"known distributions: {', '.join(KINDS)}",
            )
        kind, args = next(iter(plain.items()))
        return cls(kind, KINDS[kind](args, where))

    def to_plain(self) -> Any:
        if self.kind == "given":
            name, cases = self.args
            return {"given": {name: {value: case.to_plain() for value, case in cases.items()}}}
        if self.kind == "mixture":
            return {"mixture": [{"weight": weight, "of": part.to_plain()} for weight, part in self.args]}
        if self.kind == "constant":
            return self.args
        return {self.kind: dict(self.args) if self.kind == "categorical" else list(self.args)}

    def sample(self, rng: "numpy.random.Generator", drawn: dict[str, Value], size: int | None = None) -> Any:
        """A draw (or `size` independent ones as float64); `drawn` holds values for `given`."""
        import numpy as np

        match self.kind:
            case "constant":
                return self.args if size is None else np.full(size, self.args)
            case "uniform":
                return rng.uniform(*self.args, size)
            case "normal":
                return rng.normal(*self.args, size)
            case "truncated_normal":
                mean, std, low, high = self.args
                if std == 0:
                    return mean if size is None else np.full(size, mean)
                from scipy.special import ndtr, ndtri

                a, b = ndtr((low - mean) / std), ndtr((high - mean) / std)
                draw = mean + std * ndtri(rng.uniform(a, b, size))
                return np.clip(draw, low, high)
            case "categorical":
                names, weights = list(self.args), np.array(list(self.args.values()), float)
                return names[int(rng.choice(len(names), p=weights / weights.sum()))]
            case "mixture":
                weights, parts = (np.array([w for w, _ in self.args]), [part for _, part in self.args])
                which = rng.choice(len(parts), size, p=weights / weights.sum())
                if size is None:
                    return parts[int(which)].sample(rng, drawn)
                return np.choose(which, [part.sample(rng, drawn, size) for part in parts])
            case _:
                return self._leaf(drawn).sample(rng, drawn, size)

    def redrawn(
        self, value: Value, before: dict[str, Value], now: dict[str, Value], rng: "numpy.random.Generator"
    ) -> Value:
        """A draw given `now` in place of `value`, which was drawn given `before`: the same if it can be.

        A word stays with the largest probability with which both draws still follow their distributions.

        Source: maximal coupling (Lindvall 1992, "Lectures on the coupling method", ch. I.5).
        """
        old, new = self._leaf(before), self._leaf(now)
        if old == new:
            return value
        p, q = old._probabilities, new._probabilities
        if not p or not q:
            return new.sample(rng, now)
        if rng.random() * p[value] < q.get(value, 0.0):
            return value
        more = {word: max(q[word] - p.get(word, 0.0), 0.0) for word in q}
        return Distribution("categorical", more).sample(rng, now)

    def _leaf(self, drawn: dict[str, Value]) -> "Distribution":
        """What `given` comes down to."""
        if self.kind != "given":
            return self
        name, cases = self.args
        return _case(cases, drawn[name])._leaf(drawn)

    @property
    def _probabilities(self) -> dict[Value, float]:
        """Of each word; nothing for numbers."""
        words = {self.args: 1.0} if isinstance(self.args, str) else self.args
        return {w: v / sum(words.values()) for w, v in words.items()} if isinstance(words, dict) else {}

    @property
    def text(self) -> str:
        """In words, for people; what depends on much is only named."""
        match self.kind:
            case "constant":
                return f"always {_readable(self.args)}"
            case "uniform":
                return "evenly from {:g} to {:g}".format(*self.args)
            case "normal":
                return "about {:g}, give or take {:g}".format(*self.args)
            case "truncated_normal":
                return "about {:g}, give or take {:g}, within {:g} to {:g}".format(*self.args)
            case "categorical":
                total = sum(self.args.values())
                ranked = sorted(self.args.items(), key=lambda item: -item[1])
                return ", ".join(f"{word} {100 * weight / total:.3g} %" for word, weight in ranked if weight)
            case "mixture":
                total = sum(weight for weight, _ in self.args)
                return "; ".join(f"{100 * weight / total:.3g} %: {part.text}" for weight, part in self.args)
            case _:
                name, cases = self.args
                if len(self.references) > 1:
                    return f"depends on {', '.join(sorted(self.references))}"
                return f"by {name}: " + "; ".join(f"{case}: {part.text}" for case, part in cases.items())

    @property
    def values(self) -> list[str] | None:
        """Possible words in order, or None for a numeric distribution."""
        if self.kind == "categorical":
            return list(self.args)
        if self.kind == "constant":
            return [self.args] if isinstance(self.args, str) else None
        if self.kind == "given":
            parts = [case.values for case in self.args[1].values()]
            return None if any(p is None for p in parts) else list(dict.fromkeys(sum(parts, [])))
        return None

    @property
    def references(self) -> set[str]:
        """Attributes that `given` looks at."""
        if self.kind != "given":
            return set()
        name, cases = self.args
        return {name}.union(*(case.references for case in cases.values()))

    @property
    def range(self) -> tuple[float, float]:
        """Bounds of a numeric distribution; infinite for a normal."""
        match self.kind:
            case "constant":
                return float(self.args), float(self.args)
            case "uniform":
                return self.args[0], self.args[1]
            case "truncated_normal":
                return self.args[2], self.args[3]
            case "given":
                ranges = [case.range for case in self.args[1].values()]
                return min(r[0] for r in ranges), max(r[1] for r in ranges)
            case "mixture":
                ranges = [part.range for weight, part in self.args if weight > 0]
                return min(r[0] for r in ranges), max(r[1] for r in ranges)
            case _:
                return -math.inf, math.inf


@dataclass(frozen=True)
class Stream:
    """Random numbers of one stream, and the values that replace what is drawn from it."""

    rng: "numpy.random.Generator"
    fixed: Mapping[str, Any]

    def __call__(self, name: str, distribution: Distribution, size: int | None = None) -> Any:
        """The fixed value of that name, or a draw; the stream goes on in the same way after both."""
        drawn = distribution.sample(self.rng, {}, size)
        if name not in self.fixed:
            return drawn
        if size is None:
            return self.fixed[name]
        import numpy as np

        return np.full(size, float(self.fixed[name]))


def _readable(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _case(cases: dict[str, Distribution], drawn: Value) -> Distribution:
    """What stands under a word, or under the highest bound that a number reaches."""
    if isinstance(drawn, str):
        return cases[drawn]
    return cases[max((k for k in cases if float(k) <= drawn), key=float, default=min(cases, key=float))]


def _numbers(args: Any, where: str, form: str) -> tuple[float, ...]:
    n = form.count(",") + 1
    numeric = isinstance(args, list) and all(
        isinstance(a, int | float) and not isinstance(a, bool) and math.isfinite(a) for a in args
    )
    if not numeric or len(args) != n:
        raise ConfigError(f"expected {form}, got {args!r}", where=where)
    return tuple(float(a) for a in args)


def _constant(args: Any, where: str) -> Value:
    if isinstance(args, str):
        return args
    return _numbers([args], where, "a number")[0]


def _uniform(args: Any, where: str) -> tuple[float, ...]:
    low, high = _numbers(args, where, "[low, high]")
    if low > high:
        raise ConfigError(f"low {low:g} is above high {high:g}", where=where, fix="swap them")
    return low, high


def _normal(args: Any, where: str) -> tuple[float, ...]:
    mean, std = _numbers(args, where, "[mean, std]")
    if std < 0:
        raise ConfigError(f"standard deviation {std:g} is negative", where=where)
    return mean, std


def _normal_below(score: float) -> float:
    """Share of a standard normal below `score`."""
    return 0.5 * math.erfc(-score / math.sqrt(2))


def _truncated_normal(args: Any, where: str) -> tuple[float, ...]:
    mean, std, low, high = _numbers(args, where, "[mean, std, low, high]")
    _normal([mean, std], where)
    _uniform([low, high], where)
    if std > 0 and _normal_below((high - mean) / std) - _normal_below((low - mean) / std) < 1e-6:
        raise ConfigError(
            f"[{low:g}, {high:g}] holds nothing of a normal with mean {mean:g} and std {std:g}", where=where
        )
    if std == 0 and not low <= mean <= high:
        raise ConfigError(f"mean {mean:g} lies outside [{low:g}, {high:g}]", where=where)
    return mean, std, low, high


def _categorical(args: Any, where: str) -> dict[str, float]:
    if not isinstance(args, dict) or not args:
        raise ConfigError(f"expected {{name: probability, ...}}, got {args!r}", where=where)
    weights = {str(name): _numbers([w], where, "a probability")[0] for name, w in args.items()}
    if min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise ConfigError("probabilities must not be negative nor all zero", where=where)
    return weights


def _mixture(args: Any, where: str) -> list[tuple[float, Distribution]]:
    form = "[{weight: number, of: distribution}, ...]"
    keys = {"weight", "of"}
    if not isinstance(args, list) or not all(isinstance(a, dict) and set(a) == keys for a in args):
        raise ConfigError(f"expected {form}, got {args!r}", where=where)
    weights = _categorical({str(i): part["weight"] for i, part in enumerate(args)}, where).values()
    parts = [Distribution.from_plain(part["of"], where) for part in args]
    if any(part.values is not None for part in parts):
        raise ConfigError("mixes numbers only", where=where, fix="use categorical for words")
    if any(part.references for part in parts):
        raise ConfigError("`given` cannot stand in a mixture", where=where, fix="put the mixture into it")
    return list(zip(weights, parts, strict=True))


def _given(args: Any, where: str) -> tuple[str, dict[str, Distribution]]:
    if not isinstance(args, dict) or len(args) != 1 or not isinstance(next(iter(args.values())), dict):
        raise ConfigError("expected {attribute: {value: distribution, ...}}", where=where)
    name, plain = next(iter(args.items()))
    if not plain:
        raise ConfigError(
            f"no case for any value of {name}", where=where, fix="give {value: distribution, ...}"
        )
    cases = {
        str(value): Distribution.from_plain(case, f"{where}: {name}: {value}")
        for value, case in plain.items()
    }
    if len({case.values is None for case in cases.values()}) > 1:
        raise ConfigError(f"mixes words and numbers over the values of {name}", where=where)
    return str(name), cases


KINDS = {
    "constant": _constant,
    "uniform": _uniform,
    "normal": _normal,
    "truncated_normal": _truncated_normal,
    "mixture": _mixture,
    "categorical": _categorical,
    "given": _given,
}
