"""What an output reads where channels carry phases of an axis: by channel, not only by position.

Between an unshuffle and a shuffle each channel holds every second (third ...) step alone, so that layers
which keep channels apart (grouped convolutions, pools, activations) read less than positions alone would say.
A layer of which it is not known how it mixes channels counts as mixing all: then the map is an upper bound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import nn

import mediaconv.nn as mnn
from mediaconv.nn.composed_maps import Chain, Handed
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import BATCH_NORMS, axis_map, is_pointwise, leaves, output_channels

Reads = dict[int, np.ndarray]
"""Positions by channel, sorted."""
MOST_PERIOD = 256
"""Of stacks with more phases the map by position stands, as an upper bound."""
UNFOLD = (mnn.PixelUnshuffle1d, mnn.PixelUnshuffle2d, mnn.PixelUnshuffle3d)
FOLD = (mnn.PixelShuffle1d, mnn.PixelShuffle2d, mnn.PixelShuffle3d)
APART = (
    mnn.MaxPool1d, mnn.MaxPool2d, mnn.MaxPool3d, mnn.AvgPool1d, mnn.AvgPool2d, mnn.AvgPool3d,
    mnn.CausalMaxPool1d, mnn.CausalMaxPool2d, mnn.CausalMaxPool3d,
    mnn.CausalAvgPool1d, mnn.CausalAvgPool2d, mnn.CausalAvgPool3d,
    mnn.Upsample1d, mnn.Upsample2d, mnn.Upsample3d, *BATCH_NORMS,
)  # fmt: skip
"""Layers that keep each channel to itself; so do activations."""
MIXES = (nn.Softmax, nn.Softmin, nn.LogSoftmax, nn.Softmax2d, nn.LocalResponseNorm, nn.GLU, nn.ChannelShuffle)
"""Pointwise modules of torch that read other channels."""


def reads_map(stack: Sequence[nn.Module], axis: int, channels: int) -> AxisMap:
    """The map of layers one after the other along an axis, by channel where phases lie in channels.

    channels: of the first layer's input.
    """
    whole = Chain(tuple(axis_map(layer, axis) for layer in stack))
    if whole.whole or whole.period > MOST_PERIOD or not has_phases(stack):
        return whole
    return ChannelMap(stack, axis, channels, whole)


def has_phases(stack: Iterable[nn.Module]) -> bool:
    """Whether steps become channels and channels steps again."""
    inner = [layer for module in stack for _, layer in leaves(module)]
    first = next((i for i, layer in enumerate(inner) if isinstance(layer, UNFOLD)), len(inner))
    return any(isinstance(layer, FOLD) for layer in inner[first:])


class ChannelMap(Handed):
    """The map of layers one after the other, followed channel by channel. inner: the same by position."""

    def __init__(self, stack: Sequence[nn.Module], axis: int, channels: int, inner: Chain) -> None:
        self._stack, self._axis, self._channels, self.inner = tuple(stack), axis, channels, inner

    @property
    def past(self) -> bool:
        return self.inner.past

    @property
    def reflects(self) -> bool:
        return self.inner.reflects

    def first_reads(self, outputs: np.ndarray) -> np.ndarray:
        return self.inner.first_reads(outputs)

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        after = _after(self._stack, self._channels)
        wanted: Reads = dict.fromkeys(range(after), outputs)
        return _union(_through(self._stack, self._axis, self._channels, wanted).values())


def _after(stack: Sequence[nn.Module], channels: int) -> int:
    for layer in stack:
        channels = output_channels(layer, channels)
    return channels


def _through(stack: Sequence[nn.Module], axis: int, channels: int, wanted: Reads) -> Reads:
    """What layers one after the other read of their input, for what is wanted of their output."""
    before = [channels]
    for layer in stack:
        before.append(output_channels(layer, before[-1]))
    for layer, count in zip(reversed(stack), reversed(before[:-1]), strict=True):
        wanted = _layer(layer, axis, count, wanted)
    return wanted


def _layer(layer: nn.Module, axis: int, channels: int, wanted: Reads) -> Reads:
    if isinstance(layer, mnn.Sequential):
        return _through(list(layer), axis, channels, wanted)
    if isinstance(layer, mnn.Branches):
        return _branches(layer, axis, channels, wanted)
    if isinstance(layer, UNFOLD):
        left = layer.windows[axis].left
        return _unfolded(wanted, layer.downscale_factor, axis, left)
    if isinstance(layer, FOLD):
        return _folded(wanted, layer.upscale_factor, axis)
    if isinstance(layer, mnn.ChannelShuffle | nn.ChannelShuffle):
        groups, each = layer.groups, channels // layer.groups
        return {o % groups * each + o // groups: j for o, j in wanted.items()}
    if isinstance(layer, nn.GLU):
        return {c: j for o, j in wanted.items() for c in (o, o + channels // 2)}
    if isinstance(layer, nn.modules.conv._ConvNd):
        return _grouped(wanted, layer.groups, layer.in_channels, layer.out_channels, axis_map(layer, axis))
    if isinstance(layer, APART) or (is_pointwise(layer) and not isinstance(layer, MIXES)):
        return _grouped(wanted, channels, channels, channels, axis_map(layer, axis))
    return _grouped(wanted, 1, channels, output_channels(layer, channels), axis_map(layer, axis))


def _branches(layer: mnn.Branches, axis: int, channels: int, wanted: Reads) -> Reads:
    parts: list[Reads] = []
    start = 0
    for path in layer.paths():
        count = output_channels(path, channels)
        own = wanted
        if layer.merge == "concat":
            own = {o - start: j for o, j in wanted.items() if start <= o < start + count}
            start += count
        parts.append(_layer(path, axis, channels, own))
    return _merged(parts)


def _grouped(wanted: Reads, groups: int, before: int, after: int, own: AxisMap) -> Reads:
    """Through a layer whose channels lie in groups that do not mix."""
    by_group: dict[int, list[np.ndarray]] = {}
    for o, positions in wanted.items():
        by_group.setdefault(o * groups // after, []).append(positions)
    known: dict[bytes, np.ndarray] = {}
    reads: Reads = {}
    for group, sets in by_group.items():
        positions = _union(sets)
        key = positions.tobytes()
        if key not in known:
            known[key] = own.reads(positions)
        size = before // groups
        reads |= dict.fromkeys(range(group * size, (group + 1) * size), known[key])
    return reads


def _unfolded(wanted: Reads, factors: Sequence[int], axis: int, left: int) -> Reads:
    """Channels that held steps of blocks give them back: channel `c * prod(factors) + i`."""
    every = math.prod(factors)
    parts = []
    for o, positions in wanted.items():
        digit = int(np.unravel_index(o % every, tuple(factors))[axis])
        parts.append({o // every: positions * factors[axis] + digit - left})
    return _merged(parts)


def _folded(wanted: Reads, factors: Sequence[int], axis: int) -> Reads:
    """Steps of a block come from channels of their own; along the other axes from any."""
    every, factor = math.prod(factors), factors[axis]
    others = [range(f) for f in factors]
    parts = []
    for o, positions in wanted.items():
        block, digits = np.divmod(positions, factor)
        for digit in np.unique(digits):
            own = np.unique(block[digits == digit])
            others[axis] = range(int(digit), int(digit) + 1)
            for place in itertools.product(*others):
                i = int(np.ravel_multi_index(place, tuple(factors)))
                parts.append({o * every + i: own})
    return _merged(parts)


def _merged(parts: Iterable[Mapping[int, np.ndarray]]) -> Reads:
    sets: dict[int, list[np.ndarray]] = {}
    for part in parts:
        for channel, positions in part.items():
            sets.setdefault(channel, []).append(positions)
    return {channel: _union(each) for channel, each in sets.items()}


def _union(sets: Iterable[np.ndarray]) -> np.ndarray:
    each = list({id(s): s for s in sets}.values())
    if not each:
        return np.array([], np.int64)
    return each[0] if len(each) == 1 else np.unique(np.concatenate(each))
