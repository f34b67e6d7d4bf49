"""The step of a recurrence of any making: its body, run over a chunk's positions, and its state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mediaconv.nn.graph.axis_factors import Dims, batch_first, native
from mediaconv.nn.graph.capture.stepwise import Body, run_stepwise
from mediaconv.nn.graph.steps.graph_step import Run, Step
from mediaconv.nn.streaming.state import State


@dataclass
class Stepwise(Step):
    """A recurrence forward along the stream, which is dimension 0 of its inputs.

    xs, uses: slots of inputs and constants. outs: of all outputs (`out` is the first). starts: of the first
    state; ends: for the last. dims: of the state's tensors.
    """

    body: Body
    xs: tuple[int, ...]
    outs: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    uses: tuple[int, ...]
    dims: tuple[Dims, ...]

    def reads(self) -> Iterable[int]:
        return *self.xs, *self.starts, *self.uses

    def writes(self) -> Iterable[int]:
        return *self.outs, *self.ends

    def fresh(self) -> State:
        return State()

    def compute(
        self, e: list[Any], xs: list[Tensor], state: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs of some positions, and the state after them."""
        results = run_stepwise(self.body, xs, state, [e[slot] for slot in self.uses])
        return results[: len(self.outs)], results[len(self.outs) :]

    def run(self, r: Run, state: Any) -> None:
        kept = [state.tensors.get(f"h{i}") for i in range(len(self.starts))]
        now = [
            r.e[slot] if k is None else native(k, dims)
            for slot, k, dims in zip(self.starts, kept, self.dims, strict=True)
        ]
        if r.e[self.xs[0]] is not None:
            ys, now = self.compute(r.e, [r.e[slot] for slot in self.xs], now)
            for slot, y in zip(self.outs, ys, strict=True):
                r.e[slot] = y
            for i, (s, dims) in enumerate(zip(now, self.dims, strict=True)):
                state.tensors[f"h{i}"] = batch_first(s, dims, r.batch)
        if r.last:
            for slot, s in zip(self.ends, now, strict=True):
                r.e[slot] = s
