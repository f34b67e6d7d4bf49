"""Which library decodes which image, and how its result becomes (H, W, C) in RGB order, upright.

Pillow reads what has 8 bits (it refuses cut files and knows palettes, CMYK, transparency); OpenCV what has
more in PNG, JPEG 2000, AVIF and PNM, which Pillow would cut to 8 bits; TIFF and JPEG have their own modules.
Sizes are checked on the header. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.image import png_rows
from mediaconv.media.image.png_rows import PNG
from mediaconv.media.input_file import HEAD_BYTES, describe, one_line
from mediaconv.media.limits import Limits, check_pixels, image_bytes
from mediaconv.media.orientation import Orientation, from_exif
from mediaconv.media.samples import to_sixteen

if TYPE_CHECKING:
    import PIL.Image

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # what matters is raised

ORIENTATION_TAG = 274
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNM = {b"P2": 1, b"P3": 3, b"P5": 1, b"P6": 3}
"""Channels of the portable maps that may hold more than 8 bits; the first two are written in decimals."""
ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
PLAIN_PNG = PNG + b"\0\0\0\x0dIHDR"
PLAIN_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND", b"pHYs", b"tIME", b"sRGB", b"gAMA", b"cHRM"})
"""Of these none changes a pixel or turns the picture, as texts may."""
PLAIN_COLOURS = {0: (1, cv2.IMREAD_UNCHANGED), 2: (3, cv2.IMREAD_COLOR_RGB), 6: (4, cv2.IMREAD_UNCHANGED)}
"""A PNG's kinds of colour without a palette: their channels, and how OpenCV reads them."""
JPEGS = ("JPEG", "MPO")
JPEG2000_SIZE = b"\xff\x4f\xff\x51"
EIGHT_BIT_MODES = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"), "RGB"),
    **dict.fromkeys(("RGBA", "RGBa", "LA", "La", "PA"), "RGBA"),
}
"""What Pillow's modes of 8 bits become."""

_pillow_limit = threading.Lock()


class _SignedError(Exception):
    """Samples below zero."""


def decode(path: Path, head: bytes, limits: Limits) -> tuple[np.ndarray, int]:
    """The first picture, shape (H, W, C), uint8 or uint16, and how many there are. Raises ReadError.

    head: as `read_head` gives it; a small file is not opened again.
    """
    try:
        if head.startswith(TIFF):
            from mediaconv.media.image import tiff  # with its library: most folders hold none

            return tiff.decode(path, limits)
        is_whole = len(head) < HEAD_BYTES
        if is_whole and (plain := _decode_plain_png(path, head, limits)) is not None:
            return plain, 1
        whole = io.BytesIO(head) if is_whole else None
        with _open_pillow(path, head, whole) as image:
            check_pixels(path, *image.size, limits)
            bits = _deep_bits(head, image)
            check_pixels(path, *image.size, limits, bands=_bands(image), sample_bytes=2 if bits > 8 else 1)
            if bits > 8:
                return _decode_deep(path, bits, _orientation(image)), _images(image)
            if image.format in JPEGS:
                from mediaconv.media.image import jpeg

                content = head if is_whole else path.read_bytes()
                data = jpeg.decode(path, content, image.mode)
                if data is not None:
                    return _orientation(image).apply(data), _images(image)
            return _decode_pillow(path, image), _images(image)
    except ReadError:
        raise
    except MemoryError as error:
        raise ReadError(
            f"{path}: too large for the memory at hand; lower max_pixels to refuse such files"
        ) from error
    except _SignedError as error:
        raise ReadError(f"{path}: signed samples are not supported; convert to unsigned ones") from error
    except Exception as error:  # decoders of damaged files raise anything: SyntaxError, struct.error, ...
        raise ReadError(f"{path}: damaged or cut off: it cannot be decoded ({one_line(error)})") from error


