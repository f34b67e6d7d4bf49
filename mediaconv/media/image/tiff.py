"""Decoding the first page of a TIFF: any number of bands, integers or floats, upright.

Pillow decodes the colour kinds it knows in 8 bits (palettes, CMYK, YCbCr); tifffile all else. Geographic tags
and further pages are passed over, unless they are bands of the one picture.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tifffile

from mediaconv.errors import ReadError
from mediaconv.media.image import jpeg
from mediaconv.media.limits import Limits, check_pixels
from mediaconv.media.orientation import from_exif
from mediaconv.media.samples import full_scale, to_sixteen

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it raises what matters; the rest is advice

ORIENTATION_TAG = 274
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
INKS, YCBCR, LAB = 5, 6, (8, 9, 10)
MULTIPLIED_ALPHA = 1
FOUR_INKS = 4
JPEG, PLANES = 7, 2
JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
FLOAT, FLOAT_BITS = 3, (16, 32, 64)
KINDS = {1: "unsigned integer", 2: "signed integer", 3: "float"}
NARROW = 16  # pixels: narrower pages may be bands
COPY_OR_MASK = 1 | 4  # bits of NewSubfileType
ALPHA_SAMPLES = {1, 2}
PILLOW_MODES = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "RGB": "RGB", "RGBA": "RGBA"}


def decode(path: Path, limits: Limits) -> tuple[np.ndarray, int]:
    """The first picture, shape (H, W, C), uint8 or uint16, and how many there are.

    Raises ReadError for other pictures; damage raises anything.
    """
    # tags of absurd numbers are told by what they lead to, not by numpy's warnings
    with np.errstate(all="ignore"), tifffile.TiffFile(path, _multifile=False) as file:
        page = file.pages.first
        deep = -(-page.bitspersample // 8)
        _check_size(path, (page.imagelength, page.imagewidth, page.samplesperpixel), limits, deep)
        _check_samples(path, page, file.filehandle.size)
        bands = _bands_in_pages(file)
        _check_jpegs(path, file, [page] if bands is None else file.pages)
        if bands is not None:
            series, axis = bands
            rows, columns = (size for k, size in enumerate(series.shape) if k != axis)
            _check_size(path, (rows, columns, series.shape[axis]), limits, deep)
            return _finite(path, _stretched(np.moveaxis(series.asarray(), axis, -1), page)), 1
        if _is_left_to_pillow(page):
            return _by_pillow(path), _images(file)
        if page.photometric == YCBCR or page.photometric in LAB:
            kind = tifffile.PHOTOMETRIC(page.photometric).name
            bits = page.bitspersample
            raise ReadError(f"{path}: {kind} colours of {bits} bits are not supported; convert to RGB")
        data = _finite(path, _bands_last(page))
        orientation = from_exif(int(page.tags.valueof(ORIENTATION_TAG, default=1)))
        return orientation.apply(data), _images(file)


def _check_size(path: Path, shape: tuple[int, int, int], limits: Limits, sample_bytes: int) -> None:
    height, width, bands = shape
    check_pixels(path, width, height, limits, bands=bands, sample_bytes=sample_bytes)
    if bands > limits.max_channels:
        raise ReadError(f"{path}: {bands} bands, expected at most {limits.max_channels} (max_channels)")


def _bands_in_pages(file: Any) -> tuple[Any, int] | None:
    """The series whose pages are the bands of one picture, and which of its axes they are; None: none is.

    Microscopes (OME, ImageJ) write a page a channel. tifffile itself, given (H, W, C) without a word on
    planes, writes H pages of W x C; it notes the shape, and pages that narrow are no pictures.
    """
    if len(file.pages) == 1:
        return None
    series = file.series[0]
    if series.axes == "CYX":
        return series, 0
    narrow = series.ndim == 3 and series.shape[2] < min(NARROW, *series.shape[:2])
    return (series, 2) if series.kind == "shaped" and narrow else None


def _images(file: Any) -> int:
    """Pages that are pictures of their own: smaller copies and masks are not."""
    try:
        return max(1, sum(not page.subfiletype & COPY_OR_MASK for page in file.pages))
    except Exception:  # further pages may be damaged: the first one is what is read
        return 1


def _check_samples(path: Path, page: tifffile.TiffPage, size: int) -> None:
    floats = page.sampleformat == FLOAT and page.bitspersample in FLOAT_BITS
    integers = page.sampleformat == 1 and (page.bitspersample <= 16 or page.bitspersample == 32)
    if not (floats or integers):
        kind = KINDS.get(page.sampleformat, "complex")
        raise ReadError(
            f"{path}: {kind} samples of {page.bitspersample} bits are not supported; convert to unsigned "
            "integers of 8, 16 or 32 bits, or to floats"
        )
    pieces = zip(page.dataoffsets, page.databytecounts, strict=False)
    needed = max((offset + count for offset, count in pieces), default=0)
    if needed > size:
        raise ReadError(f"{path}: the file is cut off: its structure promises {needed} bytes, it has {size}")


def _check_jpegs(path: Path, file: Any, pages: Any) -> None:
    """Raises ReadError where a strip or tile that is a JPEG holds less than it should."""
    page = pages[0]
    mode = JPEG_MODES.get(1 if page.planarconfig == PLANES else page.samplesperpixel)
    if page.compression != JPEG or page.bitspersample > 8 or page.jpegheader or mode is None:
        return
    begin = page.jpegtables[:-2] if page.jpegtables else b"\xff\xd8"
    tall = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    strips = -(-page.imagelength // tall)
    for each in pages:
        for index, (offset, count) in enumerate(zip(each.dataoffsets, each.databytecounts, strict=False)):
            file.filehandle.seek(offset)
            data = jpeg.decode(path, begin + file.filehandle.read(count)[2:], mode) if count else None
            is_last = not page.is_tiled and index % strips == strips - 1
            rows = page.imagelength - (strips - 1) * tall if is_last else tall
            if data is not None and len(data) < rows:
                raise ReadError(
                    f"{path}: damaged: a JPEG in it holds {len(data)} of {rows} rows; copy it again"
                )


def _is_left_to_pillow(page: tifffile.TiffPage) -> bool:
    """Colours of 8 bits that are not stored as RGB, but for inks with an alpha, which Pillow refuses."""
    stored = page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
    inked = page.photometric == INKS and page.samplesperpixel > FOUR_INKS
    return page.bitspersample <= 8 and not stored and not inked


def _by_pillow(path: Path) -> np.ndarray:
    """Pillow turns a TIFF upright itself."""
    with PIL.Image.open(path) as page_image:
        page_image.load()
        if page_image.mode not in PILLOW_MODES:
            raise ReadError(f"{path}: colours of kind {page_image.mode!r} are not supported; convert to RGB")
        return np.asarray(page_image.convert(PILLOW_MODES[page_image.mode]))


def _finite(path: Path, data: np.ndarray) -> np.ndarray:
    """The same. Raises ReadError where a float is no number."""
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        row, column = np.argwhere(~np.isfinite(data).all(axis=2))[0]
        raise ReadError(
            f"{path}: NaN or infinite values, the first in row {row}, column {column}; repair the file"
        )
    return data


def _bands_last(page: tifffile.TiffPage) -> np.ndarray:
    data = page.asarray()
    axes = page.axes
    if "S" in axes and not axes.endswith("S"):
        data = np.moveaxis(data, axes.index("S"), -1)
    elif "S" not in axes:
        data = data[..., None]
    data = _straight(_stretched(data.reshape(data.shape[-3:]), page), page)
    if page.photometric == INKS and data.shape[2] >= FOUR_INKS:
        return _paper(data)
    alpha = data.shape[2] == 2 and ALPHA_SAMPLES.intersection(page.extrasamples)
    return data[..., [0, 0, 0, 1]] if alpha else data


def _straight(data: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Colours that are multiplied by their alpha as they were before; 0 where nothing is seen."""
    extra = page.extrasamples
    if not extra or extra[0] != MULTIPLIED_ALPHA or data.shape[2] <= len(extra):
        return data
    at = data.shape[2] - len(extra)
    top, alpha = full_scale(data.dtype), data[..., at : at + 1].astype(np.float64)
    colours = np.divide(
        data[..., :at] * float(top), alpha, out=np.zeros(data[..., :at].shape), where=alpha > 0
    )
    straight = colours if data.dtype.kind == "f" else np.minimum(np.rint(colours), top)
    straight = straight.astype(data.dtype)
    return np.concatenate([straight, data[..., at:]], axis=2)


def _paper(inks: np.ndarray) -> np.ndarray:
    """Cyan, magenta, yellow, black (and alpha) to RGB (and alpha), as Pillow does in 8 bits."""
    top = full_scale(inks.dtype)
    left = (top - inks[..., :4].astype(np.float64)) / top
    colours = left[..., :3] * left[..., 3:] * top
    colours = (colours if inks.dtype.kind == "f" else np.rint(colours)).astype(inks.dtype)
    return np.concatenate([colours, inks[..., 4:5]], axis=2)


def _stretched(data: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Samples of any number of bits to 8 or 16, white the largest."""
    bits = page.bitspersample
    if data.dtype.kind == "f":
        data = data.astype(np.float64 if bits == 64 else np.float32)
    elif data.dtype == bool or bits < 8:
        data = (data.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    elif 8 < bits < 16:
        data = to_sixteen(data, bits)
    if page.photometric == WHITE_IS_ZERO:
        data = full_scale(data.dtype) - data if data.dtype.kind == "f" else np.iinfo(data.dtype).max - data
    return data
