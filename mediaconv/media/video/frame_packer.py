"""Arrays to frames in an encoder's pixel format: gray into the luma plane as it is, RGB as it is or as YUV.

The other way is `pixels`. Encodes nothing.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from mediaconv.media.video.frames.planes import plane

GREEN_BLUE_RED = (1, 2, 0)  # the order of planes in planar RGB


class FramePacker:
    """Frames of one size and format.

    size: (width, height) of the frames; smaller pictures are padded by their last row and column.
    bits: of the samples given.
    """

    def __init__(self, size: tuple[int, int], pix_fmt: str, *, bits: int) -> None:
        self._size = size
        self._format = pix_fmt
        self._bits = bits
        self._reformatter = VideoReformatter()

    def pack(self, pixels: np.ndarray) -> av.VideoFrame:
        """Shape: (H, W) gray or (H, W, 3) RGB, uint8 or uint16. Raises av.error.FFmpegError."""
        width, height = self._size
        extra = ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]))
        if any(after for _, after in extra):
            pixels = np.pad(pixels, (*extra, (0, 0))[: pixels.ndim], mode="edge")
        if pixels.ndim == 2:
            return self._gray(pixels)
        if self._format.startswith("gbrp"):
            return self._planar(pixels)
        return self._packed(pixels)

    def _gray(self, pixels: np.ndarray) -> av.VideoFrame:
        frame = av.VideoFrame(*self._size, self._format)
        plane(frame, 0, pixels.dtype.type, 1)[..., 0] = pixels
        for index in range(1, len(frame.planes)):  # chroma: the middle of its range is no colour
            plane(frame, index, pixels.dtype.type, 1)[...] = 1 << (self._bits - 1)
        frame.color_range = ColorRange.JPEG
        return frame

    def _planar(self, pixels: np.ndarray) -> av.VideoFrame:
        frame = av.VideoFrame(*self._size, self._format)
        for index, channel in enumerate(GREEN_BLUE_RED):
            plane(frame, index, pixels.dtype.type, 1)[..., 0] = pixels[..., channel]
        return frame

    def _packed(self, pixels: np.ndarray) -> av.VideoFrame:
        """RGB, and from there to what the encoder takes: BGR or BT.709 in limited range."""
        deep = self._bits > 8
        frame = av.VideoFrame(*self._size, "rgb48le" if deep else "rgb24")
        plane(frame, 0, pixels.dtype.type, 3)[...] = pixels << (16 - self._bits) if deep else pixels
        if self._format == "rgb24":
            return frame
        if self._format == "bgr0":
            return self._reformatter.reformat(frame, format="bgr0", threads=1)
        return self._reformatter.reformat(
            frame,
            format=self._format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
