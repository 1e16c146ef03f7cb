"""Smooth fields that tell expression authors which skin belongs to which lip, lid and ear."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from .common import inside
from .skin_mesh import HalfSkin, hole_outline

LIP_REACH, LID_REACH, EAR_REACH = 14.0, 9.0, 9.0  # how far a label spreads over the skin, mm on the layout
SOCKET_FADE = np.array([1, 1, 1, 0.8, 0.4])  # label along the socket's rows, 0 after


def _ease(x):
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def half_labels(
    skin: HalfSkin, sheets: dict[str, np.ndarray], count: int
) -> dict[str, Float[np.ndarray, " v"]]:
    """Labels of the `count` vertices of the left half: upper_lip, lower_lip, upper_lid, lower_lid, ear."""
    out = {name: np.zeros(count) for name in ("upper_lip", "lower_lip", "upper_lid", "lower_lid", "ear")}
    for field, on_skin in zip(out.values(), [*_lips(skin), *_lids(skin), _near(skin, "ear")], strict=True):
        field[: len(on_skin)] = on_skin
    _fill_bag(out, sheets["bag"][1:])
    _fill_socket(out, sheets["socket"][1:], len(skin.rows["lid_upper"]))
    out["ear"][sheets["ear"]] = 1.0
    return out


def _far(skin, curve, reach):
    return _ease(1 - cKDTree(curve).query(skin.places)[0] / reach)


def _near(skin, hole):
    row = {name: skin.places[ids] for name, ids in skin.rows.items()}
    return _far(skin, hole_outline(row, hole), EAR_REACH)


def _lips(skin):
    """Upper and lower; the side is the side of the parting line, blurred beyond the corner."""
    place = skin.places
    row = {name: place[ids] for name, ids in skin.rows.items()}
    upper, lower = row["stomion_upper"], row["stomion_lower"]
    parting = np.interp(place[:, 0], upper[:, 0], (upper[:, 1] + lower[:, 1]) / 2)
    blur = np.maximum(place[:, 0] - upper[-1, 0], 0) * 0.8 + 1e-3
    above = _ease(0.5 + (place[:, 1] - parting) / (2 * blur))
    above[skin.rows["stomion_upper"][-1]] = 0.5
    for name, side in (("upper", above), ("lower", 1 - above)):
        border, inner = row[f"lip_{name}"], row[f"stomion_{name}"]
        near = _far(skin, np.concatenate([border, row[f"lip_{name}_crest"], inner]), LIP_REACH)
        near[inside(place, np.concatenate([border, inner[::-1]]) + [1e-6, 0])] = 1.0
        near[skin.rows[f"lip_{name}"]] = near[skin.rows[f"stomion_{name}"]] = 1.0
        yield near * side


def _lids(skin):
    """Upper and lower; the side is the side of the line through the canthi, blurred beyond them."""
    place = skin.places
    upper, lower = skin.rows["lid_upper"], skin.rows["lid_lower"]
    en, ex = place[upper[0]], place[upper[-1]]
    along = (place - en) @ (ex - en) / ((ex - en) @ (ex - en))
    over = place[:, 1] - (en[1] + (ex[1] - en[1]) * np.clip(along, 0, 1))
    above = _ease(0.5 + over / (2 * np.where((along > 0) & (along < 1), 1e-3, 4.0)))
    above[upper], above[lower] = 1.0, 0.0
    above[upper[[0, -1]]] = 0.5
    yield _far(skin, place[upper], LID_REACH) * above
    yield _far(skin, place[lower], LID_REACH) * (1 - above)


def _fill_bag(out, rows):
    n = rows.shape[1]
    upper = np.clip(n // 2 - np.arange(n), -1, 1) / 2 + 0.5
    out["upper_lip"][rows] = upper
    out["lower_lip"][rows] = 1 - upper


def _fill_socket(out, rows, n_upper):
    column = np.arange(rows.shape[1])
    upper = np.where((column == 0) | (column == n_upper - 1), 0.5, column < n_upper)
    fade = np.zeros((len(rows), 1))
    fade[: len(SOCKET_FADE), 0] = SOCKET_FADE
    out["upper_lid"][rows] = fade * upper
    out["lower_lid"][rows] = fade * (1 - upper)
