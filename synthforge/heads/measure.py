"""Anthropometric measures of a head from its named points, and published norms of them.

Norms: mean and standard deviation of adults by sex. Sources: A = computed from the public ANSUR II
survey (US Army 2010-2012); N = NIOSH 2003 (Zhuang and Bradtmiller 2005); F = Farkas 1994, young
North American whites; R = other textbook values. Points are those of the mean man and mean woman
that the embedded head is built from; left ones of pairs, the right one being its mirror image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from synthforge.errors import GeometryError

Points = Mapping[str, Float[np.ndarray, " 3"]]
MM = 1000.0


@dataclass(frozen=True)
class Measure:
    """One distance (mm) or angle (degrees).

    `men` and `women` are the published mean and standard deviation. `key` marks the dimensions that
    decide whether a head has the right size.
    """

    name: str
    label: str
    men: tuple[float, float]
    women: tuple[float, float]
    source: str
    compute: Callable[[Points], float]
    key: bool = False


def _distance(a: str, b: str) -> Callable[[Points], float]:
    return lambda p: MM * float(np.linalg.norm(p[a] - p[b]))


def _width(a: str) -> Callable[[Points], float]:
    return lambda p: MM * 2 * float(p[a][0])


def _rise(low: str, high: str) -> Callable[[Points], float]:
    return lambda p: MM * float(p[high][1] - p[low][1])


def _angle(a: str, b: str, c: str) -> Callable[[Points], float]:
    """At b, between the directions to a and to c."""

    return lambda p: _between(p[a] - p[b], p[c] - p[b])


def _between(u: np.ndarray, v: np.ndarray) -> float:
    cosine = u @ v / (np.linalg.norm(u) * np.linalg.norm(v))
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))


def _canthal_tilt(p: Points) -> float:
    d = p["exocanthion"] - p["endocanthion"]
    return float(np.rad2deg(np.arctan2(d[1], d[0])))


def _ear_breadth(p: Points) -> float:
    """Upper attachment to the hindmost point of the helix, in depth."""
    return MM * float((p["otobasion_sup"] - p["postaurale"])[2])


def _ear_protrusion(p: Points) -> float:
    """Helix beyond the line from the upper attachment to the mastoid, sideways and backwards."""
    top, mastoid, helix = p["otobasion_sup"], p["mastoid"], p["helix_lateral"]
    t = (helix[1] - mastoid[1]) / (top[1] - mastoid[1])
    return MM * float(helix[0] - (mastoid + t * (top - mastoid))[0])


def _ear_tilt(p: Points) -> float:
    d = p["superaurale"] - p["subaurale"]
    return float(np.rad2deg(np.arctan2(-d[2], d[1])))


def _nasofacial(p: Points) -> float:
    """Between the dorsum and the line from glabella to chin."""
    return _between(p["sellion"] - p["pronasale"], p["glabella"] - p["pogonion"])


def _dorsum_inclination(p: Points) -> float:
    d = p["pronasale"] - p["sellion"]
    return float(np.rad2deg(np.arctan2(d[2], -d[1])))


M = Measure
MEASURES: tuple[Measure, ...] = (
    M("eu_eu", "head breadth", (154.3, 5.5), (147.8, 5.2), "A", _width("euryon"), True),
    M("g_op", "head length", (199.5, 7.0), (189.8, 7.5), "A", _distance("glabella", "opisthocranion"), True),
    M("t_v", "tragion to top of head", (131.1, 6.2), (126.5, 6.5), "A", _rise("tragion", "vertex"), True),
    M("ft_ft", "minimum frontal breadth", (105.5, 5.7), (102.9, 5.4), "N", _width("frontotemporale")),
    M("temporal_w", "forehead width", (112.3, 5.6), (108.6, 5.1), "N", _width("temporal_crest")),
    M("t_t", "bitragion breadth", (145.0, 5.9), (133.5, 5.4), "R", _width("tragion")),
    M("tr_g", "forehead height", (57.0, 7.0), (53.0, 6.0), "F", _distance("trichion", "glabella")),
    M("tr_n", "trichion-nasion", (67.1, 7.5), (63.0, 6.0), "F", _distance("trichion", "nasion")),
    M("zy_zy", "bizygomatic breadth", (142.6, 6.2), (133.8, 5.6), "A", _width("zygion"), True),
    M("go_go", "bigonial breadth", (116.0, 8.5), (106.0, 7.5), "N/F", _width("gonion")),
    M("se_me", "menton-sellion", (122.6, 6.7), (113.1, 6.1), "A", _distance("sellion", "menton"), True),
    M("n_gn", "face height n-me", (124.7, 5.7), (113.5, 4.8), "F", _distance("nasion", "menton")),
    M("n_sto", "upper face height", (76.6, 4.0), (69.4, 3.2), "F", _distance("nasion", "stomion")),
    M("sn_gn", "lower face height", (72.6, 4.5), (64.3, 4.0), "F", _distance("subnasale", "menton")),
    M("sto_gn", "mandible height", (50.7, 4.0), (43.4, 3.1), "F", _distance("stomion", "menton")),
    M("t_n", "upper face depth", (123.0, 5.0), (116.0, 4.5), "R", _distance("tragion", "nasion")),
    M("t_sn", "mid face depth", (130.0, 5.5), (121.0, 4.7), "R", _distance("tragion", "subnasale")),
    M("t_gn", "lower face depth", (150.0, 6.5), (138.0, 5.5), "R", _distance("tragion", "gnathion")),
    M("ipd", "interpupillary distance", (64.0, 3.4), (61.7, 3.6), "A", _width("corneal_apex"), True),
    M("en_en", "intercanthal", (33.3, 2.7), (31.8, 2.3), "F", _width("endocanthion")),
    M("ex_ex", "biocular", (91.2, 3.0), (87.8, 3.2), "F", _width("exocanthion")),
    M("en_ex", "fissure length", (31.3, 1.4), (30.7, 1.4), "F", _distance("endocanthion", "exocanthion")),
    M("ps_pi", "fissure height", (10.2, 1.1), (10.6, 1.1), "F",
      _distance("palpebrale_sup", "palpebrale_inf")),
    M("canthal", "canthal tilt, deg", (2.1, 1.9), (4.1, 2.2), "F", _canthal_tilt),
    M("brow_low", "brow lower edge above pupil", (14.5, 2.5), (15.5, 2.5), "R",
      _rise("corneal_apex", "brow_mid_low")),
    M("brow_up", "brow upper edge above pupil", (24.5, 2.7), (24.0, 2.7), "R",
      _rise("corneal_apex", "brow_mid_up")),
    M("se_sn", "sellion-subnasale", (52.0, 4.1), (48.2, 3.8), "N", _distance("sellion", "subnasale")),
    M("n_sn", "nasal height", (54.8, 3.3), (50.6, 3.1), "F", _distance("nasion", "subnasale")),
    M("n_prn", "dorsum length", (50.0, 3.6), (44.7, 3.4), "F", _distance("nasion", "pronasale")),
    M("sn_prn", "nose protrusion", (20.3, 2.4), (19.5, 2.2), "N/F",
      _distance("subnasale", "pronasale"), True),
    M("al_al", "nose breadth", (35.8, 3.2), (32.3, 3.0), "N/F", _width("alare"), True),
    M("ac_ac", "alar base width", (34.5, 2.8), (31.5, 2.4), "R", _width("alar_curvature")),
    M("root_w", "nasal root breadth", (16.6, 2.3), (16.3, 2.0), "N", _width("maxillofrontale")),
    M("ac_prn", "wing length", (33.0, 2.2), (30.6, 1.9), "R", _distance("alar_curvature", "pronasale")),
    M("col_w", "columella width", (7.4, 1.0), (6.9, 0.9), "R", _width("nostril_medial")),
    M("ch_ch", "mouth width", (52.3, 4.0), (49.0, 3.8), "N/F", _width("cheilion"), True),
    M("sn_sto", "upper lip height", (22.3, 2.1), (20.1, 2.0), "F", _distance("subnasale", "stomion")),
    M("sn_ls", "philtrum length", (15.0, 2.3), (13.4, 2.0), "F", _distance("subnasale", "labiale_superius")),
    M("ls_sto", "upper vermilion", (7.4, 1.6), (7.7, 1.4), "F", _rise("stomion", "labiale_superius")),
    M("sto_li", "lower vermilion", (9.8, 1.8), (9.6, 1.6), "F", _rise("labiale_inferius", "stomion")),
    M("sto_sl", "lower lip height", (19.7, 2.0), (17.8, 1.7), "F", _distance("stomion", "sublabiale")),
    M("sl_gn", "chin height", (31.5, 3.4), (26.5, 2.8), "F", _distance("sublabiale", "menton")),
    M("cph", "philtrum width", (11.8, 1.8), (10.4, 1.6), "F", _width("crista_philtri")),
    M("ear_len", "ear length", (64.2, 4.5), (59.4, 3.9), "A", _distance("superaurale", "subaurale")),
    M("ear_w", "ear breadth", (36.1, 3.0), (33.2, 2.8), "A", _ear_breadth),
    M("ear_prot", "ear protrusion", (21.5, 3.0), (19.0, 2.7), "A", _ear_protrusion),
    M("sa_t", "ear top above tragion", (29.0, 3.0), (27.0, 2.8), "R", _rise("tragion", "superaurale")),
    M("ear_att", "attached ear length", (51.0, 4.0), (47.0, 3.5), "R",
      _distance("otobasion_sup", "otobasion_inf")),
    M("ear_tilt", "ear tilt, deg", (20.0, 5.0), (19.0, 5.0), "R", _ear_tilt),
    M("nf", "nasofrontal angle", (139.0, 7.0), (142.5, 6.0), "R", _angle("glabella", "sellion", "pronasale")),
    M("nl", "nasolabial angle", (102.0, 10.0), (105.0, 9.8), "F",
      _angle("columella_mid", "subnasale", "labiale_superius")),
    M("ml", "mentolabial angle", (125.0, 12.0), (128.0, 11.0), "R",
      _angle("labiale_inferius", "sublabiale", "pogonion")),
    M("nfac", "nasofacial angle", (35.0, 4.0), (34.0, 4.0), "R", _nasofacial),
    M("conv", "facial convexity", (168.0, 5.0), (167.0, 5.0), "R",
      _angle("glabella", "subnasale", "pogonion")),
    M("convn", "total convexity", (141.0, 5.5), (142.0, 5.0), "R",
      _angle("glabella", "pronasale", "pogonion")),
    M("cme", "cervicomental angle", (126.0, 9.0), (121.0, 9.0), "R",
      _angle("menton", "cervical_point", "suprasternal_notch")),
    M("goang", "jaw angle", (128.0, 6.0), (131.0, 6.0), "R", _angle("tragion", "gonion", "gnathion")),
    M("dorsum", "dorsum to vertical, deg", (32.0, 4.0), (31.0, 4.0), "F", _dorsum_inclination),
    M("neck_w", "neck width", (122.0, 8.0), (103.0, 7.0), "R", _width("neck_lateral")),
    M("me_C", "under-chin length", (40.0, 6.0), (37.0, 6.0), "R", _distance("menton", "cervical_point")),
)  # fmt: skip


# Limits of a face: smallest and largest ratio of two measures. Source: union of the central 99 % of
# 4,000 draws of a scanned face space (ICT-FaceKit) and of the norms above with independent spreads.
PROPORTIONS: dict[tuple[str, str], tuple[float, float]] = {
    ("n_sn", "n_gn"): (0.38, 0.51), ("sn_sto", "sn_gn"): (0.24, 0.38), ("al_al", "en_en"): (0.77, 1.43),
    ("ch_ch", "al_al"): (1.10, 1.90), ("ex_ex", "zy_zy"): (0.56, 0.73), ("ch_ch", "ex_ex"): (0.46, 0.68),
    ("zy_zy", "eu_eu"): (0.81, 1.03), ("eu_eu", "g_op"): (0.69, 0.92), ("go_go", "zy_zy"): (0.66, 0.94),
    ("n_gn", "zy_zy"): (0.75, 0.98),
}  # fmt: skip
_BY_NAME = {m.name: m for m in MEASURES}


def disproportion(points: Points) -> float:
    """How far the worst of a head's `PROPORTIONS` is beyond its limits, as a share of their span (0: none).

    Raises:
        KeyError: a point that a measure needs is missing.
    """
    worst = 0.0
    for (a, b), (low, high) in PROPORTIONS.items():
        ratio = _BY_NAME[a].compute(points) / _BY_NAME[b].compute(points)
        worst = max(worst, (low - ratio) / (high - low), (ratio - high) / (high - low))
    return worst


def measure(points: Points) -> dict[str, float]:
    """Every measure of a head (mm, degrees) from its named points (metres, head frame).

    Raises:
        GeometryError: a point that some measure needs is missing.
    """
    try:
        return {m.name: m.compute(points) for m in MEASURES}
    except KeyError as error:
        raise GeometryError(
            f"no point named {error.args[0]!r}", where="measure", fix="give all points of the embedded head"
        ) from error


def deviations(points: Points, sex: str) -> dict[str, float]:
    """Each measure's distance from the published mean of `sex` ("men" or "women") in its SDs."""
    values = measure(points)
    return {m.name: (values[m.name] - getattr(m, sex)[0]) / getattr(m, sex)[1] for m in MEASURES}


def table(points: Points, sex: str) -> str:
    """One line per measure: value, published mean and spread of `sex`, distance from it in SDs."""
    values, off = measure(points), deviations(points, sex)
    rows = [f"{'measure':28} {'here':>7} {sex:>7}  {'SD':>4}  off by"]
    for m in MEASURES:
        mean, sd = getattr(m, sex)
        rows.append(f"{m.label:28} {values[m.name]:7.1f} {mean:7.1f}  {sd:4.1f}  {off[m.name]:+.2f} SD")
    return "\n".join(rows)
