"""Writing film: gray or RGB frames with their times to H.264, VP9 or FFV1 in MP4, MKV or WebM.

Quantized values go to the encoder as they are: gray fills the luma plane, full range and flagged so. Nothing
is resized. The same frames give the same bytes on every machine: threads are fixed, no dates are written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

from mediaconv.errors import WriteError
from mediaconv.media.video.audio_copy import AudioCopy
from mediaconv.media.video.codecs import CONTAINERS, DEFAULT_PRESET, Wish, choose, codec_for
from mediaconv.media.video.frame_packer import FramePacker
from mediaconv.media.video.video_info import STATED_SIZE
from mediaconv.media.written_file import WrittenFile

DEFAULT_RATE = Fraction(25)
LARGEST_DENOMINATOR = 2**24  # finer clocks overflow the 32-bit fields of MP4
FINE_CLOCK = 90_000
BT709 = 1  # its number among the code points of ISO/IEC 23091-2, for matrix, primaries and transfer alike


class VideoWriter(WrittenFile):
    """One film file; frames are appended, `close` completes it.

    path: its suffix (.mp4, .mkv, .webm) chooses the container. width, height: of the frames.
    time_base: seconds; times are rounded to its multiples: give the source's, whose times then stay exact
    (MKV and WebM store milliseconds). None: a fine one that holds `rate`.
    codec: "h264", "vp9", "ffv1"; None: the container's usual one. crf: quality, lower is better.
    lossless: decoded samples equal the given ones exactly. bit_depth: of the given samples: 8 in uint8;
    10, 12 and 16 in uint16. channels: 1 gray, 3 RGB. rate: nominal frames a second.
    threads: of the encoder; another number may give other bytes.

    H.264 in 4:2:0 codes even sizes only: a lossy odd picture is padded by its last row or column, and the
    file's comment states the true size ("mediaconv size 51x35"), to which `VideoReader` crops.

    Raises WriteError.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        time_base: Fraction | None = None,
        codec: str | None = None,
        crf: float | None = None,
        preset: str | None = None,
        lossless: bool = False,
        bit_depth: int = 8,
        channels: int = 1,
        rate: Fraction | None = None,
        sample_aspect_ratio: Fraction = Fraction(1),
        threads: int = 1,
    ) -> None:
        self._path = Path(path)
        suffix = self._path.suffix.lower()
        codec = codec_for(suffix, codec)
        wish = Wish(
            width,
            height,
            channels,
            bit_depth,
            lossless or codec == "ffv1",
            crf,
            preset or DEFAULT_PRESET,
            threads,
        )
        self._encoding = choose(codec, wish)
        self._wish = wish
        rate = rate or DEFAULT_RATE
        self._time_base = usable_time_base(time_base or clock_of(rate))
        self._audio: AudioCopy | None = None
        self._pending: tuple[av.VideoFrame, int] | None = None
        self._last_duration = max(1, round(1 / rate / self._time_base))
        self._durations: dict[int, int] = {}
        self._shift = Fraction(0)
        self._finished = False
        self._complete = False
        pad = 2 if self._encoding.pad else 1
        self._coded = (-(-width // pad) * pad, -(-height // pad) * pad)
        self._packer = FramePacker(self._coded, self._encoding.pix_fmt, bits=bit_depth)
        try:
            self._open(suffix, rate, sample_aspect_ratio)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error

    def copy_audio(
        self,
        source: str | Path,
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        stream: int | str | None = None,
    ) -> str | None:
        """Carry over the source's sound as it is, without encoding it again; call before the first `write`.

        The window is the one that the frames were read with. stream: which sound of several, by its number
        or language. Returns None, or in a line why the sound was left out (no sound there, a codec that this
        container does not hold) or which of several was taken. Raises ReadError, WriteError.
        """
        audio, reason = AudioCopy.attach(
            self._container,
            Path(source),
            start_seconds=start_seconds,
            duration_seconds=duration_seconds,
            choice=stream,
        )
        self._audio = audio
        return reason

    def write(self, frames: np.ndarray, pts: Sequence[Fraction]) -> None:
        """Append frames. Shape: (n, H, W) or (n, H, W, 3), uint8 or uint16. pts: n rising seconds.

        Where the first time is negative, all times are counted from it, the sound's too.
        """
        self._check(frames, pts)
        if self._pending is None and len(pts):
            self._shift = max(Fraction(0), -pts[0])  # players cut what lies before 0
        try:
            for frame, time in zip(frames, pts, strict=True):
                self._push(self._packer.pack(frame), round((time + self._shift) / self._time_base))
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def close(self, *, last_duration: Fraction | None = None) -> None:
        """Encode what is left and complete the file.

        last_duration: how long the last frame is shown, in seconds; None: as long as the one before it.
        """
        if self._finished:
            return
        if last_duration is not None:
            self._last_duration = max(1, round(last_duration / self._time_base))
        try:
            if self._pending is None:
                raise WriteError(f"{self._path}: no frames were written")
            frame, tick = self._pending
            self._encode(frame, tick, self._last_duration)
            self._mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.finish(shift=self._shift)
            self._container.close()
            _check_on_disk(self._path)
            self._complete = True
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the file, complete or not. May be called twice."""
        if self._finished:
            return
        self._finished = True
        self._pending = None
        if self._audio is not None:
            self._audio.close()
        try:
            if not self._complete and self._path.is_file():
                os.truncate(self._path, 0)  # closing then has nothing to move to the front
            self._container.close()
        except (av.error.FFmpegError, OSError):
            return  # the file is given up, or the error that led here is on its way already

    def _open(self, suffix: str, rate: Fraction, aspect: Fraction) -> None:
        options = {"fflags": "+bitexact"}
        if suffix == ".mp4":
            options["movflags"] = "+faststart"
        open(self._path, "wb").close()  # FFmpeg opens it with the first packet only: too late to be told
        name = f"file:{self._path}"
        self._container: Any = av.open(name, "w", format=CONTAINERS[suffix], container_options=options)
        encoding, (width, height) = self._encoding, self._coded
        stream: Any = self._container.add_stream(encoding.encoder, rate=rate, options=dict(encoding.options))
        stream.width, stream.height, stream.pix_fmt = width, height, encoding.pix_fmt
        context = stream.codec_context
        context.thread_count = self._wish.threads
        context.time_base = self._time_base
        context.sample_aspect_ratio = aspect.limit_denominator(2**15)
        full = self._wish.channels == 1 or self._wish.lossless
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        if self._wish.channels == 3 and not self._wish.lossless:
            context.colorspace = context.color_primaries = context.color_trc = BT709
        if (width, height) != (self._wish.width, self._wish.height):
            stated = STATED_SIZE.format(self._wish.width, self._wish.height)
            self._container.metadata["comment"] = stated
        context.open()
        self._stream = stream

    def _check(self, frames: np.ndarray, pts: Sequence[Fraction]) -> None:
        wish = self._wish
        frame = (wish.height, wish.width) if wish.channels == 1 else (wish.height, wish.width, 3)
        dtype = np.uint8 if wish.bit_depth == 8 else np.uint16
        if frames.shape != (len(pts), *frame) or frames.dtype != dtype:
            raise WriteError(
                f"{self._path}: got frames of shape {frames.shape} in {frames.dtype} with {len(pts)} times, "
                f"expected ({len(pts)}, {', '.join(map(str, frame))}) in {np.dtype(dtype)}"
            )

    def _push(self, frame: av.VideoFrame, tick: int) -> None:
        """Encode the frame before this one: only now its duration is known."""
        if self._pending is not None:
            previous, start = self._pending
            tick = max(tick, start + 1)
            self._last_duration = tick - start
            self._encode(previous, start, tick - start)
        self._pending = (frame, tick)

    def _encode(self, frame: av.VideoFrame, tick: int, duration: int) -> None:
        frame.pts = tick
        frame.time_base = self._time_base
        self._durations[tick] = duration
        if self._audio is not None:
            self._audio.advance(tick * self._time_base - self._shift, shift=self._shift)
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Sequence[av.Packet]) -> None:
        for packet in packets:
            if packet.time_base == self._time_base and packet.pts in self._durations:
                packet.duration = self._durations.pop(packet.pts)
            self._container.mux_one(packet)


def usable_time_base(time_base: Fraction) -> Fraction:
    """A clock that every container holds: the given one, or 1/90000 s where it is too fine.

    >>> usable_time_base(Fraction(1, 15360)), usable_time_base(Fraction(1, 10**9))
    (Fraction(1, 15360), Fraction(1, 90000))
    """
    fits = time_base > 0 and time_base.denominator <= LARGEST_DENOMINATOR
    return time_base if fits else Fraction(1, FINE_CLOCK)


def clock_of(rate: Fraction) -> Fraction:
    """A fine clock in whose ticks a frame of that rate lasts a whole number.

    >>> clock_of(Fraction(24000, 1001))
    Fraction(1, 360000)
    """
    return Fraction(1, math.lcm(FINE_CLOCK, rate.numerator))


def _check_on_disk(path: Path) -> None:
    """Raise OSError where the closed file cannot be the one that was written: its end is missing."""
    from mediaconv.errors import ReadError
    from mediaconv.media.input_file import read_head
    from mediaconv.media.integrity.completeness import check_complete

    try:
        check_complete(path, read_head(path))
    except ReadError as error:
        raise OSError(f"the file is not complete on the disk: {error}") from error
