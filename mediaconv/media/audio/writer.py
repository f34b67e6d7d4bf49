"""Writing sound: quantized samples to WAV (RF64 past 4 GiB) or FLAC, by suffix. Quantizes nothing.

FFmpeg writes both, but short WAV files of one or two channels (`short_wav`), which are the same. The same
samples give the same bytes: no dates, no versions are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mediaconv.errors import WriteError, nearest
from mediaconv.filesystem import write_file
from mediaconv.media.audio.short_wav import SPEAKERS, short_wav, stored_bytes
from mediaconv.media.samples import SampleFormat
from mediaconv.media.written_file import WrittenFile

BITS = {".wav": (16, 24, 32), ".flac": (16, 24)}
MOST_CHANNELS = {".wav": 512, ".flac": 8}  # FFmpeg has no sound of more than 512
LAYOUTS = {1: "mono", 2: "stereo"}
STORED = {"i2": "s16", "i4": "s32", "f4": "flt", "f8": "dbl"}
SHORT_BYTES = 1 << 18
"""Samples of a WAV file that wait for its end: to open FFmpeg for a short one takes longer than all else."""
HIGHEST_RATE = {".wav": 2**31 - 1, ".flac": 655350}


class AudioWriter(WrittenFile):
    """One sound file; samples are appended, `close` completes it.

    path: its suffix (.wav, .flac) chooses the format. format: of the samples: signed integers of 16, 24 (in
    the low bits of int32) or 32 bits, or floats of 32 or 64; FLAC holds 16 and 24 bits.

    Raises WriteError.
    """

    def __init__(self, path: str | Path, *, rate_hz: int, format: SampleFormat, channels: int = 1) -> None:
        self._path = path if isinstance(path, Path) else Path(path)
        self._format = format
        self._channels = channels
        self._samples = 0
        self._finished = False
        self._suffix, self._rate_hz = self._path.suffix.lower(), rate_hz
        self._check(self._suffix, rate_hz)
        self._container: Any = None
        self._waiting: list[np.ndarray] | None = None
        try:
            write_file(self._path)  # FFmpeg opens it with the first packet only: too late to be told
            if self._suffix == ".wav" and channels in SPEAKERS:
                self._waiting = []
            else:
                self._open()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def write(self, samples: np.ndarray, times: Sequence[Fraction] | None = None) -> None:
        """Append samples. Shape: (n,) or (n, C), in the format's type. The rate says their times."""
        block = samples[:, None] if samples.ndim == 1 else samples
        if block.ndim != 2 or block.shape[1] != self._channels or block.dtype != self._format.dtype:
            raise WriteError(
                f"{self._path}: got samples of shape {samples.shape} in {samples.dtype}, expected "
                f"(n, {self._channels}) in {self._format.dtype}"
            )
        if not len(block):
            return
        self._samples += len(block)
        if self._waiting is None:
            self._encode(self._frame(block))
            return
        self._waiting.append(block.copy())
        if self._samples * block.itemsize * self._channels > SHORT_BYTES:
            self._hand_over(self._waiting)

    def close(self) -> None:
        """Complete the file, which holds one sample at least."""
        if self._finished:
            return
        try:
            if not self._samples:
                raise WriteError(f"{self._path}: the stack gave no sample to write")
            if self._waiting is not None:
                write_file(self._path, self._whole(self._waiting))
            else:
                self._encode(None)
                self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        self._finished = True
        self._waiting = None
        try:
            if self._container is not None:
                self._container.close()
        except (av.error.FFmpegError, OSError):
            return  # the file is given up, or the error that led here is on its way already

    def _whole(self, blocks: list[np.ndarray]) -> bytes:
        stored = b"".join(stored_bytes(block, self._format.bits) for block in blocks)
        return short_wav(stored, rate_hz=self._rate_hz, format=self._format, channels=self._channels)

    def _hand_over(self, blocks: list[np.ndarray]) -> None:
        """What has waited, and what comes, is FFmpeg's to write: the sound is not short."""
        self._waiting = None
        try:
            self._open()
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        for block in blocks:
            self._encode(self._frame(block))

    def _open(self) -> None:
        suffix, rate_hz = self._suffix, self._rate_hz
        options = {"fflags": "+bitexact"} | ({"rf64": "auto"} if suffix == ".wav" else {})
        self._container = av.open(f"file:{self._path}", "w", format=suffix[1:], container_options=options)
        layout = LAYOUTS.get(self._channels, f"{self._channels} channels")
        letter = "f" if self._format.floating else "s"
        encoder = "flac" if suffix == ".flac" else f"pcm_{letter}{self._format.bits}le"
        self._stream: Any = self._container.add_stream(encoder, rate=rate_hz, layout=layout)
        context: Any = self._stream.codec_context
        context.format = STORED[self._format.dtype.str[1:]]
        context.flags |= av.codec.context.Flags.bitexact
        context.thread_count = 1
        context.open()

    def _frame(self, block: np.ndarray) -> av.AudioFrame:
        context: Any = self._stream.codec_context
        stored = block << 8 if self._format.bits == 24 else block  # FFmpeg wants them in the high bits
        packed = np.ascontiguousarray(stored).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format=context.format.name, layout=context.layout)
        frame.sample_rate = context.sample_rate
        return frame

    def _encode(self, frame: av.AudioFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux_one(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _check(self, suffix: str, rate_hz: int) -> None:
        if suffix not in BITS:
            raise WriteError(
                f"format: got {suffix or 'no suffix'!r}, expected .wav or .flac{nearest(suffix, BITS)}"
            )
        if self._format.floating:
            if suffix != ".wav":
                raise WriteError(f"bit_depth: {suffix} holds no floats; use 16 or 24 bits, or .wav")
        elif not self._format.signed or self._format.bits not in BITS[suffix]:
            sign = "signed" if self._format.signed else "unsigned"
            allowed = ", ".join(map(str, BITS[suffix]))
            raise WriteError(f"bit_depth: got {sign} {self._format.bits}, {suffix} holds signed {allowed}")
        if not 1 <= self._channels <= MOST_CHANNELS[suffix]:
            raise WriteError(f"channels: got {self._channels}, {suffix} holds 1 to {MOST_CHANNELS[suffix]}")
        if not 1 <= rate_hz <= HIGHEST_RATE[suffix]:
            raise WriteError(f"rate_hz: got {rate_hz}, {suffix} holds 1 to {HIGHEST_RATE[suffix]}")
