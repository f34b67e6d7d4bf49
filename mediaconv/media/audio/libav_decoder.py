"""Decoding sound with PyAV: AAC, ALAC, Opus in MP4, WMA, the sound of films. Trims the encoder's delay as
the container states it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.files import one_line
from mediaconv.media.integrity.extent import Extent
from mediaconv.media.libav import open_container, packets

SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}
BITS = {"u8": 8, "s16": 16, "s32": 32, "s64": 32, "flt": 16, "dbl": 16}
FLOAT_PCM = ("pcm_f32", "pcm_f64", "pcm_f16", "pcm_f24")


class LibavDecoder:
    """The best sound stream of a file; see `mediaconv.media.audio.reader.Decoder`.

    bit_depth: of what the decoder gives: 32 for 24-bit ALAC. The number of samples is known
    only at the end: containers state it with the encoder's padding.
    """

    samples: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container = open_container(path)
        try:
            self._stream = self._container.streams.best("audio")
            if self._stream is None:
                what = (
                    "a sound stream that cannot be decoded" if self._container.streams.audio else "no sound"
                )
                raise ReadError(f"{path}: the file holds {what}")
            self._stream.thread_type = "AUTO"
            self._extent = Extent(self._container, self._stream)
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise ReadError(f"{path}: zero samples of sound can be decoded")
        except BaseException:
            self.close()
            raise
        self._frames = itertools.chain([first], self._frames)
        self.rate_hz = first.sample_rate
        self.channels = len(first.layout.channels)
        name = self._stream.codec_context.name
        self.floating = name.startswith(FLOAT_PCM)
        stored = re.match(r"pcm_[su](\d+)", name)
        kind = first.format.name.removesuffix("p")
        self.bit_depth = 32 if self.floating else int(stored[1]) if stored else BITS[kind]

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        """See `Decoder.blocks`. Decodes from the start: seeking in lossy sound is not exact to the sample."""
        skip = first
        for frame in self._frames:
            if frame.sample_rate != self.rate_hz or len(frame.layout.channels) != self.channels:
                raise ReadError(
                    f"{self._path}: the sound changes from {self.rate_hz} Hz, {self.channels} channels to "
                    f"{frame.sample_rate} Hz, {len(frame.layout.channels)} channels; split the file there"
                )
            block = _samples(frame)
            if skip:
                skipped = min(skip, len(block))
                skip -= skipped
                block = block[skipped:]
            yield block

    def notes(self) -> list[str]:
        """See `Decoder.notes`."""
        return self._extent.notes()

    def close(self) -> None:
        """Release the file. May be called twice."""
        self._container.close()

    def _decoded(self) -> Iterator[av.AudioFrame]:
        try:
            for packet in packets(self._path, self._container, self._stream):
                for frame in self._stream.codec_context.decode(packet):
                    if frame.samples:
                        self._extent.add(frame)
                        yield frame
        except av.error.FFmpegError as error:
            raise ReadError(f"{self._path}: damaged: decoding stopped ({one_line(error)})") from error
        self._extent.finish()


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """Shape: (n, C), float32."""
    kind = frame.format.name.removesuffix("p")
    data = frame.to_ndarray()
    data = data.T if frame.format.is_planar else data.reshape(frame.samples, -1)
    if kind == "flt":
        return np.ascontiguousarray(data, np.float32)
    values = data.astype(np.float64) - (SCALES["u8"] if kind == "u8" else 0.0)
    return (values / SCALES[kind]).astype(np.float32)
