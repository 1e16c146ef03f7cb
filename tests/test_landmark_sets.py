"""Named layouts: their order against the benchmarks' own files, their mirror images, a user's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthforge.conventions import LANDMARK_FLIP
from synthforge.datasets import lapa, wflw
from synthforge.errors import ConfigError
from synthforge.landmark_sets import Scheme, between_jaw_points, dense_set, load_scheme

# WFLW's own pairs, as published with its evaluation code: contour, brows, nose, eyes, lips, pupils.
WFLW_FLIP = [
    *range(32, -1, -1),
    46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38, 51, 52, 53, 54,
    59, 58, 57, 56, 55, 72, 71, 70, 69, 68, 75, 74, 73, 64, 63, 62, 61, 60, 67, 66, 65, 82,
    81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83, 92, 91, 90, 89, 88, 95, 94, 93, 97, 96,
]  # fmt: skip


def laid_out(scheme: Scheme) -> np.ndarray:
    """Its points on the canonical face, seen from the front: image x to the subject's left, y down."""
    points = dense_set().points[:, :2] * [1, -1]
    eyes = np.array([points[42:48].mean(0), points[36:42].mean(0)])
    return scheme.points(points[:68], points, eyes)


@pytest.mark.parametrize(("name", "n"), [("ibug68", 68), ("ibug70", 70), ("jd106", 106), ("wflw98", 98)])
def test_layouts_mirror_onto_themselves(name, n):
    scheme = load_scheme(name)
    assert len(scheme) == n
    points = laid_out(scheme)
    np.testing.assert_allclose(points[scheme.mirror] * [-1, 1], points, atol=2.1e-5)
    np.testing.assert_array_equal(scheme.mirror[scheme.mirror], np.arange(n))


@pytest.mark.parametrize(("name", "reader"), [("jd106", lapa), ("wflw98", wflw)])
def test_layouts_agree_with_the_readers_choice_of_68(name, reader):
    np.testing.assert_array_equal(laid_out(load_scheme(name))[reader.TO_68], laid_out(load_scheme("ibug68")))


def test_mirror_images_are_the_published_ones():
    np.testing.assert_array_equal(load_scheme("ibug68").mirror, LANDMARK_FLIP)
    np.testing.assert_array_equal(load_scheme("wflw98").mirror, WFLW_FLIP)


@pytest.mark.parametrize("name", ["jd106", "wflw98"])
def test_closed_curves_go_around(name):
    """Contour from ear to ear without turning back; brows and eyes enclose an area, all in one sense."""
    points = laid_out(load_scheme(name))
    x, y = (points[:33] - points[51]).T
    assert (x[:-1] * y[1:] - x[1:] * y[:-1] < 0).all()
    eyes = [(66, 74), (75, 83)] if name == "jd106" else [(60, 68), (68, 76)]
    for first, last in [(33, 42), (42, 51), *eyes]:
        x, y = points[first:last].T
        area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
        assert area > 3e-5, (first, last)  # square metres, clockwise as seen


def test_jd106_ends_with_pupils_and_middles_of_the_eyes():
    points, ibug = laid_out(load_scheme("jd106")), dense_set().points[:68, :2] * [1, -1]
    right, left = ibug[36:42].mean(0), ibug[42:48].mean(0)
    np.testing.assert_allclose(points[[74, 83, 104, 105]], [right, left, right, left])
    beside, above, wing = points[55:58]
    assert beside[1] < above[1] < wing[1] and wing[0] < above[0] < beside[0] < 0  # down and outward


@settings(deadline=None, max_examples=40)
@given(st.floats(0.3, 3), st.floats(-1, 1), st.floats(0.05, 0.4))
def test_points_between_those_of_an_arc_lie_on_it(radius, turn, step):
    angle = turn + step * np.arange(-8, 9)
    jaw = radius * np.stack([np.sin(angle), np.cos(angle)], -1)
    want = angle[:-1] + step / 2
    between = between_jaw_points(jaw)
    error = np.linalg.norm(between - radius * np.stack([np.sin(want), np.cos(want)], -1), axis=1)
    assert error.max() < 0.003 * radius * step


def test_contour_takes_the_place_of_the_fixed_jaw():
    scheme, dense = load_scheme("wflw98"), dense_set().points[:, :2]
    contour = dense[:17] * 1.1
    points = scheme.points(dense[:68], dense, np.zeros((2, 2)), contour)
    np.testing.assert_allclose(points[0:33:2], contour)
    np.testing.assert_allclose(points[1:33:2], between_jaw_points(contour))
    np.testing.assert_allclose(points[33:38], dense[17:22])


def test_middle_of_points_is_as_visible_as_the_least_of_them():
    visible = np.full(len(dense_set().points), 2, np.uint8)
    visible[38] = 1
    seen = load_scheme("jd106").visible(visible[:68], visible, np.array([2, 0], np.uint8))
    assert seen[104] == 1 and seen[105] == 2 and seen[69] == 1
    assert seen[74] == 0 and seen[83] == 2


def test_own_layouts_are_read_from_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("parts: {tip: [30]}\nschemes: {five: [[36-41], [42-47], tip, 54, 48]}\n")
    scheme = load_scheme(f"{path}:five")
    ibug = dense_set().points[:68]
    assert len(scheme) == 5 and not scheme.needs
    np.testing.assert_allclose(scheme.points(ibug)[0], ibug[36:42].mean(0))
    np.testing.assert_array_equal(scheme.mirror, [1, 0, 2, 4, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schemes: {a: [36, chin]}", "mine.yaml, a: 'chin' is no point; use numbers, GROUP.number"),
        ("schemes: {a: [jaw.16]}", "mine.yaml, a: jaw.16 goes beyond 16 points"),
        ("schemes: {b: [0]}", "mine.yaml: unknown scheme 'a'; use one of: b"),
        ("[1, 2", "mine.yaml: is not valid YAML"),
        ("[1, 2]", "mine.yaml: is no table of landmark schemes"),
    ],
)
def test_faults_of_a_file_are_said(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_scheme(f"{path}:a")
    assert message in " ".join(str(error.value).split())


def test_a_layout_of_one_side_has_no_mirror_image(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("schemes: {side: [0, 1]}")
    with pytest.raises(ConfigError, match="has a point without its mirror image"):
        _ = load_scheme(f"{path}:side").mirror
