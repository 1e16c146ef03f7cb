"""Authored feature curves and shape points of one half of the head (millimetres, mean of men and women).

Every entry of a curve is a named point, (x, y, z), or either of these with its place (s, t) on the flat
layout, `at(entry, s, t)`: s is the azimuth times 75 mm, t the height,
stretched where the surface turns under
(nose floor, chin, shoulders). Entries without a place take the natural one of `skin_layout.natural_place`.
Anatomical sizes follow Farkas (1994), ANSUR II (2012) and the proportions restated in points.json.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class At:
    """A knot with an explicit place on the layout."""

    knot: object
    s: float
    t: float


at = At

# fmt: off
# Places of named points on the layout where the natural one would fold or crowd.
PLACES = {
    "rhinion": (0, 13.5), "mid_dorsum": (0, 4.5), "supratip": (0, -2), "pronasale": (0, -8.5),
    "columella_apex": (0, -14), "columella_mid": (0, -19), "subnasale": (0, -23.3),
    "dorsum_edge": (5, 14), "nose_side_wall": (11, 1), "supra_alar_crease": (12.2, -5.5),
    "tip_dome": (5, -8.6), "alare": (16.3, -13), "alar_curvature": (18.8, -13.6), "subalare": (15.5, -22),
    "nostril_top": (5.6, -13.2), "nostril_sill": (9.6, -20.6), "nostril_lateral": (11, -15.6),
    "nostril_medial": (3.6, -17.5), "nasolabial_top": (21.5, -13.8), "maxillofrontale": (7.5, 24.2),
    "pogonion": (0, -71), "gnathion": (0, -87), "menton": (0, -96), "submental_mid": (0, -113),
    "cervical_point": (0, -129), "laryngeal_prominence": (0, -155), "suprasternal_notch": (0, -194),
    "mental_tubercle": (14, -85), "prejowl": (27, -81), "jaw_mid_body": (51, -77), "gonion": (89, -63),
    "scm_mid": (97, -93), "neck_lateral": (122, -112), "trapezius_root": (135, -152),
    "cervicale_C7": (235.62, -146), "nape_hairline_lat": (181, -71),
}

# name -> (knots, spacing of samples in mm). These lines become rows of mesh vertices.
CURVES = {
    "throat": (
        [at((0, -212, 43), 0, -252), at((0, -186, 33.5), 0, -222),
         "suprasternal_notch", at((0, -140, 27.5), 0, -174),
         "laryngeal_prominence", at((0, -110, 37.5), 0, -142),
         "cervical_point", "submental_mid", "menton"], 5),
    "chin": (
        ["menton", "gnathion", "pogonion", "sublabiale", "labiale_inferius", "lower_lip_front",
         at((0, -47.6, 102), 0, -48), at((0, -43.85, 98.3), 0, -45.2)], 1.8),
    "face": (
        [at((0, -43.75, 98.3), 0, -43.6), at((0, -41.1, 103.9), 0, -41), at("upper_lip_front", 0, -38.4),
         "labiale_superius", "philtrum_mid", "subnasale", "columella_mid", "columella_apex", "pronasale",
         "supratip", "mid_dorsum", "rhinion", "sellion", "nasion", "glabella"], 1.7),
    "crown": (["glabella", "metopion", "trichion", "bregma", "vertex"], 6),
    "back": (
        ["vertex", "whorl", "lambda", "opisthocranion", "inion", "nuchal_concavity",
         at((0, -95, -78), 235.62, -105), "cervicale_C7", at((0, -170, -112), 235.62, -205),
         at((0, -202, -124), 235.62, -252)], 8.5),
    "hem": (
        [at((0, -212, 43), 0, -252), at((45, -210, 40), 45, -252), at((92, -204, 20), 85, -252),
         at((130, -196, -12), 112, -252), at((146, -190, -48), 132, -252), at((128, -190, -92), 156, -252),
         at((90, -194, -116), 180, -252), at((45, -200, -125), 206, -252), at((0, -202, -124),
         235.62, -252)], 12),
    "lid_upper": (
        ["endocanthion", (19, 20.9, 80.2), "lid_up_med", (27, 25.9, 82.7), "palpebrale_sup", (36, 26.6, 83),
         "lid_up_lat", (42.6, 22.5, 77.4), "exocanthion"], 1.2),
    "lid_lower": (
        ["endocanthion", (19, 18.3, 81.4),
         "lid_low_med", "palpebrale_inf", "lid_low_lat", "exocanthion"], 1.2),
    "stomion_upper": (
        [at((0, -43.75, 98.3), 0, -43.6), at((6, -43.1, 97.6), 5, -43.4), at((13, -43.4, 94.8), 11, -43.8),
         at((19, -43.6, 90.8), 16, -44.3), at((23.3, -43.5, 87), 20, -45)], 1.5),
    "stomion_lower": (
        [at((0, -43.85, 98.3), 0, -45.2), at((6, -43.2, 97.6), 5, -45.2), at((13, -43.5, 94.8), 11, -45.4),
         at((19, -43.7, 90.8), 16, -45.7), at((23.3, -43.5, 87), 20, -45)], 1.5),
    "lip_upper": (
        ["labiale_superius", (2.6, -37.2, 104.4), "crista_philtri", (10, -37.8, 101.2), "upper_verm_lat",
         at((21, -41.4, 93), 17.4, -42.2), at("cheilion", 22.4, -45.2)], 1.6),
    "lip_lower": (
        ["labiale_inferius", (8, -52.7, 100), "lower_verm_lat", at((22, -46.8, 91.3), 18, -48.4),
         at("cheilion", 22.4, -45.2)], 1.7),
    "nostril": (
        ["nostril_top", at((10.6, -16.2, 106.4), 8.8, -13.6), "nostril_lateral",
         at((12.6, -18.6, 97.8), 11.6, -18.4), "nostril_sill", at((6.2, -20, 98.6), 6, -20.3),
         "nostril_medial",
         at((4.4, -17.5, 107), 4.2, -14.8), "nostril_top"], 1.7),
    "ear_front": (
        ["otobasion_sup", (71.5, 13, 1.5), (70.8, 6, 3.2), (69.9, 0.5, 4.2), (68.8, -7, 5), (67.6, -14, 5),
         (66.4, -22, 5.2), "otobasion_inf"], 2.2),
    "ear_back": (
        ["otobasion_sup", (75.2, 19.8, -8), (75, 17, -13.5), (72.8, 10, -18), (70, 1, -20.5), (67, -9, -20),
         (64.8, -18, -16), (63.6, -26, -9), (64, -29.8, -2), "otobasion_inf"], 1.9),
}

# Feature curves: shape the surface and carry a row of vertices, but are no border.
FEATURES = {
    "lid_crease": (
        [(18.6, 22.4, 81), (23, 26.9, 81.6), (30.5, 30.4, 82.7), (36.5, 29.6, 81.4), (43, 26.2, 77),
         (47.5, 22, 72.2)], 1.9),
    "lid_fold": (
        [(17.5, 25.5, 83), (22.5, 28.9, 84.2), (30.5, 32, 85.4), (37.5, 31.4, 83.4), (44.5, 27.8, 78.2),
         (49.5, 22.5, 71)], 2.2),
    "lid_cheek": (
        ["tear_trough_med", (22, 9.6, 83), "lid_cheek_junction", (40, 11, 77.6), (48, 15.5, 71.5)], 3),
    "orbit_low": ([(22, 4, 84), "orbitale", (41, 5.5, 79), (49, 10.5, 72.6)], 3.5),
    "lip_upper_crest": (
        [at("upper_lip_front", 0, -38.4), at((6, -38.7, 104), 4.6, -38.2), at((12, -40.3, 101), 9.8, -39.6),
         at((17.2, -41.2, 96.8), 14.3, -41.6), at((20.4, -42, 93.4), 17, -43.2)], 1.9),
    "lip_lower_crest": (
        ["lower_lip_front", at((7, -50.8, 101.8), 5.6, -51), at((13, -50, 99.4), 10.7, -49.9),
         at((17.6, -47.6, 95.8), 14.6, -48.7), at((20.6, -45.7, 92.9), 17, -47.3)], 1.9),
    "lip_upper_mid": (
        [at((0, -41.1, 103.9), 0, -41), at((6, -40.9, 103.1), 4.8, -40.9), at((12.6, -41.9, 99.9),
         10.3, -41.9),
         at((18.4, -42.7, 94.8), 15.2, -43.3)], 1.9),
    "lip_lower_mid": (
        [at((0, -47.6, 102), 0, -48), at((7, -47.1, 101.2), 5.7, -47.9), at((13.4, -46.2, 98.4), 11, -47.6),
         at((19, -44.9, 93.4), 15.6, -47)], 1.9),
    "lid_low_bulge": (
        [(18.5, 15.6, 82.6), (24, 14.2, 82.8), (32, 13, 82.6), (39, 14.4, 79.8), (44.5, 17.8, 75)], 2.4),
    "mentolabial": (["sublabiale", (8, -62, 94.2), (16, -59.8, 91.6), (24, -57.5, 88)], 3),
    "alar_groove": (
        [at((11.4, -5.4, 102.2), 9.8, -5.4), "supra_alar_crease", at((15.9, -8.8, 91.9), 16.6, -8.2),
         at((16.7, -12, 90.2), 18.6, -11), "alar_curvature",
         at((16.2, -19, 90.4), 18.2, -18.8), "subalare"], 1.7),
    "wing": (
        [at((8.6, -10.6, 111), 7.4, -9), at((13, -10, 104.3), 10.6, -9.2), at((16.3, -10.9, 98.3),
         14, -10.4),
         "alare", at((16.6, -17.8, 93.2), 16.4, -17.6)], 1.9),
    "wing_rim": (
        [at((7.6, -15.6, 112.2), 6.6, -11.7), at((11.4, -15.4, 107), 9.2, -12.1), at((14.4, -16, 101.6),
         12.6, -14.4),
         at((15.6, -18.6, 96), 14.2, -17.6), at((14, -21.3, 94), 13.2, -20.8)], 1.7),
    "columella_edge": (
        [at((3, -16.9, 113.4), 3, -11.6), at((2.7, -18.9, 108.9), 2.6, -15.5),
         at((2.7, -20.4, 104.3), 2.5, -18.8),
         at((4, -22, 100.6), 4.5, -22)], 2),
    "dorsum": (
        [(6.4, 33.5, 92.4), at("maxillofrontale", 7.5, 24.2), at("dorsum_edge", 5, 14),
         at((6.2, 3.5, 104.6), 5, 4.5),
         at((6.4, -4.6, 110.6), 5, -2.6), "tip_dome"], 2.8),
    "nose_side": (
        ["sellion", (4.6, 26.4, 91.1), "maxillofrontale", (12, 19, 85), (12.6, 11, 87.8), "nose_side_wall",
         at((14.6, -2.6, 93.8), 12.6, -2.4), "supra_alar_crease"], 2.6),
    "nose_base": (
        ["subnasale", at((4.6, -23.1, 100), 4.8, -23.6), at((10, -22.6, 95.6), 10.4, -23.2),
         "subalare"], 1.9),
    "philtral_column": (
        [at((3.4, -24.6, 100.9), 3.4, -25), "philtral_column_mid", "crista_philtri"], 2.2),
    "jaw": (
        ["menton", at((8, -89, 85.5), 8.5, -94.5), at((17, -86.4, 83.6), 17, -90.5), at((28.5, -81, 75),
         31, -84.5),
         at((43.3, -74.5, 55), 52, -79), at((51.5, -68.5, 38), 71, -70), at((55, -62.5, 21.5), 90, -64),
         at((57, -52, 10), 102, -53), at((60, -38, 2), 112, -39)], 5),
    "brow_ridge": (
        [(6, 41, 94.6), (14, 39, 92.6), (22, 38.6, 90.6), "supraorbital_rim", (40, 38.4, 84.4),
         (47, 36.6, 79.6),
         "frontozygomatic"], 4),
}

# Rows of vertices given on the layout alone: knots (s, t), spacing in mm.
ROWS = {"nape": ([(112, -39), (132, -40), (152, -39), (182, -49), (235.619449, -58.5)], 6.5)}

# Shape points without a row of vertices.
SHAPE = [
    # forehead, temple, cranium
    (15, 55, 92.6), (45, 62, 74), (17, 94, 72.6), (30, 110, 40), (62, 45, 56),
    (74, 45, 10), (72, 70, -8), (68.5, 22, 20), (45, 115, -5), (50, 108, -40), (30, 118, -45),
    (42, 90, -74),
    (62, 60, -62), (40, 51, -88.5), (66, 45, -55), (60, 15, -60), (40, 10, -82), (70, 30, -35),
    (66, -5, -36),
    (73.6, 30, -8),
    # cheek, face side
    (24, -2, 87), (28, -14, 86.2), (46, -8, 79), (62, 5, 58), (69.5, 6, 34), (56, -14, 69), (64, -20, 45),
    (65.6, -22, 20), (62.5, -42, 42), (46, -50, 70), (40, -58, 72), (33, -38, 85), (26, -34, 89.6),
    (16, -29, 95.6), (18, 0.6, 88.8), (60.5, 14, 60), (67, 20, 40), (13, 16.8, 84.2),
    # chin
    (9, -71.5, 94.6), (17, -72, 89.4), (24, -67, 86.4), (9, -82, 94.4), (10, -57, 97.2), (37, -70, 75),
    (51, -62, 51),
    # behind the jaw, under the chin, neck
    at((62, -24, -3), 119, -26), at((59.5, -44, -9), 124, -45),
    at((20, -93, 62), 24, -111), at((18, -98, 45.5), 24, -129), at((38, -83, 43), 52, -97),
    at((33, -95, 32), 45, -125), at((50, -76, 25), 80, -83), at((45, -90, 18), 72, -112),
    at((54, -62, -2), 112, -70), at((55.5, -78, -12), 122, -88), at((52.5, -80, -35), 148, -88),
    at((47, -100, -55), 172, -113), at((28, -95, -73), 200, -108), at((25, -62, -68), 205, -66),
    at((54, -55, -40), 160, -56), at((45, -25, -66), 186, -27), at((22, -20, -84), 212, -20),
    at((14, -124, 28.6), 18, -155), at((22, -126, 21), 32, -156), at((30, -123, 17.5), 44, -152),
    at((43, -118, 4), 72, -146), at((39, -105, 14), 62, -134), at((53, -118, -20), 110, -142),
    at((60, -117, -36), 138, -136), at((50, -124, -64), 178, -138), at((28, -128, -83), 205, -145),
    at((11, -140, 24.5), 15, -174), at((21, -142, 19.5), 31, -174), at((33, -140, 9), 52, -172),
    at((50, -138, -8), 84, -170), at((66, -138, -22), 108, -172),
    at((13, -158, 22.5), 14, -192), at((30, -158, 17), 33, -192), at((55, -154, 8), 62, -192),
    at((88, -150, -12), 95, -195), at((106, -147, -42), 130, -188), at((90, -143, -75), 160, -188),
    at((45, -148, -99), 200, -188), at((22, -172, 28.5), 20, -206), at((62, -168, 20), 64, -212),
    at((45, -184, 32), 45, -224), at((96, -168, 2), 92, -218), at((128, -160, -44), 131, -216),
    at((110, -158, -88), 158, -216), at((60, -166, -112), 196, -216),
]
