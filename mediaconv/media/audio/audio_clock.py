"""The times of decoded sound: holes and overlaps between frames, so that the sound keeps the file's clock.

Decodes nothing; times are exact fractions of a second.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

LONGEST_FILLED = 600
"""Seconds of a hole that is filled: a longer one is a clock that jumps, and would fill a disk."""
LONGEST_FILLED_IN_ALL = 3600
"""Seconds of all holes together: more would make hours of silence of a small file."""
LONGEST_OVERLAP = 1
"""Seconds of an overlap that is taken out: a longer one is a clock that begins again (files joined)."""
ROUNDING = Fraction(1, 400)
"""Seconds: containers that count milliseconds round both ends of a frame."""
SILENT_BLOCK = 1 << 16
SEVERAL = 4
SHOWN = 3
NO_CLOCK = "the times of its packets are no clock of the sound, which was read without holes"
CLOCK_JUMPS = "the sound's clock jumps, which was passed over"


class TooMuchSilenceError(Exception):
    """What a sound's times would make of it is mostly silence, and long."""


class AudioClock:
    """Follows one stream's frames. close: holes and overlaps are passed over, not mended. rounding: seconds
    that times may jump by without meaning it.
    """

    def __init__(self, rate_hz: int, *, close: bool = False, rounding: Fraction = ROUNDING) -> None:
        self._close, self._rounding = close, rounding
        self._rate = rate_hz
        self._origin: Fraction | None = None
        self._samples = 0
        self._silence = Fraction(0)
        self._end: Fraction | None = None
        self._filled: list[tuple[float, float]] = []
        self._closed: list[tuple[float, float]] = []

    def hole(self, begin: Fraction | None, samples: int) -> int:
        """Samples of silence before a frame of `samples` that begins at that time; negative: to be left out.

        A frame without a time follows the one before. Steps below half a frame are rounding, and so are those
        that bring back what smaller ones moved.
        """
        hole = 0
        length = Fraction(samples, self._rate)
        if begin is not None and self._end is not None and self._origin is not None:
            step = begin - self._end
            off = begin - self._origin - Fraction(self._samples, self._rate)  # from the clock as it was kept
            if min(abs(step), abs(off)) > max(length / 2, self._rounding):
                hole = self._mend(begin, step, samples)
        if begin is not None:
            self._origin = begin if self._origin is None else self._origin
            self._end = begin + length
        elif self._end is not None:
            self._end += length
        self._samples += samples + hole
        return hole

    def _mend(self, begin: Fraction, step: Fraction, samples: int) -> int:
        at = self._samples / self._rate
        if self._close or not -LONGEST_OVERLAP <= step <= LONGEST_FILLED:
            self._closed.append((at, float(step)))
            self._origin = begin - Fraction(self._samples, self._rate)
            return 0
        self._filled.append((at, float(step)))
        self._silence += max(Fraction(0), step)
        if self._silence > LONGEST_FILLED_IN_ALL:
            raise TooMuchSilenceError(f"holes in the sound's times are over {LONGEST_FILLED_IN_ALL} s long")
        exact = round((begin - (self._origin or Fraction(0))) * self._rate) - self._samples
        return max(exact if exact * step > 0 else round(step * self._rate), -samples)

    def notes(self) -> list[str]:
        """Where the times jump, and what became of it."""
        notes = []
        if self._filled:
            notes.append(f"holes in the sound are silence, overlaps left out: {_listed(self._filled)}")
        if self._closed:
            how = "holes in the sound are closed, overlaps kept" if self._close else CLOCK_JUMPS
            notes.append(f"{how}: {_listed(self._closed)}")
        return notes


def are_meaningless(spans: Sequence[tuple[Fraction | None, Fraction]], rounding: Fraction) -> bool:
    """Whether times of frames, each with its beginning and its length, are no clock of their sound.

    Some containers count packets, or a rate that the codec does not have: then most frames jump, or several
    overlap by the same. Lost packets leave holes, and joined recordings single overlaps.
    """
    jumps = []
    for (begin, length), (following, _) in itertools.pairwise(spans):
        if begin is not None and following is not None:
            jump = following - begin - length
            jumps.append(jump if abs(jump) > max(length / 2, rounding) else Fraction(0))
    large = [jump for jump in jumps if jump]
    if len(large) < SEVERAL:
        return False
    alike = max(large) < 0 and 3 * max(large) < 2 * min(large)
    return alike or 2 * len(large) > len(jumps)


def silence(samples: int, channels: int) -> Iterator[np.ndarray]:
    """Blocks of zeros, none for a negative number."""
    while samples > 0:
        part = min(samples, SILENT_BLOCK)
        samples -= part
        yield np.zeros((part, channels), np.float32)


def _listed(jumps: list[tuple[float, float]]) -> str:
    more = f" and {len(jumps) - SHOWN} more" if len(jumps) > SHOWN else ""
    return ", ".join(f"{step:+.3f} s at {at:.3f} s" for at, step in jumps[:SHOWN]) + more
