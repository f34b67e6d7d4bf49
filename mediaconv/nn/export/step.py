"""`export_step`: any stack that streams as one function of tensors, (chunk, state) to (outputs, state).

The function has fixed shapes, so that ONNX runtimes and `torch.export` take it as it is. Started from zeros
and given whole chunks, its outputs, joined and less the first `skip`, are those of one call on the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.convert import to_streaming
from mediaconv.nn.export.fixed import UNKNOWN_LENGTH, Clock, FixedLayer, Level, fix
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.summary.dependence import check_eval, geometry


@dataclass(frozen=True)
class StepInfo:
    """What a user of an exported step has to know. All numbers are steps of the stream axis.

    chunk: inputs a step. outputs: outputs a step. skip: leading outputs that lie before the signal.
    state: name to shape of each state tensor, in order; all begin as zeros. `clock.steps` counts the steps,
        `clock.length` is 0 until the caller sets it to the length of the input, which ends it.
    latency, receptive_field, stride: of the stack, as `geometry` gives them.
    """

    chunk: int
    outputs: int
    skip: int
    shape: tuple[int, ...]
    state: dict[str, tuple[int, ...]]
    latency: int
    receptive_field: int
    stride: str

    def chunks_for(self, length: int, output_length: int) -> int:
        """Steps for an input of `length` that has `output_length` outputs; those past its end get zeros."""
        return max(-(-length // self.chunk), -(-(self.skip + output_length) // self.outputs))


class Step(nn.Module):
    """A stack's streaming step with its state as arguments and results. Made by `export_step`.

    forward(chunk, *state) returns (outputs, *state). chunk: (N, C, chunk, ...); the state's names, shapes and
    order are `info.state`, and `start()` is the state before the first step.
    """

    def __init__(self, layer: FixedLayer, example: Tensor, along: AxisMap) -> None:
        super().__init__()
        self.layer = layer
        counter = torch.zeros((), dtype=torch.int64, device=example.device)
        with torch.no_grad():
            self._y, state = layer.initial(example)
        self._state = {"clock.steps": counter, "clock.length": counter.clone(), **state}
        self.info = StepInfo(
            chunk=example.shape[2],
            outputs=layer.out.count,
            skip=-layer.out.first,
            shape=tuple(example.shape),
            state={name: tuple(value.shape) for name, value in self._state.items()},
            latency=int(along.latency),
            receptive_field=int(along.receptive_field),
            stride=str(along.total_stride),
        )

    def start(self) -> list[Tensor]:
        """The state before the first step: zeros."""
        return [value.clone() for value in self._state.values()]

    def forward(self, x: Tensor, steps: Tensor, length: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One step: outputs, then the state in the order in which it came."""
        known = torch.where(length > 0, length, UNKNOWN_LENGTH)
        y, after = self.layer(x, iter(state), Clock(steps, known))
        return (y, steps + 1, length.clone(), *after)


def export_step(module: nn.Module, example: Tensor) -> Step:
    """The streaming step of a module as a function of tensors, ready for torch.export and torch.onnx.

    module: any that `stream` takes, in eval mode. example: (N, C, chunk, ...), a chunk of the length and size
        that every step will have; its values do not matter.
    Raises ValueError for a layer that reads the whole input, by name, or a chunk that the strides do not
    divide; TypeError for a layer that cannot stream.

    >>> from mediaconv.nn import CausalConv1d
    >>> step = export_step(CausalConv1d(1, 2, 3), torch.zeros(1, 1, 4))
    >>> y, *state = step(torch.ones(1, 1, 4), *step.start())
    >>> y.shape, step.info.skip
    (torch.Size([1, 2, 4]), 0)
    """
    module = to_streaming(module)
    check_eval(module)
    along = geometry(module, 0)
    chunk = example.shape[2]
    if not along.whole and (chunk < 1 or chunk % along.input_period):
        raise ValueError(
            f"chunk: got {chunk}, the strides of this stack need a multiple of {along.input_period}"
        )
    return Step(fix(module, Level(0, chunk, lambda n: n)), example, along)


def run_step(step: Any, info: StepInfo, start: list[Tensor], x: Tensor, output_length: int) -> Tensor:
    """A whole input through an exported step, chunk by chunk, as its user would: the reference of its use.

    step: callable (chunk, *state) -> (outputs, *state). x: (N, C, T, ...) of any length T >= 1.
    """
    length, state, outputs = x.shape[2], list(start), []
    for i in range(info.chunks_for(length, output_length)):
        chunk = x.narrow(2, min(i * info.chunk, length), max(0, min(info.chunk, length - i * info.chunk)))
        if chunk.shape[2] < info.chunk:  # the input ends: say so, and fill up with zeros
            state[1] = torch.tensor(length)
            missing = x.new_zeros(*x.shape[:2], info.chunk - chunk.shape[2], *x.shape[3:])
            chunk = torch.cat([chunk, missing], 2)
        y, *state = step(chunk, *state)
        outputs.append(y)
    return torch.cat(outputs, 2).narrow(2, info.skip, output_length)
