"""Streams of a captured graph brought in step where they meet, and values made of positions.

A skip reads another delay than the trunk that it joins, a mean over time comes at the end: here they are
made to meet. What operations compute is in the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.geometry import AxisMap, Transposed
from mediaconv.nn.graph.axis_factors import STREAM, Along, Dims, LayoutError, refined
from mediaconv.nn.graph.capture.captured import Captured
from mediaconv.nn.graph.generated_source import GraphSource
from mediaconv.nn.graph.graph_values import LATE, STREAMED, Pairs, Value
from mediaconv.nn.graph.maps import MapNode
from mediaconv.nn.graph.refusal import Origin, RefusalError
from mediaconv.nn.graph.steps.graph_step import Late, Step
from mediaconv.nn.graph.steps.meeting_steps import Align, Counted
from mediaconv.nn.graph.symbols import Size


class Alignment(GraphSource):
    """The steps made so far, their slots, and how streams meet. causal: refuse what needs the whole input.

    A value that follows from positions alone (`torch.arange`, a table of them) has `counted` for its node;
    `counts` has its function of the slot `positions`, and how many there are. It is made where it meets a
    stream, for the positions of that stream's chunk.
    """

    def __init__(self, captured: Captured, shape: Sequence[int], axis: int, *, causal: bool) -> None:
        super().__init__(captured, shape, axis)
        self.causal = causal
        self.steps: list[Step] = []
        self.heads: dict[int, tuple[MapNode, int]] = {}
        self.slots = 0
        self.counted = MapNode()
        self.positions = self.slot()
        self.counts: dict[int, tuple[Any, Size]] = {}
        self.met: dict[tuple[int, int], int] = {}
        self.notes: list[str] = []
        self.current: fx.Node | None = None

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def value(self, node: Any) -> Value:
        value = self.values.get(node) if isinstance(node, fx.Node) else None
        if isinstance(value, Pairs):
            raise RefusalError("it takes the scores of attention over the stream axis")
        if not isinstance(value, Value):
            raise RefusalError("it takes something other than one tensor here")
        return value

    def refine(self, v: Value, factor: int) -> Value:
        """The same tensor seen as a stream `factor` times as fine."""
        if factor == 1:
            return v
        v = self.materialized(v)
        node = None if v.node is None else self.after(v, Transposed(factor, factor))
        return replace(v, dims=refined(v.dims, factor), node=node)

    def sole(self, v: Value) -> Value:
        """The value with nothing but the stream in its dimension. Raises LayoutError where it cannot be."""
        v = self.materialized(v)
        factors = v.dims[v.dim]  # type: ignore[index]
        index = factors.index(STREAM)
        v = self.refine(v, Along.of(v.dims).inner)
        if index:
            raise LayoutError("other axes are folded into the stream axis")
        return v

    def after(self, v: Value, axis_map: AxisMap, **more: Any) -> MapNode:
        assert v.node is not None
        return MapNode(((v.node, axis_map),), **more)

    def align(self, values: Sequence[Value]) -> list[Value]:
        """The values with their streams in step; late ones are waited for."""
        streams = [v for v in values if v.kind == STREAMED]
        late = [v for v in values if v.kind == LATE]
        counted = [v for v in streams if v.node is self.counted]
        if counted and (late or len(counted) < len(streams)):
            return self._meet(values)
        if not late and len({id(v.node) for v in streams}) <= 1:
            return list(values)
        if any(v.at_end for v in late) and not self.notes:
            self.note_whole()
        unique = {(v.slot, v.dims): v for v in streams}
        node = MapNode(
            tuple({id(v.node): (v.node, IDENTITY) for v in streams}.values()),  # type: ignore[arg-type]
            whole=any(v.at_end for v in late),
            past=any(not v.at_end for v in late),
            heads=self.heads_of(v.slot for v in late),
        )
        outs = {key: self.slot() for key in unique}
        self.steps.append(
            Align(
                next(iter(outs.values())),
                [(v.slot, v.dims) for v in unique.values()],
                list(outs.values()),
                [v.slot for v in late],
            )
        )
        return [replace(v, slot=outs[v.slot, v.dims], node=node) if v.kind == STREAMED else v for v in values]

    def heads_of(self, slots: Iterable[int]) -> tuple[tuple[MapNode, int], ...]:
        """The first positions of streams that late values were made of: of which, and how many."""
        made = {step.out: step for step in self.steps if isinstance(step, Late)}
        wanted, seen = list(slots), set()
        found: dict[int, tuple[MapNode, int]] = {}
        while wanted:
            slot = wanted.pop()
            if slot in self.heads:
                node, count = self.heads[slot]
                found[id(node)] = (node, max(count, found.get(id(node), (node, 0))[1]))
            elif slot in made and slot not in seen:
                wanted += made[slot].reads()
            seen.add(slot)
        return tuple(found.values())

    def from_positions(
        self, code: str, dims: Dims, dtype: torch.dtype, size: Size, *, into: int | None = None
    ) -> Value:
        """A value that follows from its positions, of which there are `size` at the end."""
        out = self.slot() if into is None else into
        self.counts[out] = (self.function(code), size)
        return Value(out, STREAMED, dims, dtype, self.counted)

    def _meet(self, values: Sequence[Value]) -> list[Value]:
        """The values aligned; those made of positions are made for those of the others' chunks."""
        others = [v for v in values if v.node is not self.counted]
        if not any(v.kind == STREAMED for v in others):
            return self.align([self.materialized(v) for v in values])
        others = self.align(others)
        like = next(v for v in others if v.kind == STREAMED)
        assert like.node is not None
        node = MapNode(((like.node, IDENTITY),), past=True)
        rest = iter(others)
        out = []
        for v in values:
            if v.node is not self.counted:
                other = next(rest)
                out.append(replace(other, node=node) if other.kind == STREAMED else other)
                continue
            key = (like.slot, v.slot)
            if key not in self.met:
                self.met[key] = self.slot()
                self.steps.append(Counted(self.met[key], *self._chain(v), like.slot, Along.of(like.dims)))
            out.append(replace(v, slot=self.met[key], node=node))
        return out

    def _chain(self, v: Value) -> tuple[int, int, list[tuple[int, Any]]]:
        """A counted value's slot, that of the positions, and what makes it of them, in order."""
        wanted, chain = {v.slot}, []
        for slot in sorted(self.counts, reverse=True):
            if slot in wanted:
                wanted.update(self.counts[slot][0].slots_read)
                chain.append((slot, self.counts[slot][0]))
        return v.slot, self.positions, chain[::-1]

    def materialized(self, v: Value) -> Value:
        """A value made of positions as a stream that is given at the end, where its length is known."""
        if v.node is not self.counted:
            return v
        self.note_whole()
        out, size = self.slot(), self.counts[v.slot][1]
        length = self.function(self.size_code(size))
        self.steps.append(Counted(out, *self._chain(v), None, None, length))
        return replace(v, slot=out, node=self.made_at_end(size))

    def made_at_end(self, size: Size) -> MapNode:
        """The map of a stream that is made at the end, as long as a size then is."""
        length = self.function(self.size_code(size))
        return MapNode(
            whole=True,
            length=lambda total, _: int(length((), 1, total, None)),
            stride=self.stride_of(size),
        )

    def note_whole(self, why: str = "it needs the whole input") -> None:
        """Note that what is computed now is held to the end. Refuses it where the stream is to be causal."""
        assert self.current is not None
        if self.causal:
            raise RefusalError(f"{why}, and causal=True allows none that does")
        self.notes.append(Origin.of(self.current).message(f"{why}: held to the end"))
