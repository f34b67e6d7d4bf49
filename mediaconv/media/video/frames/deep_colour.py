"""YUV of more than 8 bits to RGB of 16 bits, by the definition: FFmpeg's scaler falls short of white there.

The scaler is asked only to bring chroma to luma's rows, and to a size. Two columns share a chroma sample, as
when the scaler makes packed RGB: both agree to its one level of 255. The gray picture is `luma`'s.
"""

from __future__ import annotations

import functools

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from mediaconv.media.video.frames.luma import is_limited, read_luma
from mediaconv.media.video.frames.planes import plane, stored_bits

BT601 = (0.299, 0.114)
RED_AND_BLUE = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: BT601,
    6: BT601,
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Share of red and blue in luma, by the matrix's number in ISO/IEC 23091-2; others are taken as BT.601."""


def read_rgb(
    frame: av.VideoFrame,
    reformatter: VideoReformatter,
    *,
    size: tuple[int, int],
    interpolation: Interpolation,
) -> np.ndarray:
    """Shape: (height, width, 3) of `size` (width, height), uint16. Raises av.error.FFmpegError."""
    if frame.format.name.startswith(("gray", "ya")):
        bits = stored_bits(frame)
        return np.repeat(read_luma(frame, reformatter, size=size, bits=bits, sixteen=True), 3, axis=2)
    limited = is_limited(frame)
    same = ColorRange.MPEG  # on both sides, also of the full range, of which it would stretch luma alone
    chroma = frame.format.components[1].width if len(frame.format.components) > 2 else frame.width
    halved = size == (frame.width, frame.height) and 2 * chroma in (frame.width, frame.width + 1)
    yuv = reformatter.reformat(
        frame,
        width=size[0],
        height=size[1],
        format="yuv422p16le" if halved else "yuv444p16le",
        interpolation=interpolation,
        src_color_range=same,
        dst_color_range=same,
        threads=1,
    )
    planes = [plane(yuv, index, np.uint16, 1)[..., 0] for index in range(3)]
    if halved:
        planes[1:] = [np.repeat(_centred(part), 2, axis=1)[:, : size[0]] for part in planes[1:]]
    return cv2.transform(
        cv2.merge(planes), matrix(int(frame.colorspace), limited, stored_bits(frame))
    )  # rounds and clips


def _centred(chroma: np.ndarray) -> np.ndarray:
    """Chroma is stored for the left one of two columns; here for the middle of both, a quarter further."""
    following = np.concatenate([chroma[:, 1:], chroma[:, -1:]], axis=1)
    return cv2.addWeighted(chroma, 0.75, following, 0.25, 0)


@functools.lru_cache(maxsize=16)
def matrix(colorspace: int, limited: bool, bits: int = 16) -> np.ndarray:
    """From stored samples (Y, Cb, Cr, 1) to RGB from 0 to 65535: shape (3, 4).

    The samples are of `bits` bits, which the scaler moved to the upper ones of 16.
    """
    red, blue = RED_AND_BLUE.get(colorspace, BT601)
    green = 1 - red - blue
    by_blue, by_red = 2 * (1 - blue), 2 * (1 - red)
    colours = np.array(
        [[1, 0, by_red], [1, -by_blue * blue / green, -by_red * red / green], [1, by_blue, 0]], np.float64
    )
    top = 65535.0
    white = float(((1 << bits) - 1) << 16 - bits)  # of the full range
    black, luma, chroma = (16 << 8, 219 << 8, 224 << 8) if limited else (0, white, white)
    scaled = colours * np.array([top / luma, top / chroma, top / chroma])
    offset = -scaled @ np.array([black, 1 << 15, 1 << 15])
    return np.column_stack([scaled, offset])