def needed_bytes(path: Path) -> int:
    """About what reading a picture takes, by its header alone; 0 where that tells nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
        with _open_pillow(path, head) as image:
            deep = 16 if head.startswith(TIFF) else _deep_bits(head, image)
            return image_bytes(*image.size, _bands(image), 2 if deep > 8 else 1)
    except Exception:  # what is damaged is told when it is read
        return 0


def _bands(image: PIL.Image.Image) -> int:
    return 4 if image.mode == "P" else len(image.getbands())


def _open_pillow(path: Path, head: bytes, content: io.BytesIO | None = None) -> PIL.Image.Image:
    """The header alone is read. Pillow's own limit steps back for ours, which the caller checks next.

    content: of the file, where it was read already.
    """
    import PIL.Image

    with _pillow_limit:
        before, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            return PIL.Image.open(path if content is None else content)
        except PIL.UnidentifiedImageError as error:
            raise ReadError(f"{path}: no image that can be read: {describe(head)}") from error
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = before


def _images(image: PIL.Image.Image) -> int:
    """Pictures of an animation. What cameras put beside a JPEG is not another one."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _orientation(image: PIL.Image.Image) -> Orientation:
    return from_exif(image.getexif().get(ORIENTATION_TAG))


def _deep_bits(head: bytes, image: PIL.Image.Image) -> int:
    """Bits of a sample by the header; 8 where it is that or less."""
    if head.startswith(PNG):
        return max(8, head[24])
    if image.format == "JPEG2000":
        start = head.find(JPEG2000_SIZE)
        if 0 <= start < len(head) - 42 and head[start + 42] & 0x80:
            raise _SignedError
        return max(8, (head[start + 42] & 0x7F) + 1) if 0 <= start < len(head) - 42 else 8
    if image.format == "AVIF":
        start = head.find(b"av1C")
        if 0 <= start < len(head) - 6 and head[start + 6] & 0x40:
            return 12 if head[start + 6] & 0x20 else 10
        return 8
    if image.format == "PPM":
        return 16 if _pnm_largest(head) > 255 else 8
    return 16 if image.mode.startswith("I;16") or image.mode == "I" else 8


def _pnm_largest(head: bytes) -> int:
    lines = b" ".join(line.split(b"#")[0] for line in head[:4096].split(b"\n")).split()
    return int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 255


def _decode_pnm(stored: bytes) -> np.ndarray:
    """A portable map of more than 8 bits, stretched so that its largest value is white."""
    kind = stored[:2]
    fields: list[int] = []
    at = 2
    while len(fields) < 3:
        word = re.compile(rb"\s*(?:#[^\n]*\n\s*)*(\d+)").match(stored, at)
        if word is None:
            raise ValueError("the header ends early")
        fields.append(int(word[1]))
        at = word.end()
    width, height, largest = fields
    shape = (height, width, PNM[kind])
    if kind in (b"P5", b"P6"):
        data = np.frombuffer(stored, ">u2", count=height * width * PNM[kind], offset=at + 1)
    else:
        text = re.sub(rb"#[^\n]*", b"", stored[at:]).split()[: height * width * PNM[kind]]
        data = np.array(text, np.int64)
    return np.rint(np.minimum(data, largest).reshape(shape) * (65535 / largest)).astype(np.uint16)


def _decode_pillow(path: Path, image: PIL.Image.Image) -> np.ndarray:
    image.load()
    if image.format == "PNG":
        _check_rows(path, image)
    mode = EIGHT_BIT_MODES.get(image.mode)
    if image.mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    elif mode is None:
        raise ReadError(f"{path}: samples of kind {image.mode!r} are not supported; convert to 8 or 16 bits")
    elif "transparency" in image.info:
        mode = "RGBA"
    if image.format == "PNG" and image.mode == "L" and "transparency" in image.info:
        return _orientation(image).apply(_gray_with_key(path, image))
    data = np.asarray(image if image.mode == mode else image.convert(mode))
    return _orientation(image).apply(data if data.ndim == 3 else data[..., None])


def _check_rows(path: Path, image: PIL.Image.Image) -> None:
    """Pillow leaves rows 0 that a whole stream does not hold, the last one among them; interlaced any."""
    if image.info.get("interlace") or not np.asarray(image)[-1].any():
        _refuse_missing_rows(path, path.read_bytes())


