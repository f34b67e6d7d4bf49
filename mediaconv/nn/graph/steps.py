"""What runs when a chunk comes: one step a node, with the state that it needs. No shapes are decided.

Values live in a list of slots: a tensor, or None where nothing is there yet (a chunk without positions, a
value that waits for the end).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mediaconv.nn.geometry import Window
from mediaconv.nn.graph.axis_factors import Along, Dims, batch_first, is_batch_first, native, shape_of
from mediaconv.nn.streaming.protocol import Streamable
from mediaconv.nn.streaming.state import State
from mediaconv.nn.streaming.window import step_window, window_state


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

    def reads(self) -> Iterable[int]:
        return (self.x,)

    def empty(self, r: Run) -> Tensor:
        return torch.empty(shape_of(self.dims, r.batch, 0), dtype=self.dtype, device=r.device)

    def load(self, state: State, name: str) -> Tensor | None:
        held = state.tensors.get(name)
        return held if held is None or self.plain else native(held, self.dims)

    def save(self, state: State, name: str, x: Tensor | None, r: Run) -> None:
        state.tensors[name] = x if x is None or self.plain else batch_first(x, self.dims, r.batch)


@dataclass
class Sliding(Buffered):
    """Windows along the stream. apply(held, slots) computes all whole windows of `held`.

    right: the right padding where it depends on the input's length, as a function of it; else the window's.
    """

    window: Window
    apply: Callable[[Tensor, list[Any]], Tensor]
    mode: str = "zeros"
    fill: float = 0.0
    right: Callable[..., int] | None = None
    exact: str = ""

    def reads(self) -> Iterable[int]:
        return self.x, *read_by(self.apply, self.right)

    def fresh(self) -> State:
        return window_state()

    def run(self, r: Run, state: Any) -> None:
        x, e, window = r.e[self.x], r.e, self.window
        if x is None:
            if not r.last:
                return
            x = self.empty(r)
        if r.last and self.right is not None:
            window = replace(window, right=int(r.call(self.right)))
        if not self.plain and "buffer" in state.tensors:
            state.tensors["buffer"] = self.load(state, "buffer")
        y = step_window(
            x,
            state,
            window,
            lambda held: self.apply(held, e),
            axis=self.along.dim - 2,
            last=r.last,
            padding_mode=self.mode,
            padding_value=self.fill,
        )
        if not self.plain:
            self.save(state, "buffer", state.tensors["buffer"], r)
        if r.last and self.exact and state.counts["received"] % window.stride:
            raise ValueError(
                f"{self.exact}: {state.counts['received']} positions, expected a multiple of {window.stride}"
            )
        if y is not None and y.shape[self.along.dim]:
            e[self.out] = y


@dataclass
class Layered(Buffered):
    """A layer of this package, whose weights are taken from slots (name to slot) in every step."""

    layer: Streamable
    weights: dict[str, int]

    def reads(self) -> Iterable[int]:
        return self.x, *self.weights.values()

    def fresh(self) -> State:
        return self.layer.init_state(self.along.dim - 2)

    def run(self, r: Run, state: Any) -> None:
        x = r.e[self.x]
        if x is None:
            if not r.last:
                return
            x = self.empty(r)
        for name, slot in self.weights.items():
            self.layer.__dict__[name] = r.e[slot]
        if not self.plain:
            for name in state.tensors:
                state.tensors[name] = self.load(state, name)
        y = self.layer.step(x, state, axis=self.along.dim - 2, last=r.last)
        if not self.plain:
            for name, held in state.tensors.items():
                self.save(state, name, held, r)
        for name in self.weights:
            del self.layer.__dict__[name]
        if y.shape[self.along.dim]:
            r.e[self.out] = y


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


@dataclass
class Held(Buffered):
    """The whole of a stream, for what needs all of it: chunks are held, and joined at the end."""

    def fresh(self) -> State:
        return State()

    def run(self, r: Run, state: Any) -> None:
        x = r.e[self.x]
        if x is not None:
            self.save(state, f"chunk{len(state.tensors)}", x.clone(), r)
        if r.last:
            parts = [self.load(state, name) for name in state.tensors]
            state.tensors.clear()
            arrived = [p for p in parts if p is not None]
            r.e[self.out] = self.along.join(arrived, r.batch) if arrived else None


@dataclass
class Head(Buffered):
    """The first positions, as one value that is kept."""

    start: int
    end: int

    def fresh(self) -> State:
        return State()

    def run(self, r: Run, state: Any) -> None:
        held, have = self.load(state, "held"), 0
        if held is not None:
            have = self.along.length(held, r.batch)
        x = r.e[self.x]
        if x is not None and have < self.end:
            x = x if held is None else self.along.join((held, x), r.batch)
            have = min(self.end, self.along.length(x, r.batch))
            held = self.along.narrow(x, 0, have, r.batch)
            self.save(state, "held", held.clone(), r)
        if have >= self.end and held is not None:
            r.e[self.out] = self.along.narrow(held, self.start, self.end - self.start, r.batch)
        elif r.last and r.length:
            raise ValueError(f"the model takes its first {self.end} positions apart, and only {have} came")


@dataclass
class Tail(Buffered):
    """Some of the last positions, as one value at the end."""

    count: int
    take: int

    def fresh(self) -> State:
        return State()

    def run(self, r: Run, state: Any) -> None:
        held, x = self.load(state, "held"), r.e[self.x]
        if x is not None:
            x = x if held is None else self.along.join((held, x), r.batch)
            have = self.along.length(x, r.batch)
            kept = min(have, self.count)
            held = self.along.narrow(x, have - kept, kept, r.batch).clone()
            self.save(state, "held", held, r)
        if r.last and held is not None:
            have = self.along.length(held, r.batch)
            if have < self.count:
                raise ValueError(
                    f"the model takes its last {self.count} positions apart, and only {have} came"
                )
            r.e[self.out] = self.along.narrow(held, 0, self.take, r.batch)


@dataclass
class Joined(Buffered):
    """Concatenation along the stream: values before it and after it. x: the stream."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    def reads(self) -> Iterable[int]:
        return self.x, *self.before, *self.after

    def fresh(self) -> State:
        return State(begun=0)

    def run(self, r: Run, state: Any) -> None:
        parts = [p for p in (self.load(state, "waiting"), r.e[self.x]) if p is not None]
        state.tensors["waiting"] = None
        if not state.counts["begun"]:
            heads = [r.e[i] for i in self.before]
            if any(h is None for h in heads):
                if parts:
                    self.save(state, "waiting", self.along.join(parts, r.batch).clone(), r)
                return
            state.counts["begun"] = 1
            parts = [*heads, *parts]
        if r.last:
            parts += [r.e[i] for i in self.after if r.e[i] is not None]
        if parts:
            y = self.along.join(parts, r.batch)
            r.e[self.out] = y.clone() if len(parts) == 1 else y
