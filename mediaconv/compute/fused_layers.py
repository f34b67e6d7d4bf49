"""A stack of few-channel convolutions as the compiled kernels take it, and one layer's input between chunks.

`read_stack` turns modules into arrays of taps and weights, `LayerPlan` these into the kernels' arguments for
one size of frame; `LayerStream` holds the input frames that windows to come still read. Nothing is computed
here (mediaconv.compute.loops) and no thread is started (mediaconv.compute.fused).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mediaconv.compute import kernel_types as k
from mediaconv.errors import ComputeError
from mediaconv.nn import Sequential
from mediaconv.nn.geometry import Window
from mediaconv.nn.layers.convolution import CausalConv2d, CausalConv3d, Conv2d, Conv3d

CONVOLUTIONS = (Conv2d, Conv3d, CausalConv2d, CausalConv3d)
MAX_TAPS = 1024
"""Largest in_channels x kernel of a layer: more, added up one after the other in float32, would come near the
1e-6 that a result may differ by. Below it the kernels are up to three times as fast as torch (measured)."""
LINE_BYTES = 512 * 1024
"""Input lines kept by one thread: what stays in a core's second-level cache."""

Function = tuple[int, float, float, float]
ACTIVATIONS: dict[type[nn.Module], Callable[[Any], list[Function]]] = {
    nn.Identity: lambda m: [],
    nn.ReLU: lambda m: [(k.CLAMP, 0.0, np.inf, 0.0)],
    nn.ReLU6: lambda m: [(k.CLAMP, 0.0, 6.0, 0.0)],
    nn.Hardtanh: lambda m: [(k.CLAMP, m.min_val, m.max_val, 0.0)],
    nn.LeakyReLU: lambda m: [(k.LEAKY_RELU, m.negative_slope, 0.0, 0.0)],
    nn.Sigmoid: lambda m: [(k.SIGMOID, 0.0, 0.0, 0.0)],
    nn.Tanh: lambda m: [(k.TANH, 0.0, 0.0, 0.0)],
    nn.SiLU: lambda m: [(k.SILU, 0.0, 0.0, 0.0)],
    nn.GELU: lambda m: [(k.GELU_TANH if m.approximate == "tanh" else k.GELU, 0.0, 0.0, 0.0)],
}
"""Activations with a compiled loop, by type, as kernel functions."""


@dataclass
class Convolution:
    """One layer as the kernels take it: windows for (t, y, x), taps, weights, what follows it."""

    in_channels: int
    out_channels: int
    windows: tuple[Window, Window, Window]
    weight: np.ndarray
    bias: np.ndarray
    functions: list[Function]


def read_stack(module: nn.Module) -> list[Convolution] | None:
    """The stack as a chain of convolutions with activations after each, or None if it is something else."""
    chain: list[Convolution] = []
    for layer in _flatten(module):
        if type(layer) in ACTIVATIONS and chain:
            chain[-1].functions += ACTIVATIONS[type(layer)](layer)
        elif type(layer) in CONVOLUTIONS and _fits(layer):
            chain.append(_read_convolution(layer))
        elif not isinstance(layer, nn.Identity):
            return None
    return chain or None


def _flatten(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential) and type(module) in (Sequential, nn.Sequential):
        for layer in module:
            yield from _flatten(layer)
    else:
        yield module


def _fits(conv: Any) -> bool:
    weight = conv.weight
    return (
        conv.padding_mode == "zeros"
        and weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and conv.in_channels * math.prod(conv.kernel_size) <= MAX_TAPS
        and not any(hooks for hooks in (conv._forward_hooks, conv._forward_pre_hooks))
    )


def _read_convolution(conv: Any) -> Convolution:
    weight = conv._used_weight().detach().numpy()
    if conv.groups > 1:
        weight = _dense(weight, conv.groups)
    windows = conv.windows
    if conv.dims == 2:  # rows are the stream: (rows, 1, columns)
        weight, windows = weight[:, :, :, None], (windows[0], Window(1), windows[1])
    bias = np.zeros(conv.out_channels, np.float32) if conv.bias is None else conv.bias.detach().numpy()
    return Convolution(conv.in_channels, conv.out_channels, windows, weight, bias, [])


