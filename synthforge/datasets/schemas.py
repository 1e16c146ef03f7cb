"""Class tables of the benchmarks: their ids, named and made of our classes, whose sides are the subject's.

A class with no source is one that our labels do not know. Every class of ours has one owner in a table.
Sources: the data sets' own label maps.
"""

from synthforge.conventions import ClassSchema

# LaPa and HELEN* say "left" for the viewer's left: their 2 and 4 are the subject's right brow and eye.
LAPA_CLASSES = ClassSchema.of(
    ("background", "neck", "headwear", "facewear", "earring", "clothing", "occluder", "eyeglasses"),
    ("skin", "left_ear", "right_ear", "facial_hair"),
    ("right_brow",),
    ("left_brow",),
    ("right_eye",),
    ("left_eye",),
    ("nose",),
    ("upper_lip",),
    ("inner_mouth",),
    ("lower_lip",),
    ("hair",),
)

# CelebAMask-HQ: name of the part file, and the class. `l_eye` is the subject's left, `l_lip` the lower lip,
# `ear_r` an earring, `neck_l` a necklace. Ids are those of its g_mask.py: 0 is background, then this order.
CELEBAMASK_PARTS = {
    "skin": ("skin", "facial_hair"),
    "nose": ("nose",),
    "eye_g": ("eyeglasses",),
    "l_eye": ("left_eye",),
    "r_eye": ("right_eye",),
    "l_brow": ("left_brow",),
    "r_brow": ("right_brow",),
    "l_ear": ("left_ear",),
    "r_ear": ("right_ear",),
    "mouth": ("inner_mouth",),
    "u_lip": ("upper_lip",),
    "l_lip": ("lower_lip",),
    "hair": ("hair",),
    "hat": ("headwear",),
    "ear_r": ("earring",),
    "neck_l": ("necklace",),
    "neck": ("neck",),
    "cloth": ("clothing",),
}
CELEBAMASK_CLASSES = ClassSchema.of(("background", "facewear", "occluder"), *CELEBAMASK_PARTS.values())

# "Knowing the Distance" leaves three parts unpainted, so that what lies beneath them shows.
DATAGEN16_PARTS = tuple(p for p in CELEBAMASK_PARTS if p not in ("ear_r", "neck_l", "cloth"))
DATAGEN16_CLASSES = ClassSchema.of(
    ("background", "facewear", "occluder", "clothing", "earring"),
    *(CELEBAMASK_PARTS[p] for p in DATAGEN16_PARTS),
)

FACESYNTHETICS_CLASSES = ClassSchema.of(
    ("background", "occluder", "earring"),
    ("skin",),
    ("nose",),
    ("right_eye",),
    ("left_eye",),
    ("right_brow",),
    ("left_brow",),
    ("right_ear",),
    ("left_ear",),
    ("inner_mouth",),
    ("upper_lip",),
    ("lower_lip",),
    ("neck",),
    ("hair",),
    ("facial_hair",),
    ("clothing",),
    ("eyeglasses",),
    ("headwear",),
    ("facewear",),
)
