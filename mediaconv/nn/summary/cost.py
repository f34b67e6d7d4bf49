"""What one layer costs, by formula: multiply-adds, and the values that its stream remembers.

Convention: one multiply-add is one product added to a sum, two floating-point operations. Counted are
those of convolutions, as they are computed: taps that a mask leaves nothing of along an axis are not.
Biases, norms, pools and activations count nothing, as in torch.utils.flop_counter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

import mediaconv.nn as mnn
from mediaconv.nn.geometry import AxisMap, Transposed
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.nn.summary.sliding import is_transposed

CONVENTION = "one multiply-add is one product added to a sum (2 FLOPs); convolutions alone are counted"


def multiply_adds(layer: nn.Module, before: Sequence[int], after: Sequence[int]) -> int:
    """Multiply-adds of a layer proper. before, after: (C, ...) of its input and output."""
    if not isinstance(layer, nn.modules.conv._ConvNd) or 0 in (*before, *after):
        return 0
    if is_transposed(layer):
        taps = math.prod(int(k) for k in layer.kernel_size)
        return math.prod(before) * (layer.out_channels // layer.groups) * taps
    each = layer.in_channels // layer.groups
    if isinstance(
        layer, mnn.DeformConv2d | mnn.DeformConv3d | mnn.CausalDeformConv2d | mnn.CausalDeformConv3d
    ):
        offset = layer.offset
        positions = math.prod(after[1:])
        predicting = multiply_adds(offset, before, (int(offset.out_channels), *after[1:]))  # type: ignore[arg-type]
        taps = math.prod(int(k) for k in layer.kernel_size)
        return predicting + layer.out_channels * positions * each * taps
    taps = math.prod(w.kernel for w in layer.windows)  # type: ignore[union-attr]
    return math.prod(after) * each * taps


def state_values(layer: nn.Module, before: Sequence[int], after: Sequence[int]) -> int:
    """Values that a stream along axis 0 holds at most between two chunks, for a layer proper."""
    moved = axis_map(layer, 0)
    if moved.whole:
        return math.prod(before)
    if isinstance(moved, Transposed):
        # Sums that the next input adds to, and outputs that are cut off if there is no next input.
        kept = max(moved.extent, moved.stride) - min(moved.stride, moved.extent - moved.right)
        return kept * math.prod((after[0], *after[2:]))
    # A layer that reads nothing of the latest inputs (a mask under dilation) still keeps them.
    kept = max(int(moved.window_field) - 1, int(moved.window_lookback))
    return max(0, kept) * math.prod((before[0], *before[2:]))


def queue_values(paths: Sequence[AxisMap], after: Sequence[Sequence[int]], length: int) -> int:
    """Values that branches wait with at most: a path of less latency is ahead of the slowest one.

    after: (C, ...) of each path's output. length: steps of the input, where a path waits for its end.
    """
    latest = min(max(path.latency for path in paths), length)
    total = 0
    for path, shape in zip(paths, after, strict=True):
        ahead = math.ceil((latest - min(path.latency, latest)) / path.total_stride)
        total += min(ahead, shape[1]) * math.prod((shape[0], *shape[2:]))
    return total
