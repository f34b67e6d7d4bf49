"""From a captured graph to the steps that stream it along one axis. What an operation does is in the rules.

A value is a constant, late (known once, as the first frame or a mean over time) or a stream. Rules decide
from the dimensions' factors; what no rule knows is refused, and all refusals are told together.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
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
    find,
    refined,
    size_factors,
)
from mediaconv.nn.graph.capture import Captured
from mediaconv.nn.graph.maps import GraphMap, MapNode
from mediaconv.nn.graph.refusal import CaptureError, Origin, RefusalError
from mediaconv.nn.graph.steps import Align, Counted, Late, Local, Step
from mediaconv.nn.graph.symbols import Size, depends, evaluate, expression, source

CONSTANT, LATE, STREAMED, TABLE = 0, 1, 2, 3
_BATCH_PROBE = 1009
"""A batch size that divides no other size, by which the batch is found in a view."""
_PROBED_LENGTHS = 4096
"""Lengths at which padding that follows from the length is computed, to know the most there is."""
_LATER = (0, 48, 9600, 9601, 9602, 9603, 9605, 9607, 9611)
"""Steps more than the example's at which a size is computed to see whether it changes."""
_NO_BATCH = "it mixes the items of a batch"


@dataclass(frozen=True)
class Value:
    """A tensor of the graph. kind: constant, late or streamed. node: what it reads along the stream.

    dims has STREAM for a stream, and for a constant that is the same at every position (1 long there).
    at_end: a late value that waits for the end of the input. A table over pairs of positions, of which the
    mask of attention alone is made, is no more than its kind.
    """

    slot: int
    kind: int
    dims: Dims
    dtype: torch.dtype
    node: MapNode | None = None
    at_end: bool = False

    @property
    def dim(self) -> int | None:
        return find(self.dims, STREAM)


@dataclass
class Program:
    """Steps along one axis for one size of the others. parameters: slot to the placeholder's node."""

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
    rule = RULES.get(operation) or RULES.get(getattr(operation, "overloadpacket", None))
    if rule is None and torch.Tag.pointwise in getattr(operation, "tags", ()):
        rule = RULES["pointwise"]
    return rule


