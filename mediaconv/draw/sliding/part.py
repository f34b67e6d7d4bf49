"""Which part of a large input fits into a picture: positions, outputs and channels, and notes of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from mediaconv.errors import UsageError
from mediaconv.nn.summary.sliding import AxisReach

WANTED = {1: 12, 2: 6, 3: 4}
"""Outputs drawn along an axis of a long input, by the number of axes."""
MOST = {1: 28, 2: 13, 3: 9}
"""Input and padding positions drawn along an axis, at most."""
LONG = 4
"""Numbers of more characters need wide cells, of which fewer fit."""
MOST_LONG = {1: 18, 2: 8, 3: 6}
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
    axes: Sequence[AxisReach], at: Sequence[int] | None, *, characters: int = 1
) -> tuple[tuple[tuple[int, ...], ...], tuple[range, ...], list[str]]:
    """What fits into a picture: per axis the input positions and the outputs drawn, and notes of what not.

    characters: of the longest number.
    """
    dims = len(axes)
    most = (MOST if characters <= LONG else MOST_LONG)[dims]
    starts = [0] * dims if at is None else list(at)
    if len(starts) != dims:
        raise UsageError(f"at: got {len(starts)} numbers, expected {dims}, one per axis")
    region, shown, notes = [], [], []
    for axis, (reach, start) in enumerate(zip(axes, starts, strict=True)):
        if not 0 <= start < reach.outputs:
            raise UsageError(f"at: got {start} for axis {axis}, expected 0 to {reach.outputs - 1}")
        positions, outputs, note = _axis_part(reach, start, dims, most)
        region.append(positions)
        shown.append(outputs)
        inside = [p for p in positions if 0 <= p < reach.length]
        if len(outputs) < reach.outputs or note:
            ends = f"inputs {inside[0]} to {inside[-1]} of {reach.length}" if inside else "padding alone"
            notes.append(f"axis {axis}: {ends}{note}")
    return tuple(region), tuple(shown), notes


def _axis_part(reach: AxisReach, start: int, dims: int, most: int) -> tuple[tuple[int, ...], range, str]:
    """Positions and outputs drawn along one axis, and what to say of the positions left out."""
    low, high = reach.region(range(reach.outputs))
    if start == 0 and max(high - low, reach.outputs) <= most:
        return tuple(range(low, high)), range(reach.outputs), ""
    wanted = min(WANTED[dims], reach.outputs - start)
    for count in range(wanted, min(wanted, max(2, wanted // 3)) - 1, -1):
        outputs = range(start, start + count)
        seen = reach.touched(outputs)
        if seen[-1] - seen[0] < most:
            return tuple(range(seen[0], seen[-1] + 1)), outputs, ""
    for count in range(wanted, 0, -1):
        outputs = range(start, start + count)
        seen = reach.touched(outputs)
        if len(seen) <= most:
            return tuple(seen), outputs, ", only those that are read"
    index = seen.index(reach.now(start))
    first = max(0, min(index - most // 2, len(seen) - most))
    outputs = range(start, start + max(1, min(wanted, most // (2 * reach.stride))))
    return tuple(seen[first : first + most]), outputs, ", the kernel being wider than the picture"
