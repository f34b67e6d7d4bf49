"""`chunk: auto`: how many samples, rows or frames to take at a time under a memory budget.

An estimate from shapes and the stack alone, the same on every machine, because a general stack's last bits
may differ with the chunk (mediaconv.compute.step). Nothing is measured or run here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from mediaconv.nn import Sequential
from mediaconv.nn.streaming.protocol import axis_map, output_channels
from mediaconv.pipeline import SourceInfo

MEMORY_BUDGET_BYTES = 256 * 2**20
"""Samples and activations of a run's chunks. Torch (500 MB), decoder and encoders come on top."""
LARGEST = {1: 2**18, 2: 512, 3: 8}
"""Most steps worth taking, by number of axes: more gains nothing in speed (measured)."""
QUEUED = 5
"""Chunks of stored samples alive at a time before the stack, and as many after it."""
COPIES = 2
"""In torch a layer's input is also held joined to the chunk before it, its output on the way to the next."""
ELEMENTWISE = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.ELU)


@dataclass(frozen=True)
class _Side:
    """What lies between two layers, for one step of the input: values, and input steps kept for windows."""

    values: float
    channels: int
    kept: float


def estimate_chunk(
    module: nn.Module, info: SourceInfo, *, fused: bool, memory_budget_bytes: int = MEMORY_BUDGET_BYTES
) -> int:
    """Steps of the stream axis in a chunk, at least 1.

    The input's size along other axes must be known; an unknown one counts as 1.
    fused: for the fused step, which holds what is between two layers once, not twice.
    """
    sides = list(_sides(module, info))
    held = sides[1:-1] if fused else sides
    kept = 4 * sum(side.values * side.kept for side in held)
    stored = QUEUED * (sides[0].values + sides[-1].values) * max(1, info.bit_depth // 8)
    pairs = [a.values + b.values for a, b in zip(sides, sides[1:] or sides, strict=False)]
    activations = 4 * (sum(side.values for side in held) if fused else COPIES * max(pairs))
    room = memory_budget_bytes - kept
    count = int(room // (stored + activations))
    count = max(1, min(count, LARGEST.get(len(info.shape), 8)))
    length = info.shape[0]
    return count if length is None else max(1, min(count, length))


def _sides(module: nn.Module, info: SourceInfo) -> Iterator[_Side]:
    """The input, and what each layer of the chain gives. Inside branches everything counts at once."""
    lengths = [1 if n is None else n for n in info.shape[1:]]
    channels, rate = info.channels, 1.0
    layers = list(_layers(module))
    for index in range(len(layers) + 1):
        following = axis_map(layers[index], 0) if index < len(layers) else None
        kept = 0.0 if following is None or following.whole else float(following.window_field - 1) / rate
        yield _Side(float(channels * math.prod(lengths)) * rate, channels, max(0.0, kept))
        if following is None:
            return
        layer = layers[index]
        inner = [m for m in layer.modules() if m is not layer and isinstance(m, nn.modules.conv._ConvNd)]
        if inner:
            within = sum(m.out_channels for m in inner)
            yield _Side(float(within * math.prod(lengths)) * rate, within, 0.0)
        channels = output_channels(layer, channels)
        rate /= float(following.total_stride)
        lengths = [axis_map(layer, axis + 1).output_length(n) for axis, n in enumerate(lengths)]


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Layers in a row; activations are left out, they work in place or on one layer's output."""
    if isinstance(module, Sequential | nn.Sequential):
        for layer in module:
            yield from _layers(layer)
    elif not isinstance(module, ELEMENTWISE):
        yield module
