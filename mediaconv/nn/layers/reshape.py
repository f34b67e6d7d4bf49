"""Channels and axes regrouped by an einops pattern, exactly in chunks. Values only move; nothing is summed.

Memory is never read as another shape in silence: every part of every axis has a name, and the layer says in
words where it goes. Which patterns can be streamed is told in `mediaconv.pattern`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import einops
import numpy as np
from torch import Tensor, nn

from mediaconv.counted import counted
from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.geometry import AxisMap, Window
from mediaconv.nn.streaming.protocol import TotalStride
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import Span, Windowed
from mediaconv.pattern import Pattern, parse_pattern


@dataclass(frozen=True)
class BlockMap(AxisMap):
    """Blocks of inputs become blocks of outputs, all in the same way.

    inputs: steps of a block. sources: for each output of a block, the inputs of the block that it reads.
    """

    inputs: int
    sources: tuple[tuple[int, ...], ...]

    @property
    def total_stride(self) -> Fraction:
        return Fraction(self.inputs, len(self.sources))

    @property
    def period(self) -> int:
        return len(self.sources)

    @property
    def input_period(self) -> int:
        return self.inputs

    def output_length(self, length: int) -> int:
        """Of the whole blocks; the layer itself refuses a last one that is not whole."""
        return length // self.inputs * len(self.sources)

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        block, phase = np.divmod(outputs, len(self.sources))
        return np.unique(block[:, None] * self.inputs + np.array(self.sources)[phase])


class Reshape(Windowed, TotalStride, nn.Module):
    """einops' rearrange over (N, C, ...) with the batch first and the number of axes kept.

    pattern: as `n (c k) t -> n c (t k)`. A part of fixed size moves between channels and axes: into an axis
        it makes it longer, as a pixel shuffle; out of one it reads blocks, whose last must be whole.
    sizes: of the names in the pattern. The first name of each axis has none, for its length is the input's;
        one name of the channels may be left out.
    in_channels: channels C of the input.

    Shape: (N, in_channels, ...) to (N, out_channels, ...').
    Raises ValueError for a pattern that cannot be streamed, and what to write instead.

    >>> layer = Reshape("n (c k) h w -> n c h (w k)", {"k": 4}, in_channels=12)
    >>> layer.describe(("height", "width"))[0]
    'channels 12 -> 3 x 4, k = 4 moved into width'
    """

    def __init__(self, pattern: str, sizes: Mapping[str, int] | None = None, *, in_channels: int) -> None:
        super().__init__()
        self.pattern = parse_pattern(pattern, sizes)
        self.dims = self.pattern.dims
        self.in_channels = in_channels
        self.sizes = self.pattern.with_channels(in_channels)
        self.out_channels = math.prod(self.sizes[name] for name in self.pattern.right[1])
        self.windows = tuple(
            Window(block, block) for block in (self.pattern.block(axis) for axis in range(self.dims))
        )
        self._maps = tuple(_axis_map(self.pattern, self.sizes, axis) for axis in range(self.dims))
        self._plain, self._plain_sizes = _plain(self.pattern, self.sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, in_channels, ...) to (N, out_channels, ...')."""
        self._check(x)
        return super().forward(x)

    def apply_windows(self, x: Tensor, span: Span | None) -> Tensor:
        return einops.rearrange(x, self._plain, **self._plain_sizes)

    def outputs_of(self, span: Span, count: int) -> int:
        return self._maps[span.axis].output_length(count * self.windows[span.axis].stride)

    def axis_map(self, axis: int) -> AxisMap:
        return self._maps[axis]

    def output_channels(self, channels: int) -> int:
        if channels != self.in_channels:
            raise ValueError(
                f"got {counted(channels, 'channel')}, this reshape was made for {self.in_channels}"
            )
        return self.out_channels

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        self._check(x, skip=axis)
        if last:
            self._check_length(axis, state.counts["received"] + x.shape[axis + 2])
        return super().step(x, state, axis=axis, last=last)

    def _check(self, x: Tensor, skip: int | None = None) -> None:
        if x.ndim != self.dims + 2:
            raise ValueError(
                f"got shape {tuple(x.shape)}, expected {self.dims + 2} axes: {self.pattern.text!r}"
            )
        self.output_channels(x.shape[1])
        for axis, length in enumerate(x.shape[2:]):
            if axis != skip:
                self._check_length(axis, length)

    def _check_length(self, axis: int, length: int) -> None:
        block = self.windows[axis].stride
        if length % block:
            group = " ".join(self.pattern.left[axis + 2])
            raise ValueError(
                f"reshape {self.pattern.text!r}: got {length} steps along ({group}), expected a multiple of "
                f"{block}: scale or cut the input, or use pixel_unshuffle, which fills up"
            )

    def describe(self, axes: Sequence[str] = ()) -> tuple[str, ...]:
        """What happens to the channels and to each axis, a line each.

        axes: their names; default: the names in the pattern.
        """
        axes = axes or [entry[0] for entry in self.pattern.left[2:]]
        return tuple(
            _line(self.pattern, self.sizes, entry, ("batch", "channels", *axes))
            for entry in range(1, self.dims + 2)
        )

    def extra_repr(self) -> str:
        return f"{self.pattern.text!r}, {dict(self.pattern.sizes)}, in_channels={self.in_channels}"


def _axis_map(pattern: Pattern, sizes: Mapping[str, int], axis: int) -> AxisMap:
    """Which inputs of a block each output of a block reads: all that differ from it in other axes only."""
    before, after = pattern.left[axis + 2][1:], pattern.right[axis + 2][1:]
    if before == after:
        return IDENTITY
    sources = []
    for positions in itertools.product(*(range(sizes[name]) for name in after)):
        digit_of = dict(zip(after, positions, strict=True))
        read = [0]
        for name in before:
            digits = [digit_of[name]] if name in digit_of else range(sizes[name])
            read = [start * sizes[name] + digit for start in read for digit in digits]
        sources.append(tuple(read))
    return BlockMap(pattern.block(axis), tuple(sources))


def _plain(pattern: Pattern, sizes: Mapping[str, int]) -> tuple[str, dict[str, int]]:
    """The pattern in names that are no argument of einops' function, and the sizes by these."""
    names = {name: f"a{i}" for i, name in enumerate(itertools.chain(*pattern.left))}
    sides = [
        " ".join(f"({' '.join(names[name] for name in entry)})" for entry in side)
        for side in (pattern.left, pattern.right)
    ]
    return " -> ".join(sides), {names[name]: size for name, size in sizes.items()}


def _line(pattern: Pattern, sizes: Mapping[str, int], entry: int, labels: Sequence[str]) -> str:
    """What happens to one entry of the left: what it is split in, what leaves it, what comes to it."""
    before, after = pattern.left[entry], pattern.right[entry]
    text = f"channels {_total(before, sizes)}" if entry == 1 else labels[entry]
    if before == after:
        return f"{text} as before"
    if entry > 1:
        factor = Fraction(_total(after[1:], sizes), _total(before[1:], sizes))
        text += f" x {factor.numerator}" if factor.numerator > 1 else ""
        text += f" / {factor.denominator}" if factor.denominator > 1 else ""
    elif len(before) > 1:
        text += f" -> {' x '.join(str(sizes[name]) for name in before)}"
    for name in before:
        if name not in after:
            text += f", {name} = {sizes[name]} moved into {labels[pattern.entry_of(name)]}"
    for name in after:
        if name not in before:
            source = next(i for i, part in enumerate(pattern.left) if name in part)
            text += f", {name} = {sizes[name]} from {labels[source]}"
    stays = tuple(name for name in before if name in after)
    if entry == 1 and after != stays:
        text += f", now {' x '.join(f'{name} {sizes[name]}' for name in after)} = {_total(after, sizes)}"
    elif tuple(name for name in after if name in before) != stays:
        text += f", reordered to {' '.join(after)}"
    return text


def _total(names: Sequence[str], sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[name] for name in names)
