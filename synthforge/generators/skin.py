"""Skin: tone, regional colour, lips, brows, lashes, stubble, freckles, age, make-up."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from numba import njit

from synthforge.conventions import CLASS_ID
from synthforge.generators.color import LUMINANCE, hex_to_linear, lab_to_linear
from synthforge.generators.hair import STYLES, hair_color, style_height
from synthforge.generators.noise import bilinear, noise
from synthforge.generators.shade import Material, Samples, unit
from synthforge.generators.surface import HeadSurface
from synthforge.types import SceneParams

# CIELAB of facial skin along the ten Monk tones. Source: spectrophotometer ranges by population
# (Europeans L* 62-66, East Asian 60-64, South Asian 48-56, African 32-46), ends extended.
SKIN_LAB = np.array(
    [[71, 9.5, 13.5], [69, 10.5, 14.5], [66, 11.5, 16], [62.5, 12, 18], [57, 12.5, 19.5]]
    + [[50, 13, 20.5], [43, 13, 19], [37, 12, 16], [31.5, 10.5, 12.5], [27, 8.5, 9.5]]
)
# Relative optical depth of more blood and more melanin for red, green, blue light.
# Source: shape of the absorption spectra in Jacques (2013), fig. 7, weighted to sRGB primaries.
_BLOOD = np.array([0.03, 0.36, 0.26], np.float32)
_MELANIN = np.array([0.50, 0.80, 1.05], np.float32)

LIPSTICKS = ("b3202c", "8e1b3a", "c4485a", "d0707c", "a5433c", "6e1f3c", "c98277", "e0607a")
SHADOWS = ("5a4038", "3a3038", "6b4a5c", "8a6248", "4a5568", "7c5a70")
_BROW_TEXEL = 0.25e-3  # m
_BROW_SHAPE = (112, 264)  # texels: 28 mm high, 66 mm along


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
            hair=hair,
            grown=grown,
            brow_thickness=float(get("brow_thickness", 1.0)),
            brow_density=float(get("brow_density", 0.6)),
            facial_hair=str(get("facial_hair", "none")),
            hair_style=str(get("hair_style", "short")),
        )


def skin_base(tone: float, hue: float) -> Float[np.ndarray, " 3"]:
    """Linear RGB of the cheek average at a Monk tone 1-10; `hue` -1 (yellow) to 1 (red)."""
    at = np.clip(tone, 1, 10)
    lab = np.array([np.interp(at, np.arange(1, 11), SKIN_LAB[:, c]) for c in range(3)])
    return lab_to_linear(lab + [0.0, 1.6 * hue, -2.2 * hue])


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
    depth = blood[:, None] * _BLOOD + shade[:, None] * _MELANIN
    return skin_base(look.tone, look.hue).astype(np.float32) * np.exp(-depth)


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
SKIN_FIELDS = ("nasolabial_mm", "crease_mm", "bag_mm", "t_zone", "upper_lid", "cheek", "nostril")


def skin_material(
    surface: HeadSurface,
    look: Look,
    samples: Samples,
    base: Float[np.ndarray, "n 3"],
    openness: Float[np.ndarray, " n"],
    beard: Float[np.ndarray, " n"],
    fields: Float[np.ndarray, "n 7"],
    masks: Float[np.ndarray, "n 3"],
    rng: np.random.Generator,
) -> Material:
    """Material of skin samples from interpolated vertex fields and soft masks (lips, brows)."""
    p = np.ascontiguousarray(samples.canonical)
    nasolabial, crease, bag, t_zone, upper_lid, cheek, nostril = np.ascontiguousarray(fields.T)
    shift = rng.uniform(0, 48, 3)
    fine = noise(p, 0.0011, shift)
    coarse = noise(p, 0.006, shift + 7)
    old = float(np.clip((look.age - 28) / 45, 0, 1))
    fold = np.exp(-((nasolabial / 1.6) ** 2)) * (0.10 + 0.35 * old) + np.exp(-((crease / 0.8) ** 2)) * 0.45
    blood = 0.16 * coarse[:, 0] + 0.10 * fine[:, 0] + 0.6 * fold
    melanin = 0.035 * coarse[:, 1] + 0.05 * fine[:, 1] + fold + 1.3 * nostril
    melanin += np.exp(-((bag / 1.5) ** 2)) * (0.05 + 0.25 * old)
    if look.freckles > 0.02:
        spots = noise(p, 0.0005, shift + 13)[:, 0] + 0.4 * coarse[:, 2]
        region = np.clip(cheek + 0.6 * t_zone, 0.12, 1)
        melanin += 0.9 * look.freckles * region * _step(1.2, 2.2, spots + 0.4 * look.freckles)
    melanin += _moles(p, rng)
    if old > 0.1:
        at = np.flatnonzero((p[:, 2] > 0.02) & (p[:, 1] > 0))
        wander = coarse[at, 3]
        melanin[at] += 0.32 * old * (_forehead_lines(p[at], wander) + _crows_feet(p[at], wander))
    albedo = base * np.exp(-(blood[:, None] * _BLOOD + melanin[:, None] * _MELANIN))

    lips = np.clip(masks[:, 0] + masks[:, 1], 0, 1)
    albedo = _lips(albedo, look, p, masks, lips, rng)
    if look.makeup > 0.05:
        tint = hex_to_linear(SHADOWS[rng.integers(len(SHADOWS))])
        at = np.flatnonzero(upper_lid > 0.02)
        cover = (0.75 * look.makeup * np.clip(upper_lid[at] * 1.3, 0, 1))[:, None]
        albedo[at] += cover * (np.minimum(tint, albedo[at] * 1.2) - albedo[at])
    albedo = _beard(albedo, look, p, beard * (1 - lips), fine, shift)
    albedo = _hairline(albedo, look, samples, fine)
    albedo = _brows(albedo, look, p, masks[:, 2], rng)
    albedo = _lashes(albedo, look, p, surface)

    bump = 0.035 * fine[:, :3] + 0.012 * coarse[:, :3] * (0.5 + old)
    bump *= 1 + 1.5 * lips[:, None]
    ones = np.ones(len(p), np.float32)
    return Material(
        albedo=albedo.astype(np.float32),
        normal=unit(samples.normal + bump),
        roughness=((0.42 - 0.09 * t_zone - 0.10 * lips) * ones).astype(np.float32),
        coat=(0.05 + 0.10 * t_zone + (0.12 + 0.35 * look.lip_color) * lips).astype(np.float32),
        specular=0.028 * ones,
        scatter=ones,
        open=openness,
    )


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


def _forehead_lines(p: np.ndarray, wander: np.ndarray) -> np.ndarray:
    x, y = p[:, 0] * 1000, p[:, 1] * 1000
    phase = (y - 58 + 0.004 * x**2 + 1.2 * wander) / 8.5
    line = np.exp(-(((phase - np.round(phase)) * 8.5 / 0.9) ** 2))
    return 0.55 * line * _step(52, 58, y) * _step(90, 82, y) * _step(46, 30, np.abs(x))


def _crows_feet(p: np.ndarray, wander: np.ndarray) -> np.ndarray:
    x, y = np.abs(p[:, 0]) * 1000 - 45, p[:, 1] * 1000 - 21
    r = np.hypot(x, y)
    angle = np.arctan2(y, x) + 0.06 * wander
    fan = np.exp(-((np.sin(angle * 5.0) / 0.22) ** 2))
    return 0.5 * fan * _step(4, 8, r) * _step(24, 14, r) * (np.abs(angle) < 0.9)


def _lips(albedo, look, p, masks, lips, rng):  # noqa: ANN001, ANN202
    """Vermilion over skin: redder, darker, creased; lipstick by `lip_color`."""
    stick = hex_to_linear(LIPSTICKS[rng.integers(len(LIPSTICKS))]) * rng.uniform(0.6, 1.1)
    at = np.flatnonzero(lips > 0.05)
    light = np.clip((8.5 - look.tone) / 6.0, 0.12, 1.0)
    creases = noise(p[at], (0.0009, 0.006, 0.006), np.zeros(3))[:, 0]
    depth = (0.75 + 0.25 * light + 0.18 * creases) * (1.0 - 0.15 * masks[at, 1])
    natural = albedo[at] * np.exp(-depth[:, None] * np.array([0.16, 0.75, 0.55]) * (0.35 + 0.65 * light))
    skin = float(skin_base(look.tone, look.hue) @ LUMINANCE)
    stick *= min(1.0, 1.1 * skin / float(stick @ LUMINANCE))  # lipstick is no lighter than the skin
    cover = 0.85 * look.lip_color
    color = natural * (1 - cover) + cover * stick * np.exp(-0.12 * creases)[:, None]
    soft = _step(0.12, 0.85, lips[at])[:, None]
    albedo[at] += soft * (color - albedo[at])
    return albedo


def _beard(albedo, look, p, weight, fine, shift):  # noqa: ANN001, ANN202
    """Stubble as a cast with grains; longer styles as short strands running down."""
    at = np.flatnonzero(weight > 0.02)
    strands = noise(p[at], (0.00045, 0.0028, 0.0009), shift + 29)
    bristle = noise(p[at], 0.00028, shift + 31)[:, 0]
    cover = weight[at] * (0.8 + 0.10 * fine[at, 2] + 0.35 * bristle)
    under = (
        np.maximum(look.hair, 0.03) * np.array([0.95, 1.0, 1.06], np.float32) * np.ones_like(strands[:, :3])
    )
    if look.facial_hair not in ("none", "stubble"):
        long = _step(0.25, 0.75, weight[at] + 0.10 * strands[:, 1])
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


def _brow_chart(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place along the brow (from the head outwards) and height, metres."""
    along = np.interp(
        np.abs(p[:, 0]), [0.0, 0.0115, 0.030, 0.041, 0.058, 0.070], [-0.012, 0, 0.0192, 0.0322, 0.0555, 0.075]
    )
    return along, p[:, 1]


