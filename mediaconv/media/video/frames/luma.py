"""The gray picture in a decoded frame: its luma, stretched to the full range, exactly.

Luma is taken as stored, whatever the colour matrix. RGB and palettes have none and are not for here.
"""

from __future__ import annotations

import functools
import re

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from mediaconv.media.video.frames.planes import plane

# A first plane that is all luma, in this machine's bytes: YUV of any subsampling, and gray.
PLANAR = re.compile(r"(?:yuv[aj]?4\d\dp|gray)(?:(9|10|12|14|16)le)?")
WITH_LUMA = re.compile(r"(?:yuv|yuyv|yvyu|uyvy|uyyvyy|nv|p0|p2|p4|y2|gray|ya|ayuv|vuy|xv|v30|v410).*")
DEPTHS = (9, 10, 12, 14, 16)


def has_luma(frame: av.VideoFrame) -> bool:
    """The frame is YUV or gray, in integers."""
    name = frame.format.name
    return WITH_LUMA.fullmatch(name) is not None and "f32" not in name and "f16" not in name


def read_luma(
    frame: av.VideoFrame, reformatter: VideoReformatter, *, size: tuple[int, int], bits: int, sixteen: bool
) -> np.ndarray:
    """Shape: (height, width, 1) of `size` (width, height), uint8, or uint16 with `sixteen`.

    bits: of the frame's samples. Raises av.error.FFmpegError.
    """
    limited = is_limited(frame)
    match = PLANAR.fullmatch(frame.format.name)
    if match is None or size != (frame.width, frame.height):
        bits = 8 if bits <= 8 else next((depth for depth in DEPTHS if depth >= bits), 16)
        same = ColorRange.MPEG if limited else ColorRange.JPEG  # on both sides: values stay as they are
        frame = reformatter.reformat(
            frame,
            width=size[0],
            height=size[1],
            format="yuv444p" if bits == 8 else f"yuv444p{bits}le",
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
            src_color_range=same,
            dst_color_range=same,
            threads=1,
        )
    samples = plane(frame, 0, np.uint8 if bits == 8 else np.uint16, 1)
    if not limited and sixteen == (bits == 16) and (bits in (8, 16)):
        return samples
    table = stretch_table(bits, limited, sixteen)
    return cv2.LUT(samples[..., 0], table)[..., None] if bits == 8 else table[samples]


def is_limited(frame: av.VideoFrame) -> bool:
    """Black is 16 and white 235 (times a power of 2): so film is by default, gray formats are not."""
    if frame.color_range == ColorRange.UNSPECIFIED:
        return not frame.format.name.startswith(("yuvj", "gray", "ya8", "ya16"))
    return frame.color_range != ColorRange.JPEG and not frame.format.name.startswith("yuvj")


@functools.lru_cache(maxsize=16)
def stretch_table(bits: int, limited: bool, sixteen: bool) -> np.ndarray:
    """From a stored sample to 0..255 or 0..65535, to the nearest."""
    top = 65535 if sixteen else 255
    stored = np.arange(1 << bits, dtype=np.float64)
    black, span = (16 << (bits - 8), 219 << (bits - 8)) if limited else (0, (1 << bits) - 1)
    values = np.clip(np.rint((stored - black) * top / span), 0, top)
    return values.astype(np.uint16 if sixteen else np.uint8)
