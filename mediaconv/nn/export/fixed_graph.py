"""A captured graph as a step of fixed shape: each of its nodes as one, late values held until they are known.

What each node becomes is in `fixed_nodes`; here they are laid out, and their values passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.export.fixed import DIM, Clock, FixedLayer, Level
from mediaconv.nn.export.fixed_attention import FixedAttention, FixedWrittenAttention
from mediaconv.nn.export.fixed_ends import FixedHead, FixedJoined, FixedTail
from mediaconv.nn.export.fixed_nodes import (
    FixedAlign,
    FixedLate,
    FixedLayered,
    FixedLocal,
    FixedNode,
    FixedSliding,
)
from mediaconv.nn.export.fixed_past import (
    FixedCounted,
    FixedRecurrent,
    FixedRunningExtreme,
    FixedRunningTotal,
    FixedStepwise,
)
from mediaconv.nn.export.fixed_plan import Constants, NoStepError, Plan, Timed
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.graph.rules.attention_rules import Attention
from mediaconv.nn.graph.rules.score_rules import WrittenAttention
from mediaconv.nn.graph.steps.end_steps import Head, Held, Joined, Tail
from mediaconv.nn.graph.steps.graph_step import Late, Local
from mediaconv.nn.graph.steps.meeting_steps import Align, Counted
from mediaconv.nn.graph.steps.overlap_step import OverlapAdd
from mediaconv.nn.graph.steps.program import Program
from mediaconv.nn.graph.steps.recurrent_steps import Recurrent, RunningExtreme, RunningTotal
from mediaconv.nn.graph.steps.stepwise_step import Stepwise
from mediaconv.nn.graph.steps.window_steps import Layered, Sliding

NODES: dict[type, type[FixedNode]] = {
    Local: FixedLocal,
    Late: FixedLate,
    Sliding: FixedSliding,
    Layered: FixedLayered,
    Counted: FixedCounted,
    Align: FixedAlign,
    Head: FixedHead,
    Tail: FixedTail,
    Joined: FixedJoined,
    Attention: FixedAttention,
    WrittenAttention: FixedWrittenAttention,
    RunningTotal: FixedRunningTotal,
    RunningExtreme: FixedRunningExtreme,
    Recurrent: FixedRecurrent,
    Stepwise: FixedStepwise,
}
"""What holds the whole input (`Held`) has none."""
_WHY_NONE: dict[type, str] = {
    Held: "it needs the end of the input before its first output",
    OverlapAdd: "frames that are added where they overlap (istft, fold) have no step of fixed shape: end the "
    "model before them and add the frames yourself, or stream it in Python",
}
Fix = Callable[..., FixedLayer]


class FixedGraph(FixedLayer):
    """A captured module. fix: makes steps of this package's layers. where: its place, for messages.

    Raises ValueError naming what reads the whole input, or has no step of fixed shape.
    """

    def __init__(self, graph: StreamingGraph, before: Level, fix: Fix, where: str) -> None:
        super().__init__()
        self.graph, self.before, self._fix, self._where = graph, before, fix, where
        shape = list(graph._shape)
        dtype = next((p.dtype for p in graph.parameters() if p.is_floating_point()), graph._example.dtype)
        shape[DIM] = before.count
        self._plan(torch.zeros(shape, dtype=dtype))

    def _plan(self, x: Tensor) -> dict[str, Tensor]:
        """Lay out the nodes for chunks like `x`; the first state."""
        program: Program = self.graph.program(0, x.shape, x.dtype)
        if program.batch is not None and x.shape[0] != program.batch:
            raise ValueError(f"{self._where}: captured for a batch of {program.batch} alone")
        with torch.no_grad():
            values = self.graph.first_values(program, x)
        self.constants = Constants(values)
        plan = Plan(list(values), x, self._fix, self.before.length)
        plan.values[program.x] = x
        plan.times[program.x] = Timed(self.before, x.shape[DIM])
        nodes: list[FixedNode] = []
        state: dict[str, Tensor] = {}
        for i, step in enumerate(program.steps):
            kind = NODES.get(type(step))
            try:
                if kind is None:
                    raise NoStepError(
                        _WHY_NONE.get(type(step), f"{type(step).__name__} has no step of fixed shape")
                    )
                node = kind(step, plan)
                with torch.no_grad():
                    declared = node.declare(plan)
            except ValueError as problem:
                notes = "; ".join(program.notes) or str(problem)
                raise ValueError(
                    f"{self._where}: the captured model has no step to export: {notes}"
                ) from None
            state.update({f"{i}.{name}": value for name, value in declared.items()})
            nodes.append(node)
        self.nodes = torch.nn.ModuleList(nodes)
        self._x, self._y, self._batch = program.x, program.y, x.shape[0]
        self.out = plan.level(program.y, program.y_dims)
        return state

    def _declare(self, x: Tensor, state: dict[str, Tensor], prefix: str) -> Tensor:
        first = self._plan(x)
        state.update({f"{prefix}{name}": value for name, value in first.items()})
        y, _ = self(x, iter(first.values()), Clock(torch.zeros((), dtype=torch.int64), torch.tensor(2**40)))
        return y

    def forward(self, x: Tensor, state: Iterator[Tensor], clock: Clock) -> tuple[Tensor, list[Tensor]]:
        e: list[Any] = self.constants()
        e[self._x] = x
        after: list[Tensor] = []
        for node in self.nodes:
            after += node(e, state, clock)
        return e[self._y], after
