"""Arrays of one sample <-> their bytes in a shard, and stored counts <-> metres and unit vectors."""

import zlib
from math import prod

import cv2
import h5py
import numpy as np
import simplejpeg  # the same pixels as OpenCV, in three quarters of the time
from deflate import DeflateError, zlib_decompress  # libdeflate: half the time of zlib
from jaxtyping import Float, Int8, Shaped, UInt8, UInt16

from synthforge.errors import DatasetError

DEPTH_SCALE = 1e-4  # metres per count; 0 is background, so depth reaches 6.5535 m
NORMAL_SCALE = 127
JPEG_QUALITY = 95
GZIP_LEVEL = 1
UNREADABLE = (OSError, RuntimeError, ValueError, DeflateError)  # what a damaged or missing chunk raises


def encode_image(rgb: UInt8[np.ndarray, "h w 3"], codec: str) -> bytes:
    """sRGB image -> JPEG (q95, 4:4:4), PNG, or the bare bytes."""
    if codec == "raw":
        return rgb.tobytes()
    options = {
        "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
                 + [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
        "png": (".png", []),
    }  # fmt: skip
    suffix, flags = options[codec]
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def decode_image(encoded: np.ndarray, where: str, out: np.ndarray | None = None) -> np.ndarray:
    """JPEG or PNG bytes -> uint8 h w 3, sRGB.

    Raises:
        DatasetError: they are neither, or of another size than `out`.
    """
    rgb = None
    if encoded[:2].tobytes() == b"\xff\xd8":
        try:
            rgb = simplejpeg.decode_jpeg(encoded, buffer=out)
        except ValueError:
            pass
    elif encoded.size and (bgr := cv2.imdecode(encoded, cv2.IMREAD_COLOR)) is not None:
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=out)
    if rgb is None or (out is not None and rgb.shape != out.shape):
        raise DatasetError("is not a readable image", where=where)
    return rgb


def deflate(plane: Shaped[np.ndarray, "..."]) -> bytes:
    """One chunk as HDF5's filters write it: bytes shuffled where wider than one, then deflate."""
    data = plane.tobytes()
    if plane.itemsize > 1:
        data = np.frombuffer(data, np.uint8).reshape(-1, plane.itemsize).T.tobytes()
    return zlib.compress(data, GZIP_LEVEL)


def is_plane(data: h5py.Dataset) -> bool:
    """Whether each sample is one deflated chunk, as writers leave images of labels."""
    return data.chunks == (1, *data.shape[1:]) and data.compression == "gzip" and not data.fletcher32


def inflated_plane(data: h5py.Dataset, row: int) -> np.ndarray:
    """One sample of such a data set, as `data[row]` but without HDF5's filters and selections on the way.

    Raises:
        OSError, RuntimeError, ValueError, DeflateError: the chunk is damaged or missing.
    """
    skipped, chunk = data.id.read_direct_chunk((row, *(0 for _ in data.shape[1:])))
    if skipped:  # this chunk was stored with a filter left out
        return data[row]
    size = prod(data.shape[1:]) * data.dtype.itemsize
    stored = np.frombuffer(zlib_decompress(chunk, size), np.uint8)
    if data.shuffle:  # all first bytes, then all second bytes, ...
        stored = cv2.merge(list(stored.reshape(data.dtype.itemsize, -1, 1)))
    else:
        stored = stored.copy()  # to be written to
    return stored.view(data.dtype).reshape(data.shape[1:])


def quantise_depth(depth: Float[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    """Metres (inf: background) -> counts of `DEPTH_SCALE` (0: background).

    Raises:
        DatasetError: a depth is too small or too large to be stored.
    """
    finite = depth[np.isfinite(depth)]
    if finite.size and (finite.min() < DEPTH_SCALE or finite.max() > DEPTH_SCALE * 65535):
        raise DatasetError(
            f"depth {finite.min():.4f} to {finite.max():.4f} m cannot be stored",
            fix=f"keep it between {DEPTH_SCALE} and {DEPTH_SCALE * 65535} m",
        )
    counts = np.where(np.isfinite(depth), np.rint(depth.astype(np.float64) / DEPTH_SCALE), 0)
    return counts.astype(np.uint16)


def restore_depth(
    counts: UInt16[np.ndarray, "h w"], out: np.ndarray | None = None
) -> Float[np.ndarray, "h w"]:
    """Counts -> float32 metres (inf: background)."""
    depth = np.multiply(counts, np.float32(DEPTH_SCALE), out=out)
    np.copyto(depth, np.inf, where=counts == 0)
    return depth


def quantise_normals(normals: Float[np.ndarray, "*s 3"]) -> Int8[np.ndarray, "*s 3"]:
    """Unit vectors -> 1/127."""
    return np.rint(normals * NORMAL_SCALE).astype(np.int8)


def restore_normals(
    counts: Int8[np.ndarray, "*s 3"], out: np.ndarray | None = None
) -> Float[np.ndarray, "*s 3"]:
    """1/127 -> float32 unit vectors."""
    return np.multiply(counts, np.float32(1 / NORMAL_SCALE), out=out)
