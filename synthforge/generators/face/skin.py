"""Skin: tone, regional colour, lips, brows, lashes, stubble, freckles, age, make-up."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numba import njit

from synthforge.conventions import CLASS_ID
from synthforge.generators.face.regions import HeadSurface, brow_place
from synthforge.generators.face.wrinkles import Strain, lid_crease, wrinkles
from synthforge.generators.hair.color import hair_color
from synthforge.generators.hair.styles import STYLES, style_height
from synthforge.generators.shading.color import LUMINANCE, hex_to_linear, lab_to_linear
from synthforge.generators.shading.noise import noise
from synthforge.generators.shading.pigment import BLOOD, MELANIN, skin_base
from synthforge.generators.shading.shade import Material, Samples, unit
from synthforge.types import SceneParams

_PORE = 0.0005  # m, apart
LIPSTICKS = ("b3202c", "8e1b3a", "c4485a", "d0707c", "a5433c", "6e1f3c", "c98277", "e0607a")
# estimates from photographs: the corner's flesh, and the lid's rim between lashes and eye
CARUNCLE_LAB, _RIM_LAB = (56.0, 24.0, 13.0), (62.0, 21.0, 13.0)
SHADOWS = ("5a4038", "3a3038", "6b4a5c", "8a6248", "4a5568", "7c5a70")


@dataclass(frozen=True)
class Look:
    """Attributes of one sample as numbers, with defaults for those it lacks.

    `hair` is linear RGB; `grown` says that strands stand on the painted beard.
    """

    tone: float
    hue: float
    redness: float
    freckles: float
    age: float
    male: bool
    lip_color: float
    makeup: float
    sweat: float
    hair: Float[np.ndarray, " 3"]
    grown: bool
    brow_thickness: float
    brow_density: float
    facial_hair: str
    hair_style: str

    @classmethod
    def of(cls, params: SceneParams, grown: bool = False) -> "Look":
        get = params.attributes.get
        hair = hair_color(params)
        if get("hair_color") == "dyed":  # brows keep the colour they were born with
            hair = np.array([0.03, 0.018, 0.011], np.float32)
        return cls(
            tone=float(get("skin_tone", 4.0)),
            hue=float(get("skin_hue", 0.0)),
            redness=float(get("redness", 0.4)),
            freckles=float(get("freckles", 0.0)),
            age=float(get("age", 35.0)),
            male=get("sex", "female") == "male",
            lip_color=float(get("lip_color", 0.0)),
            makeup=float(get("makeup", 0.0)),
            sweat=float(get("sweat", 0.0)),
            hair=hair,
            grown=grown,
            brow_thickness=float(get("brow_thickness", 1.0)),
            brow_density=float(get("brow_density", 0.6)),
            facial_hair=str(get("facial_hair", "none")),
            hair_style=str(get("hair_style", "short")),
        )


def vertex_albedo(surface: HeadSurface, look: Look) -> Float[np.ndarray, "v 3"]:
    """Slowly varying part of the skin colour, per vertex."""
    f = surface.fields
    light = float(np.clip((8.0 - look.tone) / 6.0, 0.15, 1.0))  # blood shows through little melanin
    flush = 0.55 * f["cheek"] + 0.9 * f["nose_tip"] + 0.45 * f["chin"] + 0.9 * f["ear"] + 0.35 * f["nostril"]
    blood = light * (0.25 + 1.0 * look.redness) * flush + 0.25 * light * f["lid"] - 0.15 * f["forehead"]
    shade = 0.22 * f["trough"] * (0.6 + look.age / 60) + 0.14 * f["lid"] + 0.12 * f["upper_lid"]
    shade = shade - 0.05 * f["forehead"] - 0.05 * f["neck"]
    if look.makeup > 0:
        blood = blood + 0.8 * look.makeup * f["cheek"]
    depth = blood[:, None] * BLOOD + shade[:, None] * MELANIN
    return skin_base(look.tone, look.hue).astype(np.float32) * np.exp(-depth)


def brow_color(look: Look) -> Float[np.ndarray, " 3"]:
    """Linear RGB of the brows: a little darker than the hair, and always darker than the skin; brows
    turn grey later than the scalp."""
    born = np.array([0.05, 0.036, 0.027], np.float32)
    grey = (
        float(np.clip((look.hair @ LUMINANCE - 0.18) / 0.15, 0, 1))
        if look.hair[0] < 1.5 * look.hair[2]
        else 0.0
    )
    hair = look.hair + 0.65 * grey * (born - look.hair)
    return np.minimum(hair * 0.8, 0.45 * skin_base(look.tone, look.hue)).astype(np.float32)


def brow_weight(
    along: Float[np.ndarray, " n"], across: Float[np.ndarray, " n"], thickness: float
) -> Float[np.ndarray, " n"]:
    """Density of brow hair at a place of the brow, 0 to 1: soft at its borders, thin at head and tail.

    A `thickness` below 1 takes away from below, so that the upper border stays where it is labelled.
    """
    low = np.clip(0.28 - 0.36 * thickness, -0.05, 0.2)
    body = np.clip((across - low) / 0.2, 0, 1) * np.clip((1.0 - across) / 0.1, 0, 1)
    return body * np.interp(along, [0.0, 0.14, 0.8, 1.0], [0.0, 1.0, 0.9, 0.2])


def beard_weight(surface: HeadSurface, look: Look) -> Float[np.ndarray, " v"]:
    """Where and how densely painted facial hair grows, per vertex."""
    f = surface.fields
    whole = np.maximum(f["beard"], f["moustache"])
    by_style = {
        "stubble": 0.55 * whole,
        "moustache": f["moustache"],
        "goatee": np.maximum(f["moustache"], f["goatee"]),
        "full": whole,
    }
    shaved = 0.16 * whole if look.male and look.age > 17 else 0.0 * whole
    return np.maximum(by_style.get(look.facial_hair, shaved), shaved).astype(np.float32)


# per-vertex scalars that the skin reads at samples, in this order
SKIN_FIELDS = ("t_zone", "upper_lid", "cheek", "nostril", "hollow", "caruncle")


def skin_material(
    surface: HeadSurface,
    look: Look,
    samples: Samples,
    base: Float[np.ndarray, "n 3"],
    openness: Float[np.ndarray, " n"],
    beard: Float[np.ndarray, " n"],
    fields: Float[np.ndarray, "n 6"],
    masks: Float[np.ndarray, "n 3"],
    strain: Strain,
    turn: Float[np.ndarray, "3 3"],
    rng: np.random.Generator,
) -> Material:
    """Material of skin samples from interpolated vertex fields and soft masks (lips, brows); `turn` is
    the head's rotation."""
    p = np.ascontiguousarray(samples.canonical)
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
        melanin += 0.8 * bare * (old - 0.5) * _step(1.3, 2.0, coarse[:, 2] + 0.2 * fine[:, 3])
    if look.freckles > 0.02:
        spots = noise(p, 0.0005, shift + 13)[:, 0] + 0.4 * coarse[:, 2]
        region = np.clip(cheek + 0.6 * t_zone, 0.12, 1)
        melanin += 0.9 * bare * look.freckles * region * _step(1.2, 2.2, spots + 0.4 * look.freckles)
    melanin += _moles(p, rng)
    albedo = base * np.exp(-(blood[:, None] * BLOOD + melanin[:, None] * MELANIN))

    lips = np.clip(masks[:, 0] + masks[:, 1], 0, 1)
    albedo = _lips(albedo, look, p, masks, lips, rng)
    if look.makeup > 0.05:
        tint = hex_to_linear(SHADOWS[rng.integers(len(SHADOWS))])
        at = np.flatnonzero(upper_lid > 0.02)
        cover = (0.75 * look.makeup * np.clip(upper_lid[at] * 1.3, 0, 1))[:, None]
        albedo[at] += cover * (np.minimum(tint, albedo[at] * 1.2) - albedo[at])
    spacing = _spacing(samples)
    albedo = _beard(albedo, look, p, beard * (1 - lips), fine, shift, min(1.0, 0.00028 / spacing))
    albedo = _hairline(albedo, look, samples, fine)
    albedo = _brows(albedo, look, p, surface)
    albedo, moist = _lids(albedo, look, p, surface, caruncle)

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
        normal=unit(samples.normal + bump + (0.30 * slope) @ turn[:, :2].T.astype(np.float32)),
        roughness=np.clip(rough, 0.18, 1).astype(np.float32),
        coat=np.clip(coat + 0.55 * wet + 0.8 * moist, 0, 1).astype(np.float32),
        specular=(0.028 + 0.020 * wet).astype(np.float32),
        scatter=np.ones(len(p), np.float32),
        open=openness * (1 - 0.35 * np.clip(hollow, 0, 1)),
    )