def _dense(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights of a grouped convolution as those of a plain one: zero from other groups' inputs."""
    out_channels, each = weight.shape[:2]
    dense = np.zeros((out_channels, each * groups, *weight.shape[2:]), np.float32)
    for o in range(out_channels):
        first = o // (out_channels // groups) * each
        dense[o, first : first + each] = weight[o]
    return dense


class LayerPlan:
    """One convolution over inputs of one size: its kernel arguments, made once for any number of inputs."""

    def __init__(self, conv: Convolution, height: int, width: int, *, interleaved: bool) -> None:
        t, y, x = conv.windows
        self.conv, self.time = conv, t
        self.height, self.width = y.output_length(height), x.output_length(width)
        if self.height == 0 or self.width == 0:
            raise ComputeError(
                f"the input is {width}x{height} at a layer whose kernel spans {x.extent}x{y.extent}: "
                "nothing would be left; use padding: same or a larger input"
            )
        tiles = -(-self.width // k.TILE) * k.TILE
        phase = tiles + (x.extent - 1) // x.stride + 1
        self.layer = k.Layer(
            conv.in_channels, height, width, interleaved, t.stride, y.stride, x.stride,
            t.extent, y.extent, x.extent, y.left, x.left, self.width, phase,
        )  # fmt: skip
        self.taps, self.weights, self.groups = _arrange(conv, phase)
        self.row_bytes = conv.in_channels * y.extent * x.stride * phase * 4
        self._spare: list[np.ndarray] = []

    @property
    def products(self) -> int:
        """Multiplications for one output frame."""
        return self.height * self.width * self.conv.out_channels * len(self.taps)

    def lines(self) -> np.ndarray:
        """Scratch for one thread: as many frames deep as its cache holds.

        Zero where no input is loaded, which is the same places for every input of the size.
        """
        with contextlib.suppress(IndexError):
            return self._spare.pop()
        t = self.time
        deepest = (LINE_BYTES // self.row_bytes - t.extent) // t.stride + 1
        frames = (max(1, deepest) - 1) * t.stride + t.extent
        return np.zeros(frames * self.row_bytes // 4, np.float32)

    def keep(self, lines: list[np.ndarray]) -> None:
        """Scratch that an input is done with, for the next one: clearing it takes longer than a small one."""
        self._spare += lines
        lines.clear()


class LayerStream:
    """One layer over one input: its input frames held between chunks."""

    def __init__(self, plan: LayerPlan) -> None:
        self.plan, self.time = plan, plan.time
        self.frames: np.ndarray | None = None
        """A ring of input frames, (capacity, height, channels*width); input i lies at i modulo capacity."""
        self.oldest = self.received = self.emitted = 0

    def reserve(self, count: int, dtype: np.dtype) -> tuple[np.ndarray, int]:
        """Count `count` more input frames as received: the ring, and where in it the first one goes."""
        kept = self.received - self.oldest
        ring = self.frames
        if ring is None or kept + count > len(ring):
            capacity = max(kept, self.time.extent - 1) + count
            layer = self.plan.layer
            larger = np.empty((capacity, layer.height, layer.width * layer.channels), dtype)
            if ring is not None:
                for i in range(self.oldest, self.received):
                    larger[i % capacity] = ring[i % len(ring)]
            self.frames = ring = larger
        begin = self.received % max(1, len(ring))
        self.received += count
        return ring, begin

    def ready(self, *, last: bool) -> int:
        """Outputs that can be computed now and were not."""
        t = self.time
        if last:
            return t.output_length(self.received) - self.emitted
        room = self.received + t.left + min(0, t.right) - t.extent
        return max(0, (room // t.stride + 1 if room >= 0 else 0) - self.emitted)

    def source(self) -> tuple[np.ndarray, tuple[int, int], int]:
        """The ring, (place of the oldest frame held, frames held), and where the next output's window begins,
        counted from the oldest: it may lie before it or behind the newest."""
        if self.frames is None:
            raise RuntimeError("no frame was reserved")
        first = self.emitted * self.time.stride - self.time.left - self.oldest
        slot = self.oldest % max(1, len(self.frames))
        return self.frames, (slot, self.received - self.oldest), first

    def advance(self, count: int) -> None:
        """Note that `count` outputs were computed and drop the inputs that no later one reads."""
        self.emitted += count
        start = self.emitted * self.time.stride - self.time.left
        self.oldest = max(self.oldest, min(start, self.received))


def _arrange(conv: Convolution, phase: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taps (frame, channel, row, place in a line), flat weights by groups of outputs, and the groups.

    Taps whose weights are all zero (masked ones) are left out.
    """
    t, y, x = conv.windows
    kept = np.argwhere(np.any(conv.weight != 0, axis=0))
    column = kept[:, 3] * x.dilation
    line_column = column % x.stride * phase + column // x.stride
    taps = np.stack([kept[:, 1] * t.dilation, kept[:, 0], kept[:, 2] * y.dilation, line_column], axis=1)
    chosen = conv.weight[:, kept[:, 0], kept[:, 1], kept[:, 2], kept[:, 3]]
    flat: list[np.ndarray] = []
    groups, start = [], 0
    for first in range(0, conv.out_channels, 4):
        count = min(4, conv.out_channels - first)
        width = {1: 1, 2: 2, 3: 4, 4: 4}[count]
        block = np.zeros((1 + len(taps), width), np.float32)
        block[0, :count] = conv.bias[first : first + count]
        block[1:, :count] = chosen[first : first + count].T
        flat.append(block.reshape(-1))
        groups.append((start, width, first, count))
        start += block.size
    return taps.astype(np.int64), np.concatenate(flat), np.array(groups, np.int64)