def _refuse_missing_rows(path: Path, content: bytes) -> None:
    came = png_rows.missing(content)
    if came is not None:
        raise ReadError(f"{path}: damaged or cut off: it holds {came}; copy or download it again")


def _gray_with_key(path: Path, image: PIL.Image.Image) -> np.ndarray:
    """A PNG of up to 8 bits with a transparent value, which Pillow leaves as it was before the stretch."""
    with path.open("rb") as file:
        bits = file.read(len(PNG) + 17)[24]
    key = int(image.info["transparency"]) * (255 // ((1 << bits) - 1))
    return _keyed(np.asarray(image)[..., None], (key,))


def _decode_plain_png(path: Path, content: bytes, limits: Limits) -> np.ndarray | None:
    """A PNG of 8 bits that is nothing but its pixels, by OpenCV in less than half of Pillow's time.

    None where it is another picture or damaged: then Pillow tells.
    """
    if len(content) < 29 or content[:16] != PLAIN_PNG or content[24] != 8 or content[26:29] != b"\0\0\0":
        return None
    bands, flag = PLAIN_COLOURS.get(content[25], (0, 0))
    if not bands:
        return None
    for kind, begin, end in png_rows.chunks(content):
        digits = int.from_bytes(content[end : end + 4], "big")
        if kind not in PLAIN_CHUNKS or zlib.crc32(content[begin - 4 : end]) != digits:
            return None
        if kind == b"IEND":
            break
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    check_pixels(path, width, height, limits)
    check_pixels(path, width, height, limits, bands=bands)
    try:
        data = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error:
        return None
    if data is None or data.shape[:2] != (height, width) or data.dtype != np.uint8:
        return None
    return data if flag == cv2.IMREAD_COLOR_RGB else from_bgr(data)


def _decode_deep(path: Path, bits: int, orientation: Orientation) -> np.ndarray:
    stored = np.fromfile(path, np.uint8)
    if stored[:2].tobytes() in PNM:
        return _decode_pnm(stored.tobytes())
    data = cv2.imdecode(_without_animation(stored), cv2.IMREAD_UNCHANGED)
    if data is None:
        if stored[: len(PNG)].tobytes() == PNG:
            _refuse_missing_rows(path, stored.tobytes())
        raise ReadError(f"{path}: damaged or cut off: its {bits}-bit samples cannot be decoded")
    if data.dtype == np.uint16 and bits < 16:
        data = to_sixteen(data, bits)
    return orientation.apply(_keyed(from_bgr(data), _png_key(stored.tobytes())))


def _without_animation(stored: np.ndarray) -> np.ndarray:
    """A PNG without the chunks of its animation, of which the still picture may be no part."""
    content = stored.tobytes()
    if not content.startswith(PNG) or b"acTL" not in content[: max(0, content.find(b"IDAT"))]:
        return stored
    kept = [
        content[begin - 8 : end + 4] for kind, begin, end in png_rows.chunks(content) if kind not in ANIMATION
    ]
    return np.frombuffer(b"".join([PNG, *kept]), np.uint8)


def _png_key(stored: bytes) -> tuple[int, ...]:
    """The colour that a PNG of 16 bits states to be transparent; empty where there is none."""
    for kind, begin, end in png_rows.chunks(stored) if stored.startswith(PNG) else ():
        if kind == b"tRNS":
            return tuple(np.frombuffer(stored[begin:end], ">u2").tolist())
        if kind == b"IDAT":
            break
    return ()


def _keyed(data: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    """With alpha 0 where the colour is the key, else opaque; as it is without one."""
    if data.shape[2] != len(key) or not key:
        return data
    alpha = np.where((data == np.array(key, data.dtype)).all(axis=2), 0, np.iinfo(data.dtype).max)
    colours = np.repeat(data, 3, axis=2) if len(key) == 1 else data
    return np.dstack([colours, alpha.astype(data.dtype)])


def from_bgr(data: np.ndarray) -> np.ndarray:
    if data.ndim == 2:
        return data[..., None]
    if data.shape[2] == 3:
        return data[..., ::-1]
    return data[..., [2, 1, 0, 3]] if data.shape[2] == 4 else data