def _spacing(samples: Samples) -> float:
    """Distance (m) between neighbouring samples, about; infinite where there are none."""
    few = samples.position[: len(samples.position) // 2 + 2][-3000:]  # neighbours in a row, mostly
    return float(np.median(np.linalg.norm(np.diff(few, axis=0), axis=1))) if len(few) > 1 else np.inf


def _pores(p: np.ndarray, where: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Bumps of the pores' size."""
    out = np.zeros((len(p), 3), np.float32)
    at = np.flatnonzero(where > 0.1)
    out[at] = 0.05 * where[at, None] * noise(p[at], 0.5 * _PORE, shift + 17)[:, :3]
    return out


def _step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _moles(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Extra melanin of up to five moles, 1-3 mm across."""
    out = np.zeros(len(p), np.float32)
    for _ in range(rng.poisson(1.2)):
        x, y, radius = rng.uniform(-0.06, 0.06), rng.uniform(-0.09, 0.08), rng.uniform(0.0006, 0.0014)
        depth = rng.uniform(0.5, 1.4)
        at = np.flatnonzero(
            (np.abs(p[:, 0] - x) < 2 * radius) & (np.abs(p[:, 1] - y) < 2 * radius) & (p[:, 2] > 0.03)
        )
        out[at] += depth * _step(1.6, 0.7, np.hypot(p[at, 0] - x, p[at, 1] - y) / radius)
    return out


def _lips(albedo, look, p, masks, lips, rng):  # noqa: ANN001, ANN202
    """Vermilion over skin: redder, darker, creased; fuller in the middle, darker towards the corners
    and where the lips meet; lipstick by `lip_color` lets some of that show."""
    stick = hex_to_linear(LIPSTICKS[rng.integers(len(LIPSTICKS))]) * rng.uniform(0.6, 1.1)
    at = np.flatnonzero(lips > 0.05)
    light = np.clip((8.5 - look.tone) / 6.0, 0.12, 1.0)
    creases = noise(p[at], (0.0009, 0.006, 0.006), np.zeros(3))[:, 0]
    blotches = noise(p[at], 0.004, np.zeros(3))[:, 1]
    meeting = 4 * masks[at, 0] * masks[at, 1]
    uneven = 0.35 * np.clip(meeting, 0, 1) + 0.25 * _step(0.010, 0.024, np.abs(p[at, 0])) + 0.07 * blotches
    depth = (0.70 + 0.25 * light + 0.18 * creases + uneven) * (1.0 - 0.15 * masks[at, 1])
    natural = albedo[at] * np.exp(-depth[:, None] * np.array([0.18, 0.64, 0.49]) * (0.35 + 0.65 * light))
    base = skin_base(look.tone, look.hue)
    skin = float(base @ LUMINANCE)
    stick *= min(1.0, 0.9 * skin / float(stick @ LUMINANCE))  # lipstick is darker than the skin
    stick = stick**0.68 * base**0.32 * np.exp(-0.6 * uneven - 0.14 * creases)[:, None]
    cover = 0.75 * look.lip_color
    color = natural * (1 - cover) + cover * stick
    soft = _step(0.10, 0.95, lips[at])[:, None]
    albedo[at] += soft * (color - albedo[at])
    return albedo


def _beard(albedo, look, p, weight, fine, shift, grain):  # noqa: ANN001, ANN202
    """Stubble as a cast with grains, as much of them as the image has samples for (`grain`, 0 to 1);
    longer styles as short strands running down."""
    at = np.flatnonzero(weight > 0.02)
    strands = noise(p[at], (0.00045, 0.0028, 0.0009), shift + 29)
    bristle = noise(p[at], 0.00028, shift + 31)[:, 0]
    cover = weight[at] * (0.8 + 0.06 * fine[at, 2] + 0.16 * grain * bristle)
    under = (
        np.minimum(np.maximum(look.hair, 0.03), 0.7 * skin_base(look.tone, look.hue))
        * np.array([0.95, 1.0, 1.06], np.float32)
        * np.ones_like(strands[:, :3])
    ).astype(np.float32)
    if look.facial_hair not in ("none", "stubble"):
        long = _step(0.12, 0.95, weight[at] + 0.10 * strands[:, 1])
        thick = (0.72 + 0.16 * strands[:, 0]) * (0.6 if look.grown else 1.0)
        cover += long * (thick - cover)
        dark = np.maximum(look.hair, 0.012) * np.exp(0.35 * strands[:, 2:3])
        under += long[:, None] * (dark - under)
    cover = np.clip(cover, 0, 0.92)[:, None]
    albedo[at] += cover * (under - albedo[at])
    return albedo


def _hairline(albedo, look, samples, fine):  # noqa: ANN001, ANN202
    """Roots too fine to stand as strands: the skin darkens over the last millimetres to the scalp."""
    style = STYLES.get(look.hair_style)
    if style is None:
        return albedo
    p = samples.canonical
    ears = (CLASS_ID["left_ear"], CLASS_ID["right_ear"])
    near = (p[:, 1] > 0.07) | ((np.abs(p[:, 0]) > 0.05) & (p[:, 1] > -0.03)) | (p[:, 2] < -0.01)
    at = np.flatnonzero(near & ~np.isin(samples.class_id, ears))
    height = style_height(p[at], style) + 0.0012 * fine[at, 1]
    cover = (0.8 * _step(-0.006, 0.004, height))[:, None]
    albedo[at] += cover * (0.6 * look.hair - albedo[at])
    return albedo


def _brows(albedo, look, p, surface):  # noqa: ANN001, ANN202
    """The skin darkens under the brows' strands, where hairs are too fine to stand as one."""
    x, lower, upper = surface.brow
    near = (p[:, 2] > 0.03) & (p[:, 1] > lower.min()) & (p[:, 1] < upper.max()) & (np.abs(p[:, 0]) < x[-1])
    at = np.flatnonzero(near & (np.abs(p[:, 0]) > x[0]))
    along, across = brow_place(surface, p[at])
    cover = brow_weight(along, across, look.brow_thickness) * (0.25 + 0.35 * look.brow_density)
    albedo[at] += cover[:, None] * (brow_color(look) - albedo[at])
    return albedo


def _lids(albedo, look, p, surface, caruncle):  # noqa: ANN001, ANN202
    """Lid margins: their wet pink rim, and the dark line of lashes on it, thicker with make-up; and the
    `caruncle` in the inner corner. Returns the albedo and how wet, 0 to 1."""
    hair = np.clip(0.3 * look.hair, 0.008, 0.05)
    rim = np.minimum(lab_to_linear(np.array(_RIM_LAB)), 1.6 * skin_base(look.tone, look.hue))
    liner = look.makeup * (not look.male)
    moist = caruncle.copy()
    near = np.flatnonzero((p[:, 2] > 0.05) & (np.abs(p[:, 1] - 0.023) < 0.02))
    for k, line in enumerate(surface.lids):
        upper = k % 2 == 0
        low, high = line.min(0) - 0.004, line.max(0) + 0.004
        q = p[near]
        at = near[(q[:, 0] > low[0]) & (q[:, 0] < high[0]) & (q[:, 1] > low[1]) & (q[:, 1] < high[1])]
        d, t = nearest_on_polyline(p[at], line)
        wet = np.exp(-((d / 0.0009) ** 2)) * (0.35 if upper else 0.7) * (1 + 0.5 * _step(0.25, 0.0, t))
        moist[at] = np.maximum(moist[at], np.clip(wet, 0, 1))
        albedo[at] += np.clip(wet, 0, 1)[:, None] * (rim - albedo[at])
        width = (0.0013 + 0.0009 * liner if upper else 0.0007 + 0.0006 * liner) * np.interp(
            t, [0, 0.25, 0.8, 1], [0.25, 0.9, 1.2, 0.8]
        )
        strength = (0.92 if upper else 0.34) + 0.12 * liner
        cover = (strength * np.exp(-((d / width) ** 2)))[:, None]
        albedo[at] += cover * (hair - albedo[at])
    at = np.flatnonzero(caruncle > 0.02)
    flesh = np.minimum(lab_to_linear(np.array(CARUNCLE_LAB)), 3 * skin_base(look.tone, look.hue))
    albedo[at] += caruncle[at, None] * (flesh - albedo[at])
    return albedo, moist


@njit(cache=True)
def nearest_on_polyline(points, line):
    """Distance to a polyline and the share of it passed at the nearest place."""
    n, k = points.shape[0], line.shape[0]
    distance = np.empty(n, np.float32)
    share = np.empty(n, np.float32)
    for i in range(n):
        best = np.inf
        for s in range(k - 1):
            dot, length = 0.0, 0.0
            for c in range(3):
                e = line[s + 1, c] - line[s, c]
                dot += (points[i, c] - line[s, c]) * e
                length += e * e
            t = min(max(dot / max(length, 1e-18), 0.0), 1.0)
            d = 0.0
            for c in range(3):
                d += (points[i, c] - line[s, c] - t * (line[s + 1, c] - line[s, c])) ** 2
            if d < best:
                best = d
                share[i] = (s + t) / (k - 1)
        distance[i] = np.sqrt(best)
    return distance, share
