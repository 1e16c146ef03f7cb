"""Pictures as files of the kind that their name says, and inside HTML."""

import base64
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from synthforge.errors import DatasetError

KINDS = (".png", ".jpg", ".jpeg", ".webp")


def encoded(picture: Shaped[np.ndarray, "h w c"], kind: str, quality: int = 95) -> bytes:
    """The bytes of an image file from uint8 RGB or RGBA; `kind` is one of `KINDS`, `quality` for JPEG."""
    order = cv2.COLOR_RGBA2BGRA if picture.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind in (".jpg", ".jpeg") else []
    return cv2.imencode(kind, cv2.cvtColor(np.ascontiguousarray(picture), order), flags)[1].tobytes()


def data_uri(picture: Shaped[np.ndarray, "h w c"], kind: str) -> str:
    """The picture as an address for HTML."""
    name = {".jpg": "jpeg"}.get(kind, kind[1:])
    return f"data:image/{name};base64,{base64.b64encode(encoded(picture, kind, 90)).decode()}"


def save(path: Path | str, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write an image file.

    Raises:
        DatasetError: the name ends in no known kind, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise DatasetError("is no kind of image", where=str(path), fix=f"use a name in {', '.join(KINDS)}")
    try:
        path.write_bytes(encoded(rgb, path.suffix.lower()))
    except OSError as error:
        raise DatasetError(f"cannot be written ({error.strerror})", where=str(path)) from error


def html(rgb: UInt8[np.ndarray, "h w 3"], alt: str) -> str:
    """An `img` element that holds the picture."""
    return f'<img src="{data_uri(rgb, ".jpg")}" alt="{alt}" style="max-width: 100%">'
