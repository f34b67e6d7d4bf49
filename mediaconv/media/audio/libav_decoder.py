"""Decoding sound with PyAV: AAC, ALAC, Opus in MP4, WMA, the sound of films. Trims the encoder's delay as
the container states it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.audio.sound_clock import SoundClock, silence
from mediaconv.media.files import one_line
from mediaconv.media.integrity.extent import Extent
from mediaconv.media.libav import open_container, packets

WAV_ORDER = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC"),
    *("TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
"""Speakers by the bits of a WAV file's channel mask."""
SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
BITS = {"u8": 8, "s16": 16, "s32": 32, "s64": 64, "flt": 16, "dbl": 16}
FLOAT_PCM = ("pcm_f32", "pcm_f64", "pcm_f16", "pcm_f24")


class LibavDecoder:
    """The best sound stream of a file; see `mediaconv.media.audio.reader.Decoder`.

    bit_depth: of what the decoder gives: 32 for 24-bit ALAC. Channels are in WAV's order. The number of
    samples is known only at the end: containers state it with the encoder's padding.
    """

    samples: int | None = None
    layout: tuple[str, ...] = ()

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
        names = [channel.name for channel in first.layout.channels]
        self.channels = len(names)
        self._order: list[int] = []
        if are_speakers(names):
            self._order = sorted(range(len(names)), key=lambda k: WAV_ORDER.index(names[k]))
        self.layout = tuple(names[k] for k in self._order)
        self._clock = SoundClock(self.rate_hz)
        name = self._stream.codec_context.name
        self.floating = name.startswith(FLOAT_PCM)
        stored = re.match(r"pcm_[su](\d+)", name)
        kind = first.format.name.removesuffix("p")
        self.bit_depth = 32 if self.floating else int(stored[1]) if stored else BITS[kind]

    def blocks(self, first: int) -> Iterator[np.ndarray]:
        """See `Decoder.blocks`. Decodes from the start: seeking in lossy sound is not exact to the sample.

        `first` counts from the file's start, as of its film: before the sound begins there is silence.
        Holes in the times are filled with silence.
        """
        skip = first
        late = True
        for frame in self._frames:
            if frame.sample_rate != self.rate_hz or len(frame.layout.channels) != self.channels:
                raise ReadError(
                    f"{self._path}: the sound changes from {self.rate_hz} Hz, {self.channels} channels to "
                    f"{frame.sample_rate} Hz, {len(frame.layout.channels)} channels; split the file there"
                )
            block = _samples(frame)
            if self._order:
                block = block[:, self._order]
            hole = self._clock.hole(_seconds(frame), len(block))
            if late:
                late = False
                hole = self._late(frame) if first else 0
            block = block[max(0, -hole) :]
            for part in (*silence(hole, self.channels), block):
                skipped = min(skip, len(part))
                skip -= skipped
                if skipped < len(part):
                    yield part[skipped:]

    def notes(self) -> list[str]:
        """See `Decoder.notes`."""
        return self._extent.notes() + self._clock.notes()

    def close(self) -> None:
        """Release the file. May be called twice."""
        self._container.close()

    def _late(self, frame: av.AudioFrame) -> int:
        """Samples between the file's start and the sound's."""
        begin = _seconds(frame)
        if begin is None or self._container.start_time is None:
            return 0
        return max(0, round((begin - Fraction(self._container.start_time, av.time_base)) * self.rate_hz))

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


def are_speakers(names: list[str]) -> bool:
    """Whether each channel is a speaker of WAV's."""
    return len(names) > 1 and len(set(names)) == len(names) and set(names) <= set(WAV_ORDER)


def _seconds(frame: Any) -> Fraction | None:
    return None if frame.pts is None else frame.pts * Fraction(frame.time_base)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """Shape: (n, C), float32."""
    kind = frame.format.name.removesuffix("p")
    count = len(frame.layout.channels)
    planar = frame.format.is_planar
    planes: list[Any] = list(frame.planes)[: count if planar else 1]  # PyAV counts a ninth of eight
    length = frame.samples * (1 if planar else count)
    parts = [np.frombuffer(plane, DTYPES[kind])[:length] for plane in planes]
    data = np.stack(parts, axis=1) if planar else parts[0].reshape(-1, count)
    if kind == "flt":
        return data.astype(np.float32)
    values = data.astype(np.float64) - (SCALES["u8"] if kind == "u8" else 0.0)
    return (values / SCALES[kind]).astype(np.float32)
