"""Which part of a large input fits into a picture: positions, outputs and channels, and notes of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from mediaconv.draw.reach import AxisReach
from mediaconv.errors import UsageError

WANTED = {1: 12, 2: 6, 3: 4}
"""Outputs drawn along an axis of a long input, by the number of axes."""
MOST = {1: 32, 2: 13, 3: 9}
"""Input and padding cells drawn along an axis, at most."""
OUTPUT_CHANNELS = {1: 4, 2: 2, 3: 1}
"""Output channels drawn, at most."""
INPUT_CHANNELS = {1: 4, 2: 3, 3: 1}
"""Input channels drawn, at most."""


def drawn_channels(
    dims: int, groups: Sequence[range], inputs: int, channel: int | None
) -> tuple[tuple[int, ...], tuple[int, ...], list[str]]:
    """Output and input channels that fit into a picture, and notes of what does not.

    groups: per output channel, the input channels that it reads. inputs: input channels in all.
    channel: the only output channel wanted, or None.
    """
    outputs = list(range(min(OUTPUT_CHANNELS[dims], len(groups)))) if channel is None else [channel]
    while len(outputs) > 1 and len({i for c in outputs for i in groups[c]}) > INPUT_CHANNELS[dims]:
        if len(set(groups)) == 1:
            break
        outputs.pop()
    read = sorted({i for c in outputs for i in groups[c]})
    shown = read[: INPUT_CHANNELS[dims]]
    notes = []
    if len(outputs) < len(groups):
        notes.append(f"{_channels('output', outputs)} of {len(groups)}")
    if len(shown) < inputs:
        more = "" if len(shown) == len(read) else "; the sums hold all that are read"
        notes.append(f"{_channels('input', shown)} of {inputs}{more}")
    return tuple(outputs), tuple(shown), notes


def _channels(side: str, numbers: Sequence[int]) -> str:
    return f"{side} channel{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def drawn_part(
    axes: Sequence[AxisReach], at: Sequence[int] | None
) -> tuple[tuple[tuple[int, int], ...], tuple[range, ...], list[str]]:
    """What fits into a picture: per axis the input positions and the outputs drawn, and notes of what not."""
    dims = len(axes)
    starts = [0] * dims if at is None else list(at)
    if len(starts) != dims:
        raise UsageError(f"at: got {len(starts)} numbers, expected {dims}, one per axis")
    region, shown, notes = [], [], []
    for axis, (reach, start) in enumerate(zip(axes, starts, strict=True)):
        if not 0 <= start < reach.outputs:
            raise UsageError(f"at: got {start} for axis {axis}, expected 0 to {reach.outputs - 1}")
        outputs = _outputs_drawn(reach, start, dims)
        low, high = reach.region(outputs)
        if high - low > MOST[dims]:
            low, high, note = _clip(low, high, reach.now(outputs[0]), MOST[dims], axis)
            notes.append(note)
        elif len(outputs) < reach.outputs:
            first, last = max(low, 0), min(high, reach.length)
            notes.append(f"axis {axis}: inputs {first} to {last - 1} of {reach.length}")
        region.append((low, high))
        shown.append(outputs)
    return tuple(region), tuple(shown), notes


def _outputs_drawn(reach: AxisReach, start: int, dims: int) -> range:
    low, high = reach.region(range(reach.outputs))
    if start == 0 and max(high - low, reach.outputs) <= MOST[dims]:
        return range(reach.outputs)
    count = min(WANTED[dims], reach.outputs - start)
    if _cells(reach, range(start, start + 1)) > MOST[dims]:
        return range(start, start + min(count, max(1, MOST[dims] // (2 * reach.step))))
    while count > 1 and _cells(reach, range(start, start + count)) > MOST[dims]:
        count -= 1
    return range(start, start + count)


def _cells(reach: AxisReach, outputs: range) -> int:
    low, high = reach.region(outputs)
    return high - low


def _clip(low: int, high: int, now: int, most: int, axis: int) -> tuple[int, int, str]:
    """The `most` cells around the first output of a kernel that is wider than a picture."""
    start = max(low, min(now - most // 2, high - most))
    return start, start + most, f"axis {axis}: the kernel is wider than the picture; all taps are summed"
