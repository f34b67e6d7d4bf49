"""Reading film: any file that PyAV decodes, as chunks of frames with their exact times.

Reads pictures only; their sound is for `audio_copy` and for `mediaconv.media.audio`. Writes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mediaconv.errors import ReadError
from mediaconv.media.input_file import one_line
from mediaconv.media.integrity.extent import Extent
from mediaconv.media.libav import clock_origin, open_container
from mediaconv.media.limits import Limits, check_pixels
from mediaconv.media.orientation import Orientation, from_display_matrix
from mediaconv.media.source import Chunk, Source
from mediaconv.media.streams import choice_notes, choose_stream
from mediaconv.media.suffixes import VIDEO_SUFFIXES
from mediaconv.media.video import timeline
from mediaconv.media.video.frames.cropping import Rectangle, stated_crop
from mediaconv.media.video.frames.deinterlace import Filter, Timed, deinterlaced
from mediaconv.media.video.frames.pixels import CHANNELS, PixelConverter
from mediaconv.media.video.frames.planes import stored_bits
from mediaconv.media.video.picture_notes import PictureNotes, part_of
from mediaconv.media.video.sequence import SequenceReader
from mediaconv.media.video.video_info import STATED_SIZE, AudioOrigin, VideoInfo
from mediaconv.media.video.video_stream import (
    alpha_decoder,
    best_video_stream,
    decoded_frames,
    finds_frames,
    source_rate,
)
from mediaconv.media.video.writer import VideoWriter

FIRST_STEP_BACK = Fraction(1)  # seconds
OTHER_COLOURS = {8: "YCgCo", 11: "Y'D'zD'x", 14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-R"}
"""That FFmpeg's scaler makes no RGB of, by the matrix's number."""
FIRST_BLOCK = 64  # frames allocated at first for a chunk: a chunk longer than the film costs no more


class VideoReader(Source):
    """The best video stream of a film, as players choose it, opened and its first frame decoded.

    size: (width, height) to scale to, after turning. fps: frames a second to choose at; None keeps every
    frame at its own time. color: "rgb", "gray" or "rgba". start_seconds counts from the file's start; times
    count from it, and from the file's start where none is given. stream: which film of several, by its number
    from 0 or its language; None: as players choose. deinterlace: a filter for interlaced film, or None.
    part: of a film whose size changes the frames of one run of equal sizes, by its number from 0; None: all,
    scaled to the first size.

    Raises ReadError, on opening and while reading.
    """

    info: VideoInfo

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        fps: Fraction | float | None = None,
        color: str = "rgb",
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        stream: int | str | None = None,
        deinterlace: Filter | None = None,
        part: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._path = Path(path)
        self._last_shown: tuple[Fraction, Fraction] | None = None
        self._late: Fraction | None = None
        self._color = color
        self._choice, self._filter, self._part = stream, deinterlace, part
        self._audio = AudioOrigin(self._path, start_seconds, duration_seconds)
        self._limits = limits or Limits()
        self._fps = None if fps is None else Fraction(fps).limit_denominator(1001 * 1000)
        self._container = open_container(self._path)
        try:
            self._open_stream()
            self._facts = PictureNotes(
                deinterlaced=deinterlace is not None, part=part, stated=_stated_colour(self._stream)
            )
            self._extent = Extent(self._container, self._stream)
            self._set_window(start_seconds, duration_seconds)
            self._frames = self._shown_frames()
            self._prime(size, color)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file. May be called twice."""
        self._container.close()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Chunks of `size` frames, the last one shorter, each with its times in seconds. May be called once.

        Shape: (n, H, W, C), uint8 or uint16. Every chunk is a fresh array.
        """
        while True:
            block = np.empty((min(size, FIRST_BLOCK), *self._converter.shape), self._converter.dtype)
            times: list[Fraction] = []
            previous: av.VideoFrame | None = None
            for time, frame in itertools.islice(self._frames, size):
                index = len(times)
                if index == len(block):
                    grown = np.empty((min(size, 2 * index), *block.shape[1:]), block.dtype)
                    grown[:index] = block
                    block = grown
                if frame is previous:
                    block[index] = block[index - 1]
                else:
                    self._convert(frame, block[index])
                previous = frame
                times.append(time)
            if not times:
                return
            if previous is not None:
                self._last_shown = self._shown(times[-1], previous)
            yield Chunk(block[: len(times)], times)

    def notes(self) -> list[str]:
        """What a user should know of what was read, after reading."""
        chosen = [] if self._choice is not None else choice_notes(self._container, "video", self._stream)
        return chosen + self._facts.notes() + self._extent.notes()

    def _shown(self, time: Fraction, frame: Any) -> tuple[Fraction, Fraction] | None:
        duration = Fraction(frame.time_base) * (frame.duration or 0)
        if self._end is not None:
            duration = min(duration, self._end - self._start - time)
        return (time, duration) if duration > 0 and self._fps is None else None

    def _convert(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        try:
            self._converter.convert(frame, out)
        except (av.error.FFmpegError, ValueError) as error:
            colours = OTHER_COLOURS.get(int(frame.colorspace))
            what = f"pixel format {frame.format.name}" + (f" of {colours} colours" if colours else "")
            raise ReadError(
                f"{self._path}: {what} cannot be converted ({one_line(error)}); convert the film to BT.709"
            ) from error

    def _open_stream(self) -> None:
        best = best_video_stream(self._container)
        stream = choose_stream(self._path, self._container, "video", self._choice, best)
        context = stream.codec_context
        if context.width:  # 0 where only a frame tells
            check_pixels(self._path, context.width, context.height, self._limits)
        context.thread_type = "AUTO"
        self._stream = stream
        self._source_rate = source_rate(self._container, stream)

    def _set_window(self, start_seconds: float, duration_seconds: float | None) -> None:
        """Where to start and stop, in the file's own times."""
        if start_seconds < 0 or (duration_seconds is not None and duration_seconds <= 0):
            raise ReadError(
                f"{self._path}: start_seconds {start_seconds}, duration_seconds {duration_seconds}: expected "
                "a start of 0 or more and a duration above 0"
            )
        self._origin = clock_origin(self._path, self._container)
        self._start = Fraction(start_seconds).limit_denominator(10**9)
        self._end = None
        if duration_seconds is not None:
            self._end = self._start + Fraction(duration_seconds).limit_denominator(10**9)

    def _prime(self, size: tuple[int, int] | None, color: str) -> None:
        """Decode the first frame: it tells what the header may not."""
        first = next(self._frames, None)
        if first is None:
            past = f" from {float(self._start)} s on" if self._start else ""
            past += f" in part {self._part}" if self._part else ""
            raise ReadError(f"{self._path}: no frame can be decoded{past} (zero frames)")
        frame = first[1]
        check_pixels(self._path, frame.width, frame.height, self._limits)
        orientation = _orientation(frame)
        coded = (frame.width, frame.height)
        visible = self._stated_size(frame) or stated_crop(self._path, self._number(), *coded)
        shown = orientation.size(*(visible[2:] if visible else coded))
        width, height = size or shown
        bits = stored_bits(frame)
        self._converter = PixelConverter(
            width=width,
            height=height,
            color=color,
            bits=bits,
            orientation=orientation,
            visible=visible,
            coded=coded,
        )
        self._frames = itertools.chain([first], self._frames)
        aspect = Fraction(self._stream.sample_aspect_ratio or 1) or Fraction(1)
        aspect = 1 / aspect if orientation.transpose else aspect
        self.info = VideoInfo(
            channels=CHANNELS[color],
            shape=(self._frame_count(), height, width),
            scale=255.0 if bits <= 8 else 65535.0,
            rate=self._fps or self._source_rate,
            bit_depth=8 if bits <= 8 else 16,
            duration_seconds=self._duration(),
            audio=self._audio if self._container.streams.audio else None,
            rotation=orientation.clockwise_degrees,
            time_base=1 / self._fps if self._fps else Fraction(self._stream.time_base),
            sample_aspect_ratio=aspect * Fraction(shown[0] * height, shown[1] * width),
            last_shown=lambda: self._last_shown,
        )

    def _number(self) -> int:
        """Of the stream among the films."""
        return [stream.index for stream in self._container.streams.video].index(self._stream.index)

    def _stated_size(self, frame: av.VideoFrame) -> Rectangle | None:
        """The true size of a film that our writer padded to an even one; None for all others."""
        comments = [v for k, v in self._container.metadata.items() if k.lower() == "comment"]
        for width in {frame.width, frame.width - 1}:
            for height in {frame.height, frame.height - 1}:
                padded = (width, height) != (frame.width, frame.height)
                if padded and STATED_SIZE.format(width, height) in comments:
                    return 0, 0, width, height
        return None

    def _duration(self) -> Fraction | None:
        if self._stream.duration:
            whole = self._stream.duration * Fraction(self._stream.time_base)
        elif self._container.duration:
            whole = Fraction(self._container.duration, av.time_base)
        else:
            return None
        left = max(Fraction(0), whole - self._start)
        return left if self._end is None else min(left, self._end - self._start)

    def _frame_count(self) -> int | None:
        """Known only where the container counts its frames and all of them are shown."""
        frames = self._stream.frames
        if not frames or self._fps or self._windowed():
            return None
        if self._stream.duration:
            shown = self._stream.duration * Fraction(self._stream.time_base) * self._source_rate
            if abs(shown - frames) >= 1:  # an edit list hides some
                return None
        return frames

    def _shown_frames(self) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Frames of the window at their times, counted from the window's start."""
        step = 1 / self._source_rate
        if self._start:
            self._late = self._first_late()
        timed = timeline.rising(self._decoded(), step=step)
        timed = self._from_first(timed) if self._late is None else _later(timed, self._late)
        if self._part is not None:
            timed = part_of(timed, self._part)
        timed = timeline.between(timed, start=self._start, end=self._end) if self._windowed() else timed
        if self._fps is None:
            return timed
        return self._at_rate(timed, step)

    def _at_rate(
        self, timed: Iterator[tuple[Fraction, av.VideoFrame]], step: Fraction
    ) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        most = self._limits.max_repeats
        try:
            yield from timeline.at_rate(timed, rate=self._fps or step, last_duration=step, max_repeats=most)
        except timeline.TooManyRepeatsError as error:
            raise ReadError(
                f"{self._path}: {error}: fps {float(self._fps or 0):g} would repeat frames more often than "
                f"the limit of {most} for one, {timeline.REPEATS_IN_ALL * most} in all (max_repeats)"
            ) from error

    def _from_first(
        self, timed: Iterator[tuple[Fraction, av.VideoFrame]]
    ) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """The same, where the file's start that the container tells is not before its first frame."""
        for time, frame in timed:
            if self._late is None:
                self._late = min(self._origin, max(Fraction(0), -time))
            yield time + self._late, frame

    def _first_late(self) -> Fraction:
        """By how much all frames come later, as the first frame of the file tells."""
        try:
            frames = ((None if t is None else t - self._origin, f) for t, f in self._from_here())
            for _ in self._from_first(timeline.rising(frames, step=1 / self._source_rate)):
                break
        except ReadError:  # told where it is read
            pass
        return self._late or Fraction(0)

    def _decoded(self) -> Iterator[Timed]:
        """The frames of the stream, from a key frame before the window on, at times from the file's start."""
        frames = self._noted(self._from_key_frame() if self._start else self._from_here())
        return frames if self._filter is None else self._deinterlaced(frames, self._filter)

    def _noted(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        for time, frame in frames:
            self._extent.add(frame)
            counted = None if time is None else time - self._origin
            self._facts.add(counted, frame)
            yield counted, frame
        self._extent.finish()

    def _deinterlaced(self, frames: Iterator[Timed], filter: Filter) -> Iterator[Timed]:
        try:
            yield from deinterlaced(frames, filter)
        except (av.error.FFmpegError, ValueError) as error:
            raise ReadError(
                f"{self._path}: cannot be deinterlaced by {filter} ({one_line(error)})"
            ) from error

    def _from_here(self) -> Iterator[Timed]:
        context = alpha_decoder(self._stream) if self._color == "rgba" else None
        return decoded_frames(self._path, self._container, self._stream, context)

    def _from_key_frame(self) -> Iterator[Timed]:
        """Frames from a key frame on that is shown at or before the window's start.

        Containers find places by the time of decoding, or by no time at all: what came is looked at, and
        while it is later than asked the next try begins twice as far before; the last one is the beginning.
        """
        target = self._origin + self._start - (self._late or 0)
        back = Fraction(0)
        whole = self._part is not None or self._filter is not None  # which look at the frames before
        while not whole and finds_frames(self._container, self._stream) and target - back > self._origin:
            try:
                self._container.seek(int((target - back) / self._stream.time_base), stream=self._stream)
                frames = self._from_here()
                for time, frame in frames:
                    if frame.key_frame:
                        if time is not None and time <= target:
                            return itertools.chain([(time, frame)], frames)
                        break
            except (av.error.FFmpegError, ReadError):  # entered where it cannot be decoded, or cannot seek
                pass
            back = 2 * back or FIRST_STEP_BACK
        self._container.close()
        self._container = open_container(self._path)
        self._open_stream()
        return self._from_here()

    def _windowed(self) -> bool:
        return bool(self._start) or self._end is not None


def _stated_colour(stream: Any) -> tuple[int, int, int]:
    """Transfer, primaries and matrix by their numbers in ISO/IEC 23091-2, as the container tells them."""
    context = stream.codec_context
    return int(context.color_trc), int(context.color_primaries), int(context.colorspace)


def _later(
    timed: Iterator[tuple[Fraction, av.VideoFrame]], late: Fraction
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    return ((time + late, frame) for time, frame in timed)


def _orientation(frame: Any) -> Orientation:
    """Of the display matrix that the container or the stream states."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return from_display_matrix(np.frombuffer(bytes(data), np.int32).tolist())
    return Orientation()


__all__ = ["VIDEO_SUFFIXES", "SequenceReader", "VideoInfo", "VideoReader", "VideoWriter"]
