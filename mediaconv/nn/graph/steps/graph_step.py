"""A step of a captured graph, with the state that it needs; those at one position. No shapes are decided.

Values live in a list of slots: a tensor, or None where nothing is there yet (a chunk without positions, a
value that waits for the end).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.graph.axis_factors import Along, Dims, batch_first, is_batch_first, native, shape_of
from mediaconv.nn.streaming.state import State


@dataclass
class Run:
    """One call: values by slot, batch size, whether the input ends, and its length then."""

    e: list[Any]
    batch: int
    last: bool
    length: int | None
    device: torch.device
    dtype: torch.dtype

    def call(self, function: Callable[..., Any]) -> Any:
        return function(self.e, self.batch, self.length, self.device)


@dataclass
class Step:
    """One node: it fills the slot `out`; `frees` are slots that nothing reads after it."""

    out: int
    frees: tuple[int, ...] = field(default=(), init=False)
    stateful: bool = field(default=False, init=False)

    def reads(self) -> Iterable[int]:
        """Slots that it reads."""
        raise NotImplementedError

    def writes(self) -> Iterable[int]:
        """Slots that it fills."""
        return (self.out,)

    def fresh(self) -> State | None:
        """The state before any input; None for a step without."""
        return None

    def run(self, r: Run, state: Any) -> None:
        raise NotImplementedError


def read_by(*functions: Any) -> list[int]:
    """Slots that generated functions read; a plain function reads none."""
    return [slot for function in functions for slot in getattr(function, "slots_read", ())]


@dataclass
class Local(Step):
    """An operation at one position: it runs on what is there."""

    function: Callable[..., Any]
    guard: int

    def reads(self) -> Iterable[int]:
        return self.guard, *read_by(self.function)

    def run(self, r: Run, state: Any) -> None:
        if r.e[self.guard] is not None:
            r.e[self.out] = self.function(r.e, r.batch, r.length, r.device)


@dataclass
class Late(Step):
    """An operation on values that are not streams: once, as soon as all are there.

    at_end: it needs the input's length, or what waits for the end. kept: later chunks read it; dims: its.
    """

    function: Callable[..., Any]
    needs: tuple[int, ...]
    at_end: bool
    dims: Dims = ()

    def reads(self) -> Iterable[int]:
        return *self.needs, *read_by(self.function)

    def fresh(self) -> State | None:
        return None if self.at_end else State()

    def run(self, r: Run, state: Any) -> None:
        if self.at_end:
            if r.last and all(r.e[i] is not None for i in self.needs):
                r.e[self.out] = r.call(self.function)
            return
        kept = state.tensors.get("value")
        if kept is not None:
            r.e[self.out] = native(kept, self.dims)
        elif all(r.e[i] is not None for i in self.needs):
            y = r.e[self.out] = r.call(self.function)
            state.tensors["value"] = batch_first(y, self.dims, r.batch).clone()


@dataclass
class Buffered(Step):
    """A step whose state holds positions of its input `x`, batch first."""

    x: int
    dims: Dims
    dtype: torch.dtype

    def __post_init__(self) -> None:
        self.along = Along.cut(self.dims)
        self.plain = is_batch_first(self.dims)

    def fresh(self) -> State | None:
        return State()

    def reads(self) -> Iterable[int]:
        return (self.x,)

    def empty(self, r: Run) -> Tensor:
        return torch.empty(shape_of(self.dims, r.batch, 0), dtype=self.dtype, device=r.device)

    def load(self, state: State, name: str) -> Tensor | None:
        held = state.tensors.get(name)
        return held if held is None or self.plain else native(held, self.dims)

    def save(self, state: State, name: str, x: Tensor | None, r: Run) -> None:
        state.tensors[name] = x if x is None or self.plain else batch_first(x, self.dims, r.batch)
