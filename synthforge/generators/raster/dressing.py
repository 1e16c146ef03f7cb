"""A person fully dressed: all accessories, from the skin outwards."""

from synthforge.generators.accessories.clothes import dress
from synthforge.generators.accessories.facewear import put_on_mask
from synthforge.generators.accessories.glasses import Lenses, spectacles
from synthforge.generators.accessories.headphones import put_on_headphones
from synthforge.generators.accessories.headwear import put_on_hat
from synthforge.generators.accessories.jewellery import hang_earrings
from synthforge.generators.face.facial_hair import grow_face_hair
from synthforge.generators.geometry.accessory import Accessory
from synthforge.generators.geometry.person import Person
from synthforge.generators.hair.scalp import grow_hair
from synthforge.generators.occluders.placing import occlude


def dressed(person: Person) -> tuple[list[Accessory], Lenses | None]:
    """Everything that the person wears, holds or has grown (world frame), and the lenses of glasses.

    Hair comes last because it stays under hats and masks; what is not labelled comes after all else.
    """
    shirt = dress(person)
    hat, under_hat = put_on_hat(person, shirt)
    mask, under_mask = put_on_mask(person)
    phones, under_phones = put_on_headphones(person, [*shirt, *hat])
    frames, lenses = spectacles(person)
    worn = [*shirt, *hat, *mask, *hang_earrings(person), *phones, *frames]
    worn += occlude(person, worn)
    covers = [*under_hat, *under_mask]
    worn += grow_face_hair(person, covers)
    worn += grow_hair(person, [*covers, *under_phones], shirt)
    return sorted(worn, key=lambda a: not a.labelled), lenses
