"""Steps that take the first, the last or all positions of a stream, and join values to its ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mediaconv.nn.graph.steps.graph_step import Buffered, Run
from mediaconv.nn.streaming.state import State


@dataclass
class Held(Buffered):
    """The whole of a stream, for what needs all of it: chunks are held, and joined at the end."""

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