def _brow_strokes(look: Look, rng: np.random.Generator) -> np.ndarray:
    """Coverage of brow hairs drawn one by one on the chart; two brows, left first.

    Hairs rise at the head, sweep outwards along the body and lie flat at the tail.
    """
    rows, columns = _BROW_SHAPE
    out = np.zeros((2, rows, columns), np.uint8)
    n_hairs = int(260 + 420 * look.brow_density)
    for side in range(2):
        along = rng.uniform(-0.004, 0.060, n_hairs)
        height = rng.uniform(0.0, rows * _BROW_TEXEL, n_hairs)
        middle = np.interp(along, [0, 0.032, 0.056], [0.40, 0.60, 0.35]) * rows * _BROW_TEXEL
        lift = np.interp(along, [0, 0.012, 0.03, 0.055], [1.25, 0.65, 0.25, -0.35])
        angle = lift - 60.0 * (height - middle) * (along > 0.01) + rng.normal(0, 0.22, n_hairs)
        length = rng.uniform(0.004, 0.008, n_hairs)
        tip = np.stack([along + length * np.cos(angle), height + length * np.sin(angle)], -1)
        ends = np.stack([np.stack([along, height], -1), tip], 1) / _BROW_TEXEL
        ends[..., 0] += 0.006 / _BROW_TEXEL
        ends[..., 1] = rows - ends[..., 1]
        for k, strength in ((0, 150), (1, 210), (2, 255)):
            cv2.polylines(
                out[side],
                list(np.round(ends[k::3] * 16).astype(np.int32)),
                False,
                strength,
                1,
                cv2.LINE_AA,
                4,
            )
    return out.astype(np.float32) / 255


