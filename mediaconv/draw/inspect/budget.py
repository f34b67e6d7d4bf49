"""How large a page may be: how large its pictures are and how many output channels are taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from mediaconv.draw.inspect.excerpt import Port, Survey
from mediaconv.draw.inspect.kernel_maps import is_convolution
from mediaconv.draw.inspect.sheets import MAX_COLUMNS

MAX_PIXELS = 12_000_000
"""Pixels of all maps on a page; those of the shares may be half of it."""
MAX_SHOWN = 32
"""Channels of a layer whose maps are shown."""
MAX_SHARES = 12
"""Input channels of an output channel whose shares are shown by themselves."""
SIDES = (224, 192, 160, 128, 112, 96, 80, 64, 48, 32, 24)
OUTPUTS = (32, 16, 8)
READABLE_SIDE = 96

Tiles = list[tuple[int, Sequence[int]]]
"""How many tiles there are, and the size of the maps on them."""


@dataclass(frozen=True)
class Scale:
    """Longest side of a map's picture and of a share's, in pixels; most output channels taken apart."""

    side: int
    sums_side: int
    outputs: int


def choose_scale(survey: Survey, stack: nn.Module, *, copies: int) -> Scale:
    """The largest pictures that fit. copies: of every map, one for each file and step of time."""
    maps: Tiles = [(min(port.channels, MAX_SHOWN), port.lengths) for port in survey.all]
    maps.append((min(survey.end.channels, MAX_SHOWN), survey.end.lengths))  # the normalizer's
    every = stack.named_modules(remove_duplicate=False)
    layers = [(m, survey.ports.get(name)) for name, m in every if is_convolution(m)]
    side = _side(maps, copies, MAX_PIXELS)
    for outputs in OUTPUTS:
        sums_side = _side(_shares(layers, outputs), copies, MAX_PIXELS // 2)
        if sums_side >= READABLE_SIDE:
            break
    return Scale(side, sums_side, outputs)


def _shares(layers: Sequence[tuple[Any, Port | None]], outputs: int) -> Tiles:
    return [
        (min(m.out_channels, outputs) * (min(m.in_channels // m.groups, MAX_SHARES) + 2), port.lengths)
        for m, port in layers
        if port is not None
    ]


def _side(tiles: Tiles, copies: int, budget: int) -> int:
    for side in SIDES:
        if sum(count * copies * _pixels(lengths, side) for count, lengths in tiles) <= budget:
            return side
    return SIDES[-1]


def _pixels(lengths: Sequence[int], side: int) -> float:
    """Pixels of a map on a sheet; a curve's two lines are as long whatever the side is."""
    if len(lengths) == 1:
        return 2.0 * min(lengths[0], MAX_COLUMNS)
    h, w = lengths[-2:]
    ratio = min(1.0, side / max(h, w, 1))
    return h * w * ratio * ratio
