"""Labels come back to the picture's own pixels, whatever its size, the box and its place."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.conventions import CLASS_FLIP, LANDMARK_FLIP
from synthforge.datasets import geometry
from synthforge.datasets.sample import CROP_SCALE, LANDMARK_BOX, Sample
from synthforge.models.hourglass import NEAR, certainty
from synthforge.prediction.boxes import Detector, overlap
from synthforge.prediction.faces import FaceModel, crop_window, distinct, find_faces
from synthforge.prediction.sources import Input, Picture
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
    [face] = FaceModel(spot_model())([rgb], [box])
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


def test_crops_are_as_large_as_those_of_training():
    model, box, spot = spot_model(), (60.0, 60.0, 100.0, 100.0), np.array([82.0, 79.0])
    model.card["framing"] = {"crop_source": LANDMARK_BOX, "crop_scale": 2.0}
    [face] = FaceModel(model)([spot_image((160, 160), spot, 80.0)], [box])
    np.testing.assert_allclose(face.points, spot + 80.0 * PATTERN, atol=0.1)
    assert face.ids.shape == (80, 80) and face.corner == (40, 40)


@settings(max_examples=15, deadline=None)
@given(scenes())
def test_labels_equal_those_of_a_slow_twin_in_the_window_and_in_the_whole_picture(scene):
    rgb, box, _ = scene
    model = spot_model()
    [face], whole = FaceModel(model)([rgb], [box]), FaceModel(model).label(Sample("s", rgb, box))
    matrix = geometry.crop_matrix(box, SIZE, CROP_SCALE)
    crop = torch.from_numpy(geometry.warp_rgb(rgb, matrix, SIZE).transpose(2, 0, 1).copy())[None]
    answer = model.net(crop.float() / 127.5 - 1, ())
    back = geometry.invert(matrix) @ np.diag([STRIDE, STRIDE, 1.0])
    planes = answer.segmentation[0].softmax(0).numpy()
    p = np.stack(
        [geometry.warp_image(plane, back, rgb.shape[:2], fill=c == 0) for c, plane in enumerate(planes)]
    )
    z = geometry.warp_image(answer.depth[0].numpy(), back, rgb.shape[:2], fill=np.nan)
    np.testing.assert_array_equal(whole.ids, p.argmax(0))
    np.testing.assert_array_equal(whole.depth, z)
    np.testing.assert_array_equal(whole.points, face.points)
    ids, depth = paint(face, rgb.shape[:2], 0)
    clear = np.sort(p, axis=0)[-1] - np.sort(p, axis=0)[-2] > 0.05  # the windows round the place differently
    np.testing.assert_array_equal(ids[clear], p.argmax(0)[clear])
    both = (ids > 0) & (p.argmax(0) > 0)
    np.testing.assert_allclose(depth[both], z[both], atol=2e-4)


def test_averaged_with_the_mirrored_crop_a_picture_and_its_mirror_image_agree():
    rgb, box = spot_image((120, 160), (70.0, 62.0), 80.0), (45.0, 35.0, 105.0, 95.0)
    mirrored_box = (160 - box[2], box[1], 160 - box[0], box[3])
    net = FaceModel(spot_model(), flip=True)
    [face], [other] = net([rgb], [box]), net([rgb[:, ::-1].copy()], [mirrored_box])
    swapped = other.points[LANDMARK_FLIP] * (-1, 1) + (160, 0)
    np.testing.assert_allclose(face.points, swapped, atol=0.04)  # OpenCV places samples to 1/32 pixel
    assert set(np.unique(face.ids)) <= {0, CLASS, CLASS_FLIP[CLASS]}
    assert np.mean((other.ids[:, ::-1] > 0) == (face.ids > 0)) > 0.999


def test_faces_of_a_batch_are_those_of_single_ones():
    spots = [(60.0, 50.0), (130.0, 90.0)]
    rgb = np.maximum(*(spot_image((150, 200), s, 65.0) for s in spots))
    boxes = [(s[0] - 25, s[1] - 25, s[0] + 25, s[1] + 25) for s in spots]
    run = FaceModel(spot_model())
    together = run([rgb, rgb], boxes)
    for face, box in zip(together, boxes, strict=True):
        [alone] = run([rgb], [box])
        np.testing.assert_array_equal(face.points, alone.points)
        np.testing.assert_array_equal(face.ids, alone.ids)


def test_a_loose_box_is_drawn_in_to_the_points_it_shows():
    rgb = spot_image((200, 260), (140.0, 90.0), 130.0)
    loose = (70.0, 20.0, 170.0, 120.0)  # crop of 130 pixels about (120, 70)
    [(box, sure)] = FaceModel(spot_model()).look_closer([rgb], [loose])
    half = 0.25 * CROP_SCALE * 65  # of the pattern in the second look's crop
    np.testing.assert_allclose(box, (140 - half, 90 - half, 140 + half, 90 + half), atol=0.3)
    assert sure > 0.9
    [face] = FaceModel(spot_model())([rgb], [box])
    np.testing.assert_allclose(face.points, [140, 90] + CROP_SCALE * 2 * half * PATTERN, atol=0.2)
    [(kept, _)] = FaceModel(spot_model(spread=0.0)).look_closer([rgb], [loose])
    assert kept == loose


def test_certainty_is_the_mass_about_the_mean():
    n = 200
    y, x = np.mgrid[:n, :n] / n + 0.5 / n
    for sigma in (0.02, 0.05, 0.1):
        p = np.exp(-((x - 0.55) ** 2 + (y - 0.45) ** 2) / (2 * sigma**2))
        log_p = torch.from_numpy(np.log(p / p.sum() + 1e-30)).float()[None, None]
        expected = 1 - np.exp(-(NEAR**2) / (2 * sigma**2))  # of a Gaussian in the plane
        assert float(certainty(log_p)) == pytest.approx(expected, abs=0.01)
    flat = torch.full((2, 3, n, n), -2 * np.log(n))
    assert certainty(flat).tolist() == pytest.approx([np.pi * NEAR**2] * 2, rel=0.02)


class Planted(Detector):
    """A detector whose searches answer as planted."""

    def __init__(self, *answers, all_faces=False):
        self.answers, self.all_faces, self.asked = answers, all_faces, []

    def attempts(self):
        for number, boxes in enumerate(self.answers):
            yield lambda picture, number=number, boxes=boxes: self.asked.append(number) or boxes


def about(x, y, half):
    return (float(x - half), float(y - half), float(x + half), float(y + half))


def test_faces_are_the_candidates_that_the_network_is_sure_of():
    spots = ((70.0, 60.0), 80.0), ((220.0, 120.0), 110.0)  # and the side of their crop
    rgb = np.maximum(*(spot_image((200, 300), *spot) for spot in spots))
    picture, net = Picture(Input(Path("x.png"), "x"), rgb), FaceModel(spot_model())
    small, large, nothing = about(68, 62, 31), about(222, 118, 42), about(130, 170, 12)
    one = Planted([nothing], [small, large, nothing, about(219, 121, 40)], [small])
    [[box]] = find_faces(net, one, [picture])
    assert one.asked == [0, 1]  # what is found ends the search
    assert overlap(box, about(220, 120, (box[2] - box[0]) / 2)) > 0.9
    every = Planted([small, nothing, large, about(219, 121, 40)], all_faces=True)
    [boxes] = find_faces(net, every, [picture])
    assert boxes == [box, *find_faces(net, Planted([small]), [picture])[0]]
    blank = Picture(picture.source, np.zeros_like(rgb))
    none, [again] = find_faces(net, Planted([small, large]), [blank, picture])
    assert none == [] and overlap(again, box) > 0.8


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20)), max_size=12))
def test_distinct_boxes_do_not_overlap_and_cover_the_others(places):
    boxes = [about(*place) for place in places]
    kept = distinct(boxes)
    assert all(overlap(a, b) < 0.5 for a, b in combinations(kept, 2))
    assert all(any(overlap(box, other) >= 0.5 for other in kept) for box in boxes)
    assert kept[:1] == sorted(kept, key=lambda b: (b[0] - b[2], b))[:1]


def test_the_window_is_the_part_of_the_picture_that_the_crop_shows():
    assert crop_window((10.0, 10.0, 20.0, 20.0), (100, 100)) == (8, 8, 22, 22)
    assert crop_window((-5.0, 90.0, 5.0, 100.0), (100, 50)) == (0, 88, 7, 100)
    x0, y0, x1, y1 = crop_window((200.0, 10.0, 220.0, 20.0), (100, 100))
    assert x0 == x1 == 100
