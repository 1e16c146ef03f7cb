"""Whether a configuration's attributes are among those that a backend draws."""

from collections.abc import Mapping

from synthforge.attributes import Attribute
from synthforge.errors import ConfigError, one_of
from synthforge.scene.config import check_attribute
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
                fix = one_of(name, known)
                raise ConfigError("unknown attribute", where=where, fix=fix)
            continue
        check_attribute(where, distribution, known[name])
