"""Labels come back to the picture's own pixels, whatever its size, the box and its place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.datasets.sample import CROP_SCALE, LANDMARK_BOX, Sample
from synthforge.datasets.shards import OUR_CLASSES
from synthforge.evaluation.predictor import Predictor
from synthforge.prediction.faces import FaceModel, crop_window
from tests.helpers.spot_net import CLASS, PATTERN, RADIUS, SIZE, STRIDE, plane, spot_image, spot_model


@st.composite
def scenes(draw):
    """(picture, box, spot): the spot wholly in the picture and in the crop, which may reach beyond it."""
    h, w = draw(st.integers(60, 300)), draw(st.integers(60, 300))
    crop = draw(st.floats(40, 3 * min(h, w)).filter(lambda c: 0.4 * c + 2 < min(h, w)))
    edge = 0.19 * crop + 1
    spot = np.array([draw(st.floats(edge, w - edge)), draw(st.floats(edge, h - edge))])
    centre = spot + crop * np.array([draw(st.floats(-0.28, 0.28)), draw(st.floats(-0.28, 0.28))])
    sides = crop / CROP_SCALE * np.array([1.0, draw(st.floats(0.3, 1))])
    sides = sides[::-1] if draw(st.booleans()) else sides
    box = tuple(float(v) for v in (*(centre - sides / 2), *(centre + sides / 2)))
    return spot_image((h, w), spot, crop), box, spot


def paint(face, shape, fill):
    whole = {k: np.full(shape, fill, a.dtype) for k, a in (("ids", face.ids), ("depth", face.depth))}
    for key, plane_ in whole.items():
        plane_[face.window] = getattr(face, key)
    return whole["ids"], whole["depth"]


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_points_classes_and_depth_lie_where_they_were_planted(scene):
    rgb, box, spot = scene
    crop = CROP_SCALE * max(box[2] - box[0], box[3] - box[1])
    pixel = max(1.0, crop / SIZE)
    [face] = FaceModel(spot_model(), refine=False)([rgb], [box])
    assert face.box == box
    np.testing.assert_allclose(face.points, spot + crop * PATTERN, rtol=0, atol=0.06 * pixel)

    ids, depth = paint(face, rgb.shape[:2], 0)
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5
    inside = RADIUS * crop - np.hypot(x - spot[0], y - spot[1])  # distance to the rim
    clear = np.abs(inside) > STRIDE * pixel
    np.testing.assert_array_equal(ids[clear], CLASS * (inside[clear] > 0))

    low = np.array([box[0] + box[2], box[1] + box[3]]) / 2 - crop / 2
    true = plane((x - low[0]) / crop, (y - low[1]) / crop)
    np.testing.assert_allclose(depth[ids > 0], true[ids > 0], rtol=0, atol=2e-4)
    assert np.isnan(face.depth[face.ids == 0]).all()


def test_crops_are_as_large_as_those_of_training():
    model, box, spot = spot_model(), (60.0, 60.0, 100.0, 100.0), np.array([82.0, 79.0])
    model.card["framing"] = {"crop_source": LANDMARK_BOX, "crop_scale": 2.0}
    [face] = FaceModel(model, refine=False)([spot_image((160, 160), spot, 80.0)], [box])
    np.testing.assert_allclose(face.points, spot + 80.0 * PATTERN, atol=0.1)
    assert face.ids.shape == (80, 80) and face.corner == (40, 40)


@settings(max_examples=15, deadline=None)
@given(scenes())
def test_classes_equal_those_of_the_slow_predictor(scene):
    rgb, box, _ = scene
    model = spot_model()
    [face] = FaceModel(model, refine=False)([rgb], [box])
    labels = Predictor(model, CROP_SCALE, OUR_CLASSES, depth=True)(Sample("s", rgb, box))
    ids, depth = paint(face, rgb.shape[:2], 0)
    true = labels.probability.argmax(0)
    margin = np.sort(labels.probability, axis=0)
    clear = margin[-1] - margin[-2] > 0.05  # the two grids round the sampling place differently
    np.testing.assert_array_equal(ids[clear], true[clear])
    np.testing.assert_allclose(face.points, labels.points, atol=1e-4)
    both = (ids > 0) & (true > 0)
    np.testing.assert_allclose(depth[both], labels.depth[both], atol=2e-4)


def test_faces_of_a_batch_are_those_of_single_ones():
    spots = [(60.0, 50.0), (130.0, 90.0)]
    rgb = np.maximum(*(spot_image((150, 200), s, 65.0) for s in spots))
    boxes = [(s[0] - 25, s[1] - 25, s[0] + 25, s[1] + 25) for s in spots]
    run = FaceModel(spot_model(), refine=False)
    together = run([rgb, rgb], boxes)
    for face, box in zip(together, boxes, strict=True):
        [alone] = run([rgb], [box])
        np.testing.assert_array_equal(face.points, alone.points)
        np.testing.assert_array_equal(face.ids, alone.ids)


def test_a_loose_box_is_drawn_in_to_the_points_it_shows():
    rgb = spot_image((200, 260), (140.0, 90.0), 130.0)
    loose = (70.0, 20.0, 170.0, 120.0)  # crop of 130 pixels about (120, 70)
    [face] = FaceModel(spot_model(), refine=True)([rgb], [loose])
    true = 140 - 0.25 * 130, 90 - 0.25 * 130, 140 + 0.25 * 130, 90 + 0.25 * 130
    np.testing.assert_allclose(face.box, true, atol=0.3)
    crop = CROP_SCALE * 65
    np.testing.assert_allclose(face.points, [140, 90] + crop * PATTERN, atol=0.2)
    [kept] = FaceModel(spot_model(spread=0.0), refine=True)([rgb], [loose])
    assert kept.box == loose


def test_the_window_is_the_part_of_the_picture_that_the_crop_shows():
    assert crop_window((10.0, 10.0, 20.0, 20.0), (100, 100)) == (8, 8, 22, 22)
    assert crop_window((-5.0, 90.0, 5.0, 100.0), (100, 50)) == (0, 88, 7, 100)
    x0, y0, x1, y1 = crop_window((200.0, 10.0, 220.0, 20.0), (100, 100))
    assert x0 == x1 == 100
