"""Whether a configuration's attributes are among those that a backend draws."""

from collections.abc import Mapping

from synthforge.attributes import Attribute
from synthforge.errors import ConfigError
from synthforge.scene.config import check_range
from synthforge.scene.distributions import Distribution


def check_attributes(attributes: Mapping[str, Distribution], known: Mapping[str, Attribute]) -> None:
    """Refuse what would be stored as a label without being seen in the image.

    Attributes the backend does not know are allowed where another one is `given` them.

    Raises:
        ConfigError: naming the attribute, and what is known.
    """
    looked_at = set().union(*(d.references for d in attributes.values()))
    for name, distribution in attributes.items():
        where = f"scene: attributes: {name}"
        if name not in known:
            if name not in looked_at:
                fix = f"known attributes: {', '.join(known)}"
                raise ConfigError("unknown attribute", where=where, fix=fix)
            continue
        about = known[name]
        if not about.words:
            check_range(where, distribution, about.low, about.high)
        elif wrong := [word for word in distribution.values or ["a number"] if word not in about.words]:
            raise ConfigError(
                f"unknown value {wrong[0]!r}", where=where, fix=f"use: {', '.join(about.words)}"
            )
