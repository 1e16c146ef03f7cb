"""Z-buffer on the CPU: one pass finds each sample's triangle, a second the winners' barycentrics.

Edge functions are taken relative to the sample point, so that the two triangles at a shared edge
get exactly opposite values for it and no sample can fall between them.
"""

import numpy as np
from numba import njit

SLACK = 0.01  # pixels by which a row's candidates reach past the triangle; the exact test follows
NARROW = 4.0  # pixels; of triangles less wide than this the whole width is tried in every row


@njit(cache=True, inline="always")
def _edge(xp, yp, xq, yq, x, y):
    """Twice the signed area of (p, q, sample)."""
    return (xp - x) * (yq - y) - (yp - y) * (xq - x)


@njit(cache=True)
def _span(xa, ya, xb, yb, xc, yc, y):
    """Ends in x of the triangle on the line at `y`, which it reaches."""
    start, stop = np.inf, -np.inf
    for xp, yp, xq, yq in ((xa, ya, xb, yb), (xb, yb, xc, yc), (xc, yc, xa, ya)):
        if (yp < y and yq < y) or (yp > y and yq > y):
            continue
        if yp == yq:
            start, stop = min(start, xp, xq), max(stop, xp, xq)
        else:
            x = xp + (y - yp) * (xq - xp) / (yq - yp)
            start, stop = min(start, x), max(stop, x)
    return start, stop


