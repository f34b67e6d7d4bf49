"""Reading one still image: any common format, 8 or 16 bit, turned upright, in RGB order. Writes nothing.

What a file is its content tells. Files are decoded by the library that gets them right: see `image_decoders`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mediaconv.errors import ReadError, not_one_of
from mediaconv.media.image.decoders import decode
from mediaconv.media.input_file import read_head
from mediaconv.media.integrity.completeness import check_complete
from mediaconv.media.limits import Limits
from mediaconv.media.samples import full_scale


@dataclass(frozen=True, repr=False)
class Image:
    """A decoded picture.

    data: (H, W, C), uint8 or uint16, of TIFF also uint32 and floats; C is 1 (gray), 3 (RGB), 4 (RGBA), or
        the bands of a TIFF.
    bit_depth: of a sample; integers fill 0..2**bit_depth - 1, floats stand for themselves.
    images: how many pages or frames the file holds; this is the first one.
    """

    data: np.ndarray
    bit_depth: int
    images: int = 1

    def __repr__(self) -> str:
        return f"Image(shape={self.data.shape}, dtype={self.data.dtype}, bit_depth={self.bit_depth})"


def read_image(
    path: str | Path,
    *,
    color: str | None = None,
    size: tuple[int, int] | None = None,
    limits: Limits | None = None,
) -> Image:
    """The picture in a file, turned upright by its EXIF orientation; of several pages or frames the first.

    color: "rgb" (drops alpha without blending), "gray" (luma of BT.601), "rgba" (opaque where there is no
    alpha); None: as stored, palettes in RGB or RGBA. size: (width, height) to scale to, after turning.

    Raises ReadError. The limits are checked on the header, before anything is decoded.
    """
    path = path if isinstance(path, Path) else Path(path)
    if color is not None and color not in COLORS:
        raise ReadError(not_one_of("color", color, COLORS))
    head = read_head(path)
    check_complete(path, head)
    data, images = decode(path, head, limits or Limits())
    if color is not None:
        if data.shape[2] not in (1, 3, 4):
            raise ReadError(
                f"{path}: {data.shape[2]} bands are no colours: {color!r} needs 1, 3 or 4; leave color out"
            )
        data = COLORS[color](data)
    if size is not None:
        data = resized(data, size)
    data = np.ascontiguousarray(data)
    return Image(data, 8 * data.itemsize, images)


LUMA = np.array([0.299, 0.587, 0.114])
"""Of BT.601."""


def _rgb(data: np.ndarray) -> np.ndarray:
    return np.repeat(data, 3, axis=2) if data.shape[2] == 1 else data[..., :3]


def _gray(data: np.ndarray) -> np.ndarray:
    if data.shape[2] == 1:
        return data
    if data.itemsize > 2:  # more than OpenCV's integers or its float32 keep
        gray = data[..., :3] @ LUMA
        return (gray if data.dtype.kind == "f" else np.rint(gray)).astype(data.dtype)[..., None]
    return cv2.cvtColor(np.ascontiguousarray(data[..., :3]), cv2.COLOR_RGB2GRAY)[..., None]


def _rgba(data: np.ndarray) -> np.ndarray:
    if data.shape[2] == 4:
        return data
    alpha = np.full((*data.shape[:2], 1), full_scale(data.dtype), data.dtype)
    return np.concatenate([_rgb(data), alpha], axis=2)


COLORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"rgb": _rgb, "gray": _gray, "rgba": _rgba}


def resized(data: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Averages areas where the picture shrinks, else interpolates between pixels."""
    if size == (data.shape[1], data.shape[0]):
        return data
    shrinks = size[0] <= data.shape[1] and size[1] <= data.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    wide = data.dtype == np.uint32  # which OpenCV does not scale
    bands = [
        cv2.resize(np.ascontiguousarray(data[..., k], np.float64 if wide else None), size, interpolation=way)
        for k in range(data.shape[2])
    ]
    scaled = np.stack(bands, axis=2)
    return np.rint(scaled).astype(np.uint32) if wide else scaled
