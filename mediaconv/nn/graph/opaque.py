"""A module that cannot be seen into, streamed by overlapping windows of a stated or measured reach.

The last resort: every chunk is computed together with its context again. Nothing is captured here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.graph.capture.called import called
from mediaconv.nn.graph.capture.stated_layout import call_hint, check_layout, layout_of
from mediaconv.nn.graph.check import check
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.model_layout import ModelLayout
from mediaconv.nn.streaming.protocol import TotalStride
from mediaconv.nn.streaming.state import State


class OpaqueMap(AxisMap):
    """Output j reads inputs from `floor(j * stride) - lookback` to `floor(j * stride) + lookahead`."""

    def __init__(self, owner: Opaque) -> None:
        self.owner = owner

    @property
    def total_stride(self) -> Fraction:
        return self.owner.input_steps

    def output_length(self, length: int) -> int:
        return self.owner.length_after(length)

    def reads(self, outputs: np.ndarray) -> np.ndarray:
        now = outputs * self.total_stride.numerator // self.total_stride.denominator
        offsets = np.arange(-self.owner.back, self.owner.ahead + 1)
        return np.unique(now[:, None] + offsets)


class Opaque(TotalStride, nn.Module):
    """A module run over overlapping windows. Made by `opaque`, which checks it.

    Shape: (N, C, ...) to (N, C', ...), whatever the module's own layout is.
    """

    def __init__(
        self,
        module: nn.Module,
        example: Tensor,
        axis: int,
        lookback: int,
        lookahead: int,
        stride: Fraction,
        *,
        output: str | int | None = None,
        layout: ModelLayout | None = None,
    ) -> None:
        super().__init__()
        self.module, self.output, self.layout = module, output, layout
        self.training = module.training
        self.dims, self.axis = example.ndim - 2, axis
        self.back, self.ahead, self.input_steps = lookback, lookahead, stride
        self._lengths: dict[int, int] = {}
        self._shape = tuple(example.shape)
        self.channels = int(self(example[:1]).shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """The module's own output, as (N, C', ...)."""
        return called(self.module, x, self.output, self.layout)

    def axis_map(self, axis: int) -> AxisMap:
        if axis != self.axis:
            raise CaptureError(
                [f"what it reads along axis {axis} is not known: it was given for axis {self.axis}"]
            )
        return OpaqueMap(self)

    def output_channels(self, channels: int) -> int:
        return self.channels

    def length_after(self, length: int) -> int:
        """The module's output length, found by a call the first time it is asked."""
        if length not in self._lengths:
            shape = list(self._shape)
            shape[self.axis + 2] = length
            like = next(self.module.parameters(), torch.zeros(()))
            try:
                with torch.no_grad():
                    self._lengths[length] = self(like.new_zeros(shape)).shape[self.axis + 2]
            except (RuntimeError, ValueError):  # too short for the module's windows: it gives nothing
                self._lengths[length] = 0
        return self._lengths[length]

    def cost(self, chunk: int) -> float:
        """Inputs computed for one that is new, in chunks of `chunk` steps."""
        return (chunk + self.back + self.ahead) / chunk

    def init_state(self, axis: int) -> State:
        return State(start=0, received=0, emitted=0)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        dim, counts, stride = axis + 2, state.counts, self.input_steps
        held = state.tensors.get("held")
        x = x if held is None else torch.cat([held, x], dim)
        counts["received"] = received = counts["start"] + x.shape[dim]
        ready = math.floor((received - 1 - self.ahead) / stride) + 1
        if last:
            ready = self.length_after(received)
        if ready > counts["emitted"]:
            first = int(counts["start"] / stride)
            y = self(x)
            stop = y.shape[dim] if last else min(ready - first, y.shape[dim])
            begin = min(counts["emitted"] - first, stop)
            y = y.narrow(dim, begin, stop - begin)
            counts["emitted"] += y.shape[dim]
        else:
            y = None
        oldest = max(0, math.floor(counts["emitted"] * stride) - self.back)
        grid = stride.numerator
        cut = max(0, oldest // grid * grid - counts["start"])
        state.tensors["held"] = x.narrow(dim, cut, x.shape[dim] - cut).clone()
        counts["start"] += cut
        if y is None:
            shape = [x.shape[0], self.channels, *self._shape[2:]]
            shape[dim] = 0
            return x.new_empty(shape)
        return y.clone()


def opaque(
    module: nn.Module,
    lookback: int | None = None,
    lookahead: int | None = None,
    stride: int | Fraction | None = None,
    *,
    example: Tensor,
    axis: int = 0,
    output: str | int | None = None,
    axes: str | None = None,
) -> Opaque:
    """A module of a known reach as one that streams, by overlapping windows; checked against itself.

    lookback, lookahead: inputs before and after an output's own time, `floor(j * stride)`, that it reads;
        stride: input steps an output step. What is not given is measured: inputs are replaced by NaN, and
        the outputs that change are counted. `cost(chunk)` of the result tells what the overlap costs.
    example: an input (N, C, ...), longer than what an output reads; other axes stay at its sizes.
    output: which tensor of the module's result, by name or number, where it has several.
    axes: what the module takes and gives, where that is not (N, C, ...): `n t c`, as of `to_streaming`.
    Raises CaptureError where the module does not take the example, or where the chunks do not give what the
    module gives on the whole.
    """
    for name, steps in (("lookback", lookback), ("lookahead", lookahead)):
        if steps is not None and steps < 0:
            raise ValueError(f"{name}: got {steps}, expected input steps >= 0")
    if stride is not None and stride <= 0:
        raise ValueError(f"stride: got {stride}, expected input steps > 0")
    layout = None if axes is None else layout_of(axes, module, example, axis)
    with torch.no_grad():
        if layout is not None:
            check_layout(module, example, layout, output, type(module).__name__)
        elif hint := call_hint(module, example):
            raise CaptureError([hint], type(module).__name__)

        def run(x: Tensor) -> Tensor:
            return called(module, x, output, layout)

        _check_steady(run, example)
        if stride is None:
            stride = _measured_stride(run, example, axis)
        stride = Fraction(stride)
        if lookback is None or lookahead is None:
            back, ahead = _measured_reach(run, example, axis, stride)
            lookback = back if lookback is None else lookback
            lookahead = ahead if lookahead is None else lookahead
        made = Opaque(module, example, axis, lookback, lookahead, stride, output=output, layout=layout)
        check(made, example, axis)
    return made


Run = Callable[[Tensor], Tensor]


def _check_steady(run: Run, example: Tensor) -> None:
    """Raise CaptureError unless the module gives one tensor, the same in every call."""
    first, second = run(example), run(example)
    if not torch.equal(first.nan_to_num(), second.nan_to_num()):
        raise CaptureError(
            [
                "called again on the same input it gives other values: call .eval() first, where it is "
                "random in training mode"
            ]
        )


def _measured_stride(run: Run, example: Tensor, axis: int) -> Fraction:
    """Input steps an output step, from where the output's length grows."""
    dim, n = axis + 2, example.shape[axis + 2]
    lengths = {}
    for size in {n // 2, n}:
        lengths[size] = run(example.narrow(dim, 0, size)).shape[dim]
    outputs = lengths[n] - lengths[n // 2]
    if outputs <= 0:
        raise CaptureError(["its output does not grow with its input: there is no stride to stream by"])
    return Fraction(n - n // 2, outputs).limit_denominator(64)


def _measured_reach(run: Run, example: Tensor, axis: int, stride: Fraction) -> tuple[int, int]:
    """Look-back and look-ahead: which outputs become NaN, or change, with one input in the middle."""
    dim, n = axis + 2, example.shape[axis + 2]
    whole, back, ahead = run(example), 0, 0
    for position in _positions(n, stride):
        for value in (math.nan, 1e3):
            x = example.clone()
            x.select(dim, position).fill_(value)
            differs = ~(run(x) == whole)
            hit = differs.movedim(dim, 0).flatten(1).any(1).nonzero()[:, 0]
            for j in hit[[0, -1]].tolist() if len(hit) else ():
                now = math.floor(j * stride)
                back, ahead = max(back, now - position), max(ahead, position - now)
    if back + ahead >= n - 1:
        raise CaptureError(
            [f"an output reads all of {n} steps: give a longer example, or it needs the whole"]
        )
    return back, ahead


def _positions(length: int, stride: Fraction) -> Iterator[int]:
    """Inputs in the middle, one for each phase of the stride."""
    middle = length // 2
    yield from range(middle, min(length, middle + max(2, stride.numerator)))