@njit(cache=True)
def draw(points, faces, first, near, face_index, depth):
    """Draw triangles `first` and later into `face_index` (h w int32) and `depth` (h w float32).

    The smaller float32 depth wins, then the lower triangle index. A sample exactly on an edge
    belongs to both triangles.
    """
    height, width = face_index.shape
    for f in range(first, faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = points[i, 2], points[j, 2], points[k, 2]
        if not (za > near and zb > near and zc > near):
            continue
        xa, ya, xb, yb, xc, yc = (
            points[i, 0], points[i, 1], points[j, 0], points[j, 1], points[k, 0], points[k, 1]
        )  # fmt: skip
        left, right = min(xa, xb, xc), max(xa, xb, xc)
        top, bottom = min(ya, yb, yc), max(ya, yb, yc)
        if not (right >= 0.5 and left <= width - 0.5 and bottom >= 0.5 and top <= height - 0.5):
            continue
        row0 = int(np.ceil(max(top - 0.5, 0.0)))
        row1 = int(np.floor(min(bottom - 0.5, height - 1.0)))
        if row0 > row1 or np.ceil(left - 0.5) > np.floor(right - 0.5):
            continue
        area = _edge(xb, yb, xc, yc, xa, ya)
        if area == 0.0 or not np.isfinite(area):
            continue
        ia, ib, ic = 1.0 / za, 1.0 / zb, 1.0 / zc
        narrow = right - left < NARROW
        for row in range(row0, row1 + 1):
            y = row + 0.5
            start, stop = (left, right) if narrow else _span(xa, ya, xb, yb, xc, yc, y)
            col0 = int(np.ceil(max(max(start, left) - 0.5 - SLACK, 0.0)))
            col1 = int(np.floor(min(min(stop, right) - 0.5 + SLACK, width - 1.0)))
            for col in range(col0, col1 + 1):
                x = col + 0.5
                ea = _edge(xb, yb, xc, yc, x, y)
                eb = _edge(xc, yc, xa, ya, x, y)
                ec = _edge(xa, ya, xb, yb, x, y)
                if area < 0.0:
                    ea, eb, ec = -ea, -eb, -ec
                if ea < 0.0 or eb < 0.0 or ec < 0.0:
                    continue
                z = np.float32((ea + eb + ec) / (ea * ia + eb * ib + ec * ic))
                if z < depth[row, col]:
                    depth[row, col] = z
                    face_index[row, col] = f


@njit(cache=True)
def bins(places, size):
    """Samples sorted by square cells of `size` pixels: corner of the first cell, number of cells down and
    across, `order` (flat indices of samples, cell after cell) and where in it each cell starts."""
    low = np.array([places[:, :, 0].min(), places[:, :, 1].min()])
    across = int((places[:, :, 0].max() - low[0]) / size) + 1
    down = int((places[:, :, 1].max() - low[1]) / size) + 1
    flat = places.reshape(-1, 2)
    cell = np.empty(flat.shape[0], np.int64)
    starts = np.zeros(down * across + 1, np.int64)
    for n in range(flat.shape[0]):
        cell[n] = int((flat[n, 1] - low[1]) / size) * across + int((flat[n, 0] - low[0]) / size)
        starts[cell[n] + 1] += 1
    starts = np.cumsum(starts)
    order, filled = np.empty(flat.shape[0], np.int64), starts.copy()
    for n in range(flat.shape[0]):
        order[filled[cell[n]]] = n
        filled[cell[n]] += 1
    return low, down, across, order, starts


@njit(cache=True)
def draw_at(places, points, faces, first, near, face_index, depth):
    """`draw` with the samples anywhere: at `places` (h w 2) instead of pixel centres."""
    size = 2.0
    low, down, across, order, starts = bins(places, size)
    flat, flat_index, flat_depth = places.reshape(-1, 2), face_index.reshape(-1), depth.reshape(-1)
    for f in range(first, faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = points[i, 2], points[j, 2], points[k, 2]
        if not (za > near and zb > near and zc > near):
            continue
        xa, ya, xb, yb, xc, yc = (
            points[i, 0], points[i, 1], points[j, 0], points[j, 1], points[k, 0], points[k, 1]
        )  # fmt: skip
        left, right = (min(xa, xb, xc) - low[0]) / size, (max(xa, xb, xc) - low[0]) / size
        top, bottom = (min(ya, yb, yc) - low[1]) / size, (max(ya, yb, yc) - low[1]) / size
        if not (right >= 0 and left < across and bottom >= 0 and top < down):
            continue
        area = _edge(xb, yb, xc, yc, xa, ya)
        if area == 0.0 or not np.isfinite(area):
            continue
        ia, ib, ic = 1.0 / za, 1.0 / zb, 1.0 / zc
        col0, col1 = int(max(left, 0.0)), int(min(right, across - 1.0))
        for row in range(int(max(top, 0.0)), int(min(bottom, down - 1.0)) + 1):
            for at in range(starts[row * across + col0], starts[row * across + col1 + 1]):
                n = order[at]
                x, y = flat[n, 0], flat[n, 1]
                ea = _edge(xb, yb, xc, yc, x, y)
                eb = _edge(xc, yc, xa, ya, x, y)
                ec = _edge(xa, ya, xb, yb, x, y)
                if area < 0.0:
                    ea, eb, ec = -ea, -eb, -ec
                if ea < 0.0 or eb < 0.0 or ec < 0.0:
                    continue
                z = np.float32((ea + eb + ec) / (ea * ia + eb * ib + ec * ic))
                if z < flat_depth[n]:
                    flat_depth[n] = z
                    flat_index[n] = f


@njit(cache=True)
def barycentrics(points, faces, first, face_index, places, out):
    """Write perspective-correct barycentric coordinates (h w 3 float32) of winners `first` and later.

    `places` (h w 2) are those of the samples, or empty where they are at pixel centres.
    """
    height, width = face_index.shape
    for row in range(height):
        for col in range(width):
            f = face_index[row, col]
            if f < first:
                continue
            x, y = col + 0.5, row + 0.5
            if places.size:
                x, y = places[row, col, 0], places[row, col, 1]
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            xa, ya, za = points[i, 0], points[i, 1], points[i, 2]
            xb, yb, zb = points[j, 0], points[j, 1], points[j, 2]
            xc, yc, zc = points[k, 0], points[k, 1], points[k, 2]
            wa = _edge(xb, yb, xc, yc, x, y) / za
            wb = _edge(xc, yc, xa, ya, x, y) / zb
            wc = _edge(xa, ya, xb, yb, x, y) / zc
            scale = 1.0 / (wa + wb + wc)
            out[row, col, 0] = wa * scale
            out[row, col, 1] = wb * scale
            out[row, col, 2] = wc * scale
