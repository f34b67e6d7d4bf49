"""einops patterns as a stream can run them: read and checked, in words. No tensors here, and no torch.

A pattern names the batch, the channels and each axis, `n (c k) t -> n c (t k)`. The length of an axis is the
file's, so that the part of it without a size stays where it is and stands first in its group; parts of fixed
size may move between the channels and the axes. All else (swapped or merged axes) would need the whole file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mediaconv.counted import counted
from mediaconv.errors import nearest

EXAMPLE = "'n (c k) t -> n c (t k)'"

Entry = tuple[str, ...]
"""The names of one group, or of one axis by itself; none for an axis of length 1."""

_TOKEN = re.compile(r"\((?P<group>[^()]*)\)|(?P<single>[^()\s]+)|\S")
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Pattern:
    """A checked pattern. Entry 0 is the batch, 1 the channels, the others the axes.

    sizes: of all names but the batch, the first of each axis, and at most one of the channels.
    """

    text: str
    left: tuple[Entry, ...]
    right: tuple[Entry, ...]
    sizes: Mapping[str, int] = field(hash=False)

    @property
    def dims(self) -> int:
        """Number of axes after the channels."""
        return len(self.left) - 2

    def entry_of(self, name: str) -> int:
        """The entry on the right that holds a name."""
        return next(i for i, entry in enumerate(self.right) if name in entry)

    def block(self, axis: int) -> int:
        """Steps along an axis, counted after the channels, that the input comes in: their product."""
        return math.prod(self.sizes[name] for name in self.left[axis + 2][1:])

    def looks_ahead(self, axis: int) -> bool:
        """Whether an output along an axis reads inputs after its own time: of a block, those to come."""
        before, after = self.left[axis + 2], self.right[axis + 2]
        return self.block(axis) > 1 and after[: len(before)] != before

    def with_channels(self, channels: int) -> dict[str, int]:
        """All sizes, for an input of so many channels. Raises ValueError where they do not fit."""
        group = self.left[1]
        known = math.prod(self.sizes.get(name, 1) for name in group)
        unknown = [name for name in group if name not in self.sizes]
        if channels % known or (not unknown and channels != known):
            stated = " x ".join(f"{name} {self.sizes[name]}" for name in group if name in self.sizes) or "1"
            wanted = f"a multiple of {known}" if unknown else str(known)
            raise ValueError(
                f"pattern {self.text!r}: got {counted(channels, 'channel')}, expected {wanted} ({stated})"
            )
        return {**self.sizes, **dict.fromkeys(unknown, channels // known)}


def parse_pattern(text: str, sizes: Mapping[str, int] | None = None, axes: Sequence[str] = ()) -> Pattern:
    """A pattern and the sizes of its names, checked.

    axes: names of the axes after the channels, for messages and to count them; default: as many as there are.
    Raises ValueError: what does not fit, and what to write instead.

    >>> parse_pattern("n (c k) t -> n c (t k)", {"k": 2}).right
    (('n',), ('c',), ('t', 'k'))
    """
    parts = text.split("->")
    if len(parts) != 2:
        raise ValueError(f"got {text!r}, expected an einops pattern with one '->', such as {EXAMPLE}")
    left, right = _entries(parts[0]), _entries(parts[1])
    _check_names(left, right)
    _check_entries(left, right, axes)
    pattern = Pattern(text, left, right, dict(sizes or {}))
    _check_sizes(pattern)
    for entry in range(2, len(left)):
        _check_axis(pattern, entry, axes)
    return pattern


def _entries(side: str) -> tuple[Entry, ...]:
    entries = []
    for match in _TOKEN.finditer(side):
        group, single = match["group"], match["single"]
        if group is None and single is None:
            raise ValueError(f"got {side.strip()!r}, whose parentheses do not match; groups hold no groups")
        names = [single] if group is None else group.split()
        for name in names:
            if name != "1" and not _NAME.fullmatch(name):
                hint = ": name every axis" if "..." in name else ""
                raise ValueError(f"got {name!r}, expected names such as c, h2 or kernel_size, or 1{hint}")
        entries.append(tuple(name for name in names if name != "1"))
    return tuple(entries)


def _check_names(left: tuple[Entry, ...], right: tuple[Entry, ...]) -> None:
    names = [[name for entry in side for name in entry] for side in (left, right)]
    for side, where in zip(names, ("left", "right"), strict=True):
        twice = next((name for name in side if side.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} stands twice on the {where}: each name stands for one axis")
    alone = [name for name in names[0] + names[1] if (name in names[0]) != (name in names[1])]
    if alone:
        where = "left" if alone[0] in names[0] else "right"
        raise ValueError(f"{alone[0]} is on the {where} alone: a reshape neither sums nor repeats, it moves")


def _check_entries(left: tuple[Entry, ...], right: tuple[Entry, ...], axes: Sequence[str]) -> None:
    """The batch first, and as many entries on both sides as there are axes."""
    if not left or len(left[0]) != 1 or right[:1] != left[:1]:
        raise ValueError(f"expected the batch first and alone on both sides, such as {EXAMPLE}")
    wanted = len(axes) + 2 if axes else max(3, len(left))
    names = f": batch, channels, {', '.join(axes)}" if axes else " on both sides"
    for side, where in ((left, "left"), (right, "right")):
        if len(side) != wanted:
            raise ValueError(
                f"got {len(side)} entries on the {where}, expected {wanted}{names}; {_merging(left, right)}"
            )


def _merging(left: tuple[Entry, ...], right: tuple[Entry, ...]) -> str:
    """Why entries are missing: axes in one group, or none at all."""
    whole = [part[0] for part in left[2:] if part]
    for entry in right:
        if len(streamed := [name for name in entry if name in whole]) > 1:
            first, second = streamed[:2]
            return (
                f"{first} and {second} cannot be merged in a stream: keep both, and move a part of fixed "
                f"size, as 'n c ({first} k) {second} -> n (c k) {first} {second}' does"
            )
    return "an axis can be neither added nor left out"


def _check_sizes(pattern: Pattern) -> None:
    names = [name for entry in pattern.left for name in entry]
    for name, size in pattern.sizes.items():
        if name not in names:
            hint = nearest(name, names)
            raise ValueError(f"sizes: got {name!r}, expected names of the pattern: {', '.join(names)}{hint}")
        if size < 1:
            raise ValueError(f"sizes: {name}: got {size}, expected at least 1")
    if pattern.left[0][0] in pattern.sizes:
        raise ValueError(f"sizes: {pattern.left[0][0]} is the batch: give it none")
    _check_unsized(pattern, pattern.left[1])


def _check_unsized(pattern: Pattern, entry: Entry) -> None:
    """One part of a group may follow from the others."""
    unsized = [name for name in entry if name not in pattern.sizes]
    if len(unsized) > 1:
        last = unsized[-1]
        raise ValueError(
            f"sizes: {' and '.join(unsized)} have none: give all but one, as sizes: {{{last}: 2}}"
        )


def _check_axis(pattern: Pattern, entry: int, axes: Sequence[str]) -> None:
    """The part of an axis without a size stays, and stands first in its group on both sides."""
    group = pattern.left[entry]
    if not group:
        raise ValueError(
            f"{_label(pattern, entry, axes)} is 1 on the left: its length is the file's, name it"
        )
    label = _label(pattern, entry, axes)
    _check_unsized(pattern, group)
    unsized = [name for name in group if name not in pattern.sizes]
    if not unsized:
        raise ValueError(f"sizes: the length of {label} is the file's: give {group[0]} none")
    (long,) = unsized
    rest = [name for name in group if name != long]
    index = pattern.entry_of(long)
    part = rest[0] if rest else "k"
    move = f"only a part of fixed size can move, as {part} of ({long} {part}) with sizes {{{part}: 2}}"
    if index != entry:
        into = _label(pattern, index, axes)
        what = "its length is the file's" if index == 1 else "axes cannot be swapped or merged in a stream"
        all_of = "" if label == long else f", all of {label},"
        raise ValueError(f"{long}{all_of} moves into {into}: {what}; {move}")
    for side in (group, pattern.right[entry]):
        if side[0] != long:
            others = " ".join(name for name in side if name != long)
            raise ValueError(
                f"({' '.join(side)}) strings stretches of {label} together that lie far apart, for which a "
                f"stream has no memory: write ({long} {others})"
            )


def _label(pattern: Pattern, entry: int, axes: Sequence[str]) -> str:
    """What an error calls an entry: the axis, or without names the part of the pattern."""
    if entry == 1:
        return "channels"
    if axes:
        return axes[entry - 2]
    unsized = [name for name in pattern.left[entry] if name not in pattern.sizes]
    return (*unsized, *pattern.left[entry], f"axis {entry - 2}")[0]
