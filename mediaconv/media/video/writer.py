"""Writing film: gray or RGB frames with their times to H.264, VP9 or FFV1 in MP4, MKV or WebM.

Quantized values go to the encoder as they are: gray fills the luma plane, full range and flagged so. Nothing
is resized. The same frames give the same bytes on every machine: threads are fixed, no dates are written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

from mediaconv.errors import ReadError, WriteError
from mediaconv.media.input_file import read_head
from mediaconv.media.integrity.completeness import check_complete
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

    path: its suffix (.mp4, .mkv, .webm) chooses the container. The first frames say the size, and whether
    they are gray or colour.
    time_base: seconds; times are rounded to its multiples: give the source's, whose times then stay exact
    (MKV and WebM store milliseconds). None: a fine one that holds `rate`.
    codec: "h264", "vp9", "ffv1"; None: the container's usual one. crf: quality, lower is better.
    lossless: decoded samples equal the given ones exactly. bit_depth: of the given samples: 8 in uint8;
    10, 12 and 16 in uint16. rate: nominal frames a second.
    last_shown: asked at the end: the time of the source's last frame and how long it is shown, in seconds,
    or None. A last frame of that time is shown as long, any other as long as the one before it.
    threads: of the encoder; another number may give other bytes.

    H.264 in 4:2:0 codes even sizes only: a lossy odd picture is padded by its last row or column, and the
    file's comment states the true size ("mediaconv size 51x35"), to which `VideoReader` crops.

    Raises WriteError; for options that cannot be had together, with the first frames.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        time_base: Fraction | None = None,
        codec: str | None = None,
        crf: float | None = None,
        preset: str | None = None,
        lossless: bool = False,
        bit_depth: int = 8,
        rate: Fraction | None = None,
        sample_aspect_ratio: Fraction = Fraction(1),
        last_shown: Callable[[], tuple[Fraction, Fraction] | None] = lambda: None,
        threads: int = 1,
    ) -> None:
        self._path = path if isinstance(path, Path) else Path(path)
        self._codec = codec_for(self._path.suffix.lower(), codec)
        self._rate = rate or DEFAULT_RATE
        self._aspect = sample_aspect_ratio
        self._last_shown = last_shown
        self._time_base = usable_time_base(time_base or clock_of(self._rate))
        lossless = lossless or self._codec == "ffv1"
        self._wish = Wish(0, 0, 0, bit_depth, lossless, crf, preset or DEFAULT_PRESET, threads)
        self.notes: list[str] = []
        self._container: Any = None
        self._wanted_audio: Callable[[], tuple[AudioCopy | None, str | None]] | None = None
        self._audio: AudioCopy | None = None
        self._pending: tuple[av.VideoFrame, int] | None = None
        self._last_duration = max(1, round(1 / self._rate / self._time_base))
        self._last_time: Fraction | None = None
        self._durations: dict[int, int] = {}
        self._frames = 0
        self._shift = Fraction(0)
        self._finished = False
        self._complete = False
        try:
            open(self._path, "wb").close()  # FFmpeg opens it with the first packet only: too late to be told
        except OSError as error:
            raise self._failure(error) from error

    def copy_audio(
        self,
        source: str | Path,
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        stream: int | str | None = None,
    ) -> None:
        """Carry over the source's sound as it is, without encoding it again; call before the first `write`.

        The window is the one that the frames were read with. stream: which sound of several, by its number
        or language. From the first frames on `notes` says why the sound was left out, if it was (no sound
        there, a codec that this container does not hold), or which of several was taken; a source that
        cannot be read raises ReadError then.
        """
        self._wanted_audio = lambda: AudioCopy.attach(
            self._container,
            Path(source),
            start_seconds=start_seconds,
            duration_seconds=duration_seconds,
            choice=stream,
        )

    def write(self, frames: np.ndarray, times: Sequence[Fraction] | None = None) -> None:
        """Append frames. Shape: (n, H, W) or (n, H, W, 3), uint8 or uint16. times: n rising seconds; None: by
        the rate, the first at 0.

        Where the first time is negative, all times are counted from it, the sound's too.
        """
        if times is None:
            times = [(self._frames + i) / self._rate for i in range(len(frames))]
        if self._container is None:
            self._start(frames.shape)
        self._check(frames, times)
        if not len(frames):
            return
        if not self._frames:
            self._shift = max(Fraction(0), -times[0])  # players cut what lies before 0
        self._frames += len(frames)
        self._last_time = times[-1]
        try:
            for frame, time in zip(frames, times, strict=True):
                self._push(self._packer.pack(frame), round((time + self._shift) / self._time_base))
        except (av.error.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Encode what is left and complete the file."""
        if self._finished:
            return
        try:
            if self._pending is None:
                raise WriteError(f"{self._path}: the stack gave no frame to write")
            last_time, duration = self._last_shown() or (None, None)
            if duration is not None and last_time == self._last_time:
                self._last_duration = max(1, round(duration / self._time_base))
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
        if self._finished:
            return
        self._finished = True
        self._pending = None
        if self._audio is not None:
            self._audio.close()
        if self._container is None:
            return
        try:
            if not self._complete and self._path.is_file():
                os.truncate(self._path, 0)  # closing then has nothing to move to the front
            self._container.close()
        except (av.error.FFmpegError, OSError):
            return  # the file is given up, or the error that led here is on its way already

    def _start(self, shape: tuple[int, ...]) -> None:
        """Open the film for frames of this shape, and the copy of its sound."""
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
            raise WriteError(f"{self._path}: got frames of shape {shape}, expected (n, H, W) or (n, H, W, 3)")
        height, width = shape[1:3]
        self._wish = replace(self._wish, width=width, height=height, channels=3 if len(shape) == 4 else 1)
        self._encoding = choose(self._codec, self._wish)
        pad = 2 if self._encoding.pad else 1
        self._coded = (-(-width // pad) * pad, -(-height // pad) * pad)
        self._packer = FramePacker(self._coded, self._encoding.pix_fmt, bits=self._wish.bit_depth)
        try:
            self._open()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error
        if self._wanted_audio is not None:
            self._audio, note = self._wanted_audio()
            self.notes += [note] if note else []

    def _open(self) -> None:
        suffix = self._path.suffix.lower()
        options = {"fflags": "+bitexact"}
        if suffix == ".mp4":
            options["movflags"] = "+faststart"
        name = f"file:{self._path}"
        self._container = av.open(name, "w", format=CONTAINERS[suffix], container_options=options)
        encoding, (width, height) = self._encoding, self._coded
        stream: Any = self._container.add_stream(
            encoding.encoder, rate=self._rate, options=dict(encoding.options)
        )
        stream.width, stream.height, stream.pix_fmt = width, height, encoding.pix_fmt
        context = stream.codec_context
        context.thread_count = self._wish.threads
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._aspect.limit_denominator(2**15)
        full = self._wish.channels == 1 or self._wish.lossless
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        if self._wish.channels == 3 and not self._wish.lossless:
            context.colorspace = context.color_primaries = context.color_trc = BT709
        if (width, height) != (self._wish.width, self._wish.height):
            stated = STATED_SIZE.format(self._wish.width, self._wish.height)
            self._container.metadata["comment"] = stated
        context.open()
        self._stream = stream

    def _check(self, frames: np.ndarray, times: Sequence[Fraction]) -> None:
        wish = self._wish
        frame = (wish.height, wish.width) if wish.channels == 1 else (wish.height, wish.width, 3)
        dtype = np.uint8 if wish.bit_depth == 8 else np.uint16
        if frames.shape != (len(times), *frame) or frames.dtype != dtype:
            raise WriteError(
                f"{self._path}: got frames of shape {frames.shape} in {frames.dtype} with {len(times)} "
                f"times, expected ({len(times)}, {', '.join(map(str, frame))}) in {np.dtype(dtype)}"
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
    try:
        check_complete(path, read_head(path))
    except ReadError as error:
        raise OSError(f"the file is not complete on the disk: {error}") from error
