"""Users' folders of images: what is no image is named before anything is made."""

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
