"""Labels of neural images: the mesh's where the mesh is seen, the volume's elsewhere."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.annotate.volume import depth_normals, with_volume
from synthforge.conventions import CLASS_ID, IGNORE
from synthforge.types import Camera, Frame, VolumeView
from tests.annotate.scenes import label, posed, view
from tests.helpers.tiny_head import tiny_head

SIZE, SMALL = 128, 32


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9), st.floats(0.5, 2))
def test_normals_of_a_planes_depth_are_the_planes(a, b, distance):
    f = 300.0
    camera = Camera(np.array([[f, 0, 32], [0, f, 32], [0, 0, 1.0]]), np.eye(4), (64, 64))
    v, u = (np.mgrid[:64, :64] + 0.5 - 32) / f
    depth = distance / (1 - a * u - b * v)  # the plane z = distance + a x + b y
    normals = depth_normals(depth, camera)[1:-1, 1:-1]
    want = np.array([a, b, -1]) / np.sqrt(1 + a * a + b * b)
    np.testing.assert_allclose(normals, np.broadcast_to(want, normals.shape), atol=1e-3)


def scene() -> tuple[Frame, np.ndarray, np.ndarray]:
    """Labels of a bare head from the mesh alone, and its depth and coverage as a volume would show them."""
    head = tiny_head()
    params, vertices = posed(head, view(SIZE))
    frame = label(head, params, vertices)
    there = np.isfinite(frame.depth)

    def shrink(image):
        return image.reshape(SMALL, SIZE // SMALL, SMALL, SIZE // SMALL).mean((1, 3))

    alpha = shrink(frame.alpha / 255)
    depth = shrink(np.where(there, frame.depth, 0)) / np.maximum(shrink(there.astype(float)), 1e-6)
    return frame, depth.astype(np.float32), alpha.astype(np.float32)


def test_a_volume_that_is_the_mesh_changes_nothing_inside():
    frame, depth, alpha = scene()
    out = with_volume(frame, VolumeView(alpha, depth + np.float32(0.003), 0.003))
    inside = np.isfinite(frame.depth) & (frame.alpha == 255)
    for name in ("segmentation", "depth", "normals", "landmarks_visible"):
        a, b = getattr(out, name), getattr(frame, name)
        equal = a == b if a.shape == (68,) else (a[inside] == b[inside])
        assert equal.mean() > 0.98, name
    assert (out.soft_masks["hair_or_other"][inside] < 128).all()
    assert (out.segmentation_bare == frame.segmentation_bare).all()
    assert not (out.alpha[~np.isfinite(frame.depth)] > 140).mean() > 0.05


def test_a_fringe_before_forehead_and_brows_is_left_out_of_the_labels():
    frame, depth, alpha = scene()
    top = np.zeros_like(alpha, bool)
    brow = int(frame.landmarks_2d[36:48, 1].mean() * SMALL / SIZE) + 1
    top[:brow] = True  # hair 2 cm before the mesh, and beside it up to the image's edge
    depth = np.where(top, depth[alpha > 0.9].mean() - 0.06, depth).astype(np.float32)
    alpha = np.where(top, 1, alpha).astype(np.float32)
    out = with_volume(frame, VolumeView(alpha, depth, 0.0))
    covered = np.zeros((SIZE, SIZE), bool)
    covered[: (brow - 1) * SIZE // SMALL] = True
    assert (out.segmentation[covered] == IGNORE).mean() > 0.97
    assert (out.soft_masks["hair_or_other"][covered] > 250).mean() > 0.95
    assert (out.alpha[covered] == 255).all()
    assert np.abs(out.depth[covered] - depth[0, 0]).max() < 1e-4
    below = np.isfinite(frame.depth) & (frame.alpha == 255)
    below[: (brow + 1) * SIZE // SMALL] = False
    assert (out.segmentation[below] == frame.segmentation[below]).mean() > 0.98
    rows = frame.landmarks_2d[:, 1]
    hidden = rows < (brow - 1) * SIZE / SMALL
    assert hidden.sum() >= 5 and (out.landmarks_visible[hidden] == 1).all()
    clear = rows > (brow + 2) * SIZE / SMALL
    assert (out.landmarks_visible[clear] == frame.landmarks_visible[clear]).all()
    length = np.linalg.norm(out.normals, axis=-1)
    np.testing.assert_allclose(length[np.isfinite(out.depth)], 1, atol=1e-4)
    assert (frame.segmentation[covered] != CLASS_ID["background"]).any()  # there was a forehead


def test_an_empty_volume_leaves_the_mesh():
    frame, depth, _ = scene()
    out = with_volume(frame, VolumeView(np.zeros_like(depth), depth, 0.0))
    for name in ("segmentation", "depth", "normals", "alpha", "landmarks_visible"):
        np.testing.assert_array_equal(getattr(out, name), getattr(dataclasses.replace(frame), name), name)
