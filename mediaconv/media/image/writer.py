"""Writing one still image: PNG, JPEG, TIFF or WebP, by the path's suffix. Quantizes and scales nothing."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from mediaconv.errors import WriteError, not_one_of
from mediaconv.filesystem import write_file
from mediaconv.media.input_file import one_line

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp"}
FLOAT_FORMATS = {"tiff"}
BITS = {"png": (8, 16), "jpeg": (8,), "tiff": (8, 16), "webp": (8,)}
ALPHA = {"png", "tiff", "webp"}
LARGEST_SIDE = {"jpeg": 65535, "webp": 16383}
DEFAULT_QUALITY = {"jpeg": 95, "webp": 90}


def write_image(
    path: str | Path, data: np.ndarray, *, quality: int | None = None, lossless: bool = False
) -> None:
    """Write a picture of shape (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16;
    TIFF also float32 and float64.

    quality: of JPEG and WebP, 1 to 100. lossless: WebP without loss; PNG and TIFF always are, JPEG never.

    Raises WriteError.
    """
    path = path if isinstance(path, Path) else Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise WriteError(not_one_of("format", suffix or "no suffix", FORMATS))
    format = FORMATS[suffix]
    _check(format, data, quality, lossless)
    try:
        encoded = _encoded(format, data, quality or DEFAULT_QUALITY.get(format), lossless)
    except (cv2.error, ValueError) as error:
        raise WriteError(f"{path}: cannot be encoded as {format} ({one_line(error)})") from error
    try:
        write_file(path, encoded)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({one_line(error)})") from error


def _check(format: str, data: np.ndarray, quality: int | None, lossless: bool) -> None:
    channels = data.shape[2] if data.ndim == 3 else 1
    allowed = (1, 3, 4) if format in ALPHA else (1, 3)
    if data.ndim not in (2, 3) or 0 in data.shape or channels not in allowed:
        raise WriteError(f"channels: got a picture of shape {data.shape}, {format} holds {allowed} channels")
    integers = data.dtype in (np.uint8, np.uint16) and 8 * data.itemsize in BITS[format]
    if not integers and not (data.dtype in (np.float32, np.float64) and format in FLOAT_FORMATS):
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


def _encoded(format: str, data: np.ndarray, quality: int | None, lossless: bool) -> bytes | memoryview:
    """By OpenCV, but floats by tifffile, and WebP by Pillow, which keeps transparent pixels' colours."""
    picture = data.reshape(data.shape[:2]) if data.shape[2:] == (1,) else data
    buffer = io.BytesIO()
    if format == "webp":
        import PIL.Image

        PIL.Image.fromarray(picture).save(buffer, "WEBP", quality=quality, lossless=lossless, exact=True)
        return buffer.getvalue()
    if data.dtype.kind == "f":
        import tifffile

        kind = "minisblack" if picture.ndim == 2 else "rgb"
        extra = ["unassalpha"] if picture.shape[2:] == (4,) else None
        tifffile.imwrite(buffer, picture, photometric=kind, extrasamples=extra, metadata=None, software=False)
        return buffer.getvalue()
    parameters = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]  # blue, green, red
    done, encoded = cv2.imencode(f".{format}", np.ascontiguousarray(picture), parameters)
    if not done:
        raise ValueError(f"no encoder for {data.shape[1]}x{data.shape[0]} pixels")
    return encoded.data.cast("B")
