"""How far a stream could be decoded, beside how long its container says it is.

Decoders pass over damage in silence, and some demuxers end at it: a download whose second half is zeros reads
as a short film. What the container states may be wrong too, so the difference is told and is no error.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import av

STATING = frozenset({"matroska", "webm", "avi", "flv", "asf"})
"""Demuxers of containers that state a duration ahead of the media. For MPEG streams FFmpeg guesses one; MP4
and Ogg fail by themselves where they are damaged."""
LEAST_MISSING = Fraction(1)
"""Seconds: containers round, and count what a codec adds at both ends."""


class Extent:
    """The end of what was decoded of one stream, and of what its container states."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._stated = _stated_end(container, stream)
        self._end: Fraction | None = None
        self._largest_step = Fraction(0)
        self._whole = False

    def add(self, frame: Any) -> None:
        """A frame that was decoded, of pictures or of sound."""
        if frame.pts is None:
            return
        end = (frame.pts + (frame.duration or 0)) * Fraction(frame.time_base)
        if self._end is None or end > self._end:
            self._largest_step = max(self._largest_step, end - (self._end or end))
            self._end = end

    def finish(self) -> None:
        """The file's end was reached."""
        self._whole = True

    def notes(self) -> list[str]:
        """What is missing, where all was read and more than the last frame's own duration is missing."""
        if not self._whole or self._stated is None or self._end is None:
            return []
        if self._stated - self._end <= max(LEAST_MISSING, 2 * self._largest_step):
            return []
        stated, decoded = float(self._stated), float(self._end)
        return [f"the file states {stated:.1f} s; {decoded:.1f} s could be decoded: it may be damaged"]


def _stated_end(container: Any, stream: Any) -> Fraction | None:
    """In seconds of the file's own clock: the stream's, or the whole file's where it has no other stream."""
    if not STATING.intersection(container.format.name.split(",")):
        return None
    if stream.duration:
        return ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)
    for key, value in stream.metadata.items():
        time = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", value) if key.upper() == "DURATION" else None
        if time:
            return 3600 * int(time[1]) + 60 * int(time[2]) + Fraction(time[3])
    others = len(container.streams.video) + len(container.streams.audio) - 1
    if container.duration and not others:
        return Fraction((container.start_time or 0) + container.duration, av.time_base)
    return None
