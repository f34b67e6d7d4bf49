"""The frames of a film that lie in a window of its file's clock, from wherever the container can be entered.

Decodes and times frames; converts no pixels: that is `reader`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags

from mediaconv.errors import ReadError
from mediaconv.media.input_file import one_line
from mediaconv.media.integrity.extent import Extent
from mediaconv.media.libav import clock_origin, open_container
from mediaconv.media.limits import Limits, check_pixels
from mediaconv.media.source import time_window
from mediaconv.media.streams import choice_notes, choose_stream
from mediaconv.media.video import timeline
from mediaconv.media.video.frame_notes import FrameNotes, part_of
from mediaconv.media.video.frames.deinterlace import PARITY, Filter, Timed, deinterlaced
from mediaconv.media.video.video_stream import (
    alpha_decoder,
    best_video_stream,
    decoded_frames,
    finds_frames,
    source_rate,
)

FIRST_STEP_BACK = Fraction(1)  # seconds

Shown = tuple[Fraction, av.VideoFrame]
"""A frame and its time in seconds, counted from the window's start."""


class Window:
    """One video stream of a file, opened, and the part of it that is asked for.

    start_seconds counts from the file's start; duration_seconds: None, to its end. fps: frames a second to
    choose at; None: all frames. alpha: whether the alpha that VP8 and VP9 carry apart is decoded. The others
    are `VideoReader`'s.

    Raises ReadError, on opening and while decoding.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_seconds: float,
        duration_seconds: float | None,
        fps: Fraction | None,
        alpha: bool,
        stream: int | str | None,
        deinterlace: Filter | None,
        part: int | None,
        limits: Limits,
    ) -> None:
        self._path = path
        self._fps, self._alpha, self._choice = fps, alpha, stream
        self._filter, self.part, self._limits = deinterlace, part, limits
        self._late: Fraction | None = None
        self.container = open_container(path)
        try:
            self._open_stream()
            self._facts = FrameNotes(
                deinterlaced=deinterlace is not None,
                part=part,
                stated=_stated_colour(self.stream),
                fields=self.stream.codec_context.field_order in PARITY,
            )
            self._extent = Extent(self.container, self.stream)
            self.start, self.end = time_window(path, start_seconds, duration_seconds)
            self._origin = clock_origin(path, self.container)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file. May be called twice."""
        self.container.close()

    def frames(self) -> Iterator[Shown]:
        """Frames of the window in the order of their times. May be called once."""
        step = 1 / self.source_rate
        if self.start:
            self._late = self._first_late()
        timed = timeline.rising(self._decoded(), step=step)
        late = self._late
        timed = self._from_first(timed) if late is None else ((time + late, frame) for time, frame in timed)
        if self.part is not None:
            timed = part_of(timed, self.part)
        timed = timeline.between(timed, start=self.start, end=self.end) if self._bounded() else timed
        return timed if self._fps is None else self._at_rate(timed, self._fps, step)

    def number(self) -> int:
        """Of the stream among the file's films, from 0."""
        return [stream.index for stream in self.container.streams.video].index(self.stream.index)

    def duration(self) -> Fraction | None:
        """Seconds of the window as the container tells them; None: it does not."""
        if self.stream.duration:
            whole = self.stream.duration * Fraction(self.stream.time_base)
        elif self.container.duration:
            whole = Fraction(self.container.duration, av.time_base)
        else:
            return None
        left = max(Fraction(0), whole - self.start)
        return left if self.end is None else min(left, self.end - self.start)

    def frame_count(self) -> int | None:
        """Known only where the container counts its frames and all of them are shown."""
        frames = self.stream.frames
        if not frames or self._fps or self._bounded():
            return None
        if self.stream.duration:
            shown = self.stream.duration * Fraction(self.stream.time_base) * self.source_rate
            if abs(shown - frames) >= 1:  # an edit list hides some
                return None
        return frames

    def shown_for(self, time: Fraction, frame: Any) -> Fraction:
        """Seconds that a frame states to be shown, cut at the window's end; 0: it states none."""
        duration = Fraction(frame.time_base) * (frame.duration or 0)
        return duration if self.end is None else min(duration, self.end - self.start - time)

    def notes(self) -> list[str]:
        """What a user should know of the stream and its frames, after decoding."""
        chosen = [] if self._choice is not None else choice_notes(self.container, "video", self.stream)
        return chosen + self._facts.notes() + self._extent.notes()

    def _open_stream(self) -> None:
        best = best_video_stream(self.container)
        stream = choose_stream(self._path, self.container, "video", self._choice, best)
        context = stream.codec_context
        if context.width:  # 0 where only a frame tells
            check_pixels(self._path, context.width, context.height, self._limits)
        context.thread_type = "AUTO"
        context.flags |= Flags.unaligned  # or what the codec crops on the left would be rounded down
        self.stream = stream
        self.source_rate = source_rate(self.container, stream)

    def _at_rate(self, timed: Iterator[Shown], rate: Fraction, step: Fraction) -> Iterator[Shown]:
        most = self._limits.max_repeats
        try:
            yield from timeline.at_rate(timed, rate=rate, last_duration=step, max_repeats=most)
        except timeline.TooManyRepeatsError as error:
            raise ReadError(f"{self._path}: {error}") from error

    def _from_first(self, timed: Iterator[Shown]) -> Iterator[Shown]:
        """The same, where the file's start that the container tells is not before its first frame."""
        for time, frame in timed:
            if self._late is None:
                self._late = max(Fraction(0), min(self._origin, -time))
            yield time + self._late, frame

    def _first_late(self) -> Fraction:
        """By how much all frames come later, as the first frame of the file tells."""
        try:
            frames = ((None if t is None else t - self._origin, f) for t, f in self._from_here())
            for _ in self._from_first(timeline.rising(frames, step=1 / self.source_rate)):
                break
        except ReadError:  # told where it is read
            pass
        return self._late or Fraction(0)

    def _decoded(self) -> Iterator[Timed]:
        """The frames of the stream, from a key frame before the window on, at times from the file's start."""
        frames = self._noted(self._from_key_frame() if self.start else self._from_here())
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
            yield from deinterlaced(frames, filter, order=self.stream.codec_context.field_order)
        except (av.error.FFmpegError, ValueError) as error:
            raise ReadError(
                f"{self._path}: cannot be deinterlaced by {filter} ({one_line(error)})"
            ) from error

    def _from_here(self) -> Iterator[Timed]:
        context = alpha_decoder(self.stream) if self._alpha else None
        return decoded_frames(self._path, self.container, self.stream, context)

    def _from_key_frame(self) -> Iterator[Timed]:
        """Frames from a key frame on that is shown at or before the window's start.

        Containers find places by the time of decoding, or by no time at all: what came is looked at, and
        while it is later than asked the next try begins twice as far before; the last one is the beginning.
        """
        target = self._origin + self.start - (self._late or 0)
        back = Fraction(0)
        whole = self.part is not None or self._filter is not None  # which look at the frames before
        while not whole and finds_frames(self.container, self.stream) and target - back > self._origin:
            try:
                self.container.seek(int((target - back) / self.stream.time_base), stream=self.stream)
                frames = self._from_here()
                for time, frame in frames:
                    if frame.key_frame:
                        if time is not None and time <= target:
                            return itertools.chain([(time, frame)], frames)
                        break
            except (av.error.FFmpegError, ReadError):  # entered where it cannot be decoded, or cannot seek
                pass
            back = 2 * back or FIRST_STEP_BACK
        self.container.close()
        self.container = open_container(self._path)
        self._open_stream()
        return self._from_here()

    def _bounded(self) -> bool:
        return bool(self.start) or self.end is not None


def _stated_colour(stream: Any) -> tuple[int, int, int]:
    """Transfer, primaries and matrix by their numbers in ISO/IEC 23091-2, as the container tells them."""
    context = stream.codec_context
    return int(context.color_trc), int(context.color_primaries), int(context.colorspace)
