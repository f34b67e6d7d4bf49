"""Decoded film frames to arrays: colour matrix, range and bit depth made right, orientation applied.

YUV without a stated matrix is taken as BT.601, without a stated range as limited, as the ffmpeg program does.
Samples of more than 8 bits become 16 bits, so that the brightest value is 65535. Alpha is dropped for
"rgb" and "gray" without blending.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from mediaconv.media.orientation import Orientation
from mediaconv.media.samples import to_sixteen

CHANNELS = {"rgb": 3, "gray": 1, "rgba": 4}
PACKED = {"rgb": "rgb24", "gray": "gray", "rgba": "rgba"}
PLANAR = {"rgb": "gbrp", "gray": "gray", "rgba": "gbrap"}
PLANE_ORDER = {"rgb": (2, 0, 1), "gray": (0,), "rgba": (2, 0, 1, 3)}
DEPTHS = (10, 12, 14, 16)


def stored_bits(frame: av.VideoFrame) -> int:
    """Bits of the frame's deepest component; 16 for float formats, 8 for palettes."""
    name = frame.format.name
    if "f32" in name or "f16" in name:
        return 16
    if name == "pal8":
        return 8
    return max(c.bits for c in frame.format.components)


class PixelConverter:
    """Frames of one stream to arrays of one size, type and colour layout.

    width, height: of the array, after turning. color: "rgb", "gray" or "rgba". bits: as `stored_bits` of
    the first frame; above 8 the arrays are uint16 and fill 0..65535. visible: (width, height) of the stored
    frame's part that is picture; the rest, at its right and bottom, is padding. None: all of it.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        color: str,
        bits: int,
        orientation: Orientation,
        visible: tuple[int, int] | None = None,
    ) -> None:
        self.channels = CHANNELS[color]
        self.dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        self.shape = (height, width, self.channels)
        self._color = color
        self._orientation = orientation
        self._visible = visible
        self._stored_size = orientation.size(width, height)
        self._depth = next((d for d in DEPTHS if d >= bits), 16)
        self._format = PACKED[color] if bits <= 8 else f"{PLANAR[color]}{self._depth}le"
        self._reformatter = VideoReformatter()

    def convert(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        """Write a frame into `out`, shape (H, W, C). Raises av.error.FFmpegError."""
        if self._visible is not None:
            frame = self._cropped(frame, *self._visible)
        width, height = self._stored_size
        resized = (frame.width, frame.height) != (width, height)
        quality = Interpolation.BICUBIC if resized else Interpolation.BILINEAR
        if self.dtype != np.uint8:  # deep pictures: exact rather than fast
            quality |= Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
        converted = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=self._format,
            interpolation=quality,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        target = out if self._orientation.is_identity else self._untransposed(out)
        if self.dtype == np.uint8:
            np.copyto(target, plane(converted, 0, np.uint8, self.channels))
            return
        for channel, index in enumerate(PLANE_ORDER[self._color]):
            samples = plane(converted, index, np.uint16, 1)[..., 0]
            target[..., channel] = to_sixteen(samples, self._depth)

    def _cropped(self, frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
        """The visible part, in the array's own colours."""
        whole = self._reformatter.reformat(
            frame, format=self._format, dst_color_range=ColorRange.JPEG, threads=1
        )
        part = av.VideoFrame(width, height, self._format)
        part.color_range = ColorRange.JPEG
        packed = len(whole.planes) == 1 and self.channels > 1
        for index in range(len(whole.planes)):
            channels = self.channels if packed else 1
            source = plane(whole, index, self.dtype.type, channels)
            plane(part, index, self.dtype.type, channels)[...] = source[:height, :width]
        return part

    def _untransposed(self, out: np.ndarray) -> np.ndarray:
        """A view of `out` that takes stored rows and columns."""
        turn = self._orientation
        if turn.flip_columns:
            out = out[:, ::-1]
        if turn.flip_rows:
            out = out[::-1]
        return out.swapaxes(0, 1) if turn.transpose else out


def plane(frame: av.VideoFrame, index: int, dtype: type, channels: int) -> np.ndarray:
    """A plane's samples without line padding, shape (rows, columns, channels), a view to read or write."""
    part: Any = frame.planes[index]
    row = np.frombuffer(part, np.uint8).reshape(part.height, -1)
    if part.line_size < 0:  # stored bottom row first
        row = row[::-1]
    samples: np.ndarray = row[:, : part.width * channels * np.dtype(dtype).itemsize].view(dtype)
    return samples.reshape(part.height, part.width, channels)
