"""What the embedded renderer makes of a sample's attributes: the words and the numbers it knows."""

from synthforge.errors import ConfigError
from synthforge.generators.backdrop.scenery import PLACES
from synthforge.generators.face.eyes import IRIS
from synthforge.generators.hair.color import COLORS
from synthforge.generators.hair.styles import STYLES
from synthforge.generators.occluders.placing import KINDS as OCCLUDERS
from synthforge.generators.shading.light import SETTINGS
from synthforge.scene.distributions import Distribution
from synthforge.scene.sampling import check_range

ATTRIBUTES: dict[str, tuple[str, ...] | tuple[float, float]] = {
    "sex": ("female", "male"),
    "age": (4.0, 100.0),  # years
    "skin_tone": (1.0, 10.0),  # Monk scale
    "skin_hue": (-1.0, 1.0),  # yellow to red
    "redness": (0.0, 1.0),
    "freckles": (0.0, 1.0),
    "lip_color": (0.0, 1.0),
    "makeup": (0.0, 1.0),
    "sweat": (0.0, 1.0),
    "iris_color": tuple(IRIS),
    "pupil": (0.0, 1.0),
    "hair_color": COLORS,
    "hair_style": ("bald", *STYLES),
    "facial_hair": ("none", "stubble", "moustache", "goatee", "full"),
    "brow_thickness": (0.2, 2.5),
    "brow_density": (0.0, 1.0),
    "eyeglasses": ("none", "clear", "tinted", "sunglasses"),
    "headwear": ("none", "cap", "beanie", "brim", "hood", "headscarf"),
    "facewear": ("none", "surgical_mask", "cloth_mask"),
    "earrings": ("none", "stud", "hoop", "drop"),
    "headphones": ("none", "over_ear"),
    "occluder": (*OCCLUDERS, "hair"),
    "light": tuple(SETTINGS),
    "exposure": (-3.0, 3.0),  # EV
    "white_balance": (-2.0, 2.0),
    "background": tuple(PLACES),
    "blur": (0.0, 1.0),
    "noise": (0.0, 1.0),
    "aperture": (0.0, 60.0),  # mm, entrance pupil; 0: everything of the person is sharp
    "vignette": (0.0, 1.0),
    "compression": (0.0, 1.0),
    "contrast": (-1.0, 2.0),  # doublings of the tone curve's slope
    "saturation": (-1.0, 1.0),  # black and white to twice the colour
}


def check_attributes(attributes: dict[str, Distribution]) -> None:
    """Refuse what would be stored as a label without being seen in the image.

    Attributes the renderer does not know are allowed where another one is `given` them.

    Raises:
        ConfigError: naming the attribute, and what is known.
    """
    looked_at = set().union(*(d.references for d in attributes.values()))
    for name, distribution in attributes.items():
        where = f"scene: attributes: {name}"
        if name not in ATTRIBUTES:
            if name not in looked_at:
                known = ", ".join(ATTRIBUTES)
                raise ConfigError("unknown attribute", where=where, fix=f"known attributes: {known}")
            continue
        known = ATTRIBUTES[name]
        if not isinstance(known[0], str):
            check_range(where, distribution, *known)
        elif wrong := [word for word in distribution.values or ["a number"] if word not in known]:
            raise ConfigError(f"unknown value {wrong[0]!r}", where=where, fix=f"use: {', '.join(known)}")
