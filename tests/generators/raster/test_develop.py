"""The camera's own doing against closed forms: defocus, vignette, grain, tone, JPEG."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from synthforge.generators.raster.develop import depth_of_field, develop, s_curve, shoulder
from synthforge.generators.shading.color import LUMINANCE, linear_to_srgb

SIDE = 81


def spot(z: float, aperture: float, focus: float = 1.0, focal: float = 800.0) -> np.ndarray:
    """Image of one bright pixel in a plane at z."""
    image, depth = np.zeros((SIDE, SIDE, 3), np.float32), np.full((SIDE, SIDE), z)
    image[SIDE // 2, SIDE // 2] = 1
    return depth_of_field(image, depth, focus, focal, aperture)[..., 0]


@settings(deadline=None, max_examples=25)
@given(st.floats(0.7, 2.0), st.floats(0.002, 0.03))
def test_a_point_becomes_the_disc_of_the_thin_lens(z, aperture):
    """Diameter c = A f |1/focus - 1/z| (f in pixels); a disc's second moment is c2 / 8 about its middle."""
    want = min(aperture * 800 * abs(1 - 1 / z), 0.04 * SIDE)
    got = spot(z, aperture)
    np.testing.assert_allclose(got.sum(), 1, rtol=1e-4)
    y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE // 2
    across = np.sqrt(8 * (got * (x**2 + y**2)).sum())
    if want < 0.7:
        assert across == 0
    else:
        assert abs(across - want) < 1.5  # a pixel's own width


def test_what_is_in_focus_stays_sharp_beside_what_is_not():
    rng = np.random.default_rng(0)
    image = rng.random((60, 60, 3)).astype(np.float32)
    depth = np.full((60, 60), np.inf)
    depth[:, :40], depth[:, :20] = 1.0, 1.4
    got = depth_of_field(image, depth, 1.0, 800.0, 0.01)
    np.testing.assert_array_equal(got[:, 23:], image[:, 23:])  # in focus, and what has its own blur
    assert got[:, 2:17].std() < 0.7 * image[:, 2:17].std()
    left = image.copy()
    left[:, :20] = 0
    np.testing.assert_array_equal(depth_of_field(left, depth, 1.0, 800.0, 0.01)[:, 20:], image[:, 20:])


def test_a_uniform_picture_is_not_changed_by_defocus():
    depth = np.random.default_rng(1).uniform(0.8, 1.5, (50, 50))
    got = depth_of_field(np.full((50, 50, 3), 0.3, np.float32), depth, 1.0, 900.0, 0.02)
    np.testing.assert_allclose(got, 0.3, rtol=1e-5)


def photograph(linear: np.ndarray, **more: float) -> np.ndarray:
    numbers = {"white_balance": 0.0, "blur": 0.0, "noise": 0.0} | more
    return develop(linear, **numbers, rng=np.random.default_rng(0))


def test_the_tone_table_is_the_formula():
    linear = np.repeat(np.geomspace(1e-5, 15, 4000).astype(np.float32)[None, :, None], 3, 2)
    exact = linear_to_srgb(shoulder(linear.astype(np.float64))) * 255
    assert np.abs(photograph(linear) - exact).max() < 0.65
    assert (np.diff(photograph(linear)[0, :, 0].astype(int)) >= 0).all()


def test_vignette_leaves_the_middle_and_takes_the_corners():
    grey = np.full((65, 65, 3), 0.2, np.float32)
    got, want = photograph(grey, vignette=1.0), photograph(grey / 1.65**2)
    np.testing.assert_array_equal(got[32, 32], photograph(grey)[32, 32])
    np.testing.assert_array_equal(got[[0, 0, -1, -1], [0, -1, 0, -1]], want[:4, 0])


def test_grain_grows_with_the_light_but_less_than_it():
    deviation = [
        (0.5 * (photograph(np.full((128, 128, 3), x, np.float32), noise=1.0) / 255.0)).std() / x
        for x in (0.02, 0.08, 0.32)
    ]
    assert deviation[0] > 1.5 * deviation[1] > 1.5 * 1.5 * deviation[2]  # relative to the light
    noisy = photograph(np.full((192, 192, 3), 0.18, np.float32), noise=1.0).astype(float)
    colour = (noisy - noisy.mean(-1, keepdims=True)).std()
    assert colour < 0.5 * noisy.mean(-1).std()


# Luminance table of JPEG at quality 50 (ITU-T T.81, table K.1)
QUANTIZED = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip


@pytest.mark.parametrize("compression, quality", [(0.5, 65), (0.8, 47), (1.0, 35)])
def test_compression_quantizes_as_jpeg_of_its_quality(compression, quality):
    """The cosine transform of each 8 x 8 block of a grey image is a multiple of the quality's table."""
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.uniform(0.1, 0.3, (48, 64, 1)).astype(np.float32), 3, 2)
    scale = 2 - quality / 50 if quality >= 50 else 50 / quality  # as the reference implementation (IJG) does
    table = np.floor(QUANTIZED * scale + 0.5)

    def steps(picture: np.ndarray) -> np.ndarray:
        blocks = picture[..., 0].astype(float).reshape(6, 8, 8, 8).swapaxes(1, 2) - 128
        return dctn(blocks, axes=(2, 3), norm="ortho") / table

    packed, plain = (photograph(grey, compression=c) for c in (compression, 0.0))
    assert np.ptp(packed, axis=-1).max() <= 1  # still grey
    off = [np.abs(s - np.round(s)).mean() for s in (steps(packed), steps(plain))]
    assert off[0] < 0.025 and off[1] > 0.15
    assert (np.abs(steps(packed) - steps(plain)) < 0.5 + 2 / table).all()  # to the nearest one


@settings(deadline=None)
@given(st.floats(-1, 2))
def test_the_tone_curve_keeps_black_grey_and_white_and_has_its_slope(contrast):
    x = np.linspace(0, 1, 2001)
    y = s_curve(x, contrast)
    assert y[0] == 0 and y[-1] == 1 and y[1000] == pytest.approx(0.5) and (np.diff(y) >= 0).all()
    assert (y[1001] - y[999]) / (x[1001] - x[999]) == pytest.approx(2.0**contrast, rel=1e-3)
    np.testing.assert_allclose(s_curve(y, -contrast), x, atol=1e-6)  # and back


def test_saturation_runs_from_grey_to_twice_the_colour():
    linear = np.tile(np.array([0.4, 0.2, 0.1], np.float32), (8, 8, 1))
    plain, grey, vivid = (photograph(linear, saturation=s)[0, 0].astype(int) for s in (0.0, -1.0, 1.0))
    level = plain @ LUMINANCE
    assert np.ptp(grey) == 0 and grey[0] == pytest.approx(level, abs=1)
    np.testing.assert_allclose(vivid, np.clip(2 * plain - level, 0, 255), atol=2)
