"""A convolution sliding over its input, as data: what every output multiplies, and what must not be seen.

One `Sliding` is one layer over one input; its `Step`s are the frames of an animation. Nothing is drawn here,
and the sums are made of the taps alone, so that they can be held against torch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.draw.scene.scene import number
from mediaconv.draw.sliding.part import drawn_channels, drawn_part
from mediaconv.errors import UsageError
from mediaconv.nn.copying import copy_module
from mediaconv.nn.summary.sliding import (
    AxisReach,
    is_transposed,
    padded_source,
    reaches,
    slides,
    tap_mask,
)

Position = tuple[int, ...]

MAX_PRODUCTS = 10_000
"""Products of one output at most: a picture of more shows nothing, and takes minutes."""
_LOOKED_AT = 4096
"""Numbers of each kind that tell how long they are."""
BUDGET = 120
"""Frames of an animation at most, unless told otherwise."""


@dataclass(frozen=True)
class Order:
    """What "after now" means: later along one axis, or later in reading order.

    axis: the time axis, or None for reading order.
    slack: steps after now that still belong to it (a block of a strided layer).
    now: whether now itself may be read (False: raster type A).
    """

    axis: int | None = 0
    slack: int = 0
    now: bool = True

    def forbids(self, source: Position, now: Position) -> bool:
        """Whether an output that stands at `now` must not see the input at `source`."""
        if self.axis is not None:
            return source[self.axis] > now[self.axis] + self.slack
        return source > now or (source == now and not self.now)


@dataclass(frozen=True)
class Tap:
    """One weight over one input. `source` is the input's position; outside the input where `padded`."""

    index: Position
    channel: int
    source: Position
    value: float
    weight: float
    masked: bool
    padded: bool
    future: bool

    @property
    def product(self) -> float:
        return self.value * self.weight


@dataclass(frozen=True)
class Step:
    """One output: its position and channel, all taps that make it, and its value as torch computes it."""

    position: Position
    now: Position
    channel: int
    taps: tuple[Tap, ...]
    bias: float | None
    value: float

    @property
    def total(self) -> float:
        """Sum of the products and the bias, tap by tap."""
        return sum((tap.product for tap in self.taps), 0.0) + (self.bias or 0.0)


@dataclass(frozen=True, eq=False)
class Sliding:
    """A layer over an input.

    input: (C_in, ...) float64. output: (C_out, ...) as the layer computes it.
    weight: (C_out, C_in / groups, ...) for a convolution and (C_in, C_out / groups, ...) for a transposed
        one, as used: masked taps are zero. mask: (kernel...), True where a tap is used.
    region: per axis the input positions drawn, sorted; those outside the input are padding.
    shown: per axis the outputs drawn. channels, inputs: output and input channels drawn.
    """

    layer: nn.Module
    input: np.ndarray
    output: np.ndarray
    weight: np.ndarray
    mask: np.ndarray
    axes: tuple[AxisReach, ...]
    order: Order | None
    region: tuple[tuple[int, ...], ...]
    shown: tuple[range, ...]
    channels: tuple[int, ...]
    inputs: tuple[int, ...]
    transposed: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def dims(self) -> int:
        return len(self.axes)

    def outputs(self) -> list[tuple[int, Position]]:
        """Channel and position of every output drawn, in the order in which they fill in."""
        return [(c, p) for c in self.channels for p in itertools.product(*self.shown)]

    def step(self, channel: int, position: Position) -> Step:
        """What makes one output. Raises RuntimeError where its sum is not what the layer computes."""
        now = tuple(a.now(j) for a, j in zip(self.axes, position, strict=True))
        bias = None if self.layer.bias is None else float(self.layer.bias[channel])  # type: ignore[index]
        value = float(self.output[(channel, *position)])
        step = Step(position, now, channel, tuple(self._taps(channel, position, now)), bias, value)
        scale = sum(abs(t.product) for t in step.taps) + abs(bias or 0.0)
        # Two orders of summing n float64 terms differ by n roundings of the largest partial sum at most.
        if abs(step.total - value) > (len(step.taps) + 1) * np.finfo(np.float64).eps * scale:
            raise RuntimeError(f"output {position}: the taps sum to {step.total}, the layer gives {value}")
        return step

    def frames(self, budget: int = BUDGET) -> list[tuple[int, Position]]:
        """The outputs that get a frame: all, or `budget` evenly chosen, the first and last included."""
        if budget < 1:
            raise UsageError(f"frames: got {budget}, expected at least 1")
        every = self.outputs()
        if len(every) <= budget:
            return every
        chosen = (
            np.linspace(0, len(every) - 1, budget).round().astype(int) if budget > 1 else [len(every) - 1]
        )
        return [every[int(i)] for i in chosen]

    def value_at(self, channel: int, source: Position) -> float:
        """The input there, or the padding that stands for it."""
        mode = str(getattr(self.layer, "padding_mode", "zeros"))
        inside = [padded_source(s, a.length, mode) for s, a in zip(source, self.axes, strict=True)]
        return 0.0 if None in inside else float(self.input[(channel, *inside)])  # type: ignore[arg-type]

    def is_padding(self, source: Position) -> bool:
        return any(not 0 <= s < a.length for s, a in zip(source, self.axes, strict=True))

    def _taps(self, channel: int, position: Position, now: Position) -> Iterator[Tap]:
        along = [a.taps(j) for a, j in zip(self.axes, position, strict=True)]
        inputs = group_inputs(self.layer, channel)
        for source_channel in inputs:
            for reads in itertools.product(*along):
                index = tuple(k for k, _ in reads)
                source = tuple(s for _, s in reads)
                if self.transposed:
                    within = channel % self.weight.shape[1]
                    weight = self.weight[(source_channel, within, *index)]
                else:
                    weight = self.weight[(channel, source_channel - inputs.start, *index)]
                yield Tap(
                    index,
                    source_channel,
                    source,
                    self.value_at(source_channel, source),
                    float(weight),
                    masked=not self.mask[index],
                    padded=self.is_padding(source),
                    future=self.order is not None and self.order.forbids(source, now),
                )