def _brows(albedo, look, p, mask, rng):  # noqa: ANN001, ANN202
    strokes = _brow_strokes(look, rng)
    at = np.flatnonzero((mask > 0.03) & (p[:, 2] > 0.03))
    if not len(at):
        return albedo
    along, height = _brow_chart(p[at])
    column = ((along + 0.006) / _BROW_TEXEL).astype(np.float32)
    row = (_BROW_SHAPE[0] - (height - 0.028) / _BROW_TEXEL).astype(np.float32)
    soft = [cv2.GaussianBlur(s, (0, 0), 0.9) for s in strokes]
    left = p[at, 0] > 0
    cover = np.zeros(len(at), np.float32)
    for side, chosen in ((0, left), (1, ~left)):
        if chosen.any():
            cover[chosen] = bilinear(soft[side][..., None], column[chosen], row[chosen])[:, 0]
    edge = 0.50 - 0.30 * look.brow_thickness
    band = _step(edge, edge + 0.75, mask[at]) * np.interp(
        along, [-0.003, 0.006, 0.05, 0.06], [0.35, 1.0, 0.9, 0.5]
    )
    cover = np.clip(band * (0.12 + 0.45 * look.brow_density + 0.85 * cover), 0, 0.93)[:, None]
    color = np.minimum(look.hair * 0.75, 0.45 * skin_base(look.tone, look.hue))  # darker than the skin
    albedo[at] = albedo[at] * (1 - cover) + cover * color
    return albedo


def _lashes(albedo, look, p, surface):  # noqa: ANN001, ANN202
    """Dark line of lashes along the lid margins; thicker with make-up."""
    hair = np.clip(0.3 * look.hair, 0.008, 0.05)
    liner = look.makeup * (not look.male)
    near = np.flatnonzero((p[:, 2] > 0.05) & (np.abs(p[:, 1] - 0.023) < 0.02))
    for k, line in enumerate(surface.lids):
        upper = k % 2 == 0
        low, high = line.min(0) - 0.004, line.max(0) + 0.004
        q = p[near]
        at = near[(q[:, 0] > low[0]) & (q[:, 0] < high[0]) & (q[:, 1] > low[1]) & (q[:, 1] < high[1])]
        d, t = nearest_on_polyline(p[at], line)
        width = (0.0013 + 0.0009 * liner if upper else 0.0007 + 0.0006 * liner) * np.interp(
            t, [0, 0.25, 0.8, 1], [0.4, 0.9, 1.2, 0.8]
        )
        strength = (0.92 if upper else 0.45) + 0.12 * liner
        cover = (strength * np.exp(-((d / width) ** 2)))[:, None]
        albedo[at] += cover * (hair - albedo[at])
    return albedo


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
            t = min(max(dot / length, 0.0), 1.0)
            d = 0.0
            for c in range(3):
                d += (points[i, c] - line[s, c] - t * (line[s + 1, c] - line[s, c])) ** 2
            if d < best:
                best = d
                share[i] = (s + t) / (k - 1)
        distance[i] = np.sqrt(best)
    return distance, share
