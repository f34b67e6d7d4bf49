"""One streaming step with its state as arguments and results: (chunk, *state) to (outputs, *state).

It has fixed shapes. Started from `start()` and given whole chunks, its outputs, joined and less the first
`skip`, are those of one call on the whole. It is made by `export_step`; files are in `step_files`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.export.fixed import UNKNOWN_LENGTH, Clock, FixedLayer
from mediaconv.nn.export.lengths_taken import Lengths
from mediaconv.nn.geometry import AxisMap

STEPS, LENGTH, OUTPUTS = "clock.steps", "clock.length", "clock.outputs"
"""States that every step has first: steps taken, the input's length once it is known, and the outputs'."""


@dataclass(frozen=True)
class StepInfo:
    """What a user of an exported step has to know. All numbers are steps of the stream axis.

    chunk: inputs a step. outputs: outputs a step. skip: leading outputs that lie before the signal.
    shape, output_shape: of the chunk and of what one step gives.
    state: name to shape of each state tensor, in order. `clock.steps` counts the steps; the caller sets
        `clock.length`, 0 until then, to the length of the input; `clock.outputs` tells how many outputs the
        input has from then on.
    flush_outputs: outputs that are still to come after an input of whole chunks, however many; where it is
        negative, so many of the last that came are none.
    latency, receptive_field, lookback, stride: of the stack, as `geometry` gives them.
    lengths: those of inputs that the step is for; None: all. For others `clock.outputs` becomes -1.
    """

    chunk: int
    outputs: int
    skip: int
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    state: dict[str, tuple[int, ...]]
    flush_outputs: int
    latency: int
    receptive_field: int | float
    lookback: int | float
    stride: str
    lengths: Lengths | None = None

    @property
    def flush_chunks(self) -> int:
        """Chunks of zeros after whole chunks that give all outputs which are still to come."""
        return max(0, -(-self.flush_outputs // self.outputs))


class Step(nn.Module):
    """A stack's streaming step with its state as arguments and results. Made by `export_step`.

    forward(chunk, *state) returns (outputs, *state). chunk: (N, C, chunk, ...); the state's names, shapes and
    order are `info.state`, and `start()` is the state before the first step.
    finish: what is done with each output on its own (a normalizer, rounding), or None.
    """

    _rests: Tensor

    def __init__(
        self,
        layer: FixedLayer,
        example: Tensor,
        along: AxisMap,
        finish: nn.Module | None = None,
        lengths: Lengths | None = None,
    ) -> None:
        super().__init__()
        self.layer, self.finish, self.dtype = layer, finish, example.dtype
        counter = torch.zeros((), dtype=torch.int64, device=example.device)
        with torch.no_grad():
            y, state = layer.initial(example)
        clock = {name: counter.clone() for name in (STEPS, LENGTH, OUTPUTS)}
        self._state = {**clock, **{name: value.detach() for name, value in state.items()}}
        self.info = StepInfo(
            chunk=example.shape[2],
            outputs=layer.out.count,
            skip=-layer.out.first,
            shape=tuple(example.shape),
            output_shape=tuple(y.shape),
            state={name: tuple(value.shape) for name, value in self._state.items()},
            flush_outputs=_after_whole_chunks(layer, example.shape[2], along),
            latency=int(along.latency),
            receptive_field=along.receptive_field,
            lookback=along.lookback,
            stride=str(along.total_stride),
            lengths=lengths,
        )
        rests = torch.tensor(lengths.rests if lengths else [0], device=example.device)
        self.register_buffer("_rests", rests, persistent=False)

    def start(self) -> list[Tensor]:
        """The state before the first step."""
        return [value.clone() for value in self._state.values()]

    @property
    def starts_from_zeros(self) -> bool:
        """Whether the state before the first step is zeros, as it is but for recurrences that begin apart."""
        return not any(bool(value.any()) for value in self._state.values())

    def forward(
        self, x: Tensor, steps: Tensor, length: Tensor, outputs: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        """One step: outputs, then the state in the order in which it came."""
        ends = length > 0
        known = torch.where(ends, length, UNKNOWN_LENGTH)
        y, after = self.layer(x, iter(state), Clock(steps, known))
        y = y if self.finish is None else self.finish(y)
        total = torch.where(ends, self._total(known), outputs)
        return (y, steps + 1, length.clone(), total, *after)

    def _total(self, length: Tensor) -> Tensor:
        """Outputs of an input of a length; -1 where the step is not for it."""
        total, lengths = self.layer.out.length(length), self.info.lengths
        if lengths is None:
            return total
        fits = torch.eq(length % lengths.period, self._rests).any() & (length >= lengths.least)
        return torch.where(fits, total, -1)


def _after_whole_chunks(layer: FixedLayer, chunk: int, along: AxisMap) -> int:
    reach = int(along.latency) + (int(along.receptive_field) if along.receptive_field < UNKNOWN_LENGTH else 0)
    chunks = 2 + 2 * reach // chunk
    total = int(layer.out.length(torch.tensor(chunks * chunk)))
    return total - (chunks * layer.out.count + layer.out.first)


def run_step(step: Any, info: StepInfo, start: list[Tensor], x: Tensor) -> Tensor:
    """A whole input through an exported step, chunk by chunk, as its user would: the reference of its use.

    step: callable (chunk, *state) -> (outputs, *state). x: (N, C, T, ...) of any length T >= 1.
    Raises ValueError for a length that the step is not for.
    """
    if info.lengths is not None and not info.lengths.take(x.shape[2]):
        raise info.lengths.refuse(x.shape[2])
    length, state, outputs, come, begin = x.shape[2], list(start), [], 0, 0
    while begin < length or come < info.skip + int(state[2]):
        count = max(0, min(info.chunk, length - begin))
        chunk = x.narrow(2, min(begin, length), count)
        if count < info.chunk:
            missing = x.new_zeros(*x.shape[:2], info.chunk - count, *x.shape[3:])
            chunk = torch.cat([chunk, missing], 2)
        chunk = chunk.contiguous()  # as compiled steps take it
        if begin + info.chunk >= length:  # the input ends in this chunk
            state[1] = torch.tensor(length)
        y, *state = step(chunk, *state)
        outputs.append(y)
        begin, come = begin + info.chunk, come + y.shape[2]
    return torch.cat(outputs, 2).narrow(2, info.skip, int(state[2]))
