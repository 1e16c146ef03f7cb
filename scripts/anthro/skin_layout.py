"""The flat layout of the half head and the smooth map from the layout to space."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from .common import spline
from .skin_curves import CURVES, FEATURES, PLACES, SHAPE, At

RADIUS = 75.0  # of the reference capsule, mm
KNEE = 40.0  # height above which the capsule is a hemisphere
MIDLINE = ("throat", "chin", "face", "crown", "back")
TOP = KNEE + RADIUS * np.pi / 2

TABLE = json.loads((Path(__file__).parent / "points.json").read_text())
MEAN = {k: (np.array(v["men"]) + v["women"]) / 2 for k, v in TABLE.items()}
HALF_DIFFERENCE = {k: (np.array(v["men"]) - v["women"]) / 2 for k, v in TABLE.items()}
SOFTNESS = (0.02, 2.0, 3.0, 15.0)  # of borders, feature curves, named points, shape points
OFF_SKIN = (
    "eyeball_centre corneal_apex pupil_plane_centre upper_incisor_edge lower_incisor_edge upper_canine_tip "
    "upper_first_molar lower_first_molar condyle_lateral_pole condyle_centre hyoid_body"
).split()
BY_CURVES = ("upper_lid_crease", "stomion")  # placed by the curves around them alone
ON_EAR = (
    "tragion tragus_tip intertragic_notch antitragus superaurale subaurale postaurale helix_lateral "
    "concha_deep antihelix crus_helicis"
).split()


def natural_place(p: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
    """(s, t) of points in mm: azimuth about the leaning axis, height below KNEE, elevation above it."""
    x, y, z = p.T
    axis = np.interp(y, [-165, -125, -95, -60, 0, 130], [-35, -28, -12, -3, 0, -12])
    azimuth = np.arctan2(x, z - axis)
    reach = np.hypot(x / 75.5, (z + 2) / 97)
    rise = RADIUS * np.arctan2((y - KNEE) / 88.75, np.maximum(reach, 1e-9))
    t = np.where(y < KNEE, y, KNEE + np.where(reach < 0.12, RADIUS * np.pi / 2, rise))
    return np.stack([RADIUS * azimuth, t], 1)


def capsule(st: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Layout to the reference capsule, where the pole and the midline are ordinary points."""
    s, t = st.T
    phi = np.maximum(t - KNEE, 0) / RADIUS
    ring = RADIUS * np.cos(phi)
    y = np.minimum(t, KNEE) + RADIUS * np.sin(phi)
    return np.stack([ring * np.sin(s / RADIUS), y, ring * np.cos(s / RADIUS)], 1)


def plane(st: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Layout to the plane of triangulation: sinusoidal above KNEE, so the pole is one point."""
    s, t = st.T
    squeeze = np.cos(np.clip(t - KNEE, 0, None) / RADIUS)
    return np.stack([(s - RADIUS * np.pi / 2) * squeeze, t], 1)


def unplane(p: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Inverse of `plane` (the pole maps to its middle)."""
    squeeze = np.cos(np.clip(p[:, 1] - KNEE, 0, None) / RADIUS)
    return np.stack([p[:, 0] / np.maximum(squeeze, 1e-9) + RADIUS * np.pi / 2, p[:, 1]], 1)


def knot(entry) -> tuple[np.ndarray, np.ndarray]:
    """Position (mm) and place of one authored entry."""
    place = None
    if isinstance(entry, At):
        place, entry = np.array([entry.s, entry.t], float), entry.knot
    if isinstance(entry, str):
        if place is None and entry in PLACES:
            place = np.array(PLACES[entry], float)
        entry = MEAN[entry]
    p = np.asarray(entry, float)
    return p, natural_place(p[None])[0] if place is None else place


def sample_curve(knots, step: float) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 2"]]:
    """Positions and places of samples of an authored curve, about `step` mm apart."""
    p, st = (np.array(c) for c in zip(*map(knot, knots), strict=True))
    both = spline(np.c_[p, st], step)
    return both[:, :3], both[:, 3:]


def curves() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All authored curves, sampled; midline curves lie exactly at x = 0."""
    out = {name: sample_curve(*spec) for name, spec in (CURVES | FEATURES).items()}
    for name, s in (*((n, 0.0) for n in MIDLINE[:-1]), ("back", RADIUS * np.pi)):
        out[name][0][:, 0], out[name][1][:, 0] = 0.0, s
    return out


def surface(sampled: dict) -> RBFInterpolator:
    """Thin-plate map capsule -> millimetres through all curves, named points and shape points."""
    named = [n for n in TABLE if n not in (*OFF_SKIN, *ON_EAR, *BY_CURVES)]
    groups = [
        [c for name, c in sampled.items() if name in CURVES],
        [c for name, c in sampled.items() if name in FEATURES],
        [(p[None], place[None]) for p, place in map(knot, named)],
        [(p[None], place[None]) for p, place in map(knot, SHAPE)],
    ]
    p = np.concatenate([c[0] for group in groups for c in group])
    ref = capsule(np.concatenate([c[1] for group in groups for c in group]))
    soft = np.repeat(SOFTNESS, [sum(len(c[0]) for c in group) for group in groups])
    ref, p = np.concatenate([ref, ref * [-1, 1, 1]]), np.concatenate([p, p * [-1, 1, 1]])
    _, first = np.unique(np.round(ref, 1), axis=0, return_index=True)
    first.sort()
    return RBFInterpolator(
        ref[first], p[first], kernel="thin_plate_spline", smoothing=np.tile(soft, 2)[first]
    )
