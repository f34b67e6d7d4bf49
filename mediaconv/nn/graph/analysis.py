"""From a captured graph to the steps that stream it along one axis. What an operation does is in the rules.

A value is a constant, late (known once, as the first frame or a mean over time) or a stream. Rules decide
from the dimensions' factors; what no rule knows is refused, and all refusals are told together.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.geometry import AxisMap, Transposed
from mediaconv.nn.graph.attention_masks import mask_nodes
from mediaconv.nn.graph.axis_factors import (
    BATCH,
    STREAM,
    Along,
    Dims,
    LayoutError,
    refined,
    size_factors,
    whole_factors,
)
from mediaconv.nn.graph.capture import Captured
from mediaconv.nn.graph.generated_source import GraphSource
from mediaconv.nn.graph.graph_values import CONSTANT, LATE, STREAMED, TABLE, Pairs, Value
from mediaconv.nn.graph.maps import GraphMap, MapNode
from mediaconv.nn.graph.refusal import CaptureError, Origin, RefusalError
from mediaconv.nn.graph.steps.graph_step import Late, Local, Step
from mediaconv.nn.graph.steps.meeting_steps import Align, Counted
from mediaconv.nn.graph.steps.step_order import chained, live_steps
from mediaconv.nn.graph.symbols import Size, depends, evaluate, expression


@dataclass
class Program:
    """Steps along one axis for one size of the others. parameters: slot to the placeholder's node.

    masks: buffers that masks of attention were read from, and their versions then. values: of the graph's
    nodes, for tables. phases: sizes that follow from the input's length, and what they are where it holds.
    """

    steps: list[Step]
    slots: int
    x: int
    y: int
    parameters: dict[int, fx.Node]
    constants: list[Late]
    y_dims: Dims
    y_dtype: torch.dtype
    map: GraphMap
    batch: int | None
    chained: list[Step]
    notes: list[str] = field(default_factory=list)
    masks: dict[fx.Node, int] = field(default_factory=dict)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    phases: dict[Any, int] = field(default_factory=dict)
    _maps: dict[int, GraphMap] = field(default_factory=dict)

    def map_of(self, node: MapNode) -> GraphMap:
        """What a value reads of the input; made once for each, since many operations share one."""
        return self._maps.setdefault(id(node), GraphMap(node))


_MOST_NUMBERS = 2**30
"""Of a constant, for one item of the batch: a few bytes of a file could state any size."""
_RANDOM = "it is random: call .eval() first, where it is dropout"
Rule = Callable[["Analysis", fx.Node, dict[str, Any]], Any]
RULES: dict[Any, Rule] = {}
"""By operation: the value (or values) that it makes of a stream. Raises RefusalError."""


aten = torch.ops.aten
NEW = {aten.new_zeros: 0, aten.new_ones: 1, aten.new_full: None, aten.new_empty: 0}
"""Tensors made in the type of another, of which they read nothing, and their values."""


def rule(*operations: Any) -> Callable[[Rule], Rule]:
    """Register a rule for operations (overloads, or packets for all their overloads)."""

    def register(function: Rule) -> Rule:
        for operation in operations:
            RULES[operation] = function
        return function

    return register


def rule_of(operation: Any) -> Rule | None:
    """The rule of an operation, None where there is none."""
    packet = getattr(operation, "overloadpacket", None)
    rule = RULES.get(operation) or RULES.get(packet)
    if rule is None and str(packet).endswith("_copy"):  # as views are written where nothing is shared
        rule = RULES.get(getattr(aten, str(packet).removeprefix("aten.").removesuffix("_copy"), None))
    if rule is None and torch.Tag.pointwise in getattr(operation, "tags", ()):
        rule = RULES["pointwise"]
    return rule


class Analysis(GraphSource):
    """One pass over a captured graph. causal: refuse what needs the whole input.

    into_past: every window along the stream is moved until it reads nothing that comes later
    (`rules.into_past`).

    A value that follows from positions alone (`torch.arange`, a table of them) has `counted` for its node;
    `counts` has its function of the slot `positions`, and how many there are. It is made where it meets a
    stream, for the positions of that stream's chunk.
    """

    def __init__(
        self,
        captured: Captured,
        shape: Sequence[int],
        axis: int,
        *,
        causal: bool = False,
        into_past: bool = False,
    ) -> None:
        super().__init__(captured, shape, axis)
        self.causal, self.into_past = causal or into_past, into_past
        self.untrimmed: set[int] = set()
        self.padded: dict[int, Any] = {}
        self.ahead: list[str] = []
        self.steps: list[Step] = []
        self.heads: dict[int, tuple[MapNode, int]] = {}
        self.constants: list[Late] = []
        self.parameters: dict[int, fx.Node] = {}
        self.slots = 0
        self.counted = MapNode()
        self.positions = self.slot()
        self.counts: dict[int, tuple[Any, Size]] = {}
        self.met: dict[tuple[int, int], int] = {}
        self.fixed = {**captured.constants, **captured.buffers}
        self.masks: dict[fx.Node, int] = {}
        self.notes: list[str] = []
        self.current: fx.Node | None = None

    # --- the pass ------------------------------------------------------------------------------------------

    def run(self) -> Program:
        reasons: list[str] = []
        masks = mask_nodes(self.captured.graph, self.fixed)
        unknown: set[fx.Node] = set()
        for node in self.captured.graph.nodes:
            if node.op == "output":
                continue
            if any(n in unknown for n in node.all_input_nodes):
                unknown.add(node)
                continue
            self.current = node
            if node in masks:
                self.values[node] = Value(-1, TABLE, (), node.meta["val"].dtype)
                continue
            try:
                self.values[node] = self._visit(node)
            except (RefusalError, LayoutError, ValueError) as problem:
                unknown.add(node)
                reasons.append(Origin.of(node).message(str(problem)))
        if reasons:
            raise CaptureError(list(dict.fromkeys(reasons)))
        return self._finish()

    def _visit(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self._placeholder(node)
        if node.op != "call_function":
            raise RefusalError(f"a node of kind {node.op} is not known")
        if any(isinstance(self.values.get(n), Pairs) for n in node.all_input_nodes):
            return RULES["pairs"](self, node, named_arguments(node))
        if node.target is operator.getitem:
            return self._taken(node)
        value = node.meta.get("val")
        if isinstance(value, Tensor | list | tuple) and not hasattr(node.target, "_schema"):
            raise RefusalError("it is no plain operation of torch's: register_converter for its module")
        if not isinstance(value, Tensor | list | tuple):
            return None  # a size, or a check of the export's own: sizes are read from the metadata
        inputs = [v for v in map(self.values.get, node.all_input_nodes) if isinstance(v, Value)]
        nested = [
            v for n in node.all_input_nodes if isinstance(self.values.get(n), list) for v in self.values[n]
        ]
        inputs += [v for v in nested if isinstance(v, Value)]
        if any(v.kind == TABLE for v in inputs) and rule_of(node.target) not in (
            RULES["attention"],
            RULES[aten.baddbmm],
        ):
            raise RefusalError("a table over pairs of positions meets what is none")
        if getattr(node.target, "overloadpacket", None) in NEW:
            return RULES["create"](self, node, named_arguments(node))
        if any(v.dim is not None for v in inputs):
            return self._ruled(node)
        return self._plain(node, inputs)

    def _taken(self, node: fx.Node) -> Any:
        """One of several results."""
        results, at = self.values[node.all_input_nodes[0]], node.args[1]
        if not isinstance(results, list):
            return self._late(node)
        if at >= len(results):  # type: ignore[operator]
            raise RefusalError("of its results the first alone is known along the stream axis")
        return results[at]  # type: ignore[index]

    def _ruled(self, node: fx.Node) -> Any:
        target, arguments = node.target, named_arguments(node)
        rule = rule_of(target)
        random = arguments.get("train", arguments.get("training", True))
        seeded = torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())
        if seeded and random and (rule is None or rule is RULES["pointwise"]):
            raise RefusalError(_RANDOM)
        if rule is None:
            raise RefusalError(
                "how it depends on the stream axis is not known: register_converter for its module, or "
                "opaque(module, lookback, lookahead, stride) where its window is known"
            )
        return rule(self, node, arguments)

    def _placeholder(self, node: fx.Node) -> Value | None:
        if node is self.captured.x:
            sizes = [evaluate(s, self.binding) for s in map(expression, node.meta["val"].shape)]
            dims: list[tuple[int | str, ...]] = [size_factors(s) for s in sizes]
            dims[0], dims[self.stream_dim] = (BATCH,), (STREAM,)
            self.x = Value(self.slot(), STREAMED, tuple(dims), node.meta["val"].dtype, MapNode())
            return self.x
        if not isinstance(node.meta.get("val"), Tensor):
            return None
        slot = self.slot()
        self.parameters[slot] = node
        return Value(slot, CONSTANT, self.meta_dims(node), node.meta["val"].dtype)

    def _plain(self, node: fx.Node, inputs: list[Value]) -> Any:
        """An operation on values without a stream axis: constants once, late values when they come."""
        value = node.meta["val"]
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise RefusalError(_RANDOM)
        if isinstance(value, Tensor) and any(depends(expression(s), self.symbol) for s in value.shape):
            return RULES["create"](self, node, named_arguments(node))
        late = [v for v in inputs if v.kind == LATE]
        at_end = any(v.at_end for v in late) or self.arguments_depend(node)
        if not late and not at_end:
            return self._constant(node)
        return self._late(node, late, at_end)

    def _constant(self, node: fx.Node) -> Any:
        if isinstance(node.meta["val"], Tensor):
            count = math.prod(map(whole_factors, self.meta_dims(node)))
            if count > _MOST_NUMBERS:
                raise RefusalError(
                    f"it makes a constant of {count} numbers, expected at most {_MOST_NUMBERS}"
                )
        slot = self.slot()
        self.constants.append(Late(slot, self.function(self.call_code(node)), (), False))
        if not isinstance(node.meta["val"], Tensor):
            return self.items(node, slot, CONSTANT, False)
        return Value(slot, CONSTANT, self.meta_dims(node), node.meta["val"].dtype)

    def items(self, node: fx.Node, slot: int, kind: int, at_end: bool) -> list[Value]:
        out = []
        for i, v in enumerate(node.meta["val"]):
            item = self.slot()
            function = self.function(f"e[{slot}][{i}]")
            if kind == CONSTANT:
                self.constants.append(Late(item, function, (), False))
            else:
                self.steps.append(Late(item, function, (slot,), at_end, self.sized_dims(v.shape)))
            out.append(Value(item, kind, self.sized_dims(v.shape), v.dtype, at_end=at_end))
        return out

    def _late(self, node: fx.Node, late: Sequence[Value] = (), at_end: bool = True) -> Any:
        needs = tuple(v.slot for v in late)
        slot = self.slot()
        if not isinstance(node.meta["val"], Tensor):
            self.steps.append(Late(slot, self.function(self.call_code(node)), needs, True))
            return self.items(node, slot, LATE, True)
        dims = self.meta_dims(node)
        self.steps.append(Late(slot, self.function(self.call_code(node)), needs, at_end, dims))
        return Value(slot, LATE, dims, node.meta["val"].dtype, at_end=at_end)

    # --- what rules use ------------------------------------------------------------------------------------

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
        out = self.slot()
        length = self.function(self.size_code(self.counts[v.slot][1]))
        self.steps.append(Counted(out, *self._chain(v), None, None, length))
        node = MapNode(whole=True, length=lambda total, _: int(length((), 1, total, None)))
        return replace(v, slot=out, node=node)

    def note_whole(self) -> None:
        assert self.current is not None
        self.note(Origin.of(self.current).message("it needs the whole input: held to the end"))

    def note(self, text: str) -> None:
        if self.causal:
            raise RefusalError("it needs the whole input, and causal=True allows none that does")
        self.notes.append(text)

    def local(
        self, node: fx.Node, dims: Dims, values: dict[fx.Node, Value], code: str | None = None
    ) -> Value:
        """A step at one position, by the node's own operation unless `code` is another expression.

        values: what its tensors are to it; streams among them are in step.
        """
        kind = max(v.kind for v in values.values())
        streams = [v for v in values.values() if v.kind == STREAMED]
        if kind == CONSTANT and code is None and self.arguments_depend(node):
            raise RefusalError("it computes with the input's length: only the end tells it")
        code = code or self.call_code(node, values)
        out = self.slot()
        dtype = node.meta["val"].dtype if isinstance(node.meta["val"], Tensor) else streams[0].dtype
        if kind == STREAMED and streams[0].node is self.counted:
            return self.from_positions(code, dims, dtype, self.counts[streams[0].slot][1], into=out)
        if kind == STREAMED:
            self.steps.append(Local(out, self.function(code), streams[0].slot))
            return Value(out, kind, dims, dtype, streams[0].node)
        late = [v for v in values.values() if v.kind == LATE]
        at_end = any(v.at_end for v in late)
        if kind == CONSTANT:
            self.constants.append(Late(out, self.function(code), (), False))
        else:
            self.steps.append(Late(out, self.function(code), tuple(v.slot for v in late), at_end, dims))
        return Value(out, kind, dims, dtype, at_end=at_end)

    # --- the end ------------------------------------------------------------------------------------------

    def _finish(self) -> Program:
        y = self.value(self.captured.y)
        if y.kind != STREAMED:
            raise CaptureError(
                ["its output has no axis that follows the stream: there is nothing to give chunk by chunk"]
            )
        try:
            y = self.sole(y)
        except LayoutError as problem:
            raise CaptureError([f"its output, as the stream: {problem}"]) from None
        if y.dim != self.stream_dim or y.dims[0] != (BATCH,):
            raise CaptureError(
                [
                    f"its output has the stream in dimension {y.dim} of {len(y.dims)}, the input in "
                    f"dimension {self.stream_dim}: wrap the module so that both are (N, C, ...)"
                ]
            )
        assert y.node is not None
        axis_map = GraphMap(y.node)
        if self.into_past and axis_map.latency:
            reasons = self.ahead or ["what reads ahead is no window: a slice, or what is put after the end"]
            raise CaptureError(
                [f"its causal twin would still read {axis_map.latency} steps ahead: {r}" for r in reasons]
            )
        steps = live_steps(self.steps, y.slot, self.x.slot)
        return Program(
            steps,
            self.slots,
            self.x.slot,
            y.slot,
            self.parameters,
            self.constants,
            y.dims,
            y.dtype,
            axis_map,
            None if self.batch_symbol is not None else self.batch,
            chained(steps, self.names),
            list(dict.fromkeys(self.notes)),
            self.masks,
            self.values,
            self.phases,
        )


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """A node's arguments by the names of its operation, with the defaults."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {}
    out = {a.name: a.default_value for a in schema.arguments}
    for argument, value in zip(schema.arguments, node.args, strict=False):
        out[argument.name] = value
    out.update(node.kwargs)
    return out
