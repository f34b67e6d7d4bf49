"""A FLAC file that FFmpeg writes. The same samples give the same bytes: no dates, no versions are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

from mediaconv.media.samples import SampleFormat

LAYOUTS = {1: "mono", 2: "stereo"}
STORED = {"i2": "s16", "i4": "s32"}


class FlacFile:
    """One open file. format: of the samples, as `AudioWriter` takes them. Raises OSError, FFmpegError."""

    def __init__(self, path: Path, *, rate_hz: int, format: SampleFormat, channels: int) -> None:
        self._format = format
        open(path, "wb").close()  # FFmpeg opens it with the first packet only: too late to be told
        options = {"fflags": "+bitexact"}
        self._container = av.open(f"file:{path}", "w", format="flac", container_options=options)
        layout = LAYOUTS.get(channels, f"{channels} channels")
        self._stream: Any = self._container.add_stream("flac", rate=rate_hz, layout=layout)
        context: Any = self._stream.codec_context
        context.format = STORED[format.dtype.str[1:]]
        context.flags |= av.codec.context.Flags.bitexact
        context.thread_count = 1
        context.open()

    def write(self, block: np.ndarray) -> None:
        """Append samples, (n, C)."""
        context: Any = self._stream.codec_context
        stored = block << 8 if self._format.bits == 24 else block  # FFmpeg wants them in the high bits
        packed = np.ascontiguousarray(stored).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format=context.format.name, layout=context.layout)
        frame.sample_rate = context.sample_rate
        self._encode(frame)

    def close(self) -> None:
        """Complete the file."""
        self._encode(None)
        self._container.close()

    def abort(self) -> None:
        """Let go of the file as it is. May be called twice."""
        self._container.close()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux_one(packet)
