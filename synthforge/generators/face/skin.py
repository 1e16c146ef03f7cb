"""Skin: tone, regional colour, lips, brows, lashes, stubble, freckles, age, make-up."""

import numpy as np
from jaxtyping import Float

from synthforge.conventions import CLASS_ID
from synthforge.generators.face.regions import FaceRegions, brow_place
from synthforge.generators.face.wrinkles import Strain, lid_crease, wrinkles
from synthforge.generators.geometry.meshes import nearest_on_polyline
from synthforge.generators.geometry.person import Person
from synthforge.generators.hair.color import face_hair_color
from synthforge.generators.hair.styles import STYLES, style_height
from synthforge.generators.shading.color import LUMINANCE, hex_to_linear, lab_to_linear
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.numeric import smoothstep as step
from synthforge.generators.shading.numeric import unit32
from synthforge.generators.shading.pigment import BLOOD, MELANIN
from synthforge.generators.shading.shade import Material, Samples

_PORE = 0.0005  # m, apart
LIPSTICKS = ("b3202c", "8e1b3a", "c4485a", "d0707c", "a5433c", "6e1f3c", "c98277", "e0607a")
# Estimates from photographs: the flesh in the inner corner, and the lid's rim between lashes and eye.
CARUNCLE_LAB, _RIM_LAB = (56.0, 24.0, 13.0), (62.0, 21.0, 13.0)
SHADOWS = ("5a4038", "3a3038", "6b4a5c", "8a6248", "4a5568", "7c5a70")


def vertex_albedo(person: Person) -> Float[np.ndarray, "v 3"]:
    """Linear RGB of the skin per vertex, without fine detail."""
    f, look = person.head.derived(FaceRegions.of).fields, person.appearance
    light = float(np.clip((8.0 - look.skin_tone) / 6.0, 0.15, 1.0))  # blood shows through little melanin
    flush = 0.55 * f["cheek"] + 0.9 * f["nose_tip"] + 0.45 * f["chin"] + 0.9 * f["ear"] + 0.35 * f["nostril"]
    blood = light * (0.25 + 1.0 * look.redness) * flush + 0.25 * light * f["lid"] - 0.15 * f["forehead"]
    shade = 0.22 * f["trough"] * (0.6 + look.age / 60) + 0.14 * f["lid"] + 0.12 * f["upper_lid"]
    shade = shade - 0.05 * f["forehead"] - 0.05 * f["neck"]
    if look.makeup > 0:
        blood = blood + 0.8 * look.makeup * f["cheek"]
    depth = blood[:, None] * BLOOD + shade[:, None] * MELANIN
    return person.skin_color.astype(np.float32) * np.exp(-depth)


def brow_color(person: Person) -> Float[np.ndarray, " 3"]:
    """Linear RGB of the brows: a little darker than the hair, always darker than the skin. Brows turn grey
    later than the hair of the scalp."""
    hair, dark = face_hair_color(person), np.array([0.05, 0.036, 0.027], np.float32)
    colorless = hair[0] < 1.5 * hair[2]
    grey = float(np.clip((hair @ LUMINANCE - 0.18) / 0.15, 0, 1)) if colorless else 0.0
    hair = hair + 0.65 * grey * (dark - hair)
    return np.minimum(hair * 0.8, 0.45 * person.skin_color).astype(np.float32)


def brow_weight(
    along: Float[np.ndarray, " n"], across: Float[np.ndarray, " n"], thickness: float
) -> Float[np.ndarray, " n"]:
    """Density of brow hair, 0 to 1, at places of `brow_place`: soft at the borders, thin at head and tail.

    A `thickness` below 1 moves the lower border up, so that the upper border stays where it is labelled.
    """
    low = np.clip(0.28 - 0.36 * thickness, -0.05, 0.2)
    body = np.clip((across - low) / 0.2, 0, 1) * np.clip((1.0 - across) / 0.1, 0, 1)
    return body * np.interp(along, [0.0, 0.14, 0.8, 1.0], [0.0, 1.0, 0.9, 0.2])


def beard_weight(person: Person) -> Float[np.ndarray, " v"]:
    """Density of painted facial hair per vertex, 0 to 1."""
    f, look = person.head.derived(FaceRegions.of).fields, person.appearance
    whole = np.maximum(f["beard"], f["moustache"])
    by_style = {
        "stubble": 0.55 * whole,
        "moustache": f["moustache"],
        "goatee": np.maximum(f["moustache"], f["goatee"]),
        "full": whole,
    }
    shaved = 0.16 * whole if look.sex == "male" and look.age > 17 else 0.0 * whole
    return np.maximum(by_style.get(look.facial_hair, shaved), shaved).astype(np.float32)


