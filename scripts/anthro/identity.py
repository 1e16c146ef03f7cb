"""Identity axes: what one standard deviation of each does to every vertex, and how they go together.

The moves of the named points stand in identity.yaml, spreads and correlations in spread.json.
"""

import json
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float

from .fields import EYEBALLS, MIRROR, MM, TEETH, Anatomy, rbf, smoothstep

HERE = Path(__file__).parent
SIZE_STEP = 0.016  # one standard deviation of overall size: what all measures share beside their own axes
SLACK = 1.0 * MM  # how tightly fields follow the authored moves
UPPER_MOUTH, LOWER_MOUTH = ("upper_teeth", "upper_gum"), ("lower_teeth", "lower_gum", "tongue")

# measure -> (kind, points): "width" 2 x, "length" distance, "height" vertical distance, "beyond" x difference
MEASURES = {
    "eu_eu": ("width", "euryon"),
    "g_op": ("length", "glabella", "opisthocranion"),
    "t_v": ("height", "vertex", "tragion"),
    "zy_zy": ("width", "zygion"),
    "se_me": ("length", "sellion", "menton"),
    "ipd": ("width", "eyeball_centre"),
    "ear_len": ("length", "superaurale", "subaurale"),
    "ear_prot": ("beyond", "helix_lateral", "otobasion_sup"),
    "neck_w": ("width", "neck_lateral"),
    "go_go": ("width", "gonion"),
    "n_sn": ("length", "nasion", "subnasale"),
    "sn_prn": ("length", "subnasale", "pronasale"),
    "al_al": ("width", "alare"),
    "ch_ch": ("width", "cheilion"),
    "ls_sto": ("length", "labiale_superius", "stomion"),
    "sto_li": ("length", "stomion", "labiale_inferius"),
    "sl_gn": ("length", "sublabiale", "menton"),
    "en_ex": ("length", "endocanthion", "exocanthion"),
}


def measure(name: str, points: dict[str, Float[np.ndarray, " 3"]]) -> float:
    """One published distance (m) between the named points of a head."""
    kind, *names = MEASURES[name]
    p = [points[n] for n in names]
    if kind == "width":
        return 2 * p[0][0]
    if kind == "beyond":
        return p[0][0] - p[1][0]
    return float(abs(p[0][1] - p[1][1]) if kind == "height" else np.linalg.norm(p[0] - p[1]))


def expand_groups(moves: dict, groups: dict[str, list[str]]) -> dict[str, list[float]]:
    """Moves with the groups' names replaced by their members'; named points override groups."""
    out = {}
    for name, move in moves.items():
        side, bare = ("right.", name[6:]) if name.startswith("right.") else ("", name)
        for point in groups.get(bare, [bare]):
            if bare not in groups or side + point not in moves:
                out[side + point] = move
    return out


def axis_field(anatomy: Anatomy, moves: dict, reach: float, odd: bool = False) -> Float[np.ndarray, "v 3"]:
    """Vertex moves (m) of one axis: skin by its handles, globes rigid, teeth and tongue by the teeth's."""
    head = anatomy.head
    centres, values = anatomy.handles(moves, reach * MM, -1 if odd else 1)
    delta = np.zeros_like(head.vertices)
    skin = head.vertices[anatomy.skin]
    softness = max(8.0, 0.7 * reach) * MM
    moved = centres[np.any(values, axis=1)]
    gap = np.linalg.norm(skin[:, None] - moved[None], axis=2).min(1)
    fade = 1 - smoothstep(gap, 1.2 * reach * MM, 2.4 * reach * MM)
    delta[anatomy.skin] = rbf(centres, values, skin, softness, SLACK) * fade[:, None]
    delta = _rigid_globes(anatomy, delta, rbf(centres, values, head.eye_centres, softness, SLACK))
    for parts, jaw in ((UPPER_MOUTH, "upper"), (LOWER_MOUTH, "lower")):
        tooth = [
            (anatomy.points[n], np.array(moves.get(n, [0, 0, 0])) * MM) for n in TEETH if n.startswith(jaw)
        ]
        flip = MIRROR * (-1 if odd else 1)
        tooth += [(p * MIRROR, m * flip) for p, m in tooth if abs(p[0]) > 1e-4]
        vertices = np.concatenate([head.part_vertices(p) for p in parts])
        at, shift = map(np.array, zip(*tooth, strict=True))
        delta[vertices] = rbf(at, shift, head.vertices[vertices], softness=20 * MM)
    delta = anatomy.wrap_globes(delta)
    even = anatomy.symmetric(delta)
    return delta - even if odd else even


