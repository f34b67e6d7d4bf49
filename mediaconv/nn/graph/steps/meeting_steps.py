"""Steps where streams meet: what comes at different times, and values made of positions, fall in step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.graph.axis_factors import Along, Dims, batch_first, is_batch_first, native
from mediaconv.nn.graph.steps.graph_step import Run, Step, read_by
from mediaconv.nn.streaming.state import State


@dataclass
class Counted(Step):
    """Values that follow from positions, for those of a stream's chunk, or at the end for all.

    source: the slot that the chain of slots and functions ends with; positions: the slot that it begins with.
    guard: the stream's slot, None at the end; length: how many there are then.
    """

    source: int
    positions: int
    chain: list[tuple[int, Any]]
    guard: int | None
    along: Along | None
    length: Any = None

    def reads(self) -> Iterable[int]:
        own = {self.positions, *(slot for slot, _ in self.chain)}
        guard = () if self.guard is None else (self.guard,)
        read = read_by(self.length, *(function for _, function in self.chain))
        return *guard, *(slot for slot in read if slot not in own)

    def fresh(self) -> State | None:
        return None if self.guard is None else State(begun=0)

    def run(self, r: Run, state: Any) -> None:
        if self.guard is None or self.along is None:
            if not r.last:
                return
            start, count = 0, int(r.call(self.length))
        elif r.e[self.guard] is None:
            return
        else:
            start, count = state.counts["begun"], self.along.length(r.e[self.guard], r.batch)
            state.counts["begun"] += count
        r.e[self.positions] = torch.arange(start, start + count, device=r.device)
        for slot, function in self.chain:
            r.e[slot] = r.call(function)
        r.e[self.out] = r.e[self.source]
        for slot, _ in self.chain:
            r.e[slot] = None
        r.e[self.positions] = None


@dataclass
class Align(Step):
    """Streams that arrive at different times, cut to what all of them have; and values to wait for.

    ins: slot and dims of each stream; outs: slots for the aligned ones (`out` is the first).
    """

    ins: Sequence[tuple[int, Dims]]
    outs: Sequence[int]
    waits: Sequence[int]

    def __post_init__(self) -> None:
        self.alongs = [Along.cut(dims) for _, dims in self.ins]

    def reads(self) -> Iterable[int]:
        return *(slot for slot, _ in self.ins), *self.waits

    def writes(self) -> Iterable[int]:
        return self.outs

    def fresh(self) -> State:
        return State()

    def run(self, r: Run, state: Any) -> None:
        queues: list[Tensor | None] = []
        lengths: list[int] = []
        tensors, batch = state.tensors, r.batch
        for i, ((slot, dims), along) in enumerate(zip(self.ins, self.alongs, strict=True)):
            x, held = r.e[slot], tensors.get(f"queue{i}")
            if held is not None:
                held = native(held, dims) if not is_batch_first(dims) else held
                x = held if x is None else along.join((held, x), batch)
            queues.append(x)
            lengths.append(0 if x is None else along.length(x, batch))
        ready = 0 if any(r.e[i] is None for i in self.waits) else min(lengths)
        if r.last and max(lengths) > ready:
            raise ValueError(f"paths give lengths {lengths} at the end and cannot be joined")
        for i, (out, x, length) in enumerate(zip(self.outs, queues, lengths, strict=True)):
            along, dims = self.alongs[i], self.ins[i][1]
            rest = None
            if x is not None and length > ready:
                rest = along.narrow(x, ready, length - ready, batch) if ready else x
                rest = (rest if is_batch_first(dims) else batch_first(rest, dims, batch)).clone()
            tensors[f"queue{i}"] = rest
            if ready:
                r.e[out] = x if length == ready else along.narrow(x, 0, ready, batch)  # type: ignore[arg-type]
