"""Users' folders of images: files that are not images are refused, backgrounds are cut from the others."""

import cv2
import numpy as np
import pytest

from synthforge.errors import AssetError
from synthforge.generators.backdrop.background import image_files, photo_background


def write(path, value, size=(20, 30)):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), value, np.uint8))


def test_a_folder_without_images_or_with_a_broken_one_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(AssetError, match="no images found; put .jpg, .jpeg, .png files there"):
            image_files(folder)
    write(tmp_path / "a.png", 9)
    (tmp_path / "b.jpg").write_text("not an image")
    with pytest.raises(AssetError, match=r"b\.jpg: cannot be read as an image"):
        image_files(tmp_path)


@pytest.mark.parametrize("size", [(300, 40), (3, 200), (1, 1)])
def test_any_shape_of_image_fills_the_view(tmp_path, size):
    write(tmp_path / "x.png", 255, size)
    behind = photo_background(tmp_path / "x.png", (64, 64), np.random.default_rng(0))
    assert behind.shape == (64, 64, 3)
    np.testing.assert_allclose(behind, 1, atol=1e-5)


def test_a_background_is_a_crop_of_the_image_as_linear_light(tmp_path):
    """Red grows to the right, green downwards, by the same amount a pixel; blue is constant."""
    ramp = np.arange(256, dtype=np.uint8)
    image = np.dstack(np.broadcast_arrays(ramp[None], ramp[:, None], np.uint8(100)))
    cv2.imwrite(str(tmp_path / "x.png"), np.ascontiguousarray(image[..., ::-1]))
    mirrored = []
    for seed in range(12):
        behind = photo_background(tmp_path / "x.png", (64, 96), np.random.default_rng(seed))
        np.testing.assert_allclose(behind[..., 2], ((100 / 255 + 0.055) / 1.055) ** 2.4, rtol=1e-4)  # sRGB
        inner = behind[4:-4, 4:-4].astype(float)  # beyond the blur's border
        red, green, _ = np.moveaxis(255 * (1.055 * inner ** (1 / 2.4) - 0.055), -1, 0)
        assert red.std(0).max() < 0.5 and green.std(1).max() < 0.5  # upright
        across, down = np.diff(red.mean(0)), np.diff(green.mean(1))
        np.testing.assert_allclose(np.abs(across).mean(), down.mean(), rtol=0.02)  # not stretched
        assert 0.5 * 256 / 96 - 0.03 < down.mean() < 256 / 96 + 0.03  # from half of the image to all of it
        mirrored.append(across.mean() < 0)
    assert 2 < sum(mirrored) < 10
