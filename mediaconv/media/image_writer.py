"""Writing one still image: PNG, JPEG, TIFF or WebP, by the path's suffix. Quantizes and scales nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mediaconv.errors import WriteError, nearest
from mediaconv.media.files import one_line

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp"}
BITS = {"png": (8, 16), "jpeg": (8,), "tiff": (8, 16), "webp": (8,)}
ALPHA = {"png", "tiff", "webp"}
LARGEST_SIDE = {"jpeg": 65535, "webp": 16383}
DEFAULT_QUALITY = {"jpeg": 95, "webp": 90}
ENDINGS = {"jpeg": ".jpg", "png": ".png", "tiff": ".tiff", "webp": ".webp"}
LOSSLESS_WEBP = 101  # OpenCV's spelling: any quality above 100


def write_image(
    path: str | Path, data: np.ndarray, *, quality: int | None = None, lossless: bool = False
) -> None:
    """Write a picture of shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    quality: of JPEG and WebP, 1 to 100. lossless: WebP without loss; PNG and TIFF always are, JPEG never.

    Raises WriteError.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise WriteError(
            f"format: got {suffix or 'no suffix'!r}, expected one of {', '.join(FORMATS)}"
            f"{nearest(suffix, FORMATS)}"
        )
    format = FORMATS[suffix]
    _check(format, data, quality, lossless)
    try:
        done, encoded = cv2.imencode(ENDINGS[format], _to_bgr(data), _parameters(format, quality, lossless))
    except cv2.error as error:
        raise WriteError(f"{path}: cannot be encoded as {format} ({one_line(error)})") from error
    if not done:
        raise WriteError(f"{path}: cannot be encoded as {format}: {data.shape[1]}x{data.shape[0]} pixels")
    try:
        with open(path, "wb") as file:
            file.write(encoded.data)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({one_line(error)})") from error


def _check(format: str, data: np.ndarray, quality: int | None, lossless: bool) -> None:
    channels = data.shape[2] if data.ndim == 3 else 1
    allowed = (1, 3, 4) if format in ALPHA else (1, 3)
    if data.ndim not in (2, 3) or 0 in data.shape or channels not in allowed:
        raise WriteError(f"channels: got a picture of shape {data.shape}, {format} holds {allowed} channels")
    if data.dtype not in (np.uint8, np.uint16) or 8 * data.itemsize not in BITS[format]:
        bits = " or ".join(map(str, BITS[format]))
        raise WriteError(
            f"bit_depth: got samples of {data.dtype}, {format} holds unsigned integers of {bits} bits"
        )
    if quality is not None and not (format in DEFAULT_QUALITY and 1 <= quality <= 100):
        raise WriteError(f"quality: got {quality} for {format}; jpeg and webp take 1 to 100")
    if lossless and format == "jpeg":
        raise WriteError("lossless: jpeg always loses; write png, tiff or webp")
    largest = LARGEST_SIDE.get(format)
    if largest is not None and max(data.shape[:2]) > largest:
        raise WriteError(
            f"format: {format} holds up to {largest} pixels a side, got {data.shape[1]}x{data.shape[0]}"
        )


def _parameters(format: str, quality: int | None, lossless: bool) -> list[int]:
    quality = DEFAULT_QUALITY.get(format, 0) if quality is None else quality
    if format == "jpeg":
        return [cv2.IMWRITE_JPEG_QUALITY, quality]
    if format == "webp":
        return [cv2.IMWRITE_WEBP_QUALITY, LOSSLESS_WEBP if lossless else quality]
    return []


def _to_bgr(data: np.ndarray) -> np.ndarray:
    if data.ndim == 2 or data.shape[2] == 1:
        return np.ascontiguousarray(data.reshape(data.shape[:2]))
    order = [2, 1, 0, 3] if data.shape[2] == 4 else [2, 1, 0]
    return np.ascontiguousarray(data[..., order])
