"""Steps that carry a state from chunk to chunk: running sums, products and extremes, recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.backends.packed_recurrence import PackedLSTM
from mediaconv.nn.graph.axis_factors import BATCH, Dims, batch_first, native
from mediaconv.nn.graph.capture.obstacles import run_recurrent
from mediaconv.nn.graph.steps.graph_step import Buffered, Run
from mediaconv.nn.streaming.state import State

TOTALS: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor, Tensor], Tensor], float]] = {
    "cumsum": (torch.cumsum, torch.add, 0.0),
    "cumprod": (torch.cumprod, torch.mul, 1.0),
    "logcumsumexp": (torch.logcumsumexp, torch.logaddexp, -torch.inf),
}
"""By operation: what a chunk gives by itself, how that joins what came before, and the total of none."""


@dataclass
class RunningTotal(Buffered):
    """A cumulative sum or its like: what came so far is joined with each chunk's."""

    kind: str
    dtype_out: torch.dtype

    def run(self, r: Run, state: Any) -> None:
        x = r.e[self.x]
        if x is None:
            return
        dim = self.along.dim
        within, join, _ = TOTALS[self.kind]
        y = within(x.to(self.dtype_out), dim)
        total = self.load(state, "total")
        if total is not None:
            y = join(y, total)
        r.e[self.out] = y
        self.save(state, "total", y.narrow(dim, y.shape[dim] - 1, 1).clone(), r)


def running_extreme(
    kind: str, x: Tensor, dim: int, begun: int | Tensor, best: Tensor | None, where: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`cummax` or `cummin` of a chunk whose first position is `begun`, after `best`, which was at `where`."""
    y, at = getattr(torch, kind)(x, dim)
    at = at + begun
    if best is None or where is None:
        return y, at
    newer = (y >= best if kind == "cummax" else y <= best) | y.isnan()
    return torch.where(newer, y, best), torch.where(newer, at, where)


@dataclass
class RunningExtreme(Buffered):
    """The largest (`cummax`) or least (`cummin`) so far; in slot `at` its position, the last of equals."""

    kind: str
    at: int

    def fresh(self) -> State:
        return State(begun=0)

    def writes(self) -> Iterable[int]:
        return self.out, self.at

    def run(self, r: Run, state: Any) -> None:
        x = r.e[self.x]
        if x is None:
            return
        dim = self.along.dim
        before = self.load(state, "best"), self.load(state, "where")
        y, at = running_extreme(self.kind, x, dim, state.counts["begun"], *before)
        state.counts["begun"] += x.shape[dim]
        r.e[self.out], r.e[self.at] = y, at
        self.save(state, "best", y.narrow(dim, y.shape[dim] - 1, 1).clone(), r)
        self.save(state, "where", at.narrow(dim, at.shape[dim] - 1, 1).clone(), r)


@dataclass
class Recurrent(Buffered):
    """An LSTM, GRU or RNN forward in time. starts: slots of the first state; ends: slots for the last.

    packed: the slot of an LSTM's weights in oneDNN's order.
    """

    kind: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    uses: tuple[int, ...]
    options: tuple[bool, int, bool, bool]
    packed: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        batch = self.dims[0 if self.options[3] else 1]
        self.folded = batch not in ((BATCH,), ())
        self.state_dims: Dims = ((), batch, ())

    def reads(self) -> Iterable[int]:
        return self.x, *self.starts, *self.uses, *(() if self.packed is None else (self.packed,))

    def writes(self) -> Iterable[int]:
        return self.out, *self.ends

    def run(self, r: Run, state: Any) -> None:
        x = r.e[self.x]
        names = [f"h{i}" for i in range(len(self.starts))]
        kept = [state.tensors.get(name) for name in names]
        now = [r.e[s] if k is None else self._state(k) for s, k in zip(self.starts, kept, strict=True)]
        if x is not None:
            y, *now = self._outputs(x, [s.contiguous() for s in now], r)
            r.e[self.out] = y
            for name, s in zip(names, now, strict=True):
                state.tensors[name] = self._kept(s, r.batch)
        if r.last:
            for slot, s in zip(self.ends, now, strict=True):
                r.e[slot] = s

    def _kept(self, s: Tensor, batch: int) -> Tensor:
        """A state (layers, batch, features) with the items of the batch first."""
        return batch_first(s, self.state_dims, batch) if self.folded else s.movedim(1, 0)

    def _state(self, kept: Tensor) -> Tensor:
        return native(kept, self.state_dims) if self.folded else kept.movedim(0, 1)

    def _outputs(self, x: Tensor, state: list[Tensor], r: Run) -> list[Tensor]:
        weights = [r.e[w] for w in self.uses]
        packed: PackedLSTM | None = None if self.packed is None else r.e[self.packed]
        if packed is not None and packed.takes(x, state, weights):
            return packed.run(x, state, batch_first=self.options[3])
        return run_recurrent(self.kind, x, state, weights, *self.options)
