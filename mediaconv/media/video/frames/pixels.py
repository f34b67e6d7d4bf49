"""Decoded film frames to arrays: colour matrix, range and bit depth made right, orientation applied.

YUV without a stated matrix is taken as BT.601, without a stated range as limited, as the ffmpeg program does.
Samples of more than 8 bits become 16 bits, so that the brightest value is 65535 (`deep_colour`). Gray is
the luma of YUV, and BT.601's of RGB. Alpha is dropped for "rgb" and "gray" without blending.
"""

from __future__ import annotations

import re

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from mediaconv.media.orientation import Orientation
from mediaconv.media.samples import to_sixteen
from mediaconv.media.video.frames.deep_colour import read_rgb
from mediaconv.media.video.frames.luma import has_luma, read_luma
from mediaconv.media.video.frames.planes import has_alpha, plane, stored_bits

CHANNELS = {"rgb": 3, "gray": 1, "rgba": 4}
PLANAR = {3: "gbrp", 4: "gbrap"}
PLANAR_RGB = re.compile(r"gbra?p(?:(?:9|10|12|14|16)le)?")
PLANE_ORDER = (2, 0, 1, 3)  # of red, green, blue, alpha in the planar formats
DEPTHS = (10, 12, 14, 16)


class PixelConverter:
    """Frames of one stream to arrays of one size, type and colour layout.

    width, height: of the array, after turning. color: "rgb", "gray" or "rgba". bits: as `stored_bits` of
    the first frame; above 8 the arrays are uint16 and fill 0..65535. visible: left, top, width and height of
    the stored frame's part that is shown; the rest is padding. None: all of it. coded: (width, height) of the
    frames that `visible` is a part of.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        color: str,
        bits: int,
        orientation: Orientation,
        visible: tuple[int, int, int, int] | None = None,
        coded: tuple[int, int] | None = None,
    ) -> None:
        self.channels = CHANNELS[color]
        self.dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        self.shape = (height, width, self.channels)
        self._orientation = orientation
        self._visible, self._coded = visible, coded
        self._stored_size = orientation.size(width, height)
        self._depth = next((depth for depth in DEPTHS if depth >= bits), 16)
        self._reformatter = VideoReformatter()

    def convert(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        """Write a frame into `out`, shape (H, W, C). Raises av.error.FFmpegError."""
        target = out if self._orientation.is_identity else self._untransposed(out)
        if self._visible is None or self._coded != (frame.width, frame.height):
            self._into(frame, self._stored_size, target)
            return
        whole = np.empty((frame.height, frame.width, self.channels), self.dtype)
        self._into(frame, (frame.width, frame.height), whole)
        left, top, width, height = self._visible
        part = whole[top : top + height, left : left + width]
        if (width, height) != self._stored_size:
            part = cv2.resize(part, self._stored_size, interpolation=cv2.INTER_CUBIC)
        target[...] = part.reshape(target.shape)

    def _into(self, frame: av.VideoFrame, size: tuple[int, int], out: np.ndarray) -> None:
        if self.channels > 1:
            self._colours(frame, size, out)
        elif has_luma(frame):
            sixteen = self.dtype == np.uint16
            bits = stored_bits(frame)
            out[...] = read_luma(frame, self._reformatter, size=size, bits=bits, sixteen=sixteen)
        else:
            colours = np.empty((size[1], size[0], 3), self.dtype)
            self._colours(frame, size, colours)
            out[..., 0] = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)

    def _colours(self, frame: av.VideoFrame, size: tuple[int, int], out: np.ndarray) -> None:
        if out.shape[2] == 4 and not has_alpha(frame):
            out[..., 3] = 255 if self.dtype == np.uint8 else 65535
            out = out[..., :3]
        channels = out.shape[2]
        deep = self.dtype == np.uint16
        # the scaler's own way from YUV to packed RGBA leaves rubbish in the last columns of some widths
        packed = channels == 3 and not deep
        depth = f"{self._depth}le" if deep else ""
        resized = size != (frame.width, frame.height)
        quality = Interpolation.BICUBIC if resized else Interpolation.BILINEAR
        if deep:  # exact rather than fast
            quality |= Interpolation.ACCURATE_RND
            if has_luma(frame):
                out[..., :3] = read_rgb(frame, self._reformatter, size=size, interpolation=quality)
                if channels == 3:
                    return
        if PLANAR_RGB.fullmatch(frame.format.name) and not resized:
            self._planes(frame, stored_bits(frame), out)
            return
        converted = self._reformatter.reformat(
            frame,
            width=size[0],
            height=size[1],
            # with alpha kept, as the scaler leaves rubbish in the last columns where it drops that of 16 bits
            format="rgb24" if packed else f"{PLANAR[4 if has_alpha(frame) else channels]}{depth}",
            interpolation=quality,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        if packed:
            np.copyto(out, plane(converted, 0, np.uint8, 3))
            return
        for channel in range(3 if deep and has_luma(frame) else 0, channels):
            samples = plane(converted, PLANE_ORDER[channel], self.dtype.type, 1)[..., 0]
            out[..., channel] = to_sixteen(samples, self._depth) if deep else samples

    def _planes(self, frame: av.VideoFrame, bits: int, out: np.ndarray) -> None:
        """Planar RGB of any depth as it is stored, stretched to 8 or 16 bits."""
        kind = np.uint8 if bits <= 8 else np.uint16
        for channel in range(out.shape[2]):
            samples = plane(frame, PLANE_ORDER[channel], kind, 1)[..., 0]
            out[..., channel] = samples if bits <= 8 else to_sixteen(samples, bits)

    def _untransposed(self, out: np.ndarray) -> np.ndarray:
        """A view of `out` that takes stored rows and columns."""
        turn = self._orientation
        if turn.flip_columns:
            out = out[:, ::-1]
        if turn.flip_rows:
            out = out[::-1]
        return out.swapaxes(0, 1) if turn.transpose else out
