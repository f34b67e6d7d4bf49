"""What a trace tells of each layer, as data. Computes and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from torch import nn

from mediaconv.errors import UsageError
from mediaconv.nn.geometry import AxisMap

Number = int | float


@dataclass(frozen=True)
class Row:
    """One layer. Shapes are (C, ...), without the batch.

    name: of the module in the stack. depth: how many layers it lies inside of.
    receptive_field, stride: per axis, from the stack's input to this layer's output.
    latency: steps of the stack's input after an output's own time that it waits for, along the time axis.
    lookahead: the layer's own, in steps of its input. parameters, multiply_adds: of the layer alone.
    moves: what a reshape does to each axis, in words; empty for any other layer.
    state_bytes, activation_bytes: (estimated, measured); measured is None where it would be too much to run.
    maps: an axis, from the stack's input to this layer's.
    """

    name: str
    layer: str
    depth: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: tuple[Number, ...]
    stride: tuple[Fraction, ...]
    latency: Number
    lookahead: Number
    state_bytes: tuple[int, int | None]
    activation_bytes: tuple[int, int | None]
    moves: tuple[str, ...]
    module: nn.Module = field(repr=False, compare=False)
    maps: tuple[AxisMap, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class TraceRows:
    """All layers of a stack for one input shape. axes: "channels" and the names of the others.

    channel_names: of the input file's channels, where it tells them.
    time_axis: the axis after the channels along which latency and look-ahead are counted.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    rows: tuple[Row, ...]
    total: Row
    channel_names: tuple[str, ...] = ()
    time_axis: int = 0

    def layer(self, name: str) -> Row:
        """The row of a layer by number or dotted name. Raises UsageError listing the names."""
        for row in self.rows:
            if row.name == name:
                return row
        names = ", ".join(row.name for row in self.rows)
        raise UsageError(f"explain: got {name!r}, the layers are {names}")
