"""`chunk: auto`: how many samples, rows or frames to take at a time under a memory budget.

An estimate from shapes alone, the same on every machine; nothing is measured or run here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from torch import nn

from mediaconv.nn import Sequential
from mediaconv.nn.layer import axis_map, output_channels
from mediaconv.pipeline import SourceInfo

MEMORY_BUDGET_BYTES = 160 * 2**20
"""Activations of one chunk by default. Beside it stand torch (about 500 MB), decoder, encoders, queues."""
LARGEST = {1: 2**18, 2: 512, 3: 16}
"""Most steps worth taking, by number of axes: more gains nothing in speed (measured)."""
COPIES = 2
"""A layer's input is also held joined to the chunk before it, its output also on the way to the next."""


def choose_chunk(
    module: nn.Module, info: SourceInfo, *, memory_budget_bytes: int = MEMORY_BUDGET_BYTES
) -> int:
    """Steps of the stream axis in a chunk, at least 1.

    The input's size along other axes must be known; an unknown one counts as 1.
    """
    step_bytes = max(1.0, activation_bytes(module, info))
    largest = LARGEST.get(len(info.shape), 16)
    count = max(1, min(largest, int(memory_budget_bytes // step_bytes)))
    length = info.shape[0]
    return count if length is None else max(1, min(count, length))


def activation_bytes(module: nn.Module, info: SourceInfo) -> float:
    """Most float32 bytes alive at a time for one input step: the largest layer's inputs and outputs.

    Of a layer made of layers (branches) everything inside counts, at the size of its input.
    """
    sides = [1 if n is None else n for n in info.shape[1:]]
    channels, rate = info.channels, Fraction(1)
    values = float(channels * math.prod(sides))
    most = values
    for layer in _layers(module):
        inner = [m for m in layer.modules() if m is not layer and isinstance(m, nn.modules.conv._ConvNd)]
        within = values / channels * sum(m.out_channels for m in inner)
        channels = output_channels(layer, channels)
        rate /= axis_map(layer, 0).stride
        sides = [axis_map(layer, axis + 1).output_length(side) for axis, side in enumerate(sides)]
        before, values = values, float(channels * math.prod(sides) * rate)
        most = max(most, before + within + values)
    return 4 * COPIES * most


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, Sequential | nn.Sequential):
        for layer in module.children():
            yield from _layers(layer)
    else:
        yield module