# the vertex fields that the skin reads at its samples, in this order
SKIN_FIELDS = ("t_zone", "upper_lid", "cheek", "nostril", "hollow", "caruncle")


def skin_material(
    person: Person,
    samples: Samples,
    base: Float[np.ndarray, "n 3"],
    ambient: Float[np.ndarray, " n"],
    beard: Float[np.ndarray, " n"],
    fields: Float[np.ndarray, "n 6"],
    masks: Float[np.ndarray, "n 3"],
    grown: bool,
    rng: np.random.Generator,
) -> Material:
    """Material of samples of the skin.

    Args:
        base, beard: `vertex_albedo` and `beard_weight`, interpolated.
        ambient: ambient visibility.
        fields: `SKIN_FIELDS`, interpolated.
        masks: soft coverage of upper lip, lower lip, brows.
        grown: whether strands grow on the painted beard.
    """
    p, look, strain = np.ascontiguousarray(samples.canonical), person.appearance, Strain.of(person)
    regions, hair = person.head.derived(FaceRegions.of), face_hair_color(person)
    t_zone, upper_lid, cheek, nostril, hollow, caruncle = np.ascontiguousarray(fields.T)
    shift = rng.uniform(0, 48, 3)
    fine = noise(p, 0.0011, shift)
    coarse = noise(p, 0.006, shift + 7)
    old, bare = strain.old, 1 - 0.6 * look.makeup  # foundation evens the skin out
    folded, slope = wrinkles(p, strain, coarse[:, 3])
    fold = folded + 0.3 * lid_crease(p)
    blood = bare * (0.16 * coarse[:, 0] + 0.10 * fine[:, 0]) + 0.4 * fold + 0.3 * hollow
    melanin = bare * (0.035 * coarse[:, 1] + 0.05 * fine[:, 1]) + 0.8 * fold + 1.3 * nostril + 0.3 * hollow
    if old > 0.5:  # age spots
        melanin += 0.8 * bare * (old - 0.5) * step(1.3, 2.0, coarse[:, 2] + 0.2 * fine[:, 3])
    if look.freckles > 0.02:
        spots = noise(p, 0.0005, shift + 13)[:, 0] + 0.4 * coarse[:, 2]
        region = np.clip(cheek + 0.6 * t_zone, 0.12, 1)
        melanin += 0.9 * bare * look.freckles * region * step(1.2, 2.2, spots + 0.4 * look.freckles)
    melanin += _moles(p, rng)
    albedo = base * np.exp(-(blood[:, None] * BLOOD + melanin[:, None] * MELANIN))

    lips = np.clip(masks[:, 0] + masks[:, 1], 0, 1)
    albedo = _lips(albedo, person, p, masks, lips, rng)
    if look.makeup > 0.05:
        tint = hex_to_linear(SHADOWS[rng.integers(len(SHADOWS))])
        at = np.flatnonzero(upper_lid > 0.02)
        cover = (0.75 * look.makeup * np.clip(upper_lid[at] * 1.3, 0, 1))[:, None]
        albedo[at] += cover * (np.minimum(tint, albedo[at] * 1.2) - albedo[at])
    spacing = _spacing(samples)
    grain = min(1.0, 0.00028 / spacing)
    albedo = _beard(albedo, person, hair, p, beard * (1 - lips), fine, shift, grain, grown)
    albedo = _hairline(albedo, look.hair_style, hair, samples, fine)
    albedo = _brows(albedo, person, p, regions)
    albedo, moist = _lids(albedo, person, hair, p, regions, caruncle)

    bump = 0.035 * fine[:, :3] + 0.012 * coarse[:, :3] * (0.5 + old)
    bump *= 1 + 1.5 * lips[:, None]
    if spacing < _PORE:
        bump += _pores(p, np.maximum(t_zone, cheek), shift)
    oily = rng.uniform(0.4, 1.5) * (1 - 0.5 * look.makeup)
    wet = look.sweat * np.clip(0.35 + 0.65 * t_zone + 0.3 * cheek + 0.4 * coarse[:, 3], 0, 1)
    coat = 0.06 + 0.13 * oily * t_zone + 0.04 * oily * cheek + (0.14 + 0.35 * look.lip_color) * lips
    rough = 0.43 - 0.05 * oily * t_zone - 0.10 * lips - 0.12 * wet - 0.2 * moist
    return Material(
        albedo=albedo.astype(np.float32),
        normal=unit32(samples.normal + bump + (0.30 * slope) @ person.turn[:, :2].T.astype(np.float32)),
        roughness=np.clip(rough, 0.18, 1).astype(np.float32),
        coat=np.clip(coat + 0.55 * wet + 0.8 * moist, 0, 1).astype(np.float32),
        specular=(0.028 + 0.020 * wet).astype(np.float32),
        scatter=np.ones(len(p), np.float32),
        ambient=ambient * (1 - 0.35 * np.clip(hollow, 0, 1)),
    )