class Analysis:
    """One pass over a captured graph. causal: refuse what needs the whole input.

    into_past: every window along the stream is moved until it reads nothing that comes later (`into_past`).

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
        self.captured, self.causal, self.stream_dim = captured, causal or into_past, axis + 2
        self.into_past = into_past
        self.untrimmed: set[int] = set()
        self.padded: dict[int, Any] = {}
        self.ahead: list[str] = []
        self.shape = shape
        sizes = captured.sizes
        symbol = sizes[self.stream_dim].symbol
        if symbol is None:
            raise CaptureError(
                [f"axis {axis}: captured for {sizes[self.stream_dim].size} steps along it alone"]
            )
        self.symbol: sympy.Symbol = symbol
        self.example = captured.x.meta["val"].shape
        self.values: dict[fx.Node, Any] = {}
        self.binding: dict[str, int] = {}
        self.batch_symbol = sizes[0].symbol
        for dim, size in enumerate(sizes):
            if size.symbol is not None:
                length = _BATCH_PROBE if dim == 0 else shape[dim]
                self.binding[str(size.symbol)] = size.value(length)
        if self.batch_symbol is None:
            self.batch = int(sizes[0].size)  # type: ignore[arg-type]
        else:
            self.batch = _BATCH_PROBE
        self.steps: list[Step] = []
        self.constants: list[Late] = []
        self.parameters: dict[int, fx.Node] = {}
        self.slots = 0
        self.counted = MapNode()
        self.positions = self.slot()
        self.counts: dict[int, tuple[Any, Size]] = {}
        self.met: dict[tuple[int, int], int] = {}
        self.names: dict[str, Any] = {"torch": torch}
        self.notes: list[str] = []
        self.current: fx.Node | None = None

    # --- the pass ------------------------------------------------------------------------------------------

    def run(self) -> Program:
        reasons: list[str] = []
        masks = mask_nodes(self.captured.graph, self.captured.constants)
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
        if node.target is operator.getitem:
            results, at = self.values[node.all_input_nodes[0]], node.args[1]
            return results[at] if isinstance(results, list) else self._late(node)  # type: ignore[index]
        value = node.meta.get("val")
        if not isinstance(value, Tensor | list | tuple):
            return None  # a size, or a check of the export's own: sizes are read from the metadata
        inputs = [v for v in map(self.values.get, node.all_input_nodes) if isinstance(v, Value)]
        nested = [
            v for n in node.all_input_nodes if isinstance(self.values.get(n), list) for v in self.values[n]
        ]
        inputs += [v for v in nested if isinstance(v, Value)]
        if getattr(node.target, "overloadpacket", None) in NEW:
            return RULES["create"](self, node, named_arguments(node))
        if any(v.dim is not None for v in inputs):
            return self._ruled(node)
        return self._plain(node, inputs)

    def _ruled(self, node: fx.Node) -> Any:
        target = node.target
        rule = rule_of(target)
        if rule is None:
            raise RefusalError(
                "how it depends on the stream axis is not known: register_converter for its module, or "
                "opaque(module, lookback, lookahead, stride) where its window is known"
            )
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()) and rule is RULES["pointwise"]:
            raise RefusalError("it is random: call .eval() first, where it is dropout")
        return rule(self, node, named_arguments(node))

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
        if isinstance(value, Tensor) and any(depends(expression(s), self.symbol) for s in value.shape):
            return RULES["create"](self, node, named_arguments(node))
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise RefusalError("it is random: call .eval() first, where it is dropout")
        late = [v for v in inputs if v.kind == LATE]
        at_end = any(v.at_end for v in late) or self.arguments_depend(node)
        if not late and not at_end:
            return self._constant(node)
        return self._late(node, late, at_end)

    def _constant(self, node: fx.Node) -> Any:
        slot = self.slot()
        self.constants.append(Late(slot, self.function(self.call_code(node)), (), False))
        if not isinstance(node.meta["val"], Tensor):
            return self._items(node, slot, CONSTANT, False)
        return Value(slot, CONSTANT, self.meta_dims(node), node.meta["val"].dtype)

    def _items(self, node: fx.Node, slot: int, kind: int, at_end: bool) -> list[Value]:
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
            return self._items(node, slot, LATE, True)
        dims = self.meta_dims(node)
        self.steps.append(Late(slot, self.function(self.call_code(node)), needs, at_end, dims))
        return Value(slot, LATE, dims, node.meta["val"].dtype, at_end=at_end)

    # --- what rules use ------------------------------------------------------------------------------------

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def size(self, size: Any) -> int:
        """A size at the probed input."""
        return int(evaluate(expression(size), self.binding))

    def streams(self, size: Any) -> bool:
        """Whether a size depends on the stream's length: one such as `s // (s // 2)` is the same at all."""
        expr = expression(size)
        if not depends(expr, self.symbol):
            return False
        now = self.binding[str(self.symbol)]
        return len({evaluate(expr, {**self.binding, str(self.symbol): now + n}) for n in _LATER}) > 1

    def sized_dims(self, sizes: Sequence[Any]) -> Dims:
        """Dimensions of these sizes, none of them the stream's."""
        dims: list[tuple[int | str, ...]] = []
        for size in sizes:
            number = self.size(size)
            if self.batch_symbol is not None and depends(expression(size), self.batch_symbol):
                if number % self.batch:
                    raise RefusalError(_NO_BATCH)
                rest = number // self.batch
                dims.append((BATCH, rest) if rest > 1 else (BATCH,))
            else:
                dims.append(size_factors(number))
        return tuple(dims)

    def meta_dims(self, node: fx.Node) -> Dims:
        """Dimensions of a value without a stream axis."""
        return self.sized_dims(node.meta["val"].shape)

    def value(self, node: Any) -> Value:
        value = self.values.get(node) if isinstance(node, fx.Node) else None
        if not isinstance(value, Value):
            raise RefusalError("it takes something other than one tensor here")
        return value

    def arguments_depend(self, node: fx.Node) -> bool:
        """Whether a size among the arguments depends on the stream's length."""
        depends = []

        def look(n: fx.Node) -> None:
            value = n.meta.get("val")
            if not isinstance(value, Tensor | list | tuple) and value is not None:
                depends.append(self.streams(value))

        fx.map_arg((node.args, node.kwargs), look)
        return any(depends)

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

    def positions_code(self, v: Value) -> str:
        """Source of the number of positions in a chunk of a value."""
        along = Along.of(v.dims)
        batch = "*N" if along.batched else ""
        return f"(e[{v.slot}].shape[{along.dim}]//({along.outer * along.inner}{batch}))"

    def shape_code(self, dims: Dims, positions: str) -> str:
        """Source of a list of sizes."""
        names = {BATCH: "N", STREAM: positions}
        sizes = ("*".join(names[f] if isinstance(f, str) else str(f) for f in d) or "1" for d in dims)
        return f"[{', '.join(sizes)}]"

    def code(self, argument: Any, values: dict[fx.Node, Value]) -> str:
        """Source of an argument."""
        if isinstance(argument, fx.Node):
            if argument in values:
                return f"e[{values[argument].slot}]"
            value = self.values.get(argument)
            if isinstance(value, Value):
                return f"e[{value.slot}]"
            return self.size_code(argument.meta["val"])
        if isinstance(argument, list | tuple):
            return f"[{', '.join(self.code(a, values) for a in argument)}]"
        if argument is None or isinstance(argument, bool | int | str):
            return repr(argument)
        if isinstance(argument, torch.device):
            return "D"
        return self.name(argument)

    def amount(self, value: Any) -> tuple[int, int, Any]:
        """The least and the most that a size is at any length, and its function. Refuses one that grows."""
        function = self.function(self.size_code(value))
        size = self.captured.sizes[self.stream_dim]
        first = size.value(self.shape[self.stream_dim]) * size.factor + size.offset
        lengths = range(first, first + _PROBED_LENGTHS * size.factor, size.factor)
        amounts = [int(function((), self.batch, length, None)) for length in lengths]
        if max(amounts) - min(amounts) > _PROBED_LENGTHS // 2:
            raise RefusalError("it pads or cuts by an amount that grows with the input's length")
        return min(amounts), max(amounts), function

    def size_code(self, value: Any) -> str:
        """Source of a size, with N the batch and T the input's length."""
        expr: Size = expression(value)
        if not isinstance(expr, sympy.Basic):
            return repr(expr)
        fixed = {
            s: sympy.Integer(self.binding[str(s)])
            for s in expr.free_symbols
            if s not in (self.symbol, self.batch_symbol)
        }
        expr = expr.xreplace(fixed) if fixed else expr
        text = f"({source(expr)})"
        self.names["math"] = __import__("math")
        for symbol, name, size in (
            (self.batch_symbol, "N", self.captured.sizes[0]),
            (self.symbol, "T", self.captured.sizes[self.stream_dim]),
        ):
            if symbol is not None and depends(expr, symbol):
                text = text.replace(str(symbol), f"(({name} - {size.offset})//{size.factor})")
        return text

    def name(self, thing: Any) -> str:
        """A name in generated source for an object."""
        name = f"k{len(self.names)}"
        self.names[name] = thing
        return name

    def call_code(self, node: fx.Node, values: dict[fx.Node, Value] | None = None, **changes: str) -> str:
        """Source of the node's own call. changes: source of arguments by name."""
        values = values or {}
        parts, schema = [], node.target._schema.arguments  # type: ignore[union-attr]
        for a, argument in zip(node.args, schema, strict=False):
            text = changes.pop(argument.name, None) or self.code(a, values)
            parts.append(f"{argument.name}={text}" if argument.kwarg_only else text)
        keywords = {**{k: self.code(v, values) for k, v in node.kwargs.items()}, **changes}
        parts += (f"{k}={v}" for k, v in keywords.items())
        return f"{self.name(node.target)}({', '.join(parts)})"

    def function(self, code: str, arguments: str = "e, N, T, D") -> Any:
        """Generated source as a function of the slots, the batch size, the length and the device."""
        made = eval(f"lambda {arguments}: {code}", self.names)
        made.code = code
        made.slots_read = [int(slot) for slot in re.findall(r"\be\[(\d+)\]", code)]
        return made

    # --- the end ------------------------------------------------------------------------------------------

    def _finish(self) -> Program:
        y = self.value(self.captured.y)
        if y.kind != STREAMED:
            raise CaptureError(
                ["its output has no axis that follows the stream: there is nothing to give chunk by chunk"]
            )
        y = self.sole(y)
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
        self._free(y.slot)
        return Program(
            self.steps,
            self.slots,
            self.x.slot,
            y.slot,
            self.parameters,
            self.constants,
            y.dims,
            y.dtype,
            axis_map,
            None if self.batch_symbol is not None else self.batch,
            self._chained(),
            list(dict.fromkeys(self.notes)),
        )

    def _chained(self) -> list[Step]:
        """The steps, with operations at one position that follow one another as one step."""
        out: list[Step] = []
        run: list[Local] = []
        for step in [*self.steps, None]:
            if isinstance(step, Local) and (
                not run or step.guard == run[0].guard or step.guard in {s.out for s in run}
            ):
                run.append(step)
                continue
            if run:
                out.append(self._one_step(run) if len(run) > 1 else run[0])
                run = []
            if isinstance(step, Local):
                run.append(step)
            elif step is not None:
                out.append(step)
        return out

    def _one_step(self, steps: Sequence[Local]) -> Local:
        """Operations one after the other as the statements of one generated function."""
        lines = []
        for step in steps:
            lines.append(f"e[{step.out}] = {step.function.code}")  # type: ignore[attr-defined]
            lines += (f"e[{slot}] = None" for slot in step.frees if slot != steps[-1].out)
        lines.append(f"return e[{steps[-1].out}]")
        scope: dict[str, Any] = {}
        exec("def chain(e, N, T, D):\n" + "\n".join(f"    {line}" for line in lines), self.names, scope)
        return Local(steps[-1].out, scope["chain"], steps[0].guard)

    def _free(self, kept: int) -> None:
        """Drop the steps that nothing reads, and tell each of the others which slots it reads last."""
        used, live = {kept}, []
        for step in reversed(self.steps):
            outs = set(slots_written(step))
            if not outs & used:
                continue
            reads = set(slots_read(step))
            step.frees = tuple(sorted((reads | outs) - used - {kept}))
            used |= reads
            live.append(step)
        self.steps = live[::-1]
        for step in self.steps:
            step.stateful = step.fresh() is not None
        made = {s for step in self.steps for s in slots_written(step)}
        made.add(self.x.slot)
        for step in self.steps:  # constants stay where they are
            step.frees = tuple(s for s in step.frees if s in made)


def slots_written(step: Step) -> Sequence[int]:
    """Slots that a step fills."""
    return step.outs if isinstance(step, Align) else (step.out, *getattr(step, "ends", ()))


def slots_read(step: Step) -> Sequence[int]:
    """Slots that a step reads: those named in its fields and in its generated functions."""
    slots: list[int] = []
    for name, value in vars(step).items():
        if name in ("ins",):
            slots += (slot for slot, _ in value)
        elif name in ("waits", "needs", "before", "after", "uses", "others"):
            slots += value
        elif name in ("x", "guard"):
            slots += [] if value is None else [value]
        elif name == "weights":
            slots += value.values()
        else:
            slots += getattr(value, "slots_read", ())
    return slots


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
