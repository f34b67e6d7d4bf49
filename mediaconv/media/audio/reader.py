"""Reading sound: libsndfile for the formats it knows, PyAV for the rest and for the sound of films.

Which of the two is told by the file's content. Resamples nothing and writes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.audio.chained_decoder import ChainedDecoder
from mediaconv.media.audio.decoder import Decoder
from mediaconv.media.audio.libav_decoder import LibavDecoder
from mediaconv.media.audio.sndfile_decoder import SndfileDecoder
from mediaconv.media.audio.wav_decoder import WavDecoder
from mediaconv.media.input_file import read_head
from mediaconv.media.integrity.completeness import check_complete
from mediaconv.media.limits import Limits
from mediaconv.media.source import Chunk, Source, SourceInfo, time_window


@dataclass(frozen=True, kw_only=True)
class AudioInfo(SourceInfo):
    """What a sound is, as it comes out of the reader.

    channels: 1 after `mono`. shape: (samples,) of the window read, (None,) where only the end tells.
    bit_depth: of a stored sample (16 for lossy codecs, which store none). floating: stored as floats.
    layout: the channels' speakers ("FL", "FR", "FC", "LFE", ...), in WAV's order; empty where it is not told.
    """

    rate: Fraction
    scale: float = 1.0
    layout: tuple[str, ...] = ()

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The speakers; two channels without a word are the left and the right one."""
        return self.layout or (("FL", "FR") if self.channels == 2 else ())

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        return int(self.rate)

    @property
    def samples(self) -> int | None:
        """Of the window read; None where only the end tells."""
        return self.shape[0]


class AudioReader(Source):
    """One sound file, or the best sound stream of a film, opened.

    mono: the mean of all channels. start_seconds, duration_seconds: the window read, to the nearest sample.
    stream: which sound of several, by its number from 0 or its language. holes: "silence" or "close".
    keep_late_start: silence comes before sound that begins after the film of its file.

    Raises ReadError, on opening and while reading.
    """

    info: AudioInfo

    def __init__(
        self,
        path: str | Path,
        *,
        mono: bool = False,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        stream: int | str | None = None,
        holes: str = "silence",
        keep_late_start: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._path = path if isinstance(path, Path) else Path(path)
        self._mono = mono
        time_window(self._path, start_seconds, duration_seconds)
        limits = limits or Limits()
        head = read_head(self._path)
        check_complete(self._path, head)
        stated = _stated_channels(head)
        if stated:
            self._check_channels(stated, limits)
        alone: Decoder | None = (
            None if stream else WavDecoder.open(self._path, head) or SndfileDecoder.open(self._path, head)
        )
        if alone is None and stream is None:
            alone = ChainedDecoder.open(self._path, holes=holes, keep_late_start=keep_late_start)
        self._decoder: Decoder = alone or LibavDecoder(
            self._path, stream=stream, holes=holes, keep_late_start=keep_late_start
        )
        try:
            self._check_channels(self._decoder.channels, limits)
            self._set_window(start_seconds, duration_seconds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._decoder.close()

    def notes(self) -> list[str]:
        layout = self.info.layout
        layout_note = [f"channels: {' '.join(layout)}"] if len(layout) > 2 else []
        return layout_note + self._decoder.notes()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Chunks of `size` samples, the last one shorter. May be called once.

        Shape: (n, C), in [-1, 1]; files that store floats may go beyond. float32, or float64 where that would
        round.
        """
        held: list[np.ndarray] = []
        count = total = 0
        for block in self._window():
            total += len(block)
            while len(block):
                part = block[: size - count]
                block = block[len(part) :]
                held.append(part)
                count += len(part)
                if count == size:
                    yield Chunk(_joined(held))
                    held, count = [], 0
        if held:
            yield Chunk(_joined(held))
        self._check_total(total)

    def _check_channels(self, channels: int, limits: Limits) -> None:
        if not 1 <= channels <= limits.max_channels:
            raise ReadError(
                f"{self._path}: {channels} channels, expected 1 to {limits.max_channels} (max_channels)"
            )

    def _set_window(self, start_seconds: float, duration_seconds: float | None) -> None:
        decoder = self._decoder
        rate = decoder.rate_hz
        self._first = round(Fraction(start_seconds) * rate)
        self._most = None if duration_seconds is None else max(1, round(Fraction(duration_seconds) * rate))
        samples = decoder.samples
        if samples is not None:
            if samples <= self._first:
                length = f"the sound is {samples / rate:.3f} s long" if samples else "zero samples"
                start = f"start_seconds {start_seconds} is past the end: " if samples else ""
                raise ReadError(f"{self._path}: {start}{length}")
            samples -= self._first
            samples = samples if self._most is None else min(samples, self._most)
        channels = 1 if self._mono else decoder.channels
        self.info = AudioInfo(
            channels=channels,
            shape=(samples,),
            rate=Fraction(rate),
            bit_depth=decoder.bit_depth,
            floating=decoder.floating,
            layout=() if self._mono else decoder.layout,
        )

    def _window(self) -> Iterator[np.ndarray]:
        left = self._most
        position = self._first
        for block in self._decoder.blocks(self._first):
            self._check_finite(block[:left], position)
            position += len(block)
            if self._mono and block.shape[1] > 1:
                block = block.mean(axis=1, keepdims=True, dtype=np.float64)
            if left is not None:
                block = block[:left]
                left -= len(block)
            if len(block):
                yield block
            if left == 0:
                return

    def _check_finite(self, block: np.ndarray, position: int) -> None:
        finite = np.isfinite(block)
        if not finite.all():
            at = position + int(np.argmin(finite.all(axis=1)))
            raise ReadError(
                f"{self._path}: NaN or infinite values, the first at sample {at} "
                f"({at / self.info.rate_hz:.3f} s); repair the file or read another part of it"
            )

    def _check_total(self, total: int) -> None:
        expected = self.info.samples
        if expected is not None and total < expected:
            raise ReadError(f"{self._path}: cut off or damaged: expected {expected} samples, got {total}")
        if total == 0:
            raise ReadError(
                f"{self._path}: zero samples to read from {self._first / self.info.rate_hz:g} s on"
            )


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)


def _stated_channels(head: bytes) -> int | None:
    """By the header of a WAV or AIFF file; the libraries do not tell it where it is more than they decode."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        chunk, offset, order = head.find(b"fmt "), 10, "<H"
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        chunk, offset, order = head.find(b"COMM"), 8, ">H"
    else:
        return None
    if not 0 <= chunk <= len(head) - offset - 2:
        return None
    return int(struct.unpack_from(order, head, chunk + offset)[0])
