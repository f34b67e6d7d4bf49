"""Carrying a film's sound over into another film, packet by packet, without decoding or encoding it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from mediaconv.errors import ReadError
from mediaconv.media.input_file import one_line
from mediaconv.media.libav import clock_origin, open_container
from mediaconv.media.source import time_window
from mediaconv.media.streams import choice_notes, choose_stream

PRIMING = Fraction(1, 10)
"""Seconds before the start that a decoder may need to be whole from there on."""


class AudioCopy:
    """The sound packets of one source on their way into one output, in step with its pictures."""

    def __init__(
        self, source: Any, output: Any, *, path: Path, stream: Any, start: Fraction, end: Fraction | None
    ) -> None:
        self._path = path
        self._source = source
        self._output = output
        self._input_stream = stream
        self._stream = output.add_stream_from_template(self._input_stream)
        self._start, self._end = start, end
        self._packets = self._window()
        self._next: tuple[Fraction, av.Packet] | None = None

    @classmethod
    def attach(
        cls,
        output: Any,
        path: Path,
        *,
        start_seconds: float,
        duration_seconds: float | None,
        choice: int | str | None = None,
    ) -> tuple[AudioCopy | None, str | None]:
        """A copy of a sound stream of `path` into `output`, or None; and what a user should know of it.

        choice: the stream's number among the sounds or its language; None: the best one.

        Times of the copy are those of a `VideoReader` with the same window. Raises ReadError.
        """
        source = open_container(path)
        if not source.streams.audio:
            source.close()
            return None, f"{path.name} has no sound to copy"
        try:
            stream = choose_stream(path, source, "audio", choice, source.streams.best("audio"))
        except ReadError as error:
            source.close()
            if choice is not None:
                raise
            return None, f"sound left out: {str(error).removeprefix(f'{path}: ')}"
        notes = [] if choice is not None else choice_notes(source, "audio", stream, key="write.audio_stream")
        start, end = time_window(path, start_seconds, duration_seconds)
        origin = clock_origin(path, source)
        end = None if end is None else origin + end
        try:
            copy = cls(source, output, path=path, stream=stream, start=origin + start, end=end)
        except (ValueError, av.error.FFmpegError):
            name = stream.codec_context.codec.canonical_name
            source.close()
            return None, f"sound left out: {output.format.name} files do not hold {name}; write .mkv"
        return copy, notes[0] if notes else None

    def advance(self, time: Fraction, *, shift: Fraction = Fraction(0)) -> None:
        """Mux every packet that starts at or before `time` seconds, each `shift` seconds later."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            if self._next is None or self._next[0] > time:
                return
            self._mux(self._next[1], shift)
            self._next = None

    def finish(self, *, shift: Fraction = Fraction(0)) -> None:
        """Mux the rest of the window, each packet `shift` seconds later."""
        if self._next is not None:
            self._mux(self._next[1], shift)
            self._next = None
        for _, packet in self._packets:
            self._mux(packet, shift)

    def _mux(self, packet: Any, shift: Fraction) -> None:
        if shift:
            packet.pts = packet.dts = packet.pts + round(shift / Fraction(packet.time_base))
        self._output.mux_one(packet)

    def close(self) -> None:
        """Release the source. May be called twice."""
        self._source.close()

    def _window(self) -> Iterator[tuple[Fraction, av.Packet]]:
        """Packets that sound within the window, moved to the output's clock, with their times there."""
        base = Fraction(self._input_stream.time_base)
        shift = round(self._start / base)
        try:
            for packet in self._source.demux(self._input_stream):
                if packet.pts is None or packet.size == 0:
                    continue
                begin = packet.pts * base
                if packet.is_discard and begin < -PRIMING:  # hidden by an edit list
                    continue
                if self._end is not None and begin >= self._end:
                    break
                if self._start and begin + (packet.duration or 0) * base <= self._start:
                    continue
                packet.pts = packet.dts = packet.pts - shift
                packet.stream = self._stream
                yield begin - self._start, packet
        except av.error.FFmpegError as error:
            raise ReadError(f"{self._path}: its sound cannot be copied ({one_line(error)})") from error
