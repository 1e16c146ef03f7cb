"""Strands found again in ribbons, and the fibres that fill them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.generators.geometry.worn import WornMesh
from synthforge.generators.hair.ribbons import strands_of
from synthforge.generators.mitsuba.scene import fibre_points

ONES = np.ones(3, np.float32)


def ribbons(counts: list[int], seed: int) -> tuple[WornMesh, list[np.ndarray], list[np.ndarray]]:
    """A mesh of ribbons with as many points as told, their centre lines and half widths."""
    rng = np.random.default_rng(seed)
    lines, sides, vertices, faces = [], [], [], []
    start = 0
    for n in counts:
        line, side = rng.normal(size=(n, 3)), 1e-3 * rng.normal(size=(n, 3))
        vertices.append(np.stack([line - side, line + side], 1).reshape(-1, 3))
        i = start + 2 * np.arange(n - 1)
        faces += [np.stack([i, i + 1, i + 3], -1), np.stack([i, i + 3, i + 2], -1)]
        lines.append(line)
        sides.append(side)
        start += 2 * n
    points = np.concatenate(vertices).astype(np.float32)
    albedo = np.repeat(rng.random((len(counts), 3)), 2 * np.array(counts), 0).astype(np.float32)
    mesh = WornMesh(points, np.concatenate(faces).astype(np.int32), 13, albedo, points, "hair")
    return mesh, lines, sides


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.integers(0, 99))
def test_centre_lines_come_back(counts, seed):
    mesh, lines, sides = ribbons(counts, seed)
    found = strands_of(mesh)
    assert np.diff(found.starts).tolist() == counts
    np.testing.assert_allclose(found.points, np.concatenate(lines), atol=1e-6)
    np.testing.assert_allclose(found.side, np.concatenate(sides), atol=1e-6)
    np.testing.assert_allclose(found.albedo, mesh.albedo[2 * found.starts[:-1]], atol=1e-6)


def test_sheets_are_no_ribbons():
    grid = np.zeros((6, 3), np.float32)
    fan = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]], np.int32)
    assert strands_of(WornMesh(grid, fan, 13, grid, grid, "hair")) is None
    assert strands_of(WornMesh(grid[:0], fan[:0], 13, grid[:0], grid[:0], "hair")) is None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(2, 7), min_size=1, max_size=5), st.integers(0, 99))
def test_fibres_reach_both_ends_and_fill_the_width(counts, seed):
    strands = strands_of(ribbons(counts, seed)[0])
    points, n_points = fibre_points(strands, np.arange(len(counts)))
    fibres = np.split(points, np.cumsum(n_points)[:-1])
    side_by_side = len(fibres) // len(counts)
    for i in range(len(counts)):
        mine = fibres[i :: len(counts)]
        at = slice(strands.starts[i], strands.starts[i + 1])
        middle = np.mean([f[:, :3] for f in mine], 0)
        np.testing.assert_allclose(middle, strands.points[at], atol=1e-6)
        assert len(mine) == side_by_side
        width = sum(2 * f[0, 3] for f in mine)
        np.testing.assert_allclose(width, 2 * np.linalg.norm(strands.side[at][0]), rtol=1e-5)
