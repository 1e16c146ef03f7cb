"""Pictures for notebooks, and as files of the kind that their name says."""

import base64
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from synthforge.errors import DatasetError

KINDS = (".png", ".jpg", ".jpeg", ".webp")


def encoded(rgb: UInt8[np.ndarray, "h w 3"], kind: str) -> bytes:
    """The bytes of an image file; `kind` is one of `KINDS`."""
    return cv2.imencode(kind, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


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
    data = base64.b64encode(encoded(rgb, ".jpg")).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" style="max-width: 100%">'
