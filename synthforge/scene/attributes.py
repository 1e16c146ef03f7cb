"""Attributes of a configuration: which are known, which a backend draws, what data sets say of them."""

import math
from collections.abc import Mapping
from typing import Any

from synthforge.attributes import ATTRIBUTES, Attribute
from synthforge.errors import ConfigError, one_of
from synthforge.scene.config import SceneConfig, check_attribute
from synthforge.scene.distributions import Distribution
from synthforge.scene.expressions import EXPRESSIONS


def check_attributes(attributes: Mapping[str, Distribution], known: Mapping[str, Attribute]) -> None:
    """Refuse what would be stored as a label without being seen in any image.

    Attributes that are not known are allowed where another one is `given` them.

    Raises:
        ConfigError: naming the attribute, and what is known.
    """
    looked_at = set().union(*(d.references for d in attributes.values()))
    for name, distribution in attributes.items():
        where = f"scene: attributes: {name}"
        if name not in known:
            if name not in looked_at:
                fix = one_of(name, known)
                raise ConfigError("unknown attribute", where=where, fix=fix)
            continue
        check_attribute(where, distribution, known[name])


def attribute_table(
    scene: SceneConfig, known: Mapping[str, Attribute] = ATTRIBUTES
) -> dict[str, dict[str, Any]]:
    """What data sets say of each sampled attribute: {kind: continuous, range} or {kind: categorical, words},
    and its meaning as `text` where it is `known`.

    A word's id is its place in `words`. That of known attributes, and of `expression`, does not depend on the
    configuration; the words of helpers that no table knows are sorted.
    """
    table: dict[str, dict[str, Any]] = {}
    for name, distribution in scene.attributes.items():
        about = known.get(name)
        if (values := distribution.values) is not None:
            table[name] = {"kind": "categorical", "words": list(about.words) if about else sorted(values)}
        else:
            bounds = [b if math.isfinite(b) else None for b in distribution.range]
            table[name] = {"kind": "continuous", "range": bounds}
        if about:
            table[name]["text"] = about.text
    if scene.expression.values is not None:
        table["expression"] = {"kind": "categorical", "words": list(EXPRESSIONS)}
        if scene.expression_intensity is not None:
            table["expression_intensity"] = {"kind": "continuous", "range": [0.0, 1.0]}
    return table


def drawn_attributes(
    attributes: Mapping[str, Distribution], drawn: Mapping[str, Attribute]
) -> dict[str, Distribution]:
    """Those that a backend draws, and those that these are `given`."""
    kept = set(drawn)
    for name in reversed(attributes):  # what is given stands earlier
        kept |= attributes[name].references if name in kept else set()
    return {name: distribution for name, distribution in attributes.items() if name in kept}
