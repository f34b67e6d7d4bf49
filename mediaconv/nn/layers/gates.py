"""WaveNet's gated activation: half of the channels decide how much of the other half passes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mediaconv.counted import counted
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import (
    Pointwise,
    TotalStride,
    axis_map,
    init_state,
    output_channels,
    step,
)
from mediaconv.nn.streaming.state import State


class Gate(Pointwise, nn.Module):
    """`tanh(a) * sigmoid(b)`, a and b the two halves of the channels (van den Oord et al. 2016).

    Shape: (N, 2 * C, ...) to (N, C, ...).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, 2 * C, ...) to (N, C, ...)."""
        self.output_channels(x.shape[1])
        a, b = x.chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)

    def output_channels(self, channels: int) -> int:
        if channels % 2:
            raise ValueError(f"got {counted(channels, 'channel')}, a gate takes an even number")
        return channels // 2


class Gated(TotalStride, nn.Module):
    """A layer of twice the channels, then `Gate`: `Gated(CausalConv1d(8, 2 * 8, 2, dilation=4))`.

    Keys are "conv.weight", "conv.bias".

    Shape: (N, C_in, ...) to (N, C_out, ...'), where `conv` gives 2 * C_out channels.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.gate = Gate()

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        return iter([("conv", self.conv), ("gate", self.gate)])

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C_in, ...) to (N, C_out, ...')."""
        return self.gate(self.conv(x))

    def axis_map(self, axis: int) -> AxisMap:
        return axis_map(self.conv, axis)

    def output_channels(self, channels: int) -> int:
        return self.gate.output_channels(output_channels(self.conv, channels))

    def init_state(self, axis: int) -> State:
        return State([init_state(self.conv, axis)])

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return self.gate(step(self.conv, x, state.children[0], axis=axis, last=last))
