"""What people look like and how they are photographed, by name: every attribute, said once.

`Appearance` is the typed form that the embedded renderer works with; `ATTRIBUTES` is the same as a table
for configurations, data sets and the command line. Imports nothing heavy, so that words are checked fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Attribute:
    """One attribute: a word out of `words`, or a number from `low` to `high`.

    A word's id in data sets is its place in `words`: append new ones, never reorder them.
    """

    name: str
    text: str
    default: str | float
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0


def _words(*words: str, text: str, default: str | None = None) -> Any:
    return field(default=default or words[0], metadata={"text": text, "words": words})


def _number(low: float, high: float, default: float, text: str) -> Any:
    return field(default=default, metadata={"text": text, "low": low, "high": high})


@dataclass(frozen=True)
class Appearance:
    """Attributes of one sample, with one default each for those that it lacks."""

    sex: str = _words("female", "male", text="female or male")
    age: float = _number(4.0, 100.0, 35.0, "age in years")
    skin_tone: float = _number(1.0, 10.0, 4.0, "Monk scale, 1 is the lightest")
    skin_hue: float = _number(-1.0, 1.0, 0.0, "yellow to red")
    redness: float = _number(0.0, 1.0, 0.4, "blood in cheeks, nose and ears")
    freckles: float = _number(0.0, 1.0, 0.0, "density")
    lip_color: float = _number(0.0, 1.0, 0.0, "lipstick, none to opaque")
    makeup: float = _number(0.0, 1.0, 0.0, "foundation, eye shadow and eyeliner")
    sweat: float = _number(0.0, 1.0, 0.0, "sheen of sweat or oil")
    iris_color: str = _words("dark_brown", "brown", "amber", "hazel", "green", "grey", "blue",
                             default="brown", text="colour of the eyes")  # fmt: skip
    pupil: float = _number(0.0, 1.0, 0.4, "narrow to wide")
    hair_color: str = _words("black", "dark_brown", "brown", "blond", "red", "grey", "white", "dyed",
                             default="dark_brown", text="of the scalp's hair")  # fmt: skip
    hair_style: str = _words(
        "bald", "buzz", "short", "side_part", "swept", "receding", "curly", "afro", "locs", "pixie", "bob",
        "long", "wavy", "long_curly", "fringe", "ponytail", "bun", "braid", "braids",
        default="short", text="of the scalp's hair",
    )  # fmt: skip
    facial_hair: str = _words("none", "stubble", "moustache", "goatee", "full", text="beard")
    brow_thickness: float = _number(0.2, 2.5, 1.0, "1 is the average")
    brow_density: float = _number(0.0, 1.0, 0.6, "sparse to bushy")
    eyeglasses: str = _words("none", "clear", "tinted", "sunglasses", text="glasses by their lenses")
    headwear: str = _words("none", "cap", "beanie", "brim", "hood", "headscarf", text="on the head")
    facewear: str = _words("none", "surgical_mask", "cloth_mask", text="over nose and mouth")
    earrings: str = _words("none", "stud", "hoop", "drop", text="in both ears")
    headphones: str = _words("none", "over_ear", text="over the ears")
    occluder: str = _words("none", "hand", "microphone", "cup", "phone", "object", "hair",
                           text="what comes between camera and face")  # fmt: skip
    light: str = _words("day", "evening", "night", "studio", "indoor", text="procedural lighting")
    exposure: float = _number(-3.0, 3.0, 0.0, "EV, brighter or darker than a camera would expose")
    white_balance: float = _number(-2.0, 2.0, 0.0, "cold to warm")
    background: str = _words(
        "plain", "room", "outdoor", "texture", default="room", text="procedural surroundings"
    )
    blur: float = _number(0.0, 1.0, 0.0, "of the whole image")
    noise: float = _number(0.0, 1.0, 0.0, "of the sensor")
    aperture: float = _number(0.0, 60.0, 0.0, "mm, entrance pupil; 0: all of the person is sharp")
    vignette: float = _number(0.0, 1.0, 0.0, "darker corners")
    compression: float = _number(0.0, 1.0, 0.0, "JPEG artefacts")
    contrast: float = _number(-1.0, 2.0, 0.0, "doublings of the tone curve's slope")
    saturation: float = _number(-1.0, 1.0, 0.0, "black and white to twice the colour")

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> "Appearance":
        """From a sample's attributes; those that are none of these are left out."""
        return cls(**{name: value for name, value in attributes.items() if name in ATTRIBUTES})


ATTRIBUTES: dict[str, Attribute] = {
    f.name: Attribute(name=f.name, default=f.default, **f.metadata) for f in fields(Appearance)
}

# Words that people write, and ours for the same.
SYNONYMS = {
    "woman": "female", "girl": "female", "man": "male", "boy": "male",
    "blonde": "blond", "gray": "grey", "ginger": "red", "mustache": "moustache", "shaved": "bald",
    "glasses": "clear", "hijab": "headscarf", "happy": "smile", "sad": "sadness", "angry": "anger",
    "surprised": "surprise", "indoors": "indoor", "outdoors": "outdoor", "off": "none", "no": "none",
}  # fmt: skip