def _spacing(samples: Samples) -> float:
    """Approximate distance (m) between neighbouring samples; infinite where there are none."""
    few = samples.position[: len(samples.position) // 2 + 2][-3000:]  # mostly neighbours in a row
    return float(np.median(np.linalg.norm(np.diff(few, axis=0), axis=1))) if len(few) > 1 else np.inf


def _pores(p: np.ndarray, where: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Bumps of the pores' size."""
    out = np.zeros((len(p), 3), np.float32)
    at = np.flatnonzero(where > 0.1)
    out[at] = 0.05 * where[at, None] * noise(p[at], 0.5 * _PORE, shift + 17)[:, :3]
    return out


def _moles(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Extra melanin of up to five moles, 1-3 mm across."""
    out = np.zeros(len(p), np.float32)
    for _ in range(rng.poisson(1.2)):
        x, y, radius = rng.uniform(-0.06, 0.06), rng.uniform(-0.09, 0.08), rng.uniform(0.0006, 0.0014)
        depth = rng.uniform(0.5, 1.4)
        at = np.flatnonzero(
            (np.abs(p[:, 0] - x) < 2 * radius) & (np.abs(p[:, 1] - y) < 2 * radius) & (p[:, 2] > 0.03)
        )
        out[at] += depth * step(1.6, 0.7, np.hypot(p[at, 0] - x, p[at, 1] - y) / radius)
    return out


def _lips(albedo, person, p, masks, lips, rng):  # noqa: ANN001, ANN202
    """Vermilion over skin: redder, darker, creased, darkest towards the corners and where the lips meet.
    Some of that shows through lipstick."""
    look = person.appearance
    stick = hex_to_linear(LIPSTICKS[rng.integers(len(LIPSTICKS))]) * rng.uniform(0.6, 1.1)
    at = np.flatnonzero(lips > 0.05)
    light = np.clip((8.5 - look.skin_tone) / 6.0, 0.12, 1.0)
    creases = noise(p[at], (0.0009, 0.006, 0.006), np.zeros(3))[:, 0]
    blotches = noise(p[at], 0.004, np.zeros(3))[:, 1]
    meeting = 4 * masks[at, 0] * masks[at, 1]
    uneven = 0.35 * np.clip(meeting, 0, 1) + 0.25 * step(0.010, 0.024, np.abs(p[at, 0])) + 0.07 * blotches
    depth = (0.70 + 0.25 * light + 0.18 * creases + uneven) * (1.0 - 0.15 * masks[at, 1])
    natural = albedo[at] * np.exp(-depth[:, None] * np.array([0.18, 0.64, 0.49]) * (0.35 + 0.65 * light))
    base = person.skin_color
    skin = float(base @ LUMINANCE)
    stick *= min(1.0, 0.9 * skin / float(stick @ LUMINANCE))  # lipstick is darker than the skin
    stick = stick**0.68 * base**0.32 * np.exp(-0.6 * uneven - 0.14 * creases)[:, None]
    cover = 0.75 * look.lip_color
    color = natural * (1 - cover) + cover * stick
    soft = step(0.10, 0.95, lips[at])[:, None]
    albedo[at] += soft * (color - albedo[at])
    return albedo


def _beard(albedo, person, hair, p, weight, fine, shift, grain, grown):  # noqa: ANN001, ANN202
    """Stubble as a tint with grains, which are weaker where samples are too sparse to show them (`grain`,
    0 to 1); longer styles as short strands that run down."""
    style = person.appearance.facial_hair
    at = np.flatnonzero(weight > 0.02)
    strands = noise(p[at], (0.00045, 0.0028, 0.0009), shift + 29)
    bristle = noise(p[at], 0.00028, shift + 31)[:, 0]
    cover = weight[at] * (0.8 + 0.06 * fine[at, 2] + 0.16 * grain * bristle)
    cast = np.minimum(np.maximum(hair, 0.03), 0.7 * person.skin_color) * np.array(
        [0.95, 1.0, 1.06], np.float32
    )
    under = np.tile(cast, (len(at), 1)).astype(np.float32)
    if style not in ("none", "stubble"):
        long = step(0.12, 0.95, weight[at] + 0.10 * strands[:, 1])
        thick = (0.72 + 0.16 * strands[:, 0]) * (0.6 if grown else 1.0)
        cover += long * (thick - cover)
        dark = np.maximum(hair, 0.012) * np.exp(0.35 * strands[:, 2:3])
        under += long[:, None] * (dark - under)
    cover = np.clip(cover, 0, 0.92)[:, None]
    albedo[at] += cover * (under - albedo[at])
    return albedo


def _hairline(albedo, hair_style, hair, samples, fine):  # noqa: ANN001, ANN202
    """Roots too fine for strands: the skin darkens over the last millimetres before the scalp."""
    style = STYLES.get(hair_style)
    if style is None:
        return albedo
    p = samples.canonical
    ears = (CLASS_ID["left_ear"], CLASS_ID["right_ear"])
    near = (p[:, 1] > 0.07) | ((np.abs(p[:, 0]) > 0.05) & (p[:, 1] > -0.03)) | (p[:, 2] < -0.01)
    at = np.flatnonzero(near & ~np.isin(samples.class_id, ears))
    height = style_height(p[at], style) + 0.0012 * fine[at, 1]
    cover = (0.8 * step(-0.006, 0.004, height))[:, None]
    albedo[at] += cover * (0.6 * hair - albedo[at])
    return albedo


def _brows(albedo, person, p, regions):  # noqa: ANN001, ANN202
    """The skin darkens under the brows' strands, for the hairs that are too fine for strands."""
    look, (x, lower, upper) = person.appearance, regions.brow
    near = (p[:, 2] > 0.03) & (p[:, 1] > lower.min()) & (p[:, 1] < upper.max()) & (np.abs(p[:, 0]) < x[-1])
    at = np.flatnonzero(near & (np.abs(p[:, 0]) > x[0]))
    along, across = brow_place(regions, p[at])
    cover = brow_weight(along, across, look.brow_thickness) * (0.25 + 0.35 * look.brow_density)
    albedo[at] += cover[:, None] * (brow_color(person) - albedo[at])
    return albedo


def _lids(albedo, person, hair, p, regions, caruncle):  # noqa: ANN001, ANN202
    """Lid margins: their wet pink rim, the dark line of lashes on it, thicker with make-up, and the
    `caruncle` in the inner corner. Returns the albedo and the wetness, 0 to 1."""
    look, hair = person.appearance, np.clip(0.3 * hair, 0.008, 0.05)
    rim = np.minimum(lab_to_linear(np.array(_RIM_LAB)), 1.6 * person.skin_color)
    liner = look.makeup * (look.sex != "male")
    moist = caruncle.copy()
    near = np.flatnonzero((p[:, 2] > 0.05) & (np.abs(p[:, 1] - 0.023) < 0.02))
    for k, line in enumerate(regions.lids):
        upper = k % 2 == 0
        low, high = line.min(0) - 0.004, line.max(0) + 0.004
        q = p[near]
        at = near[(q[:, 0] > low[0]) & (q[:, 0] < high[0]) & (q[:, 1] > low[1]) & (q[:, 1] < high[1])]
        d, t = nearest_on_polyline(p[at], line)
        wet = np.exp(-((d / 0.0009) ** 2)) * (0.35 if upper else 0.7) * (1 + 0.5 * step(0.25, 0.0, t))
        moist[at] = np.maximum(moist[at], np.clip(wet, 0, 1))
        albedo[at] += np.clip(wet, 0, 1)[:, None] * (rim - albedo[at])
        width = (0.0013 + 0.0009 * liner if upper else 0.0007 + 0.0006 * liner) * np.interp(
            t, [0, 0.25, 0.8, 1], [0.25, 0.9, 1.2, 0.8]
        )
        strength = (0.92 if upper else 0.34) + 0.12 * liner
        cover = (strength * np.exp(-((d / width) ** 2)))[:, None]
        albedo[at] += cover * (hair - albedo[at])
    at = np.flatnonzero(caruncle > 0.02)
    flesh = np.minimum(lab_to_linear(np.array(CARUNCLE_LAB)), 3 * person.skin_color)
    albedo[at] += caruncle[at, None] * (flesh - albedo[at])
    return albedo, moist