def sliding(
    layer: nn.Module,
    x: Tensor,
    *,
    order: Order | None = None,
    at: Sequence[int] | None = None,
    channel: int | None = None,
    notes: Sequence[str] = (),
) -> Sliding:
    """The frames of `layer` over `x`.

    layer: a convolution of mediaconv.nn, standard, causal or transposed.
    x: (C_in, ...) of any real type; computed in float64.
    order: what counts as future; by default the layer's own, and time (axis 0) for a standard 1D or 3D layer.
    at: the first output drawn, per axis, where not all fit; by default the first there is.
    channel: the only output channel drawn; by default as many as fit.
    Raises UsageError for a layer that does not slide, or an input that does not fit it.
    """
    _check(layer, x, channel)
    layer = _double(layer)
    with torch.no_grad():
        try:
            output = layer(x.double()[None])[0].numpy()
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"{type(layer).__name__}: this input does not fit it: {error}") from error
    if not output.size:
        raise UsageError(
            f"{type(layer).__name__}: no output for an input of {list(x.shape[1:])}; give a longer one"
        )
    mask = tap_mask(layer)
    axes = reaches(layer, mask, tuple(x.shape[1:]), output.shape[1:])
    weight: Tensor = layer.masked_weight() if hasattr(layer, "masked_weight") else layer.weight  # type: ignore
    numbers = (x.double(), torch.from_numpy(output), weight.detach().double())
    characters = max(len(number(v)) for each in numbers for v in each.flatten()[:_LOOKED_AT].tolist())
    region, shown, part_notes = drawn_part(axes, at, characters=characters)
    groups = [group_inputs(layer, c) for c in range(output.shape[0])]
    channels, drawn, more_notes = drawn_channels(len(axes), groups, x.shape[0], channel)
    if (x != x.round()).any() or (output != output.round()).any():
        more_notes.append("numbers are rounded for the picture")
    return Sliding(
        layer=layer,
        input=x.double().numpy(),
        output=output,
        weight=weight.detach().numpy(),
        mask=mask.numpy(),
        axes=axes,
        order=order or order_of(layer),
        region=region,
        shown=shown,
        channels=channels,
        inputs=drawn,
        transposed=is_transposed(layer),
        notes=(*notes, *part_notes, *more_notes),
    )


def group_inputs(layer: nn.Module, channel: int) -> range:
    """Input channels that an output channel reads: those of its group."""
    size = int(layer.in_channels) // int(layer.groups)  # type: ignore[arg-type]
    group = channel // (int(layer.out_channels) // int(layer.groups))  # type: ignore[arg-type]
    return range(group * size, (group + 1) * size)


def order_of(layer: nn.Module) -> Order | None:
    """What counts as future for a layer; None for a standard one in 2D, where no axis is time."""
    if getattr(layer, "mode", None) == "raster":
        return Order(axis=None, now=layer.raster_type == "B")
    if not layer.causal:
        return None if len(layer.kernel_size) == 2 else Order(axis=0)  # type: ignore[arg-type]
    if not isinstance(layer.time_axis, int):
        return Order(axis=None, now=True)
    axis = layer.time_axis
    block = getattr(layer, "alignment", "strict") == "block"
    return Order(axis=axis, slack=int(layer.stride[axis]) - 1 if block else 0)  # type: ignore[index]


def _double(layer: nn.Module) -> nn.Module:
    return copy_module(layer).to(device="cpu", dtype=torch.float64).eval().requires_grad_(False)


def _check(layer: nn.Module, x: Tensor, channel: int | None) -> None:
    if not slides(layer):
        raise UsageError(
            f"{type(layer).__name__} cannot be drawn sliding; choose a convolution "
            "(conv or conv_transpose, standard or causal)"
        )
    dims = len(layer.kernel_size)  # type: ignore[arg-type]
    if x.ndim != dims + 1 or x.shape[0] != layer.in_channels:
        raise UsageError(
            f"input: got shape {list(x.shape)}, expected {layer.in_channels} channels and {dims} axes"
        )
    products = int(layer.in_channels) // int(layer.groups) * math.prod(layer.kernel_size)  # type: ignore[arg-type]
    if products > MAX_PRODUCTS:
        raise UsageError(
            f"{type(layer).__name__}: an output is the sum of {products:,} products; at most "
            f"{MAX_PRODUCTS:,} can be drawn"
        )
    if channel is not None and not 0 <= channel < int(layer.out_channels):  # type: ignore[arg-type]
        raise UsageError(f"channel: got {channel}, expected 0 to {int(layer.out_channels) - 1}")  # type: ignore[arg-type]
