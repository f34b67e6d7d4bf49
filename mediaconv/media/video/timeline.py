"""When frames are shown: mending missing times, choosing frames at a constant rate, counting from a start.

Works on (time, frame) pairs with exact fractions of a second; knows nothing of files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

Frame = TypeVar("Frame")
REPEATS_IN_ALL = 100
LEAD = 16  # as many as a codec may hold back


def rising(
    frames: Iterable[tuple[Fraction | None, Frame]], *, step: Fraction
) -> Iterator[tuple[Fraction, Frame]]:
    """Give a frame without a time, or with one not after its predecessor's, the time `step` later.

    The first frames without a time lead up to the first one with it; `LEAD` of them at most, otherwise they
    start at 0.

    >>> [str(t) for t, _ in rising([(None, 0), (Fraction(1), 0), (Fraction(1), 0)], step=Fraction(1, 4))]
    ['3/4', '1', '5/4']
    """
    source = iter(frames)
    lead = list(itertools.islice(source, 1))
    while lead and lead[-1][0] is None and len(lead) < LEAD:
        following = next(source, None)
        if following is None:
            break
        lead.append(following)
    known = lead[-1][0] if lead else None
    first = Fraction(0) if known is None else known - step * (len(lead) - 1)
    last: Fraction | None = None
    for time, frame in itertools.chain(lead, source):
        if time is None or (last is not None and time <= last):
            time = first if last is None else last + step
        last = time
        yield time, frame


class TooManyRepeatsError(Exception):
    """A constant rate repeats one frame, or all of them, more often than is allowed."""


def at_rate(
    frames: Iterable[tuple[Fraction, Frame]],
    *,
    rate: Fraction,
    last_duration: Fraction,
    max_repeats: int | None = None,
) -> Iterator[tuple[Fraction, Frame]]:
    """The frame shown at each tick of a constant rate: the last one at or before it.

    Ticks start at the first frame's time and end before the last frame's end.
    Raises TooManyRepeatsError before a frame would be given `max_repeats` times or more, or all of them
    together `REPEATS_IN_ALL` times as often.

    >>> pairs = [(Fraction(0), "a"), (Fraction(1), "b")]
    >>> [f for _, f in at_rate(pairs, rate=Fraction(2), last_duration=Fraction(1, 2))]
    ['a', 'a', 'b']
    """
    start: Fraction | None = None
    shown: tuple[Fraction, Frame] | None = None
    count = repeats = 0
    for time, frame in frames:
        if start is None or shown is None:
            start = time
        else:
            more = int((time - start) * rate) - count
            repeats += max(0, more)
            if max_repeats is not None and (more > max_repeats or repeats > REPEATS_IN_ALL * max_repeats):
                raise TooManyRepeatsError(
                    f"at {float(shown[0]):.3f} s one frame lasts {float(time - shown[0]):.3f} s: fps "
                    f"{float(rate):g} would repeat frames more often than the limit of {max_repeats} for "
                    f"one, {REPEATS_IN_ALL * max_repeats} in all (max_repeats)"
                )
            while start + count / rate < time:
                yield start + count / rate, shown[1]
                count += 1
        shown = (time, frame)
    if start is None or shown is None:
        return
    while start + count / rate < shown[0] + last_duration:
        yield start + count / rate, shown[1]
        count += 1


def between(
    frames: Iterable[tuple[Fraction, Frame]], *, start: Fraction, end: Fraction | None
) -> Iterator[tuple[Fraction, Frame]]:
    """Frames from `start` on and before `end`, their times counted from `start`."""
    for time, frame in frames:
        if end is not None and time >= end:
            return
        if time >= start:
            yield time - start, frame
