"""Build the skin of the embedded head: one authored half, mirrored and welded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from synthforge.conventions import CLASS_FLIP

from .common import Part
from .skin_half import build_half
from .skin_labels import half_labels
from .skin_layout import HALF_DIFFERENCE, MEAN, OFF_SKIN
from .skin_mesh import half_skin


@dataclass
class SkinResult:
    """The skin and what expression authors need of it.

    sex_delta: v 3 metres, half the difference of men and women (neutral + sex_delta is the man);
    points: vertex index by point name (the subject's left; its mirror image has the suffix _right);
    labels: per-vertex fields in 0..1; loops: ordered vertex rows.
    """

    part: Part
    sex_delta: Float[np.ndarray, "v 3"]
    points: dict[str, int]
    labels: dict[str, Float[np.ndarray, " v"]]
    loops: dict[str, Int[np.ndarray, " n"]]


def build_skin() -> SkinResult:
    """The whole skin, left half first; deterministic."""
    skin = half_skin()
    half, sheets = build_half(skin)
    used, faces = np.unique(half.faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    new = np.full(len(half.vertices), -1)
    new[used] = np.arange(len(used))
    left = half.vertices[used]
    off_middle = left[:, 0] != 0.0
    mirror = np.arange(len(left))
    mirror[off_middle] = len(left) + np.arange(off_middle.sum())
    whole = np.concatenate([left, left[off_middle] * [-1, 1, 1]])

    corner = np.concatenate([half.corner_uv, (half.corner_uv * [-1, 1] + [1, 0])[:, ::-1]])
    uv, face_uvs = np.unique(np.round(corner.reshape(-1, 2), 9), axis=0, return_inverse=True)
    part = Part(
        vertices=whole / 1000,
        faces=np.concatenate([faces, mirror[faces][:, ::-1]]).astype(np.int32),
        uv=uv,
        face_uvs=face_uvs.reshape(-1, 3).astype(np.int32),
        face_class=np.concatenate([half.classes, CLASS_FLIP[half.classes]]),
        face_part=half.parts * 2,
    )
    labels = {n: f[used] for n, f in half_labels(skin, sheets, len(new)).items()}
    rows = {name: new[ids] for name, ids in skin.rows.items()}
    return SkinResult(
        part=part,
        sex_delta=_sex_delta(whole) / 1000,
        points=_points(left, mirror),
        labels=_both_sides(labels, mirror, len(whole)),
        loops=_loops(rows, mirror),
    )


def _loops(rows, mirror):
    """Lid margins (inner canthus, upper lid, outer canthus, lower lid) and lip rows, right to left corner."""
    margin = np.concatenate([rows["lid_upper"], rows["lid_lower"][::-1][1:-1]])
    out = {"lid_margin_left": margin, "lid_margin_right": mirror[margin]}
    lips = {"lip_upper_border": "lip_upper", "lip_lower_border": "lip_lower"}
    for name, row in (lips | {n: n for n in ("stomion_upper", "stomion_lower")}).items():
        out[name] = np.concatenate([mirror[rows[row]][::-1], rows[row][1:]])
    return out


def _both_sides(labels, mirror, count):
    """Labels of the whole head; those of paired parts become one field per side."""
    out = {}
    for name, left in labels.items():
        here, there = np.zeros(count), np.zeros(count)
        here[: len(left)] = left
        there[mirror] = left
        if name.endswith("lip"):
            out[name] = np.maximum(here, there)
        else:
            out[f"{name}_left"], out[f"{name}_right"] = here, there
    return out


def _sex_delta(whole: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Half the men-women difference (mm), spread from the named points by a biharmonic map of space."""
    at = np.array(list(MEAN.values()))
    delta = np.array([HALF_DIFFERENCE[n] for n in MEAN])
    at, delta = np.concatenate([at, at * [-1, 1, 1]]), np.concatenate([delta, delta * [-1, 1, 1]])
    _, first = np.unique(np.round(at, 2), axis=0, return_index=True)
    spread = RBFInterpolator(at[first], delta[first], kernel="linear", degree=1, smoothing=0.5)
    return (spread(whole) + spread(whole * [-1, 1, 1]) * [-1, 1, 1]) / 2


def _points(left, mirror):
    names = [n for n in MEAN if n not in OFF_SKIN]
    _, nearest = cKDTree(left).query(np.array([MEAN[n] for n in names]))
    out = dict(zip(names, map(int, nearest), strict=True))
    return out | {f"{n}_right": int(mirror[k]) for n, k in out.items() if MEAN[n][0] != 0}


def main() -> None:
    """Write a preview archive to build/anthro_skin.npz."""
    result = build_skin()
    folder = Path(__file__).resolve().parents[2] / "build"
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / "anthro_skin.npz",
        **vars(result.part),
        sex_delta=result.sex_delta,
        **{f"point_{k}": v for k, v in result.points.items()},
        **{f"label_{k}": v for k, v in result.labels.items()},
        **{f"loop_{k}": v for k, v in result.loops.items()},
    )


if __name__ == "__main__":
    main()