def size_field(anatomy: Anatomy) -> Float[np.ndarray, "v 3"]:
    """Everything scaled about the origin, but the globes only carried along."""
    delta = SIZE_STEP * anatomy.head.vertices
    return anatomy.wrap_globes(_rigid_globes(anatomy, delta, SIZE_STEP * anatomy.head.eye_centres))


def build_identity(
    anatomy: Anatomy,
) -> tuple[list[str], Float[np.ndarray, "s v 3"], Float[np.ndarray, "s s"]]:
    """Names, vertex moves per standard deviation, and the Cholesky factor of the axes' correlations.

    Calibrated axes are scaled, and correlated, so that the heads drawn have the published spread
    and correlation of the calibrated measures within one sex; the other axes are independent.
    `sex` is the pooled population's: +1 the mean man, -1 the mean woman.
    """
    spec = yaml.safe_load((HERE / "identity.yaml").read_text())
    spread = json.loads((HERE / "spread.json").read_text())
    sex = anatomy.wrap_globes(_globes_with(anatomy, anatomy.head.sex_delta))
    fields = {"sex": sex, "size": size_field(anatomy)}
    for name, axis in spec["axes"].items():
        moves = expand_groups(axis["moves"], spec["groups"])
        fields[name] = axis_field(anatomy, moves, axis["reach"], axis.get("odd", False))
    names = list(fields)
    scale, correlation = _calibrate(anatomy, fields, spec["calibrated"], spread)
    deltas = np.stack([fields[n] * scale[i] for i, n in enumerate(names)])
    return names, deltas, np.linalg.cholesky(correlation)


def _calibrate(anatomy: Anatomy, fields: dict, calibrated: dict[str, str], spread: dict):
    """Scale (s) and correlation (s s) of the axes for the wanted covariance of the measures.

    With measures m = J c linear in the coefficients, the wanted covariance T less what the free
    axes bring leaves J_k C J_k' for the calibrated ones k, solved for C; weight and age stand for
    themselves. C's diagonal becomes the axes' scale.
    """
    names = list(fields)
    axes = [*calibrated, "body_mass", "age"]
    rows = [*calibrated.values(), "body_mass", "age"]
    slopes = [_measure_slopes(anatomy, fields[n], list(calibrated.values())) for n in names]
    jacobian = np.array(
        [row + [n == "body_mass", n == "age"] for n, row in zip(names, slopes, strict=True)], float
    ).T
    sd = np.array([np.mean(spread["sd"][m]) * MM for m in calibrated.values()] + [1, 1])
    order = [spread["names"].index(r) for r in rows]
    wanted = np.array(spread["correlation"])[np.ix_(order, order)] * np.outer(sd, sd)
    index = [names.index(a) for a in axes]
    free = [i for i, n in enumerate(names) if i not in index and n != "sex"]
    remainder = wanted - jacobian[:, free] @ jacobian[:, free].T
    unit = np.diag(1 / sd)
    remainder = _positive(unit @ remainder @ unit, 0.04)
    solve = np.linalg.inv(unit @ jacobian[:, index])
    covariance = solve @ remainder @ solve.T
    step = np.sqrt(np.diag(covariance))
    step[-2:] = 1.0  # weight and age are what they are
    scale = np.ones(len(names))
    scale[index] = step
    correlation = np.eye(len(names))
    spreads = np.sqrt(np.diag(covariance))
    correlation[np.ix_(index, index)] = covariance / np.outer(spreads, spreads)
    return scale, correlation


def _measure_slopes(anatomy: Anatomy, field: np.ndarray, measures: list[str]) -> list[float]:
    moves = anatomy.point_moves(field)
    moves["eyeball_centre"] = field[anatomy.head.part_vertices("left_eyeball")].mean(0)
    there = {n: p + moves[n] for n, p in anatomy.points.items()}
    back = {n: p - moves[n] for n, p in anatomy.points.items()}
    return [(measure(m, there) - measure(m, back)) / 2 for m in measures]


def _positive(matrix: np.ndarray, floor: float) -> np.ndarray:
    """Nearest-in-spirit positive definite matrix: eigenvalues below `floor` raised to it."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, floor)) @ vectors.T


def _rigid_globes(anatomy: Anatomy, delta: np.ndarray, moves: np.ndarray) -> np.ndarray:
    out = delta.copy()
    for part, move in zip(EYEBALLS, moves, strict=True):
        out[anatomy.head.part_vertices(part)] = move
    return out


def _globes_with(anatomy: Anatomy, delta: np.ndarray) -> np.ndarray:
    return _rigid_globes(anatomy, delta, [delta[anatomy.head.part_vertices(p)].mean(0) for p in EYEBALLS])
